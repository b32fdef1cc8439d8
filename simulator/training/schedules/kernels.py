"""Run an order of pipeline passes as a dependency graph, and estimate it without running it; numbers and arrays only.

``order`` (ranks, passes, 3) as in :mod:`simulator.training.schedules.passes.kernels`. A node is a piece of the model on
a rank, ``rank x chunks + chunk``; ``above`` and ``below`` (nodes,) are the nodes that a micro-batch visits before and
after it, -1 at the ends. ``forward_s``, ``input_s``, ``weight_s`` (nodes,) are the seconds of the three passes and
``hop_s`` (nodes,) those of a message between a node and the one above it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.kernels import borrowing
from simulator.training.rows.kernels import DUALPIPE, GPIPE, ONE_F_ONE_B, V_MIN, ZB_H1, ZB_H2, ZB_V
from simulator.training.schedules.passes.kernels import BACKWARD, CHUNK, FORWARD, INPUT, KIND, MICRO, PAIRED, WEIGHT


@register_jitable
def fill_weights(plain, above, below, chunks, micro_batches, limit, order):
    """Put weight gradients between the passes of ``plain`` (ranks, 2n, 3) into ``order`` (ranks, 3n, 3).

    Every pass takes one unit of time. A rank keeps the order of its F and B; it runs its oldest W when the next of
    them cannot start, or when it is an F and ``limit`` activations are held (from F to W). Returns whether all is
    placed, which fails where the limit is below what the order of F and B needs.
    """
    ranks, passes = plain.shape[0], plain.shape[1]
    nodes = ranks * chunks
    forward_end = np.full((nodes, micro_batches), -1, np.int64)
    input_end = np.full((nodes, micro_batches), -1, np.int64)
    placed = np.zeros(ranks, np.int64)
    next_plain = np.zeros(ranks, np.int64)
    next_weight = np.zeros(ranks, np.int64)  # place in plain from where the oldest W is looked for
    held = np.zeros(ranks, np.int64)
    waiting = np.zeros(ranks, np.int64)  # weight gradients not yet run
    total = ranks * order.shape[1]
    done = 0
    now = 0
    while done < total:
        before = done
        for rank in range(ranks):
            i = next_plain[rank]
            is_ready = False
            node, micro = 0, 0
            if i < passes:
                node, micro = rank * chunks + plain[rank, i, CHUNK], plain[rank, i, MICRO]
                if plain[rank, i, KIND] == FORWARD:
                    came = 0 if above[node] < 0 else forward_end[above[node], micro]
                    is_ready = held[rank] < limit
                else:
                    came = forward_end[node, micro] if below[node] < 0 else input_end[below[node], micro]
                    is_ready = True
                is_ready = is_ready and 0 <= came <= now
            k = placed[rank]
            if is_ready:
                order[rank, k] = plain[rank, i]
                if plain[rank, i, KIND] == FORWARD:
                    forward_end[node, micro] = now + 1
                    held[rank] += 1
                else:
                    input_end[node, micro] = now + 1
                    waiting[rank] += 1
                next_plain[rank] += 1
            elif waiting[rank] > 0:
                j = next_weight[rank]
                while plain[rank, j, KIND] != INPUT:
                    j += 1
                order[rank, k, KIND] = WEIGHT
                order[rank, k, CHUNK] = plain[rank, j, CHUNK]
                order[rank, k, MICRO] = plain[rank, j, MICRO]
                next_weight[rank] = j + 1
                waiting[rank] -= 1
                held[rank] -= 1
            else:
                continue
            placed[rank] += 1
            done += 1
        now += 1
        if done == before:
            return False
    return True


@register_jitable
def execute(
    order,
    above,
    below,
    micro_batches,
    forward_s,
    input_s,
    weight_s,
    hop_s,
    is_blocking,
    overlap,
    start_s,
    end_s,
    busy_s,
):
    """Run every pass as soon as its rank is free and what it waits for has come; returns the makespan [s].

    A forward pass waits for the forward pass above it, a backward pass for its own forward pass and the backward pass
    below it, W for its B; a message arrives ``hop_s`` after the pass that sends it has ended, and with ``is_blocking``
    the sender's rank waits too. A pair takes both its passes less ``overlap`` of the shorter one, and both end
    together. Fills ``busy_s`` (ranks,), ``start_s`` and ``end_s`` (ranks, passes; the first passes where there is room
    for fewer); -1 if the order can never end.
    """
    ranks, passes = order.shape[0], order.shape[1]
    nodes = above.shape[0]
    chunks = nodes // ranks
    room = start_s.shape[1]
    # when what a pass waits for on other ranks has come, -1 before it is known; on its own rank the order sees to it
    forward_ready = np.full((nodes, micro_batches), -1.0)
    backward_ready = np.full((nodes, micro_batches), -1.0)
    rank_of = np.empty(nodes, np.int64)
    for node in range(nodes):
        rank_of[node] = node // chunks
        if above[node] < 0:
            forward_ready[node, :] = 0.0
    place = np.zeros(ranks, np.int64)
    free_s = np.zeros(ranks)
    stack = np.empty(ranks, np.int64)  # ranks that may go on
    is_stacked = np.ones(ranks, np.bool_)
    for rank in range(ranks):
        stack[rank] = ranks - 1 - rank
        busy_s[rank] = 0.0
    height = ranks
    while height > 0:
        height -= 1
        rank = stack[height]
        is_stacked[rank] = False
        i = place[rank]
        now = free_s[rank]
        while i < passes and order[rank, i, KIND] >= 0:
            kind, micro = order[rank, i, KIND], order[rank, i, MICRO]
            node = rank * chunks + order[rank, i, CHUNK]
            last = i  # of the one pass, or of the two of a pair
            if kind == WEIGHT:
                begin, takes = now, weight_s[node]
            elif kind == FORWARD:
                begin, takes = forward_ready[node, micro], forward_s[node]
            elif kind == PAIRED:
                last = i + 1
                other = rank * chunks + order[rank, last, CHUNK]
                begin = forward_ready[node, micro]
                also = backward_ready[other, order[rank, last, MICRO]]
                begin = max(begin, also) if also >= 0 else also
                takes = input_s[other] + weight_s[other]
                takes = forward_s[node] + takes - overlap * min(forward_s[node], takes)
            else:
                begin = backward_ready[node, micro]
                takes = input_s[node] if kind == INPUT else input_s[node] + weight_s[node]
            if begin < 0:
                break
            begin = max(begin, now)
            end = begin + takes
            now = end
            busy_s[rank] += takes
            while True:
                if i < room:
                    start_s[rank, i] = begin
                    end_s[rank, i] = end
                sending = 0.0
                if kind != WEIGHT:
                    is_forward = kind in (FORWARD, PAIRED)
                    to = below[node] if is_forward else above[node]
                    if to >= 0:
                        sending = hop_s[to] if is_forward else hop_s[node]
                        if is_forward:
                            forward_ready[to, micro] = end + sending
                        else:
                            backward_ready[to, micro] = end + sending
                        to = rank_of[to]
                        if to != rank and not is_stacked[to]:
                            stack[height] = to
                            is_stacked[to] = True
                            height += 1
                    elif is_forward:
                        backward_ready[node, micro] = end
                if is_blocking:
                    now = max(now, end + sending)
                i += 1
                if i > last:
                    break
                kind, micro = order[rank, i, KIND], order[rank, i, MICRO]
                node = rank * chunks + order[rank, i, CHUNK]
        place[rank] = i
        free_s[rank] = now
    makespan = 0.0
    for rank in range(ranks):
        if place[rank] < passes and order[rank, place[rank], KIND] >= 0:
            return -1.0
        makespan = max(makespan, free_s[rank])
    return makespan


@borrowing
def fill_peaks(order, held, kept, peaks):
    """Most that the activations of each rank take at once, into ``peaks`` (ranks,), in the unit of ``held``.

    ``held`` and ``kept`` (nodes,): what F leaves behind for one micro-batch, and which part of it W needs; B gives back
    the rest. The order alone decides, not the seconds.
    """
    ranks = order.shape[0]
    chunks = held.shape[0] // ranks
    for rank in range(ranks):
        now = 0.0
        peaks[rank] = 0.0
        for i in range(order.shape[1]):
            kind, node = order[rank, i, KIND], rank * chunks + order[rank, i, CHUNK]
            if kind in (FORWARD, PAIRED):
                now += held[node]
            elif kind == INPUT:
                now -= held[node] - kept[node]
            elif kind == WEIGHT:
                now -= kept[node]
            elif kind == BACKWARD:
                now -= held[node]
            peaks[rank] = max(peaks[rank], now)


@borrowing
def pipeline_seconds(
    schedule,
    ranks,
    virtual_stages,
    micro_batches,
    slow_forward_s,
    slow_input_s,
    slow_weight_s,
    forward_s,
    input_s,
    weight_s,
    hop_s,
    overlap,
):
    """Estimate what :func:`execute` returns without running it [s]; ``hop_s`` and ``overlap`` as there.

    ``slow_*`` are the seconds of F, B and W of one micro-batch on the slowest rank, all its chunks together (dualpipe:
    the mean of its two stages), the others the mean over ranks. Exact where all stages are equal and messages take no
    time (a test says where); else an estimate whose error is tested and stated in docs/models/pipelines.md.
    """
    busy = micro_batches * (slow_forward_s + slow_input_s + slow_weight_s)
    if ranks == 1:
        return busy
    above = ranks - 1.0
    f = max(ranks * forward_s - slow_forward_s, 0.0) / above  # of the mean of the other ranks, which fill and drain
    b = max(ranks * input_s - slow_input_s, 0.0) / above
    w = max(ranks * weight_s - slow_weight_s, 0.0) / above
    hops = 2 * above * hop_s
    if schedule == GPIPE:
        waits = above * (f + b + w)
    elif schedule == ONE_F_ONE_B and virtual_stages > 1:
        waits = above * (f + b + w) / virtual_stages
        if micro_batches < ranks:  # too few to keep ranks busy until the first comes back to its next chunk
            slow_s = slow_forward_s + slow_input_s + slow_weight_s
            waits = max(waits, above * (f + b + w) - (micro_batches - 1) * slow_s * (1 - 1 / virtual_stages))
        hops = 2 * (ranks * virtual_stages - 1) * hop_s
    elif schedule == ONE_F_ONE_B:
        waits = above * (f + b + w)
        hops = max(hops, (2 * micro_batches * above / ranks + 2 * (ranks - 2)) * hop_s)
    elif schedule in (ZB_H1, ZB_H2):
        extra = above if schedule == ZB_H1 else 2 * above  # micro-batches that W can wait for
        waits = max(above * f, above * (f + b) - min(micro_batches - 1.0, extra) * w)
        waits = max(waits, above * b + (ranks - min(micro_batches, extra + 1)) * f)
        hops = (4 if schedule == ZB_H1 else 1) * above * hop_s
    elif schedule == DUALPIPE:
        k = ranks // 2 - 1
        waits = max(2 * k * f, 2 * k * f + k * (b - w), (k - 1) * f + 2 * k * b - k * w, (k - 1) * f + k * b)
        waits -= (micro_batches - ranks - 1 + k) * overlap * min(f, b + w)
        hops = (micro_batches * above / ranks + max(1.5 * ranks - 3, 1.0)) * hop_s
    else:
        return folded_seconds(schedule, ranks, micro_batches, busy, f / 2, b / 2, w / 2, hop_s)
    return busy + waits + hops


@borrowing
def folded_seconds(schedule, p, m, busy, f, b, w, hop_s):
    """:func:`pipeline_seconds` of zb-v, v-half and v-min; ``f``, ``b``, ``w`` are the passes of one chunk [s].

    The longest of the paths through the repeated block, each a count of F, B and W: what comes with every micro-batch,
    and what comes once.
    """
    once = 2 * p * (f + b) + w  # one micro-batch alone
    if schedule == ZB_V:
        waits = 2 * (p - 1) * max(f, b) - min(m - 1, 2 * (p - 1)) * w
        waits = max(waits, (p - 1) * max(2 * f - b, b, w))
        return max(once + (m - 1) * (f + b), busy + waits) + 5 * (p - 1) * hop_s
    if schedule == V_MIN:
        if p == 2:
            found = max(busy + 2 * f + b, m * (f + 4 * b + w) + 3 * f, (3 * m + 1) * (f + b) + w)
        else:
            turn = 2 if p % 3 == 0 and m > 1 else 0  # the block waits longer where the model turns
            most, least = 2 * p + 2 * turn, 2 * p - 6 - turn
            found = busy + (2 * p - 1) * (f + b) - max(3, (p + 2) // 3 + 1) * w
            found = max(found, 6 * m * b + most * f + least * b + w, 6 * m * f + least * f + most * b + w)
        return max(found, once) + (m * (6 - 8 / p) + 3 * p - 4) * hop_s
    if p == 2:
        found = max(busy + 3 * f, m * (3 * f + 2 * b + w) + f + 2 * b, m * (4 * f + b + w) + 3 * b)
    elif p % 2:
        found = busy + (p - 1) * (f + 3 * b) - p * w
        found = max(found, m * (4 * f + 2 * w) + 2 * (p - 2) * f + p * (2 * b - w))
        found = max(found, m * 4 * b + 2 * p * f + (2 * p - 4) * b + (w if p == 3 else (m - (p + 1) / 2) * w))
    else:
        half = p / 2
        found = busy + max((p + 1) * (f - w) + (3 * p - 4) * b, (2 * p + 1) * f + (p - 4) * b - w)
        found = max(found, m * (f + 4 * b) + (3 * half + 2) * f + (2 * p - 6) * b + w)
        found = max(found, m * (3 * f + 2 * b + w) + half * (f - w) + (3 * p - 4) * b)
        found = max(found, m * (4 * f + b + w) + (2 * p - 4) * f + half * (3 * b - w))
    return max(found, once + 2 * (m - 1) * (f + b)) + (2 * m + 5 * p - 8) * hop_s


fill_weights_fast = njit(cache=True)(fill_weights)
execute_fast = njit(cache=True)(execute)
fill_peaks_fast = njit(cache=True)(fill_peaks)
pipeline_seconds_fast = njit(cache=True)(pipeline_seconds)
