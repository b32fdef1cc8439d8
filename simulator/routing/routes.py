"""Routes of flows over a fabric: which directed links carry which part of each flow, and how far it is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError, InternalError, unknown_name
from simulator.fabric import capacities, chips_of, sources
from simulator.routing import kernels
from simulator.streams import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.fabric import Fabric

    Nodes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Routes:
    """The links of every flow.

    Parameters
    ----------
    first : (flows + 1,) flow f has the entries ``first[f]:first[f + 1]`` of ``link`` and ``share``
    link : (entries,) entry of the fabric's arrays: one directed link, or several parallel ones
    share : (entries,) part of the flow's bytes that it carries [1]
    delay_s : (flows,) latency of the longest of the flow's ways [s]
    """

    first: NDArray[np.int64]
    link: NDArray[np.int32]
    share: NDArray[np.float64]
    delay_s: NDArray[np.float64]

    @property
    def flows(self) -> int:
        """How many flows [1]."""
        return len(self.first) - 1


@dataclass(frozen=True, eq=False)
class Lattice:
    """What dimension order must know of a torus or mesh; arrays as its kernel takes them."""

    coordinates: NDArray[np.int64]
    shape: NDArray[np.int64]
    wraps: NDArray[np.bool_]
    ports: NDArray[np.int64]


def routes(
    fabric: Fabric, sources: Sequence[int] | Nodes, targets: Sequence[int] | Nodes, how: str = "", seed: int = 0
) -> Routes:
    """Routes from ``sources[f]`` to ``targets[f]``, which are numbers of nodes.

    Parameters
    ----------
    how : a name of :data:`ROUTING`; empty for dimension order on a torus or mesh, and all shortest ways elsewhere
    seed : what hashes and random middles depend on; no other way of routing uses it

    Raises
    ------
    InputError : an unknown name, dimension order away from a torus, a node outside the fabric or that cannot be reached
    """
    source, target = np.asarray(sources, dtype=np.int64), np.asarray(targets, dtype=np.int64)
    if source.shape != target.shape or source.ndim != 1:
        raise InternalError(f"{source.shape} sources do not fit {target.shape} targets")
    for ends in (source, target):
        if len(ends) and not 0 <= ends.min() <= ends.max() < len(fabric.nodes):
            raise InputError("a flow ends outside the fabric", remedy=f"number nodes 0 to {len(fabric.nodes) - 1}")
    if how and how not in ROUTING:
        raise unknown_name("routing", how, ROUTING, where="routing")
    return ROUTING[how or default(fabric)](fabric, source, target, seed)


def default(fabric: Fabric) -> str:
    """The name of the routing that a fabric uses if none is named."""
    return "spread" if lattice(fabric) is None else "dimension-order"


@functools.lru_cache(maxsize=16)
def lattice(fabric: Fabric) -> Lattice | None:
    """The fabric as a torus or mesh, or None where it is another kind, is twisted, or lacks a link."""
    places = fabric.coordinates
    if places is None:
        return None
    shape = places.max(axis=0) + 1
    if int(np.prod(shape)) != len(places) or len(np.unique(places, axis=0)) != len(places):
        return None
    source = np.repeat(np.arange(len(places)), np.diff(fabric.indptr))
    step = places[fabric.indices] - places[source]
    if (np.count_nonzero(step, axis=1) != 1).any():
        return None
    axis = np.abs(step).argmax(axis=1)
    along = step[np.arange(len(step)), axis]
    side = shape[axis]
    ports = np.full((len(places), len(shape), 2), kernels.NONE)
    entries = np.arange(len(step))
    for way, sign in enumerate((1, -1)):
        leads = (along == sign) | (along == sign * (1 - side))
        ports[source[leads], axis[leads], way] = entries[leads]
    if ((np.abs(along) != 1) & (np.abs(along) != side - 1)).any():
        return None
    wraps = np.array([bool((ports[:, each] != kernels.NONE).all()) for each in range(len(shape))])
    for each in np.flatnonzero(~wraps & (shape > 1)):
        inner = places[:, each]
        has_up, has_down = ports[:, each, 0] != kernels.NONE, ports[:, each, 1] != kernels.NONE
        if (has_up != (inner < shape[each] - 1)).any() or (has_down != (inner > 0)).any():
            return None
    return Lattice(np.ascontiguousarray(places), shape, wraps, ports)


def in_dimension_order(fabric: Fabric, source: Nodes, target: Nodes, seed: int = 0) -> Routes:
    """One axis after the other, first to last, the shorter way round; ties of even rings go both ways in halves."""
    del seed
    torus = lattice(fabric)
    if torus is None:
        raise InputError(
            f"{fabric.name} is no whole torus or mesh, so that dimension order leads nowhere",
            where="routing",
            remedy="use spread, which takes all shortest ways",
        )
    return Routes(
        *kernels.dimension_order_fast(
            source,
            target,
            torus.coordinates,
            torus.shape,
            torus.wraps,
            torus.ports,
            fabric.indices,
            fabric.latency_s,
        )
    )


def spread(fabric: Fabric, source: Nodes, target: Nodes, seed: int = 0) -> Routes:
    """All shortest ways at once, split at every node by width: adaptive routing, or packets sprayed over planes."""
    del seed
    return _shortest(fabric, source, target)


def by_hash(fabric: Fabric, source: Nodes, target: Nodes, seed: int = 0) -> Routes:
    """One shortest way for each flow, chosen by hash at every node: equal-cost multi-path (ECMP)."""
    return _shortest(fabric, source, target, seed=seed)


def all_path(fabric: Fabric, source: Nodes, target: Nodes, seed: int = 0) -> Routes:
    """All ways of up to one edge more than the shortest, as all-path routing on a full mesh takes them.

    Between two members of a full mesh these are the direct link and a detour over each other member (UB-Mesh,
    arXiv 2503.20377, section 5.1); where no way is one edge longer, the shortest ways are left.
    """
    del seed
    return _shortest(fabric, source, target, extra=1)


def over_a_middle(fabric: Fabric, source: Nodes, target: Nodes, seed: int = 0) -> Routes:
    """Each flow by a random chip in between, on the fabric's usual routing to it and on from it (Valiant, 1982).

    Any pattern then loads links as two random ones do: the worst case gets better, the best case worse. A flow inside a
    machine takes a chip of that machine.
    """
    chips, machine = np.flatnonzero(chips_of(fabric)), machines(fabric)
    chips = chips[np.argsort(machine[chips], kind="stable")]
    own = machine[source]
    is_inside = own == machine[target]
    begin = np.where(is_inside, np.searchsorted(machine[chips], own), 0)
    end = np.where(is_inside, np.searchsorted(machine[chips], own, "right"), len(chips))
    middle = chips[stream(seed, "valiant").integers(begin, end)]
    legs = [routes(fabric, source, middle), routes(fabric, middle, target)]
    return joined(legs[0], legs[1])


def joined(before: Routes, after: Routes) -> Routes:
    """Every flow of ``before``, then on as the same flow of ``after``."""
    flow = np.concatenate([np.repeat(np.arange(each.flows), np.diff(each.first)) for each in (before, after)])
    order = np.argsort(flow, kind="stable")
    return Routes(
        before.first + after.first,
        np.concatenate((before.link, after.link))[order],
        np.concatenate((before.share, after.share))[order],
        before.delay_s + after.delay_s,
    )


@functools.lru_cache(maxsize=16)
def inside(fabric: Fabric) -> NDArray[np.bool_]:
    """Links that lead neither to another machine nor to a port that does: (entries,)."""
    source = sources(fabric)
    is_port = np.array([kind == "nic" for kind in fabric.kinds])
    is_port &= np.bincount(source[fabric.scale_out], minlength=len(is_port)) > 0
    return np.asarray(~fabric.scale_out & ~is_port[source] & ~is_port[fabric.indices])


@functools.lru_cache(maxsize=16)
def machines(fabric: Fabric) -> NDArray[np.int64]:
    """The least number of a node that links inside a machine join with each: (nodes,)."""
    kept = inside(fabric) & (capacities(fabric) > 0)
    source, near = sources(fabric)[kept], fabric.indices[kept]
    part = np.arange(len(fabric.nodes))
    while True:
        before = part.copy()
        np.minimum.at(part, source, before[near])
        part = part[part]
        if (part == before).all():
            return part


def _shortest(fabric: Fabric, source: Nodes, target: Nodes, extra: int = 0, seed: int = kernels.NONE) -> Routes:
    """Shortest ways, of which those between two chips of one machine do not leave it."""
    if not fabric.scale_out.any():
        return _shortest_over(fabric, np.ones(len(fabric.indices), dtype=np.bool_), source, target, extra, seed)
    stays = machines(fabric)[source] == machines(fabric)[target]
    if stays.all():
        return _shortest_over(fabric, inside(fabric), source, target, extra, seed)
    anywhere = np.ones(len(fabric.indices), dtype=np.bool_)
    parts = [(np.flatnonzero(stays), inside(fabric)), (np.flatnonzero(~stays), anywhere)]
    found = [_shortest_over(fabric, links, source[flow], target[flow], extra, seed) for flow, links in parts]
    # back in the order of the flows
    flow = np.concatenate([part[0] for part in parts])
    entry = np.concatenate([np.repeat(part[0], np.diff(each.first)) for part, each in zip(parts, found, strict=True)])
    order = np.argsort(entry, kind="stable")
    back = np.argsort(flow)
    return Routes(
        np.concatenate(([0], np.cumsum(np.bincount(entry, minlength=len(flow))))).astype(np.int64),
        np.concatenate([each.link for each in found])[order],
        np.concatenate([each.share for each in found])[order],
        np.concatenate([each.delay_s for each in found])[back],
    )


def _shortest_over(
    fabric: Fabric, is_open: NDArray[np.bool_], source: Nodes, target: Nodes, extra: int, seed: int
) -> Routes:
    """Shortest ways over some of the links."""
    width = capacities(fabric)
    found = Routes(
        *kernels.shortest_routes_fast(
            source,
            target,
            np.argsort(target, kind="stable"),
            extra,
            seed,
            fabric.indptr,
            fabric.indices,
            is_open & (width > 0),
            width,
            fabric.latency_s,
        )
    )
    lost = np.flatnonzero(found.delay_s < 0)
    if len(lost):
        ends = (fabric.nodes[int(source[lost[0]])], fabric.nodes[int(target[lost[0]])])
        raise InputError(f"{ends[0]} cannot reach {ends[1]}", where=fabric.name, remedy="restore a link between them")
    return found


ROUTING: dict[str, Callable[[Fabric, Nodes, Nodes, int], Routes]] = {
    "dimension-order": in_dimension_order,
    "spread": spread,
    "ecmp": by_hash,
    "valiant": over_a_middle,
    "all-path": all_path,
}
"""Ways of routing by name."""
