"""Schedules of collective algorithms: who sends which part of the buffer to whom, round by round."""

from __future__ import annotations

from simulator.collectives.schedules.axes import (
    BIDIRECTIONAL_RING,
    BUCKET,
    FULL_MESH,
    HIERARCHICAL,
    RING,
    RING_PER_DIMENSION,
    snake,
)
from simulator.collectives.schedules.direct import DIRECT, ONE_SHOT, TWO_SHOT
from simulator.collectives.schedules.logarithmic import HALVING_DOUBLING, PAT
from simulator.collectives.schedules.nested import HIERARCHICAL_TREE
from simulator.collectives.schedules.rounds import Layout, Maker, Round, Schedule, expanded
from simulator.collectives.schedules.swing import SWING, SWING_LATENCY
from simulator.collectives.schedules.switches import NVLS, SHARP
from simulator.collectives.schedules.trees import DOUBLE_BINARY_TREE
from simulator.errors import unknown_name

SCHEDULES: dict[str, dict[str, Maker]] = {
    "ring": RING,
    "bidirectional-ring": BIDIRECTIONAL_RING,
    "double-binary-tree": DOUBLE_BINARY_TREE,
    "halving-doubling": HALVING_DOUBLING,
    "pat": PAT,
    "one-shot": ONE_SHOT,
    "two-shot": TWO_SHOT,
    "direct": DIRECT,
    "ring-per-dimension": RING_PER_DIMENSION,
    "bucket": BUCKET,
    "swing": SWING,
    "swing-latency": SWING_LATENCY,
    "hierarchical": HIERARCHICAL,
    "hierarchical-tree": HIERARCHICAL_TREE,
    "full-mesh": FULL_MESH,
    "nvls": NVLS,
    "sharp": SHARP,
}
"""Algorithm -> kind of collective -> what makes its schedule from a layout."""


def schedule(algorithm: str, kind: str, layout: Layout) -> Schedule:
    """The schedule of a collective by names.

    Raises
    ------
    InputError : an unknown algorithm, a kind that it does not do, a layout that it cannot use
    """
    if algorithm not in SCHEDULES:
        raise unknown_name("algorithm", algorithm, SCHEDULES)
    if kind not in SCHEDULES[algorithm]:
        raise unknown_name(f"kind of {algorithm}", kind, SCHEDULES[algorithm])
    return SCHEDULES[algorithm][kind](layout)


__all__ = ["SCHEDULES", "Layout", "Maker", "Round", "Schedule", "expanded", "schedule", "snake"]
