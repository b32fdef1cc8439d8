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
    REDUCE_SCATTER,
    SEND_RECV,
)
from simulator.compute.kernels import HBM, causal_context
from simulator.training.layers.kernels import (
    CONTEXT_F,
    DENSE_KIND,
    EXCHANGE_F,
    FORWARD,
    HEAD_KIND,
    HIDDEN_COMM,
    KINDS,
    LAYER_COLUMNS,
    MOE_KIND,
    TENSOR_F,
    exposed,
    fill_layers,
    group_seconds,
)
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
    ADAPTERS,
    ATTENTION,
    AVAILABLE,
    BATCH,
    BUBBLE,
    COLLECTIVE_LAUNCH,
    COMPUTE,
    CONTEXT,
    CONTEXT_COMM,
    DATA,
    DATA_COMM,
    DATA_EXPOSED,
    EXPERT,
    EXPERT_COMM,
    EXPERT_PARAMETERS,
    FULLY_SHARDED,
    GATHER_EXPOSED,
    HIDDEN,
    JITTER,
    KIND,
    LAYERS,
    MEMORY_COLUMNS,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYERS,
    OPTIMIZER,
    OVERHEAD,
    PIPELINE,
    PIPELINE_COMM,
    SEQUENCE,
    SPLIT,
    STEP_OVERHEAD,
    TENSOR,
    TENSOR_COMM,
    TOTAL,
    TRAFFIC,
    VIRTUAL,
    WHOLE_PARAMETERS,
    WINDOW,
    ZERO,
    K,
    N,
)

OPTIMIZER_TRAFFIC_BYTES = 30.0  # read gradient and states, write states and the 2-byte parameter


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
def stage_time(layer, dense_layers, moe_layers, head, column_a, column_b):
    """Sum of some columns of ``layer`` over the layers of a stage [s]."""
    total = 0.0
    for column in range(column_a, column_b):
        total += dense_layers * layer[DENSE_KIND, column] + moe_layers * layer[MOE_KIND, column]
        total += head * layer[HEAD_KIND, column]
    return total


@register_jitable
def step(program, counts, work, chip, levels, stack, plan, scratch, parts):
    """Price one step: fills ``parts`` (10,) [s]; returns the total, infinite if the plan has no place on the fabric."""
    parts[:] = 0.0
    pipeline, moe_layers = plan[PIPELINE], counts[MOE_LAYERS]
    layer = np.zeros((KINDS, LAYER_COLUMNS))
    if not fill_layers(program, counts, work, chip, levels, stack, plan, scratch, layer):
        parts[TOTAL] = math.inf
        return math.inf
    slow_layers, slow_moe = stage_layers(counts, plan, min(1.0, pipeline - 1))
    last_layers = max(counts[MODEL_LAYERS] - (pipeline - 1) * slow_layers, 0.0)
    last_moe = min(last_layers, moe_layers)
    middle = stage_time(layer, slow_layers - slow_moe, slow_moe, 0.0, 0, HIDDEN_COMM)
    last = stage_time(layer, last_layers - last_moe, last_moe, 1.0, 0, HIDDEN_COMM)
    head = 0.0
    if pipeline == 1 or last > middle:
        slow_layers, slow_moe, head = last_layers, last_moe, 1.0
    slow_dense = slow_layers - slow_moe
    micro_batches = math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH]))
    parts[COMPUTE] = micro_batches * stage_time(layer, slow_dense, slow_moe, head, FORWARD, TENSOR_F)
    parts[TENSOR_COMM] = micro_batches * stage_time(layer, slow_dense, slow_moe, head, TENSOR_F, CONTEXT_F)
    parts[CONTEXT_COMM] = micro_batches * stage_time(layer, slow_dense, slow_moe, head, CONTEXT_F, EXCHANGE_F)
    parts[EXPERT_COMM] = micro_batches * stage_time(layer, slow_dense, slow_moe, head, EXCHANGE_F, HIDDEN_COMM)
    whole = stage_time(layer, counts[MODEL_LAYERS] - moe_layers, moe_layers, 1.0, 0, HIDDEN_COMM)
    slowest = max(middle, last)
    parts[BUBBLE] = max(whole - slowest, 0.0) / plan[VIRTUAL] if pipeline > 1 else 0.0
    parts[PIPELINE_COMM] = pipeline_seconds(counts, work, levels, plan, scratch)
    forward_s = whole / pipeline / 3
    if plan[ADAPTERS] == 0:
        parts[DATA_COMM] = data_seconds(counts, levels, stack, plan, micro_batches, parts[COMPUTE], forward_s, scratch)
        dense_held, experts_held = held_parameters(counts, plan)
        owned = dense_held / (plan[CONTEXT] * plan[DATA]) + experts_held / expert_replicas(plan)
        parts[OPTIMIZER] = owned * OPTIMIZER_TRAFFIC_BYTES / chip[HBM]
    busy = 0.0
    for i in range(OVERHEAD):
        busy += parts[i]
    ranks = plan[TENSOR] * plan[CONTEXT] * plan[DATA] * pipeline
    parts[OVERHEAD] = stack[STEP_OVERHEAD] + stack[JITTER] * math.sqrt(2 * math.log(ranks)) * busy
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
def search(program, counts, work, chip, levels, stack, plans, is_filtered, seconds, needed):
    """Memory of every plan of ``plans`` (plans, 9) into ``needed``, its step time into ``seconds``, both (plans,).

    With ``is_filtered`` a plan that does not fit in memory is not priced: its time is not a number. The time of a plan
    that has no place on the fabric is infinite.
    """
    scratch = np.empty((levels.shape[0] + 1, levels.shape[1]))
    parts = np.empty(10)
    memory = np.empty(MEMORY_COLUMNS)
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
