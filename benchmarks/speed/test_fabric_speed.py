"""How long the largest fabrics take: as a graph, frozen, as arrays without a graph, measured from one chip and all."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from simulator.fabric import Fabric, distances
from simulator.figures import Figure, settle
from simulator.machine import Link
from simulator.structure import structure
from topologies.builders import builder_of
from topologies.fabrics import Clos, HammingMesh, LeafSpine, MachineFabric, MeshedRacks, Torus

if TYPE_CHECKING:
    import networkx as nx
    from pytest_benchmark.fixture import BenchmarkFixture


def figure(value: float, unit: str, dimension: str) -> Figure:
    """A figure of this benchmark alone."""
    stated = Figure(value=value, unit=unit, low=value, high=value, kind="assumed", note="for this benchmark")
    return settle(stated, dimension, dimension, "benchmark")


POD = Torus(
    dims=(16, 24, 24),
    cube=(4, 4, 4),
    link=Link(
        family="ici",
        bandwidth=figure(100, "GB/s", "bytes_per_s"),
        latency=figure(1, "us", "s"),
        fraction=figure(1, "1", "1"),
        start=figure(1, "us", "s"),
    ),
)


LARGE: list[MachineFabric] = [
    Torus(dims=(16, 32, 32), cube=(4, 4, 4), link=POD.link),
    MeshedRacks(dims=(8, 8), racks=256, planes=4, spines=64, link=POD.link),
    LeafSpine(groups=256, chips_per_group=64, chips_per_node=8, leaves=4, spines=16, link=POD.link),
    HammingMesh(board=(4, 4), boards=(32, 32), link=POD.link),
    Clos(nodes=2048, chips_per_node=8, rails=8, tiers=3, radix=64, link=POD.link),
]
"""16,384 chips of each kind."""


@pytest.fixture(scope="module")
def graph():
    """The pod as a graph."""
    return builder_of(POD).graph(POD)


def test_building_the_graph_of_9216_chips(benchmark: BenchmarkFixture):
    """Target: below one second."""
    assert len(benchmark(builder_of(POD).graph, POD)) == 9216


def test_freezing_the_graph_into_arrays(benchmark: BenchmarkFixture, graph: nx.Graph[str]):
    """Rows of 27,648 edges from both ends."""
    assert benchmark(Fabric.from_graph, graph).edges == 27648


def test_distances_from_one_chip(benchmark: BenchmarkFixture, graph: nx.Graph[str]):
    """Enough for a torus, which looks the same from every chip."""
    assert benchmark(distances, Fabric.from_graph(graph)).diameter == 32


def test_distances_between_all_pairs(benchmark: BenchmarkFixture, graph: nx.Graph[str]):
    """The general case; 85 million pairs."""
    frozen = dataclasses.replace(Fabric.from_graph(graph), is_vertex_transitive=False)
    assert benchmark.pedantic(distances, (frozen,), rounds=1).diameter == 32


@pytest.mark.parametrize("fabric", LARGE, ids=lambda fabric: type(fabric).__name__)
def test_building_the_graph_of_16384_chips(benchmark: BenchmarkFixture, fabric: MachineFabric):
    """Target: below two seconds, whatever the kind."""
    built = benchmark.pedantic(builder_of(fabric).graph, (fabric,), rounds=3)
    assert sum(data["kind"] == "chip" for data in built.nodes.values()) == 16384


@pytest.mark.parametrize("fabric", LARGE, ids=lambda fabric: type(fabric).__name__)
def test_arrays_of_16384_chips_without_a_graph(benchmark: BenchmarkFixture, fabric: MachineFabric):
    """Target: below 100 ms, whatever the kind; beside it, how many times longer the way over the graph takes."""
    builder = builder_of(fabric)
    start = time.perf_counter()
    frozen = Fabric.from_graph(builder.graph(fabric))
    over_the_graph_s = time.perf_counter() - start
    built = benchmark.pedantic(builder.arrays, (fabric,), rounds=5, warmup_rounds=1)
    assert (built.chips, built.edges) == (16384, frozen.edges)
    if benchmark.stats is not None:  # none where benchmarks are disabled
        benchmark.extra_info["graph_over_arrays"] = over_the_graph_s / benchmark.stats.stats.median


def test_all_metrics_by_symmetry(benchmark: BenchmarkFixture, graph: nx.Graph[str]):
    """Target: below one second for 9,216 chips, all metrics together."""
    assert benchmark(structure, Fabric.from_graph(graph)).diameter == 32
