"""Fabrics against published counts, closed forms and each other; every builder through the same conformance tests."""

from __future__ import annotations

import dataclasses
import itertools
import math

import msgspec
import networkx as nx
import pytest

from simulator.errors import InputError
from simulator.fabric import (
    Fabric,
    bisection,
    cut_bytes_per_s,
    degree,
    diameter,
    distances,
    injection_bytes_per_s,
    injection_of_levels,
    links_per_chip,
    mean_distance,
)
from simulator.figures import Draw
from simulator.machine import Level, Link, Reach
from tests import support_fabrics
from topologies.builders import (
    BUILDERS,
    NETWORK_BUILDERS,
    builder_of,
    fixed_torus,
    join,
    network_builder_of,
    reaches,
    shapes,
)
from topologies.builders.torus import slice_graph
from topologies.fabrics import (
    Bundle,
    Clos,
    Dragonfly,
    EdgeList,
    FixedTorus,
    FullMesh,
    HammingMesh,
    LeafSpine,
    MeshedRacks,
    PcieTree,
    RailFatTree,
    StarPlanes,
    Torus,
    TwoTierPlanes,
)


def link(family: str, gigabytes_per_s: float) -> Link:
    return support_fabrics.link(gigabytes_per_s, 0.5, 0.9, 2, family)


def pod(dims: tuple[int, ...], gigabytes_per_s: float) -> Torus:
    return Torus(dims=dims, cube=(4, 4, 4), link=link("ici", gigabytes_per_s))


IRONWOOD = pod((16, 24, 24), 100)
NVL72 = StarPlanes(chips=72, chips_per_node=4, links=(1,) * 18, link=link("nvlink", 50))
H100 = StarPlanes(chips=8, chips_per_node=8, links=(5, 4, 4, 5), link=link("nvlink", 25))
CLOUDMATRIX = TwoTierPlanes(
    nodes=48,
    chips_per_node=8,
    cpus_per_node=4,
    planes=7,
    chip_links=2,
    spines=16,
    link=link("ub", 28),
    cpu_bandwidth=support_fabrics.figure(160, "GB/s", "bytes_per_s", "cpu"),
    nodes_per_rack=4,
    spine_racks=4,
)
SCALEX = LeafSpine(groups=16, chips_per_group=40, chips_per_node=4, leaves=4, spines=16, link=link("hsl", 56))
TRN2 = FixedTorus(dims=(4, 4, 4), share=(1, 1, 0.5), slices=((4, 4, 1),), link=link("neuronlink", 128))
MI300X = FullMesh(chips=8, links_per_pair=1, link=link("xgmi", 64))
V6E_SLICES = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16))
V6E = FixedTorus(dims=(16, 16), slices=V6E_SLICES, link=link("ici", 90))
A100 = StarPlanes(chips=8, chips_per_node=8, links=(2,) * 6, link=link("nvlink", 25))
VERA_RUBIN = StarPlanes(chips=72, chips_per_node=4, links=(1,) * 36, link=link("nvlink", 50))
HELIOS = StarPlanes(chips=72, chips_per_node=4, links=(6,) * 12, link=link("ualoe", 25))
ATLAS950 = MeshedRacks(dims=(8, 8), racks=128, planes=4, spines=64, link=link("ub", 56))
DRAGONFLY = Dragonfly(groups=5, nodes=4, chips_per_node=4, local_links=4, global_links=4, link=link("metaxlink", 32))
MTIA = PcieTree(hosts=2, switches=4, chips_per_switch=3, uplinks=1, host_links=2, link=link("pcie", 32))
HX4MESH = HammingMesh(board=(4, 4), boards=(4, 4), link=link("hx", 50))
TRN3 = msgspec.structs.replace(support_fabrics.TRN3, link=link("neuronlink", 64))
LISTED = EdgeList(
    chips=4, switches=1, bundles=(Bundle(pairs=((0, 4), (1, 4), (2, 4), (3, 4)), links=2),), link=link("wire", 25)
)
RAILS = Clos(
    nodes=64,
    chips_per_node=8,
    rails=4,
    planes=2,
    tiers=3,
    switches=(16, 8, 8),
    pods=2,
    oversubscription=(2, 2),
    link=link("eth", 50),
)
INFINIBAND = RailFatTree(ports=8, node_chips=8, radix=64, link=link("ib", 50))
MACHINES = {
    "torus": IRONWOOD,
    "star-planes": NVL72,
    "two-tier-planes": CLOUDMATRIX,
    "leaf-spine": SCALEX,
    "clos": RAILS,
    "fixed-torus": TRN2,
    "full-mesh": MI300X,
    "meshed-racks": ATLAS950,
    "dragonfly": DRAGONFLY,
    "pcie-tree": MTIA,
    "hamming-mesh": HX4MESH,
    "switched-sleds": TRN3,
    "edge-list": LISTED,
}
NETWORKS = {"rail-fat-tree": INFINIBAND}


