"""Iteration times of an inference instance; numbers and arrays only.

An instance is TENSOR x COPIES chips: attention runs in COPIES copies (data-parallel attention) of TENSOR chips each,
routed experts are spread over all of them. Arrays as in :mod:`simulator.training.kernels`; ``stack`` holds the serving
stack's figures.
"""

from __future__ import annotations

import math

from numba import njit

from simulator.collectives.kernels import ALL_REDUCE, ALL_TO_ALL
from simulator.compute.kernels import (
    CAPACITY,
    WIDTH,
    attention_forward_seconds,
    causal_context,
    decode_attention_seconds,
    decode_context,
    grouped_seconds,
    matmul_seconds,
    traffic_seconds,
)
from simulator.kernels import borrowing
from simulator.training.layers.kernels import group_seconds
from simulator.training.rows.kernels import (
    ACTIVE,
    ATTENTION,
    COLUMNS,
    EMBEDDING,
    EXPERT_MATMUL,
    EXPERT_PARAMETERS,
    EXPERTS,
    HEAD,
    HEADS,
    HIDDEN,
    KIND,
    KV_VALUES,
    LAYERS,
    MODEL_LAYERS,
    MOE_LAYERS,
    ROWS,
    SCOPE,
    SHARD,
    SPLIT,
    TOP_K,
    TRAFFIC,
    WHOLE_PARAMETERS,
    WINDOW,
    K,
    N,
)

# stack
ITERATION_OVERHEAD, LAUNCH, MEMORY_FRACTION, EXPOSED, IMBALANCE, TRAFFIC_FACTOR, COLLECTIVE_LAUNCH = range(7)
# further counts of a model that serving needs: the last ones, after those of training
KV_HEADS, WINDOW_VALUES, WINDOW_SIZE, DECODE_SCORE, DECODE_VALUE = range(-5, 0)
# work
INPUT, OUTPUT = range(2)
# parts of an iteration
COMPUTE, ATTENTION_PART, COMMUNICATION, OVERHEAD = range(4)
KV_BYTES = 2.0
PREFILL, DECODE = True, False
LEAST_ACTIVE = 1e-12


@borrowing
def kv_bytes_per_sequence(context, counts, tensor):
    """Cache of one sequence of ``context`` tokens on one chip of its attention copy [B].

    Key-value heads are split over tensor ranks as far as there are heads; layers with a window keep only the window.
    """
    split = min(tensor, counts[KV_HEADS])
    full = (counts[KV_VALUES] - counts[WINDOW_VALUES]) * context
    windowed = counts[WINDOW_VALUES] * min(context, counts[WINDOW_SIZE])
    return KV_BYTES * (full + windowed) / split


@borrowing
def local_experts(counts, ranks):
    """Experts on one chip: where ranks do not divide them, the busiest ones have copies to fill every chip evenly."""
    return math.ceil(counts[EXPERTS] / ranks)


@borrowing
def weight_bytes(counts, chip, tensor, copies):
    """Weights on one chip [B]; embeddings stay in two bytes."""
    dense = counts[MODEL_LAYERS] * (counts[SPLIT] / tensor + counts[WHOLE_PARAMETERS])
    each = counts[EXPERT_PARAMETERS] / counts[EXPERTS]
    experts = counts[MOE_LAYERS] * each * local_experts(counts, tensor * copies)
    return chip[WIDTH] * (dense + experts) + 2 * counts[EMBEDDING] / tensor


