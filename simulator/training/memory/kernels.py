"""Memory of one chip under one plan; numbers only.

Arrays as in :mod:`simulator.training.rows.kernels`. :func:`fill_memory` weighs the first, the second and the last rank
of the pipeline, of which one is the fullest, and itemises that one. ``docs/models/memory.md`` has the equations.
"""

from __future__ import annotations

import math

from numba import njit
from numba.extending import register_jitable

from simulator.compute.kernels import CAPACITY, WIDTH
from simulator.training.rows.kernels import (
    ACTIVATIONS,
    ACTIVE,
    ADAPTERS,
    ALL_GATHERED,
    ATTENTION,
    ATTENTION_WIDTH,
    AVAILABLE,
    BATCH,
    BUFFERS,
    COLUMNS,
    CONTEXT,
    CONTEXT_MODE,
    COPIES,
    DATA,
    DENSE_LAYER,
    DUALPIPE,
    EMBEDDING,
    EVERY_LAYER,
    EXPERT,
    EXPERT_MATMUL,
    EXPERT_PARAMETERS,
    EXPERT_TENSOR,
    EXPERTS,
    FIRST_DENSE,
    FIRST_LAYERS,
    FULLY_SHARDED,
    GATHER_WIDTH,
    GATHERED,
    GPIPE,
    GRADIENTS,
    HEAD,
    HEADS,
    HIDDEN,
    KIND,
    KV_VALUES,
    LAST_LAYERS,
    LAYERS,
    LOGITS,
    LOSS,
    LOSS_CHUNKED,
    LOSS_PLAIN,
    MATMUL,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYER,
    MOE_LAYERS,
    NEEDED,
    OFFLOAD,
    OFFLOAD_ACTIVATIONS,
    OFFLOAD_BOTH,
    OFFLOAD_OPTIMIZER,
    ONE_F_ONE_B,
    PIPELINE,
    RECOMPUTE,
    RECOMPUTE_FULL,
    RECOMPUTE_LAYERS,
    RECOMPUTE_SELECTIVE,
    REDUCE_WIDTH,
    RESERVE,
    ROWS,
    SCHEDULE,
    SCOPE,
    SCORE_PASSES,
    SEQUENCE,
    SEQUENCE_PARALLEL,
    SHARD,
    SHARD_RANKS,
    SKEW,
    SPLIT,
    STAGE,
    STATE_WIDTH,
    STATES,
    TENSOR,
    TOP_K,
    TRAFFIC,
    ULYSSES,
    V_HALF,
    V_MIN,
    VIRTUAL,
    VOCAB,
    WEIGHTS,
    WHOLE,
    WHOLE_PARAMETERS,
    WHOLE_PROGRAM,
    WORKING,
    ZB_H2,
    ZB_V,
    ZERO,
    K,
    N,
)

GRADIENT_BYTES = 4.0  # main gradients are kept and reduced in float32
PARAMETER_BYTES = 2.0
MASTER_BYTES = 4.0  # the float32 copy of a parameter that is narrower itself
MOMENTS = 2.0  # Adam
QUANTISED_COPIES = 2.0  # of a weight, by rows for the forward pass and by columns for the backward pass
SCORE_BYTES = 5.0  # softmax, what dropout leaves of it, and a byte of its mask (arXiv 2205.05198, section 4.1)
MASK_BYTES = 2.0  # two dropout masks of a layer's residual stream, where scores are stored
FUSED_LOSS_BYTES = 6.0  # a logit in two bytes and its softmax, later gradient, in four
PRODUCT_LOSS_BYTES = 2.0  # a logit; its gradient is made inside the products that read it
PLAIN_LOSS_BYTES = 14.0  # a logit in two bytes, then in four, the logarithm of its softmax and the gradient of that
LOSS_CHUNKS = 8.0
IN_PLACE = 2.0  # layers that are on the chip at once: the one that computes and the one that comes or goes


