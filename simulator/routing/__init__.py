"""Routing: which links of a fabric the bytes of a flow use."""

from __future__ import annotations

from simulator.routing.routes import ROUTING, Lattice, Routes, joined, lattice, routes

__all__ = ["ROUTING", "Lattice", "Routes", "joined", "lattice", "routes"]