@borrowing
def iteration(program, counts, chip, levels, stack, tensor, copies, tokens, sequences, context, causal, scratch, parts):
    """One forward pass of the instance [s]: ``tokens`` new tokens of ``sequences`` sequences per attention copy.

    ``context`` is the number of cached tokens that a decoded token attends to; with ``causal`` the new tokens are a
    prompt that attends to itself instead. Fills ``parts`` (4,) [s].
    """
    parts[:] = 0.0
    ranks = tensor * copies
    for i in range(program.shape[0]):
        row = program[i]
        seconds = 0.0
        if row[KIND] == ATTENTION:
            seen = causal_context(context, row[WINDOW]) if causal else decode_context(context, row[WINDOW])
            share = row[LAYERS] / counts[MODEL_LAYERS]
            kv_width = counts[KV_VALUES] / min(tensor, counts[KV_HEADS]) * share / row[LAYERS]
            heads = counts[HEADS]
            score, value = row[N] / heads, row[K] / heads
            if causal:
                seconds = attention_forward_seconds(
                    sequences, tokens / sequences, seen, heads / tensor, score, value, kv_width, chip
                )
            else:
                if counts[DECODE_SCORE] > 0:
                    # latent attention decodes on the cached latents themselves, with the up-projections absorbed
                    score, value = (
                        counts[DECODE_SCORE] / counts[HEADS],
                        counts[DECODE_VALUE] / counts[HEADS],
                    )
                kv_bytes = KV_BYTES * kv_width
                seconds = decode_attention_seconds(sequences, seen, heads / tensor, score, value, kv_bytes, chip)
            parts[ATTENTION_PART] += row[LAYERS] * (seconds + stack[LAUNCH])
            continue
        if row[KIND] == TRAFFIC:
            moved = 2 * counts[HIDDEN] * (row[N] + row[K] / tensor) * tokens * row[ACTIVE]
            seconds = traffic_seconds(moved * stack[TRAFFIC_FACTOR], chip)
        elif row[KIND] == EXPERT_MATMUL:
            local = local_experts(counts, ranks)
            visits = tokens * copies * row[ACTIVE] / (local * ranks)
            busy = local * (1 - math.exp(-visits))  # experts with at least one token, if visits are Poisson
            each = visits * local / max(busy, LEAST_ACTIVE)
            seconds = grouped_seconds(busy, each, row[N], row[K], chip) * stack[IMBALANCE] + stack[LAUNCH]
        else:
            n = row[N] / tensor if row[SHARD] == COLUMNS else row[N]
            k = row[K] / tensor if row[SHARD] == ROWS else row[K]
            m = sequences if row[SCOPE] == HEAD else tokens
            seconds = matmul_seconds(m, n, k, chip) + stack[LAUNCH]
        parts[COMPUTE] += row[LAYERS] * seconds
    vector = tokens * counts[HIDDEN] * 2
    launch = stack[COLLECTIVE_LAUNCH]
    reduce_s = group_seconds(ALL_REDUCE, vector, levels, 1.0, tensor, scratch, launch)
    reductions = 2 * counts[MODEL_LAYERS]
    if counts[MOE_LAYERS] > 0 and ranks > 1:
        reductions -= counts[MOE_LAYERS] if copies > 1 else 0.0
        distinct = ranks * (1 - (1 - 1 / ranks) ** counts[TOP_K])
        sent = tokens / tensor * counts[HIDDEN] * distinct
        exchange = group_seconds(ALL_TO_ALL, chip[WIDTH] * sent, levels, 1.0, ranks, scratch, launch)
        exchange += group_seconds(ALL_TO_ALL, 2 * sent, levels, 1.0, ranks, scratch, launch)
        if copies > 1:
            parts[COMMUNICATION] += counts[MOE_LAYERS] * exchange
    parts[COMMUNICATION] += reductions * reduce_s
    parts[COMMUNICATION] *= stack[EXPOSED]
    parts[OVERHEAD] = stack[ITERATION_OVERHEAD]
    return parts[0] + parts[1] + parts[2] + parts[3]


@borrowing
def best_batch(program, counts, work, chip, levels, stack, tensor, copies, tpot_s, scratch, parts, out):
    """Largest batch of one attention copy that keeps the time per output token within ``tpot_s``.

    A copy of B sequences gives B tokens each iteration; over the life of a sequence the instance also prefills one
    prompt per sequence, so time per output token = iteration(B) + B x prefill / output tokens. Both rise with B: the
    largest B is found by bisection. Fills ``out`` with batch, time per output token [s], prefill of one prompt [s],
    iteration [s], memory needed for one sequence [B], memory available [B]; returns the batch, 0 where none fits.
    """
    prompt = iteration(
        program, counts, chip, levels, stack, tensor, copies, work[INPUT], 1.0, work[INPUT], PREFILL, scratch, parts
    )
    prompt -= parts[OVERHEAD]
    length = work[INPUT] + work[OUTPUT]
    room = chip[CAPACITY] * stack[MEMORY_FRACTION] - weight_bytes(counts, chip, tensor, copies)
    per_sequence = kv_bytes_per_sequence(length, counts, tensor)
    out[2] = prompt
    out[4] = weight_bytes(counts, chip, tensor, copies) + per_sequence
    out[5] = chip[CAPACITY] * stack[MEMORY_FRACTION]
    out[0] = 0.0
    most = math.floor(room / per_sequence)
    if most < 1 or math.isinf(prompt):
        return 0.0
    low, high = 0.0, float(most)
    mean_context = work[INPUT] + work[OUTPUT] / 2
    while low < high:
        middle = math.ceil((low + high) / 2)
        seconds = iteration(
            program, counts, chip, levels, stack, tensor, copies, middle, middle, mean_context, DECODE, scratch, parts
        )
        if seconds + middle * prompt / work[OUTPUT] <= tpot_s:
            low = middle
        else:
            high = middle - 1
    if low < 1:
        return 0.0
    out[3] = iteration(
        program, counts, chip, levels, stack, tensor, copies, low, low, mean_context, DECODE, scratch, parts
    )
    out[1] = out[3] + low * prompt / work[OUTPUT]
    out[0] = low
    return low


best_batch_fast = njit(cache=True)(best_batch)
iteration_fast = njit(cache=True)(iteration)