@register_jitable
def stage_layers(counts, plan, stage):
    """Layers of a pipeline rank, and how many of them hold experts [1].

    What the plan leaves open is as even as it goes: ranks in the middle get one more before the first does, and the
    last, which has the logits, never. The layers before the first with experts are the first of the model.
    """
    layers, pipeline, first, last = counts[MODEL_LAYERS], plan[PIPELINE], plan[FIRST_LAYERS], plan[LAST_LAYERS]
    others = max(pipeline - (first > 0) - (last > 0), 1.0)
    each = math.floor((layers - first - last) / others)
    extra = layers - first - last - each * others
    start, own = 0.0, layers
    if pipeline > 1:
        opening = first if first > 0 else each + (extra > pipeline - 2)
        closing = last if last > 0 else each
        if stage == 0:
            own = opening
        else:
            start = opening + (stage - 1) * each + min(stage - 1.0, extra)
            own = closing if stage == pipeline - 1 else each + (stage <= extra)
    if counts[MOE_LAYERS] == 0:
        return own, 0.0
    chunks = max(plan[VIRTUAL], 2.0 if is_folded(plan) else 1.0)
    leading = counts[FIRST_DENSE]
    dense = min(max(leading - start / chunks, 0.0), own / chunks)
    return own, (own - dense) * counts[MOE_LAYERS] / (layers - leading)


@register_jitable
def middle_stage(counts, plan):
    """The first rank after the first of the pipeline whose layers all hold experts where the model has them [1]."""
    stage = 1.0
    if counts[MOE_LAYERS] > 0:
        while stage < plan[PIPELINE] - 2:
            layers, moe_layers = stage_layers(counts, plan, stage)
            if moe_layers * (counts[MODEL_LAYERS] - counts[FIRST_DENSE]) >= layers * counts[MOE_LAYERS]:
                break
            stage += 1
    return min(stage, plan[PIPELINE] - 1)


@register_jitable
def is_folded(plan):
    """Whether the last layers lie on the rank of the first: the schedules that go there and back (V)."""
    return plan[PIPELINE] > 1 and (plan[SCHEDULE] in (ZB_V, V_HALF, V_MIN))


@register_jitable
def in_flight(plan, micro_batches, stage):
    """Micro-batches whose activations a pipeline rank holds at the peak, in those of its layers [1].

    GPipe: all. 1F1B: p - i of rank i, interleaved (2 (p - i - 1) + (v - 1) p + 1) / v (Korthikanti et al., arXiv
    2205.05198, section 4.2.3). ZB-H1 p, ZB-H2 2 p - 1, ZB-V p (Qi et al., arXiv 2401.10241, sections 2 and 6), V-half
    p / 2 + 1, V-min (p + 4) / 3 (arXiv 2405.15362), DualPipe p + 1 (DeepSeek-V3, arXiv 2412.19437, table 2).
    """
    pipeline, virtual, schedule = plan[PIPELINE], plan[VIRTUAL], plan[SCHEDULE]
    if pipeline == 1:
        return 1.0
    if schedule == GPIPE:
        held = micro_batches
    elif schedule == ONE_F_ONE_B:
        held = pipeline - stage
        if virtual > 1:
            held = (2 * (pipeline - stage - 1) + (virtual - 1) * pipeline + 1) / virtual
    elif schedule == ZB_H2:
        held = 2 * pipeline - 1
    elif schedule == V_HALF:
        held = math.floor(pipeline / 2) + 1.0
    elif schedule == V_MIN:
        held = math.floor((pipeline + 4) / 3)
    elif schedule == DUALPIPE:
        held = pipeline + 1
    else:
        held = pipeline
    return min(held, micro_batches)


@register_jitable
def expert_replicas(plan):
    """Ranks of a pipeline stage that hold the same experts."""
    return plan[TENSOR] * plan[CONTEXT] * plan[DATA] / (plan[EXPERT] * plan[EXPERT_TENSOR])


@register_jitable
def shard_ranks(plan):
    """Ranks over which ZeRO splits what is dense, and experts [1]: fewer than hold the same where copies remain."""
    ranks = plan[CONTEXT] * plan[DATA]
    if plan[SHARD_RANKS] > 0:
        ranks = min(ranks, plan[SHARD_RANKS])
    return ranks, max(1.0, plan[TENSOR] * ranks / (plan[EXPERT] * plan[EXPERT_TENSOR]))


