"""Plans as the rows that kernels take, and back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from simulator.compute.chip import WIDTH_BYTES
from simulator.plan import CONTEXT_MODES, OFFLOADS, RECOMPUTES, SCHEDULES
from simulator.training.placement import axis_orders, placement_of
from simulator.training.rows import kernels as columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Slice
    from simulator.plan import Plan


def plan_rows(plans: Sequence[Plan], part: Slice | None = None) -> NDArray[np.float64]:
    """Plans as the array that kernels take, (plans, 27): the columns of :mod:`simulator.training.rows.kernels`.

    Without a slice all are placed as its axes are numbered, for what does not depend on that.

    Raises
    ------
    InputError : the axes of a plan are not those of the slice
    """
    import numpy as np

    rows = [(*_row(plan), placement_of(plan.axes, part) if part else 0) for plan in plans]
    return np.array(rows, dtype=np.float64).reshape(len(plans), columns.PLAN_COLUMNS)


def plan_of(row: NDArray[np.float64], base: Plan, part: Slice) -> Plan:
    """One row as a plan; dtypes, switches of overlap and what else is not searched are those of ``base``."""
    values = [int(value) for value in row]
    placement = values[columns.PLACEMENT]
    return dataclasses.replace(
        base,
        tensor=values[columns.TENSOR],
        context=values[columns.CONTEXT],
        pipeline=values[columns.PIPELINE],
        expert=values[columns.EXPERT],
        expert_tensor=values[columns.EXPERT_TENSOR],
        data=values[columns.DATA],
        virtual_stages=values[columns.VIRTUAL],
        schedule=SCHEDULES[values[columns.SCHEDULE]],
        zero=values[columns.ZERO],
        shard=values[columns.SHARD_RANKS],
        micro_batch=values[columns.MICRO_BATCH],
        recompute=RECOMPUTES[values[columns.RECOMPUTE]],
        context_mode=CONTEXT_MODES[values[columns.CONTEXT_MODE]],
        axes=axis_orders(part)[placement] if placement else (),
    )


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
