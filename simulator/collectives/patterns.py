"""Everyone to everyone: exact link loads, from one chip where the fabric looks the same from all."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.fabric import capacities, chips_of, hops_from, sources
from simulator.network import link_loads
from simulator.routing import lattice, routes
from simulator.routing.routes import default

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simulator.fabric import Fabric
    from simulator.routing.routes import Lattice

    Real = NDArray[np.float64]

FROM_ONE = ("dimension-order", "spread")
"""Ways of routing that commute with the symmetries of a fabric, so that one chip speaks for all."""
MANY = 1 << 20
"""Flows routed at once."""
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class FromOne:
    """The flows that one chip sends to, or gets from, every other.

    Parameters
    ----------
    share : (flows, classes) of each flow's bytes on links of each class: hops on it, counted by part [1]
    delay_s : (flows,) latency of the longest of its ways [s]
    """

    share: Real
    delay_s: Real


def pattern_loads(fabric: Fabric, members: ArrayLike | None = None, routing: str = "") -> Real:
    """Bytes on each directed link when every member sends one byte to every other: (entries,).

    On a fabric that looks the same from every chip, and with all chips as members, from the flows of one chip, averaged
    over the links of a class (see :func:`simulator.structure.all_to_all_bytes_per_s`); elsewhere from all pairs.

    Parameters
    ----------
    members : nodes; all chips if left out
    routing : a name of :data:`simulator.routing.routes.ROUTING`, or empty for the fabric's own
    """
    chosen = np.flatnonzero(chips_of(fabric)) if members is None else np.asarray(members, dtype=np.int64)
    how = routing or default_routing(fabric)
    one = from_one(fabric, chosen, how)
    if one is None:
        return all_pairs_loads(fabric, chosen, how)[0]
    return np.asarray((one.share.sum(axis=0) * len(chosen) / _class_sizes(fabric))[fabric.classes])


def from_one(fabric: Fabric, members: NDArray[np.int64], routing: str) -> FromOne | None:
    """The flows of one chip that speak for those of all members; None where they do not."""
    if routing not in FROM_ONE or not looks_alike(fabric):
        return None
    chips = chips_of(fabric)
    if len(members) != np.count_nonzero(chips) or not chips[members].all():
        return None
    if routing == "spread":
        return _spread_to_one(fabric, int(members[0]))
    torus = lattice(fabric)
    return None if torus is None else _along_axes(fabric, torus, int(members[0]))


def all_pairs_loads(fabric: Fabric, members: NDArray[np.int64], routing: str) -> tuple[Real, float]:
    """Loads as of :func:`pattern_loads` from all pairs, target by target, and the longest latency of a way [s]."""
    loads = np.zeros(len(fabric.indices))
    longest = 0.0
    step = max(MANY // (8 * len(members)), 1)
    for begin in range(0, len(members), step):
        some = members[begin : begin + step]
        target = np.repeat(some, len(members))
        source = np.tile(members, len(some))
        apart = source != target
        ways = routes(fabric, source[apart], target[apart], routing)
        loads += link_loads(ways, len(loads))
        longest = max(longest, float(ways.delay_s.max(initial=0.0)))
    return loads, longest


@functools.lru_cache(maxsize=16)
def looks_alike(fabric: Fabric) -> bool:
    """Whether it looks the same from every chip, with links of one class alike in bandwidth and latency."""
    if not fabric.is_vertex_transitive:
        return False
    for values in (capacities(fabric), fabric.latency_s):
        least, most = np.full(len(_class_sizes(fabric)), math.inf), np.zeros(len(_class_sizes(fabric)))
        np.minimum.at(least, fabric.classes, values)
        np.maximum.at(most, fabric.classes, values)
        if (most - least > ROUNDING * most).any():
            return False
    return bool((capacities(fabric) > 0).all())


def default_routing(fabric: Fabric) -> str:
    """The fabric's own way of routing, which is no way around dead links where it is dimension order."""
    own = default(fabric)
    return own if own == "spread" or bool((capacities(fabric) > 0).all()) else "spread"


@functools.lru_cache(maxsize=16)
def _class_sizes(fabric: Fabric) -> Real:
    """Directed links of each class."""
    return np.bincount(fabric.classes).astype(np.float64)


def _along_axes(fabric: Fabric, torus: Lattice, chip: int) -> FromOne:
    """Hops along each axis from a chip to every other, the shorter way round."""
    apart = np.abs(torus.coordinates - torus.coordinates[chip])
    hops = np.where(torus.wraps, np.minimum(apart, torus.shape - apart), apart)
    hops = np.delete(hops, chip, axis=0).astype(np.float64)
    share = np.zeros((len(hops), len(_class_sizes(fabric))))
    delay = np.zeros(len(hops))
    for axis in np.flatnonzero(torus.shape > 1):
        port = torus.ports[chip, axis].max()
        share[:, fabric.classes[port]] += hops[:, axis]
        delay += hops[:, axis] * fabric.latency_s[port]
    return FromOne(share, delay)


def _spread_to_one(fabric: Fabric, chip: int) -> FromOne:
    """Hops from every other chip to one, over all shortest ways, split at every node by width; nearest nodes first."""
    hops = hops_from(fabric, chip)
    chips = np.flatnonzero(chips_of(fabric))
    if (hops[chips] < 0).any():
        lost = fabric.nodes[int(chips[hops[chips] < 0][0])]
        raise InputError(f"{lost} cannot reach {fabric.nodes[chip]}", where=fabric.name, remedy="restore a link")
    source, width = sources(fabric), capacities(fabric)
    onward = np.flatnonzero(hops[fabric.indices] == hops[source] - 1)
    onward = onward[np.argsort(hops[source[onward]], kind="stable")]
    part = width[onward] / np.bincount(source[onward], width[onward], len(hops))[source[onward]]
    bounds = np.searchsorted(hops[source[onward]], np.arange(1, hops.max() + 2))
    share = np.zeros((len(hops), len(_class_sizes(fabric))))
    delay = np.zeros(len(hops))
    for begin, end in itertools.pairwise(bounds):
        entry, split = onward[begin:end], part[begin:end]
        here, near = source[entry], fabric.indices[entry]
        np.add.at(share, here, split[:, None] * share[near])
        np.add.at(share, (here, fabric.classes[entry]), split)
        np.maximum.at(delay, here, delay[near] + fabric.latency_s[entry])
    others = chips[chips != chip]
    return FromOne(share[others], delay[others])