@register_jitable
def rank_layers(counts, plan, stage):
    """Layers that a pipeline rank holds, those with experts among them [1]; DualPipe keeps two ranks' on each."""
    layers, moe_layers = stage_layers(counts, plan, stage)
    if plan[PIPELINE] > 1 and plan[SCHEDULE] == DUALPIPE:
        more, more_moe = stage_layers(counts, plan, plan[PIPELINE] - 1 - stage)
        return layers + more, moe_layers + more_moe
    return layers, moe_layers


@register_jitable
def layer_parameters(counts, plan):
    """Parameters of a mean layer on one chip before ZeRO [1]: (dense, experts of a layer that has them)."""
    experts = counts[EXPERT_PARAMETERS] / (plan[EXPERT] * plan[EXPERT_TENSOR])
    return counts[SPLIT] / plan[TENSOR] + counts[WHOLE_PARAMETERS], experts


@register_jitable
def stage_parameters(counts, plan, stage):
    """Parameters of a pipeline rank on one chip before ZeRO [1]: (dense with its share of the embedding, experts).

    The first rank holds the embedding and the last the output matrix, a copy of the embedding where both are tied;
    where the pipeline turns back, the first holds both.
    """
    per_layer, per_expert_layer = layer_parameters(counts, plan)
    layers, moe_layers = rank_layers(counts, plan, stage)
    pipeline, table = plan[PIPELINE], counts[VOCAB] * counts[HIDDEN] / plan[TENSOR]
    is_first, is_last = stage == 0, stage == pipeline - 1
    if pipeline == 1 or is_folded(plan):
        tables = counts[EMBEDDING] / plan[TENSOR] if is_first else 0.0
    elif plan[SCHEDULE] == DUALPIPE:
        tables = 2 * table if is_first or is_last else 0.0
    else:
        tables = table if is_first or is_last else 0.0
    return layers * per_layer + tables, moe_layers * per_expert_layer


@register_jitable
def held_parameters(counts, plan):
    """Parameters of the fullest rank of the pipeline on one chip before ZeRO [1]: (dense, experts)."""
    dense, experts = stage_parameters(counts, plan, 0.0)
    for stage in (1.0, middle_stage(counts, plan), plan[PIPELINE] - 1.0):
        if 0 < stage < plan[PIPELINE]:
            other, other_experts = stage_parameters(counts, plan, stage)
            if other + other_experts > dense + experts:
                dense, experts = other, other_experts
    return dense, experts


@register_jitable
def layer_bytes(program, counts, work, chip, stack, plan):
    """What a layer keeps of one micro-batch for its backward pass, on one chip [B].

    Returns (a dense layer, one with experts, of either the stored scores; the widest operator of each with its
    gradient; logits; other activations of the head), experts as loaded as those of the busiest rank.

    Korthikanti et al. (arXiv 2205.05198), equation 1: inputs of products and norms, queries, keys and values, inputs of
    the activation function. An input of a product is stored in the product's own dtype; without sequence parallelism
    what lies between blocks is whole on every tensor rank.
    """
    tensor, hidden = plan[TENSOR], counts[HIDDEN]
    spread = tensor if plan[SEQUENCE_PARALLEL] == 1 else 1.0
    narrow = chip[WIDTH]
    full = max(PARAMETER_BYTES, narrow)
    attention = plan[ATTENTION_WIDTH] if plan[ATTENTION_WIDTH] < PARAMETER_BYTES else full
    every, dense, moe, scores, head, logits = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    wide_every, wide_dense, wide_moe = 0.0, 0.0, 0.0
    is_latent = False
    for i in range(program.shape[0]):
        kind, n, k, shard, scope = program[i, KIND], program[i, N], program[i, K], program[i, SHARD], program[i, SCOPE]
        active = program[i, ACTIVE]
        kept, wide = 0.0, 0.0
        if kind == TRAFFIC:
            if scope == EVERY_LAYER:  # n: twice the norms
                kept = hidden * (n / 2 * full + min(n / 2, 2.0) * narrow) / spread
        elif kind == ATTENTION:
            weight = program[i, LAYERS] / counts[MODEL_LAYERS]
            if is_latent:  # keys are put together from a latent part and a rotated one
                kept = weight * n / tensor * attention
            if stack[SCORE_PASSES] > 0:
                scores += weight * SCORE_BYTES * counts[HEADS] / tensor * work[SEQUENCE]
        elif kind == EXPERT_MATMUL:
            slots = active / tensor * work[SKEW]
            kept = slots * k * narrow
            if shard == COLUMNS:
                kept = slots * (k * plan[EXPERT_TENSOR] * narrow + n * full)
            wide = slots * (k + n) * full
        elif shard == WHOLE:
            kept = n / spread * full
            is_latent = is_latent or scope == EVERY_LAYER
        elif shard == COLUMNS:
            wide = (n + k) / tensor * full
            if scope == HEAD:
                kept = k / spread * (full + narrow)
                if n == counts[VOCAB]:
                    logits += n / tensor
                else:
                    kept += n / tensor * full
            else:
                kept = n / tensor * (attention if scope == EVERY_LAYER else full)
                if k != hidden:  # a normed latent; other inputs are the norm's own output, counted there
                    kept += k / spread * narrow
        elif shard == ROWS:
            wide = (n + k) / tensor * full
            kept = k / tensor * narrow
            if scope == EVERY_LAYER and narrow < full:  # attention keeps its output as it is, the product quantised
                kept += k / tensor * full
        if scope == EVERY_LAYER:
            every += kept
            wide_every = max(wide_every, wide)
        elif scope == DENSE_LAYER:
            dense += kept
            wide_dense = max(wide_dense, wide)
        elif scope == MOE_LAYER:
            moe += kept
            wide_moe = max(wide_moe, wide)
        else:
            head += kept
    if scores > 0:
        every += MASK_BYTES * hidden / spread
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    return (
        tokens * (every + dense),
        tokens * (every + moe),
        tokens * scores,
        tokens * max(wide_every, wide_dense),
        tokens * max(wide_every, wide_moe),
        tokens * logits,
        tokens * head,
    )


