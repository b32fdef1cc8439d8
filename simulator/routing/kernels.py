"""Which links the bytes of a flow use: dimension order on a torus, shortest ways and detours on any graph.

A fabric comes as the arrays of :class:`simulator.fabric.Fabric`: node i has the entries ``indptr[i]:indptr[i + 1]`` of
``indices`` (its neighbours); an entry is a directed link. Routes come out as ``first`` (flows + 1,), ``link`` (entries
of the fabric) and ``share`` (part of the flow's bytes on it [1]): flow f uses ``link[first[f]:first[f + 1]]``; and as
``delay`` (flows,), the latency of the longest of its ways [s].
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

NONE = -1
WHOLE = 1 << 20
"""Steps in which a flow's hash chooses among links."""


@register_jitable
def grown(array, needed):
    """The array itself, or a copy of at least twice its length where ``needed`` entries would not fit."""
    if needed <= array.shape[0]:
        return array
    longer = np.empty(max(needed, 2 * array.shape[0]), dtype=array.dtype)
    longer[: array.shape[0]] = array
    return longer


@register_jitable
def explored(source, extra, read, written, indptr, indices, is_open, hops, front):
    """Go on counting ``hops``, edges from nodes to one target over open entries, as far as ways from ``source`` need.

    These are the nodes nearer to the target than ``source``, and the equally near ones where ways of one edge more
    (``extra`` = 1) count; NONE is what has not been reached. ``front`` (nodes,) are the nodes in the order in which
    they were, ``read`` of ``written`` of which have been looked at; returns both. ``is_open`` is that of the entry in
    either direction.
    """
    while read < written and (hops[source] == NONE or hops[front[read]] < hops[source] + extra - 1):
        node = front[read]
        read += 1
        for entry in range(indptr[node], indptr[node + 1]):
            near = indices[entry]
            if is_open[entry] and hops[near] == NONE:
                hops[near] = hops[node] + 1
                front[written] = near
                written += 1
    return read, written


@register_jitable
def mixed(seed, flow, node):
    """A number from 0 to WHOLE - 1 that looks random: what a switch's hash makes of a flow."""
    value = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(flow)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(node)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((value ^ (value >> np.uint64(31))) >> np.uint64(44))


@register_jitable
def next_hops(node, budget, indptr, indices, is_open, width, hops):
    """Width of all links from ``node`` that lead to within ``budget`` edges of the target [B/s]."""
    total = 0.0
    for entry in range(indptr[node], indptr[node + 1]):
        near = indices[entry]
        if is_open[entry] and hops[near] != NONE and hops[near] < budget:
            total += width[entry]
    return total


@register_jitable
def one_way(flow, source, target, seed, fabric, hops, link, share, used):
    """Append one shortest way, chosen by hash at every node; returns (link, share, used, delay [s])."""
    indptr, indices, is_open, width, latency = fabric
    node = source
    delay = 0.0
    while node != target:
        total = next_hops(node, hops[node], indptr, indices, is_open, width, hops)
        wanted = total * mixed(seed, flow, node) / WHOLE
        chosen = NONE
        for entry in range(indptr[node], indptr[node + 1]):
            near = indices[entry]
            if is_open[entry] and hops[near] != NONE and hops[near] < hops[node]:
                chosen = entry
                wanted -= width[entry]
                if wanted < 0:
                    break
        link = grown(link, used + 1)
        share = grown(share, used + 1)
        link[used] = chosen
        share[used] = 1.0
        used += 1
        delay += latency[chosen]
        node = indices[chosen]
    return link, share, used, delay


@register_jitable
def all_ways(source, target, extra, fabric, hops, amount, late, queue, link, share, used):
    """Append all ways that are at most ``extra`` (0 or 1) edges longer than the shortest.

    At every node what comes there of the flow splits over the links that lead on in time, in proportion
    to their width. A place is a node before (2 node) and after (2 node + 1) the extra edge is spent; ``amount`` and
    ``late`` (2 nodes,) are zero before and after. Returns (link, share, used, delay [s]).
    """
    indptr, indices, is_open, width, latency = fabric
    first_place = 2 * source + (1 - extra)
    amount[first_place] = 1.0
    queue[0] = first_place
    read, written = 0, 1
    delay = 0.0
    while read < written:
        place = queue[read]
        read += 1
        node = place // 2
        is_spent = place % 2
        here = amount[place]
        since = late[place]
        amount[place] = 0.0
        late[place] = 0.0
        if node == target:
            delay = max(delay, since)
            continue
        budget = hops[node] + 1 - is_spent
        total = next_hops(node, budget, indptr, indices, is_open, width, hops)
        link = grown(link, used + indptr[node + 1] - indptr[node])
        share = grown(share, used + indptr[node + 1] - indptr[node])
        for entry in range(indptr[node], indptr[node + 1]):
            near = indices[entry]
            if not is_open[entry] or hops[near] == NONE or hops[near] >= budget:
                continue
            sent = here * width[entry] / total
            link[used] = entry
            share[used] = sent
            used += 1
            after = 2 * near + (1 if hops[near] == hops[node] else is_spent)
            if amount[after] == 0:
                queue[written] = after
                written += 1
            amount[after] += sent
            late[after] = max(late[after], since + latency[entry])
    return link, share, used, delay


