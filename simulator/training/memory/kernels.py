"""Memory of one chip under one plan; numbers only.

Arrays as in :mod:`simulator.training.rows.kernels`.
"""

from __future__ import annotations

import math

from numba import njit
from numba.extending import register_jitable

from simulator.compute.kernels import CAPACITY
from simulator.training.rows.kernels import (
    ACTIVATIONS,
    ACTIVE,
    AVAILABLE,
    BATCH,
    COLUMNS,
    CONTEXT,
    DATA,
    DENSE_LAYER,
    EMBEDDING,
    EVERY_LAYER,
    EXPERT,
    EXPERT_MATMUL,
    EXPERT_PARAMETERS,
    FULLY_SHARDED,
    GRADIENTS,
    HIDDEN,
    KIND,
    LAYERS,
    LOGITS,
    MATMUL,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYER,
    MOE_LAYERS,
    NEEDED,
    PIPELINE,
    RECOMPUTE,
    RECOMPUTE_FULL,
    RESERVE,
    SCOPE,
    SEQUENCE,
    SHARD,
    SPLIT,
    STATES,
    TENSOR,
    VIRTUAL,
    VOCAB,
    WEIGHTS,
    WHOLE,
    WHOLE_PARAMETERS,
    ZERO,
    K,
    N,
)

GRADIENT_BYTES = 4.0  # main gradients are kept and reduced in float32
PARAMETER_BYTES = 2.0
LOGIT_BYTES = 6.0  # two bytes of the logit, four of its gradient
STATE_BYTES = 12.0  # float32 master copy and two moments (Adam)


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
def stage_layers(counts, plan):
    """Layers of the fullest pipeline stage, and how many of them hold experts."""
    layers = math.ceil(counts[MODEL_LAYERS] / plan[PIPELINE])
    return layers, min(layers, counts[MOE_LAYERS])


@register_jitable
def held_parameters(counts, plan):
    """Parameters of the fullest stage on one chip before data sharding: (dense with its embedding, experts)."""
    layers, moe_layers = stage_layers(counts, plan)
    embedding = counts[EMBEDDING] if plan[PIPELINE] == 1 else counts[EMBEDDING] / 2
    dense = layers * (counts[SPLIT] / plan[TENSOR] + counts[WHOLE_PARAMETERS]) + embedding / plan[TENSOR]
    return dense, moe_layers * counts[EXPERT_PARAMETERS] / plan[EXPERT]


@register_jitable
def expert_replicas(plan):
    """Ranks of a pipeline stage that hold the same experts."""
    return plan[TENSOR] * plan[CONTEXT] * plan[DATA] / plan[EXPERT]


@register_jitable
def fill_memory(program, counts, work, chip, stack, plan, memory):
    """Memory of the fullest chip by part into ``memory`` (7,) [B]; returns what is needed.

    Model states as in ZeRO (Rajbhandari et al., SC20, section 3.1) with gradients in float32. Activations are what
    the backward pass reads (Korthikanti et al., arXiv 2205.05198, equation 4, without scores, which fused attention
    does not store), times the micro-batches in flight on the first stage: p of 1F1B, p (1 + (p - 1) / (p v)) of its
    interleaved form. Full recompute keeps the input of each layer and all of one layer.
    """
    memory[:] = 0.0
    pipeline, tensor = plan[PIPELINE], plan[TENSOR]
    dense, experts = held_parameters(counts, plan)
    owned = dense / (plan[CONTEXT] * plan[DATA]) + experts / expert_replicas(plan)
    if plan[ZERO] == FULLY_SHARDED:
        gathered = 2 * (counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS])
        gathered += 2 * counts[EXPERT_PARAMETERS] / plan[EXPERT]
        memory[WEIGHTS] = PARAMETER_BYTES * (owned + gathered)
        memory[GRADIENTS] = GRADIENT_BYTES * owned + PARAMETER_BYTES * gathered / 2
    else:
        memory[WEIGHTS] = PARAMETER_BYTES * (dense + experts)
        memory[GRADIENTS] = GRADIENT_BYTES * (dense + experts)
    memory[STATES] = STATE_BYTES * owned

    every, dense_only, moe_only = 2 * counts[HIDDEN] / tensor, 0.0, 0.0  # every: the inputs of two norms
    for i in range(program.shape[0]):
        values = stored_values(program[i], plan)
        if program[i, SCOPE] == EVERY_LAYER:
            every += values * program[i, LAYERS] / counts[MODEL_LAYERS]
        elif program[i, SCOPE] == DENSE_LAYER:
            dense_only += values
        elif program[i, SCOPE] == MOE_LAYER:
            moe_only += values
    one_layer = every + max(dense_only, moe_only)
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    in_flight = min(pipeline, math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH])))
    if plan[VIRTUAL] > 1:
        in_flight = pipeline * (1 + (pipeline - 1) / (pipeline * plan[VIRTUAL]))
    layers = stage_layers(counts, plan)[0]
    if plan[RECOMPUTE] == RECOMPUTE_FULL:
        kept = layers * in_flight * counts[HIDDEN] / tensor + one_layer
    else:
        kept = layers * in_flight * one_layer
    memory[ACTIVATIONS] = 2 * tokens * kept
    # logits and their gradient lie on the last stage, which holds one micro-batch where the first holds in_flight
    logits = tokens * counts[VOCAB] / tensor * LOGIT_BYTES
    if pipeline > 1:
        logits = max(0.0, logits - memory[ACTIVATIONS] * (1 - 1 / in_flight))
    memory[LOGITS] = logits
    memory[AVAILABLE] = chip[CAPACITY] * (1 - stack[RESERVE])
    for i in range(NEEDED):
        memory[NEEDED] += memory[i]
    return memory[NEEDED]


fill_memory_fast = njit(cache=True)(fill_memory)
