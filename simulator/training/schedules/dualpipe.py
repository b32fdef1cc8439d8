"""DualPipe: micro-batches enter the pipeline from both ends, and forward passes run together with backward passes.

Half of the micro-batches (chunk 0) go down the ranks, the other half (chunk 1) up; every rank holds the stage of either
direction. DeepSeek-V3, arXiv 2412.19437, section 3.2.1, and the eight steps of the published DualPipe schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, NOTHING, PAIRED, WEIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class _Rank:
    """The passes of one rank of the first half as they are written down."""

    micro_batches: int
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    forwards: list[int] = field(default_factory=lambda: [0, 0])
    backwards: list[int] = field(default_factory=lambda: [0, 0])
    weights: list[tuple[int, int]] = field(default_factory=list)

    def forward(self, direction: int, kind: int = FORWARD) -> None:
        self.rows.append((kind, *self._next(self.forwards, direction)))

    def backward(self, direction: int, *, is_split: bool = False) -> None:
        chunk, micro = self._next(self.backwards, direction)
        self.rows.append((INPUT if is_split else BACKWARD, chunk, micro))
        if is_split:
            self.weights.append((chunk, micro))

    def weight(self) -> None:
        self.rows.append((WEIGHT, *self.weights.pop(0)))

    def pair(self, forward: int, backward: int) -> None:
        self.forward(forward, PAIRED)
        self.backward(backward)

    def _next(self, counts: list[int], direction: int) -> tuple[int, int]:
        counts[direction] += 1
        return direction, counts[direction] - 1 + direction * self.micro_batches // 2


def dualpipe_passes(ranks: int, micro_batches: int) -> NDArray[np.int32]:
    """The passes of dualpipe, (ranks, 3 x micro-batches, 3), ending in rows of kind NOTHING."""
    passes = np.full((ranks, 3 * micro_batches, 3), NOTHING, np.int32)
    for rank in range(ranks // 2):
        rows = np.array(_rank_passes(rank, ranks, micro_batches))
        passes[rank, : len(rows)] = rows
        kind, chunk, micro = rows.T  # the other half of the ranks does the same for the other direction
        mirrored = np.stack([kind, 1 - chunk, (micro + micro_batches // 2) % micro_batches], axis=1)
        passes[ranks - 1 - rank, : len(rows)] = mirrored
    return passes


def _rank_passes(outer: int, ranks: int, micro_batches: int) -> list[tuple[int, int, int]]:
    inner = ranks // 2 - 1 - outer  # ranks between this one and the middle
    write = _Rank(micro_batches)
    for _ in range(2 * inner):
        write.forward(0)
    for _ in range(outer + 1):
        write.forward(0)
        write.forward(1)
    for _ in range(inner):
        write.backward(1, is_split=True)
        write.weight()
        write.forward(1)
    for i in range(micro_batches // 2 - ranks + outer + 1):
        if i == 0 and inner == 0:  # the two ranks in the middle do not pair here, which shortens the bubble
            write.forward(0)
            write.backward(1)
        else:
            write.pair(0, 1)
        write.pair(1, 0)
    for _ in range(inner):
        write.backward(1)
        write.pair(1, 0)
    for i in range(2 * (outer + 1)):  # the second half of these splits B from W
        write.backward((i + 1) % 2, is_split=i > outer)
    for _ in range(inner):
        write.weight()
        write.backward(0, is_split=True)
    for _ in range(outer + 1):
        write.weight()
    return write.rows
