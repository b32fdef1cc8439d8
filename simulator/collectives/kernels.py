"""Closed-form times of collectives on nested levels; numbers and arrays only.

A slice, and a group of chips in it, is an array of shape (levels, 9), innermost level first; each row joins ``SIZE``
things:

====== ========= ==============================================================================================
column name      meaning
====== ========= ==============================================================================================
0      KIND      AXIS (ring or line of a torus), SWITCH (any to any), MESH (a link to each other member)
1      SIZE      members [1]
2      BANDWIDTH of one chip, one direction [B/s]: of one link along an axis, into the switches of a switch level,
                 of the link to one peer of a mesh
3      LATENCY   of one hop along an axis, or from member to member of a switch or mesh [s]
4      START     software time of each step [s]
5      WRAPS     1 where an axis closes to a ring, and where a switch is reached through the ports of the level inside
6      STEP      chips of the axis from one member to the next [1]
7      LENGTH    chips of the whole axis [1]
8      LINE      number of the axis; a slice may hold an axis as two rows, inside cubes and from cube to cube
====== ========= ==============================================================================================

Sizes follow nccl-tests: all-reduce and broadcast count the buffer of one rank, all-gather and reduce-scatter the
whole vector (ranks times the part of one), all-to-all all that one rank sends, send/recv the message.
"""

from __future__ import annotations

import math

from numba import njit
from numba.extending import register_jitable

KIND, SIZE, BANDWIDTH, LATENCY, START, WRAPS, STEP, LENGTH, LINE = range(9)
COLUMNS = 9
AXIS, SWITCH, MESH = range(3)
ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, ALL_TO_ALL, BROADCAST, SEND_RECV = range(6)
RING, BIDIRECTIONAL_RING, DOUBLE_TREE, HALVING_DOUBLING, TORUS, DIRECT, HIERARCHICAL = range(7)
ALGORITHM_COUNT = 7


@register_jitable
def ranks(rows):
    """Members of the whole group."""
    product = 1.0
    for i in range(rows.shape[0]):
        product *= rows[i, SIZE]
    return product


@register_jitable
def step_latency(rows):
    """Time of one step between neighbours of the group at its slowest level [s]."""
    slowest = 0.0
    for i in range(rows.shape[0]):
        hops = 1.0
        if rows[i, KIND] == AXIS and rows[i, WRAPS] == 0 and rows[i, SIZE] > 2:
            hops = 2.0  # a ring laid on a line skips every other chip, so that no link carries two of its hops
        slowest = max(slowest, rows[i, START] + hops * rows[i, LATENCY])
    return slowest


@register_jitable
def ring_bandwidth(rows):
    """Rate of one ring through the whole group [B/s]: at each level all members below share the way out."""
    slowest = math.inf
    inside = 1.0
    for i in range(rows.shape[0]):
        slowest = min(slowest, rows[i, BANDWIDTH] * inside)
        inside *= rows[i, SIZE]
    return slowest


@register_jitable
def flat_bandwidth(rows):
    """Rate of a chip that talks to far partners all the time [B/s]: its own share of the narrowest level."""
    slowest = math.inf
    for i in range(rows.shape[0]):
        width = rows[i, BANDWIDTH]
        if rows[i, KIND] == MESH:
            width *= rows[i, SIZE] - 1
        slowest = min(slowest, width)
    return slowest


@register_jitable
def axes(rows):
    """How many leading rows are axes of a torus."""
    count = 0
    while count < rows.shape[0] and rows[count, KIND] == AXIS:
        count += 1
    return count


@register_jitable
def has_two_way_ring(rows):
    """Whether a ring through the group can run both ways at once without sharing a link."""
    count = axes(rows)
    if count != rows.shape[0]:
        return False
    return count > 1 or (rows[0, WRAPS] == 1 and rows[0, SIZE] > 2)


