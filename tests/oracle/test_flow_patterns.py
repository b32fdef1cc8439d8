"""Everyone to everyone from one chip, and flows that are alike solved once, against all flows by themselves."""

from __future__ import annotations

import dataclasses
import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.collectives.classes import flow_classes
from simulator.collectives.flow import flow_price, pattern_loads
from simulator.collectives.in_step import drained_by_class, equal_ends
from simulator.collectives.patterns import all_pairs_loads, from_one
from simulator.collectives.schedules import Layout, schedule
from simulator.fabric import Fabric, capacities, chips_of
from simulator.network import drained, link_loads
from simulator.routing import routes
from simulator.structure import all_to_all_bytes_per_s
from tests.support_fabrics import LINK, fabric_of, torus
from tests.support_flows import MIB, A, B
from topologies.builders.torus import twisted
from topologies.fabrics import Torus

TWIST = Fabric.from_graph(twisted(Torus(dims=(4, 4, 8), cube=(4, 4, 4), link=LINK, is_twistable=True), (4, 4, 8)))


def two_level(groups: int, members: int) -> Fabric:
    """Groups of chips on a leaf each, all leaves on two spines; it looks the same from every chip."""
    graph = nx.Graph(vertex_transitive=True)
    chips = groups * members
    graph.add_nodes_from(range(chips), kind="chip")
    graph.add_nodes_from(range(chips, chips + groups), kind="switch", tier=1)
    graph.add_nodes_from(range(chips + groups, chips + groups + 2), kind="switch", tier=2)
    graph.add_edges_from((chip, chips + chip // members) for chip in range(chips))
    graph.add_edges_from(itertools.product(range(chips, chips + groups), range(chips + groups, chips + groups + 2)))
    return fabric_of(graph, B, A)


def uneven(slow: int, far: int) -> Fabric:
    """Pairs of chips on slow links, and all chips on one fast switch that is far: the farthest are not the slowest."""
    graph = nx.Graph(vertex_transitive=True)
    graph.add_nodes_from(range(slow * 2), kind="chip")
    graph.add_nodes_from(range(slow * 2, slow * 2 + 1), kind="switch")
    for chip in range(slow):
        graph.add_edge(chip, chip + slow, plane=1, bandwidth_bytes_per_s=B / 50)
    for chip in range(2 * slow):
        graph.add_edge(chip, 2 * slow, latency_s=far * A, bandwidth_bytes_per_s=B)
    return fabric_of(graph, B, A)


@pytest.mark.parametrize(
    ("fabric", "routing"),
    [
        (torus(2, 4), ""),
        (torus(5), ""),
        (torus(3, 4, 5), ""),
        (torus(3, 4, 5), "spread"),
        (torus(2, 3, 4), "dimension-order"),
        (TWIST, ""),
        (two_level(4, 3), ""),
        (uneven(4, 5), ""),
    ],
    ids=["2x4", "5", "3x4x5", "spread", "dimension-order", "twisted", "two-level", "uneven"],
)
def test_one_chip_speaks_for_all_where_the_fabric_looks_the_same_from_each(fabric, routing):
    chips = np.flatnonzero(chips_of(fabric))
    how = routing or ("spread" if fabric.coordinates is None or fabric is TWIST else "dimension-order")
    assert from_one(fabric, chips, how) is not None
    loads, longest = all_pairs_loads(fabric, chips, how)
    assert pattern_loads(fabric, routing=routing) == pytest.approx(loads)
    priced = flow_price(schedule("direct", "all-to-all", Layout((len(chips),))), fabric, chips, MIB, routing=routing)
    assert priced.loads == pytest.approx(loads * MIB / len(chips))
    assert priced.seconds <= priced.link_s + longest + 1e-12
    # the same from all flows, each solved by itself
    source, target = (each[~np.eye(len(chips), dtype=bool)] for each in np.meshgrid(chips, chips, indexing="ij"))
    ways = routes(fabric, source, target, how)
    ends = drained(ways, capacities(fabric), MIB / len(chips), delay_s=0.0).finish_s + ways.delay_s
    assert priced.seconds == pytest.approx(ends.max(), rel=1e-9)


@pytest.mark.parametrize("fabric", [torus(3, 4, 5), TWIST, two_level(4, 3), torus(3, 4, wraps=False)])
def test_loads_of_an_all_to_all_are_those_behind_its_published_bound(fabric):
    busiest = (pattern_loads(fabric, routing="spread") / capacities(fabric)).max()
    assert (fabric.chips - 1) / busiest == pytest.approx(all_to_all_bytes_per_s(fabric))


def test_a_part_of_a_fabric_and_a_fabric_with_a_slow_link_are_solved_pair_by_pair():
    fabric = torus(4, 4)
    some = pattern_loads(fabric, [0, 1, 5])
    assert some.sum() == pytest.approx(2 * (1 + 2 + 1))
    slow = fabric.bandwidth_bytes_per_s.copy()
    slow[0] /= 10
    hurt = dataclasses.replace(fabric, bandwidth_bytes_per_s=slow)
    assert from_one(hurt, np.arange(16), "dimension-order") is None
    found = schedule("direct", "all-to-all", Layout((16,)))
    whole, part = (flow_price(found, each, range(16), MIB) for each in (fabric, hurt))
    assert part.link_s == pytest.approx(10 * whole.link_s)
    assert part.busiest == f"{fabric.nodes[0]} -> {fabric.nodes[int(fabric.indices[0])]}"


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from(["cycle", "torus", "random"]))
def test_flows_solved_by_class_end_when_they_end_one_by_one(seed, count, kind):
    rng = np.random.default_rng(seed)
    if kind == "random":
        graph = nx.connected_watts_strogatz_graph(12, 4, 0.3, seed=seed)
        fabric = fabric_of(graph)
    else:
        fabric = torus(12) if kind == "cycle" else torus(3, 4)
    source, target = rng.integers(12, size=(2, count))
    volume = rng.choice([1.0, 2.0], size=count) if seed % 2 else np.ones(count)
    if kind == "cycle":
        source, target, volume = np.arange(12), (np.arange(12) + count) % 12, np.ones(12)
    ways = routes(fabric, source, target)
    alone = drained(ways, capacities(fabric), volume, delay_s=0.0).finish_s
    assert drained_by_class(ways, capacities(fabric), volume, 0.0) == pytest.approx(alone, rel=1e-9)
    if (volume == 1).all():
        loads = link_loads(ways, len(fabric.indices))
        ends = equal_ends(ways, loads, capacities(fabric))
        assert ends is None or ends == pytest.approx(alone, rel=1e-9)


def test_translations_on_a_torus_are_few_classes():
    fabric = torus(4, 6)
    source = np.repeat(np.arange(24), 23)
    target = (source + np.tile(np.arange(1, 24), 24)) % 24
    ways = routes(fabric, source, target)
    alike = flow_classes(ways, capacities(fabric), np.ones(len(source)))
    assert len(alike.volume_bytes) < 24
    assert alike.routes.flows == len(alike.volume_bytes)
