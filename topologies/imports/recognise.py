"""Which builder's graph is this? Each guess is built and compared; what nobody builds is listed edge by edge."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.errors import InputError
from simulator.fabric import Fabric, distances
from simulator.figures import settle_all
from topologies.builders import builder_of
from topologies.checks import chips_of
from topologies.fabrics import EdgeList, MachineFabric
from topologies.imports.common import MOST_NODES, Edge, Wiring, neighbours
from topologies.imports.machine_file import link_table, stated

if TYPE_CHECKING:
    import networkx as nx

Table = dict[str, Any]
MOST_LISTED_EDGES = 16_384
MOST_FOR_ALL_PAIRS = 2_048
ROUNDS = 4
SOURCES = 16
_AXES = 6
_SIGNIFICANT = 9


def fabric_of(wiring: Wiring, like: Mapping[str, Any]) -> Table:
    """The ``[fabric]`` table of a wiring: that of ``like`` if it is the same graph, else of whatever builder fits.

    Raises
    ------
    InputError : no builder fits and the graph is too large to list its edges
    """
    guesses: list[Callable[[Wiring, Mapping[str, Any]], Iterator[Table]]] = [_as_like, _full_mesh, _stars, _torus]
    guesses += [_two_tiers, _leaf_spine]
    graph = wiring.graph()
    marks = _marks(graph)
    for guess in guesses:
        for table in guess(wiring, like):
            if _is_same(wiring, graph, marks, table):
                return table
    return _edge_list(wiring, like)


def _as_like(_: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    yield like["fabric"]


def _full_mesh(wiring: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    chips = len(wiring.of_kind("chip"))
    if chips > 1 and len(wiring.kinds) == chips and len(wiring.edges) == chips * (chips - 1) // 2:
        edge = next(iter(wiring.edges.values()))
        yield {"builder": "full-mesh", "chips": chips, "links_per_pair": edge.links, "link": _link(edge, like)}


def _stars(wiring: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    chips, switches = wiring.of_kind("chip"), wiring.of_kind("switch")
    if not switches or len(wiring.edges) != len(chips) * len(switches):
        return
    near = neighbours(wiring)[chips[0]]
    if set(near) == set(switches):
        links = [near[switch].links for switch in switches]
        link = _link(near[switches[0]], like)
        yield {
            "builder": "star-planes",
            "chips": len(chips),
            "chips_per_node": len(chips),
            "links": links,
            "link": link,
        }


def _torus(wiring: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    """Tori and meshes: by the coordinates of the file, or every way to write the chips as a closed torus."""
    chips = wiring.of_kind("chip")
    if len(chips) != len(wiring.kinds) or len(chips) < 2 or len(wiring.edges) > _AXES * len(chips):
        return
    coords = [wiring.coords.get(chip, ()) for chip in chips]
    axes = len(coords[0])
    if 1 <= axes <= _AXES and all(len(coord) == axes for coord in coords):
        dims = tuple(max(each) + 1 for each in zip(*coords, strict=True))
        if math.prod(dims) == len(chips) == len(set(coords)):
            yield from _torus_by_coordinates(wiring, dims, like)
        return
    edge = next(iter(wiring.edges.values()))
    for dims in _factors(len(chips), 2, _AXES):
        if sum(len(chips) if side > 2 else len(chips) // 2 for side in dims) == len(wiring.edges):
            yield {"builder": "fixed-torus", "dims": list(dims), "link": _link(edge, like)}


def _torus_by_coordinates(wiring: Wiring, dims: tuple[int, ...], like: Mapping[str, Any]) -> Iterator[Table]:
    at = {coord: name for name, coord in wiring.coords.items()}
    near = neighbours(wiring)
    origin = (0,) * len(dims)
    first: list[Edge | None] = []
    wraps = []
    for axis, side in enumerate(dims):
        step, last = ((*origin[:axis], along, *origin[axis + 1 :]) for along in (min(1, side - 1), side - 1))
        edge = near[at[origin]].get(at[step])
        closing = near[at[origin]].get(at[last])
        wraps.append(closing is not None and (side > 2 or closing.links > 1))
        first.append(edge)
    rates = [edge.bandwidth_bytes_per_s for edge in first if edge]
    if rates:
        fastest = next(edge for edge in first if edge and edge.bandwidth_bytes_per_s == max(rates))
        shares = [edge.bandwidth_bytes_per_s / max(rates) if edge else 1.0 for edge in first]
        table = {"builder": "fixed-torus", "dims": list(dims), "share": shares, "wraps": wraps}
        yield table | {"link": _link(fastest, like)}


def _two_tiers(wiring: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    found = _tiers(wiring)
    if found is None:
        return
    groups, near, spines = found
    leaves, chips = next(iter(groups.items()))
    cpus = [name for name in near[leaves[0]] if wiring.kinds[name] == "cpu"]
    edge = near[chips[0]][leaves[0]]
    planes = len(leaves)
    table: Table = {
        "builder": "two-tier-planes",
        "nodes": len(groups),
        "chips_per_node": len(chips),
        "cpus_per_node": len(cpus),
        "planes": planes,
        "chip_links": edge.links,
        "spines": len(spines) // planes,
        "link": _link(edge, like),
    }
    if cpus:
        rate = near[leaves[0]][cpus[0]].bandwidth_bytes_per_s * planes
        yield table | {"cpu_bandwidth": stated(rate, "B/s", "bandwidth of the edges of CPUs")}


def _leaf_spine(wiring: Wiring, like: Mapping[str, Any]) -> Iterator[Table]:
    found = _tiers(wiring)
    if found is None:
        return
    groups, near, spines = found
    leaves, chips = next(iter(groups.items()))
    edge = near[chips[0]][leaves[0]]
    above = [other for name, other in near[leaves[0]].items() if name in spines]
    down = edge.capacity_bytes_per_s * len(chips)
    up = sum(each.capacity_bytes_per_s for each in above)
    if up and down / up >= 1:
        yield {
            "builder": "leaf-spine",
            "groups": len(groups),
            "chips_per_group": len(chips),
            "chips_per_node": len(chips),
            "leaves": len(leaves),
            "spines": len(spines),
            "oversubscription": round(down / up, _SIGNIFICANT),
            "link": _link(edge, like),
        }


def _tiers(
    wiring: Wiring,
) -> tuple[dict[tuple[str, ...], list[str]], dict[str, dict[str, Edge]], tuple[str, ...]] | None:
    """Chips by the switches that they reach, and the switches without chips; None where these are no two tiers."""
    near = neighbours(wiring)
    groups: dict[tuple[str, ...], list[str]] = {}
    for chip in wiring.of_kind("chip"):
        groups.setdefault(tuple(sorted(near[chip])), []).append(chip)
    leaves = {leaf for group in groups for leaf in group}
    sizes = {(len(group), len(chips)) for group, chips in groups.items()}
    spines = tuple(name for name in wiring.of_kind("switch") if name not in leaves)
    if len(sizes) != 1 or not spines or not all(wiring.kinds[leaf] == "switch" for leaf in leaves):
        return None
    return groups, near, spines


def _factors(number: int, least: int, axes: int) -> Iterator[tuple[int, ...]]:
    """Every way to write a number as a product of at most ``axes`` sides in ascending order."""
    if number >= least:
        yield (number,)
    if axes > 1:
        for side in range(least, math.isqrt(number) + 1):
            if number % side == 0:
                yield from ((side, *rest) for rest in _factors(number // side, side, axes - 1))


def _link(edge: Edge, like: Mapping[str, Any]) -> Table:
    return link_table(like, edge.bandwidth_bytes_per_s, edge.latency_s)


def _edge_list(wiring: Wiring, like: Mapping[str, Any]) -> Table:
    if len(wiring.edges) > MOST_LISTED_EDGES:
        raise InputError(
            f"no builder makes this graph, and its {len(wiring.edges):,} edges are too many to list one by one",
            where=wiring.where,
            remedy=f"import a regular part of it, or at most {MOST_LISTED_EDGES:,} edges",
        )
    order = [name for kind in ("chip", "switch", "cpu", "nic") for name in wiring.of_kind(kind)]
    place = {name: index for index, name in enumerate(order)}
    fastest = max(edge.bandwidth_bytes_per_s for edge in wiring.edges.values())
    slowest = max(edge.latency_s for edge in wiring.edges.values())
    bundles: dict[Edge, list[list[int]]] = {}
    for (a, b), edge in wiring.edges.items():
        bundles.setdefault(edge, []).append([place[a], place[b]])
    table: Table = {"builder": "edge-list", "chips": len(wiring.of_kind("chip"))}
    for field, kind in (("switches", "switch"), ("cpus", "cpu"), ("nics", "nic")):
        table[field] = len(wiring.of_kind(kind))
    table["bundles"] = [
        {
            "links": edge.links,
            "share": edge.bandwidth_bytes_per_s / fastest,
            "delay": edge.latency_s / slowest if slowest else 1.0,
            "pairs": pairs,
        }
        for edge, pairs in bundles.items()
    ]
    return table | {"link": link_table(like, fastest, slowest)}


def _is_same(wiring: Wiring, graph: nx.Graph[str], marks: Counter[int], table: Table) -> bool:
    """Whether a guess stands for the same graph: marks of all neighbourhoods and all distances between chips agree."""
    fabric = settle_all(msgspec.convert(table, MachineFabric), "machine/import", "fabric")
    if isinstance(fabric, EdgeList) or not chips_of(fabric) == len(wiring.of_kind("chip")) <= MOST_NODES:
        return False
    guess = builder_of(fabric).graph(fabric)
    if guess.number_of_nodes() != len(wiring.kinds) or guess.number_of_edges() != len(wiring.edges):
        return False
    if _marks(guess) != marks:
        return False
    if chips_of(fabric) > MOST_FOR_ALL_PAIRS:
        return _sampled(guess) == _sampled(graph)
    return distances(Fabric.from_graph(guess)) == distances(Fabric.from_graph(graph))


def _sampled(graph: nx.Graph[str]) -> list[int]:
    """Sums of the distances to all nodes from some chips, spread evenly over the graph's order, ascending."""
    import networkx as nx

    chips = [name for name, data in graph.nodes.items() if data["kind"] == "chip"]
    sources = chips[:: max(1, len(chips) // SOURCES)]
    return sorted(sum(nx.single_source_shortest_path_length(graph, source).values()) for source in sources)


def _marks(graph: nx.Graph[str]) -> Counter[int]:
    """Marks of the nodes after some rounds of colour refinement: equal for isomorphic graphs (Weisfeiler, Leman 1968).

    A mark is the hash of numbers, which is the same in every process.
    """
    kinds = {kind: index for index, kind in enumerate(("chip", "switch", "cpu", "nic"))}
    place = {name: index for index, name in enumerate(graph.nodes)}
    colour = [hash((kinds[data["kind"]], graph.degree[name])) for name, data in graph.nodes.items()]
    near: list[list[tuple[int, int]]] = [[] for _ in place]
    for a, b, data in graph.edges.data():
        rates = (data["bandwidth_bytes_per_s"], data["latency_s"])
        mark = hash((*(float(f"{rate:.{_SIGNIFICANT}g}") for rate in rates), data["links"]))
        near[place[a]].append((place[b], mark))
        near[place[b]].append((place[a], mark))
    for _ in itertools.repeat(None, ROUNDS):
        colour = [
            hash((own, *itertools.chain.from_iterable(sorted((colour[other], mark) for other, mark in edges))))
            for own, edges in zip(colour, near, strict=True)
        ]
    return Counter(colour)
