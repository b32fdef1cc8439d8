"""The structure of a fabric: what its graph says about bandwidth, distances, ways, and what a failure costs."""

from __future__ import annotations

from simulator.structure.metrics import (
    Loss,
    Structure,
    all_to_all_bytes_per_s,
    is_quick,
    loss_of_link,
    loss_of_switch,
    path_diversity,
    structure,
)

__all__ = [
    "Loss",
    "Structure",
    "all_to_all_bytes_per_s",
    "is_quick",
    "loss_of_link",
    "loss_of_switch",
    "path_diversity",
    "structure",
]