@register_jitable
def matrices(program, counts, plan):
    """Parameters that tensor ranks split, of a dense layer and of one with experts, over their mean; largest matrix.

    All on one chip before ZeRO [1]. The largest matrix is taken among those that lead back to the hidden size, since
    the two halves of a gated input are matrices of their own.
    """
    dense, moe, largest = 0.0, 0.0, 0.0
    for i in range(program.shape[0]):
        size = program[i, N] * program[i, K]
        if program[i, KIND] == MATMUL and program[i, SHARD] != WHOLE:
            size /= plan[TENSOR]
            if program[i, SCOPE] == DENSE_LAYER:
                dense += size
            elif program[i, SCOPE] == MOE_LAYER:
                moe += size
        elif program[i, KIND] == EXPERT_MATMUL:
            size *= counts[EXPERTS] / (plan[EXPERT] * plan[EXPERT_TENSOR])
        if program[i, SHARD] == ROWS and program[i, SCOPE] != HEAD:
            largest = max(largest, size)
    share = counts[MOE_LAYERS] / counts[MODEL_LAYERS]
    mean = share * moe + (1 - share) * dense
    return dense - mean, moe - mean, largest


@register_jitable
def buffer_bytes(counts, work, chip, plan):
    """Buffers of communication within a layer and between ranks of the pipeline [B].

    Sequence parallelism gathers a block's input and scatters its gradient; a ring of context ranks holds its own keys
    and values and a neighbour's, with gradients, an all-gather those of the whole sequence, Ulysses all that it turns
    round; tokens lie once in the order of experts and once as they are sent or come back.
    """
    tensor, full = plan[TENSOR], max(PARAMETER_BYTES, chip[WIDTH])
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    vector = tokens * counts[HIDDEN] * full
    spread = tensor if plan[SEQUENCE_PARALLEL] == 1 else 1.0
    total = 0.0
    if tensor > 1:
        total += 2 * vector if plan[SEQUENCE_PARALLEL] == 1 else vector
    if plan[CONTEXT] > 1:
        keys = tokens * counts[KV_VALUES] / counts[MODEL_LAYERS] / tensor * full
        if plan[CONTEXT_MODE] == ALL_GATHERED:
            total += 2 * keys * plan[CONTEXT]
        elif plan[CONTEXT_MODE] == ULYSSES:
            total += keys + 2 * vector / tensor
        else:
            total += 4 * keys
    if counts[MOE_LAYERS] > 0:
        copies = 2.0 if plan[EXPERT] * plan[EXPERT_TENSOR] > 1 else 1.0
        total += copies * vector / tensor * counts[TOP_K] * work[SKEW]
    if plan[PIPELINE] > 1:
        total += 2 * vector / spread
    return total


