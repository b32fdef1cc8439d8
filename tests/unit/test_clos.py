"""Clos networks inside machines, against closed forms, other builders, and cuts by brute force."""

from __future__ import annotations

import dataclasses
import itertools
import math

import msgspec
import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric, bisection, distances, injection_bytes_per_s, injection_of_levels
from simulator.structure import all_to_all_bytes_per_s
from tests.support_fabrics import below_and_above, frozen, least_cut, link
from topologies.builders import BUILDERS, builder_of
from topologies.builders.clos_plane import plane, spread
from topologies.builders.common import mostly_inside
from topologies.checks import check_machine
from topologies.fabrics import Clos, LeafSpine, TwoTierPlanes

RATE = 50e9
LINK = link(bandwidth_gb_per_s=50)
GRAPH, LEVELS, LEGAL = BUILDERS["clos"].graph, BUILDERS["clos"].levels, BUILDERS["clos"].legal_chips


def divisors(number):
    return [n for n in range(1, number + 1) if number % n == 0]


@st.composite
def counted(draw):
    """A Clos by its counts, in two or three tiers, with oversubscription that leaves whole links."""
    rails, on_leaf, nodes, groups = (draw(st.integers(1, most)) for most in (3, 3, 3, 3))
    pods = draw(st.integers(2, 4)) if draw(st.booleans()) else 1
    chip_links, planes = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    down = on_leaf * nodes * chip_links
    up = draw(st.sampled_from(divisors(down)))
    spines = draw(st.sampled_from(divisors(up)))
    switches, over = [groups * pods * rails, spines * pods], [down / up]
    if pods > 1:
        into = groups * rails * up // spines
        out = draw(st.sampled_from(divisors(into)))
        switches.append(spines * draw(st.sampled_from(divisors(out))))
        over.append(into / out)
    return Clos(
        nodes=nodes * groups * pods,
        chips_per_node=on_leaf * rails,
        rails=rails,
        planes=planes,
        chip_links=chip_links,
        tiers=3 if pods > 1 else 2,
        switches=tuple(switches),
        pods=pods if pods > 1 else None,
        oversubscription=tuple(over),
        link=LINK,
    )


