"""Time of one layer of each kind for one micro-batch under one plan; numbers only.

Arrays as in :mod:`simulator.training.rows.kernels`. ``layer`` (3, 10) holds for a dense layer, one with experts and
the logits [s]: compute of the FORWARD pass and of the gradients of INPUT and WEIGHT, each with what it slows down by
communication beside it, and what shows of the communication of tensor, context and expert ranks, forward (.._F) and
backward (.._B); HIDDEN_COMM is all communication that compute hides.
"""

from __future__ import annotations

import math

from simulator.collectives.exchange.kernels import (
    exchange_seconds,
)
from simulator.collectives.kernels import (
    ALL_GATHER,
    ALL_REDUCE,
    ALL_TO_ALL,
    REDUCE_SCATTER,
    cheapest,
)
from simulator.collectives.rows.kernels import (
    subgroup,
)
from simulator.compute.kernels import (
    ACTIVATION_BYTES,
    CHIP_COLUMNS,
    HBM,
    HOST,
    WIDTH,
    attention_backward_seconds,
    attention_forward_seconds,
    attention_seconds,
    causal_context,
    grouped_seconds,
    matmul_seconds,
    quantise_seconds,
    traffic_seconds,
)
from simulator.kernels import borrowing
from simulator.training.memory.kernels import (
    layer_bytes,
)
from simulator.training.rows.kernels import (
    ACTIVE,
    ADAPTERS,
    ATTENTION,
    ATTENTION_FACTOR,
    COLLECTIVE_LAUNCH,
    COLUMNS,
    CONTENTION,
    CONTEXT,
    CONTEXT_EXPOSED,
    CONTEXT_MODE,
    CONTEXT_SCORE_PASSES,
    DENSE_LAYER,
    EVERY_LAYER,
    EXPERT,
    EXPERT_CASTS,
    EXPERT_EXPOSED,
    EXPERT_FACTOR,
    EXPERT_LAUNCH,
    EXPERT_MATMUL,
    EXPERT_PADDING,
    EXPERT_TENSOR,
    EXPERT_TRAFFIC,
    EXPERTS,
    HEAD,
    HEADS,
    HIDDEN,
    KIND,
    KV_VALUES,
    LAUNCH,
    LAYERS,
    LOOKED_UP,
    MATMUL,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYER,
    MOE_LAYERS,
    OFFLOAD,
    OFFLOAD_ACTIVATIONS,
    OFFLOAD_BOTH,
    OVERLAP_EXPERT,
    OVERLAP_TENSOR,
    PARALLEL,
    PIPELINE,
    RECOMPUTE,
    RECOMPUTE_FULL,
    RECOMPUTE_LAYERS,
    RECOMPUTE_SELECTIVE,
    ROUTING,
    ROWS,
    SCOPE,
    SCORE_PASSES,
    SEQUENCE,
    SEQUENCE_PARALLEL,
    SHARD,
    SHARED,
    SKEW,
    STOPS_EARLY,
    TENSOR,
    TENSOR_EXPOSED,
    TOP_K,
    TRAFFIC,
    TRAFFIC_FACTOR,
    ULYSSES,
    WHOLE,
    WINDOW,
    K,
    N,
)

FORWARD, INPUT, WEIGHT, TENSOR_F, TENSOR_B, CONTEXT_F, CONTEXT_B, EXCHANGE_F, EXCHANGE_B, HIDDEN_COMM = range(10)
DENSE_KIND, MOE_KIND, HEAD_KIND = range(3)
KINDS, LAYER_COLUMNS = 3, 10

UNFUSED_BACKWARD = 2.0


@borrowing
def group_seconds(kind, size_bytes, levels, stride, size, scratch, launch_s):
    """Cheapest collective of a group of ``size`` ranks, ``stride`` apart [s]; infinite where it cannot be laid out."""
    if size <= 1:
        return 0.0
    rows = subgroup(levels, stride, size, scratch)
    if rows < 0:
        return math.inf
    return launch_s + cheapest(kind, size_bytes, scratch[:rows])[1]


