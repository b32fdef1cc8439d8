"""What every link carries when chips send to all others over shortest ways, and how far these are: chip by chip.

A fabric comes as the arrays of :class:`simulator.fabric.Fabric`: node i has the entries ``indptr[i]:indptr[i + 1]`` of
``indices`` (its neighbours); an entry is a directed link of some ``width`` [B/s], the same in both directions.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

NONE = -1


@register_jitable
def outwards(chip, indptr, indices, width, hops, queue, arriving):
    """Number the nodes that can be reached by their edges from ``chip``, nearest first in ``queue``; how many.

    ``hops`` (nodes,) becomes the edges, NONE where there is no way; ``arriving`` (nodes,) the width of all links that
    come one edge nearer to the chip [B/s].
    """
    hops[:] = NONE
    arriving[:] = 0.0
    hops[chip] = 0
    queue[0] = chip
    read, written = 0, 1
    while read < written:
        node = queue[read]
        read += 1
        farther = hops[node] + 1
        for entry in range(indptr[node], indptr[node + 1]):
            near = indices[entry]
            if hops[near] == NONE:
                hops[near] = farther
                queue[written] = near
                written += 1
            if hops[near] == farther:
                arriving[near] += width[entry]
    return written


@register_jitable
def uniform_loads(chips, is_chip, indptr, indices, width):
    """What each of ``chips`` sends over shortest ways, 1 to every chip, followed back from where it arrives.

    Where several ways meet at a node, what goes to it or through it came in proportion to the width of their links.

    Parameters
    ----------
    chips : (sources,) nodes that send
    is_chip : (nodes,) nodes that receive; a chip sends nothing to itself

    Returns
    -------
    loads : (entries,) in sum over all that send [1]
    farthest : (sources,) edges to the farthest chip that each can reach [1]
    """
    nodes = indptr.shape[0] - 1
    hops = np.empty(nodes, dtype=np.int32)
    queue = np.empty(nodes, dtype=np.int32)
    arriving = np.empty(nodes)
    share = np.empty(nodes)
    loads = np.zeros(indices.shape[0])
    farthest = np.zeros(chips.shape[0], dtype=np.int64)
    for index in range(chips.shape[0]):
        reached = outwards(chips[index], indptr, indices, width, hops, queue, arriving)
        for place in range(reached - 1, -1, -1):
            node = queue[place]
            farther = hops[node] + 1
            passed = 1.0 if is_chip[node] else 0.0
            if is_chip[node]:
                farthest[index] = max(farthest[index], hops[node])
            for entry in range(indptr[node], indptr[node + 1]):
                near = indices[entry]
                if hops[near] == farther:
                    load = width[entry] * share[near]
                    loads[entry] += load
                    passed += load
            if place > 0:
                share[node] = passed / arriving[node]
    return loads, farthest


uniform_loads_fast = njit(cache=True)(uniform_loads)
