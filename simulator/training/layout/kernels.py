"""Which layers and parameters of a model lie on which rank; numbers only.

Arrays as in :mod:`simulator.training.rows.kernels`. The rules stand in ``docs/models/pipelines.md``.
"""

from __future__ import annotations

import math

from simulator.kernels import borrowing
from simulator.training.rows.kernels import (
    CONTEXT,
    DATA,
    DUALPIPE,
    EMBEDDING,
    EXPERT,
    EXPERT_PARAMETERS,
    EXPERT_TENSOR,
    FIRST_DENSE,
    FIRST_LAYERS,
    HIDDEN,
    LAST_LAYERS,
    MODEL_LAYERS,
    MOE_LAYERS,
    PIPELINE,
    SCHEDULE,
    SHARD_RANKS,
    SPLIT,
    TENSOR,
    V_HALF,
    V_MIN,
    VIRTUAL,
    VOCAB,
    WHOLE_PARAMETERS,
    ZB_V,
)

# how a schedule lays a model on the ranks of a pipeline
STRAIGHT, FOLDED, DOUBLE = range(3)  # once; there and back, so that the first rank has the last layers too; both ways


@borrowing
def pipeline_layout(counts, plan):
    """How the layers lie on the ranks of the pipeline, as numbers that :func:`layers_of_rank` takes.

    (ranks, layers of the first rank, of the others before the last, how many of those have one more, layers of the
    last, chunks of a rank; leading layers without experts, share with experts of the rest; STRAIGHT, FOLDED or DOUBLE).
    What the plan leaves open is as even as it goes: ranks in the middle get one more before the first does, the last,
    which has the logits, never. A first rank that has both ends gets one more after every chunk of the others did.
    """
    layers, pipeline, first, last = counts[MODEL_LAYERS], plan[PIPELINE], plan[FIRST_LAYERS], plan[LAST_LAYERS]
    schedule = plan[SCHEDULE]
    shape = STRAIGHT
    if pipeline > 1:
        if schedule in (ZB_V, V_HALF, V_MIN):
            shape = FOLDED
        elif schedule == DUALPIPE:
            shape = DOUBLE
    chunks = max(plan[VIRTUAL], 2.0) if shape == FOLDED else plan[VIRTUAL]
    others = pipeline - (first > 0) - (last > 0)
    left = layers - first - last
    is_open = first == 0
    if shape == FOLDED and is_open:
        each = math.floor(left / (chunks * others))
        first = chunks * each + (left - chunks * each * others > chunks * (others - 1))
        left, others, is_open = left - first, others - 1, False
    others = max(others, 1.0)
    each = math.floor(left / others)
    extra = left - each * others
    if is_open:
        first = layers if pipeline == 1 else each + (extra > pipeline - 2)
    if last == 0:
        last = each
    share = counts[MOE_LAYERS] / (layers - counts[FIRST_DENSE]) if counts[MOE_LAYERS] > 0 else 0.0
    return pipeline, first, each, extra, last, chunks, counts[FIRST_DENSE], share, shape


@borrowing
def first_chunk(layout, stage, own):
    """Layers of the first chunk of a rank that has ``own`` [1].

    Where they do not divide, late chunks get one more before early ones do, the chunk with the logits after all others.
    """
    chunks = layout[5]
    has_logits = stage == 0 if layout[8] == FOLDED else stage == layout[0] - 1
    return math.floor((own + (has_logits and chunks > 1)) / chunks) * 1.0


@borrowing
def layers_of_rank(layout, stage):
    """Layers of one stage of the pipeline, and how many of them hold experts [1]."""
    pipeline, first, each, extra, last, chunks, leading, share, _ = layout
    start, own = 0.0, first
    if stage > 0:
        longer = min(stage - 1.0, extra)
        start = first_chunk(layout, 0.0, first) + longer * math.floor((each + 1) / chunks)
        start += (stage - 1 - longer) * math.floor(each / chunks)
        own = last if stage == pipeline - 1 else each + (stage <= extra)
    dense = 0.0
    if start < leading:  # the first chunk of the rank begins before the first layer with experts
        dense = min(leading - start, first_chunk(layout, stage, own))
    return own, (own - dense) * share


