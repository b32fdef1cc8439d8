"""Schedules whose model goes down the ranks and up again (a V), so that every rank holds an early and a late stage.

One micro-batch is a block: its passes F0, F1, B1, B0 begin at fixed times on every rank, in units of one pass. The
block is repeated every six units (F, B and W of two chunks), and W fills what is free. How long a block holds its
activations decides the memory (Qi et al., NeurIPS 2024, arXiv 2405.15362, section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.training.schedules.passes.kernels import FORWARD, INPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIOD = 6
"""Passes of one micro-batch on one rank."""
KINDS, CHUNKS = (FORWARD, FORWARD, INPUT, INPUT), (0, 1, 1, 0)


def folded_passes(schedule: str, ranks: int, micro_batches: int) -> NDArray[np.int32]:
    """F and B of zb-v, v-half and v-min, (ranks, 4 x micro-batches, 3), in the order of the repeated block.

    Before its first B a rank of zb-v runs as many F as its memory holds.
    """
    starts = block_starts(schedule, ranks)
    micro = np.arange(micro_batches)
    passes = np.empty((ranks, 4 * micro_batches, 3), np.int32)
    columns = [np.repeat(KINDS, micro_batches), np.repeat(CHUNKS, micro_batches), np.tile(micro, 4)]
    table = np.stack(columns, axis=1)
    for rank in range(ranks):
        begins = (starts[rank][:, None] + PERIOD * micro).ravel()
        rows = table[np.argsort(begins)]
        passes[rank] = _fill_first(rows, rank, ranks, micro_batches) if schedule == "zb-v" else rows
    return passes


def _fill_first(rows: NDArray[np.int64], rank: int, ranks: int, micro_batches: int) -> NDArray[np.int64]:
    """Move F to the front: F0 until the first micro-batch comes back, then F1 and F0 in turn until its B1 comes."""
    alone = 2 * (ranks - rank) - 1
    turns = [(1, i // 2) if i % 2 == 0 else (0, alone + i // 2) for i in range(2 * rank + 1)]
    order = [(0, micro) for micro in range(alone)] + turns
    first = np.array([(FORWARD, chunk, micro) for chunk, micro in order if micro < micro_batches])
    counts = np.array([alone + rank, rank + 1])
    is_later = (rows[:, 0] == INPUT) | (rows[:, 2] >= counts[rows[:, 1]])
    return np.concatenate([first, rows[is_later]])


def block_starts(schedule: str, ranks: int) -> NDArray[np.int64]:
    """When F0, F1, B1 and B0 of one micro-batch begin on every rank, (ranks, 4), in units of one pass.

    From rank to rank a chain moves on by the steps of the schedule; where it turns it waits so long that no two passes
    of a rank fall on the same unit of a period.
    """
    if schedule == "v-min":
        steps, turns = (1, 1, 1, 1), (1, 1 if ranks % 3 else 3, 1)
    elif schedule == "v-half":
        steps, turns = (2, 1, 2, 1), (1, 1, 2 if ranks % 2 else 5)
    else:
        steps, turns = (4, 2, 4, 2), (1, 1, 1)
    down = np.arange(ranks)
    starts = np.empty((ranks, 4), np.int64)
    begin = 0
    for i, step in enumerate(steps):
        walked = down if i % 2 == 0 else ranks - 1 - down
        starts[:, i] = begin + step * walked
        begin += step * (ranks - 1) + (turns[i] if i < len(turns) else 0)
    return starts