@register_jitable
def axis_scatter_seconds(rows, i, size_bytes):
    """Reduce-scatter (or all-gather) along axis ``i``, both directions of a ring, or a ring laid on a line [s]."""
    members = rows[i, SIZE]
    if rows[i, WRAPS] == 1:
        return (members - 1) * (rows[i, START] + rows[i, LATENCY] + size_bytes / (2 * members * rows[i, BANDWIDTH]))
    hops = 2.0 if members > 2 else 1.0
    return (members - 1) * (rows[i, START] + hops * rows[i, LATENCY] + size_bytes / (members * rows[i, BANDWIDTH]))


@register_jitable
def torus_scatter_seconds(rows, count, size_bytes):
    """Reduce-scatter (or all-gather) over the first ``count`` rows, the axes of a torus, all at once [s].

    The data is cut into one part per axis; part j walks the axes in the order j, j+1, …, so that in every phase each
    axis carries exactly one part. A phase ends with its slowest part (bucket algorithm of Sack and Gropp, PPoPP 2012,
    section 4, in both directions).
    """
    total = 0.0
    for phase in range(count):
        longest = 0.0
        for part in range(count):
            left = size_bytes / count
            for done in range(phase):
                left /= rows[(part + done) % count, SIZE]
            longest = max(longest, axis_scatter_seconds(rows, (part + phase) % count, left))
        total += longest
    return total


@register_jitable
def level_scatter_seconds(rows, i, size_bytes):
    """Reduce-scatter (or all-gather) inside switch or mesh ``i``, in one step to all [s]."""
    members = rows[i, SIZE]
    alpha = rows[i, START] + rows[i, LATENCY]
    if rows[i, KIND] == MESH:
        return alpha + size_bytes / (members * rows[i, BANDWIDTH])
    return alpha + size_bytes * (members - 1) / (members * rows[i, BANDWIDTH])


@register_jitable
def pipelined_tree_seconds(size_bytes, depth, alpha, bandwidth):
    """One vector through a pipelined pair of trees, at the best number of chunks [s].

    With c chunks, T = (depth + c) (alpha + n / (c B)); the best c gives (sqrt(depth alpha) + sqrt(n / B))^2
    (Sanders, Speck and Traeff, Parallel Computing 35, 2009, section 3).
    """
    return (math.sqrt(depth * alpha) + math.sqrt(size_bytes / bandwidth)) ** 2


@register_jitable
def hierarchical_seconds(rows, size_bytes, passes):
    """Scatter (and gather back: ``passes`` = 2) level by level, cut into chunks so that levels overlap [s].

    The leading axes form one level (a torus); every other row is a level that works on what those below have left to
    one chip. With c chunks the first takes the sum of all levels, each further one the slowest level:
    T = sum_i t_i(n/c) + (c - 1) max_i t_i(n/c), at the best c of 1, 4, 16. Levels that use the same ports do not
    overlap, and count as one in the maximum.
    """
    count = axes(rows)
    best = math.inf
    chunks = 1.0
    while chunks <= 16:
        left = size_bytes / chunks
        total = 0.0
        longest = 0.0
        ports = 0.0
        if count > 0:
            total = passes * torus_scatter_seconds(rows, count, left)
            longest = total
            for i in range(count):
                left /= rows[i, SIZE]
        for i in range(count, rows.shape[0]):
            seconds = passes * level_scatter_seconds(rows, i, left)
            total += seconds
            ports = ports + seconds if rows[i, WRAPS] == 1 else seconds
            longest = max(longest, ports)
            left /= rows[i, SIZE]
        best = min(best, total + (chunks - 1) * longest)
        chunks *= 4
    return best


