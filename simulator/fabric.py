"""The fabric as frozen arrays, and what can be said about it: injection, bisection, diameter, mean distance.

Builders (``topologies.builders``, where their conventions are written down) make graphs, which become compressed rows
here that cost nothing to walk, or lists of edges, which become the same rows without a graph. All bandwidths are of one
direction [B/s]: a full-duplex link of 100 GB/s counts 100 GB/s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from simulator.errors import InputError
from simulator.figures import Draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import networkx as nx
    from numpy.typing import NDArray

    from simulator.machine import Level

D = TypeVar("D", bound=np.generic)
_WORD = 64


@dataclass(frozen=True, eq=False)
class Edges:
    """Every edge of a fabric once, from either end and in any order; arrays of (edges,).

    Parameters
    ----------
    tails, heads : numbers of the nodes at its ends
    bandwidth_bytes_per_s, links, latency_s, scale_out, classes : as in :class:`Fabric`
    """

    tails: NDArray[np.int64]
    heads: NDArray[np.int64]
    bandwidth_bytes_per_s: NDArray[np.float64]
    links: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    scale_out: NDArray[np.bool_]
    classes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fabric:
    """A graph in compressed rows: node i has the entries ``indptr[i]:indptr[i + 1]`` of the arrays of entries.

    Rows ascend in their neighbours, and classes are numbered as they come, so that the same fabric has the same arrays
    whichever way it was made.

    Parameters
    ----------
    name : as shown to people
    nodes : name of each node
    kinds : ``chip``, ``cpu``, ``nic`` or ``switch`` for each node
    indptr : (nodes + 1,) first entry of each node
    indices : (entries,) neighbour; every edge stands twice, once for each end
    bandwidth_bytes_per_s : (entries,) one direction of one physical link [B/s]
    links : (entries,) parallel physical links [1]
    latency_s : (entries,) one hop [s]
    scale_out : (entries,) whether the edge belongs to the network between machines
    classes : (entries,) number of the class of edges that differ only in their place: the same plane, kinds of ends,
        bandwidth and links; where the fabric looks the same from every chip, such edges carry the same uniform load
    cuts : name of each declared cut -> (nodes,) whether the node lies on its first side
    is_vertex_transitive : whether the fabric looks the same from every chip
    coordinates : (nodes, axes) place of each node in a torus or mesh; None for fabrics of other kinds
    """

    name: str
    nodes: tuple[str, ...]
    kinds: tuple[str, ...]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    bandwidth_bytes_per_s: NDArray[np.float64]
    links: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    scale_out: NDArray[np.bool_]
    classes: NDArray[np.int64]
    cuts: Mapping[str, NDArray[np.bool_]]
    is_vertex_transitive: bool
    coordinates: NDArray[np.int64] | None = None

    @classmethod
    def from_graph(cls, graph: nx.Graph[str]) -> Fabric:
        """Freeze a graph that keeps the conventions of the builders.

        Raises
        ------
        InputError : a node without a kind, an edge without bandwidth, links or latency, or a graph without chips
        """
        names = tuple(graph.nodes)
        place = {name: i for i, name in enumerate(names)}
        try:
            kinds = tuple(data["kind"] for data in graph.nodes.values())
            rows = [
                (place[u], place[v], d["bandwidth_bytes_per_s"], d["links"], d["latency_s"], d["domain"] == "scale_out")
                for u, v, d in graph.edges.data()
            ]
        except KeyError as error:
            raise InputError(
                f"a node or edge has no {error}",
                where=f"graph {graph.graph.get('name', '')}",
                remedy="nodes need kind; edges need bandwidth_bytes_per_s, links, latency_s and domain",
            ) from None
        if "chip" not in kinds:
            raise InputError("the graph has no chips", remedy='give the nodes that compute kind = "chip"')
        table = np.array(rows, dtype=np.float64).reshape(-1, 6)
        edges = Edges(
            tails=table[:, 0].astype(np.int64),
            heads=table[:, 1].astype(np.int64),
            bandwidth_bytes_per_s=table[:, 2],
            links=table[:, 3].astype(np.int64),
            latency_s=table[:, 4],
            scale_out=table[:, 5].astype(np.bool_),
            classes=np.array(_classes(graph), dtype=np.int64),
        )
        return cls.from_edges(
            str(graph.graph.get("name", "")),
            names,
            kinds,
            edges,
            cuts={name: _members(side, place) for name, side in graph.graph.get("cuts", {}).items()},
            is_vertex_transitive=bool(graph.graph.get("vertex_transitive", False)),
            coordinates=_coordinates(graph),
        )

    @classmethod
    def from_edges(
        cls,
        name: str,
        nodes: tuple[str, ...],
        kinds: tuple[str, ...],
        edges: Edges,
        *,
        cuts: Mapping[str, NDArray[np.bool_]],
        is_vertex_transitive: bool,
        coordinates: NDArray[np.int64] | None = None,
    ) -> Fabric:
        """Lay edges out as rows; no two of them may join the same two nodes."""
        source, neighbour = (np.concatenate(ends) for ends in ((edges.tails, edges.heads), (edges.heads, edges.tails)))
        order = np.argsort(source * len(nodes) + neighbour)
        edge = order % max(len(edges.tails), 1)
        indptr = np.zeros(len(nodes) + 1, dtype=np.int64)
        np.cumsum(np.bincount(source, minlength=len(nodes)), out=indptr[1:])
        return cls(
            name=name,
            nodes=nodes,
            kinds=kinds,
            indptr=_frozen(indptr),
            indices=_frozen(neighbour[order]),
            bandwidth_bytes_per_s=_frozen(edges.bandwidth_bytes_per_s[edge]),
            links=_frozen(edges.links[edge]),
            latency_s=_frozen(edges.latency_s[edge]),
            scale_out=_frozen(edges.scale_out[edge]),
            classes=_frozen(_as_they_come(edges.classes[edge])),
            cuts={cut: _frozen(side) for cut, side in cuts.items()},
            is_vertex_transitive=is_vertex_transitive,
            coordinates=None if coordinates is None else _frozen(coordinates),
        )

    @property
    def chips(self) -> int:
        """Chips [1]."""
        return self.kinds.count("chip")

    @property
    def switches(self) -> int:
        """Switch chips [1]."""
        return self.kinds.count("switch")

    @property
    def edges(self) -> int:
        """Pairs of nodes that are joined [1]."""
        return len(self.indices) // 2

    @property
    def physical_links(self) -> int:
        """Links, counting parallel ones [1]."""
        return int(self.links.sum()) // 2


@dataclass(frozen=True)
class Distances:
    """Edges between two different chips along a shortest path: the most [1] and the mean over all pairs [1]."""

    diameter: int
    mean: float


def degree(fabric: Fabric) -> int:
    """Most neighbours of a chip [1]."""
    return int(np.diff(fabric.indptr)[chips_of(fabric)].max())


def links_per_chip(fabric: Fabric) -> int:
    """Most physical links of a chip [1]."""
    return int(row_sums(fabric, fabric.links.astype(np.float64))[chips_of(fabric)].max())


def capacities(fabric: Fabric) -> NDArray[np.float64]:
    """What each entry carries in its direction, parallel links together: (entries,) [B/s]."""
    return fabric.bandwidth_bytes_per_s * fabric.links


def injection_bytes_per_s(fabric: Fabric, *, scale_out: bool = False) -> float:
    """What the least favoured chip can send at once over all its links inside its machine, or to the network [B/s]."""
    rates = capacities(fabric) * (fabric.scale_out == scale_out)
    return float(row_sums(fabric, rates)[chips_of(fabric)].min())


def cut_bytes_per_s(fabric: Fabric, cut: str) -> float:
    """What crosses a declared cut in one direction [B/s]."""
    side = fabric.cuts[cut]
    crosses = side[sources(fabric)] & ~side[fabric.indices]
    return float(capacities(fabric)[crosses].sum())


def bisection(fabric: Fabric) -> tuple[float, str]:
    """The least bandwidth of the declared cuts, one direction [B/s], and the name of that cut.

    Every declared cut halves the chips, so this bounds the true bisection from above; the builders declare the cuts
    that are known to be least for their kind of fabric.

    Raises
    ------
    InputError : the graph declares no cut
    """
    if not fabric.cuts:
        raise InputError(f"{fabric.name} declares no cut", remedy='put nodes of one half into graph.graph["cuts"]')
    return min((cut_bytes_per_s(fabric, cut), cut) for cut in fabric.cuts)


def distances(fabric: Fabric) -> Distances:
    """Shortest paths between chips, counted in edges; exact, over all pairs.

    A breadth-first search from up to 64 chips at once, one bit of a word for each, so that all pairs of a 9,216-chip
    torus take seconds. From one chip suffices where the fabric looks the same from all.

    Raises
    ------
    InputError : some chip cannot reach another
    """
    chips = np.flatnonzero(chips_of(fabric))
    if len(chips) == 1:
        return Distances(0, 0.0)
    sources = chips[:1] if fabric.is_vertex_transitive else chips
    total, farthest = 0, 0
    for first in range(0, len(sources), _WORD):
        batch = sources[first : first + _WORD]
        counts = _reached_at(fabric, batch, chips)
        if sum(counts) != len(batch) * (len(chips) - 1):
            raise InputError(f"{fabric.name} is not connected", remedy="join every chip to the rest")
        total += sum(hops * count for hops, count in enumerate(counts, start=1))
        farthest = max(farthest, *(hops for hops, count in enumerate(counts, start=1) if count))
    return Distances(farthest, total / (len(sources) * (len(chips) - 1)))


def diameter(fabric: Fabric) -> int:
    """Most edges between two chips [1]; see :func:`distances`."""
    return distances(fabric).diameter


def mean_distance(fabric: Fabric) -> float:
    """Mean edges between two different chips [1]; see :func:`distances`."""
    return distances(fabric).mean


def injection_of_levels(levels: Sequence[Level], draw: Draw | None = None) -> float:
    """What one chip can send at once over all its links, from the closed form that the engine computes with [B/s].

    Axes and meshes add up; switch levels stand behind the same links of the chip, so the fastest counts. An axis has
    ``links`` in both directions, but one that does not close has only one neighbour at its ends.
    """
    draw = draw or Draw()
    direct, switched = 0.0, 0.0
    for level in levels:
        rate = level.links * draw(level.link.bandwidth)
        if level.kind == "axis":
            direct += rate * (2 if level.wraps else 1)
        elif level.kind == "mesh":
            direct += rate * level.neighbours
        else:
            switched = max(switched, rate)
    return direct + switched


def sources(fabric: Fabric) -> NDArray[np.int64]:
    """The node that each entry leads from."""
    return np.repeat(np.arange(len(fabric.nodes)), np.diff(fabric.indptr))


def hops_from(fabric: Fabric, chip: int) -> NDArray[np.int64]:
    """Edges from a chip to every node; -1 where there is no way."""
    hops = np.full(len(fabric.nodes), -1)
    hops[chip] = 0
    source, done = sources(fabric), 0
    while True:
        near = fabric.indices[hops[source] == done]
        near = near[hops[near] < 0]
        if not len(near):
            return hops
        done += 1
        hops[near] = done


def _reached_at(fabric: Fabric, sources: NDArray[np.int64], chips: NDArray[np.int64]) -> list[int]:
    """(source, chip) pairs first reached after 1, 2, … edges."""
    rows = np.flatnonzero(np.diff(fabric.indptr))
    starts = fabric.indptr[rows]
    reached = np.zeros(len(fabric.nodes), dtype=np.uint64)
    reached[sources] = np.uint64(1) << np.arange(len(sources), dtype=np.uint64)
    counts: list[int] = []
    while True:
        grown = reached.copy()
        grown[rows] |= np.bitwise_or.reduceat(reached[fabric.indices], starts)
        new = grown & ~reached
        if not new.any():
            return counts
        counts.append(int(np.bitwise_count(new[chips]).sum()))
        reached = grown


def chips_of(fabric: Fabric) -> NDArray[np.bool_]:
    """Which nodes are chips: (nodes,)."""
    return np.array([kind == "chip" for kind in fabric.kinds])


def row_sums(fabric: Fabric, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the entries of every node of ``values``, one for each entry: (nodes,)."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray(sums[fabric.indptr[1:]] - sums[fabric.indptr[:-1]])


def _classes(graph: nx.Graph[str]) -> list[int]:
    """The class of every edge, numbered as they come."""
    ends = {name: (str(data["kind"]), int(data.get("tier", 0))) for name, data in graph.nodes.items()}
    known: dict[object, int] = {}
    found = []
    for u, v, data in graph.edges.data():
        plane = -1 if data["domain"] == "scale_out" else data.get("plane", 0)  # chips of a node use rails by turns
        looks = (plane, *sorted((ends[u], ends[v])), data["bandwidth_bytes_per_s"], data["links"])
        found.append(known.setdefault(looks, len(known)))
    return found


def _as_they_come(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same classes, small numbers all, numbered from 0 in the order in which they first appear."""
    if not len(classes):
        return classes
    first = np.full(int(classes.max()) + 1, len(classes))
    np.minimum.at(first, classes, np.arange(len(classes)))
    rank = np.empty_like(first)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(rank[classes])


def _coordinates(graph: nx.Graph[str]) -> NDArray[np.int64] | None:
    """The coordinates of all nodes, if all have some; GraphML writes them as text."""
    found = [data.get("coord") for data in graph.nodes.values()]
    if any(each is None for each in found):
        return None
    found = [each.split(",") if isinstance(each, str) else each for each in found]
    return np.array(found, dtype=np.int64).reshape(len(found), -1)


def _members(side: Sequence[str], place: Mapping[str, int]) -> NDArray[np.bool_]:
    found = np.zeros(len(place), dtype=np.bool_)
    found[[place[name] for name in side]] = True
    return found


def _frozen(array: NDArray[D]) -> NDArray[D]:
    array.flags.writeable = False
    return array
