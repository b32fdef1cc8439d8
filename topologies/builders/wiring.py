"""Wirings laid down in arrays, row by row: what builders make where nobody asks for a graph.

The arrays are those that :meth:`simulator.fabric.Fabric.from_graph` makes of the graph of the same builder, in every
field; tests hold the two to each other. What only graphs carry (media, racks, rails) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.fabric import Edges, Fabric, sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Block = tuple[str, int, Sequence[str]]

Look = tuple[str, int]


class Wiring:
    """Nodes and edges of a fabric while it is being wired; :meth:`fabric` is what comes of it."""

    def __init__(self, name: str) -> None:
        """Begin with nothing but a name, as shown to people."""
        self.name = name
        self._names: list[str] = []
        self._looks: list[Look] = []
        self._edges: list[tuple[Numbers, Numbers, Numbers, Numbers]] = []
        self._rates: list[tuple[float, float, bool]] = []
        self._classes: dict[object, int] = {}
        self._cuts: dict[str, tuple[Numbers, ...]] = {}

    def add(self, kind: str, names: Sequence[str], *, tier: int = 0) -> Numbers:
        """Add nodes of one kind, and of one tier of switches: their numbers, (names,)."""
        (numbers,) = self.add_units(1, (kind, tier, names))
        return np.ravel(numbers)

    def add_units(self, units: int, *blocks: Block) -> list[Numbers]:
        """Add equal units one after the other: of each block (kind, tier, names of all units) the numbers, (units, …).

        The names of a block are dealt to the units in their order: of 8 names, 2 units have 4 each.
        """
        start, step = len(self._names), sum(len(names) for *_, names in blocks) // units
        found: list[Numbers] = []
        first = start
        for *_, names in blocks:
            size = len(names) // units
            found.append(first + np.arange(units)[:, None] * step + np.arange(size))
            first += size
        if units == 1 or len(blocks) == 1:
            self._names += [name for *_, names in blocks for name in names]
        else:
            sizes = [(names, len(names) // units) for *_, names in blocks]
            for unit in range(units):
                for names, size in sizes:
                    self._names += names[unit * size : (unit + 1) * size]
        self._looks += [(kind, tier) for kind, tier, names in blocks for _ in range(len(names) // units)] * units
        return found

    def join(self, tails: Any, heads: Any, attributes: Mapping[str, Any], links: Numbers | None = None) -> None:
        """Add an edge from each of ``tails`` to the one of ``heads`` in its place, which are spread to the same shape.

        All tails are nodes that look alike (of one kind and tier), and so are all heads. ``attributes`` are those of
        :func:`topologies.builders.common.edge`; ``links`` those of each edge where they are not alike [1]. Edges that
        join the same two nodes must come as one.
        """
        tails, heads = (np.ravel(ends).astype(np.int64) for ends in np.broadcast_arrays(tails, heads))
        if not len(tails):
            return
        is_outside = attributes["domain"] == "scale_out"
        plane = -1 if is_outside else attributes["plane"]  # chips of a node use rails by turns
        looks = (plane, *sorted((self._looks[tails[0]], self._looks[heads[0]])))
        rate, latency_s = float(attributes["bandwidth_bytes_per_s"]), float(attributes["latency_s"])
        if links is None:
            each, which = np.array([attributes["links"]]), np.zeros(len(tails), dtype=np.int64)
        else:
            each, which = np.unique(links, return_inverse=True)
        classes = self._numbers_of([(*looks, rate, count) for count in each.tolist()])
        self._edges.append((tails, heads, each[which], classes[which]))
        self._rates.append((rate, latency_s, is_outside))

    def add_like(self, whole: Fabric, names: Sequence[str]) -> Numbers:
        """Add nodes like those of a fabric that is laid already, under these names: their numbers, (names,)."""
        start = len(self._names)
        self._names += names
        self._looks += [(kind, 0) for kind in whole.kinds]
        return start + np.arange(len(names))

    def join_like(self, whole: Fabric, copies: Numbers) -> None:
        """Join nodes as those of a fabric that is laid already; ``copies`` (copies, nodes) are the numbers of each."""
        source = sources(whole)
        once = np.flatnonzero(source < whole.indices)
        rows = np.stack((whole.bandwidth_bytes_per_s, whole.latency_s, whole.scale_out), axis=1)[once]
        rates, which = np.unique(rows, axis=0, return_inverse=True)
        for index, (rate, latency_s, is_outside) in enumerate(rates.tolist()):
            own = once[which.ravel() == index]
            classes = self._numbers_of([(whole.name, each) for each in whole.classes[own].tolist()])
            links, numbers = (np.tile(column, len(copies)) for column in (whole.links[own], classes))
            self._edges.append((copies[:, source[own]].ravel(), copies[:, whole.indices[own]].ravel(), links, numbers))
            self._rates.append((rate, latency_s, bool(is_outside)))

    def _numbers_of(self, classes: Sequence[object]) -> Numbers:
        """The numbers of these classes of edges, new ones counted on."""
        known = self._classes
        return np.array([known.setdefault(each, len(known)) for each in classes], dtype=np.int64)

    def cut(self, name: str, *members: Numbers) -> None:
        """Declare a cut: the numbers of the nodes on its first side."""
        self._cuts[name] = members

    def fabric(self, *, is_vertex_transitive: bool = True, coordinates: Numbers | None = None) -> Fabric:
        """All that was added and joined."""
        columns = zip(*self._edges, strict=True) if self._edges else [[np.zeros(0, dtype=np.int64)]] * 4
        tails, heads, links, classes = (np.concatenate(column) for column in columns)
        sizes = [len(edges[0]) for edges in self._edges]
        rates, delays, outside = np.array(self._rates).reshape(-1, 3).T
        cuts = {}
        for cut, members in self._cuts.items():
            cuts[cut] = np.zeros(len(self._names), dtype=np.bool_)
            for numbers in members:
                cuts[cut][numbers] = True
        return Fabric.from_edges(
            self.name,
            tuple(self._names),
            tuple(kind for kind, _ in self._looks),
            Edges(
                tails=tails,
                heads=heads,
                bandwidth_bytes_per_s=np.repeat(rates, sizes),
                links=links,
                latency_s=np.repeat(delays, sizes),
                scale_out=np.repeat(outside.astype(np.bool_), sizes),
                classes=classes,
            ),
            cuts=cuts,
            is_vertex_transitive=is_vertex_transitive,
            coordinates=coordinates,
        )


def half_of(chips: Numbers) -> Numbers:
    """The first half of the chips in their order, the smaller one where they are odd."""
    return np.ravel(chips)[: chips.size // 2]


def pairs(members: int) -> tuple[Numbers, Numbers]:
    """Every two of so many members: the lower numbers and the higher ones."""
    lower, higher = np.triu_indices(members, 1)
    return lower.astype(np.int64), higher.astype(np.int64)
