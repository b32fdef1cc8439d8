"""Exchange of tokens between experts: dispatch and combine of a mixture of experts, and all-to-all of unequal parts."""

from __future__ import annotations

from simulator.collectives.exchange.experts import Routing, balanced, measured, zipf
from simulator.collectives.exchange.packed import Packed, packed
from simulator.collectives.exchange.price import MODES, Exchanged, Tokens, combine, dispatch
from simulator.collectives.exchange.vector import Vector, all_to_all_v
from simulator.exchange import Kernels, Library, Phases, Reached

__all__ = [
    "MODES",
    "Exchanged",
    "Kernels",
    "Library",
    "Packed",
    "Phases",
    "Reached",
    "Routing",
    "Tokens",
    "Vector",
    "all_to_all_v",
    "balanced",
    "combine",
    "dispatch",
    "measured",
    "packed",
    "zipf",
]