@borrowing
def exposed(seconds, share, behind):
    """What shows of a communication: its share that never hides, or all that is longer than what it hides behind."""
    return max(share * seconds, seconds - behind)


@borrowing
def recomputed_share(counts, plan):
    """Share of the layers of a mean pipeline rank that run forward again before they run backward [1]."""
    if plan[RECOMPUTE] != RECOMPUTE_FULL:
        return 0.0
    layers = plan[RECOMPUTE_LAYERS] * plan[PIPELINE]
    return min(1.0, layers / counts[MODEL_LAYERS]) if layers > 0 else 1.0


@borrowing
def operator(row, tokens, work, chip, counts, plan, stack):
    """One operator of one layer for one micro-batch: forward, gradient of its input, of its weight [s]."""
    tensor = plan[TENSOR]
    if row[KIND] == TRAFFIC:
        spread = tensor if plan[SEQUENCE_PARALLEL] == 1 else 1.0
        moved = 2 * counts[HIDDEN] * (row[N] / spread + row[K] / tensor) * tokens * row[ACTIVE]
        factor = stack[EXPERT_TRAFFIC] if row[SCOPE] == MOE_LAYER else stack[TRAFFIC_FACTOR]
        seconds = traffic_seconds(moved * factor, chip)
        seconds += stack[ROUTING] * row[LOOKED_UP] * tokens / tensor * plan[EXPERT_TENSOR]
        return seconds, 2 * seconds, 0.0
    if row[KIND] == ATTENTION:
        context = causal_context(work[SEQUENCE], row[WINDOW])
        passes = stack[SCORE_PASSES] if plan[CONTEXT] == 1 else stack[CONTEXT_SCORE_PASSES]
        if passes > 0:  # scores are made, masked and stored whole
            context = work[SEQUENCE]
            seconds = attention_seconds(tokens, context, row[N] / tensor, row[K] / tensor, chip)
            moved = 2 * counts[HEADS] / tensor * tokens * context * passes
            seconds += moved / chip[HBM]
            return seconds, UNFUSED_BACKWARD * seconds, 0.0
        score, value = row[N] / counts[HEADS], row[K] / counts[HEADS]
        heads = counts[HEADS] / tensor
        width = counts[KV_VALUES] / counts[MODEL_LAYERS] / tensor
        batch = plan[MICRO_BATCH]
        forward = attention_forward_seconds(batch, tokens / batch, context, heads, score, value, width, chip)
        backward = attention_backward_seconds(batch, tokens / batch, context, heads, score, value, width, chip)
        return forward / stack[ATTENTION_FACTOR], backward / stack[ATTENTION_FACTOR], 0.0
    if row[KIND] == EXPERT_MATMUL:
        split = plan[EXPERT_TENSOR]
        local = counts[EXPERTS] / plan[EXPERT]
        m = tokens / tensor * split * row[ACTIVE] / local * work[SKEW]  # the busiest rank, on which the others wait
        n = row[N] / split if row[SHARD] == COLUMNS else row[N]
        k = row[K] / split if row[SHARD] == ROWS else row[K]
        padded = m + stack[EXPERT_PADDING]
        slower, launch = 1 / stack[EXPERT_FACTOR], local * stack[EXPERT_LAUNCH]
        forward = slower * grouped_seconds(local, padded, n, k, chip) + launch
        to_input = slower * grouped_seconds(local, padded, k, n, chip) + launch
        forward += stack[EXPERT_CASTS] * quantise_seconds(local * m * k, chip)
        to_input += stack[EXPERT_CASTS] * quantise_seconds(local * m * n, chip)
        return forward, to_input, slower * grouped_seconds(local, k, n, padded, chip) + launch
    n = row[N] / tensor if row[SHARD] == COLUMNS else row[N]
    k = row[K] / tensor if row[SHARD] == ROWS else row[K]
    # under sequence parallelism an operator that tensor parallelism does not split works on its own tokens only
    m = tokens / tensor if row[SHARD] == WHOLE and plan[SEQUENCE_PARALLEL] == 1 else tokens
    unit = chip[CHIP_COLUMNS:] if row[SCOPE] == HEAD else chip
    return matmul_seconds(m, n, k, unit), matmul_seconds(m, k, n, unit), matmul_seconds(k, n, m, unit)


