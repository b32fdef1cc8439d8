"""Legal parallel plans for a model on a number of chips, as arrays for the kernel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from simulator.compute.chip import WIDTH_BYTES
from simulator.plan import CONTEXT_MODES, OFFLOADS, RECOMPUTES, SCHEDULES, Plan
from simulator.training.placement import placement_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.program import Transformer

SEARCHED_RECOMPUTES = (0, 2)
"""With fused attention the selective mode saves nothing, so that it is not searched."""
MOST_TENSOR = 64
MOST_CONTEXT = 64
MICRO_BATCHES = (1, 2, 4, 8)
VIRTUAL_STAGES = (1, 2, 4, 8)
TOKENS_PER_CONTEXT_RANK = 2048


def divisors(number: int) -> list[int]:
    """All divisors, ascending.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [d for d in range(1, number + 1) if number % d == 0]


def candidate_plans(model: Transformer, chips: int, sequence: int, batch: int) -> NDArray[np.float64]:
    """Every plan that divides the model and the chips: exhaustive over TP, PP, CP, EP, DP, VP, ZeRO, MBS, recompute.

    Tensor ranks divide the heads (key-value heads may be repeated on ranks), virtual stages and pipeline ranks need a
    layer each, expert ranks divide the experts and lie inside one pipeline stage, ZeRO-3 goes without pipelining.
    A data rank may get fewer sequences than another, as long as each gets some.

    Parameters
    ----------
    model : the model
    chips : chips that the plan must use exactly [1]
    sequence : tokens of one sequence [1]
    batch : sequences of one step [1]

    Returns
    -------
    rows of plans as the kernel takes them, (plans, 25), read-only; :func:`plan_of` reads one
    """
    experts = model.experts.count if model.experts else 1
    return _rows(model.layers, model.heads, experts, chips, sequence, batch)


@functools.lru_cache(maxsize=256)
def _rows(layers: int, heads: int, experts: int, chips: int, sequence: int, batch: int) -> NDArray[np.float64]:
    import numpy as np

    rows = [
        (tensor, context, pipeline, virtual, expert, data, zero, micro_batch, recompute)
        for tensor, context, pipeline, expert, data in _degrees(layers, heads, experts, chips, sequence, batch)
        for micro_batch in _micro_batches(-(-batch // data))
        for virtual in _virtual_stages(layers, pipeline)
        for zero in ((1, 3) if pipeline == 1 and data * context > 1 else (1,))
        for recompute in SEARCHED_RECOMPUTES
    ]
    table = np.repeat(plan_rows([Plan()]), len(rows), axis=0)
    table[:, : len(rows[0]) if rows else 0] = rows or np.empty((0, 0))
    table.flags.writeable = False
    return table


def _degrees(
    layers: int, heads: int, experts: int, chips: int, sequence: int, batch: int
) -> Iterator[tuple[int, int, int, int, int]]:
    """Every (TP, CP, PP, EP, DP) that divides the model and the chips."""
    most_context = max(1, min(MOST_CONTEXT, sequence // TOKENS_PER_CONTEXT_RANK))
    for tensor in (t for t in divisors(chips) if t <= MOST_TENSOR and heads % t == 0):
        for pipeline in (p for p in divisors(chips // tensor) if p <= layers):
            left = chips // tensor // pipeline
            for context in (c for c in divisors(left) if c <= most_context and left // c <= batch):
                for expert in (e for e in divisors(experts) if (tensor * left) % e == 0):
                    yield tensor, context, pipeline, expert, left // context


def _micro_batches(most: int) -> list[int]:
    return [size for size in MICRO_BATCHES if size <= most]


def _virtual_stages(layers: int, pipeline: int) -> list[int]:
    return [stages for stages in VIRTUAL_STAGES if stages == 1 or (pipeline > 1 and pipeline * stages <= layers)]


def plan_of(row: NDArray[np.float64], dtype: Dtype) -> Plan:
    """One row of :func:`candidate_plans` as a plan."""
    tensor, context, pipeline, virtual, expert, data, zero, micro_batch, recompute = (int(value) for value in row[:9])
    return Plan(
        tensor=tensor,
        context=context,
        pipeline=pipeline,
        expert=expert,
        data=data,
        virtual_stages=virtual,
        zero=zero,
        micro_batch=micro_batch,
        recompute=RECOMPUTES[recompute],
        dtype=dtype,
    )


def plan_rows(plans: Sequence[Plan], part: Slice | None = None) -> NDArray[np.float64]:
    """Plans as the array that kernels take, (plans, 27): the columns of :mod:`simulator.training.rows.kernels`.

    Raises
    ------
    InputError : the axes of a plan are not those of the slice, or there is no slice that has them
    """
    import numpy as np

    from simulator.training.rows.kernels import PLAN_COLUMNS

    rows = [(*_row(plan), placement_of(plan.axes, part) if plan.axes else 0) for plan in plans]
    return np.array(rows, dtype=np.float64).reshape(len(plans), PLAN_COLUMNS)


def _row(plan: Plan) -> tuple[float, ...]:
    return (
        plan.tensor,
        plan.context,
        plan.pipeline,
        plan.virtual_stages,
        plan.expert,
        plan.data,
        plan.zero,
        plan.micro_batch,
        RECOMPUTES.index(plan.recompute),
        plan.expert_tensor,
        SCHEDULES.index(plan.schedule),
        plan.first_layers,
        plan.last_layers,
        plan.shard,
        plan.recompute_layers,
        OFFLOADS.index(plan.offload),
        CONTEXT_MODES.index(plan.context_mode),
        plan.sequence_parallel,
        plan.overlap_tensor,
        plan.overlap_data,
        plan.overlap_expert,
        WIDTH_BYTES[plan.attention_dtype],
        WIDTH_BYTES[plan.gather_dtype],
        WIDTH_BYTES[plan.reduce_dtype],
        WIDTH_BYTES[plan.state_dtype],
        plan.adapters,
    )
