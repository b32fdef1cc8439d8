"""Rates and times of flows against plain second implementations, closed forms and laws."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError, InternalError
from simulator.fabric import Fabric, capacities
from simulator.network import drained, kernels, link_loads, max_min_rates
from simulator.routing import Routes, lattice, routes
from tests.support_fabrics import LINK, fabric_of, torus, torus_of
from topologies.builders.torus import slice_graph, twisted
from topologies.fabrics import Torus


def plain_max_min(uses: list[dict[int, float]], capacity: list[float]) -> list[float]:
    """Progressive filling, one link at a time, over dictionaries."""
    rates = [math.inf if not each else -1.0 for each in uses]
    while any(rate < 0 for rate in rates):
        levels = {}
        for link, width in enumerate(capacity):
            waiting = sum(each.get(link, 0.0) for each, rate in zip(uses, rates, strict=True) if rate < 0)
            taken = sum(
                each.get(link, 0.0) * rate for each, rate in zip(uses, rates, strict=True) if 0 <= rate < math.inf
            )
            if waiting > 0:
                levels[link] = max(width - taken, 0.0) / waiting
        level = min(levels.values())
        full = {link for link, each in levels.items() if each <= level * (1 + 1e-12)}
        rates = [level if rate < 0 and full & each.keys() else rate for each, rate in zip(uses, rates, strict=True)]
    return rates


def plain_drain(uses, capacity, volume, ready, after):
    """Every event one by one, every rate anew at each: finish of every flow [s]."""
    flows = range(len(uses))
    left, finish, begun, now = list(volume), [math.inf] * len(uses), [False] * len(uses), 0.0
    while not all(end < math.inf for end in finish):
        starts = {
            f: max([ready[f], *(finish[a] for a, b in after if b == f)])
            for f in flows
            if not begun[f] and all(finish[a] < math.inf for a, b in after if b == f)
        }
        for f, at in starts.items():
            begun[f] = begun[f] or at <= now
        running = [f for f in flows if begun[f] and finish[f] == math.inf]
        for f in running:
            if left[f] <= 1e-9 * volume[f] or not uses[f]:
                finish[f] = now
        if any(finish[f] == now for f in running):
            continue
        rates = dict(zip(running, plain_max_min([uses[f] for f in running], capacity), strict=True))
        ends = [now + left[f] / rates[f] for f in running]
        soon = min([*ends, *(at for f, at in starts.items() if not begun[f])])
        for f in running:
            left[f] -= rates[f] * (soon - now)
        now = soon
    return finish


def as_routes(uses: list[dict[int, float]]) -> Routes:
    return Routes(
        np.concatenate(([0], np.cumsum([len(each) for each in uses]))).astype(np.int64),
        np.array([link for each in uses for link in each], dtype=np.int32),
        np.array([share for each in uses for share in each.values()], dtype=np.float64),
        np.zeros(len(uses)),
    )


@st.composite
def networks(draw, most_flows=12):
    links = draw(st.integers(1, 6))
    capacity = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 7.5]), min_size=links, max_size=links))
    one = st.dictionaries(st.integers(0, links - 1), st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=links)
    return draw(st.lists(one, min_size=1, max_size=most_flows)), capacity


@settings(deadline=None, max_examples=150)
@given(networks())
def test_max_min_rates_equal_those_of_plain_progressive_filling(network):
    uses, capacity = network
    found = max_min_rates(as_routes(uses), np.array(capacity))
    assert found == pytest.approx(plain_max_min(uses, capacity), rel=1e-9)


@settings(deadline=None, max_examples=100)
@given(networks(), st.data())
def test_flows_end_when_a_plain_simulation_of_every_event_ends_them(network, data):
    uses, capacity = network
    count = len(uses)
    numbers = st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0])
    volume = data.draw(st.lists(numbers, min_size=count, max_size=count))
    ready = data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.3, 1.1]), min_size=count, max_size=count))
    pairs = [(a, b) for a, b in itertools.combinations(range(count), 2)]
    after = data.draw(st.lists(st.sampled_from(pairs), max_size=6, unique=True)) if pairs else []
    found = drained(
        as_routes(uses),
        np.array(capacity),
        volume,
        ready_s=ready,
        after=([a for a, _ in after], [b for _, b in after]),
    )
    assert found.finish_s == pytest.approx(plain_drain(uses, capacity, volume, ready, after), rel=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([20, 200, 800]))
def test_rates_that_are_followed_outwards_equal_rates_that_are_filled_from_nothing(seed, flows):
    """Every flow that runs at the end of a filling has the rate that a filling of all would give it."""
    rng = np.random.default_rng(seed)
    links = 60
    uses = [
        dict.fromkeys((int(k) for k in rng.choice(links, size=rng.integers(1, 6), replace=False)), 1.0)
        for _ in range(flows)
    ]
    capacity = rng.uniform(1, 3, size=links)
    volume = rng.uniform(1, 2, size=flows)
    found = drained(as_routes(uses), capacity, volume)
    # bytes that moved by each end, from rates that are filled anew between every two ends
    moved = np.zeros(flows)
    last = 0.0
    for end in np.sort(found.finish_s):
        running = np.flatnonzero(found.finish_s > last * (1 + 1e-12) + 1e-15)
        if end - last > 1e-12:
            moved[running] += max_min_rates(as_routes([uses[f] for f in running]), capacity) * (end - last)
        last = end
    assert moved == pytest.approx(volume, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(networks(most_flows=30), st.integers(0, 100), st.sampled_from([0.01, 0.05]))
def test_a_tolerance_moves_no_finish_by_much_more_than_itself(network, seed, tolerance):
    uses, capacity = network
    volume = np.random.default_rng(seed).uniform(1, 2, size=len(uses))
    exact = drained(as_routes(uses), np.array(capacity), volume)
    rough = drained(as_routes(uses), np.array(capacity), volume, tolerance=tolerance)
    assert rough.fillings <= exact.fillings
    assert rough.finish_s == pytest.approx(exact.finish_s, rel=3 * tolerance)


def test_a_compiled_kernel_does_what_its_plain_function_does():
    rng = np.random.default_rng(5)
    uses = [dict.fromkeys((int(k) for k in rng.choice(9, size=3, replace=False)), 0.5) for _ in range(25)]
    ways = as_routes(uses)
    capacity, none = np.ones(9), np.zeros(25, dtype=np.int64)
    arguments = (ways.first, ways.link, ways.share, capacity)
    assert (kernels.fill_rates(*arguments) == kernels.fill_rates_fast(*arguments)).all()
    rest = (rng.uniform(1, 2, 25), np.zeros(25), np.zeros(25), none, np.zeros(26, dtype=np.int64), none[:0], 0.0)
    for plain, fast in zip(kernels.drain(*arguments, *rest), kernels.drain_fast(*arguments, *rest), strict=True):
        assert np.all(plain == fast)


def test_flows_that_wait_in_a_circle_or_lead_nowhere_are_our_error_and_bad_numbers_the_users():
    ways = as_routes([{0: 1.0}, {0: 1.0}])
    with pytest.raises(InternalError, match="never ends"):
        drained(ways, np.ones(1), 1.0, after=([0, 1], [1, 0]))
    with pytest.raises(InternalError, match="never ends"):
        drained(ways, np.zeros(1), 1.0)
    with pytest.raises(InputError, match="bytes"):
        drained(ways, np.ones(1), [-1.0, 1.0])
    with pytest.raises(InputError, match="start"):
        drained(ways, np.ones(1), 1.0, ready_s=math.inf)
    with pytest.raises(InputError, match="tolerance"):
        drained(ways, np.ones(1), 1.0, tolerance=0.5)


# -- routes


SIDES = st.lists(st.integers(1, 5), min_size=1, max_size=3).filter(lambda sides: math.prod(sides) > 1)


def conserved(fabric: Fabric, ways: Routes, source: int, target: int, flow: int) -> None:
    """As much comes into every node as leaves it, but for the two ends."""
    heads = np.repeat(np.arange(len(fabric.nodes)), np.diff(fabric.indptr))
    balance = np.zeros(len(fabric.nodes))
    for entry in range(ways.first[flow], ways.first[flow + 1]):
        balance[heads[ways.link[entry]]] += ways.share[entry]
        balance[fabric.indices[ways.link[entry]]] -= ways.share[entry]
    expected = np.zeros(len(fabric.nodes))
    expected[source] += 1
    expected[target] -= 1
    assert balance == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(SIDES, st.booleans(), st.sampled_from(["dimension-order", "spread", "ecmp", "valiant", "all-path"]), st.data())
def test_every_byte_of_a_flow_leaves_its_source_passes_on_and_arrives(sides, wraps, how, data):
    fabric = torus(*sides, wraps=wraps)
    chip = st.integers(0, len(fabric.nodes) - 1)
    ends = data.draw(st.lists(st.tuples(chip, chip), min_size=1, max_size=5))
    ways = routes(fabric, [s for s, _ in ends], [t for _, t in ends], how, seed=3)
    for flow, (source, target) in enumerate(ends):
        conserved(fabric, ways, source, target, flow)


@settings(deadline=None, max_examples=40)
@given(SIDES, st.booleans())
def test_shortest_routes_are_as_long_as_networkx_finds_them(sides, wraps):
    fabric = torus(*sides, wraps=wraps)
    built = slice_graph(torus_of(*sides), tuple(sides), wraps=wraps)
    target = [len(fabric.nodes) - 1] * len(fabric.nodes)
    lengths = nx.single_source_shortest_path_length(built, fabric.nodes[-1])
    for how in ("dimension-order", "spread", "ecmp"):
        ways = routes(fabric, range(len(fabric.nodes)), target, how)
        hops = np.add.reduceat(np.append(ways.share, 0.0), ways.first[:-1]) * (np.diff(ways.first) > 0)
        assert hops == pytest.approx([lengths[name] for name in fabric.nodes])
        assert ways.delay_s == pytest.approx([lengths[name] * 1e-6 for name in fabric.nodes])


def test_ties_on_an_even_ring_go_both_ways_in_halves():
    ring = torus(4)
    for how in ("dimension-order", "spread"):
        ways = routes(ring, [0], [2], how)
        assert sorted(ways.share) == [0.5, 0.5, 0.5, 0.5]
        # one link carries at most half of it, so the flow runs at twice a link's rate
        assert max_min_rates(ways, capacities(ring))[0] == pytest.approx(200e9)


@pytest.mark.parametrize("shape", [(4,), (5,), (2, 4), (3, 4, 5), (4, 4, 4)])
def test_all_to_all_loads_each_axis_as_the_closed_form_of_a_ring_says(shape):
    """On a ring of d chips a directed link carries d / 8 of what a chip sends ((d^2 - 1) / 8d for odd d)."""
    fabric = torus(*shape)
    count = len(fabric.nodes)
    pairs = [(s, t) for s in range(count) for t in range(count) if s != t]
    ways = routes(fabric, [s for s, _ in pairs], [t for _, t in pairs])
    loads = link_loads(ways, len(fabric.indices)) / fabric.links
    steps = fabric.coordinates[fabric.indices] - np.repeat(fabric.coordinates, np.diff(fabric.indptr), axis=0)
    for axis, side in enumerate(shape):
        each = loads[steps[:, axis] != 0]
        assert each == pytest.approx(np.full(len(each), side * side // 4 / 2 / side * count))


def test_dimension_order_is_refused_away_from_a_whole_torus():
    whole = Torus(dims=(4, 4, 8), cube=(4, 4, 4), link=LINK, is_twistable=True)
    fabric = Fabric.from_graph(twisted(whole, (4, 4, 8)))
    assert lattice(fabric) is None
    with pytest.raises(InputError, match="spread"):
        routes(fabric, [0], [1], "dimension-order")
    with pytest.raises(InputError, match="spread"):
        routes(fabric, [0], [1], "sprad")
    with pytest.raises(InputError, match="number nodes"):
        routes(fabric, [0], [128])


def test_all_path_on_a_full_mesh_takes_the_direct_link_and_a_detour_over_each_other_member():
    graph = nx.complete_graph(8)
    fabric = fabric_of(graph)
    ways = routes(fabric, [0], [5], "all-path")
    assert ways.first[1] == 1 + 2 * 6
    assert ways.share == pytest.approx(np.full(13, 1 / 7))
    assert ways.delay_s[0] == pytest.approx(2e-6)
    assert max_min_rates(ways, capacities(fabric))[0] == pytest.approx(7e9)
    assert max_min_rates(routes(fabric, [0], [5]), capacities(fabric))[0] == pytest.approx(1e9)


def test_hashed_flows_collide_where_sprayed_ones_do_not():
    """Eight flows over eight equal planes: sprayed, each gets a link's worth; hashed, some share a plane."""
    graph = nx.complete_bipartite_graph(16, 8)
    nx.set_node_attributes(graph, dict.fromkeys(range(16, 24), "switch"), "kind")
    fabric = fabric_of(graph)
    source, target = range(8), [8] * 8
    sprayed = max_min_rates(routes(fabric, source, target, "spread"), capacities(fabric))
    hashed = max_min_rates(routes(fabric, source, target, "ecmp", seed=1), capacities(fabric))
    assert sprayed == pytest.approx(np.full(8, 1e9))
    assert hashed.min() < 1e9 - 1
    assert hashed.sum() <= 8e9