@borrowing
def fill_layers(program, counts, work, chip, levels, library, stack, plan, scratch, layer):
    """Fill ``layer`` (3, 10) [s]; returns whether every group of ranks has its place on the fabric."""
    layer[:] = 0.0
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    layers = counts[MODEL_LAYERS]
    forward_all, input_all, weight_all = 0.0, 0.0, 0.0  # of what every layer has
    calls_all, calls_dense, calls_moe = 0.0, 0.0, 0.0
    attention, attention_back = 0.0, 0.0
    unneeded = 0.0  # of a dense layer's forward pass, where recomputation stops early
    for i in range(program.shape[0]):
        row = program[i]
        scope = int(row[SCOPE])
        weight = row[LAYERS] / layers if scope == EVERY_LAYER else 1.0
        forward, to_input, to_weight = operator(row, tokens, work, chip, counts, plan, stack)
        if plan[ADAPTERS] == 1:
            to_weight = 0.0
        if row[KIND] == ATTENTION:
            attention += weight * forward
            attention_back += weight * to_input
            if plan[RECOMPUTE] == RECOMPUTE_SELECTIVE:
                to_input += forward
        if stack[STOPS_EARLY] == 1 and scope == DENSE_LAYER and row[KIND] == MATMUL and row[SHARD] == ROWS:
            unneeded = forward  # nothing that the backward pass needs comes after the product that ends the layer
        if scope == EVERY_LAYER:
            calls_all += weight
            forward_all += weight * forward
            input_all += weight * to_input
            weight_all += weight * to_weight
        else:
            kind = scope - 1
            calls_dense += kind == DENSE_KIND
            calls_moe += kind == MOE_KIND
            layer[kind, FORWARD] += forward
            layer[kind, INPUT] += to_input
            layer[kind, WEIGHT] += to_weight
    again = recomputed_share(counts, plan)
    for kind in range(2):
        layer[kind, FORWARD] += forward_all
        layer[kind, INPUT] += input_all
        layer[kind, WEIGHT] += weight_all
        device = layer[kind, FORWARD]
        host = stack[LAUNCH] * (calls_all + (calls_dense if kind == DENSE_KIND else calls_moe))
        stretch = max(1.0, host / device)
        for column in range(3):
            layer[kind, column] *= stretch
        left = stretch * unneeded if kind == DENSE_KIND else 0.0
        layer[kind, INPUT] += again * (layer[kind, FORWARD] - left)
    if plan[OFFLOAD] == OFFLOAD_ACTIVATIONS or plan[OFFLOAD] == OFFLOAD_BOTH:
        if chip[HOST] <= 0:
            return False
        kept = layer_bytes(program, counts, work, chip, stack, plan)
        for kind in range(2):  # what the passes of a layer do not hide of the way to host memory and back
            spread = plan[TENSOR] if plan[SEQUENCE_PARALLEL] == 1 else 1.0
            entrance = ACTIVATION_BYTES * tokens * counts[HIDDEN] / spread  # all that a recomputed layer keeps
            moved = (again * entrance + (1 - again) * kept[kind]) / chip[HOST]
            layer[kind, FORWARD] = max(layer[kind, FORWARD], moved)
            layer[kind, INPUT] = max(layer[kind, INPUT], moved - layer[kind, WEIGHT])
    return fill_communication(
        counts, work, chip, levels, library, stack, plan, scratch, attention, attention_back, layer
    )


