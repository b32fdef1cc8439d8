"""The order of passes on every rank of a pipeline, by the name of its schedule.

Sources: GPipe, Huang et al., NeurIPS 2019 (arXiv 1811.06965); 1F1B and its interleaved form, Narayanan et al., SC21
(arXiv 2104.04473) and the order of Megatron-LM; ZB-H1 and ZB-H2, Qi et al., ICLR 2024 (arXiv 2401.10241); ZB-V, V-half
and V-min, Qi et al., NeurIPS 2024 (arXiv 2405.15362); DualPipe, DeepSeek-V3 (arXiv 2412.19437) and its repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InternalError
from simulator.training.schedules.alternating import alternating_passes
from simulator.training.schedules.dualpipe import dualpipe_passes
from simulator.training.schedules.folded import folded_passes
from simulator.training.schedules.legal import V_SHAPED, check_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIMITS: dict[str, Callable[[int], int]] = {
    "zb-h1": lambda ranks: ranks,
    "zb-h2": lambda ranks: 2 * ranks - 1,
    "zb-v": lambda ranks: 2 * ranks,
    "v-half": lambda ranks: 2 * ((ranks + 2) // 2),
    "v-min": lambda ranks: 2 * ((ranks + 4) // 3),
}
"""Schedules that split the backward pass -> chunks of activations that a rank may hold from F to W, as published."""


@dataclass(frozen=True, eq=False)
class Order:
    """What every rank of a pipeline runs, in order, and where each stage of the model lies.

    Parameters
    ----------
    schedule, ranks, virtual_stages, micro_batches : what was asked for
    passes : (ranks, passes, 3), see :mod:`simulator.training.schedules.passes.kernels`
    stage_of : (ranks, chunks), the stage of the model that a chunk of a rank is
    above, below : (ranks x chunks,), the chunks where a micro-batch comes from and goes to; -1 at the ends
    """

    schedule: str
    ranks: int
    virtual_stages: int
    micro_batches: int
    passes: NDArray[np.int32]
    stage_of: NDArray[np.int32]
    above: NDArray[np.int32]
    below: NDArray[np.int32]

    @property
    def chunks(self) -> int:
        """Model pieces that a rank holds; those of dualpipe are two whole stages."""
        return int(self.stage_of.shape[1])

    @property
    def stages(self) -> int:
        """Pieces that the model is cut into."""
        return self.ranks * self.virtual_stages if self.schedule != "dualpipe" else self.ranks

    @cached_property
    def is_sent(self) -> NDArray[np.bool_]:
        """Whether what a chunk takes from the one above it comes from another rank, (ranks x chunks,)."""
        ranks = np.arange(self.above.size) // self.chunks
        found: NDArray[np.bool_] = (self.above >= 0) & (self.above // self.chunks != ranks)
        return found


@lru_cache(maxsize=64)
def pipeline_order(schedule: str, pipeline: int, virtual_stages: int, micro_batches: int) -> Order:
    """The order table of a schedule; made once, then remembered, so nobody can write to its arrays.

    Raises
    ------
    InputError : the schedule cannot run that pipeline
    InternalError : weight gradients cannot be placed within the limit of the schedule
    """
    check_schedule(schedule, pipeline, virtual_stages, micro_batches)
    ranks = np.arange(pipeline, dtype=np.int32)
    if schedule == "dualpipe":
        stage_of = np.stack([ranks, pipeline - 1 - ranks], axis=1)
        passes = dualpipe_passes(pipeline, micro_batches)
        lines = [stage_of[:, :1], stage_of[:, 1:]]
    elif schedule in V_SHAPED:
        stage_of = np.stack([ranks, 2 * pipeline - 1 - ranks], axis=1)
        passes = folded_passes(schedule, pipeline, micro_batches)
        lines = [stage_of]
    else:
        stage_of = ranks[:, None] + pipeline * np.arange(virtual_stages, dtype=np.int32)
        passes = alternating_passes(schedule, pipeline, virtual_stages, micro_batches)
        lines = [stage_of]
    above, below = _neighbours(stage_of, lines)
    if schedule in LIMITS:
        passes = _with_weights(passes, above, below, micro_batches, LIMITS[schedule](pipeline))
    for array in (passes, stage_of, above, below):
        array.setflags(write=False)
    return Order(schedule, pipeline, virtual_stages, micro_batches, passes, stage_of, above, below)


def _neighbours(
    stage_of: NDArray[np.int32], lines: list[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where micro-batches come from and go to; each line is a part of the columns that holds the whole model."""
    nodes = np.arange(stage_of.size, dtype=np.int32).reshape(stage_of.shape)
    above, below = np.full(stage_of.size, -1, np.int32), np.full(stage_of.size, -1, np.int32)
    column = 0
    for line in lines:
        path = nodes[:, column : column + line.shape[1]].ravel()[np.argsort(line, axis=None)]
        above[path[1:]], below[path[:-1]] = path[:-1], path[1:]
        column += line.shape[1]
    return above, below


def _with_weights(
    plain: NDArray[np.int32], above: NDArray[np.int32], below: NDArray[np.int32], micro_batches: int, limit: int
) -> NDArray[np.int32]:
    from simulator.training.schedules import kernels

    ranks = plain.shape[0]
    passes = np.empty((ranks, plain.shape[1] // 2 * 3, 3), np.int32)
    fill: Any = kernels.fill_weights_fast
    if not fill(plain, above, below, above.size // ranks, micro_batches, limit, passes):
        raise InternalError(f"no place for weight gradients: {ranks} ranks, {micro_batches} micro-batches, {limit=}")
    return passes
