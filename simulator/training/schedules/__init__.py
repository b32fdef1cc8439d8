"""Pipeline schedules: order tables of every rank, run as a dependency graph, and what they hold in memory."""

from __future__ import annotations

from simulator.training.schedules.execute import PARTS, Timeline, execute, peak_activations
from simulator.training.schedules.legal import check_schedule, refusal
from simulator.training.schedules.order import Order, pipeline_order

__all__ = [
    "PARTS",
    "Order",
    "Timeline",
    "check_schedule",
    "execute",
    "peak_activations",
    "pipeline_order",
    "refusal",
]