@register_jitable
def fill_states(sizes, counts, chip, stack, plan, stage, memory):
    """Weights, gradients and optimizer state of a pipeline rank into ``memory`` [B].

    ZeRO (Rajbhandari et al., SC20, section 5): the optimizer's state is split from stage 1, gradients from stage 2,
    parameters from stage 3, which then gathers the layer that computes and the next, and the output matrix, or matrix
    by matrix under a compiler that sees the whole step. Adapters train nothing of this.
    """
    dense, experts = stage_parameters(counts, plan, stage)
    layers, moe_layers = rank_layers(counts, plan, stage)
    of_dense, of_moe, matrix = sizes
    dense += (layers - moe_layers) * of_dense + moe_layers * of_moe
    ranks, expert_ranks = shard_ranks(plan)
    held = dense + experts
    owned = dense / ranks + experts / expert_ranks
    per_layer, per_expert_layer = layer_parameters(counts, plan)
    biggest = per_layer + of_dense if layers > moe_layers else 0.0
    if moe_layers > 0:
        biggest = max(biggest, per_layer + of_moe + per_expert_layer)
    table = counts[VOCAB] * counts[HIDDEN] / plan[TENSOR]
    narrow, gathered_width, reduced_width = chip[WIDTH], plan[GATHER_WIDTH], plan[REDUCE_WIDTH]
    width = max(PARAMETER_BYTES, narrow)
    master = MASTER_BYTES if narrow < MASTER_BYTES else 0.0
    reduced = (width + reduced_width) * max(biggest, table)
    gathered = IN_PLACE * biggest + table
    is_whole_program = stack[WHOLE_PROGRAM] == 1
    if is_whole_program:
        biggest, width, master = matrix, MASTER_BYTES, 0.0
        gathered, reduced = max(IN_PLACE * matrix, table), reduced_width * max(matrix, table)
        gathered_width = max(PARAMETER_BYTES, gathered_width)
    if plan[ZERO] >= FULLY_SHARDED:
        memory[WEIGHTS] = width * owned
        memory[GATHERED] = gathered_width * gathered
        copied = biggest if is_whole_program else IN_PLACE * biggest
    elif is_whole_program:
        memory[WEIGHTS] = width * held
        copied = biggest
    elif max(gathered_width, narrow) < PARAMETER_BYTES:  # kept as they are multiplied; gradients go to the master copy
        memory[WEIGHTS] = gathered_width * held
        copied = held / QUANTISED_COPIES
    else:
        memory[WEIGHTS] = width * held
        copied = held
    if narrow < PARAMETER_BYTES:
        memory[COPIES] = QUANTISED_COPIES * narrow * copied
    if plan[ADAPTERS] == 1:
        return
    if plan[ZERO] >= 2:
        memory[GRADIENTS] = reduced_width * owned
        memory[GATHERED] += reduced
    else:
        memory[GRADIENTS] = reduced_width * held
    if plan[OFFLOAD] not in (OFFLOAD_OPTIMIZER, OFFLOAD_BOTH):
        memory[STATES] = (master + MOMENTS * plan[STATE_WIDTH]) * (owned if plan[ZERO] >= 1 else held)