@pytest.fixture(scope="module")
def graphs():
    return {tag: builder_of(fabric).graph(fabric) for tag, fabric in MACHINES.items()}


def some_legal(tag: str) -> tuple[int, ...]:
    """The legal slices of the sample machine, thinned where there are many."""
    legal = BUILDERS[tag].legal_chips(MACHINES[tag])
    return tuple(sorted({*legal[:40], *legal[40::17], legal[-1]}))


# Counts as published, or computed from what is published; the origin stands beside each.
@pytest.mark.parametrize(
    ("fabric", "counts", "injection", "hops"),
    [
        pytest.param(IRONWOOD, (9216, 0, 27648, 27648), 600e9, 32, id="Ironwood: 144 cubes, 6 links of 100 GB/s"),
        pytest.param(NVL72, (72, 18, 1296, 1296), 900e9, 2, id="NVL72: 18 switch chips, 18 links of 50 GB/s"),
        pytest.param(H100, (8, 4, 32, 144), 450e9, 2, id="H100: 18 links of 25 GB/s as 5, 4, 4, 5"),
        pytest.param(
            CLOUDMATRIX, (384, 448, 9408, 12096), 392e9, 4, id="CloudMatrix384: 336 + 112 switches, 5,376 links between"
        ),
        pytest.param(
            SCALEX, (640, 80, 3584, 7680), 224e9, 4, id="scaleX640: 16 groups of 40, 4 leaves each, 16 spines"
        ),
        pytest.param(TRN2, (64, 0, 192, 192), 640e9, 6, id="Trn2 UltraServer: 4x4x4, links of 128, 128 and 64 GB/s"),
        pytest.param(MI300X, (8, 0, 28, 28), 448e9, 1, id="MI300X: K8 of one 64 GB/s link each"),
        pytest.param(
            FullMesh(chips=8, links_per_pair=1, link=link("xgmi", 76.5)), (8, 0, 28, 28), 535.5e9, 1, id="MI355X: K8"
        ),
        pytest.param(V6E, (256, 0, 512, 512), 360e9, 16, id="TPU v6e: 16x16"),
        pytest.param(pod((16, 16, 16), 45), (4096, 0, 12288, 12288), 270e9, 24, id="TPU v4: 64 cubes"),
        pytest.param(pod((16, 20, 28), 90), (8960, 0, 26880, 26880), 540e9, 32, id="TPU v5p: 140 cubes"),
        pytest.param(A100, (8, 6, 48, 96), 300e9, 2, id="HGX A100: 6 switch chips, 2 links to each"),
        pytest.param(VERA_RUBIN, (72, 36, 2592, 2592), 1800e9, 2, id="VR NVL72: 36 switch chips"),
        pytest.param(HELIOS, (72, 12, 864, 5184), 1800e9, 2, id="Helios: 12 switch chips, 6 lanes of 200G to each"),
    ],
)
def test_counts_equal_those_of_the_machine(fabric, counts, injection, hops):
    frozen = Fabric.from_graph(builder_of(fabric).graph(fabric))
    assert (frozen.chips, frozen.switches, frozen.edges, frozen.physical_links) == counts
    assert injection_bytes_per_s(frozen) == pytest.approx(injection, rel=1e-12)
    assert diameter(frozen) == hops


