"""Figures, links and fabrics with round numbers for tests: 100 GB/s a link and direction, 1 us a hop."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from simulator.fabric import Fabric
from simulator.figures import Figure, settle
from simulator.machine import Link
from topologies.builders import builder_of
from topologies.builders.torus import slice_graph
from topologies.fabrics import SwitchedSleds, Torus

if TYPE_CHECKING:
    import networkx as nx

    from topologies.fabrics import MachineFabric


def figure(value: float, unit: str, dimension: str, key: str = "") -> Figure:
    """A figure without a range."""
    stated = Figure(value=value, unit=unit, low=value, high=value, kind="assumed", note="for this test")
    return settle(stated, key or dimension, dimension, "test")


def link(
    bandwidth_gb_per_s: float = 100,
    latency_us: float = 1,
    fraction: float = 1,
    start_us: float = 1,
    family: str = "wire",
) -> Link:
    """A link of round numbers; the keys of its figures begin with its family."""
    return Link(
        family=family,
        bandwidth=figure(bandwidth_gb_per_s, "GB/s", "bytes_per_s", f"{family}/bandwidth"),
        latency=figure(latency_us, "us", "s", f"{family}/latency"),
        fraction=figure(fraction, "1", "1", f"{family}/fraction"),
        start=figure(start_us, "us", "s", f"{family}/start"),
    )


LINK = link()


TRN3 = SwitchedSleds(
    racks=2,
    sleds_per_rack=18,
    chips_per_sled=4,
    rack_switches=2,
    sled_links=4,
    rack_links=5,
    twin_links=2,
    link=LINK,
)
"""Two racks of sleds as Trn3 UltraServers have them."""


def torus_of(*sides: int) -> Torus:
    """A torus whose cubes are single chips, so that every box is a slice."""
    return Torus(dims=sides, cube=(1,) * len(sides), link=LINK)


def torus(*sides: int, wraps: bool = True) -> Fabric:
    """A torus, or a mesh where it does not wrap, in arrays."""
    return Fabric.from_graph(slice_graph(torus_of(*sides), sides, wraps=wraps))


def frozen(fabric: MachineFabric) -> Fabric:
    """What its builder makes of it, in arrays."""
    return Fabric.from_graph(builder_of(fabric).graph(fabric))


def fabric_of(graph: nx.Graph, bandwidth_bytes_per_s: float = 1e9, latency_s: float = 1e-6) -> Fabric:
    """Any graph in arrays: nodes without a kind are chips, edges without a bandwidth have this one."""
    for _, data in graph.nodes(data=True):
        data.setdefault("kind", "chip")
    for _, _, data in graph.edges(data=True):
        for name, value in {
            "bandwidth_bytes_per_s": bandwidth_bytes_per_s,
            "links": 1,
            "latency_s": latency_s,
            "domain": "scale_up",
        }.items():
            data.setdefault(name, value)
    return Fabric.from_graph(graph)


def below_and_above(graph: nx.Graph[str], switch: str) -> tuple[int, int]:
    """Links of a switch to the tier below and to the tier above."""
    tier = graph.nodes[switch]["tier"]
    found = [0, 0]
    for other, data in graph.adj[switch].items():
        found[graph.nodes[other].get("tier", 0) > tier] += data["links"]
    return found[0], found[1]


def least_cut(graph: nx.Graph[str], unit: str) -> float:
    """The least that crosses between two halves of the chips, or of the machines, wherever the switches are put."""
    import networkx as nx

    members: dict[object, list[str]] = {}
    for name, data in graph.nodes.items():
        if data["kind"] == "chip":
            members.setdefault(name if unit == "chip" else data["machine"], []).append(name)
    flow = nx.DiGraph()
    for u, v, data in graph.edges.data():
        rate = data["links"] * data["bandwidth_bytes_per_s"]
        flow.add_edge(u, v, capacity=rate)
        flow.add_edge(v, u, capacity=rate)
    least = math.inf
    for half in itertools.combinations(members, len(members) // 2):
        side = {name for key in half for name in members[key]}
        joined = flow.copy()
        for names in members.values():
            for name in names:
                joined.add_edge(*(("in", name) if name in side else (name, "out")))
        least = min(least, nx.maximum_flow_value(joined, "in", "out"))
    return least
