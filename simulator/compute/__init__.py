"""Time of single operators on one chip: a tiled roofline."""