@pytest.mark.parametrize(
    ("fabric", "mean"),
    [(pod((16, 16, 16), 45), 12.00), (pod((16, 20, 28), 90), 16.00), (V6E, 8.03), (TRN2, 3.05), (MI300X, 1.0)],
    ids=["TPU v4", "TPU v5p", "TPU v6e", "Trn2", "MI300X"],
)
def test_mean_distances_equal_those_computed_from_the_descriptions(fabric, mean):
    assert mean_distance(Fabric.from_graph(builder_of(fabric).graph(fabric))) == pytest.approx(mean, abs=0.005)


def test_a_slice_of_a_fixed_torus_is_closed_only_along_the_axes_that_it_spans():
    wraps = {n: [level.wraps for level in BUILDERS["fixed-torus"].levels(V6E, n)] for n in (64, 128, 256)}
    assert wraps == {64: [False, False], 128: [False, True], 256: [True, True]}
    ring = BUILDERS["fixed-torus"].levels(TRN2, 64)
    assert [(level.name, level.links) for level in ring] == [
        ("neuronlink-x", 1),
        ("neuronlink-y", 1),
        ("neuronlink-z", 0.5),
    ]
    line = FixedTorus(dims=(4, 3), wraps=(True, False), link=link("wire", 10))
    assert [level.wraps for level in BUILDERS["fixed-torus"].levels(line, 12)] == [True, False]


@pytest.mark.parametrize("chips", [4, 8, 16, 32, 64, 128, 256])
def test_slices_of_a_fixed_torus_have_the_diameter_and_injection_of_their_graphs(chips):
    frozen = Fabric.from_graph(fixed_torus.slice_graph(V6E, fixed_torus.shapes(V6E, chips)[0]))
    levels = BUILDERS["fixed-torus"].levels(V6E, chips)
    assert diameter(frozen) == sum(level.farthest_hops for level in levels)
    assert links_per_chip(frozen) == sum(level.neighbours for level in levels)
    assert injection_of_levels(levels) == pytest.approx(injection_bytes_per_s(frozen))
    assert frozen.is_vertex_transitive == (chips in {4, 256})
    everywhere = distances(dataclasses.replace(frozen, is_vertex_transitive=False))
    assert distances(frozen).mean == pytest.approx(everywhere.mean, rel=1e-12)


def test_two_to_one_oversubscription_halves_what_crosses_between_the_groups():
    # DGX H100 SuperPOD with NVLink network: 32 nodes, 18 links of 25 GB/s up from each of 4 switches, half of what
    # the 8 chips send in.
    full = LeafSpine(groups=32, chips_per_group=8, chips_per_node=8, leaves=4, spines=18, link=link("nvlink", 112.5))
    slim = LeafSpine(
        groups=32, chips_per_group=8, chips_per_node=8, leaves=4, spines=18, link=full.link, oversubscription=2
    )
    rates = [bisection(Fabric.from_graph(builder_of(fabric).graph(fabric)))[0] for fabric in (full, slim)]
    assert rates[0] == pytest.approx(128 * 450e9)
    assert rates[1] == pytest.approx(rates[0] / 2)
    inner, outer = BUILDERS["leaf-spine"].levels(slim, 256)
    assert outer.links == inner.links / 2
    up = builder_of(slim).graph(slim).edges["leaf0-0", "spine0"]
    assert up["links"] * up["bandwidth_bytes_per_s"] == pytest.approx(25e9)


def test_cloudmatrix_has_5376_links_between_its_two_tiers(graphs):
    tiers = graphs["two-tier-planes"].nodes(data="tier")
    between = [(u, v) for u, v in graphs["two-tier-planes"].edges if tiers[u] and tiers[v]]
    assert len(between) == 48 * 7 * 16 == 5376  # arXiv 2506.12708
    kinds = [kind for _, kind in graphs["two-tier-planes"].nodes(data="kind")]
    assert (kinds.count("cpu"), kinds.count("chip")) == (192, 384)


