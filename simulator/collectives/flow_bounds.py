"""Lower bounds of a collective on the links of a fabric as they are, dead and slow ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.bounds import REDUCING, Bounds, sent_share
from simulator.collectives.kinds import ALL_REDUCE, ALL_TO_ALL, BROADCAST, SEND_RECV
from simulator.fabric import row_sums, sources
from simulator.routing.routes import inside, machines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.fabric import Fabric

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]


def flow_bounds(
    kind: int, size_bytes: float, algorithm: str, fabric: Fabric, members: Whole, capacity: Real, loads: Real
) -> Bounds:
    """Times [s] that no schedule of a class of algorithms can beat on these links.

    ``injection``: what all ranks together must send, over all their links; ``link``: what the busiest link carries of
    ``loads``; ``bisection``: what must cross a declared cut; ``latency``: from the first rank to the farthest.

    Parameters
    ----------
    members : node of each rank
    capacity : (entries,) what each link can carry, whatever software reaches of it [B/s]
    loads : (entries,) bytes of this schedule on each link [B]
    """
    ranks = len(members)
    is_reduced = kind == ALL_REDUCE and algorithm in REDUCING
    share = 1.0 if is_reduced else sent_share(kind, ranks)
    if kind == SEND_RECV:
        injection_s = size_bytes / float(row_sums(fabric, capacity)[members].max())
    else:
        injection_s = ranks * share * size_bytes / float(row_sums(fabric, capacity)[members].sum())
    used = loads > 0
    return Bounds(
        injection_s=injection_s,
        link_s=float((loads[used] / capacity[used]).max(initial=0.0)),
        bisection_s=max(
            (_cut_seconds(kind, size_bytes, fabric, members, capacity, side) for side in fabric.cuts.values()),
            default=0.0,
        ),
        latency_s=0.0 if kind == SEND_RECV else _farthest_s(fabric, members),
    )


def _farthest_s(fabric: Fabric, members: Whole) -> float:
    """From the first member to the one that is farthest: latency of the longest of its ways of fewest hops [s].

    Ways inside a machine do not leave it.
    """
    first, part = int(members[0]), machines(fabric)
    is_near = part[members] == part[first]
    anywhere = np.ones(len(fabric.indices), dtype=np.bool_)
    near_s = _delays_to(fabric, first, inside(fabric))[members[is_near]].max()
    away_s = 0.0 if is_near.all() else _delays_to(fabric, first, anywhere)[members[~is_near]].max()
    return float(max(near_s, away_s))


def _delays_to(fabric: Fabric, node: int, is_open: NDArray[np.bool_]) -> Real:
    """Latency of the longest of the ways of fewest hops from every node to one: (nodes,) [s]."""
    source, near = sources(fabric)[is_open], fabric.indices[is_open]
    latency_s = fabric.latency_s[is_open]
    hops, delay = np.full(len(fabric.nodes), -1), np.zeros(len(fabric.nodes))
    hops[node], done = 0, 0
    while True:
        onward = np.flatnonzero((hops[near] == done) & (hops[source] < 0))
        if not len(onward):
            return delay
        done += 1
        hops[source[onward]] = done
        np.maximum.at(delay, source[onward], delay[near[onward]] + latency_s[onward])


def _cut_seconds(
    kind: int, size_bytes: float, fabric: Fabric, members: Whole, capacity: Real, side: NDArray[np.bool_]
) -> float:
    """Time of what must cross a cut in one direction [s]."""
    here = float(np.count_nonzero(side[members]))
    there = len(members) - here
    if kind in (BROADCAST, SEND_RECV) or min(here, there) == 0:
        return 0.0
    crosses = side[sources(fabric)] & ~side[fabric.indices]
    width = float(capacity[crosses].sum())
    if kind == ALL_REDUCE:
        return size_bytes / width
    parts = here * there if kind == ALL_TO_ALL else min(here, there)
    return size_bytes * parts / len(members) / width
