"""Closed-form times of collectives on nested levels; numbers and arrays only.

Groups are arrays of rows as in :mod:`simulator.collectives.rows.kernels`. Sizes follow nccl-tests: all-reduce and
broadcast count the buffer of one rank, all-gather and reduce-scatter the whole vector (ranks times the part of one),
all-to-all all that one rank sends, send/recv the message.

Every algorithm comes down to the time D in which its pipeline fills (steps times what each costs whatever its size) and
the time V in which its bytes pass. Hardware alone takes D + V; a library that cuts messages into chunks takes up to
D + V + 2 sqrt(D V) at the best number of chunks (Sanders, Speck and Traeff, Parallel Computing 35, 2009, section 3).
``RAMP`` is the share of the last term; several levels in one step have that of the outermost.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.collectives.rows.kernels import (
    AXIS,
    BANDWIDTH,
    EAGER,
    EAGER_START,
    KIND,
    LATENCY,
    LIBRARY,
    MESH,
    RAMP,
    REDUCE,
    REDUCE_START,
    SIZE,
    START,
    SWITCH,
    WINDOW,
    WRAPS,
    axes,
    has_two_way_ring,
    meshes,
    pair_bandwidth,
    ranks,
    ring_bandwidth,
    ring_latency,
    step_latency,
)
from simulator.kernels import borrowing

ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, ALL_TO_ALL, BROADCAST, SEND_RECV = range(6)
RING, BIDIRECTIONAL_RING, DOUBLE_BINARY_TREE, HALVING_DOUBLING, PAT, ONE_SHOT, TWO_SHOT, DIRECT = range(8)
RING_PER_DIMENSION, BUCKET, SWING, FULL_MESH, HIERARCHICAL, IN_NETWORK, HIERARCHICAL_TREE = range(8, 15)
ALGORITHM_COUNT = 15
MIXED_LIBRARY = 1 << RING | 1 << HIERARCHICAL
TORUS_LIBRARY = 1 << RING | 1 << BIDIRECTIONAL_RING | 1 << RING_PER_DIMENSION | 1 << BUCKET | 1 << SWING
SWITCHED_LIBRARY = (1 << ALGORITHM_COUNT) - 1 - (TORUS_LIBRARY - (1 << RING))
"""Algorithms that come into question on axes and switches together, on axes alone, and on none (bits, as LIBRARY)."""
ONLY_ALL_REDUCE = 1 << ONE_SHOT | 1 << TWO_SHOT | 1 << SWING | 1 << IN_NETWORK | 1 << HIERARCHICAL_TREE
NEVER_ALL_REDUCE = 1 << PAT | 1 << DIRECT
NEVER_BROADCAST = ONLY_ALL_REDUCE | 1 << PAT | 1 << RING_PER_DIMENSION | 1 << FULL_MESH
NEVER_SCATTERS = ONLY_ALL_REDUCE | 1 << DOUBLE_BINARY_TREE
"""Algorithms that some kinds of collectives do not have (bits, as LIBRARY)."""
LEAST_REDUCED = 3
"""Members from which switches reduce on the way: two exchange as fast without (NCCL needs more than two ranks)."""


@borrowing
def filled(fill_s, pass_s, ramp):
    """Time of a pipeline that fills in ``fill_s`` and whose bytes take ``pass_s`` [s]."""
    if ramp == 0:
        return fill_s + pass_s
    return fill_s + pass_s + 2 * ramp * math.sqrt(fill_s * pass_s)


@borrowing
def pipeline_chunks(steps, alpha, passing):
    """Chunks at which a pipeline of ``steps`` steps is fastest, whose bytes pass a step in ``passing`` seconds [1].

    With c chunks, T = (steps - 1 + c) (alpha + passing / c), least at the root of (steps - 1) passing / alpha (Sanders,
    Speck and Traeff, section 3) or at the whole number below or above it.
    """
    if alpha == 0:
        return math.inf
    fewer = max(1.0, math.floor(math.sqrt((steps - 1) * passing / alpha)))
    more = fewer + 1
    if (steps - 1 + more) * (alpha + passing / more) < (steps - 1 + fewer) * (alpha + passing / fewer):
        return more
    return fewer


@borrowing
def pipeline_seconds(steps, alpha, passing):
    """One vector down a chain or tree that a chunk passes in ``steps`` steps, at the best number of chunks [s]."""
    chunks = pipeline_chunks(steps, alpha, passing)
    if chunks == math.inf:
        return passing
    return (steps - 1 + chunks) * (alpha + passing / chunks)


@borrowing
def has_scatter(kind):
    """1 where a collective is one scatter or gather, 2 where it is both; 0 for those that are neither."""
    if kind == ALL_REDUCE:
        return 2.0
    return 1.0 if kind in (REDUCE_SCATTER, ALL_GATHER) else 0.0


@borrowing
def axis_scatter(rows, i, size_bytes, ways):
    """Reduce-scatter (or all-gather) along axis ``i`` over ``ways`` directions of a ring, or a ring on a line.

    Time to fill, time to pass [s].
    """
    members = rows[i, SIZE]
    if rows[i, WRAPS] == 1:
        passing = (members - 1) * size_bytes / (ways * members * rows[i, BANDWIDTH])
        return (members - 1) * (rows[i, START] + rows[i, LATENCY]), passing
    hops = 2.0 if members > 2 else 1.0
    passing = (members - 1) * size_bytes / (members * rows[i, BANDWIDTH])
    return (members - 1) * (rows[i, START] + hops * rows[i, LATENCY]), passing


@borrowing
def level_scatter(rows, i, size_bytes):
    """Reduce-scatter (or all-gather) in one step inside switch or mesh ``i``: time to fill, time to pass [s]."""
    members = rows[i, SIZE]
    passing = size_bytes / (members * rows[i, BANDWIDTH])
    if rows[i, KIND] == SWITCH:
        passing *= members - 1
    return rows[i, START] + rows[i, LATENCY], passing


@borrowing
def rotated_scatter_seconds(rows, count, size_bytes, ramped):
    """Reduce-scatter (or all-gather) over the first ``count`` rows, axes of a torus or of a full mesh, all at once [s].

    The data is cut into one part per row; part j walks the rows in the order j, j+1, …, so that in every phase each
    row carries exactly one part. A phase ends with its slowest part (bucket algorithm of Sack and Gropp, PPoPP 2012,
    section 4, in both directions). ``ramped`` is 1, or 0 where each phase goes in one piece.
    """
    total = 0.0
    for phase in range(count):
        longest = 0.0
        for part in range(count):
            members = 1.0
            i = part
            for _ in range(phase):
                members *= rows[i, SIZE]
                i = i + 1 if i + 1 < count else 0
            left = size_bytes / (count * members)
            if rows[i, KIND] == AXIS:
                fill, passing = axis_scatter(rows, i, left, 2.0)
            else:
                fill, passing = level_scatter(rows, i, left)
            longest = max(longest, filled(fill, passing, ramped * rows[i, RAMP]))
        total += longest
    return total


@borrowing
def ring_per_dimension_seconds(rows, size_bytes):
    """Reduce-scatter (or all-gather) along one axis after the other, in one direction [s]."""
    total = 0.0
    left = size_bytes
    for i in range(rows.shape[0]):
        fill, passing = axis_scatter(rows, i, left, 1.0)
        total += filled(fill, passing, rows[i, RAMP])
        left /= rows[i, SIZE]
    return total


@borrowing
def swing_seconds(rows, size_bytes):
    """All-reduce by Swing on a torus of closed axes whose sides are powers of two [s]; infinite elsewhere.

    Reduce-scatter and all-gather in log2 n steps each; in step s along an axis, ranks exchange with those
    |(1 - (-2)^(s+1)) / 3| away. One part for each axis and direction, the axes by turns (De Sensi et al., NSDI 2024,
    sections 3.1 and 4.1). A link then carries one part of each of as many pairs as the distance has hops, and a step
    is as long as its longest axis.
    """
    count = rows.shape[0]
    most = 0.0
    for i in range(count):
        sides = math.log2(rows[i, SIZE])
        if rows[i, WRAPS] != 1 or sides != math.floor(sides):
            return math.inf
        most = max(most, sides)
    total = 0.0
    left = size_bytes / (2 * count)
    for step in range(int(most)):
        distance = abs((1 - (-2.0) ** (step + 1)) / 3)
        for turn in range(count):
            fill = 0.0
            passing = 0.0
            is_any = False
            for part in range(count):
                i = (part + turn) % count
                if step < math.log2(rows[i, SIZE]):
                    is_any = True
                    hops = min(distance, rows[i, SIZE] - distance)
                    fill = max(fill, rows[i, START] + hops * rows[i, LATENCY])
                    passing = max(passing, left / 2 * hops / rows[i, BANDWIDTH])
            if is_any:
                total += filled(fill, passing, rows[0, RAMP])
                left /= 2
    return 2 * total


@borrowing
def reduced(rows, i, size_bytes):
    """All-reduce (or reduce-scatter and all-gather) by the switches of row ``i``: time to fill, time to pass [s].

    Of n members each sends its buffer up once and its n-th part of the sum back, and receives as much: n + 1 n-ths in
    each direction (multimem loads and stores of NVLink SHARP, as NCCL's NVLS uses them).
    """
    members = rows[i, SIZE]
    return rows[i, REDUCE_START], size_bytes * (members + 1) / (members * rows[i, REDUCE])


@borrowing
def is_reduced(rows, i, size_bytes, kind):
    """Whether the switches of row ``i`` reduce on the way, as they do where that is the shorter."""
    if kind != ALL_REDUCE or rows[i, REDUCE] == 0 or rows[i, SIZE] < LEAST_REDUCED:
        return False
    fill, passing = level_scatter(rows, i, size_bytes)
    on_the_way, through = reduced(rows, i, size_bytes)
    return on_the_way + through < 2 * (fill + passing)


@borrowing
def level_passes(rows, i, size_bytes, kind, passes):
    """All passes of a hierarchical collective through switch or mesh ``i``: time to fill, time to pass [s]."""
    if is_reduced(rows, i, size_bytes, kind):
        return reduced(rows, i, size_bytes)
    fill, passing = level_scatter(rows, i, size_bytes)
    return passes * fill, passes * passing


@borrowing
def in_chunks(fills, passings, slowest_fill, slowest, ramp):
    """Levels that fill in ``fills`` and pass in ``passings`` together, of which the slowest pass in ``slowest`` [s].

    With c chunks the first takes the sum of all levels and each further one the slowest: T(c) = fills + passings / c +
    (c - 1) slowest / c + c slowest_fill at most, at the best c; or all goes at once, one level after the other.
    """
    whole = fills + passings + 2 * ramp * math.sqrt(slowest_fill * slowest)
    chunked = fills + slowest + 2 * math.sqrt(slowest_fill * (passings - slowest + ramp * ramp * slowest))
    return min(whole, chunked)


@borrowing
def tree_sent(rows, i, size_bytes):
    """All-reduce across nodes, as trees do it, in row ``i``: time to fill, time to pass [s].

    The outermost row is crossed by two binary trees: each member is inner in one and a leaf in the other, so that it
    sends its buffer up once and down once; of two members each is the root of one tree, and sends half of it each way.
    Messages go eagerly there if that is shorter. Rows inside are rings, from which each chip takes its part to the
    trees.
    """
    members = rows[i, SIZE]
    if i == rows.shape[0] - 1:
        steps = 2 * math.ceil(math.log2(members))
        sent = (2.0 if members > 2 else 1.0) * size_bytes
        fill, passing = steps * (rows[i, START] + rows[i, LATENCY]), sent / rows[i, BANDWIDTH]
        if rows[i, EAGER] > 0:
            at_once, slowly = steps * (rows[i, EAGER_START] + rows[i, LATENCY]), sent / rows[i, EAGER]
            if at_once + slowly < fill + passing:
                fill, passing = at_once, slowly
    else:
        steps = 2 * (members - 1)
        fill = steps * (rows[i, START] + rows[i, LATENCY])
        passing = steps * size_bytes / (members * rows[i, BANDWIDTH])
    return fill, passing


@borrowing
def tree_reduces(rows, i, size_bytes):
    """Whether the switches of row ``i`` reduce on the way of trees, as they do where that is the shorter."""
    if rows[i, REDUCE] == 0 or rows[i, SIZE] < LEAST_REDUCED:
        return False
    fill, passing = tree_sent(rows, i, size_bytes)
    on_the_way, through = reduced(rows, i, size_bytes)
    return on_the_way + through < fill + passing


@borrowing
def tree_passes(rows, i, size_bytes):
    """All-reduce in row ``i`` below trees or by them, or by its switches: time to fill, time to pass [s]."""
    if tree_reduces(rows, i, size_bytes):
        return reduced(rows, i, size_bytes)
    return tree_sent(rows, i, size_bytes)


@borrowing
def hierarchical_seconds(rows, size_bytes, kind, passes, trees):
    """Scatter (and gather back: ``passes`` = 2) level by level, cut into chunks so that levels overlap [s].

    The leading axes form one level (a torus), and so do leading meshes (a full mesh of several dimensions); every
    other row is a level that works on what those below have left to one chip. Levels that use the same ports do not
    overlap, and count as one level. ``trees`` is 1 where the outermost level is crossed by trees, from rings inside;
    buffers then hold no more than the window, and filling takes no longer than to pass that.
    """
    count = axes(rows)
    if count == 0:
        count = meshes(rows)
    fills = 0.0
    passings = 0.0
    slowest_fill = 0.0
    slowest = 0.0
    ramp = rows[0, RAMP]
    window_s = math.inf
    ports_fill = 0.0
    ports = 0.0
    left = size_bytes
    if count > 0:
        fills = passes * rotated_scatter_seconds(rows, count, 0.0, 0.0)
        passings = passes * rotated_scatter_seconds(rows, count, size_bytes, 0.0) - fills
        slowest, slowest_fill = passings, fills
        for i in range(count):
            left /= rows[i, SIZE]
    for i in range(count, rows.shape[0]):
        if trees == 1:
            fill, passing = tree_passes(rows, i, left)
        else:
            fill, passing = level_passes(rows, i, left, kind, passes)
        fills += fill
        passings += passing
        is_shared = rows[i, WRAPS] == 1
        ports_fill = ports_fill + fill if is_shared else fill
        ports = ports + passing if is_shared else passing
        if ports > slowest:
            slowest, slowest_fill, ramp = ports, ports_fill, rows[i, RAMP]
            window_s = rows[i, WINDOW] / rows[i, BANDWIDTH] if trees == 1 and rows[i, WINDOW] > 0 else math.inf
        left /= rows[i, SIZE]
    together = in_chunks(fills, passings, slowest_fill, slowest, ramp)
    return min(together, fills + slowest + window_s)


@borrowing
def all_to_all_seconds(rows, size_bytes):
    """All-to-all by shortest ways, limited by the busiest links of any level [s].

    On an axis of d chips that wraps, ties split, each directed link carries n d / 8 of the n bytes that a chip sends
    to its slice ((d^2 - 1) / 8d for odd d); on a line the middle link carries n d / 4. Leading meshes are a full mesh
    of several dimensions: of what stays in it the d-th part of n goes over each link of an axis of d. Through the ports
    of a switch level goes what is meant for its other members, and what is meant for levels outside that share its
    ports. Levels work at the same time.
    """
    count = ranks(rows)
    on_axes = axes(rows)
    if on_axes == 0:
        on_axes = meshes(rows)
    in_slice = 1.0
    for i in range(on_axes):
        in_slice *= rows[i, SIZE]
    longest = 0.0
    latency = 0.0
    start = 0.0
    outside = count
    through = 0.0
    for i in range(rows.shape[0] - 1, -1, -1):
        members = rows[i, SIZE]
        start = max(start, rows[i, START])
        if rows[i, KIND] == AXIS:
            half = math.floor(members * members / 4)
            share = half / members / (2 if rows[i, WRAPS] == 1 else 1)
            latency += rows[i, LATENCY] * (math.floor(members / 2) if rows[i, WRAPS] == 1 else members - 1)
            longest = max(longest, size_bytes * share * in_slice / count / rows[i, BANDWIDTH])
        elif i < on_axes:
            latency += rows[i, LATENCY]
            longest = max(longest, size_bytes * in_slice / count / members / rows[i, BANDWIDTH])
        else:
            is_shared = i + 1 < rows.shape[0] and rows[i + 1, WRAPS] == 1
            inside = outside / members
            through = size_bytes * (outside - inside) / count + (through if is_shared else 0.0)
            width = rows[i, BANDWIDTH]
            if rows[i, KIND] == MESH:
                width *= members - 1
            latency = max(latency, rows[i, LATENCY])
            longest = max(longest, through / width)
        outside /= members
    return filled(start + latency, longest, rows[-1, RAMP])


@borrowing
def send_seconds(rows, size_bytes):
    """One message between two neighbours at the outermost level of the group [s]."""
    last = rows.shape[0] - 1
    return filled(rows[last, START] + rows[last, LATENCY], size_bytes / rows[last, BANDWIDTH], rows[last, RAMP])


@borrowing
def ring_seconds(kind, size_bytes, rows, whole, ways):
    """A ring through all ranks, the data in ``ways`` parts that go ``ways`` directions [s].

    Chunks of a broadcast follow each other at the pace of the slowest step.
    """
    count, slowest, around, _ = whole
    bandwidth = ways * around
    if kind == BROADCAST:
        return pipeline_seconds(count - 1, slowest, size_bytes / bandwidth)
    steps = has_scatter(kind) * (count - 1)
    return filled(steps * ring_latency(rows), steps * size_bytes / (count * bandwidth), rows[-1, RAMP])


@borrowing
def scatter_seconds(size_bytes, steps, rows, whole):
    """Reduce-scatter (or all-gather) in ``steps`` steps of every rank with one partner anywhere in the group [s]."""
    count, alpha, _, pair = whole
    return filled(steps * alpha, size_bytes * (count - 1) / (count * pair), rows[-1, RAMP])


@borrowing
def tree_pipeline(kind, size_bytes, whole):
    """Double binary tree, each rank inner in one and leaf in the other: steps of the first chunk, time to pass [s].

    An all-reduce goes up and down at once; in a broadcast rank 0 gives each tree its half, which is a step more.
    """
    count, _, around, _ = whole
    depth = math.ceil(math.log2(count))
    if kind == ALL_REDUCE:
        return 2 * depth, 2 * size_bytes / around
    return depth + 1, size_bytes / around


@borrowing
def tree_seconds(kind, size_bytes, whole):
    """Double binary tree: a reduction up and a broadcast down, or that alone [s]."""
    steps, passing = tree_pipeline(kind, size_bytes, whole)
    return pipeline_seconds(steps, whole[1], passing)


@borrowing
def one_shot_seconds(size_bytes, rows, whole):
    """All-reduce in one step: every rank sends all it has to every other [s]."""
    return all_to_all_seconds(rows, whole[0] * size_bytes)


@borrowing
def direct_seconds(kind, size_bytes, rows):
    """Every rank straight to every other, in one step (two for broadcast: scatter, then gather) [s].

    The loads of a scatter are those of an all-to-all.
    """
    if kind == ALL_TO_ALL:
        return all_to_all_seconds(rows, size_bytes)
    if kind == SEND_RECV:
        return send_seconds(rows, size_bytes)
    if kind == ALL_REDUCE or axes(rows) > 0:
        return math.inf
    return (2.0 if kind == BROADCAST else 1.0) * all_to_all_seconds(rows, size_bytes)


@borrowing
def full_mesh_seconds(rows, size_bytes):
    """Reduce-scatter (or all-gather) along all axes of a full mesh at once [s]; infinite where a row is none."""
    for i in range(rows.shape[0]):
        if rows[i, KIND] != MESH:
            return math.inf
    return rotated_scatter_seconds(rows, rows.shape[0], size_bytes, 1.0)


@borrowing
def in_network_seconds(rows, size_bytes):
    """All-reduce by the switches of a group that has no other level [s]; infinite where they do not reduce."""
    if rows.shape[0] == 1 and rows[0, REDUCE] > 0 and rows[0, SIZE] >= LEAST_REDUCED:
        fill, passing = reduced(rows, 0, size_bytes)
        return filled(fill, passing, rows[0, RAMP])
    return math.inf


@borrowing
def torus_algorithm_seconds(kind, algorithm, size_bytes, rows):
    """Algorithms that walk the axes of a torus [s]; infinite for others."""
    seconds = math.inf
    passes = has_scatter(kind)
    if algorithm == RING_PER_DIMENSION and passes > 0:
        seconds = passes * ring_per_dimension_seconds(rows, size_bytes)
    elif algorithm == BUCKET:
        seconds = max(passes, 1.0 + (kind == BROADCAST)) * rotated_scatter_seconds(rows, rows.shape[0], size_bytes, 1.0)
    elif algorithm == SWING and kind == ALL_REDUCE:
        seconds = swing_seconds(rows, size_bytes)
    return seconds


@borrowing
def switched_algorithm_seconds(kind, algorithm, size_bytes, rows, whole):
    """Algorithms of groups without an axis, in which every two ranks can talk at once [s]; infinite for others."""
    seconds = math.inf
    passes = has_scatter(kind)
    if algorithm == HALVING_DOUBLING:
        rounds = math.log2(whole[0])
        if rounds == math.floor(rounds):
            seconds = max(passes, 1.0 + (kind == BROADCAST)) * scatter_seconds(size_bytes, rounds, rows, whole)
    elif algorithm == PAT:
        if passes == 1:
            seconds = scatter_seconds(size_bytes, math.ceil(math.log2(whole[0])), rows, whole)
    elif algorithm == ONE_SHOT and kind == ALL_REDUCE:
        seconds = one_shot_seconds(size_bytes, rows, whole)
    elif algorithm == TWO_SHOT and kind == ALL_REDUCE:
        seconds = 2 * all_to_all_seconds(rows, size_bytes)
    elif algorithm == DOUBLE_BINARY_TREE and kind in (ALL_REDUCE, BROADCAST):
        seconds = tree_seconds(kind, size_bytes, whole)
    elif algorithm == IN_NETWORK and kind == ALL_REDUCE:
        seconds = in_network_seconds(rows, size_bytes)
    elif algorithm == FULL_MESH and passes > 0:
        seconds = passes * full_mesh_seconds(rows, size_bytes)
    return seconds


@borrowing
def summed(rows):
    """What most algorithms need of a whole group.

    Ranks, time of a step [s], and rates [B/s] of a ring and of one far partner at a time.
    """
    return ranks(rows), step_latency(rows), ring_bandwidth(rows), pair_bandwidth(rows)


@borrowing
def legal_seconds(kind, algorithm, size_bytes, rows, whole, on_torus):
    """Time of one collective by one algorithm [s], see :func:`algorithm_seconds`, from what :func:`summed` knows."""
    seconds = math.inf
    if algorithm == DIRECT:
        seconds = direct_seconds(kind, size_bytes, rows)
    elif kind in (ALL_TO_ALL, SEND_RECV):
        pass
    elif algorithm == RING:
        seconds = ring_seconds(kind, size_bytes, rows, whole, 1.0)
    elif algorithm == BIDIRECTIONAL_RING:
        seconds = ring_seconds(kind, size_bytes, rows, whole, 2.0) if has_two_way_ring(rows) else math.inf
    elif algorithm == HIERARCHICAL:
        if rows.shape[0] > max(1, on_torus):
            passes = 2.0 if kind in (ALL_REDUCE, BROADCAST) else 1.0
            seconds = hierarchical_seconds(rows, size_bytes, kind, passes, 0)
    elif algorithm == HIERARCHICAL_TREE:
        if kind == ALL_REDUCE and on_torus == 0 and rows.shape[0] > 1 and rows[-1, KIND] == SWITCH:
            seconds = hierarchical_seconds(rows, size_bytes, kind, 2.0, 1)
    elif on_torus == rows.shape[0]:
        seconds = torus_algorithm_seconds(kind, algorithm, size_bytes, rows)
    elif on_torus == 0:
        seconds = switched_algorithm_seconds(kind, algorithm, size_bytes, rows, whole)
    return seconds


@borrowing
def algorithm_seconds(kind, algorithm, size_bytes, rows):
    """Time of one collective by one algorithm [s]; infinite where the algorithm cannot do it on this group."""
    if rows.shape[0] == 0:
        return 0.0
    return legal_seconds(kind, algorithm, size_bytes, rows, summed(rows), axes(rows))


@borrowing
def cheapest(kind, size_bytes, rows):
    """The cheapest legal algorithm of the library and its time: (algorithm, seconds).

    Every library sends straight where there is no other way.
    """
    if rows.shape[0] == 0:
        return DIRECT, 0.0
    if kind == ALL_TO_ALL:
        return DIRECT, all_to_all_seconds(rows, size_bytes)
    if kind == SEND_RECV:
        return DIRECT, send_seconds(rows, size_bytes)
    best = DIRECT
    least = math.inf
    on_torus = axes(rows)
    whole = summed(rows)
    library = int(rows[0, LIBRARY])
    if kind != ALL_REDUCE:
        library >>= ALGORITHM_COUNT
    if on_torus == rows.shape[0]:
        library &= TORUS_LIBRARY
    elif on_torus == 0:
        library &= SWITCHED_LIBRARY
    else:
        library &= MIXED_LIBRARY
    if kind == ALL_REDUCE:
        library &= ~NEVER_ALL_REDUCE
    else:
        library &= ~(NEVER_BROADCAST if kind == BROADCAST else NEVER_SCATTERS)
    algorithm = -1
    while library > 0:
        algorithm += 1
        is_there = library & 1
        library >>= 1
        if is_there == 0:
            continue
        seconds = legal_seconds(kind, algorithm, size_bytes, rows, whole, on_torus)
        if seconds < least:
            best = algorithm
            least = seconds
    return best, least


@register_jitable
def priced(kind, size_bytes, rows):
    """The cheapest algorithm of the library, and the time of each that there is: (algorithm, (algorithms,) [s])."""
    times = np.empty(ALGORITHM_COUNT)
    for algorithm in range(ALGORITHM_COUNT):
        times[algorithm] = algorithm_seconds(kind, algorithm, size_bytes, rows)
    return cheapest(kind, size_bytes, rows)[0], times


priced_fast = njit(cache=True)(priced)
cheapest_fast = njit(cache=True)(cheapest)
algorithm_seconds_fast = njit(cache=True)(algorithm_seconds)