@borrowing
def fill_communication(counts, work, chip, levels, library, stack, plan, scratch, attention, attention_back, layer):
    """Fill what shows of the communication inside layers; ``attention`` [s] is what context ranks hide behind."""
    tensor, context, expert = plan[TENSOR], plan[CONTEXT], plan[EXPERT]
    launch = stack[COLLECTIVE_LAUNCH]
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / context
    layers = counts[MODEL_LAYERS]
    vector_bytes = 2 * tokens * counts[HIDDEN]
    if plan[SEQUENCE_PARALLEL] == 1:
        pair = group_seconds(ALL_GATHER, vector_bytes, levels, 1.0, tensor, scratch, launch)
        pair += group_seconds(REDUCE_SCATTER, vector_bytes, levels, 1.0, tensor, scratch, launch)
    else:
        pair = group_seconds(ALL_REDUCE, vector_bytes, levels, 1.0, tensor, scratch, launch)
    kv_bytes = 2 * plan[MICRO_BATCH] * work[SEQUENCE] * counts[KV_VALUES] / layers / tensor
    if plan[CONTEXT_MODE] == ULYSSES:
        moved = 2 * vector_bytes / tensor + kv_bytes / context
        turn = group_seconds(ALL_TO_ALL, moved, levels, tensor, context, scratch, launch)
        turn_back = turn
    else:
        turn = group_seconds(ALL_GATHER, kv_bytes, levels, tensor, context, scratch, launch)
        turn_back = 2 * turn
    exchange, exchange_back = 0.0, 0.0
    if expert > 1 and counts[MOE_LAYERS] > 0:
        narrow = min(chip[WIDTH], ACTIVATION_BYTES)  # tokens go out in the dtype of products and come back in two bytes
        out_s, back_s = exchange_seconds(
            tokens / tensor,
            counts[HIDDEN],
            counts[TOP_K],
            counts[EXPERTS],
            expert,
            plan[EXPERT_TENSOR],
            narrow,
            ACTIVATION_BYTES,
            work[SKEW],
            levels,
            library,
            scratch,
        )
        exchange = out_s + back_s
        exchange_back = 2 * back_s  # gradients go both ways in two bytes
    if plan[EXPERT_TENSOR] > 1:
        slots = ACTIVATION_BYTES * tokens / tensor * counts[HIDDEN] * counts[TOP_K] * plan[EXPERT_TENSOR] * work[SKEW]
        split = group_seconds(ALL_GATHER, slots, levels, 1.0, plan[EXPERT_TENSOR], scratch, launch)
        split += group_seconds(REDUCE_SCATTER, slots, levels, 1.0, plan[EXPERT_TENSOR], scratch, launch)
        exchange += split
        exchange_back += split
    if math.isinf(pair + turn + exchange):
        return False
    tensor_share = stack[TENSOR_EXPOSED] if plan[OVERLAP_TENSOR] == 1 else 1.0
    expert_share = stack[EXPERT_EXPOSED] if plan[OVERLAP_EXPERT] == 1 else 1.0
    again = recomputed_share(counts, plan)
    for kind in range(2):
        forward, backward = layer[kind, FORWARD], layer[kind, INPUT] + layer[kind, WEIGHT]
        # attention and MLP that read the same input share their communication (PaLM, section 2)
        is_one = counts[PARALLEL] == 1 or (kind == MOE_LAYER - 1 and counts[SHARED] == 0)
        pairs = 1.0 if is_one else 2.0
        shown = 0.0
        layer[kind, TENSOR_F] = exposed(pairs * pair, tensor_share, forward)
        layer[kind, TENSOR_B] = exposed((1 + again) * pairs * pair, tensor_share, backward)
        layer[kind, CONTEXT_F] = exposed(turn, stack[CONTEXT_EXPOSED], attention)
        layer[kind, CONTEXT_B] = exposed(turn_back + again * turn, stack[CONTEXT_EXPOSED], attention_back)
        total = (2 + again) * pairs * pair + (1 + again) * turn + turn_back
        if kind == MOE_LAYER - 1:
            layer[kind, EXCHANGE_F] = exposed(exchange, expert_share, forward)
            layer[kind, EXCHANGE_B] = exposed(exchange_back + again * exchange, expert_share, backward)
            total += (1 + again) * exchange + exchange_back
        for column in range(TENSOR_F, HIDDEN_COMM):
            shown += layer[kind, column]
        hidden = total - shown
        layer[kind, HIDDEN_COMM] = hidden
        slowed = 1 + stack[CONTENTION] * hidden / (forward + backward)
        for column in range(3):
            layer[kind, column] *= slowed
    return True