@register_jitable
def all_to_all_seconds(rows, size_bytes):
    """All-to-all by shortest ways, limited by the busiest links of any level [s].

    On an axis of d chips that wraps, ties split, each directed link carries n d / 8 of the n bytes that a chip sends
    ((d^2 - 1) / 8d for odd d); on a line the middle link carries n d / 4. Into a switch level goes all that leaves
    the levels below. Levels work at the same time.
    """
    count = ranks(rows)
    inside = 1.0
    longest = 0.0
    latency = 0.0
    start = 0.0
    for i in range(rows.shape[0]):
        members = rows[i, SIZE]
        start = max(start, rows[i, START])
        if rows[i, KIND] == AXIS:
            half = math.floor(members * members / 4)
            share = half / members / (2 if rows[i, WRAPS] == 1 else 1)
            latency += rows[i, LATENCY] * (math.floor(members / 2) if rows[i, WRAPS] == 1 else members - 1)
            longest = max(longest, size_bytes * share / rows[i, BANDWIDTH])
        else:
            leaving = size_bytes * (count - inside) / count
            width = rows[i, BANDWIDTH]
            if rows[i, KIND] == MESH:
                width *= members - 1
            latency = max(latency, rows[i, LATENCY])
            longest = max(longest, leaving / width)
        inside *= members
    return start + latency + longest


@register_jitable
def send_seconds(rows, size_bytes):
    """One message between two neighbours at the outermost level of the group [s]."""
    last = rows.shape[0] - 1
    return rows[last, START] + rows[last, LATENCY] + size_bytes / rows[last, BANDWIDTH]


@register_jitable
def ring_seconds(kind, size_bytes, count, alpha, bandwidth):
    """A ring of ``count`` ranks whose links carry ``bandwidth`` in all [s]; infinite for other collectives."""
    scatter = (count - 1) * (alpha + size_bytes / (count * bandwidth))
    if kind == ALL_REDUCE:
        return 2 * scatter
    if kind in (REDUCE_SCATTER, ALL_GATHER):
        return scatter
    if kind == BROADCAST:
        return pipelined_tree_seconds(size_bytes, count - 1, alpha, bandwidth)
    return math.inf


@register_jitable
def halving_doubling_seconds(kind, size_bytes, count, alpha, bandwidth):
    """Recursive halving, doubling or both (Thakur, Rabenseifner, Gropp, IJHPCA 19, 2005, section 4) [s]."""
    rounds = math.log2(count)
    if rounds != math.floor(rounds):
        return math.inf
    one_way = rounds * alpha + size_bytes * (count - 1) / (count * bandwidth)
    if kind in (ALL_REDUCE, BROADCAST):
        return 2 * one_way
    return one_way if kind in (REDUCE_SCATTER, ALL_GATHER) else math.inf


@register_jitable
def direct_seconds(kind, size_bytes, rows):
    """Every rank straight to every other, in one step (two for all-reduce and broadcast) [s]."""
    if kind == ALL_TO_ALL:
        return all_to_all_seconds(rows, size_bytes)
    if kind == SEND_RECV:
        return send_seconds(rows, size_bytes)
    if axes(rows) > 0:
        return math.inf
    count = ranks(rows)
    scatter = step_latency(rows) + size_bytes * (count - 1) / (count * flat_bandwidth(rows))
    return scatter if kind in (REDUCE_SCATTER, ALL_GATHER) else 2 * scatter


@register_jitable
def tree_seconds(kind, size_bytes, rows):
    """Double binary tree: a reduction up and a broadcast down; every rank is inner in one tree, leaf in one [s]."""
    passes = math.inf
    if kind == ALL_REDUCE:
        passes = 2.0
    elif kind == BROADCAST:
        passes = 1.0
    depth = math.ceil(math.log2(ranks(rows)))
    return passes * pipelined_tree_seconds(size_bytes, depth, step_latency(rows), ring_bandwidth(rows))


