"""Meshed racks, dragonflies, PCIe trees, HammingMeshes and switched sleds against their published or derived counts."""

from __future__ import annotations

import dataclasses
import itertools

import msgspec
import networkx as nx
import pytest

from simulator.errors import InputError
from simulator.fabric import (
    Fabric,
    bisection,
    cut_bytes_per_s,
    distances,
    injection_bytes_per_s,
    injection_of_levels,
)
from tests import support_fabrics
from tests.support_fabrics import frozen, link
from topologies.builders import BUILDERS, builder_of
from topologies.fabrics import (
    Dragonfly,
    FixedTorus,
    FullMesh,
    HammingMesh,
    MeshedRacks,
    PcieTree,
    SwitchedSleds,
    tag_of,
)


def levels(fabric, chips):
    return builder_of(fabric).levels(fabric, chips)


RACK = MeshedRacks(dims=(8, 8), racks=1, planes=4, spines=64, link=link(56))
SUPERPOD = msgspec.structs.replace(RACK, racks=128)
TRN3 = msgspec.structs.replace(support_fabrics.TRN3, link=link(64))
SMALL = [
    MeshedRacks(dims=(3, 2), racks=3, planes=2, spines=4, mesh_links=(2, 1), up_links=2, link=link(10)),
    MeshedRacks(dims=(4,), racks=2, planes=3, spines=4, mesh_links=(3,), link=link(50)),
    TRN3,
    SwitchedSleds(
        racks=3,
        sleds_per_rack=2,
        chips_per_sled=3,
        rack_switches=2,
        sled_links=2,
        rack_links=3,
        twin_links=1,
        link=link(10),
    ),
    PcieTree(hosts=3, switches=2, chips_per_switch=4, uplinks=2, host_links=3, link=link(32)),
    HammingMesh(board=(2, 2), boards=(3, 4), link=link(50)),
    HammingMesh(board=(4, 2), boards=(2, 1), link=link(50)),
    HammingMesh(board=(1, 1), boards=(4, 4), link=link(50)),
    Dragonfly(groups=3, nodes=2, chips_per_node=4, local_links=4, global_links=8, link=link(32)),
    FullMesh(chips=6, links_per_pair=2, link=link(10)),
]
IDS = [f"{tag_of(fabric)}-{i}" for i, fabric in enumerate(SMALL)]


@pytest.mark.parametrize(
    ("fabric", "counts", "injection", "hops", "mean"),
    [
        pytest.param(RACK, (64, 4, 448 + 256, 704), 1008e9, 2, 1.78, id="Atlas 950, one rack"),
        pytest.param(SUPERPOD, (8192, 512 + 256, 122_880, 122_880), 1008e9, 4, 3.98, id="Atlas 950 SuperPoD"),
        pytest.param(TRN3, (144, 36 + 4, 504, 1440), 704e9, 3, 2.49, id="Trn3 Gen2: 2 racks of 18 sleds"),
    ],
)
def test_counts_and_distances_equal_those_computed_from_the_descriptions(fabric, counts, injection, hops, mean):
    built = frozen(fabric)
    assert (built.chips, built.switches, built.edges, built.physical_links) == counts
    assert injection_bytes_per_s(built) == pytest.approx(injection, rel=1e-12)
    found = distances(built)
    assert found.diameter == hops
    assert found.mean == pytest.approx(mean, abs=0.005)


@pytest.mark.parametrize("fabric", SMALL, ids=IDS)
def test_fabrics_that_say_they_look_alike_from_every_chip_do(fabric):
    graph = builder_of(fabric).graph(fabric)
    built = Fabric.from_graph(graph)
    assert distances(dataclasses.replace(built, is_vertex_transitive=False)).diameter <= nx.diameter(graph)
    if not built.is_vertex_transitive:
        return
    chips = [name for name, data in graph.nodes.items() if data["kind"] == "chip"]
    views = set()
    for chip in chips:
        lengths = nx.single_source_shortest_path_length(graph, chip)
        rates = sorted((d["links"], d["bandwidth_bytes_per_s"]) for d in graph.adj[chip].values())
        views.add((tuple(sorted(lengths[other] for other in chips)), tuple(rates)))
    assert len(views) == 1


