"""Memory of the fullest chip in a training step, item by item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import Infeasible, InternalError
from simulator.training.arrays import plan_arrays
from simulator.training.plans import plan_rows

if TYPE_CHECKING:
    from simulator.figures import Draw
    from simulator.machine import Slice
    from simulator.plan import Plan
    from simulator.program import Program, Stack
    from simulator.training.arrays import Arrays

_ROUNDING = 1e-9
_GIGABYTE = 1e9
ITEMS = (
    "weights",
    "quantised copies of weights",
    "gathered layers",
    "gradients",
    "optimizer state",
    "activations",
    "the running layer",
    "logits",
    "communication buffers",
)
"""Items of memory in the order of the kernel's columns, as people name them."""


@dataclass(frozen=True)
class StepMemory:
    """Memory of the fullest chip [B]: the items sum to ``needed_bytes``.

    Parameters
    ----------
    weights_bytes : parameters as they are kept between steps, without the optimizer's own copy
    copies_bytes : quantised copies of weights, by rows and by columns
    gathered_bytes : whole layers, and gradients of one, where ZeRO splits them
    gradients_bytes : gradients as they are summed up over micro-batches
    optimizer_bytes : master copy and moments
    activations_bytes : what forward passes keep for backward passes, of all micro-batches in flight
    working_bytes : what the layer needs that runs: its recomputed activations, the gradients of its widest operator
    logits_bytes : logits, their gradient and the inputs of the head
    buffers_bytes : what communication inside layers and between ranks of the pipeline sends from and receives into
    needed_bytes : all of them
    available_bytes : the chip's memory without the share that the stack keeps for contexts and fragments
    stage : rank of the pipeline that is the fullest, from 0 [1]
    """

    weights_bytes: float
    copies_bytes: float
    gathered_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    working_bytes: float
    logits_bytes: float
    buffers_bytes: float
    needed_bytes: float
    available_bytes: float
    stage: int

    @property
    def items(self) -> dict[str, float]:
        """Every item by the name that people give it [B]."""
        values = (
            self.weights_bytes,
            self.copies_bytes,
            self.gathered_bytes,
            self.gradients_bytes,
            self.optimizer_bytes,
            self.activations_bytes,
            self.working_bytes,
            self.logits_bytes,
            self.buffers_bytes,
        )
        return dict(zip(ITEMS, values, strict=True))

    @property
    def fits(self) -> bool:
        """Whether the chip has room."""
        return self.needed_bytes <= self.available_bytes

    @property
    def largest(self) -> str:
        """Name of the largest item."""
        return max(self.items, key=lambda name: self.items[name])

    @property
    def largest_in_words(self) -> str:
        """The largest item with its size, for a message."""
        return f"the largest item is {self.largest} with {self.items[self.largest] / _GIGABYTE:,.1f} GB"

    @property
    def infeasible(self) -> Infeasible | None:
        """Why it does not fit, naming the largest item; None where it does."""
        if self.fits:
            return None
        return Infeasible(self.largest_in_words, self.needed_bytes, self.available_bytes)


def memory(
    program: Program,
    plan: Plan,
    part: Slice,
    stack: Stack,
    *,
    sequence: int,
    batch: int,
    draw: Draw | None = None,
    skew: float = 1.0,
) -> StepMemory:
    """Weigh a step of ``batch`` sequences of ``sequence`` tokens on the fullest chip of a slice.

    Parameters
    ----------
    program, plan, part, stack, sequence, batch, draw, skew : as in :func:`simulator.training.step.step`

    Raises
    ------
    InputError : the stack has no training part
    """
    arrays = plan_arrays(program, plan, part, stack, sequence=sequence, batch=batch, draw=draw, skew=skew)
    return weigh_plan(plan, arrays)


def weigh_plan(plan: Plan, arrays: Arrays, *, is_compiled: bool = True) -> StepMemory:
    """Run the memory kernel, compiled or plain, on one plan and pack its answer.

    Raises
    ------
    InternalError : the items do not sum to the whole
    """
    import numpy as np

    from simulator.training.memory import kernels
    from simulator.training.rows import kernels as columns

    weigh: Any = kernels.fill_memory_fast if is_compiled else kernels.fill_memory
    filled = np.empty(columns.MEMORY_COLUMNS)
    weigh(arrays.program, arrays.counts, arrays.work, arrays.chip, arrays.stack, plan_rows([plan])[0], filled)
    found = StepMemory(
        weights_bytes=float(filled[columns.WEIGHTS]),
        copies_bytes=float(filled[columns.COPIES]),
        gathered_bytes=float(filled[columns.GATHERED]),
        gradients_bytes=float(filled[columns.GRADIENTS]),
        optimizer_bytes=float(filled[columns.STATES]),
        activations_bytes=float(filled[columns.ACTIVATIONS]),
        working_bytes=float(filled[columns.WORKING]),
        logits_bytes=float(filled[columns.LOGITS]),
        buffers_bytes=float(filled[columns.BUFFERS]),
        needed_bytes=float(filled[columns.NEEDED]),
        available_bytes=float(filled[columns.AVAILABLE]),
        stage=int(filled[columns.STAGE]),
    )
    total = sum(found.items.values())
    if abs(total - found.needed_bytes) > _ROUNDING * found.needed_bytes:
        raise InternalError(f"items of memory sum to {total!r}, not {found.needed_bytes!r} ({plan})")
    return found