@register_jitable
def algorithm_seconds(kind, algorithm, size_bytes, rows):
    """Time of one collective by one algorithm [s]; infinite where the algorithm cannot do it on this group."""
    if rows.shape[0] == 0:
        return 0.0
    seconds = math.inf
    count = ranks(rows)
    on_torus = axes(rows)
    passes = 2.0 if kind in (ALL_REDUCE, BROADCAST) else 1.0
    if algorithm == DIRECT:
        seconds = direct_seconds(kind, size_bytes, rows)
    elif kind in (ALL_TO_ALL, SEND_RECV):
        pass
    elif algorithm == RING:
        seconds = ring_seconds(kind, size_bytes, count, step_latency(rows), ring_bandwidth(rows))
    elif algorithm == BIDIRECTIONAL_RING and has_two_way_ring(rows):
        seconds = ring_seconds(kind, size_bytes, count, step_latency(rows), 2 * ring_bandwidth(rows))
    elif algorithm == TORUS and on_torus == rows.shape[0]:
        seconds = passes * torus_scatter_seconds(rows, on_torus, size_bytes)
    elif algorithm == HIERARCHICAL and rows.shape[0] > max(1, on_torus):
        seconds = hierarchical_seconds(rows, size_bytes, passes)
    elif algorithm == HALVING_DOUBLING and on_torus == 0:
        seconds = halving_doubling_seconds(kind, size_bytes, count, step_latency(rows), flat_bandwidth(rows))
    elif algorithm == DOUBLE_TREE and on_torus == 0:
        seconds = tree_seconds(kind, size_bytes, rows)
    return seconds


@register_jitable
def cheapest(kind, size_bytes, rows):
    """The cheapest legal algorithm and its time: (algorithm, seconds)."""
    best = DIRECT
    least = math.inf
    for algorithm in range(ALGORITHM_COUNT):
        seconds = algorithm_seconds(kind, algorithm, size_bytes, rows)
        if seconds < least:
            best = algorithm
            least = seconds
    return best, least


@register_jitable
def subgroup(levels, stride, size, out):
    """Rows of the group of ``size`` ranks that lie ``stride`` apart, cut out of a slice's levels into ``out``.

    Ranks fill levels innermost first. A group that takes part of an axis is a line; one whose members lie k apart on
    an axis shares its links with k - 1 other groups that do the same at the same time. A group that does not divide a
    switch level evenly has members on several sides of it and is priced as if all of them had to cross the outermost
    level. Returns the number of rows, or -1 where the group does not divide an axis.
    """
    rows = 0
    left = size
    apart = stride
    for i in range(levels.shape[0]):
        if left == 1:
            break
        members = levels[i, SIZE]
        if apart >= members and apart % members == 0:
            apart /= members
            continue
        here = min(left, members / apart)
        if apart >= members or members % (apart * here) != 0 or left % here != 0:
            if levels[i, KIND] == AXIS:
                return -1
            for column in range(COLUMNS):
                out[rows, column] = levels[levels.shape[0] - 1, column]
            out[rows, SIZE] = left
            return rows + 1
        if levels[i, KIND] == AXIS:
            rows = lay_on_axis(levels, i, apart, here, out, rows)
        else:
            for column in range(COLUMNS):
                out[rows, column] = levels[i, column]
            out[rows, SIZE] = here
            rows += 1
        left /= here
        apart = 1.0
    return rows if left == 1 else -1


@register_jitable
def lay_on_axis(levels, i, apart, here, out, rows):
    """Add ``here`` members, ``apart`` of row ``i`` from each other, to the group; returns the number of rows.

    Members that carry on where an earlier row of the same axis ends lengthen that row instead of adding one.
    """
    step = apart * levels[i, STEP]
    for j in range(rows):
        if out[j, KIND] == AXIS and out[j, LINE] == levels[i, LINE] and out[j, SIZE] * out[j, STEP] == step:
            out[j, SIZE] *= here
            out[j, WRAPS] = levels[i, WRAPS] if out[j, SIZE] * out[j, STEP] == out[j, LENGTH] else 0.0
            return rows
    for column in range(COLUMNS):
        out[rows, column] = levels[i, column]
    out[rows, SIZE] = here
    out[rows, STEP] = step
    out[rows, BANDWIDTH] = levels[i, BANDWIDTH] / step
    out[rows, LATENCY] = levels[i, LATENCY] * step
    out[rows, WRAPS] = levels[i, WRAPS] if here * step == levels[i, LENGTH] else 0.0
    return rows + 1


cheapest_fast = njit(cache=True)(cheapest)
algorithm_seconds_fast = njit(cache=True)(algorithm_seconds)
subgroup_fast = njit(cache=True)(subgroup)
