"""Memory of one chip under one plan; numbers only.

Arrays as in :mod:`simulator.training.rows.kernels`. :func:`fill_memory` weighs the first, the second and the last rank
of the pipeline, of which one is the fullest, and itemises that one. ``docs/models/memory.md`` has the equations.
"""

from __future__ import annotations

import math

from numba import njit

from simulator.compute.kernels import CAPACITY, WIDTH
from simulator.kernels import borrowing
from simulator.training.layout.kernels import (
    DOUBLE,
    FOLDED,
    held_layers,
    layer_parameters,
    middle_of,
    pipeline_layout,
    shard_ranks,
    tables_of_rank,
)
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
    EXPERT_TENSOR,
    EXPERTS,
    FULLY_SHARDED,
    GATHER_WIDTH,
    GATHERED,
    GPIPE,
    GRADIENTS,
    GRADIENTS_SPLIT,
    HEAD,
    HEADS,
    HIDDEN,
    KEEPS_MASTER,
    KIND,
    KV_VALUES,
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
    SKEW,
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
    WHOLE_PROGRAM,
    WORKING,
    ZB_H2,
    ZERO,
    K,
    N,
)

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


@borrowing
def in_flight(schedule, pipeline, virtual, micro_batches, stage, layers):
    """Micro-batches whose activations a rank of the pipeline holds at the peak, in those of its layers [1].

    GPipe: all. 1F1B: p - i of rank i, interleaved (2 (p - i - 1) + (v - 1) p + 1) / v (Korthikanti et al., arXiv
    2205.05198, section 4.2.3): p and, of one chunk, p - 2 i - 1 more, which is the first of its ``layers``, or fewer,
    which is the last. ZB-H1 p, ZB-H2 2 p - 1, ZB-V p (Qi et al., arXiv 2401.10241, sections 2 and 6), V-half
    p / 2 + 1, V-min (p + 4) / 3 (arXiv 2405.15362), DualPipe p + 1 (DeepSeek-V3, arXiv 2412.19437, table 2). They are
    what the order tables of :mod:`simulator.training.schedules` hold when they are run.
    """
    held = pipeline * 1.0
    if pipeline == 1:
        return 1.0
    if schedule == GPIPE:
        held = micro_batches * 1.0
    elif schedule == ONE_F_ONE_B:
        if virtual == 1:
            held -= stage
        else:
            held = (2 * (pipeline - stage - 1) + (virtual - 1) * pipeline + 1) / virtual
            more = pipeline - 2 * stage - 1
            is_short = more > 0 or stage == pipeline - 1  # the first chunk, and that with the logits
            chunk = math.floor(layers / virtual) if is_short else math.ceil(layers / virtual)
            held += more * (chunk / max(layers, 1.0) - 1 / virtual)
    elif schedule == ZB_H2:
        held = 2.0 * pipeline - 1
    elif schedule == V_HALF:
        held = math.floor(pipeline / 2) + 1.0
    elif schedule == V_MIN:
        held = math.floor((pipeline + 4) / 3) * 1.0
    elif schedule == DUALPIPE:
        held = pipeline + 1.0
    return min(held, micro_batches)


@borrowing
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


@borrowing
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


@borrowing
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


