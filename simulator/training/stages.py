"""The pipeline of a step run pass by pass, on the seconds of every stage, in place of its closed form."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from simulator.plan import Plan
from simulator.training.plans import plan_rows
from simulator.training.rows import kernels as columns
from simulator.training.schedules import PARTS, execute, pipeline_order
from simulator.training.schedules.execute import stuck
from simulator.training.schedules.legal import V_SHAPED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.plan import Schedule
    from simulator.training.arrays import Arrays
    from simulator.training.schedules import Order, Timeline


def stage_layers(plan: Plan, layers: int) -> NDArray[np.float64]:
    """Layers of each stage of the model, (stages,) [1].

    Ranks have what :func:`simulator.training.layout.kernels.pipeline_layout` says. Where that does not divide by their
    chunks, late ones get one more before early ones do, the one with the logits after all others.
    """
    import numpy as np

    from simulator.training.layout.kernels import layers_of_rank, pipeline_layout

    counts = np.zeros(columns.FIRST_DENSE + 1)
    counts[columns.MODEL_LAYERS] = layers
    layout = pipeline_layout(counts, plan_rows([plan])[0])
    pieces = 1 if plan.schedule == "dualpipe" else plan.virtual_stages
    found = np.empty(plan.pipeline * pieces)
    for rank in range(plan.pipeline):
        stages = _stages_of_rank(plan, rank)
        each, more = divmod(int(layers_of_rank(layout, rank)[0]), pieces)
        turn = [*reversed(range(pieces))]
        if stages[-1] == len(found) - 1:
            turn = [*turn[1:], turn[0]]
        for place, chunk in enumerate(turn):
            found[stages[chunk]] = each + (place < more)
    return found


def _stages_of_rank(plan: Plan, rank: int) -> list[int]:
    """Stages of the model that a rank holds, in the order in which a micro-batch comes to them."""
    if plan.schedule in V_SHAPED:
        return [rank, 2 * plan.pipeline - 1 - rank]
    return [*range(rank, plan.pipeline * plan.virtual_stages, plan.pipeline)]


def kinds_of_layers(plan: Plan, arrays: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Layers without experts, layers with experts and logits of each stage of the model, (stages,) [1], read-only."""
    counts = arrays.counts
    shape = (plan.pipeline, plan.virtual_stages, plan.schedule, plan.first_layers, plan.last_layers)
    return _kinds(
        *shape,
        int(counts[columns.MODEL_LAYERS]),
        float(counts[columns.FIRST_DENSE]),
        float(counts[columns.MOE_LAYERS]),
    )


@functools.lru_cache(maxsize=1024)
def _kinds(
    pipeline: int,
    virtual_stages: int,
    schedule: Schedule,
    first_layers: int,
    last_layers: int,
    layers: int,
    leading: float,
    moe_layers: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    plan = Plan(
        pipeline=pipeline,
        virtual_stages=virtual_stages,
        schedule=schedule,
        first_layers=first_layers,
        last_layers=last_layers,
    )
    held = stage_layers(plan, layers)
    starts = np.concatenate([[0.0], np.cumsum(held)[:-1]])
    plain = np.clip(leading - starts, 0.0, held)
    share = moe_layers / (layers - leading) if moe_layers else 0.0
    with_experts = (held - plain) * share
    head = np.zeros(len(held))
    head[-1] = 1.0
    found = (held - with_experts, with_experts, head)
    for each in found:
        each.flags.writeable = False
    return found


def run_pipeline(
    plan: Plan, arrays: Arrays, layer: NDArray[np.float64], hop_s: float, *, is_compiled: bool = True
) -> Timeline:
    """Run the schedule of a plan on its stages; ``layer`` (3, 10) and ``hop_s`` come from the step kernel [s]."""
    from simulator.training.kernels import pass_seconds

    kinds = kinds_of_layers(plan, arrays)
    found = execute(_order(plan, arrays), *pass_seconds(layer, *kinds), hop_s=hop_s, is_compiled=is_compiled)
    return dataclasses.replace(found, parts_s=_parts_of_passes(layer, *kinds))


def _parts_of_passes(
    layer: NDArray[np.float64],
    dense: NDArray[np.float64],
    with_experts: NDArray[np.float64],
    head: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What F, B and W of each stage consist of, (3, parts, stages) [s]; they sum to the seconds of the passes."""
    import numpy as np

    from simulator.training.kernels import stage_seconds
    from simulator.training.layers import kernels as of_layer

    columns_of = (
        (of_layer.FORWARD, of_layer.TENSOR_F, of_layer.CONTEXT_F, of_layer.EXCHANGE_F),
        (of_layer.INPUT, of_layer.TENSOR_F + 1, of_layer.CONTEXT_F + 1, of_layer.EXCHANGE_F + 1),
        (of_layer.WEIGHT,),
    )
    found = np.zeros((len(columns_of), len(PARTS), len(head)))
    for kind, parts in enumerate(columns_of):
        for part, column in enumerate(parts):
            found[kind, part] = stage_seconds(layer, dense, with_experts, head, column, column + 1)
    return found


def _order(plan: Plan, arrays: Arrays) -> Order:
    micro_batches = int(arrays.work[columns.BATCH]) // (plan.data * plan.micro_batch)
    return pipeline_order(plan.schedule, plan.pipeline, plan.virtual_stages, micro_batches)


def fill_executed(
    plan: Plan,
    arrays: Arrays,
    layer: NDArray[np.float64],
    parts: NDArray[np.float64],
    *,
    is_compiled: bool = True,
    is_split: bool = True,
) -> None:
    """Put an executed pipeline into ``parts`` (11,) in place of the estimated one [s]; the step kernel has filled both.

    Without ``is_split`` messages between ranks count as bubble, which takes half the time to find out.

    Raises
    ------
    InternalError : the order cannot be run to its end
    """
    from simulator.training import kernels

    fill: Any = kernels.fill_executed_fast if is_compiled else kernels.fill_executed
    order = _order(plan, arrays)
    links = (order.above, order.below, order.stage_of, order.is_sent, order.micro_batches)
    runs = order.micro_batches / (2 if plan.schedule == "dualpipe" else 1)
    fixed_s = 0.0 if plan.adapters else float(arrays.stack[columns.STEP_OVERHEAD])
    if not fill(order.passes, *links, kinds_of_layers(plan, arrays), runs, is_split, fixed_s, layer, parts):
        raise stuck(order)
