"""Which layers and parameters of a model lie on which rank of a plan."""