@borrowing
def state_widths(chip, stack, plan):
    """Bytes of each parameter by where it lies [B].

    (of a held one: weight, quantised copy, gradient, optimizer state; of one that ZeRO leaves to this rank: weight,
    gradient, optimizer state; of a gathered one: weight, quantised copy, gradient). ZeRO (Rajbhandari et al., SC20,
    section 5) splits the optimizer's state from stage 1, gradients from stage 2, parameters from stage 3; a pipeline
    adds up the gradients of its micro-batches before stage 2 splits them. Adapters train nothing of this.
    """
    narrow, gather, reduce, zero = chip[WIDTH], plan[GATHER_WIDTH], plan[REDUCE_WIDTH], plan[ZERO]
    is_whole_program = stack[WHOLE_PROGRAM] == 1
    width = max(PARAMETER_BYTES, narrow)
    master, moment = MASTER_BYTES if narrow < MASTER_BYTES else 0.0, plan[STATE_WIDTH]
    if stack[KEEPS_MASTER] == 0:  # the optimizer works on parameters as they are, with moments of their width
        master, moment = 0.0, width
    copies = QUANTISED_COPIES * narrow if narrow < PARAMETER_BYTES else 0.0
    gradient = reduce + width  # as it is made, and as it is reduced
    if is_whole_program:
        width, master, copies, gradient = MASTER_BYTES, 0.0, copies / QUANTISED_COPIES, reduce
        gather = max(PARAMETER_BYTES, gather)
    weight, weight_copies, owned_weight, fetched, fetched_copies = width, copies, 0.0, 0.0, 0.0
    if is_whole_program:  # narrowed where it is used
        weight_copies, fetched_copies = 0.0, copies
    elif gather < PARAMETER_BYTES and copies > 0:  # kept as it is multiplied; the master copy is the only wider one
        weight, weight_copies = gather, copies / QUANTISED_COPIES
    if zero >= FULLY_SHARDED:
        owned_weight, fetched, fetched_copies = weight, gather, max(weight_copies, fetched_copies)
        weight, weight_copies = 0.0, 0.0
    is_split = zero >= FULLY_SHARDED or (zero == GRADIENTS_SPLIT and plan[PIPELINE] == 1)
    state = master + MOMENTS * moment
    if plan[OFFLOAD] == OFFLOAD_OPTIMIZER or plan[OFFLOAD] == OFFLOAD_BOTH:
        state = 0.0
    if plan[ADAPTERS] == 1:
        reduce, state, gradient = 0.0, 0.0, 0.0
    return (
        weight,
        weight_copies,
        0.0 if is_split else reduce,
        state if zero < 1 else 0.0,
        owned_weight,
        reduce if is_split else 0.0,
        state if zero >= 1 else 0.0,
        fetched,
        fetched_copies,
        gradient if is_split else 0.0,
    )


@borrowing
def rank_states(layout, widths, model, sizes, layers, moe_layers, stage):
    """Weights, quantised copies, gathered layers, gradients and optimizer state of a rank of the pipeline [B].

    ``model``: parameters of a layer, of its experts, of a table, of both, shares of the dense ones and of experts that
    ZeRO leaves to a rank, whether a compiler sees the whole step. What is gathered is the layer that computes, the next
    and the output matrix, or matrix by matrix.
    """
    weight, copies, gradient, state, owned_weight, owned_gradient, owned_state, fetched, fetched_copies, made = widths
    per_layer, per_expert_layer, table, tables, own_share, own_expert_share, is_whole_program = model
    of_dense, of_moe, matrix = sizes
    dense_layers = layers - moe_layers
    dense = layers * per_layer + dense_layers * of_dense + moe_layers * of_moe
    dense += tables_of_rank(layout, table, tables, stage)
    experts = moe_layers * per_expert_layer
    held, owned = dense + experts, dense * own_share + experts * own_expert_share
    biggest = max(
        per_layer + of_dense if dense_layers > 0 else 0.0,
        per_layer + of_moe + per_expert_layer if moe_layers > 0 else 0.0,
    )
    gathered = IN_PLACE * biggest + table
    if is_whole_program:
        biggest, gathered = matrix / IN_PLACE, max(IN_PLACE * matrix, table)
    return (
        weight * held + owned_weight * owned,
        copies * held + fetched_copies * IN_PLACE * biggest,
        fetched * gathered + made * max(IN_PLACE * biggest if is_whole_program else biggest, table),
        gradient * held + owned_gradient * owned,
        state * held + owned_state * owned,
    )


@borrowing
def rank_activations(layout, layer, choice, layers, moe_layers, stage):
    """Activations, what the running layer needs besides, and logits of a rank of the pipeline [B].

    ``choice``: recomputed layers or -1 for those of the rank, whether all of a layer or its scores are recomputed,
    whether activations are offloaded, the input of a layer [B], schedule, virtual stages, micro-batches, bytes of a
    logit. Full recompute keeps the input of a layer and makes the rest of one layer again; selective recompute makes
    the scores of one layer again. Offloading leaves two layers' activations on the chip. The running layer needs its
    widest operator's input and output gradients; the logits are gone by then.
    """
    dense, moe, scores, wide_dense, wide_moe, logits, head = layer
    recomputed, is_full, is_selective, is_offloaded, entrance, schedule, virtual, micro_batches, logit_bytes = choice
    pipeline, shape = layout[0], layout[8]
    if shape == DOUBLE:  # a micro-batch is in flight on one half of them
        layers, moe_layers = layers / 2, moe_layers / 2
    dense_layers = layers - moe_layers
    kept, again = dense_layers * dense + moe_layers * moe, 0.0
    biggest = max(dense if dense_layers > 0 else 0.0, moe if moe_layers > 0 else 0.0)
    wide = max(wide_dense if dense_layers > 0 else 0.0, wide_moe if moe_layers > 0 else 0.0)
    if is_full:
        share = recomputed / layers if 0 < recomputed < layers else 1.0
        kept = (1 - share) * (kept + layers * scores) + share * layers * entrance
        again = biggest + scores - entrance
    elif is_selective:
        again = scores
    else:
        kept += layers * scores
    held = kept * in_flight(schedule, pipeline, virtual, micro_batches, stage, layers)
    if is_offloaded and layers > 0:
        held = min(held, IN_PLACE * kept / layers)
    has_head = stage == 0 if shape == FOLDED else stage == pipeline - 1
    if shape == DOUBLE:
        has_head = has_head or stage == 0
    waiting = micro_batches if pipeline > 1 and schedule == GPIPE else 1.0
    head_bytes = waiting * (logit_bytes * logits + head) if has_head else 0.0
    return held, again + max(wide - head_bytes, 0.0), head_bytes