@register_jitable
def fill_activations(layer, counts, work, chip, stack, plan, stage, memory):
    """Activations, logits and what the running layer needs besides, of a pipeline rank, into ``memory`` [B].

    Full recompute keeps the input of a layer and makes the rest of one layer again; selective recompute makes the
    scores of one layer again. Offloading leaves two layers' activations on the chip. The running layer needs its
    widest operator's input and output gradients; the logits are gone by then.
    """
    dense, moe, scores, wide_dense, wide_moe, logits, head = layer
    layers, moe_layers = rank_layers(counts, plan, stage)
    if plan[PIPELINE] > 1 and plan[SCHEDULE] == DUALPIPE:  # a micro-batch is in flight on one half of them
        layers, moe_layers = layers / 2, moe_layers / 2
    biggest = max(moe if moe_layers > 0 else 0.0, dense if layers > moe_layers else 0.0)
    wide = max(wide_moe if moe_layers > 0 else 0.0, wide_dense if layers > moe_layers else 0.0)
    spread = plan[TENSOR] if plan[SEQUENCE_PARALLEL] == 1 else 1.0
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    entrance = tokens * counts[HIDDEN] * max(PARAMETER_BYTES, chip[WIDTH]) / spread
    kept = (layers - moe_layers) * dense + moe_layers * moe
    again = 0.0
    if plan[RECOMPUTE] == RECOMPUTE_FULL:
        share = 1.0
        if 0 < plan[RECOMPUTE_LAYERS] < layers:
            share = plan[RECOMPUTE_LAYERS] / layers
        kept = (1 - share) * (kept + layers * scores) + share * layers * entrance
        again = biggest + scores - entrance
    elif plan[RECOMPUTE] == RECOMPUTE_SELECTIVE:
        again = scores
    else:
        kept += layers * scores
    micro_batches = math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH]))
    kept_all = kept * in_flight(plan, micro_batches, stage)
    if plan[OFFLOAD] in (OFFLOAD_ACTIVATIONS, OFFLOAD_BOTH):
        kept_all = min(kept_all, IN_PLACE * kept / layers)
    has_head = stage == plan[PIPELINE] - 1
    if plan[PIPELINE] > 1:
        if is_folded(plan):
            has_head = stage == 0
        elif plan[SCHEDULE] == DUALPIPE:
            has_head = has_head or stage == 0
    if has_head:
        width = FUSED_LOSS_BYTES
        if stack[WHOLE_PROGRAM] == 1:
            width = PRODUCT_LOSS_BYTES
        elif stack[LOSS] == LOSS_PLAIN:
            width = PLAIN_LOSS_BYTES
        elif stack[LOSS] == LOSS_CHUNKED:
            width = FUSED_LOSS_BYTES / LOSS_CHUNKS
        waiting = micro_batches if plan[PIPELINE] > 1 and plan[SCHEDULE] == GPIPE else 1.0
        memory[LOGITS] = waiting * (width * logits + head)
    memory[ACTIVATIONS] = kept_all
    memory[WORKING] = again + max(wide - memory[LOGITS], 0.0)


@register_jitable
def fill_stage(layer, sizes, counts, work, chip, stack, plan, stage, memory):
    """Memory of a pipeline rank by part into ``memory`` (12,) [B]; returns what is needed."""
    memory[:] = 0.0
    fill_states(sizes, counts, chip, stack, plan, stage, memory)
    fill_activations(layer, counts, work, chip, stack, plan, stage, memory)
    memory[BUFFERS] = buffer_bytes(counts, work, chip, plan)
    for i in range(NEEDED):
        memory[NEEDED] += memory[i]
    memory[AVAILABLE] = chip[CAPACITY] * (1 - stack[RESERVE])
    memory[STAGE] = stage
    return memory[NEEDED]


@register_jitable
def fill_memory(program, counts, work, chip, stack, plan, memory):
    """Memory of the fullest rank of the pipeline by part into ``memory`` (12,) [B]; returns what is needed.

    The fullest is the first (most micro-batches in flight, embedding), the second or the first without leading dense
    layers (as many layers or more, but no embedding and fewer micro-batches), or the last (logits).
    """
    layer = layer_bytes(program, counts, work, chip, stack, plan)
    sizes = matrices(program, counts, plan)
    last, middle = plan[PIPELINE] - 1.0, middle_stage(counts, plan)
    fullest, most = 0.0, fill_stage(layer, sizes, counts, work, chip, stack, plan, 0.0, memory)
    for stage in (1.0, middle, last):
        if stage > last or stage == memory[STAGE]:
            continue
        needed = fill_stage(layer, sizes, counts, work, chip, stack, plan, stage, memory)
        if needed > most:
            fullest, most = stage, needed
    if fullest != memory[STAGE]:
        fill_stage(layer, sizes, counts, work, chip, stack, plan, fullest, memory)
    return most


fill_memory_fast = njit(cache=True)(fill_memory)
