"""Price one training step of one plan on one slice, with its parts and its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError, InternalError
from simulator.training.arrays import plan_arrays
from simulator.training.legal import check_plan
from simulator.training.memory import StepMemory, weigh_plan
from simulator.training.plans import plan_rows
from simulator.training.rows import kernels as columns
from simulator.training.stages import fill_executed, run_pipeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Draw
    from simulator.machine import Slice
    from simulator.plan import Plan
    from simulator.program import Program, Stack
    from simulator.training.arrays import Arrays
    from simulator.training.schedules import Timeline

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Step:
    """One training step [s]: the parts sum to ``seconds``.

    All are times the spread of the stack, measured over predicted: 1 as the catalogue states it, another number in
    draws (which makes a band) and of stacks that were fitted to steps.

    ``mfu`` is model FLOPs (3 x forward; causal attention counted over the keys it sees; nothing recomputed) over the
    peak of the matmul dtype of all chips of the slice.
    """

    plan: Plan
    seconds: float
    compute_s: float
    tensor_s: float
    context_s: float
    expert_s: float
    data_s: float
    pipeline_s: float
    bubble_s: float
    optimizer_s: float
    overhead_s: float
    tokens_per_s: float
    mfu: float
    memory: StepMemory

    @property
    def exposed_communication_s(self) -> float:
        """All communication that shows [s]."""
        return self.tensor_s + self.context_s + self.expert_s + self.data_s + self.pipeline_s


def step(
    program: Program,
    plan: Plan,
    part: Slice,
    stack: Stack,
    *,
    sequence: int,
    batch: int,
    draw: Draw | None = None,
    skew: float = 1.0,
    is_executed: bool = True,
) -> Step:
    """Price one step of ``batch`` sequences of ``sequence`` tokens.

    Parameters
    ----------
    program, plan : the model and how it is spread; the plan uses at most the chips of the slice
    part : the slice
    stack : a stack with a training part
    sequence, batch : tokens of a sequence, sequences of a step [1]
    draw : values of uncertain figures; the stated ones by default
    skew : picks of the busiest expert rank over the mean, 1 where all are alike [1]
    is_executed : run the pipeline pass by pass; else estimate it by its closed form, which takes a fixed time

    Raises
    ------
    InputError : the plan is not legal, or does not lie on the slice
    InternalError : the parts do not sum to the whole
    """
    check_plan(plan, program, part.chip, part.chips, sequence=sequence, batch=batch)
    arrays = plan_arrays(program, plan, part, stack, sequence=sequence, batch=batch, draw=draw, skew=skew)
    return price_plan(program, plan, part, arrays, is_executed=is_executed)


def step_timeline(
    program: Program, plan: Plan, part: Slice, stack: Stack, *, sequence: int, batch: int, draw: Draw | None = None
) -> tuple[Timeline, Step]:
    """The passes of a step on every rank of its pipeline, as they were run, and the step; arguments as in :func:`step`.

    Raises
    ------
    InputError : the plan is not legal, or does not lie on the slice
    """
    check_plan(plan, program, part.chip, part.chips, sequence=sequence, batch=batch)
    arrays = plan_arrays(program, plan, part, stack, sequence=sequence, batch=batch, draw=draw)
    parts, layer = _run(plan, part, arrays, is_compiled=True)
    timeline = run_pipeline(plan, arrays, layer, float(parts[columns.HOP]))
    return timeline, price_plan(program, plan, part, arrays)


def _run(
    plan: Plan, part: Slice, arrays: Arrays, *, is_compiled: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parts of a step and its layers, as the kernel fills them.

    Raises
    ------
    InputError : the plan does not lie on the slice
    """
    import numpy as np

    from simulator.training import kernels
    from simulator.training.layers.kernels import KINDS, LAYER_COLUMNS

    price: Any = kernels.step_fast if is_compiled else kernels.step
    parts, layer = np.empty(columns.PART_COLUMNS), np.empty((KINDS, LAYER_COLUMNS))
    scratch = np.empty((arrays.levels.shape[1] + 1, arrays.levels.shape[2]))
    if not np.isfinite(price(*arrays, plan_rows([plan], part)[0], scratch, layer, parts)):
        raise InputError(
            f"plan {plan} does not lie on {part.chips} chips of {part.machine.name}",
            remedy="its groups have to divide the levels of the fabric; try degrees that divide one another",
        )
    return parts, layer


def executed_seconds(plan: Plan, part: Slice, arrays: Arrays) -> float:
    """Time of the step of :func:`price_plan` [s], without its parts and its memory, in half the time."""
    parts, layer = _run(plan, part, arrays, is_compiled=True)
    if plan.pipeline > 1:
        fill_executed(plan, arrays, layer, parts, is_split=False)
    return float(parts[columns.TOTAL] * arrays.stack[columns.SPREAD])


def price_plan(
    program: Program,
    plan: Plan,
    part: Slice,
    arrays: Arrays,
    *,
    is_compiled: bool = True,
    is_executed: bool = True,
) -> Step:
    """Run the step kernel, compiled or plain, on one plan and pack its answer; see :func:`step`.

    With ``is_executed`` a pipeline is run pass by pass in place of the kernel's closed form.
    """
    from simulator.training import kernels

    parts, layer = _run(plan, part, arrays, is_compiled=is_compiled)
    if plan.pipeline > 1 and is_executed:
        fill_executed(plan, arrays, layer, parts, is_compiled=is_compiled)
    parts *= arrays.stack[columns.SPREAD]
    seconds = float(parts[columns.TOTAL])
    if abs(parts[:9].sum() - seconds) > _ROUNDING * seconds:
        raise InternalError(f"parts of a step sum to {parts[:9].sum()!r}, not {seconds!r} ({plan})")
    sequence, batch, _ = arrays.work
    tokens = sequence * batch
    flops = 3 * kernels.forward_flops_per_token(program.rows, sequence) * tokens
    return Step(
        plan=plan,
        seconds=seconds,
        compute_s=float(parts[columns.COMPUTE]),
        tensor_s=float(parts[columns.TENSOR_COMM]),
        context_s=float(parts[columns.CONTEXT_COMM]),
        expert_s=float(parts[columns.EXPERT_COMM]),
        data_s=float(parts[columns.DATA_COMM]),
        pipeline_s=float(parts[columns.PIPELINE_COMM]),
        bubble_s=float(parts[columns.BUBBLE]),
        optimizer_s=float(parts[columns.OPTIMIZER]),
        overhead_s=float(parts[columns.OVERHEAD]),
        tokens_per_s=tokens / seconds,
        mfu=flops / (seconds * part.chips * arrays.chip[0]),
        memory=weigh_plan(plan, arrays, is_compiled=is_compiled),
    )
