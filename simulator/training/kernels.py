"""Price one training step of one plan; numbers and arrays only.

Arrays: ``program`` (operators, 8) as in :mod:`simulator.program`; ``counts`` model counts, ``work`` sequence, batch;
``chip`` as in :mod:`simulator.compute.kernels`; ``levels`` as in :mod:`simulator.collectives.rows.kernels`; ``stack``
the training stack's figures; ``plan`` the degrees. Results go into ``parts`` [s] and ``memory`` [B].
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.collectives.kernels import (
    ALL_GATHER,
    ALL_TO_ALL,
    REDUCE_SCATTER,
    SEND_RECV,
    cheapest,
)
from simulator.collectives.rows.kernels import subgroup
from simulator.compute.kernels import HBM, attention_seconds, causal_context, matmul_seconds
from simulator.training.memory.kernels import (
    GRADIENT_BYTES,
    PARAMETER_BYTES,
    expert_replicas,
    fill_memory,
    held_parameters,
    stage_layers,
)
from simulator.training.rows.kernels import (
    ACTIVE,
    ATTENTION,
    AVAILABLE,
    BATCH,
    BUBBLE,
    COLLECTIVE_LAUNCH,
    COLUMNS,
    COMPUTE,
    CONTEXT,
    CONTEXT_COMM,
    CONTEXT_EXPOSED,
    DATA,
    DATA_COMM,
    DATA_EXPOSED,
    DENSE_LAYER,
    EVERY_LAYER,
    EXPERT,
    EXPERT_COMM,
    EXPERT_EXPOSED,
    EXPERT_FACTOR,
    EXPERT_MATMUL,
    EXPERT_PARAMETERS,
    EXPERTS,
    FULLY_SHARDED,
    GATHER_EXPOSED,
    HEAD,
    HIDDEN,
    JITTER,
    KIND,
    KV_VALUES,
    LAUNCH,
    LAYERS,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYER,
    MOE_LAYERS,
    OPTIMIZER,
    OVERHEAD,
    PIPELINE,
    PIPELINE_COMM,
    RECOMPUTE,
    RECOMPUTE_FULL,
    RECOMPUTE_SELECTIVE,
    ROWS,
    SCOPE,
    SEQUENCE,
    SHARD,
    SHARED,
    SPLIT,
    STEP_OVERHEAD,
    TENSOR,
    TENSOR_COMM,
    TENSOR_EXPOSED,
    TOP_K,
    TOTAL,
    TRAFFIC,
    TRAFFIC_FACTOR,
    VIRTUAL,
    WHOLE,
    WHOLE_PARAMETERS,
    WINDOW,
    ZERO,
    K,
    N,
)

# layer_seconds
DENSE_COMPUTE, MOE_COMPUTE, HEAD_COMPUTE, DENSE_TENSOR, MOE_TENSOR, LAYER_CONTEXT, MOE_EXCHANGE = range(7)

ATTENTION_BACKWARD = 2.5  # flash attention recomputes scores: five products backward against two forward
OPTIMIZER_TRAFFIC_BYTES = 30.0  # read gradient and states, write states and the 2-byte parameter


@register_jitable
def group_seconds(kind, size_bytes, levels, stride, size, scratch, launch_s):
    """Cheapest collective of a group of ``size`` ranks, ``stride`` apart [s]; infinite where it cannot be laid out."""
    if size <= 1:
        return 0.0
    rows = subgroup(levels, stride, size, scratch)
    if rows < 0:
        return math.inf
    return launch_s + cheapest(kind, size_bytes, scratch[:rows])[1]


@register_jitable
def operator_seconds(row, tokens, work, chip, counts, plan, stack):
    """Forward time of one operator of one layer on one chip for one micro-batch [s]."""
    tensor = plan[TENSOR]
    if row[KIND] == TRAFFIC:
        moved = 2 * counts[HIDDEN] * (row[N] + row[K]) * tokens / tensor * row[ACTIVE]
        return moved * stack[TRAFFIC_FACTOR] / chip[HBM]
    if row[KIND] == ATTENTION:
        context = causal_context(work[SEQUENCE], row[WINDOW])
        return stack[LAUNCH] + attention_seconds(tokens, context, row[N] / tensor, row[K] / tensor, chip)
    if row[KIND] == EXPERT_MATMUL:
        local = counts[EXPERTS] / plan[EXPERT]
        per_expert = tokens / tensor * row[ACTIVE] / local
        return stack[LAUNCH] + local * matmul_seconds(per_expert, row[N], row[K], chip) / stack[EXPERT_FACTOR]
    n = row[N] / tensor if row[SHARD] == COLUMNS else row[N]
    k = row[K] / tensor if row[SHARD] == ROWS else row[K]
    # under sequence parallelism an operator that tensor parallelism does not split works on its own tokens only
    m = tokens / tensor if row[SHARD] == WHOLE else tokens
    return stack[LAUNCH] + matmul_seconds(m, n, k, chip)


@register_jitable
def data_seconds(counts, levels, stack, plan, micro_batches, compute_s, forward_s, scratch):
    """What shows of gradient reduction and parameter gathering over the data ranks in one step [s].

    ZeRO-1 reduces once a step, behind the last backward pass of a micro-batch, and gathers behind the first forward
    pass (``forward_s``). ZeRO-3 gathers every layer twice and reduces it once in every micro-batch, behind compute.
    """
    tensor, launch = plan[TENSOR], stack[COLLECTIVE_LAUNCH]
    replicas, copies = plan[CONTEXT] * plan[DATA], expert_replicas(plan)
    dense, experts = held_parameters(counts, plan)
    if plan[ZERO] == FULLY_SHARDED:
        dense = counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS]
        experts = counts[EXPERT_PARAMETERS] / plan[EXPERT]
    gather = group_seconds(ALL_GATHER, PARAMETER_BYTES * dense, levels, tensor, replicas, scratch, launch)
    reduce = group_seconds(REDUCE_SCATTER, GRADIENT_BYTES * dense, levels, tensor, replicas, scratch, launch)
    expert_gather = 0.0
    expert_reduce = 0.0
    if counts[MOE_LAYERS] > 0:
        expert_gather = group_seconds(
            ALL_GATHER, PARAMETER_BYTES * experts, levels, plan[EXPERT], copies, scratch, launch
        )
        expert_reduce = group_seconds(
            REDUCE_SCATTER, GRADIENT_BYTES * experts, levels, plan[EXPERT], copies, scratch, launch
        )
    if plan[ZERO] == FULLY_SHARDED:
        per_micro_batch = counts[MODEL_LAYERS] * (2 * gather + reduce)
        per_micro_batch += counts[MOE_LAYERS] * (2 * expert_gather + expert_reduce)
        return exposed(micro_batches * per_micro_batch, stack[GATHER_EXPOSED], compute_s)
    shown = exposed(reduce + expert_reduce, stack[DATA_EXPOSED], 2 * forward_s)
    return shown + exposed(gather + expert_gather, stack[DATA_EXPOSED], forward_s)


@register_jitable
def layer_seconds(program, counts, work, chip, levels, stack, plan, scratch, out):
    """Time of one layer of each kind for one micro-batch, forward and backward, into ``out`` (7,) [s].

    Compute of a dense layer, of one with experts, and of the logits; what shows of tensor communication in either kind
    of layer, of context and of expert communication. Backward is twice forward, of fused attention 2.5 times; full
    recompute adds a forward pass of the layer, selective recompute one of attention. Returns whether every group of
    ranks has its place on the fabric.
    """
    tensor, context, expert = plan[TENSOR], plan[CONTEXT], plan[EXPERT]
    launch = stack[COLLECTIVE_LAUNCH]
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / context
    layers = counts[MODEL_LAYERS]
    both = np.zeros(4)
    attention = 0.0
    for i in range(program.shape[0]):
        row = program[i]
        scope = int(row[SCOPE])
        weight = row[LAYERS] / layers if scope == EVERY_LAYER else 1.0
        seconds = weight * operator_seconds(row, tokens, work, chip, counts, plan, stack)
        backward = ATTENTION_BACKWARD if row[KIND] == ATTENTION else 2.0
        if plan[RECOMPUTE] == RECOMPUTE_FULL:
            is_again = scope != HEAD
        else:
            is_again = plan[RECOMPUTE] == RECOMPUTE_SELECTIVE and row[KIND] == ATTENTION
        both[scope] += seconds * (1 + backward + is_again)
        if row[KIND] == ATTENTION:
            attention += seconds
    dense = both[EVERY_LAYER] + both[DENSE_LAYER]
    moe = both[EVERY_LAYER] + both[MOE_LAYER]

    vector_bytes = 2 * tokens * counts[HIDDEN]
    pair = group_seconds(ALL_GATHER, vector_bytes, levels, 1.0, tensor, scratch, launch)
    pair += group_seconds(REDUCE_SCATTER, vector_bytes, levels, 1.0, tensor, scratch, launch)
    passes = 3.0 if plan[RECOMPUTE] == RECOMPUTE_FULL else 2.0
    pairs_moe = 2.0 if counts[SHARED] > 0 else 1.0
    kv_bytes = 2 * plan[MICRO_BATCH] * work[SEQUENCE] * counts[KV_VALUES] / layers / tensor
    gather = 3 * group_seconds(ALL_GATHER, kv_bytes, levels, tensor, context, scratch, launch)
    distinct = expert * (1 - (1 - 1 / expert) ** counts[TOP_K])  # ranks that a token's experts lie on, if independent
    sent_bytes = 2 * tokens / tensor * counts[HIDDEN] * distinct
    exchange = 4 * group_seconds(ALL_TO_ALL, sent_bytes, levels, 1.0, expert, scratch, launch)
    if math.isinf(pair + gather + exchange):
        return False
    out[DENSE_COMPUTE] = dense
    out[MOE_COMPUTE] = moe
    out[HEAD_COMPUTE] = both[HEAD]
    out[DENSE_TENSOR] = exposed(passes * 2 * pair, stack[TENSOR_EXPOSED], dense)
    out[MOE_TENSOR] = exposed(passes * pairs_moe * pair, stack[TENSOR_EXPOSED], moe)
    out[LAYER_CONTEXT] = exposed(gather, stack[CONTEXT_EXPOSED], attention * (1 + ATTENTION_BACKWARD))
    out[MOE_EXCHANGE] = exposed(exchange, stack[EXPERT_EXPOSED], moe)
    return True


@register_jitable
def step(program, counts, work, chip, levels, stack, plan, scratch, parts):
    """Price one step: fills ``parts`` (10,) [s]; returns the total, infinite if the plan has no place on the fabric.

    Interleaved 1F1B: step = m t_slowest + (p - 1) / v t_mean (Narayanan et al., SC21, section 2.2), where the slowest
    stage is full of the dearest layers or the last one with the logits; then sends of the fill and drain, gradient
    reduction, optimizer, host time and jitter.
    """
    parts[:] = 0.0
    pipeline, moe_layers = plan[PIPELINE], counts[MOE_LAYERS]
    layer = np.zeros(7)
    if not layer_seconds(program, counts, work, chip, levels, stack, plan, scratch, layer):
        parts[TOTAL] = math.inf
        return math.inf
    dense = layer[DENSE_COMPUTE] + layer[DENSE_TENSOR] + layer[LAYER_CONTEXT]
    moe = layer[MOE_COMPUTE] + layer[MOE_TENSOR] + layer[LAYER_CONTEXT] + layer[MOE_EXCHANGE]

    slow_layers, slow_moe = stage_layers(counts, plan)
    last_layers = max(counts[MODEL_LAYERS] - (pipeline - 1) * slow_layers, 0.0)
    last_moe = min(last_layers, moe_layers)
    middle = slow_moe * moe + (slow_layers - slow_moe) * dense
    last = last_moe * moe + (last_layers - last_moe) * dense + layer[HEAD_COMPUTE]
    head = 0.0
    if pipeline == 1 or last > middle:
        slow_layers, slow_moe, head = last_layers, last_moe, layer[HEAD_COMPUTE]
    slow_dense = slow_layers - slow_moe
    micro_batches = math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH]))
    parts[COMPUTE] = micro_batches * (slow_moe * layer[MOE_COMPUTE] + slow_dense * layer[DENSE_COMPUTE] + head)
    parts[TENSOR_COMM] = micro_batches * (slow_moe * layer[MOE_TENSOR] + slow_dense * layer[DENSE_TENSOR])
    parts[CONTEXT_COMM] = micro_batches * slow_layers * layer[LAYER_CONTEXT]
    parts[EXPERT_COMM] = micro_batches * slow_moe * layer[MOE_EXCHANGE]
    all_layers = moe_layers * moe + (counts[MODEL_LAYERS] - moe_layers) * dense
    parts[BUBBLE] = (pipeline - 1) / plan[VIRTUAL] * (all_layers + layer[HEAD_COMPUTE]) / pipeline
    parts[PIPELINE_COMM] = pipeline_seconds(counts, work, levels, plan, scratch)
    forward_s = all_layers / pipeline / 3
    parts[DATA_COMM] = data_seconds(counts, levels, stack, plan, micro_batches, parts[COMPUTE], forward_s, scratch)
    dense_held, experts_held = held_parameters(counts, plan)
    owned = dense_held / (plan[CONTEXT] * plan[DATA]) + experts_held / expert_replicas(plan)
    parts[OPTIMIZER] = owned * OPTIMIZER_TRAFFIC_BYTES / chip[HBM]
    busy = 0.0
    for i in range(OVERHEAD):
        busy += parts[i]
    parts[OVERHEAD] = stack[STEP_OVERHEAD] + stack[JITTER] * busy
    parts[TOTAL] = busy + parts[OVERHEAD]
    return parts[TOTAL]


@register_jitable
def pipeline_seconds(counts, work, levels, plan, scratch):
    """Sends between stages that show: those of the fill and the drain; in between they hide behind compute [s]."""
    if plan[PIPELINE] == 1:
        return 0.0
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    size_bytes = 2 * tokens * counts[HIDDEN] / plan[TENSOR]
    apart = plan[TENSOR] * plan[CONTEXT] * plan[DATA]
    hop = group_seconds(SEND_RECV, size_bytes, levels, apart, plan[PIPELINE], scratch, 0.0)
    return 2 * (plan[PIPELINE] * plan[VIRTUAL] - 1) * hop


@register_jitable
def exposed(seconds, share, behind):
    """What shows of a communication: its share that never hides, or all that is longer than what it hides behind."""
    return max(share * seconds, seconds - behind)


@register_jitable
def search(program, counts, work, chip, levels, stack, plans, is_filtered, seconds, needed):
    """Memory of every plan of ``plans`` (plans, 9) into ``needed``, its step time into ``seconds``, both (plans,).

    With ``is_filtered`` a plan that does not fit in memory is not priced: its time is not a number. The time of a plan
    that has no place on the fabric is infinite.
    """
    scratch = np.empty((levels.shape[0] + 1, levels.shape[1]))
    parts = np.empty(10)
    memory = np.empty(7)
    for i in range(plans.shape[0]):
        needed[i] = fill_memory(program, counts, work, chip, stack, plans[i], memory)
        if is_filtered and needed[i] > memory[AVAILABLE]:
            seconds[i] = math.nan
        else:
            seconds[i] = step(program, counts, work, chip, levels, stack, plans[i], scratch, parts)


@register_jitable
def forward_flops_per_token(program, sequence):
    """FLOPs of the forward pass per token: matrix products, and causal attention counted over the keys it sees."""
    total = 0.0
    for i in range(program.shape[0]):
        row = program[i]
        if row[KIND] == ATTENTION:
            total += row[LAYERS] * 2 * causal_context(sequence, row[WINDOW]) * (row[N] + row[K])
        elif row[KIND] != TRAFFIC:
            total += row[LAYERS] * row[ACTIVE] * 2 * row[N] * row[K]
    return total


step_fast = njit(cache=True)(step)
search_fast = njit(cache=True)(search)
