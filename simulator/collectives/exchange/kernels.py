"""Where the top-k experts of a token lie, what unequal parts load onto links, and how long an exchange takes.

Numbers and arrays only.

A token picks a set S of k experts with a probability proportional to the product of the odds of its members
(conditional Poisson sampling: of all ways to draw k without replacement that have the same demand for each expert, the
most random one; Chen, Dempster and Liu, Biometrika 81, 1994, section 2). Equal odds are the hypergeometric
distribution. With e_j the elementary symmetric polynomial of degree j,

    P(S has j members in A) = e_j(odds in A) e_(k-j)(odds elsewhere) / e_k(all odds).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numba.extending import register_jitable

from simulator.collectives.rows.kernels import (
    AXIS,
    BANDWIDTH,
    KIND,
    LATENCY,
    LENGTH,
    LINE,
    MESH,
    SIZE,
    STEP,
    SWITCH,
    WRAPS,
    subgroup,
)
from simulator.kernels import borrowing

DISPATCH_START, COMBINE_START, DISPATCH_SIGNAL, COMBINE_SIGNAL, DISPATCH_CALL, COMBINE_CALL = range(6)
NETWORK_START, SCAN, COMBINE_INSIDE, COMBINE_OUTSIDE, STRAIGHT, NETWORK_LINE = range(6, 12)
CONSTANTS = 12
"""Columns of a library's row: floors of both phases, time for each expert, the least time of a call, what comes on top
where ranks are on several machines [s]; time for each token and rank [s]; how much of a link combine reaches over what
dispatch does, inside and outside [1]; 1 where each copy goes straight; LINE of the network, or -1 where there is none.
"""


@register_jitable
def polynomial(odds, first, last, degree):
    """Elementary symmetric polynomials of ``odds[first:last]`` up to ``degree``: (degree + 1,)."""
    found = np.zeros(degree + 1)
    found[0] = 1.0
    for i in range(first, last):
        for j in range(degree, 0, -1):
            found[j] += odds[i] * found[j - 1]
    return found


@register_jitable
def product(a, b):
    """Product of two polynomials, cut off at the degree of the first: (degree + 1,)."""
    found = np.zeros(a.shape[0])
    for i in range(a.shape[0]):
        for j in range(a.shape[0] - i):
            found[i + j] += a[i] * b[j]
    return found


@register_jitable
def picked(odds, top_k, each):
    """Whether and how often a token picks each run of ``each`` experts: (runs,) [1], (runs,) [1].

    ``odds`` (experts,) are scaled inside; at least ``top_k`` of them are positive. The first answer is the probability
    that a token picks any expert of the run, the second the expected number that it picks there.
    """
    count = odds.shape[0] // each
    total = 0.0
    for i in range(odds.shape[0]):
        total += odds[i]
    scaled = odds * (top_k / total)
    before = np.zeros((count + 1, top_k + 1))
    own = np.zeros((count, top_k + 1))
    before[0, 0] = 1.0
    for run in range(count):
        own[run] = polynomial(scaled, run * each, (run + 1) * each, top_k)
        before[run + 1] = product(before[run], own[run])
    whole = before[count, top_k]
    after = np.zeros(top_k + 1)
    after[0] = 1.0
    hit = np.empty(count)
    copies = np.empty(count)
    for run in range(count - 1, -1, -1):
        rest = product(before[run], after)
        hit[run] = 0.0
        copies[run] = 0.0
        for j in range(1, top_k + 1):
            chance = own[run, j] * rest[top_k - j] / whole
            hit[run] += chance
            copies[run] += j * chance
        after = product(after, own[run])
    return hit, copies


def fitted_odds(demand, top_k, rounds, tolerance):
    """Odds under which each expert is picked by the share of tokens that ``demand`` (experts,) says: (experts,).

    ``demand`` adds up to ``top_k``, none above 1. Each round divides the odds by what they gave and multiplies by what
    they should (Chen, Dempster and Liu, section 4).
    """
    odds = demand.copy()
    for _ in range(rounds):
        given = picked(odds, top_k, 1)[0]
        worst = 0.0
        for i in range(odds.shape[0]):
            if demand[i] > 0:
                worst = max(worst, abs(given[i] - demand[i]))
                odds[i] *= demand[i] / given[i]
        if worst <= tolerance:
            break
    return odds


@borrowing
def add_along_axis(loads, number, node, here, there, line, amount):
    """Add ``amount`` bytes to every link of an axis on the shortest way from ``here`` to ``there``, ties split.

    ``line`` holds the members, the stride of the nodes' numbers and whether the axis closes.
    """
    members, stride, wraps = line
    ahead = (there - here) % members
    behind = members - ahead
    share = 1.0 if there > here else 0.0
    if wraps == 1:
        share = 1.0 if ahead < behind else 0.0
        if ahead == behind:
            share = 0.5
    base = node - here * stride
    if share > 0:
        for hop in range(ahead):
            loads[number, base + (here + hop) % members * stride, 0] += share * amount
    if share < 1:
        for hop in range(behind):
            loads[number, base + (here - hop) % members * stride, 1] += (1 - share) * amount


def vector_loads(rows, matrix):
    """Bytes on the fullest link of each row, and all that crosses it, when rank i sends ``matrix[i, j]`` to rank j.

    Ranks number the chips through the rows, innermost first. What leaves a switch level goes straight through the
    outermost level whose members differ, and through the ports below where it shares them; a full mesh passes on along
    one axis after the other, the outermost first; a torus in the order of its axes by shortest ways, ties split.
    Returns (rows,) [B] and (rows,) [B]; rows of one axis have the same load.
    """
    count = matrix.shape[0]
    depth = rows.shape[0]
    step = np.empty(depth, dtype=np.int64)  # ranks from one member of a row to the next
    total = 1
    widest = 1
    for i in range(depth):
        step[i] = total
        total *= int(rows[i, SIZE])
        widest = max(widest, int(rows[i, SIZE]))
    torus = 1
    axes = 0
    while axes < depth and rows[axes, KIND] == AXIS:
        torus *= int(rows[axes, SIZE])
        axes += 1
    stride = np.ones(depth, dtype=np.int64)  # nodes of a torus numbered by coordinates, one stride for each line
    size = 1
    for i in range(axes):
        is_new = True
        for j in range(i):
            if rows[j, LINE] == rows[i, LINE]:
                stride[i] = stride[j]
                is_new = False
        if is_new:
            stride[i] = size
            size *= int(rows[i, LENGTH])
    links = np.zeros((max(axes, 1), count, 2))
    sent = np.zeros((depth, count))
    received = np.zeros((depth, count))
    mesh = np.zeros((depth, count, widest))
    crossing = np.zeros(depth)
    here = np.zeros(depth)
    there = np.zeros(depth)
    for source in range(count):
        for target in range(count):
            amount = matrix[source, target]
            if amount == 0 or source == target:
                continue
            at = source
            arrived = False
            for i in range(depth - 1, axes - 1, -1):
                members = int(rows[i, SIZE])
                digit = at // step[i] % members
                wanted = target // step[i] % members
                if digit == wanted:
                    continue
                crossing[i] += amount
                if rows[i, KIND] == MESH:
                    mesh[i, at, wanted] += amount
                    at += (wanted - digit) * step[i]
                    continue
                level = i
                sent[level, at] += amount
                received[level, target] += amount
                while level > axes and rows[level, WRAPS] == 1:
                    level -= 1
                    sent[level, at] += amount
                    received[level, target] += amount
                arrived = True
                break
            if arrived:
                continue
            here[:] = 0
            there[:] = 0
            node = at // torus * torus
            for i in range(axes):
                members = int(rows[i, SIZE])
                for j in range(i + 1):
                    if rows[j, LINE] == rows[i, LINE]:
                        here[j] += at // step[i] % members * rows[i, STEP]
                        there[j] += target // step[i] % members * rows[i, STEP]
                        node += int(at // step[i] % members * rows[i, STEP]) * stride[j]
                        break
            for i in range(axes):
                if here[i] != there[i]:
                    crossing[i] += amount
                    line = (int(rows[i, LENGTH]), stride[i], rows[i, WRAPS])
                    add_along_axis(links, i, node, int(here[i]), int(there[i]), line, amount)
                    node += int(there[i] - here[i]) * stride[i]
    fullest = np.zeros(depth)
    for i in range(depth):
        if rows[i, KIND] == AXIS:
            fullest[i] = links[i].max()
        elif rows[i, KIND] == MESH:
            fullest[i] = mesh[i].max()
        else:
            fullest[i] = max(sent[i].max(), received[i].max())
    return fullest, crossing


def vector_seconds(rows, fullest):
    """Time until the fullest link of any row has passed its bytes [s], and the row."""
    longest = 0.0
    slowest = 0
    for i in range(rows.shape[0]):
        seconds = fullest[i] / rows[i, BANDWIDTH]
        if seconds > longest:
            longest, slowest = seconds, i
    return longest, slowest


@borrowing
def reached(top_k, experts, sets, skew):
    """Distinct of ``sets`` equal sets of ranks in which a token picks an expert, as if all were as busy as one [1].

    That one holds ``skew`` times its share of all picks, as if it had so many times its experts. Numbers that do not
    divide count as if experts could be cut.
    """
    held = min(skew * experts / sets, experts)
    missed = 1.0
    for i in range(int(top_k)):
        missed *= max(0.0, experts - held - i) / (experts - i)
    return sets * (1.0 - missed)


@borrowing
def ports_seconds(rows, first, last, inside, ranks):
    """What the slowest of the rows of a domain needs for one byte that each rank sends to all alike [s].

    ``inside`` ranks of the ``ranks`` among whom it is sent make one member of the innermost row. As
    :func:`simulator.collectives.exchange.domains.straight_loads`.
    """
    size = 1.0
    for i in range(first, last):
        size *= rows[i, SIZE]
    outer = inside * size
    ports = 0.0
    slowest = 0.0
    for i in range(last - 1, first - 1, -1):
        members = rows[i, SIZE]
        if rows[first, KIND] == AXIS:
            share = math.floor(members * members / 4) / members / (2.0 if rows[i, WRAPS] == 1 else 1.0)
            slowest = max(slowest, size / ranks * share / rows[i, BANDWIDTH])
        else:
            ports += (outer - outer / members) / ranks
            outer /= members
            width = rows[i, BANDWIDTH] * (members - 1 if rows[i, KIND] == MESH else 1.0)
            slowest = max(slowest, ports / width)
    return slowest


@borrowing
def way_seconds(rows, first, last):
    """Latency between the members of a domain farthest apart [s]: of all axes, or of the longest way of switches."""
    total = 0.0
    longest = 0.0
    for i in range(first, last):
        hops = 1.0
        if rows[i, KIND] == AXIS:
            hops = math.floor(rows[i, SIZE] / 2) if rows[i, WRAPS] == 1 else rows[i, SIZE] - 1
        total += hops * rows[i, LATENCY]
        longest = max(longest, hops * rows[i, LATENCY])
    return longest if rows[first, KIND] == SWITCH else total


@borrowing
def exchange_seconds(
    tokens, hidden, top_k, experts, ranks, stride, dispatch_bytes, combine_bytes, skew, levels, library, scratch
):
    """Time of a dispatch and of a combine of experts: (seconds, seconds); infinite where the group is none.

    Tokens are sent once to each member of a level and fanned out there (normal kernels), or each copy straight to its
    rank, as ``library`` says; in balanced demand the same as :func:`simulator.collectives.exchange.dispatch` and
    ``combine`` on the group as a slice of its own.

    Parameters
    ----------
    tokens : of one rank; an average, so that it need not be whole [1]
    hidden : values of a token [1]
    top_k, experts : experts that a token picks, and all of them, equally many on each rank [1]; at least ``top_k``
    ranks, stride : of the group; its members lie ``stride`` chips apart in the slice [1]
    dispatch_bytes, combine_bytes : of a value out and back, its share of a scaling factor included: 1 + 4 / 128 for
        FP8 with a factor of four bytes for each 128 values, 2 for BF16 [B]
    skew : picks of the busiest rank over the mean, 1 in balanced demand, as if all other ranks were equally busy [1]
    levels : (levels, COLUMNS) of the slice, with bandwidths as the dispatch of the library reaches them
    library : (CONSTANTS,) of the library in one mode, see :data:`CONSTANTS`; both from
        :func:`simulator.collectives.exchange.packed`
    scratch : (levels + 1, COLUMNS), for the rows of the group
    """
    if ranks <= 1:
        return 0.0, 0.0
    depth = subgroup(levels, stride, ranks, scratch)
    if depth < 0:
        return math.inf, math.inf
    return exchange_in_group(
        tokens, hidden, top_k, experts, ranks, dispatch_bytes, combine_bytes, skew, scratch[:depth], library
    )


@borrowing
def exchange_in_group(tokens, hidden, top_k, experts, ranks, dispatch_bytes, combine_bytes, skew, rows, library):
    """The same where ``rows`` (levels, COLUMNS) of the group have been cut already, as for many exchanges in one."""
    depth = rows.shape[0]
    busiest = max(1.0, min(skew, ranks))
    copies = min(top_k * busiest, max(1.0, min(top_k, experts / ranks)) * ranks)
    out_per_byte = 0.0
    back_per_byte = 0.0
    latency = 0.0
    start = 0.0
    inside = 1.0
    first = 0
    while first < depth:
        last = first + 1
        size = rows[first, SIZE]
        while last < depth and (
            (rows[last, KIND] == AXIS and rows[first, KIND] == AXIS)
            or (rows[last, KIND] == SWITCH and rows[last, WRAPS] == 1)
        ):
            size *= rows[last, SIZE]
            last += 1
        way = way_seconds(rows, first, last)
        if library[STRAIGHT] == 1:
            needed = copies * ports_seconds(rows, first, last, inside, ranks)
            latency = max(latency, way)
        else:
            # one busy rank among the ``inside`` of a member, the others as busy as all the rest
            member = (busiest + (inside - 1) * (ranks - busiest) / (ranks - 1)) / inside
            sent = reached(top_k, experts, ranks / inside, member)
            needed = sent * ports_seconds(rows, first, last, 1.0, size)
            latency += way
        back = library[COMBINE_INSIDE]
        if rows[last - 1, LINE] == library[NETWORK_LINE]:
            start = library[NETWORK_START]
            back = library[COMBINE_OUTSIDE]
        out_per_byte = max(out_per_byte, needed)
        back_per_byte = max(back_per_byte, needed / back)
        inside *= size
        first = last
    start += latency + library[SCAN] * tokens * ranks
    values = tokens * hidden
    out_s = library[DISPATCH_START] + experts * library[DISPATCH_SIGNAL] + start
    back_s = library[COMBINE_START] + experts * library[COMBINE_SIGNAL] + start
    return (
        max(library[DISPATCH_CALL], out_s + values * dispatch_bytes * out_per_byte),
        max(library[COMBINE_CALL], back_s + values * combine_bytes * back_per_byte),
    )


picked_fast = njit(cache=True)(picked)
fitted_odds_fast = njit(cache=True)(fitted_odds)
vector_loads_fast = njit(cache=True)(vector_loads)
vector_seconds_fast = njit(cache=True)(vector_seconds)
exchange_seconds_fast = njit(cache=True)(exchange_seconds)