def test_ironwood_has_96_optical_links_a_cube_and_copper_inside(graphs):
    media = [medium for _, _, medium in graphs["torus"].edges(data="medium")]
    assert media.count("ocs") == 144 * 96 // 2  # 16 links on each of 6 faces; each joins two cubes
    assert media.count("copper") == 144 * 3 * 4 * 4 * 3


def test_mean_distance_of_the_ironwood_torus_equals_the_sum_over_its_rings(graphs):
    # A ring of n (even) has mean distance n/4 over all n positions; axes add; the chip itself is taken out.
    expected = sum(n / 4 for n in (16, 24, 24)) * 9216 / 9215
    assert mean_distance(Fabric.from_graph(graphs["torus"])) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(16.0017, abs=1e-4)


def test_one_source_and_all_pairs_give_the_same_distances():
    torus = Torus(dims=(4, 8, 8), cube=(4, 4, 4), link=link("ici", 100))
    for fabric in (torus, NVL72, CLOUDMATRIX):
        frozen = Fabric.from_graph(builder_of(fabric).graph(fabric))
        assert frozen.is_vertex_transitive
        everywhere = distances(dataclasses.replace(frozen, is_vertex_transitive=False))
        assert everywhere.diameter == distances(frozen).diameter
        assert everywhere.mean == pytest.approx(distances(frozen).mean, rel=1e-12)


@pytest.mark.parametrize(
    ("dims", "expected"), [((16, 24, 24), 2 * 16 * 24), ((4, 4, 16), 2 * 4 * 4), ((8, 8, 8), 2 * 8 * 8)]
)
def test_bisection_of_a_torus_is_two_planes_across_its_longest_axis(dims, expected):
    torus = Torus(dims=dims, cube=(4, 4, 4), link=link("ici", 100))
    rate, cut = bisection(Fabric.from_graph(builder_of(torus).graph(torus)))
    assert rate == pytest.approx(expected * 100e9)
    assert dims["xyz".index(cut[-1])] == max(dims)


@pytest.mark.parametrize("fabric", [NVL72, H100, CLOUDMATRIX, SCALEX], ids=["nvl72", "h100", "cloudmatrix", "scalex"])
def test_switched_machines_have_full_bisection_across_every_declared_cut(fabric):
    frozen = Fabric.from_graph(builder_of(fabric).graph(fabric))
    for cut in frozen.cuts:
        half = frozen.chips // 2
        assert cut_bytes_per_s(frozen, cut) == pytest.approx(half * injection_bytes_per_s(frozen), rel=1e-9)


def test_no_split_of_a_small_star_has_less_than_the_declared_bisection():
    star = StarPlanes(chips=4, chips_per_node=4, links=(2, 1), link=link("nvlink", 25))
    graph = builder_of(star).graph(star)
    chips = [name for name, kind in graph.nodes(data="kind") if kind == "chip"]
    others = [name for name in graph if name not in chips]

    def rate(side):
        return sum(
            d["links"] * d["bandwidth_bytes_per_s"] for u, v, d in graph.edges.data() if (u in side) != (v in side)
        )

    least = min(
        rate({*half, *extra})
        for half in itertools.combinations(chips, 2)
        for size in range(len(others) + 1)
        for extra in itertools.combinations(others, size)
    )
    assert bisection(Fabric.from_graph(graph))[0] == pytest.approx(least)


def test_516_shapes_are_legal_on_ironwood_and_18_use_every_chip():
    # Counted from the published slice rule: sides multiples of 4, at most 144 cubes.
    whole_cubes = [shape for n in range(1, 145) for shape in shapes(IRONWOOD, 64 * n)]
    assert len(whole_cubes) == 516
    assert len(shapes(IRONWOOD, 9216)) == 18
    assert shapes(IRONWOOD, 9216)[0] == (16, 24, 24)
    assert shapes(IRONWOOD, 256) == [(4, 8, 8), (4, 4, 16)]


def test_slices_below_a_cube_are_the_published_meshes():
    published = {1: (1, 1, 1), 4: (1, 2, 2), 8: (2, 2, 2), 16: (2, 2, 4), 32: (2, 4, 4)}
    assert {n: shapes(IRONWOOD, n)[0] for n in published} == published
    assert [n for n in BUILDERS["torus"].legal_chips(IRONWOOD) if n < 64] == list(published)
    assert not any(level.wraps for n in published for level in BUILDERS["torus"].levels(IRONWOOD, n))
    assert all(level.wraps for level in BUILDERS["torus"].levels(IRONWOOD, 64))