@register_jitable
def shortest_routes(source, target, order, extra, seed, indptr, indices, is_open, width, latency):
    """Routes over shortest ways: (first, link, share, delay), in the order of the flows.

    ``order`` sorts flows by target, so that distances are found once for each, no farther than needed. ``extra`` = 1
    also takes ways that are one edge longer; ``seed`` of 0 or more picks a single way for each flow by hash, as
    switches with ECMP do.
    A flow whose target cannot be reached has a delay of -1.
    """
    flows = source.shape[0]
    nodes = indptr.shape[0] - 1
    fabric = (indptr, indices, is_open, width, latency)
    hops = np.full(nodes, NONE)
    front = np.empty(nodes, dtype=np.int64)
    read, written = 0, 0
    queue = np.empty(2 * nodes, dtype=np.int64)
    amount = np.zeros(2 * nodes)
    late = np.zeros(2 * nodes)
    link = np.empty(8 * flows, dtype=np.int32)
    share = np.empty(8 * flows)
    ends = np.zeros(flows + 1, dtype=np.int64)
    delay = np.zeros(flows)
    used = 0
    last = NONE
    for index in range(flows):
        flow = order[index]
        if target[flow] != last:
            for place in range(written):
                hops[front[place]] = NONE
            last = target[flow]
            hops[last] = 0
            front[0] = last
            read, written = 0, 1
        read, written = explored(source[flow], extra, read, written, indptr, indices, is_open, hops, front)
        if hops[source[flow]] == NONE:
            delay[flow] = -1.0
        elif seed >= 0:
            link, share, used, delay[flow] = one_way(flow, source[flow], last, seed, fabric, hops, link, share, used)
        else:
            link, share, used, delay[flow] = all_ways(
                source[flow], last, extra, fabric, hops, amount, late, queue, link, share, used
            )
        ends[index + 1] = used
    first, link, share = in_order_of_flows(order, ends, link, share)
    return first, link, share, delay


@register_jitable
def in_order_of_flows(order, ends, link, share):
    """Entries that were found flow ``order[0]`` first, then ``order[1]``, as (first, link, share) by flow."""
    flows = order.shape[0]
    first = np.zeros(flows + 1, dtype=np.int64)
    for index in range(flows):
        first[order[index] + 1] = ends[index + 1] - ends[index]
    for flow in range(flows):
        first[flow + 1] += first[flow]
    links = np.empty(ends[flows], dtype=np.int32)
    shares = np.empty(ends[flows])
    for index in range(flows):
        at = first[order[index]]
        for entry in range(ends[index], ends[index + 1]):
            links[at] = link[entry]
            shares[at] = share[entry]
            at += 1
    return first, links, shares


@register_jitable
def dimension_order(source, target, coordinates, shape, wraps, ports, indices, latency):
    """Routes on a torus or mesh: one axis after the other, the shorter way round, ties split in halves.

    Parameters
    ----------
    coordinates : (nodes, axes); shape, wraps : (axes,)
    ports : (nodes, axes, 2) entry that leads on along an axis, up and down; NONE where the axis ends
    """
    flows = source.shape[0]
    axes = shape.shape[0]
    first = np.zeros(flows + 1, dtype=np.int64)
    delay = np.zeros(flows)
    link = np.empty(8 * flows, dtype=np.int32)
    share = np.empty(8 * flows)
    used = 0
    for flow in range(flows):
        node = source[flow]
        for axis in range(axes):
            ahead = coordinates[target[flow], axis] - coordinates[node, axis]
            if ahead == 0:
                continue
            side = shape[axis]
            up = ahead % side
            is_tie = wraps[axis] and 2 * up == side
            goes_up = ahead > 0 if not wraps[axis] else 2 * up <= side
            steps = abs(ahead) if not wraps[axis] else min(up, side - up)
            link = grown(link, used + 2 * steps)
            share = grown(share, used + 2 * steps)
            part = 0.5 if is_tie else 1.0
            if is_tie:
                other = node
                for _ in range(steps):
                    link[used] = ports[other, axis, 1]
                    share[used] = part
                    other = indices[link[used]]
                    used += 1
            for _ in range(steps):
                link[used] = ports[node, axis, 0 if goes_up else 1]
                share[used] = part
                delay[flow] += latency[link[used]]
                node = indices[link[used]]
                used += 1
        first[flow + 1] = used
    return first, link[:used].copy(), share[:used].copy(), delay


shortest_routes_fast = njit(cache=True)(shortest_routes)
dimension_order_fast = njit(cache=True)(dimension_order)
