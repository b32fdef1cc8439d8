"""A group of chips as rows, one for each level of its fabric; numbers and arrays only.

A slice, and a group of chips in it, is an array of shape (levels, COLUMNS), innermost level first; each row joins
``SIZE`` things:

====== ============ ===========================================================================================
column name         meaning
====== ============ ===========================================================================================
0      KIND         AXIS (ring or line of a torus), SWITCH (any to any), MESH (a link to each other member)
1      SIZE         members [1]
2      BANDWIDTH    of one chip, one direction [B/s]: of one link along an axis, into the switches of a switch
                    level, of the link to one peer of a mesh
3      LATENCY      of one hop along an axis, or from member to member of a switch or mesh [s]
4      START        software time of each step [s]
5      WRAPS        1 where an axis closes to a ring, and where a switch is reached through the ports of the level
                    inside
6      STEP         chips of the axis from one member to the next [1]
7      LENGTH       chips of the whole axis [1]
8      LINE         number of the axis; a slice may hold an axis as two rows, inside cubes and from cube to cube
9      REDUCE       of one chip into switches that reduce on the way, one direction [B/s]; 0 where none do
10     REDUCE_START time until the first reduced bytes come back [s]
11     RAMP         share of a pipeline's filling that chunks do not hide [1]
12     LIBRARY      sum of 2^a over the algorithms a that the library has for all-reduce, and of 2^(a + ALGORITHM_COUNT)
                    over those for other kinds; the first row counts
13     WINDOW       of one chip under way into the level at once [B]; 0 where nothing bounds it
14     EAGER        of one chip, one direction, in messages that carry their own flags [B/s]; 0 where there are none
15     EAGER_START  software time of each step of such messages [s]
====== ============ ===========================================================================================
"""

from __future__ import annotations

import math

from numba import njit

from simulator.kernels import borrowing

KIND, SIZE, BANDWIDTH, LATENCY, START, WRAPS, STEP, LENGTH, LINE = range(9)
REDUCE, REDUCE_START, RAMP, LIBRARY, WINDOW, EAGER, EAGER_START = range(9, 16)
COLUMNS = 16
AXIS, SWITCH, MESH = range(3)


@borrowing
def ranks(rows):
    """Members of the whole group."""
    product = 1.0
    for i in range(rows.shape[0]):
        product *= rows[i, SIZE]
    return product


@borrowing
def step_latency(rows):
    """Time of one step between neighbours of the group at its slowest level [s]."""
    slowest = 0.0
    for i in range(rows.shape[0]):
        hops = 1.0
        if rows[i, KIND] == AXIS and rows[i, WRAPS] == 0 and rows[i, SIZE] > 2:
            hops = 2.0  # a ring laid on a line skips every other chip, so that no link carries two of its hops
        slowest = max(slowest, rows[i, START] + hops * rows[i, LATENCY])
    return slowest


@borrowing
def ring_latency(rows):
    """Mean time of a step of one ring through the whole group [s].

    A part of the buffer goes from unit to unit once for each of them, and stays inside a unit in all other steps. The
    axes of a torus are taken at their slowest.
    """
    count = ranks(rows)
    on_torus = axes(rows)
    slowest = step_latency(rows[:on_torus]) if on_torus > 0 else 0.0
    inside = 1.0
    for i in range(on_torus):
        inside *= rows[i, SIZE]
    steps = (inside - 1) * count / inside
    total = steps * slowest
    for i in range(on_torus, rows.shape[0]):
        inside *= rows[i, SIZE]
        here = (rows[i, SIZE] - 1) * count / inside
        total += here * (rows[i, START] + rows[i, LATENCY])
        steps += here
    return total / steps


@borrowing
def ring_bandwidth(rows):
    """Rate of one ring through the whole group [B/s].

    At a switch or mesh all members below share the way out; along the axes of a torus the ring goes link by link.
    """
    slowest = math.inf
    inside = 1.0
    for i in range(rows.shape[0]):
        slowest = min(slowest, rows[i, BANDWIDTH] * (1.0 if rows[i, KIND] == AXIS else inside))
        inside *= rows[i, SIZE]
    return slowest


@borrowing
def pair_bandwidth(rows):
    """Rate of a chip that talks to one far partner at a time [B/s]: one link of a mesh, all ports of a switch."""
    slowest = math.inf
    for i in range(rows.shape[0]):
        slowest = min(slowest, rows[i, BANDWIDTH])
    return slowest


@borrowing
def axes(rows):
    """How many leading rows are axes of a torus."""
    count = 0
    while count < rows.shape[0] and rows[count, KIND] == AXIS:
        count += 1
    return count


@borrowing
def meshes(rows):
    """How many leading rows are dimensions of a full mesh."""
    count = 0
    while count < rows.shape[0] and rows[count, KIND] == MESH:
        count += 1
    return count


@borrowing
def has_two_way_ring(rows):
    """Whether a ring through the group can run both ways at once without sharing a link."""
    count = axes(rows)
    if count != rows.shape[0]:
        return False
    return count > 1 or (rows[0, WRAPS] == 1 and rows[0, SIZE] > 2)


@borrowing
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


@borrowing
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


subgroup_fast = njit(cache=True)(subgroup)