def test_torus_levels_run_from_the_shortest_axis_outwards():
    levels = BUILDERS["torus"].levels(IRONWOOD, 9216)
    assert [(level.name, level.size) for level in levels] == [("ici-x", 16), ("ici-y", 24), ("ici-z", 24)]
    assert [level.size for level in BUILDERS["torus"].levels(IRONWOOD, 4)] == [2, 2]


def test_an_oversubscribed_second_tier_leaves_a_chip_its_share():
    slim = TwoTierPlanes(
        nodes=4,
        chips_per_node=8,
        cpus_per_node=1,
        planes=2,
        chip_links=2,
        spines=4,
        link=link("ub", 28),
        cpu_bandwidth=support_fabrics.figure(160, "GB/s", "bytes_per_s", "cpu"),
    )
    inner, outer = BUILDERS["two-tier-planes"].levels(slim, 32)
    assert outer.links == pytest.approx(inner.links * 4 / 16)
    frozen = Fabric.from_graph(builder_of(slim).graph(slim))
    rate, cut = bisection(frozen)
    assert cut == "half of the nodes"
    assert rate == pytest.approx(16 * outer.links * 28e9)


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_levels_of_every_legal_slice_multiply_to_its_chips(tag):
    for chips in some_legal(tag):
        levels = BUILDERS[tag].levels(MACHINES[tag], chips)
        assert math.prod(level.size for level in levels) == chips
        assert all(level.size > 1 for level in levels)


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_injection_of_the_levels_equals_that_of_the_graph(tag, graphs):
    fabric = MACHINES[tag]
    frozen = Fabric.from_graph(graphs[tag])
    levels = BUILDERS[tag].levels(fabric, frozen.chips)
    assert injection_of_levels(levels) == pytest.approx(injection_bytes_per_s(frozen), rel=1e-12)


@pytest.mark.parametrize("chips", [4, 8, 16, 32, 64, 128, 256, 512])
def test_injection_and_diameter_of_torus_slices_equal_those_of_their_graphs(chips):
    shape = shapes(IRONWOOD, chips)[0]
    levels = BUILDERS["torus"].levels(IRONWOOD, chips)
    frozen = Fabric.from_graph(slice_graph(IRONWOOD, shape))
    assert injection_of_levels(levels) == pytest.approx(injection_bytes_per_s(frozen), rel=1e-12)
    assert diameter(frozen) == sum(level.farthest_hops for level in levels)
    assert links_per_chip(frozen) == sum(level.neighbours for level in levels)


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_legal_slices_ascend_to_the_whole_machine(tag, graphs):
    legal = BUILDERS[tag].legal_chips(MACHINES[tag])
    assert list(legal) == sorted(set(legal))
    assert legal[0] == 1
    assert legal[-1] == Fabric.from_graph(graphs[tag]).chips
    assert BUILDERS[tag].levels(MACHINES[tag], 1) == ()


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_an_illegal_slice_names_its_legal_neighbours(tag):
    legal = BUILDERS[tag].legal_chips(MACHINES[tag])
    gaps = [(a, b) for a, b in itertools.pairwise(legal) if b - a > 1]
    for below, above in gaps[:3] + gaps[-3:]:
        with pytest.raises(InputError, match=rf"try {below} or {above}$"):
            BUILDERS[tag].levels(MACHINES[tag], below + 1)
    for outside, nearest in ((0, 1), (-5, 1), (legal[-1] + 1, legal[-1]), (10**12, legal[-1])):
        with pytest.raises(InputError, match=rf"{outside} chips .*\n  try {nearest}$"):
            BUILDERS[tag].levels(MACHINES[tag], outside)


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_nodes_and_edges_keep_the_conventions(tag, graphs):
    graph = graphs[tag]
    for data in graph.nodes.values():
        assert data["kind"] in {"chip", "cpu", "nic", "switch"}
        if data["kind"] == "switch":
            assert data["tier"] >= 1
            assert data["plane"] >= 0
        if data["kind"] == "chip":
            assert {"node", "cube", "rack", "group"} & set(data)
    for _, _, data in graph.edges.data():
        assert set(data) == {"bandwidth_bytes_per_s", "links", "latency_s", "medium", "domain", "plane"}
        assert data["bandwidth_bytes_per_s"] > 0
        assert data["links"] >= 1
    assert graph.graph["name"]
    assert graph.graph["builder"] == tag
    assert nx.is_connected(graph)


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_every_declared_cut_halves_the_chips(tag, graphs):
    frozen = Fabric.from_graph(graphs[tag])
    assert frozen.cuts
    for side in frozen.cuts.values():
        chips = sum(inside for inside, kind in zip(side, frozen.kinds, strict=True) if kind == "chip")
        assert chips == frozen.chips // 2


