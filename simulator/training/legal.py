"""Which plans are legal: what divides what. :mod:`simulator.training.candidates` lists the same plans."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.training.schedules.legal import V_SHAPED, check_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.machine import Chip, Dtype
    from simulator.plan import Plan, VirtualStages
    from simulator.program import Program

ENDS = 2
"""Chunks that may hold no layer where ranks have several: that of the embedding and that of the logits."""
FROM_ZERO = ("zero", "shard", "first_layers", "last_layers", "recompute_layers")
"""Counts of a plan that may be 0."""
MOST_ZERO = 3
NEAR = 2
"""How many legal values are named on either side of an illegal one."""


def check_plan(plan: Plan, program: Program, chip: Chip, chips: int, *, sequence: int, batch: int) -> None:
    """Refuse a plan that does not divide what it spreads.

    Parameters
    ----------
    plan, program : how what is spread
    chip, chips : of the slice; the plan uses at most so many [1]
    sequence, batch : tokens of a sequence, sequences of a step [1]

    Raises
    ------
    InputError : names the field, its value and the legal values nearby
    """
    _check_counts(plan)
    if plan.chips > chips:
        remedy = f"make tensor x context x pipeline x data at most {chips}"
        raise InputError(f"plan {plan} uses {plan.chips} chips, the slice has {chips}", remedy=remedy)
    _check_dtypes(plan, chip)
    _check_layers(plan, program, sequence)
    check_stages(plan, program.layers)
    _check_experts(plan, program)
    ranks = plan.context * plan.data
    if plan.shard and (plan.zero == 0 or ranks % plan.shard):
        message = f"copies of {plan.shard} ranks do not divide {ranks} context x data ranks under ZeRO-{plan.zero}"
        raise InputError(message, where="plan.shard", remedy=_nearest(plan.shard, ranks, lambda n: ranks % n == 0))
    each = batch // plan.data
    if batch % plan.data:
        message = f"{plan.data} data ranks do not divide a batch of {batch} sequences"
        raise InputError(message, where="plan.data", remedy=_nearest(plan.data, batch, lambda n: batch % n == 0))
    if each % plan.micro_batch:
        message = f"micro-batches of {plan.micro_batch} do not divide the {each} sequences of a data rank"
        remedy = _nearest(plan.micro_batch, each, lambda n: each % n == 0)
        raise InputError(message, where="plan.micro_batch", remedy=remedy)
    if plan.pipeline > 1:
        check_schedule(plan.schedule, plan.pipeline, plan.virtual_stages, each // plan.micro_batch)


def fills_stages(layers: int, pipeline: int, virtual_stages: int) -> bool:
    """Whether every chunk of every rank has a layer, or the embedding or logits where ranks have several chunks."""
    return pipeline * virtual_stages <= layers + (ENDS if virtual_stages > 1 else 0)


def has_stages(how: VirtualStages, layers: int, pipeline: int, virtual_stages: int) -> bool:
    """Whether software with such virtual stages runs a legal number of them."""
    if virtual_stages == 1 or how == "uneven":
        return fills_stages(layers, pipeline, virtual_stages)
    return how == "even" and layers % (pipeline * virtual_stages) == 0


def context_parts(mode: str, context: int) -> int:
    """Into how many pieces context ranks cut a sequence: two each, so that causal work is even, or one each."""
    return 2 * context if mode != "ulysses" and context > 1 else context


def _check_counts(plan: Plan) -> None:
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        least = 0 if field.name in FROM_ZERO else 1
        is_count = isinstance(field.default, int) and not isinstance(field.default, bool)
        if is_count and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise InputError(f"{value!r} is no count", where=f"plan.{field.name}", remedy=f"{least} or more")
    if plan.zero > MOST_ZERO:
        raise InputError(f"there is no ZeRO stage {plan.zero}", where="plan.zero", remedy="one of 0, 1, 2, 3")


def _check_dtypes(plan: Plan, chip: Chip) -> None:
    for name in ("dtype", "attention_dtype"):
        wanted: Dtype = getattr(plan, name)
        if wanted not in chip.peak:
            remedy = f"it has {', '.join(chip.peak)}"
            raise InputError(f"{chip.name} has no {wanted}", where=f"plan.{name}", remedy=remedy)


def _check_layers(plan: Plan, program: Program, sequence: int) -> None:
    heads = program.model.heads
    if heads % plan.tensor:
        message = f"{plan.tensor} tensor ranks do not divide {heads} attention heads"
        raise InputError(message, where="plan.tensor", remedy=_nearest(plan.tensor, heads, lambda n: heads % n == 0))
    parts = context_parts(plan.context_mode, plan.context)
    if sequence % parts:
        message = f"{plan.context} context ranks ({parts} pieces) do not divide a sequence of {sequence} tokens"
        remedy = _nearest(plan.context, sequence, lambda n: sequence % context_parts(plan.context_mode, n) == 0)
        raise InputError(message, where="plan.context", remedy=remedy)
    own = heads // plan.tensor
    if plan.context_mode == "ulysses" and own % plan.context:
        message = f"{plan.context} context ranks do not divide the {own} heads of a tensor rank, as ulysses has to"
        raise InputError(message, where="plan.context", remedy=_nearest(plan.context, own, lambda n: own % n == 0))


def check_stages(plan: Plan, layers: int) -> None:
    """Refuse pipeline ranks and virtual stages that layers do not fill.

    Raises
    ------
    InputError : names the field, its value and the legal values nearby
    """
    pipeline, virtual = plan.pipeline, plan.virtual_stages
    if pipeline == 1 and (virtual > 1 or plan.first_layers or plan.last_layers):
        name = "virtual_stages" if virtual > 1 else "first_layers" if plan.first_layers else "last_layers"
        raise InputError(
            f"{getattr(plan, name)} without a pipeline of at least 2 ranks",
            where=f"plan.{name}",
            remedy=f"try {1 if virtual > 1 else 0}, or pipeline = 2",
        )
    if pipeline > layers:
        message = f"{pipeline} pipeline ranks have {layers} layers"
        raise InputError(message, where="plan.pipeline", remedy=_nearest(pipeline, layers, lambda n: n <= layers))
    given = plan.first_layers + plan.last_layers
    others = pipeline - (plan.first_layers > 0) - (plan.last_layers > 0)
    if given and (layers - given < others or (others == 0 and given != layers)):
        message = f"{plan.first_layers} and {plan.last_layers} layers at the ends leave {layers - given} for the others"
        remedy = f"together {layers}" if others == 0 else f"together at most {layers - others}"
        raise InputError(message, where="plan.first_layers", remedy=remedy)
    if virtual > 1 and not _fills_chunks(plan, layers, virtual):
        message = f"{virtual} virtual stages x {pipeline} pipeline ranks leave a stage without any of {layers} layers"
        if plan.schedule in V_SHAPED:
            remedy = _nearest(pipeline, layers, lambda n: fills_stages(layers, n, virtual))
            raise InputError(message, where="plan.pipeline", remedy=remedy)
        remedy = _nearest(virtual, layers, lambda n: _fills_chunks(plan, layers, n))
        raise InputError(message, where="plan.virtual_stages", remedy=remedy)
    if plan.recompute_layers > layers:
        raise InputError(
            f"{plan.recompute_layers} of {layers} layers are recomputed",
            where="plan.recompute_layers",
            remedy=f"at most {layers}",
        )


def _fills_chunks(plan: Plan, layers: int, virtual_stages: int) -> bool:
    """:func:`fills_stages` of a plan that may say how many layers the first and the last rank have."""
    if not plan.first_layers and not plan.last_layers:
        return fills_stages(layers, plan.pipeline, virtual_stages)
    others = plan.pipeline - (plan.first_layers > 0) - (plan.last_layers > 0)
    ends = (plan.first_layers, plan.last_layers)
    least = virtual_stages - 1  # the embedding or the logits fill the other
    if any(0 < own < least for own in ends):
        return False
    return others == 0 or layers - sum(ends) >= others * virtual_stages


def _check_experts(plan: Plan, program: Program) -> None:
    experts = program.model.experts
    count, width = (experts.count, experts.ffn) if experts else (1, 1)
    if count % plan.expert:
        message = f"{plan.expert} expert ranks do not divide {count} experts" if experts else "the model has no experts"
        raise InputError(message, where="plan.expert", remedy=_nearest(plan.expert, count, lambda n: count % n == 0))
    if width % plan.expert_tensor:
        message = f"{plan.expert_tensor} ranks do not divide an expert of width {width}"
        message = message if experts else "the model has no experts"
        remedy = _nearest(plan.expert_tensor, width, lambda n: width % n == 0)
        raise InputError(message, where="plan.expert_tensor", remedy=remedy)
    ranks = plan.tensor * plan.context * plan.data
    split = plan.expert_tensor
    if ranks % (plan.expert * split):
        message = f"{plan.expert} x {split} ranks of experts do not divide {ranks} tensor x context x data ranks"
        remedy = _nearest(plan.expert, count, lambda n: count % n == 0 and ranks % (n * split) == 0)
        raise InputError(message, where="plan.expert", remedy=remedy)


def _nearest(value: int, most: int, is_legal: Callable[[int], bool]) -> str:
    """The legal values on both sides of one that is not, up to ``most``."""
    below = [n for n in range(min(value - 1, most), 0, -1) if is_legal(n)][:NEAR]
    above = [n for n in range(value + 1, most + 1) if is_legal(n)][:NEAR]
    found = [*reversed(below), *above]
    return f"try {' or '.join(str(n) for n in found)}" if found else "nothing else fits; change another degree"
