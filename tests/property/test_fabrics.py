"""Tori of any size against networkx's own lattice and its shortest paths."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fabric import Fabric, bisection, cut_bytes_per_s, distances, injection_bytes_per_s, injection_of_levels
from simulator.structure import all_to_all_bytes_per_s, structure
from tests.support_fabrics import LINK, torus_of
from topologies.builders import BUILDERS, builder_of, shapes
from topologies.builders.torus import slice_graph, twisted
from topologies.fabrics import LeafSpine, StarPlanes, Torus

SIDES = st.lists(st.integers(1, 6), min_size=1, max_size=3).filter(lambda sides: math.prod(sides) > 1)


@settings(deadline=None, max_examples=60)
@given(SIDES, st.booleans())
def test_a_slice_is_the_lattice_that_networkx_builds(sides, wraps):
    graph = slice_graph(torus_of(*sides), tuple(sides), wraps=wraps)
    coordinates = nx.get_node_attributes(graph, "coord")
    mine = {frozenset((coordinates[u], coordinates[v])) for u, v in graph.edges}
    lattice = nx.grid_graph(dim=list(reversed(sides)), periodic=wraps)
    theirs = {
        frozenset((u if isinstance(u, tuple) else (u,), v if isinstance(v, tuple) else (v,)))
        for u, v in lattice.edges
        if u != v
    }
    assert mine == theirs


@settings(deadline=None, max_examples=60)
@given(SIDES, st.booleans())
def test_distances_equal_those_that_networkx_finds(sides, wraps):
    graph = slice_graph(torus_of(*sides), tuple(sides), wraps=wraps)
    found = distances(Fabric.from_graph(graph))
    assert found.diameter == nx.diameter(graph)
    assert found.mean == pytest.approx(nx.average_shortest_path_length(graph), rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(SIDES)
def test_a_torus_has_two_links_a_chip_and_axis_and_is_cut_least_across_its_longest_axis_that_halves(sides):
    torus = torus_of(*sides)
    frozen = Fabric.from_graph(builder_of(torus).graph(torus))
    axes = [side for side in sides if side > 1]
    assert injection_bytes_per_s(frozen) == pytest.approx(2 * len(axes) * 100e9)
    halving = [side for side in axes if side % 2 == 0] or axes
    rate, cut = bisection(frozen)
    assert rate == pytest.approx(2 * math.prod(sides) / max(halving) * 100e9)
    assert rate == min(cut_bytes_per_s(frozen, other) for other in frozen.cuts) == cut_bytes_per_s(frozen, cut)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 144))
def test_every_number_of_cubes_has_shapes_of_whole_cubes_the_most_cubic_first(cubes):
    torus = Torus(dims=(16, 24, 24), cube=(4, 4, 4), link=LINK)
    found = shapes(torus, 64 * cubes)
    assert found
    assert all(math.prod(shape) == 64 * cubes and list(shape) == sorted(shape) for shape in found)
    assert all(side % 4 == 0 for shape in found for side in shape)
    assert found == sorted(found, key=lambda shape: (sum(shape), shape))
    levels = BUILDERS["torus"].levels(torus, 64 * cubes)
    assert tuple(level.size for level in levels) == found[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 4), st.integers(1, 9))
def test_a_leaf_has_as_much_bandwidth_up_as_down_whatever_its_spines(groups, per_group, leaves, spines):
    fabric = LeafSpine(
        groups=groups, chips_per_group=per_group, chips_per_node=1, leaves=leaves, spines=spines, link=LINK
    )
    graph = builder_of(fabric).graph(fabric)
    for name, data in graph.nodes.items():
        if data["kind"] == "switch" and data["tier"] == 1:
            flows = {"chip": 0.0, "switch": 0.0}
            for other, edge in graph.adj[name].items():
                flows[graph.nodes[other]["kind"]] += edge["links"] * edge["bandwidth_bytes_per_s"]
            assert flows["chip"] == pytest.approx(flows["switch"])


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 20), st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_a_star_injects_the_sum_of_its_links(chips, links):
    fabric = StarPlanes(chips=chips, chips_per_node=1, links=tuple(links), link=LINK)
    frozen = Fabric.from_graph(builder_of(fabric).graph(fabric))
    assert injection_bytes_per_s(frozen) == pytest.approx(sum(links) * 100e9)
    assert injection_of_levels(builder_of(fabric).levels(fabric, chips)) == pytest.approx(sum(links) * 100e9)


@settings(deadline=None, max_examples=40)
@given(SIDES)
def test_metrics_of_a_torus_from_one_chip_equal_those_from_all(sides):
    graph = builder_of(torus_of(*sides)).graph(torus_of(*sides))
    frozen = Fabric.from_graph(graph)
    by_symmetry, by_brute_force = (
        structure(each) for each in (frozen, dataclasses.replace(frozen, is_vertex_transitive=False))
    )
    assert by_symmetry.mean_distance == pytest.approx(by_brute_force.mean_distance, rel=1e-12)
    assert by_symmetry.all_to_all_bytes_per_s == pytest.approx(by_brute_force.all_to_all_bytes_per_s, rel=1e-9)
    same = {"mean_distance": 0.0, "all_to_all_bytes_per_s": 0.0}
    assert dataclasses.replace(by_symmetry, **same) == dataclasses.replace(by_brute_force, **same)


@settings(deadline=None, max_examples=60)
@given(SIDES)
def test_the_all_to_all_bound_of_a_torus_is_that_of_its_longest_ring(sides):
    frozen = Fabric.from_graph(builder_of(torus_of(*sides)).graph(torus_of(*sides)))
    chips, longest = math.prod(sides), max(sides)
    # Of all chips' traffic a directed link of a ring of d carries chips x floor(d^2 / 4) / 2d; d = 2 has two links.
    load = chips * (longest**2 // 4) / (2 * longest)
    assert all_to_all_bytes_per_s(frozen) == pytest.approx((chips - 1) / load * 100e9, rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.booleans())
def test_a_twisted_torus_is_nowhere_worse_than_a_plain_one(half, is_flat):
    k = 2 * half
    shape = (k, k, 2 * k) if is_flat else (k, 2 * k, 2 * k)
    torus = Torus(dims=(12, 12, 24), cube=(2, 2, 2), link=LINK, is_twistable=True)
    plain, turned = (Fabric.from_graph(wire(torus, shape)) for wire in (slice_graph, twisted))
    assert distances(turned).diameter <= distances(plain).diameter
    assert distances(turned).mean <= distances(plain).mean
    assert all_to_all_bytes_per_s(turned) >= all_to_all_bytes_per_s(plain)
    assert turned.physical_links == plain.physical_links
