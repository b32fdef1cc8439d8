"""Networks between machines, against closed forms, shortest ways one by one, cuts by brute force, and clusters."""

from __future__ import annotations

import math

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric, bisection, cut_bytes_per_s, distances, injection_bytes_per_s
from simulator.machine import Network, slice_of
from simulator.structure import all_to_all_bytes_per_s
from tests.support_fabrics import below_and_above, least_cut, link
from topologies.builders import builder_of, join, network_builder_of, reaches
from topologies.fabrics import FullMesh, RailFatTree, StarPlanes

RATE = 50e9
LINK = link(bandwidth_gb_per_s=50)
ONE = FullMesh(chips=1, links_per_pair=1, link=LINK)
PAIR = StarPlanes(chips=2, chips_per_node=2, links=(2,), link=LINK)


def network_level(fabric, machines, chips):
    network = Network("net", "A network", LINK, fabric.node_chips, reaches(fabric), LINK.start, LINK.start)
    level = network.level(machines, chips)
    return level.links, level.hops


def rail(radix, *over):
    return RailFatTree(ports=1, node_chips=1, radix=radix, oversubscription=over, link=LINK)


@pytest.mark.parametrize(
    ("machines", "tiers"),
    [
        pytest.param(4, [1], id="one leaf"),
        pytest.param(8, [4, 2], id="two tiers full: k leaves, k / 2 spines"),
        pytest.param(16, [8, 8, 4], id="three tiers full: the fat tree of Al-Fares with k = 4, 20 switches"),
        pytest.param(9, [5, 6, 4], id="three pods begun, their links up spread over two cores of each place"),
    ],
)
def test_rails_have_as_few_tiers_as_reach_and_the_counts_of_the_fat_tree(machines, tiers):
    joined = join(builder_of(ONE).graph(ONE), machines, rail(4))
    found = [data["tier"] for data in joined.nodes.values() if data["kind"] == "switch"]
    assert [found.count(tier) for tier in range(1, max(found) + 1)] == tiers
    frozen = Fabric.from_graph(joined)
    assert bisection(frozen)[0] == pytest.approx(machines // 2 * RATE)
    assert distances(frozen).diameter == 2 * len(tiers) + 2  # and the two edges from chip to port
    assert network_level(rail(4), machines, 1) == (1.0, max(4, 2 * len(tiers)))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12), st.integers(2, 200), st.lists(st.sampled_from([1, 1.5, 2, 3, 4]), max_size=2))
def test_no_switch_of_a_rail_has_more_links_than_ports_and_the_level_is_what_the_graph_leaves(radix, machines, over):
    network = rail(radix, *over)
    try:
        links, hops = network_level(network, machines, 1)
    except InputError:
        assume(False)  # noqa: FBT003 - hypothesis' own
    joined = join(builder_of(ONE).graph(ONE), machines, network)
    assert nx.is_connected(joined)
    switches = {name: data["tier"] for name, data in joined.nodes.items() if data["kind"] == "switch"}
    assert hops == 2 * max(2, *switches.values())
    shares = dict.fromkeys(range(1, max(switches.values())), 1.0)
    for name, tier in switches.items():
        below, above = below_and_above(joined, name)
        assert below + above <= radix
        if tier in shares and below:
            shares[tier] = min(shares[tier], above / below)
    expected = math.prod(shares.values())
    assert links >= expected * (1 - 1e-9)
    for tier, ratio in zip(shares, [*over, 1, 1], strict=False):
        assert shares[tier] >= 1 / ratio * (1 - 1e-9)


@pytest.mark.parametrize(
    ("machines", "radix", "over"),
    [(4, 4, ()), (6, 4, ()), (6, 4, (3,)), (8, 4, (3,)), (4, 3, (2,)), (8, 3, (2, 2))],
)
def test_no_half_of_the_machines_is_cut_by_less_than_the_declared_bisection(machines, radix, over):
    joined = join(builder_of(ONE).graph(ONE), machines, rail(radix, *over))
    assert bisection(Fabric.from_graph(joined))[0] == pytest.approx(least_cut(joined, "machine"))


def test_where_pods_are_filled_unevenly_the_declared_bisection_is_no_less_than_the_least():
    # Five leaves in pods of three and two: the last pod and one machine more cost two links up and that machine's.
    joined = join(builder_of(ONE).graph(ONE), 9, rail(4, 1, 3))
    assert least_cut(joined, "machine") == pytest.approx(3 * RATE)
    assert bisection(Fabric.from_graph(joined))[0] == pytest.approx(4 * RATE)


def test_an_oversubscribed_network_leaves_a_chip_its_share_in_graph_and_level():
    # 48 ports down and 16 up, then 48 down and 16 up: a third, then a ninth, of 50 GB/s.
    network = RailFatTree(ports=8, node_chips=8, radix=64, oversubscription=(3, 3), link=LINK)
    assert network_level(network, 64, 8) == (1.0, 4)
    assert network_level(network, 64 * 48, 8) == (pytest.approx(1 / 3), 4)
    assert network_level(network, 64 * 48 * 48, 8) == (pytest.approx(1 / 9), 6)
    with pytest.raises(InputError, match=r"147,457 nodes, more than net joins \(147,456\)"):
        network_level(network, 64 * 48 * 48 + 1, 8)
    slim = rail(8, 3)
    joined = Fabric.from_graph(join(builder_of(ONE).graph(ONE), 48, slim))
    links, _ = network_level(slim, 48, 1)
    assert links == pytest.approx(1 / 3)
    assert bisection(joined)[0] == pytest.approx(24 * links * RATE)


