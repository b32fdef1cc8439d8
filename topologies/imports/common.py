"""What the readers share: the wiring that they find, its bounds, and small files read safely."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.files import read_text

if TYPE_CHECKING:
    import networkx as nx

KINDS = ("chip", "switch", "cpu", "nic")
MOST_NODES = 65_536
MOST_EDGES = 400_000
MOST_PARALLEL = 1_048_576
FASTEST_BYTES_PER_S = 1e18
SLOWEST_S = 1.0
"""More than these is a slip of the keys, or meant to exhaust the machine that reads it."""


@dataclass(frozen=True)
class Edge:
    """``links`` parallel links of ``bandwidth_bytes_per_s`` in one direction [B/s] and ``latency_s`` a hop [s]."""

    bandwidth_bytes_per_s: float
    latency_s: float
    links: int = 1

    @property
    def capacity_bytes_per_s(self) -> float:
        """What all of its links carry in one direction [B/s]."""
        return self.bandwidth_bytes_per_s * self.links


@dataclass(frozen=True)
class Wiring:
    """What a reader found in a file.

    Parameters
    ----------
    where : the file, as named to people
    kinds : kind of each node (``chip``, ``switch``, ``cpu``, ``nic``), in the order of the file
    edges : pairs of nodes, each pair once
    coords : coordinates of chips, where the file gives them
    notes : what was assumed in reading the file
    """

    where: str
    kinds: Mapping[str, str]
    edges: Mapping[tuple[str, str], Edge]
    coords: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """The nodes of one kind, in the order of the file."""
        return tuple(name for name, its in self.kinds.items() if its == kind)

    def graph(self) -> nx.Graph[str]:
        """The wiring with the attributes that every builder gives its graphs, without cuts."""
        import networkx as nx

        built: nx.Graph[str] = nx.Graph(name=self.where, cuts={}, vertex_transitive=False)
        built.add_nodes_from((name, {"kind": kind}) for name, kind in self.kinds.items())
        built.add_edges_from((a, b, attributes(edge)) for (a, b), edge in self.edges.items())
        return built


def attributes(edge: Edge) -> dict[str, Any]:
    """An edge as the attributes of a graph."""
    return {
        "bandwidth_bytes_per_s": edge.bandwidth_bytes_per_s,
        "latency_s": edge.latency_s,
        "links": edge.links,
        "domain": "scale_up",
    }


class Collector:
    """Gathers nodes and edges of a file one by one and refuses what no machine has."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.kinds: dict[str, str] = {}
        self.edges: dict[tuple[str, str], Edge] = {}

    def node(self, name: str, kind: str, place: str) -> None:
        """One more node."""
        if kind not in KINDS:
            raise InputError(
                f"{shown(kind)} is no kind of node" if kind else f"node {shown(name)} has no kind",
                where=f"{self.where}: {place}",
                remedy=f"give it one of the kinds {', '.join(KINDS)}",
            )
        if name in self.kinds:
            raise InputError(f"node {shown(name)} stands twice", where=f"{self.where}: {place}", remedy="rename one")
        if len(self.kinds) >= MOST_NODES:
            raise InputError(f"more than {MOST_NODES:,} nodes", where=f"{self.where}: {place}", remedy="import a part")
        self.kinds[name] = kind

    def edge(self, a: str, b: str, edge: Edge, place: str) -> None:
        """One more edge; parallel ones of one kind add up."""
        where = f"{self.where}: {place}"
        for name in (a, b):
            if name not in self.kinds:
                raise InputError(f"there is no node {shown(name)}", where=where, remedy="name a node of the file")
        if a == b:
            raise InputError(f"{shown(a)} is joined to itself", where=where, remedy="take the edge out")
        pair = (a, b) if (b, a) not in self.edges else (b, a)
        known = self.edges.get(pair)
        if known is not None:
            if (known.bandwidth_bytes_per_s, known.latency_s) != (edge.bandwidth_bytes_per_s, edge.latency_s):
                raise InputError(
                    f"{shown(a)} and {shown(b)} are joined by links of different kinds",
                    where=where,
                    remedy="sum them into one edge",
                )
            edge = Edge(edge.bandwidth_bytes_per_s, edge.latency_s, known.links + edge.links)
        elif len(self.edges) >= MOST_EDGES:
            raise InputError(f"more than {MOST_EDGES:,} edges", where=where, remedy="import a part")
        self.edges[pair] = edge

    def wiring(self, coords: Mapping[str, tuple[int, ...]] | None = None, notes: tuple[str, ...] = ()) -> Wiring:
        """Everything gathered, if it is one machine: some chips, all of them joined.

        Raises
        ------
        InputError : no chip, or chips that cannot reach each other
        """
        found = Wiring(self.where, self.kinds, self.edges, coords or {}, notes)
        chips = found.of_kind("chip")
        if not chips:
            raise InputError("there is no chip", where=self.where, remedy="give the nodes that compute the kind chip")
        near = neighbours(found)
        reached, waiting = {chips[0]}, [chips[0]]
        while waiting:
            for other in near[waiting.pop()]:
                if other not in reached:
                    reached.add(other)
                    waiting.append(other)
        lost = next((name for name in self.kinds if name not in reached), None)
        if lost is not None:
            raise InputError(
                f"{shown(lost)} cannot be reached from {shown(chips[0])}",
                where=self.where,
                remedy="join every node to the rest, or take it out",
            )
        return found


def neighbours(wiring: Wiring) -> dict[str, dict[str, Edge]]:
    """Node -> neighbour -> the edge between them."""
    near: dict[str, dict[str, Edge]] = {name: {} for name in wiring.kinds}
    for (a, b), edge in wiring.edges.items():
        near[a][b] = edge
        near[b][a] = edge
    return near


def bandwidth(value: object, where: str) -> float:
    """A bandwidth that a file states [B/s], if a link can have it."""
    return _bounded(value, 1.0, FASTEST_BYTES_PER_S, "bandwidth in B/s", where)


def latency(value: object, where: str) -> float:
    """A latency that a file states [s], if a link can have it."""
    return _bounded(value, 0.0, SLOWEST_S, "latency in s", where)


def links(value: object, where: str) -> int:
    """A number of parallel links that a file states [1]."""
    number = _bounded(value, 1, MOST_PARALLEL, "number of links", where)
    if number != int(number):
        raise InputError(f"{number:g} is no whole number of links", where=where, remedy="write a whole number")
    return int(number)


def _bounded(value: object, least: float, most: float, what: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not least <= number <= most:
        remedy = f"write a number from {least:g} to {most:g}"
        raise InputError(f"{shown(value)} is no {what}", where=where, remedy=remedy)
    return number


def shown(value: object) -> str:
    """A value of a file as it is shown in a message: short, and harmless to a terminal."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:80])
    return repr(text) if isinstance(value, str) else text


def read_limited(path: Path, most_bytes: int) -> str:
    """Read a UTF-8 file of at most ``most_bytes``.

    Raises
    ------
    InputError : as :func:`simulator.files.read_text`, or it holds NUL
    """
    text = read_text(path, most_bytes)
    if "\0" in text:
        raise InputError(f"holds NUL at letter {text.index(chr(0))}", where=str(path), remedy="save it as UTF-8")
    return text