@borrowing
def held_layers(layout, stage):
    """Layers that a rank of the pipeline holds, and how many with experts [1]: DualPipe keeps two stages on each."""
    layers, moe_layers = layers_of_rank(layout, stage)
    if layout[8] == DOUBLE:
        more, more_moe = layers_of_rank(layout, layout[0] - 1 - stage)
        return layers + more, moe_layers + more_moe
    return layers, moe_layers


@borrowing
def rank_layers(counts, plan, stage):
    """Layers that a rank of the pipeline holds, and how many of them with experts [1]."""
    return held_layers(pipeline_layout(counts, plan), stage)


@borrowing
def middle_of(layout):
    """A rank of the pipeline after the first, as early as leading layers without experts allow, that has none [1]."""
    pipeline, first, each, extra, _, chunks, leading, _, _ = layout
    stage, start = 1.0, first_chunk(layout, 0.0, first)
    while stage < pipeline - 1 and start < leading:
        start += math.floor((each + (stage <= extra)) / chunks)
        stage += 1
    return min(stage, pipeline - 1.0)


@borrowing
def expert_replicas(plan):
    """Ranks of a pipeline stage that hold the same experts."""
    return plan[TENSOR] * plan[CONTEXT] * plan[DATA] / (plan[EXPERT] * plan[EXPERT_TENSOR])


@borrowing
def shard_ranks(plan):
    """Ranks over which ZeRO splits what is dense, and experts [1]: fewer than hold the same where copies remain."""
    ranks = plan[CONTEXT] * plan[DATA]
    if plan[SHARD_RANKS] > 0:
        ranks = min(ranks, plan[SHARD_RANKS])
    return ranks, max(1.0, plan[TENSOR] * ranks / (plan[EXPERT] * plan[EXPERT_TENSOR]))


@borrowing
def layer_parameters(counts, plan):
    """Parameters of a mean layer on one chip before ZeRO [1]: (dense, experts of a layer that has them)."""
    experts = counts[EXPERT_PARAMETERS] / (plan[EXPERT] * plan[EXPERT_TENSOR])
    return counts[SPLIT] / plan[TENSOR] + counts[WHOLE_PARAMETERS], experts


@borrowing
def tables_of_rank(layout, table, tables, stage):
    """Parameters of the embedding and the output matrix on a rank of the pipeline [1]; each of ``table``.

    The first rank holds the embedding and the last the output matrix, a copy of the embedding where both are tied. One
    rank that has both (of ``tables``) keeps them once if tied.
    """
    pipeline, shape = layout[0], layout[8]
    is_first, is_last = stage == 0, stage == pipeline - 1
    if pipeline == 1 or shape == FOLDED:
        return tables if is_first else 0.0
    if not is_first and not is_last:
        return 0.0
    return 2 * table if shape == DOUBLE else table


@borrowing
def held_parameters(counts, plan):
    """Parameters of the fullest rank of the pipeline on one chip before ZeRO [1]: (dense, experts)."""
    layout = pipeline_layout(counts, plan)
    per_layer, per_expert_layer = layer_parameters(counts, plan)
    table, tables = counts[VOCAB] * counts[HIDDEN] / plan[TENSOR], counts[EMBEDDING] / plan[TENSOR]
    dense, experts = 0.0, 0.0
    for stage in (0.0, middle_of(layout), layout[0] - 1.0):
        layers, moe_layers = held_layers(layout, stage)
        held = layers * per_layer + tables_of_rank(layout, table, tables, stage)
        held_experts = moe_layers * per_expert_layer
        if held + held_experts > dense + experts:
            dense, experts = held, held_experts
    return dense, experts