def _loads(graph):
    """Load of every directed edge when every chip sends one byte to every other, by enumerating shortest ways.

    A second implementation of the rule of the bound: at every hop, followed back from where the byte arrives, it
    splits over the edges of shortest ways in proportion to their bandwidth.
    """
    chips = [name for name, data in graph.nodes.items() if data["kind"] == "chip"]
    loads: dict[tuple[str, str], float] = {}
    for source in chips:
        far = nx.single_source_shortest_path_length(graph, source)
        for target in chips:
            at = {target: 1.0} if target != source else {}
            for _ in range(far[target]):
                nearer: dict[str, float] = {}
                for node, amount in at.items():
                    ways = {n: d for n, d in graph.adj[node].items() if far[n] == far[node] - 1}
                    total = sum(d["links"] * d["bandwidth_bytes_per_s"] for d in ways.values())
                    for other, d in ways.items():
                        part = amount * d["links"] * d["bandwidth_bytes_per_s"] / total
                        loads[other, node] = loads.get((other, node), 0.0) + part
                        nearer[other] = nearer.get(other, 0.0) + part
                at = nearer
    return loads, len(chips)


@pytest.mark.parametrize(
    ("machines", "network"),
    [
        (3, RailFatTree(ports=2, node_chips=2, radix=8, link=LINK)),
        (4, RailFatTree(ports=1, node_chips=2, radix=8, link=LINK)),
        (8, RailFatTree(ports=2, node_chips=2, radix=4, oversubscription=(3,), link=LINK)),
        (12, RailFatTree(ports=2, node_chips=2, radix=4, link=LINK)),
    ],
    ids=["one leaf", "a port for two chips", "two tiers, three to one", "three tiers"],
)
def test_the_all_to_all_bound_of_a_join_is_that_of_its_busiest_link_by_brute_force(machines, network):
    joined = join(builder_of(PAIR).graph(PAIR), machines, network)
    loads, chips = _loads(joined)
    rates = {edge: joined.edges[edge]["links"] * joined.edges[edge]["bandwidth_bytes_per_s"] for edge in loads}
    expected = min(rates[edge] / load for edge, load in loads.items()) * (chips - 1)
    assert all_to_all_bytes_per_s(Fabric.from_graph(joined)) == pytest.approx(expected, rel=1e-9)


def test_machines_on_one_leaf_exchange_what_their_ports_take():
    # Of all to all on m machines of 2 chips, a port carries (2 m - 2) / (2 m - 1) of what its chip sends.
    network = RailFatTree(ports=2, node_chips=2, radix=8, link=LINK)
    built = Fabric.from_graph(join(builder_of(PAIR).graph(PAIR), 3, network))
    assert all_to_all_bytes_per_s(built) == pytest.approx(RATE * 5 / 4)


# Clusters of the catalogue


@pytest.mark.parametrize(
    ("name", "machines"),
    [
        ("trn-ultracluster", 8),
        ("dgx-h100-superpod", 2),
        ("kuae-10k", 1250),
        ("scalex640", 4),
        ("gb200-nvl72", 16),
        ("ironwood-256", 3),
    ],
)
def test_clusters_of_the_catalogue_join_with_the_injection_of_their_network(name, machines):
    entry = topologies.entry(name)
    network = topologies.network_entry(entry.network).fabric
    frozen = Fabric.from_graph(
        network_builder_of(network).join(builder_of(entry.fabric).graph(entry.fabric), machines, network)
    )
    assert frozen.chips == machines * entry.chips
    level = slice_of(topologies.machine(name), machines * entry.chips).levels[-1]
    each = level.links * network.link.bandwidth.si
    assert injection_bytes_per_s(frozen, scale_out=True) == pytest.approx(
        max(network.ports / network.node_chips, 1) * network.link.bandwidth.si
    )
    assert bisection(frozen)[0] == pytest.approx(machines // 2 * entry.chips * each)
    cut = cut_bytes_per_s(frozen, "half of the machines")
    assert cut == pytest.approx(bisection(frozen)[0])


@pytest.mark.parametrize(
    ("name", "machines", "hops"),
    [
        pytest.param("atlas-950-supercluster", 2, 4, id="2,048 nodes on switches of 128 ports: two tiers"),
        pytest.param("atlas-950-supercluster", 64, 6, id="the 524,288 chips announced: three tiers"),
        pytest.param("trn-ultracluster", 7813, 6, id="the 500,000 chips of Project Rainier"),
        pytest.param("kuae-10k", 1250, 4, id="10,000 cards"),
    ],
)
def test_announced_clusters_are_priced_over_the_tiers_that_they_need(name, machines, hops):
    machine = topologies.machine(name)
    level = slice_of(machine, machines * machine.chips).levels[-1]
    assert (level.size, level.hops) == (machines, hops)


def test_more_machines_than_a_network_reaches_are_no_slice():
    machine = topologies.machine("hgx-a100-80gb")
    assert slice_of(machine, 8 * 16_000).levels[-1].hops == 6  # switches of 40 ports: 40^3 / 4 nodes
    with pytest.raises(InputError, match=r"16,001 nodes, more than ib-hdr-8x200 joins \(16,000\)"):
        slice_of(machine, 8 * 16_001)