@pytest.mark.parametrize("fabric", SMALL, ids=IDS)
def test_slices_are_no_better_connected_in_the_closed_form_than_in_the_graph(fabric):
    built = frozen(fabric)
    legal = builder_of(fabric).legal_chips(fabric)
    assert injection_of_levels(levels(fabric, legal[-1])) <= injection_bytes_per_s(built) * (1 + 1e-12)
    for chips in legal:
        assert injection_of_levels(levels(fabric, chips)) <= injection_bytes_per_s(built) * (1 + 1e-12)


def test_atlas_slices_use_the_mesh_alone_inside_a_rack_and_add_the_switches_between_racks():
    inside, whole = levels(SUPERPOD, 64), levels(SUPERPOD, 8192)
    assert [(level.name, level.kind, level.size) for level in whole] == [
        ("wire-x", "mesh", 8),
        ("wire-y", "mesh", 8),
        ("wire", "switch", 128),
    ]
    assert injection_of_levels(inside) == pytest.approx(784e9)
    assert injection_of_levels(whole) == pytest.approx(1008e9)
    assert whole[2].links * 56e9 == pytest.approx(224e9)
    assert bisection(frozen(SUPERPOD))[0] == pytest.approx(4096 * 224e9)


def test_fewer_spines_leave_a_chip_less_between_racks():
    slim = MeshedRacks(dims=(4, 4), racks=4, planes=2, spines=4, link=link(56))
    outer = levels(slim, 64)[-1]
    assert outer.links == pytest.approx(2 * 4 / 16)
    assert cut_bytes_per_s(frozen(slim), "half of the racks") == pytest.approx(32 * outer.links * 56e9)


def test_quads_with_three_ports_up_are_meshed_racks_of_four():
    # Maia 100: 12 ports of 50 GB/s, 3 to each of 3 peers, 3 up, one to each plane.
    maia = MeshedRacks(dims=(4,), racks=8, planes=3, spines=4, mesh_links=(3,), link=link(50))
    built = frozen(maia)
    assert injection_bytes_per_s(built) == pytest.approx(600e9)
    assert injection_of_levels(levels(maia, 32)) == pytest.approx(600e9)


