"""The engine: turns work on a fabric into seconds, joules and dollars; knows no vendor and no model by name."""

from simulator import compiled

compiled.use_private_cache()
