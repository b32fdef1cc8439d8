"""Exchange of tokens between experts: dispatch and combine of a mixture of experts, and all-to-all of unequal parts."""

from __future__ import annotations

from simulator.collectives.exchange.experts import Routing, balanced, measured, zipf
from simulator.collectives.exchange.price import MODES, Exchanged, Tokens, combine, dispatch
from simulator.collectives.exchange.vector import Vector, all_to_all_v
from simulator.exchange import Kernels, Library, Reached

__all__ = [
    "MODES",
    "Exchanged",
    "Kernels",
    "Library",
    "Reached",
    "Routing",
    "Tokens",
    "Vector",
    "all_to_all_v",
    "balanced",
    "combine",
    "dispatch",
    "measured",
    "zipf",
]