def test_twins_are_one_edge_apart_and_a_sled_has_its_switch_to_itself():
    graph = builder_of(TRN3).graph(TRN3)
    assert graph.edges["chip0", "chip72"]["links"] == 2
    for chip in range(144):
        links = sorted(graph.edges[f"chip{chip}", f"rack{chip // 72}-{i}"]["links"] for i in (0, 1))
        assert links == [2, 3]
    loads = {name: sum(d["links"] for d in graph.adj[name].values()) for name in graph if name.startswith("rack")}
    assert set(loads.values()) == {72 * 5 // 2}
    assert [(level.kind, level.size) for level in levels(TRN3, 144)] == [("mesh", 4), ("switch", 18), ("mesh", 2)]
    assert [(level.kind, level.links) for level in levels(TRN3, 4)] == [("switch", 4)]


def test_a_dragonfly_joins_every_two_groups_and_every_two_nodes_by_the_links_stated():
    fabric = Dragonfly(groups=4, nodes=3, chips_per_node=2, local_links=3, global_links=5, link=link(32))
    graph = builder_of(fabric).graph(fabric)
    between = {}
    for u, v, data in graph.edges.data():
        (a, b) = graph.nodes[u], graph.nodes[v]
        kind = ("group", a["group"], b["group"]) if a["group"] != b["group"] else ("node", a["node"], b["node"])
        pair = (kind[0], *sorted(kind[1:]))
        between[pair] = between.get(pair, 0) + data["links"]
    groups = {pair: links for pair, links in between.items() if pair[0] == "group"}
    assert groups == {("group", a, b): 5 for a, b in itertools.combinations(range(4), 2)}
    nodes = {pair: links for pair, links in between.items() if pair[0] == "node" and pair[1] != pair[2]}
    assert set(nodes.values()) == {3}
    assert len(nodes) == 4 * 3
    links = [sum(d["links"] for d in graph.adj[chip].values()) for chip in graph]
    assert max(links) - min(links) <= 2  # 6 local and 15 global ends spread over 2 and 6 chips


@pytest.mark.parametrize("inside", [1, 2, 4])
def test_no_two_chips_of_a_dragonfly_are_farther_apart_than_its_levels_say(inside):
    fabric = Dragonfly(groups=5, nodes=4, chips_per_node=inside, local_links=1, global_links=2, link=link(32))
    hops = max(level.hops for level in levels(fabric, 20 * inside))
    assert distances(frozen(fabric)).diameter <= hops


def test_what_leaves_a_pcie_switch_and_a_host_is_shared_by_the_chips_below():
    tree = PcieTree(hosts=2, switches=2, chips_per_switch=4, uplinks=2, host_links=2, link=link(32))
    inner, host, across = levels(tree, 16)
    assert (inner.links, host.links, across.links) == (1, 0.5, 0.25)
    assert [level.name for level in (inner, host, across)] == ["wire-switch", "wire-host", "wire"]
    built = frozen(tree)
    assert (built.chips, built.switches, built.edges) == (16, 4, 16 + 4 + 1)
    assert cut_bytes_per_s(built, "half of the hosts") == pytest.approx(2 * 32e9)
    assert cut_bytes_per_s(built, "half of the switches") == pytest.approx(2 * 2 * 32e9)
    assert distances(built).diameter == 5


def test_a_hammingmesh_bisects_at_one_over_twice_its_board_of_its_injection():
    # Hoefler et al., SC22: the bisection of a HammingMesh of a x a boards carries 1 / 2a of what half the chips inject.
    for side in (1, 2, 4):
        fabric = HammingMesh(board=(side, side), boards=(4, 4), link=link(50))
        built = frozen(fabric)
        chips = (4 * side) ** 2
        assert built.switches == 8 * side
        assert injection_bytes_per_s(built) == pytest.approx(4 * 50e9)
        assert cut_bytes_per_s(built, "axis x") == pytest.approx(chips / 2 * 4 * 50e9 / (2 * side))


def test_a_hammingmesh_of_one_board_is_a_torus():
    fabric = HammingMesh(board=(3, 4), boards=(1, 1), link=link(50))
    torus = nx.grid_graph(dim=[4, 3], periodic=True)
    assert nx.is_isomorphic(builder_of(fabric).graph(fabric), torus)


def test_slices_of_a_hammingmesh_are_rectangles_of_boards_that_close():
    fabric = HammingMesh(board=(4, 2), boards=(3, 5), link=link(50))
    legal = BUILDERS["hamming-mesh"].legal_chips(fabric)
    assert [chips // 8 for chips in legal[1:]] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15]
    found = levels(fabric, 48)
    assert [(level.size, level.block, level.wraps) for level in found] in (
        [(8, 4, True), (6, 2, True)],
        [(12, 4, True), (4, 2, True)],
    )
    with pytest.raises(InputError, match="try 48 or 64"):
        levels(fabric, 56)


def _entry_with(fabric, chips):
    import topologies

    return msgspec.structs.replace(topologies.entry("hgx-h100"), fabric=fabric, chips=chips, hypotheses=(), reading="")


@pytest.mark.parametrize(
    ("fabric", "chips", "message"),
    [
        pytest.param(
            FixedTorus(dims=(4, 4), share=(1.0,), link=link(10)), 16, "fabric.share", id="a share for every axis"
        ),
        pytest.param(
            FixedTorus(dims=(4, 4), wraps=(True,) * 3, link=link(10)), 16, "fabric.wraps", id="a wrap for every axis"
        ),
        pytest.param(
            FixedTorus(dims=(8, 2), slices=((2, 4),), link=link(10)),
            16,
            r"fabric.slices\[0\].*\n?.*4 is longer than the axis of 2",
            id="slices inside the machine",
        ),
        pytest.param(
            MeshedRacks(dims=(4, 2), racks=2, planes=1, spines=8, mesh_links=(1,), link=link(10)),
            16,
            "fabric.mesh_links",
            id="links for every axis of a rack",
        ),
        pytest.param(
            msgspec.structs.replace(TRN3, rack_links=1), 144, "1 links do not reach 2", id="a link to every rack switch"
        ),
        pytest.param(
            msgspec.structs.replace(TRN3, twin_links=0), 144, "0 links join the twins of 2", id="racks that are joined"
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fabric, chips, message):
    from topologies.checks import check_machine

    with pytest.raises(InputError, match=message):
        check_machine(_entry_with(fabric, chips), "machines/test.toml")
