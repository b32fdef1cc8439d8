"""Collective communication: closed forms on nested levels, the cheapest legal algorithm chosen and named."""

from __future__ import annotations

from simulator.collectives.bounds import Bounds
from simulator.collectives.group import ALGORITHMS, Group, group_of, level_rows
from simulator.collectives.kinds import KINDS, bus_factor, kind_id
from simulator.collectives.price import Priced, price, price_in

__all__ = [
    "ALGORITHMS",
    "KINDS",
    "Bounds",
    "Group",
    "Priced",
    "bus_factor",
    "group_of",
    "kind_id",
    "level_rows",
    "price",
    "price_in",
]