@borrowing
def fill_memory(program, counts, work, chip, stack, plan, memory):
    """Memory of the fullest rank of the pipeline by part into ``memory`` (12,) [B]; returns what is needed.

    The fullest is the first (most micro-batches in flight, embedding), the next without leading dense layers (as many
    layers or more, but no embedding and fewer micro-batches), or the last (logits).
    """
    layer = layer_bytes(program, counts, work, chip, stack, plan)
    sizes = matrices(program, counts, plan)
    layout = pipeline_layout(counts, plan)
    widths = state_widths(chip, stack, plan)
    per_layer, per_expert_layer = layer_parameters(counts, plan)
    ranks, expert_ranks = shard_ranks(plan)
    tensor, pipeline, full = plan[TENSOR], plan[PIPELINE], max(PARAMETER_BYTES, chip[WIDTH])
    table, tables = counts[VOCAB] * counts[HIDDEN] / tensor, counts[EMBEDDING] / tensor
    is_whole_program = stack[WHOLE_PROGRAM] == 1
    model = (per_layer, per_expert_layer, table, tables, 1 / ranks, 1 / expert_ranks, is_whole_program)
    entrance = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT] * counts[HIDDEN] * full
    if plan[SEQUENCE_PARALLEL] == 1:
        entrance /= tensor
    logit_bytes = FUSED_LOSS_BYTES
    if is_whole_program:
        logit_bytes = PRODUCT_LOSS_BYTES
    elif stack[LOSS] == LOSS_PLAIN:
        logit_bytes = PLAIN_LOSS_BYTES
    elif stack[LOSS] == LOSS_CHUNKED:
        logit_bytes = FUSED_LOSS_BYTES / LOSS_CHUNKS
    choice = (
        plan[RECOMPUTE_LAYERS],
        plan[RECOMPUTE] == RECOMPUTE_FULL,
        plan[RECOMPUTE] == RECOMPUTE_SELECTIVE,
        plan[OFFLOAD] == OFFLOAD_ACTIVATIONS or plan[OFFLOAD] == OFFLOAD_BOTH,
        entrance,
        plan[SCHEDULE],
        plan[VIRTUAL],
        math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH])) * 1.0,
        logit_bytes,
    )
    buffers = buffer_bytes(counts, work, chip, plan)
    most, last = -1.0, -1.0
    for stage in (0.0, middle_of(layout), pipeline - 1.0):
        if stage == last:
            continue
        last = stage
        layers, moe_layers = held_layers(layout, stage)
        states = rank_states(layout, widths, model, sizes, layers, moe_layers, stage)
        weights, copies, gathered, gradients, optimizer = states
        activations, working, logits = rank_activations(layout, layer, choice, layers, moe_layers, stage)
        needed = weights + copies + gathered + gradients + optimizer + activations + working + logits + buffers
        if needed > most:
            most = needed
            memory[WEIGHTS], memory[COPIES], memory[GATHERED] = weights, copies, gathered
            memory[GRADIENTS], memory[STATES], memory[ACTIVATIONS] = gradients, optimizer, activations
            memory[WORKING], memory[LOGITS], memory[STAGE] = working, logits, stage
    memory[BUFFERS], memory[NEEDED] = buffers, most
    memory[AVAILABLE] = chip[CAPACITY] * (1 - stack[RESERVE])
    return most


fill_memory_fast = njit(cache=True)(fill_memory)