@pytest.mark.parametrize("tag", sorted(BUILDERS))
def test_a_graph_asks_the_draw_for_its_figures(tag):
    fabric = MACHINES[tag]
    plain = Fabric.from_graph(builder_of(fabric).graph(fabric))
    draw = Draw({fabric.link.bandwidth.key: 2 * fabric.link.bandwidth.si})
    doubled = Fabric.from_graph(builder_of(fabric).graph(fabric, draw))
    assert injection_bytes_per_s(doubled) == pytest.approx(2 * injection_bytes_per_s(plain))
    assert {fabric.link.bandwidth.key, fabric.link.latency.key} <= set(draw.touched)


def test_every_builder_and_network_has_a_sample_here():
    assert set(MACHINES) == set(BUILDERS)
    assert set(NETWORKS) == set(NETWORK_BUILDERS)


def test_degree_counts_neighbours_and_links_count_cables(graphs):
    torus = Fabric.from_graph(graphs["torus"])
    h100 = Fabric.from_graph(builder_of(H100).graph(H100))
    assert (degree(torus), links_per_chip(torus)) == (6, 6)
    assert (degree(h100), links_per_chip(h100)) == (4, 18)


def test_arrays_of_a_fabric_cannot_be_written(graphs):
    frozen = Fabric.from_graph(graphs["star-planes"])
    with pytest.raises(ValueError, match="read-only"):
        frozen.links[0] = 2


def test_arrays_hold_every_edge_of_the_graph_from_both_ends(graphs):
    graph = graphs["leaf-spine"]
    frozen = Fabric.from_graph(graph)
    for row in (0, 17, 300, len(frozen.nodes) - 1):
        span = slice(frozen.indptr[row], frozen.indptr[row + 1])
        found = {
            frozen.nodes[column]: (rate, links, latency)
            for column, rate, links, latency in zip(
                frozen.indices[span],
                frozen.bandwidth_bytes_per_s[span],
                frozen.links[span],
                frozen.latency_s[span],
                strict=True,
            )
        }
        expected = {
            name: (d["bandwidth_bytes_per_s"], d["links"], d["latency_s"])
            for name, d in graph.adj[frozen.nodes[row]].items()
        }
        assert found == expected