@pytest.mark.parametrize("k", [2, 4, 6, 8, 12])
def test_a_fat_tree_of_k_port_switches_has_the_counts_of_al_fares_and_loses_nothing(k):
    # Al-Fares, Loukissas and Vahdat, SIGCOMM 2008, section 3: k^3 / 4 hosts, 5 k^2 / 4 switches, k pods, k^2 / 4 cores.
    fabric = Clos(nodes=k**3 // 4, chips_per_node=1, tiers=3, radix=k, link=LINK)
    graph = GRAPH(fabric)
    built = Fabric.from_graph(graph)
    assert (built.chips, built.switches, built.physical_links) == (k**3 // 4, 5 * k**2 // 4, 3 * k**3 // 4)
    tiers = [data["tier"] for data in graph.nodes.values() if data["kind"] == "switch"]
    assert [tiers.count(tier) for tier in (1, 2, 3)] == [k**2 // 2, k**2 // 2, k**2 // 4]
    assert bisection(built)[0] == pytest.approx(built.chips // 2 * RATE)
    assert distances(built).diameter == 6
    assert plane(fabric).pods == k
    assert all(sum(below_and_above(graph, name)) == k for name in graph if graph.nodes[name]["kind"] == "switch")


@settings(deadline=None, max_examples=60)
@given(counted())
def test_counts_are_those_of_the_closed_form(fabric):
    graph = GRAPH(fabric)
    built = Fabric.from_graph(graph)
    chips = fabric.nodes * fabric.chips_per_node
    assert (built.chips, built.switches) == (chips, fabric.planes * sum(fabric.switches))
    tree = plane(fabric)
    leaves = fabric.switches[0]
    links = chips * fabric.chip_links + leaves * tree.spines * tree.up
    links += fabric.switches[1] * tree.cores * tree.core_up
    assert built.physical_links == fabric.planes * links
    assert injection_bytes_per_s(built) == pytest.approx(fabric.planes * fabric.chip_links * RATE)
    assert nx.is_connected(graph)


@settings(deadline=None, max_examples=60)
@given(counted())
def test_oversubscription_is_exactly_what_every_switch_loses_upwards(fabric):
    graph = GRAPH(fabric)
    for name, data in graph.nodes.items():
        if data["kind"] == "switch" and data["tier"] < fabric.tiers:
            below, above = below_and_above(graph, name)
            assert below == pytest.approx(above * fabric.oversubscription[data["tier"] - 1])


@settings(deadline=None, max_examples=60)
@given(counted())
def test_levels_have_the_hops_of_the_graph_and_what_oversubscription_leaves(fabric):
    graph = GRAPH(fabric)
    chips = fabric.nodes * fabric.chips_per_node
    found = LEVELS(fabric, chips)
    stride = 1
    for level in found:
        assert nx.shortest_path_length(graph, "chip0", f"chip{stride}") == level.hops
        share = math.prod(fabric.oversubscription[: level.hops // 2 - 1])
        assert level.links == pytest.approx(fabric.planes * fabric.chip_links / share)
        stride *= level.size
    assert stride == chips
    assert max((level.hops for level in found), default=0) == distances(Fabric.from_graph(graph)).diameter
    for part in LEGAL(fabric):
        assert math.prod(level.size for level in LEVELS(fabric, part)) == part


@settings(deadline=None, max_examples=60)
@given(counted())
def test_the_declared_bisection_is_the_capacity_of_the_highest_tier(fabric):
    built = Fabric.from_graph(GRAPH(fabric))
    tree = plane(fabric)
    units = tree.pods if tree.pods > 1 else tree.groups
    assume(units % 2 == 0)
    share = math.prod(fabric.oversubscription)
    rate = built.chips // 2 * fabric.planes * fabric.chip_links * RATE / share
    assert bisection(built)[0] == pytest.approx(rate)
    highest = LEVELS(fabric, built.chips)[-1]
    assert rate == pytest.approx(built.chips // 2 * highest.links * RATE)


@settings(deadline=None, max_examples=40)
@given(counted())
def test_a_clos_looks_the_same_from_every_chip(fabric):
    built = Fabric.from_graph(GRAPH(fabric))
    assume(built.chips > 1)
    everywhere = dataclasses.replace(built, is_vertex_transitive=False)
    assert built.is_vertex_transitive
    assert distances(built) == distances(everywhere)
    assert all_to_all_bytes_per_s(built) == pytest.approx(all_to_all_bytes_per_s(everywhere), rel=1e-9)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("over", [1.0, 2.0])
def test_no_half_of_a_small_clos_is_cut_by_less_than_the_declared_bisection(groups, over):
    fabric = Clos(nodes=groups, chips_per_node=2, switches=(groups, 1), oversubscription=(over,), link=LINK)
    graph = GRAPH(fabric)
    assert bisection(Fabric.from_graph(graph))[0] == pytest.approx(least_cut(graph, "chip"))


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 96),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(2, 40),
    st.sampled_from([2, 3]),
    st.lists(st.sampled_from([1, 1.5, 2, 3]), max_size=2),
)
def test_no_switch_has_more_links_than_the_radix_and_none_loses_more_than_it_may(
    nodes, rails, on_leaf, radix, tiers, over
):
    fabric = Clos(
        nodes=nodes,
        chips_per_node=rails * on_leaf,
        rails=rails,
        radix=radix,
        tiers=tiers,
        oversubscription=tuple(over[: tiers - 1]),
        link=LINK,
    )
    try:
        graph = GRAPH(fabric)
    except InputError as error:
        assert error.where in {"fabric.radix", "fabric.oversubscription[0]", "fabric.oversubscription[1]"}  # noqa: PT017 - the other outcome
        return
    for name, data in graph.nodes.items():
        if data["kind"] == "switch":
            below, above = below_and_above(graph, name)
            assert below + above <= radix
            if data["tier"] < tiers:
                assert below == above * ([*fabric.oversubscription, 1, 1][data["tier"] - 1])


def test_planes_of_one_leaf_a_node_are_those_of_cloudmatrix():
    # arXiv 2506.12708: 48 nodes of 8, seven planes, two links of a chip to each, 16 second-tier switches a plane.
    planes = TwoTierPlanes(
        nodes=48,
        chips_per_node=8,
        cpus_per_node=1,
        planes=7,
        chip_links=2,
        spines=16,
        link=LINK,
        cpu_bandwidth=LINK.bandwidth,
    )
    theirs = builder_of(planes).graph(planes)
    theirs.remove_nodes_from([name for name, kind in list(theirs.nodes(data="kind")) if kind == "cpu"])
    fabric = Clos(nodes=48, chips_per_node=8, planes=7, chip_links=2, switches=(48, 16), link=LINK)
    ours = nx.relabel_nodes(GRAPH(fabric), {f"leaf{p}-{n}": f"leaf{n}-{p}" for p in range(7) for n in range(48)})
    assert {frozenset(edge) for edge in ours.edges} == {frozenset(edge) for edge in theirs.edges}
    assert all(ours.edges[edge]["links"] == data["links"] for *edge, data in theirs.edges.data())
    for chips in (1, 8, 40, 384):
        seen = [
            [(level.size, level.links, level.hops) for level in BUILDERS[tag].levels(each, chips)]
            for tag, each in (("clos", fabric), ("two-tier-planes", planes))
        ]
        assert seen[0] == seen[1]


def test_three_planes_of_a_clos_are_dgx_gh200():
    # 32 trays of 8 chips of 18 NVLinks; 96 switches in the trays, 36 between them, each with the 128 ports of an
    # external NVLink switch; nothing oversubscribed.
    gh200 = Clos(nodes=32, chips_per_node=8, planes=3, chip_links=6, switches=(32, 12), link=LINK)
    graph = GRAPH(gh200)
    built = Fabric.from_graph(graph)
    tiers = [data["tier"] for data in graph.nodes.values() if data["kind"] == "switch"]
    assert (built.chips, tiers.count(1), tiers.count(2)) == (256, 96, 36)
    assert max(sum(below_and_above(graph, name)) for name in graph if name.startswith(("leaf", "spine"))) == 128
    assert bisection(built)[0] == pytest.approx(128 * injection_bytes_per_s(built)) == pytest.approx(128 * 18 * RATE)


def test_a_clos_of_one_rail_has_the_levels_of_leaves_and_spines():
    leaves = LeafSpine(
        groups=4, chips_per_group=16, chips_per_node=8, leaves=3, spines=4, link=LINK, oversubscription=2
    )
    fabric = Clos(nodes=8, chips_per_node=8, planes=3, switches=(4, 4), oversubscription=(2,), link=LINK)
    for chips in (1, 7, 8, 16, 64):
        ours, theirs = LEVELS(fabric, chips), BUILDERS["leaf-spine"].levels(leaves, chips)
        assert [(a.size, a.links, a.hops) for a in ours] == [(b.size, b.links, b.hops) for b in theirs]


def test_rails_keep_equal_chips_of_two_nodes_on_one_leaf():
    fabric = Clos(nodes=32, chips_per_node=8, rails=8, radix=32, link=LINK)
    graph = GRAPH(fabric)
    for chip in range(8):
        assert nx.shortest_path_length(graph, f"chip{chip}", f"chip{8 + chip}") == 2
        assert nx.shortest_path_length(graph, f"chip{chip}", f"chip{(chip + 1) % 8}") == 4
    names = [(level.name, level.size, level.hops) for level in LEVELS(fabric, 256)]
    assert names == [("wire-rails", 8, 4), ("wire-leaf", 16, 2), ("wire", 2, 4)]
    assert injection_of_levels(LEVELS(fabric, 256)) == pytest.approx(RATE)


def test_a_lossy_tier_changes_nothing_below_it():
    slim = Clos(nodes=64, chips_per_node=8, tiers=3, switches=(16, 8, 8), pods=4, oversubscription=(2, 2), link=LINK)
    full = msgspec.structs.replace(slim, oversubscription=(1, 1), switches=(16, 8, 16))
    mixed = msgspec.structs.replace(slim, oversubscription=(1, 2), switches=(16, 8, 8))
    rates = [[level.links for level in LEVELS(each, 512)] for each in (full, mixed, slim)]
    assert rates == [[1, 1, 1], [1, 1, 0.5], [1, 0.5, 0.25]]
    cuts = [bisection(Fabric.from_graph(GRAPH(each)))[0] for each in (full, mixed, slim)]
    assert cuts == pytest.approx([256 * RATE, 128 * RATE, 64 * RATE])


@pytest.mark.parametrize(
    "fabric",
    [
        LeafSpine(groups=3, chips_per_group=4, chips_per_node=1, leaves=2, spines=2, link=LINK, oversubscription=2),
        LeafSpine(groups=5, chips_per_group=3, chips_per_node=1, leaves=1, spines=3, link=LINK),
        TwoTierPlanes(
            nodes=3,
            chips_per_node=4,
            cpus_per_node=2,
            planes=2,
            chip_links=1,
            spines=2,
            link=LINK,
            cpu_bandwidth=LINK.bandwidth,
        ),
        Clos(nodes=9, chips_per_node=2, tiers=3, switches=(9, 3, 2), pods=3, oversubscription=(2, 1.5), link=LINK),
    ],
    ids=lambda fabric: type(fabric).__name__,
)
def test_cuts_of_an_odd_number_of_groups_halve_the_chips_too(fabric):
    built = frozen(fabric)
    assert len(built.cuts) > 1
    for side in built.cuts.values():
        assert sum(a for a, kind in zip(side, built.kinds, strict=True) if kind == "chip") == built.chips // 2


def test_what_lies_mostly_in_the_first_half():
    assert [mostly_inside(12, units) for units in (1, 2, 3, 4, 6, 12)] == [0, 1, 1, 2, 3, 6]


def _entry_with(nodes=64, **fields):
    fabric = Clos(nodes=nodes, chips_per_node=8, link=LINK, **fields)
    return msgspec.structs.replace(
        topologies.entry("hgx-h100"), fabric=fabric, chips=8 * nodes, hypotheses=(), reading="", published=None
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({}, r"fabric.radix: is missing\n.*count switches", id="neither counts nor radix"),
        pytest.param({"rails": 3, "radix": 64}, r"fabric.rails: 3 does not divide 8.*\n.*2 or 4", id="rails"),
        pytest.param({"switches": (8,)}, "1 counts are not one for each of 2 tiers", id="a count for every tier"),
        pytest.param({"switches": (8, 8, 8)}, "3 counts are not one for each of 2 tiers", id="no third count"),
        pytest.param({"switches": (24, 8)}, r"switches\[0\]: 24 does not divide 64 nodes\n.*16 or 32", id="leaves"),
        pytest.param({"switches": (8, 12)}, r"switches\[1\]: 12 does not divide 64 links", id="spines"),
        pytest.param({"switches": (8, 8), "pods": 2}, "two tiers have no pods", id="pods of two tiers"),
        pytest.param({"switches": (8, 8, 8), "tiers": 3}, "fabric.pods: is missing", id="no pods"),
        pytest.param(
            {"switches": (8, 8, 9), "tiers": 3, "pods": 2}, r"switches\[2\]: 9 does not divide|4 does not", id="cores"
        ),
        pytest.param({"radix": 64, "pods": 2}, "2 pods are stated without switches", id="pods from the radix"),
        pytest.param(
            {"switches": (8, 8), "oversubscription": (3.0,)},
            r"oversubscription\[0\]: 64 links into a leaf over 3 .*\n.*2.90909",
            id="links up that are no whole number",
        ),
        pytest.param({"switches": (8, 8), "oversubscription": (1, 1)}, "2 ratios are too many", id="ratios"),
        pytest.param({"switches": (8, 8), "radix": 64}, "64 ports are fewer than the 128 links", id="counted ports"),
        pytest.param({"radix": 12}, r"12 ports have no room for 8 links of a node and 8 up\n.*16 ports", id="a node"),
        pytest.param(
            {"radix": 64, "oversubscription": (3.0,)}, r"oversubscription\[0\]: 3 .*\n.*try", id="whole leaves"
        ),
        pytest.param({"radix": 16}, r"64 nodes of 8 chips are not joined by 2 tiers.*\n.*three tiers", id="two tiers"),
        pytest.param({"nodes": 1, "radix": 16, "tiers": 3}, r"\n.*write tiers = 2", id="no need of three"),
        pytest.param(
            {"radix": 64, "tiers": 3, "oversubscription": (1, 3.0)}, r"oversubscription\[1\]: 3 leaves", id="whole pods"
        ),
        pytest.param(
            {"radix": 16, "chip_links": 8}, "16 ports have no room for 64 links", id="more links of chips than ports"
        ),
    ],
)
def test_a_clos_that_cannot_be_wired_is_refused_with_what_would_be_right(fields, message):
    with pytest.raises(InputError, match=message) as raised:
        check_machine(_entry_with(**fields), "machines/test.toml")
    assert raised.value.where.startswith("machines/test.toml: fabric.")


def test_a_clos_stands_in_a_file_of_ones_own(tmp_path):
    text = (topologies.load.ROOT / "machines" / "eth-x-256.toml").read_text()
    text = text.replace('name = "eth-x-256"', 'name = "my-clos"').replace("switches = 8\n", "")
    before, _, after = text.partition('builder = "star-planes"')
    after = after[after.index("[fabric.link]") :]
    path = tmp_path / "my-clos.toml"
    path.write_text(f'{before}builder = "clos"\nnodes = 32\nchips_per_node = 8\nrails = 8\nradix = 32\n\n{after}')
    machine = topologies.machine(str(path))
    assert [level.size for level in machine.slice_levels(256)] == [8, 16, 2]
    path.write_text(f'{before}builder = "clos"\nnodes = 32\nchips_per_node = 8\nradix = nan\n\n{after}')
    with pytest.raises(InputError, match="radix"):
        topologies.machine(str(path))


def test_links_dealt_round_load_switches_above_evenly():
    for links, switches, tops in itertools.product(range(1, 9), range(1, 9), range(1, 9)):
        dealt = [spread(links, index, tops) for index in range(switches)]
        assert all(sum(each) == links for each in dealt)
        loads = [sum(each[top] for each in dealt) for top in range(tops)]
        assert max(loads) - min(loads) <= 1
        assert max(loads) == math.ceil(links * switches / tops)
