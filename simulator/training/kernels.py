"""Price one training step of one plan; numbers and arrays only.

Arrays: ``program`` (operators, 8) as in :mod:`simulator.program`; ``counts`` model counts, ``work`` sequence, batch;
``chip`` as in :mod:`simulator.compute.kernels`; ``levels`` (levels, 9) as in :mod:`simulator.collectives.kernels`;
``stack`` the training stack's figures; ``plan`` the degrees. Results go into ``parts`` [s] and ``memory`` [B].
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
    subgroup,
)
from simulator.compute.kernels import CAPACITY, HBM, attention_seconds, causal_context, matmul_seconds

KIND, N, K, SHARD, LAYERS, SCOPE, WINDOW, ACTIVE = range(8)
MATMUL, EXPERT_MATMUL, ATTENTION, TRAFFIC = range(4)
WHOLE, COLUMNS, ROWS = range(3)
EVERY_LAYER, DENSE_LAYER, MOE_LAYER, HEAD = range(4)

# counts
HIDDEN, MODEL_LAYERS, MOE_LAYERS, EXPERTS, TOP_K, SHARED, SPLIT, WHOLE_PARAMETERS, EXPERT_PARAMETERS = range(9)
EMBEDDING, KV_VALUES, VOCAB = range(9, 12)
# work
SEQUENCE, BATCH = range(2)
# plan
TENSOR, CONTEXT, PIPELINE, VIRTUAL, EXPERT, DATA, ZERO, MICRO_BATCH, RECOMPUTE = range(9)
RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL = range(3)
# stack
TENSOR_EXPOSED, CONTEXT_EXPOSED, EXPERT_EXPOSED, DATA_EXPOSED, GATHER_EXPOSED, TRAFFIC_FACTOR, LAUNCH = range(7)
EXPERT_FACTOR, STEP_OVERHEAD, JITTER, RESERVE, COLLECTIVE_LAUNCH = range(7, 12)
# parts
COMPUTE, TENSOR_COMM, CONTEXT_COMM, EXPERT_COMM, DATA_COMM, PIPELINE_COMM, BUBBLE, OPTIMIZER, OVERHEAD, TOTAL = range(
    10
)
# memory
WEIGHTS, GRADIENTS, STATES, ACTIVATIONS, LOGITS, NEEDED, AVAILABLE = range(7)

ATTENTION_BACKWARD = 2.5  # flash attention recomputes scores: five products backward against two forward
GRADIENT_BYTES = 4.0  # main gradients are kept and reduced in float32
PARAMETER_BYTES = 2.0
STATE_BYTES = 12.0  # float32 master copy and two moments (Adam)
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
def stored_values(row, plan):
    """Activations that the backward pass of one operator needs, values per token on one chip [1]."""
    if row[KIND] == MATMUL:
        inputs = row[K] * row[ACTIVE] if row[SHARD] != WHOLE else 0.0
        outputs = row[N] * row[ACTIVE] if row[SHARD] == COLUMNS else 0.0
        return (inputs + outputs) / plan[TENSOR]
    if row[KIND] == EXPERT_MATMUL:
        outputs = row[N] if row[SHARD] == COLUMNS else 0.0
        return row[ACTIVE] * (row[K] + outputs) / plan[TENSOR]
    return 0.0


@register_jitable
def step(program, counts, work, chip, levels, stack, plan, scratch, parts, memory):
    """Price one step: fills ``parts`` (10,) [s] and ``memory`` (7,) [B]; returns the total [s], infinite if illegal.

    Per stage and micro-batch: operators (backward = 2 x forward, fused attention 2.5 x), communication exposed by the
    stack's shares or by what it exceeds the compute it hides behind; interleaved 1F1B: step = m t_slowest + (p - 1) /
    v t_mean (Narayanan et al., SC21, section 2.2); then gradient reduction, optimizer, overhead and jitter.
    """
    parts[:] = 0.0
    memory[:] = 0.0
    tensor, context, pipeline, data = plan[TENSOR], plan[CONTEXT], plan[PIPELINE], plan[DATA]
    launch = stack[COLLECTIVE_LAUNCH]
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / context
    micro_batches = math.ceil(work[BATCH] / (data * plan[MICRO_BATCH]))
    layers = counts[MODEL_LAYERS]
    stage_layers = math.ceil(layers / pipeline)
    moe_share = counts[MOE_LAYERS] / layers

    # operators of one layer by kind of layer: forward, backward, stored values
    forward = np.zeros(4)
    attention = np.zeros(4)
    traffic = np.zeros(4)
    stored = np.zeros(4)
    for i in range(program.shape[0]):
        row = program[i]
        scope = int(row[SCOPE])
        weight = row[LAYERS] / layers if scope == EVERY_LAYER else 1.0
        seconds = weight * operator_seconds(row, tokens, work, chip, counts, plan, stack)
        stored[scope] += weight * stored_values(row, plan)
        if row[KIND] == ATTENTION:
            attention[scope] += seconds
        elif row[KIND] == TRAFFIC:
            traffic[scope] += seconds
        else:
            forward[scope] += seconds
    all_forward = forward + attention + traffic
    all_backward = 2 * forward + ATTENTION_BACKWARD * attention + 2 * traffic
    if plan[RECOMPUTE] == RECOMPUTE_FULL:
        all_backward = all_backward + all_forward
        all_backward[HEAD] -= all_forward[HEAD]
    elif plan[RECOMPUTE] == RECOMPUTE_SELECTIVE:
        all_backward = all_backward + attention

    # communication of one layer, forward and backward together
    vector_bytes = tokens * counts[HIDDEN] * 2
    passes = 3.0 if plan[RECOMPUTE] == RECOMPUTE_FULL else 2.0
    pair = 0.0
    if tensor > 1:
        pair = group_seconds(ALL_GATHER, vector_bytes, levels, 1.0, tensor, scratch, launch)
        pair += group_seconds(REDUCE_SCATTER, vector_bytes, levels, 1.0, tensor, scratch, launch)
    pairs_moe = 2.0 if counts[SHARED] > 0 else 1.0
    gather = 0.0
    if context > 1:
        kv_bytes = plan[MICRO_BATCH] * work[SEQUENCE] * counts[KV_VALUES] / layers / tensor * 2
        gather = 3 * group_seconds(ALL_GATHER, kv_bytes, levels, tensor, context, scratch, launch)
    exchange = 0.0
    if plan[EXPERT] > 1:
        distinct = plan[EXPERT] * (1 - (1 - 1 / plan[EXPERT]) ** counts[TOP_K])
        sent = tokens / tensor * counts[HIDDEN] * distinct
        exchange = 4 * group_seconds(ALL_TO_ALL, 2 * sent, levels, 1.0, plan[EXPERT], scratch, launch)
    if math.isinf(pair + gather + exchange):
        parts[TOTAL] = math.inf
        return math.inf

    # one layer of each kind: compute, then what shows of each communication
    every = all_forward[EVERY_LAYER] + all_backward[EVERY_LAYER]
    dense = every + all_forward[DENSE_LAYER] + all_backward[DENSE_LAYER]
    moe = every + all_forward[MOE_LAYER] + all_backward[MOE_LAYER]
    shown_dense = exposed(passes * 2 * pair, stack[TENSOR_EXPOSED], dense)
    shown_moe = exposed(passes * pairs_moe * pair, stack[TENSOR_EXPOSED], moe)
    shown_context = exposed(gather, stack[CONTEXT_EXPOSED], attention[EVERY_LAYER] * (1 + ATTENTION_BACKWARD))
    shown_expert = exposed(exchange, stack[EXPERT_EXPOSED], moe)
    head = all_forward[HEAD] + all_backward[HEAD]

    # the slowest stage: full of the dearest layers, or the last one with the logits
    moe_layers = counts[MOE_LAYERS]
    stage_moe = min(stage_layers, moe_layers)
    stage_dense = stage_layers - stage_moe
    middle = stage_moe * (moe + shown_moe + shown_expert) + stage_dense * (dense + shown_dense)
    last_layers = max(layers - (pipeline - 1) * stage_layers, 0.0)
    last_moe = min(last_layers, moe_layers)
    last_dense = last_layers - last_moe
    last = last_moe * (moe + shown_moe + shown_expert) + last_dense * (dense + shown_dense) + head
    is_last = last > middle or pipeline == 1
    slow_moe = last_moe if is_last else stage_moe
    slow_dense = last_dense if is_last else stage_dense
    slow_layers = slow_moe + slow_dense
    slow_head = head if is_last else 0.0

    parts[COMPUTE] = micro_batches * (slow_moe * moe + slow_dense * dense + slow_head)
    parts[TENSOR_COMM] = micro_batches * (slow_moe * shown_moe + slow_dense * shown_dense)
    parts[CONTEXT_COMM] = micro_batches * slow_layers * shown_context
    parts[EXPERT_COMM] = micro_batches * slow_moe * shown_expert
    whole = moe_share * (moe + shown_moe + shown_expert) + (1 - moe_share) * (dense + shown_dense) + shown_context
    mean_stage = (layers * whole + head) / pipeline
    parts[BUBBLE] = (pipeline - 1) / plan[VIRTUAL] * mean_stage

    if pipeline > 1:
        hop = group_seconds(SEND_RECV, vector_bytes / tensor, levels, tensor * context * data, 2.0, scratch, 0.0)
        if math.isinf(hop):
            hop = group_seconds(
                SEND_RECV, vector_bytes / tensor, levels, tensor * context * data, pipeline, scratch, 0.0
            )
        # sends overlap with compute in the steady state; the fill and drain of the pipeline show them
        parts[PIPELINE_COMM] = 2 * (pipeline * plan[VIRTUAL] - 1) * hop

    # gradients and parameters
    stage_embedding = counts[EMBEDDING] if pipeline == 1 else counts[EMBEDDING] / 2
    dense_local = stage_layers * (counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS]) + stage_embedding / tensor
    expert_local = stage_moe * counts[EXPERT_PARAMETERS] / plan[EXPERT]
    expert_replicas = tensor * context * data / plan[EXPERT]
    replicas = context * data
    stage_forward = stage_layers * whole / 3
    if plan[ZERO] == 3:
        layer_dense = counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS]
        once = group_seconds(ALL_GATHER, PARAMETER_BYTES * layer_dense, levels, tensor, replicas, scratch, launch)
        spread = group_seconds(REDUCE_SCATTER, GRADIENT_BYTES * layer_dense, levels, tensor, replicas, scratch, launch)
        per_step = layers * micro_batches * (2 * once + spread)
        if moe_layers > 0:
            layer_expert = counts[EXPERT_PARAMETERS] / plan[EXPERT]
            once = group_seconds(
                ALL_GATHER, PARAMETER_BYTES * layer_expert, levels, plan[EXPERT], expert_replicas, scratch, launch
            )
            spread = group_seconds(
                REDUCE_SCATTER, GRADIENT_BYTES * layer_expert, levels, plan[EXPERT], expert_replicas, scratch, launch
            )
            per_step += moe_layers * micro_batches * (2 * once + spread)
        parts[DATA_COMM] = exposed(per_step, stack[GATHER_EXPOSED], parts[COMPUTE])
    else:
        reduce_s = group_seconds(
            REDUCE_SCATTER, GRADIENT_BYTES * dense_local, levels, tensor, replicas, scratch, launch
        ) + group_seconds(
            REDUCE_SCATTER, GRADIENT_BYTES * expert_local, levels, plan[EXPERT], expert_replicas, scratch, launch
        )
        gather_s = group_seconds(
            ALL_GATHER, PARAMETER_BYTES * dense_local, levels, tensor, replicas, scratch, launch
        ) + group_seconds(
            ALL_GATHER, PARAMETER_BYTES * expert_local, levels, plan[EXPERT], expert_replicas, scratch, launch
        )
        parts[DATA_COMM] = exposed(reduce_s, stack[DATA_EXPOSED], 2 * stage_forward)
        parts[DATA_COMM] += exposed(gather_s, stack[DATA_EXPOSED], stage_forward)

    owned = dense_local / replicas + expert_local / expert_replicas
    parts[OPTIMIZER] = owned * OPTIMIZER_TRAFFIC_BYTES / chip[HBM]
    busy = 0.0
    for i in range(OVERHEAD):
        busy += parts[i]
    parts[OVERHEAD] = stack[STEP_OVERHEAD] + stack[JITTER] * busy
    parts[TOTAL] = busy + parts[OVERHEAD]

    # memory of the fullest stage
    local = dense_local + expert_local
    if plan[ZERO] == 3:
        gathered = 2 * (counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS])
        gathered += 2 * counts[EXPERT_PARAMETERS] / plan[EXPERT]
        memory[WEIGHTS] = PARAMETER_BYTES * (owned + gathered)
        memory[GRADIENTS] = GRADIENT_BYTES * owned + PARAMETER_BYTES * gathered / 2
    else:
        memory[WEIGHTS] = PARAMETER_BYTES * local
        memory[GRADIENTS] = GRADIENT_BYTES * local
    memory[STATES] = STATE_BYTES * owned
    norms = 2 * counts[HIDDEN] / tensor
    layer_values = stored[EVERY_LAYER] + norms
    if moe_layers > 0:
        layer_values += max(stored[MOE_LAYER], stored[DENSE_LAYER])
    else:
        layer_values += stored[DENSE_LAYER]
    in_flight = min(pipeline, micro_batches)
    if plan[VIRTUAL] > 1:
        in_flight = pipeline * (1 + (pipeline - 1) / (pipeline * plan[VIRTUAL]))
    if plan[RECOMPUTE] == RECOMPUTE_FULL:
        kept = stage_layers * in_flight * counts[HIDDEN] / tensor + layer_values
    else:
        kept = stage_layers * in_flight * layer_values
    memory[ACTIVATIONS] = 2 * tokens * kept
    logits = tokens * counts[VOCAB] / tensor * 6
    memory[LOGITS] = logits if pipeline == 1 else max(0.0, logits - memory[ACTIVATIONS] * (1 - 1 / in_flight))
    memory[AVAILABLE] = chip[CAPACITY] * (1 - stack[RESERVE])
    for i in range(NEEDED):
        memory[NEEDED] += memory[i]
    return parts[TOTAL]


@register_jitable
def exposed(seconds, share, behind):
    """What shows of a communication: its share that never hides, or all that is longer than what it hides behind."""
    return max(share * seconds, seconds - behind)


@register_jitable
def search(program, counts, work, chip, levels, stack, plans, seconds, needed):
    """Price every plan of ``plans`` (plans, 9) into ``seconds`` and ``needed`` (plans,)."""
    scratch = np.empty((levels.shape[0] + 1, 9))
    parts = np.empty(10)
    memory = np.empty(7)
    for i in range(plans.shape[0]):
        seconds[i] = step(program, counts, work, chip, levels, stack, plans[i], scratch, parts, memory)
        needed[i] = memory[NEEDED]


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