@pytest.mark.parametrize(
    ("machines", "switches", "hops"),
    [
        pytest.param(2, 8, 6, id="one leaf a rail: chip, switch, chip, port, leaf, port, chip"),
        pytest.param(64, 8, 6, id="as many nodes as a leaf has ports"),
        pytest.param(65, 8 * (3 + 2), 8, id="three half-used leaves under two spines a rail"),
    ],
)
def test_rails_join_machines_with_as_few_switches_as_reach_them(machines, switches, hops):
    joined = join(builder_of(H100).graph(H100), machines, INFINIBAND)
    frozen = Fabric.from_graph(joined)
    assert frozen.chips == 8 * machines
    assert frozen.switches == 4 * machines + switches
    assert frozen.kinds.count("nic") == 8 * machines
    assert injection_bytes_per_s(frozen) == pytest.approx(450e9)
    assert injection_bytes_per_s(frozen, scale_out=True) == pytest.approx(50e9)
    assert diameter(frozen) == hops
    assert bisection(frozen)[0] == pytest.approx(machines // 2 * 8 * 50e9)


def test_a_rail_leaf_has_as_much_up_as_down_and_no_switch_has_more_links_than_ports():
    joined = join(builder_of(H100).graph(H100), 200, INFINIBAND)
    for name, data in joined.nodes.items():
        if data["kind"] != "switch" or "machine" in data:
            continue
        used = sum(edge["links"] for edge in joined.adj[name].values())
        assert used <= INFINIBAND.radix
        if data["tier"] == 1:
            up = sum(e["links"] for other, e in joined.adj[name].items() if other.startswith("spine"))
            assert up == INFINIBAND.radix // 2


def test_chips_share_a_port_where_a_node_has_fewer():
    shared = RailFatTree(ports=2, node_chips=8, radix=64, link=link("ib", 50))
    assert reaches(shared)[0] == Reach(64, 0.25, 4)
    assert network_builder_of(shared).reaches(INFINIBAND)[:2] == (Reach(64, 1.0, 4), Reach(2048, 1.0, 4))
    joined = join(builder_of(H100).graph(H100), 2, shared)
    assert joined.adj["0/nic0-1"].keys() - {"leaf1-0"} == {f"0/chip{i}" for i in range(4, 8)}
    several = RailFatTree(ports=16, node_chips=8, radix=64, link=link("ib", 50))
    frozen = Fabric.from_graph(join(builder_of(H100).graph(H100), 2, several))
    assert injection_bytes_per_s(frozen, scale_out=True) == pytest.approx(100e9)


def test_joined_machines_look_alike_only_where_they_do():
    shared = RailFatTree(ports=2, node_chips=8, radix=64, link=link("ib", 50))
    uneven = RailFatTree(ports=3, node_chips=8, radix=64, link=link("ib", 50))
    narrow = RailFatTree(ports=8, node_chips=8, radix=4, link=link("ib", 50))
    for network, are_alike in ((INFINIBAND, True), (shared, True), (uneven, False), (narrow, False)):
        frozen = Fabric.from_graph(join(builder_of(H100).graph(H100), 5, network))
        assert frozen.is_vertex_transitive == are_alike
        everywhere = distances(dataclasses.replace(frozen, is_vertex_transitive=False))
        assert distances(frozen).mean == pytest.approx(everywhere.mean, rel=1e-12)


def test_a_network_refuses_one_machine_and_more_than_three_tiers_reach():
    graph = builder_of(H100).graph(H100)
    with pytest.raises(InputError, match="join 2 or more machines"):
        join(graph, 1, INFINIBAND)
    small = RailFatTree(ports=8, node_chips=8, radix=4, link=link("ib", 50))
    assert join(graph, 16, small).graph["machines"] == 16
    with pytest.raises(InputError, match=r"17 nodes are more than three tiers of 4-port switches join \(16\)"):
        join(graph, 17, small)


def test_meshes_add_to_the_injection_and_switch_levels_share_their_links():
    wire = link("mesh", 10)
    mesh = Level("board", "mesh", 8, wire, links=1, hops=1)
    inner = Level("inner", "switch", 8, wire, links=4, hops=2)
    outer = Level("outer", "switch", 8, wire, links=2, hops=4)
    assert injection_of_levels((mesh, inner, outer)) == pytest.approx(7 * 10e9 + 4 * 10e9)


def test_a_graph_that_breaks_the_conventions_is_refused():
    bare = nx.Graph(name="bare")
    bare.add_node("a")
    with pytest.raises(InputError, match=r"graph bare: a node or edge has no 'kind'"):
        Fabric.from_graph(bare)
    bare.add_node("a", kind="switch")
    with pytest.raises(InputError, match="no chips"):
        Fabric.from_graph(bare)
    bare.add_nodes_from("bc", kind="chip")
    with pytest.raises(InputError, match="declares no cut"):
        bisection(Fabric.from_graph(bare))
    with pytest.raises(InputError, match="not connected"):
        distances(Fabric.from_graph(bare))
