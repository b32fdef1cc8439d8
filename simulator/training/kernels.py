"""Price one training step of one plan; numbers and arrays only.

Arrays as in :mod:`simulator.training.rows.kernels`, ``chip`` as in :mod:`simulator.compute.kernels`, ``library`` as in
:mod:`simulator.collectives.exchange.kernels`. ``levels`` (placements, levels, columns) holds the slice as in
:mod:`simulator.collectives.rows.kernels` for each order in which ranks can fill its axes; a plan says which.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.collectives.kernels import (
    ALL_GATHER,
    ALL_REDUCE,
    REDUCE_SCATTER,
    SEND_RECV,
)
from simulator.compute.kernels import (
    ACTIVATION_BYTES,
    HBM,
    HOST,
    causal_context,
)
from simulator.kernels import borrowing
from simulator.training.layers.kernels import (
    CONTEXT_F,
    DENSE_KIND,
    EXCHANGE_F,
    FORWARD,
    HEAD_KIND,
    HIDDEN_COMM,
    INPUT,
    KINDS,
    LAYER_COLUMNS,
    MOE_KIND,
    TENSOR_F,
    WEIGHT,
    exposed,
    fill_layers,
    group_seconds,
)
from simulator.training.layout.kernels import (
    expert_replicas,
    held_parameters,
    middle_of,
    pipeline_layout,
    rank_layers,
    shard_ranks,
)
from simulator.training.memory.kernels import (
    MASTER_BYTES,
    PARAMETER_BYTES,
    fill_memory,
)
from simulator.training.rows.kernels import (
    ACTIVE,
    ADAPTERS,
    ATTENTION,
    AVAILABLE,
    BATCH,
    BUBBLE,
    BUFFERS,
    COLLECTIVE_LAUNCH,
    COMPUTE,
    CONTEXT,
    CONTEXT_COMM,
    COPIES_EXPOSED,
    DATA,
    DATA_COMM,
    DATA_EXPOSED,
    DUALPIPE,
    EXPERT,
    EXPERT_COMM,
    EXPERT_TENSOR,
    FIRST_LAYERS,
    FULLY_SHARDED,
    GATHER_EXPOSED,
    GATHER_WIDTH,
    GRADIENTS_SPLIT,
    HIDDEN,
    HOP,
    JITTER,
    KEEPS_MASTER,
    KIND,
    LAST_LAYERS,
    LAYERS,
    MEMORY_COLUMNS,
    MICRO_BATCH,
    MODEL_LAYERS,
    MOE_LAYERS,
    OFFLOAD,
    OFFLOAD_BOTH,
    OFFLOAD_OPTIMIZER,
    OPTIMIZER,
    OVERHEAD,
    OVERLAP_DATA,
    PART_COLUMNS,
    PIPELINE,
    PIPELINE_COMM,
    PLACEMENT,
    PLAN_COLUMNS,
    RECOMPUTE_LAYERS,
    REDUCE_WIDTH,
    SCHEDULE,
    SEQUENCE,
    SHARD_RANKS,
    SHARDS_LAYERS,
    STATE_WIDTH,
    STEP_OVERHEAD,
    TENSOR,
    TENSOR_COMM,
    TOTAL,
    TRAFFIC,
    V_HALF,
    V_MIN,
    VIRTUAL,
    WINDOW,
    ZB_V,
    ZERO,
    K,
    N,
)
from simulator.training.schedules.kernels import (
    execute,
    pipeline_seconds,
)

BESIDE_LAYERS = (PIPELINE, VIRTUAL, DATA, ZERO, SCHEDULE, FIRST_LAYERS, LAST_LAYERS, SHARD_RANKS)
"""Columns of a plan on which the time of one layer does not depend."""


@borrowing
def data_seconds(counts, levels, stack, plan, micro_batches, compute_s, forward_s, scratch):
    """What shows of gradient reduction and parameter gathering over the data ranks in one step [s].

    ZeRO-1 reduces once a step, behind the last backward pass of a micro-batch, and gathers behind the first forward
    pass (``forward_s``); without ZeRO gradients are all-reduced. ZeRO-2, which has no room for whole gradients, reduces
    in every micro-batch (Rajbhandari et al., SC20, section 5.2), but once where a pipeline adds them up first. ZeRO-3
    gathers twice and reduces once in every micro-batch, behind compute, layer by layer, as some stacks do under ZeRO-2
    too; tables then count as parts of layers. Copies of what ZeRO splits all-reduce their shares once a step (HSDP).
    """
    tensor, launch = plan[TENSOR], stack[COLLECTIVE_LAUNCH]
    ranks, copies = plan[CONTEXT] * plan[DATA], expert_replicas(plan)
    shard, expert_shard = shard_ranks(plan)
    is_sharded = plan[ZERO] == FULLY_SHARDED
    dense, experts = held_parameters(counts, plan)
    has_experts = experts > 0
    stride = plan[EXPERT] * plan[EXPERT_TENSOR]
    gathered, reduced = plan[GATHER_WIDTH], plan[REDUCE_WIDTH]
    share = (stack[GATHER_EXPOSED] if is_sharded else stack[DATA_EXPOSED]) if plan[OVERLAP_DATA] == 1 else 1.0
    if plan[ZERO] == 0:
        whole = group_seconds(ALL_REDUCE, reduced * dense, levels, tensor, ranks, scratch, launch)
        if has_experts:
            whole += group_seconds(ALL_REDUCE, reduced * experts, levels, stride, copies, scratch, launch)
        return exposed(whole, share, 2 * forward_s)
    pieces, moe_pieces = 1.0, 1.0
    if is_sharded or (plan[ZERO] == GRADIENTS_SPLIT and stack[SHARDS_LAYERS] == 1):
        pieces, moe_pieces = counts[MODEL_LAYERS] / plan[PIPELINE], counts[MOE_LAYERS] / plan[PIPELINE]
    gather = pieces * group_seconds(ALL_GATHER, gathered * dense / pieces, levels, tensor, shard, scratch, launch)
    reduce = pieces * group_seconds(REDUCE_SCATTER, reduced * dense / pieces, levels, tensor, shard, scratch, launch)
    if has_experts:
        piece = experts / moe_pieces
        gather += moe_pieces * group_seconds(
            ALL_GATHER, gathered * piece, levels, stride, expert_shard, scratch, launch
        )
        reduce += moe_pieces * group_seconds(
            REDUCE_SCATTER, reduced * piece, levels, stride, expert_shard, scratch, launch
        )
    if is_sharded:
        shown = exposed(micro_batches * (2 * gather + reduce), share, compute_s)
    else:
        times = micro_batches if plan[ZERO] == GRADIENTS_SPLIT and plan[PIPELINE] == 1 else 1.0
        shown = times * exposed(reduce, share, 2 * forward_s) + exposed(gather, share, forward_s)
    if shard < ranks:
        mine = reduced * dense / shard
        across = group_seconds(ALL_REDUCE, mine, levels, tensor * shard, ranks / shard, scratch, launch)
        if has_experts and expert_shard < copies:
            mine = reduced * experts / expert_shard
            apart = stride * expert_shard
            across += group_seconds(ALL_REDUCE, mine, levels, apart, copies / expert_shard, scratch, launch)
        shown += exposed(across, max(share, stack[COPIES_EXPOSED]), 2 * forward_s)
    return shown


@borrowing
def stage_seconds(layer, dense_layers, moe_layers, head, first, last):
    """Sum of the columns ``first`` to before ``last`` of ``layer`` over the layers of a pipeline rank [s]."""
    total = 0.0
    for column in range(first, last):
        total += dense_layers * layer[DENSE_KIND, column] + moe_layers * layer[MOE_KIND, column]
        total += head * layer[HEAD_KIND, column]
    return total


@borrowing
def fill_busy(layer, dense_layers, moe_layers, head, times, parts):
    """Put what keeps a pipeline rank busy into ``parts``: computing and communication of its layers, so many times."""
    parts[COMPUTE] = times * stage_seconds(layer, dense_layers, moe_layers, head, FORWARD, TENSOR_F)
    parts[TENSOR_COMM] = times * stage_seconds(layer, dense_layers, moe_layers, head, TENSOR_F, CONTEXT_F)
    parts[CONTEXT_COMM] = times * stage_seconds(layer, dense_layers, moe_layers, head, CONTEXT_F, EXCHANGE_F)
    parts[EXPERT_COMM] = times * stage_seconds(layer, dense_layers, moe_layers, head, EXCHANGE_F, HIDDEN_COMM)


@borrowing
def pass_seconds(layer, dense_layers, moe_layers, head):
    """Seconds of F, B and W of one micro-batch on a pipeline rank, with the communication that shows."""
    forward = stage_seconds(layer, dense_layers, moe_layers, head, FORWARD, FORWARD + 1)
    to_input = stage_seconds(layer, dense_layers, moe_layers, head, INPUT, INPUT + 1)
    to_weight = stage_seconds(layer, dense_layers, moe_layers, head, WEIGHT, WEIGHT + 1)
    for column in range(TENSOR_F, HIDDEN_COMM, 2):
        forward += stage_seconds(layer, dense_layers, moe_layers, head, column, column + 1)
        to_input += stage_seconds(layer, dense_layers, moe_layers, head, column + 1, column + 2)
    return forward, to_input, to_weight


@borrowing
def slowest_rank(counts, plan, layer):
    """Dense layers, layers with experts and logits of the pipeline rank whose micro-batch takes longest."""
    pipeline = plan[PIPELINE]
    found = (0.0, 0.0, 0.0)
    longest = -1.0
    middle = middle_of(pipeline_layout(counts, plan))  # the first without leading layers that have no experts
    for each in range(5):
        stage = (0.0, 1.0, middle, pipeline - 2, pipeline - 1)[each]
        if stage < 0 or stage >= pipeline:
            continue
        layers, moe_layers = rank_layers(counts, plan, stage)
        head = 1.0 if stage == pipeline - 1 else 0.0
        if pipeline > 1 and plan[SCHEDULE] in (ZB_V, V_HALF, V_MIN):
            head = 1.0 if stage == 0 else 0.0
        elif pipeline > 1 and plan[SCHEDULE] == DUALPIPE:
            layers, moe_layers = layers / 2, moe_layers / 2
            head = 0.5 if stage == 0 or stage == pipeline - 1 else 0.0
        seconds = stage_seconds(layer, layers - moe_layers, moe_layers, head, FORWARD, HIDDEN_COMM)
        if seconds > longest:
            longest = seconds
            found = (layers - moe_layers, moe_layers, head)
    return found


@borrowing
def step(program, counts, work, chip, levels, library, stack, plan, scratch, layer, parts):
    """Price one step: fills ``layer`` (3, 10) and ``parts`` (11,) [s]; returns the total.

    It is infinite if the plan has no place on the fabric.
    """
    placed = levels[int(plan[PLACEMENT])]
    if fill_layers(program, counts, work, chip, placed, library, stack, plan, scratch, layer):
        return fill_parts(counts, work, chip, placed, stack, plan, layer, scratch, parts)
    parts[:] = 0.0
    parts[TOTAL] = math.inf
    return math.inf


@borrowing
def fill_parts(counts, work, chip, levels, stack, plan, layer, scratch, parts):
    """Put the layers of a plan together to a step: fills ``parts`` (11,) [s]; returns the total.

    The pipeline is estimated by its closed form; data ranks, optimizer, host and the slowest of all ranks come on top.
    The largest of n normal deviations is about sqrt(2 ln n) of them (Fisher and Tippett, 1928), of a lognormal step so
    many times ``jitter`` to first order. ``levels`` (levels, columns) are those of the plan's placement.
    """
    parts[:] = 0.0
    pipeline, moe_layers = plan[PIPELINE], counts[MOE_LAYERS]
    dense, moe, head = slowest_rank(counts, plan, layer)
    micro_batches = math.ceil(work[BATCH] / (plan[DATA] * plan[MICRO_BATCH]))
    fill_busy(layer, dense, moe, head, micro_batches, parts)
    whole_dense = counts[MODEL_LAYERS] - moe_layers
    forward, to_input, to_weight = pass_seconds(layer, whole_dense, moe_layers, 1.0)
    if pipeline > 1:
        slow_forward, slow_input, slow_weight = pass_seconds(layer, dense, moe, head)
        hop_s = send_seconds(counts, work, levels, plan, scratch)
        if math.isinf(hop_s):
            parts[TOTAL] = math.inf
            return math.inf
        parts[HOP] = hop_s
        ideal, sent = 0.0, 0.0
        for is_sent in range(2):
            found = pipeline_seconds(
                plan[SCHEDULE],
                pipeline,
                plan[VIRTUAL],
                micro_batches,
                slow_forward,
                slow_input,
                slow_weight,
                forward / pipeline,
                to_input / pipeline,
                to_weight / pipeline,
                hop_s if is_sent else 0.0,
                0.0,
            )
            if is_sent:
                sent = found
            else:
                ideal = found
        parts[PIPELINE_COMM] = sent - ideal
        parts[BUBBLE] = ideal - micro_batches * (slow_forward + slow_input + slow_weight)
    if plan[ADAPTERS] == 0:
        first = forward / pipeline
        parts[DATA_COMM] = data_seconds(counts, levels, stack, plan, micro_batches, parts[COMPUTE], first, scratch)
        held, held_experts = held_parameters(counts, plan)
        ranks, expert_ranks = shard_ranks(plan)
        if plan[ZERO] == 0:
            ranks, expert_ranks = 1.0, 1.0
        moved = (held / ranks + held_experts / expert_ranks) * optimizer_bytes(stack, plan)
        parts[OPTIMIZER] = moved / chip[HBM]
        if plan[OFFLOAD] == OFFLOAD_OPTIMIZER or plan[OFFLOAD] == OFFLOAD_BOTH:  # its states come and go once
            parts[OPTIMIZER] = moved / min(chip[HOST], chip[HBM]) if chip[HOST] > 0 else math.inf
    busy = busy_seconds(parts)
    ranks = plan[TENSOR] * plan[CONTEXT] * plan[DATA] * pipeline
    parts[OVERHEAD] = stack[JITTER] * math.sqrt(2 * math.log(ranks)) * busy
    if plan[ADAPTERS] == 0:  # nearly all of it is the update of all parameters
        parts[OVERHEAD] += stack[STEP_OVERHEAD]
    parts[TOTAL] = busy + parts[OVERHEAD]
    return parts[TOTAL]


@register_jitable
def fill_executed(passes, above, below, stage_of, is_sent, micro_batches, kinds, runs, is_split, fixed_s, layer, parts):
    """Put a pipeline run pass by pass into ``parts`` (11,) in place of the estimated one [s].

    Computing and communication are those of the rank that is busy longest, the bubble what it waits besides, messages
    between ranks what they add to the whole. Returns whether the order comes to its end.

    Parameters
    ----------
    passes, above, below, stage_of, is_sent, micro_batches : of :class:`simulator.training.schedules.Order`
    kinds : layers without experts, layers with experts and logits of each stage, three times (stages,) [1]
    runs : of each chunk of a rank in a step [1]
    is_split : whether messages are told from the bubble, which takes a second run without them; else both are there
    fixed_s : what of the overhead does not grow with the passes [s]
    layer, parts : as :func:`fill_parts` has filled them
    """
    ranks, chunks = stage_of.shape
    dense, moe, head = kinds
    forward, to_input, to_weight = np.empty(ranks * chunks), np.empty(ranks * chunks), np.empty(ranks * chunks)
    for node in range(ranks * chunks):
        stage = stage_of[node // chunks, node % chunks]
        forward[node], to_input[node], to_weight[node] = pass_seconds(layer, dense[stage], moe[stage], head[stage])
    before = busy_seconds(parts)
    busy_s = np.empty(ranks)
    start_s, end_s = np.empty((ranks, 0)), np.empty((ranks, 0))
    hops = is_sent * parts[HOP]
    is_blocking, overlap = False, 0.0
    sent = execute(
        *(passes, above, below, micro_batches, forward, to_input, to_weight, hops),
        *(is_blocking, overlap, start_s, end_s, busy_s),
    )
    busiest = np.argmax(busy_s)
    stages = stage_of[busiest]
    fill_busy(layer, runs * dense[stages].sum(), runs * moe[stages].sum(), runs * head[stages].sum(), 1.0, parts)
    parts[PIPELINE_COMM], parts[BUBBLE] = 0.0, sent - busy_s[busiest]
    after = busy_seconds(parts)
    parts[OVERHEAD] = fixed_s + (parts[OVERHEAD] - fixed_s) * after / before
    parts[TOTAL] = after + parts[OVERHEAD]
    if is_split and parts[HOP] > 0:
        hops[:] = 0.0
        ideal = execute(
            *(passes, above, below, micro_batches, forward, to_input, to_weight, hops),
            *(is_blocking, overlap, start_s, end_s, busy_s),
        )
        parts[PIPELINE_COMM], parts[BUBBLE] = sent - ideal, ideal - busy_s[busiest]
    return sent >= 0


@borrowing
def busy_seconds(parts):
    """Sum of the parts of a step before its overhead [s]."""
    total = 0.0
    for i in range(OVERHEAD):
        total += parts[i]
    return total


@borrowing
def optimizer_bytes(stack, plan):
    """Memory traffic of Adam for one parameter [B]: gradient, master copy and both moments read, all but it written.

    Where a stack keeps no master copy, the parameter itself is read, and moments are as wide as it is.
    """
    if stack[KEEPS_MASTER] == 0:
        return plan[REDUCE_WIDTH] + 2 * 3 * PARAMETER_BYTES
    return plan[REDUCE_WIDTH] + 2 * (MASTER_BYTES + 2 * plan[STATE_WIDTH]) + plan[GATHER_WIDTH]


@borrowing
def send_seconds(counts, work, levels, plan, scratch):
    """One message from a pipeline rank to the next [s]."""
    tokens = plan[MICRO_BATCH] * work[SEQUENCE] / plan[CONTEXT]
    size_bytes = ACTIVATION_BYTES * tokens * counts[HIDDEN] / plan[TENSOR]
    apart = plan[TENSOR] * plan[CONTEXT] * plan[DATA]
    return group_seconds(SEND_RECV, size_bytes, levels, apart, plan[PIPELINE], scratch, 0.0)


@register_jitable
def search(program, counts, work, chip, levels, library, stack, plans, is_filtered, seconds, needed):
    """Memory of every plan of ``plans`` (plans, 27) into ``needed``, its step time into ``seconds``, both (plans,).

    With ``is_filtered`` a plan that does not fit in memory is not priced: its time is -1 less the number of the largest
    item of its memory. The time of a plan that has no place on the fabric is infinite. Layers are priced once for plans
    in a row that have the same.
    """
    scratch = np.empty((levels.shape[1] + 1, levels.shape[2]))
    parts = np.empty(PART_COLUMNS)
    memory = np.empty(MEMORY_COLUMNS)
    layer = np.empty((KINDS, LAYER_COLUMNS))
    filled = -1  # the plan whose layers are priced
    is_placed = False
    for i in range(plans.shape[0]):
        needed[i] = fill_memory(program, counts, work, chip, stack, plans[i], memory)
        if is_filtered and needed[i] > memory[AVAILABLE]:
            largest = 0
            for item in range(1, BUFFERS + 1):
                if memory[item] > memory[largest]:
                    largest = item
            seconds[i] = -1.0 - largest
            continue
        placed = levels[int(plans[i, PLACEMENT])]
        if filled < 0 or not has_layers_of(plans, i, filled):
            is_placed = fill_layers(program, counts, work, chip, placed, library, stack, plans[i], scratch, layer)
            filled = i
        seconds[i] = math.inf
        if is_placed:
            seconds[i] = fill_parts(counts, work, chip, placed, stack, plans[i], layer, scratch, parts)


@borrowing
def has_layers_of(plans, i, j):
    """Whether two plans differ only in what the time of a layer does not depend on."""
    for column in range(PLAN_COLUMNS):
        if plans[i, column] != plans[j, column] and column not in BESIDE_LAYERS:
            return False
    # of ranks that recompute so many of their layers, the mean layer depends on how many layers they have
    return plans[i, RECOMPUTE_LAYERS] == 0 or plans[i, PIPELINE] == plans[j, PIPELINE]


@borrowing
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
fill_executed_fast = njit(cache=True)(fill_executed)
search_fast = njit(cache=True)(search)
