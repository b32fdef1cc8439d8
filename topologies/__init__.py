"""What machines are and how they are wired: the catalogue (TOML) and the graph builders."""

from topologies.arrays import fabric
from topologies.load import (
    chip,
    entry,
    head,
    machine,
    names,
    network,
    network_entry,
    resolve,
    shared,
    sources,
    sources_of,
    undisclosed,
)

__all__ = [
    "chip",
    "entry",
    "fabric",
    "head",
    "machine",
    "names",
    "network",
    "network_entry",
    "resolve",
    "shared",
    "sources",
    "sources_of",
    "undisclosed",
]
