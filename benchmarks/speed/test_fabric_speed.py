"""How long the largest fabric takes: to build as a graph, to freeze, to measure from one chip and from all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from simulator.fabric import Fabric, distances
from simulator.figures import Figure, settle
from simulator.machine import Link
from topologies.builders import builder_of
from topologies.fabrics import Torus

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
