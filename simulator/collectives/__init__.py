"""Collective communication: closed forms on nested levels, the cheapest legal algorithm chosen and named."""

from __future__ import annotations

from simulator.collectives.price import ALGORITHMS, KINDS, Bounds, Priced, kind_id, level_rows, price

__all__ = ["ALGORITHMS", "KINDS", "Bounds", "Priced", "kind_id", "level_rows", "price"]
