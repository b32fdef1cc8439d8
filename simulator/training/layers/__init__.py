"""What one layer of a model costs on one rank of a plan."""
