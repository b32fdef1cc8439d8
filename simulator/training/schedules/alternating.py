"""Schedules that alternate one forward and one backward pass after a warm-up of forward passes.

They differ in the warm-up alone: all micro-batches (GPipe), as many as there are ranks below (1F1B and ZB-H1), twice as
many (ZB-H2), or enough to fill the virtual stages (interleaved 1F1B).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray


def alternating_passes(schedule: str, ranks: int, virtual_stages: int, micro_batches: int) -> NDArray[np.int32]:
    """The passes of gpipe, 1f1b, zb-h1 and zb-h2, (ranks, 2 x virtual stages x micro-batches, 3); no W of its own.

    Interleaved, a rank runs the same chunk for a group of micro-batches, one for each rank, then its next chunk, and in
    the backward direction its last chunk first (Narayanan et al., SC21, section 2.2; the order of Megatron-LM).
    """
    count = virtual_stages * micro_batches
    turn = np.arange(count, dtype=np.int32)
    chunk = turn // ranks % virtual_stages
    micro = turn // (ranks * virtual_stages) * ranks + turn % ranks
    backward_kind = INPUT if schedule in {"zb-h1", "zb-h2"} else BACKWARD
    forward = np.stack([np.full_like(turn, FORWARD), chunk, micro], axis=1)
    backward = np.stack([np.full_like(turn, backward_kind), virtual_stages - 1 - chunk, micro], axis=1)
    passes = np.empty((ranks, 2 * count, 3), np.int32)
    for rank in range(ranks):
        warm_up = min(count, _warm_up(schedule, ranks - 1 - rank, ranks, virtual_stages, count))
        pairs = count - warm_up
        passes[rank, :warm_up] = forward[:warm_up]
        passes[rank, warm_up : warm_up + 2 * pairs : 2] = forward[warm_up:]
        passes[rank, warm_up + 1 : warm_up + 2 * pairs : 2] = backward[:pairs]
        passes[rank, warm_up + 2 * pairs :] = backward[pairs:]
    return passes


def _warm_up(schedule: str, below: int, ranks: int, virtual_stages: int, count: int) -> int:
    """Forward passes before the first pair of one forward and one backward pass."""
    if schedule == "gpipe":
        return count
    if virtual_stages > 1:
        return 2 * below + (virtual_stages - 1) * ranks
    return 2 * below if schedule == "zb-h2" else below
