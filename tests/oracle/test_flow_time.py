"""Prices over time: ranks that wait for their own alone, skew, background, several jobs, faults; laws and bad input."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.collectives.flow import Background, Job, flow_price, flow_prices
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.schedules import SCHEDULES, Layout, schedule
from simulator.errors import InputError
from simulator.fabric import Fabric, capacities
from tests.support_fabrics import fabric_of, torus
from tests.support_flows import GIB, MIB, US, A, B, star

ENTRIES = [(algorithm, kind) for algorithm, kinds in SCHEDULES.items() for kind in kinds]
LOPSIDED = {("double-binary-tree", "all-reduce"), ("double-binary-tree", "broadcast"), ("ring", "broadcast")}


def layout_of(algorithm: str) -> tuple[Layout, Fabric]:
    """A fabric on which an algorithm is symmetric."""
    if algorithm in {"nvls", "sharp"}:
        return Layout((8,), chunks=3), star(8)
    if algorithm in {"bucket", "ring-per-dimension", "swing", "swing-latency"}:
        return Layout((4, 4)), torus(4, 4)
    return Layout((2, 4), chunks=3), star(8)


@pytest.mark.parametrize(("algorithm", "kind"), ENTRIES)
def test_ranks_that_keep_step_and_ranks_that_wait_for_their_own_alone_agree_where_all_is_symmetric(algorithm, kind):
    layout, fabric = layout_of(algorithm)
    found = schedule(algorithm, kind, layout)
    job = Job(found, np.arange(found.ranks + found.switches), 16 * MIB, start_s=2 * US)
    step = flow_prices([job], fabric)[0]
    (free,) = priced_over_time([job], fabric, None, "", 0.0)
    assert step.rounds == free.rounds
    assert free.loads == pytest.approx(step.loads)
    if algorithm == "full-mesh":  # its two axes share the links to the switch, so that it does not keep step
        assert step.level == "over-time"
    if algorithm == "hierarchical-tree":  # its chunks come and go at once where nothing is in the way
        assert step.seconds < free.seconds < 1.2 * step.seconds
    elif (algorithm, kind) in LOPSIDED:
        assert free.seconds <= step.seconds * (1 + 1e-9)
    else:
        assert free.seconds == pytest.approx(step.seconds, rel=1e-9)


@settings(max_examples=30)
@given(
    shape=st.sampled_from([(4,), (5,), (3, 4), (2, 2, 3)]),
    algorithm=st.sampled_from(["ring", "bucket", "two-shot", "ring-per-dimension", "one-shot"]),
    seed=st.integers(0, 10**6),
)
def test_skew_background_and_other_jobs_never_make_a_collective_faster(shape, algorithm, seed):
    rng = np.random.default_rng(seed)
    fabric = torus(*shape)
    ranks = math.prod(shape)
    found = schedule(algorithm, "all-reduce", Layout(shape))
    idle = flow_price(found, fabric, range(ranks), MIB).seconds
    skew = rng.uniform(0, 20 * US, size=ranks)
    skewed = flow_price(found, fabric, range(ranks), MIB, skew_s=skew)
    assert skewed.level == "over-time"
    assert skewed.seconds >= max(skew.max(), idle * (1 - 1e-9))
    ends = rng.integers(ranks, size=(2, 6))
    busy = flow_price(found, fabric, range(ranks), MIB, background=Background(*ends, 4 * MIB))
    assert busy.seconds >= idle * (1 - 1e-9)
    both = flow_prices([Job(found, np.arange(ranks), MIB)] * 2, fabric)
    for each in both:
        assert each.seconds >= idle * (1 - 1e-9)
        assert each.seconds >= 2 * each.link_s * (1 - 1e-9)


def test_a_rank_that_is_late_delays_all_by_as_much():
    found = schedule("ring", "all-reduce", Layout((8,)))
    idle = flow_price(found, star(8), range(8), MIB).seconds
    late = flow_price(found, star(8), range(8), MIB, skew_s=[0, 0, 0, 1e-3, 0, 0, 0, 0]).seconds
    assert late == pytest.approx(idle + 1e-3, rel=1e-9)
    assert flow_price(found, star(8), range(8), MIB, skew_s=1e-3).seconds == pytest.approx(late)


def test_jobs_on_separate_links_do_not_disturb_each_other_and_jobs_on_the_same_ones_halve_their_rates():
    fabric = torus(8)
    ring = schedule("ring", "all-reduce", Layout((4,), (False,)))
    alone = flow_price(ring, fabric, range(4), MIB).seconds
    apart = flow_prices([Job(ring, range(4), MIB), Job(ring, range(4, 8), MIB)], fabric)
    assert [each.seconds for each in apart] == pytest.approx([alone] * 2)
    around = schedule("ring", "all-reduce", Layout((8,)))
    same = flow_prices([Job(around, range(8), MIB)] * 2, fabric)
    assert same[0].seconds == pytest.approx(2 * 7 * (A + 2 * MIB / 8 / B))


def test_a_tolerance_moves_a_price_by_little():
    found = schedule("two-shot", "all-reduce", Layout((9,)))
    fabric = torus(3, 3, wraps=False)
    skew = np.linspace(0, 5 * US, 9)
    exact, rough = (flow_price(found, fabric, range(9), MIB, skew_s=skew, tolerance=each) for each in (0.0, 0.01))
    assert rough.seconds == pytest.approx(exact.seconds, rel=0.03)
    assert rough.solved <= exact.solved


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_dead_link_is_gone_round_and_costs_time(is_cut):
    fabric = torus(4, 4)
    found = schedule("ring-per-dimension", "all-reduce", Layout((4, 4)))
    idle = flow_price(found, fabric, range(16), MIB)
    one, other = 0, int(fabric.indices[0])
    if is_cut:
        graph = nx.Graph()
        graph.add_nodes_from(range(16))
        heads = np.repeat(np.arange(16), np.diff(fabric.indptr))
        graph.add_edges_from(
            pair for pair in zip(heads.tolist(), fabric.indices.tolist(), strict=True) if set(pair) != {one, other}
        )
        hurt = fabric_of(graph, B, A)
    else:
        dead = fabric.bandwidth_bytes_per_s.copy()
        heads = np.repeat(np.arange(16), np.diff(fabric.indptr))
        dead[((heads == one) & (fabric.indices == other)) | ((heads == other) & (fabric.indices == one))] = 0.0
        hurt = dataclasses.replace(fabric, bandwidth_bytes_per_s=dead)
    assert flow_price(found, hurt, range(16), MIB).seconds > idle.seconds


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), entry=st.sampled_from(ENTRIES), size=st.sampled_from([1.0, MIB, GIB]))
def test_no_price_on_any_graph_is_below_its_bounds(seed, entry, size):
    """What a rank must send over all its links, the busiest link, and the longest way between two ranks."""
    rng = np.random.default_rng(seed)
    graph = nx.connected_watts_strogatz_graph(8, 4, 0.5, seed=seed)
    nx.set_edge_attributes(
        graph, {edge: float(rng.choice([1e9, 4e9])) for edge in graph.edges}, "bandwidth_bytes_per_s"
    )
    fabric = fabric_of(graph)
    algorithm, kind = entry
    assume(algorithm not in {"nvls", "sharp"})
    found = schedule(algorithm, kind, Layout((2, 4), chunks=2))
    priced = flow_price(found, fabric, rng.permutation(8), size)
    injection = np.bincount(np.repeat(np.arange(8), np.diff(fabric.indptr)), capacities(fabric)).min()
    least = {"all-reduce": 2 * 7 / 8, "broadcast": 0.0}.get(kind, 7 / 8) * size / injection
    assert priced.seconds >= max(least, priced.link_s) * (1 - 1e-9)
    assert priced.seconds >= nx.diameter(graph) * 1e-6 * (1 - 1e-9) or kind == "broadcast"


def test_bad_members_sizes_and_times_are_named():
    found = schedule("ring", "all-reduce", Layout((4,)))
    fabric = torus(4)
    for members, word in (([0, 1, 2], "4 ranks"), ([0, 1, 2, 2], "two ranks"), ([0, 1, 2, 9], "no node 9")):
        with pytest.raises(InputError, match=word):
            flow_price(found, fabric, members, MIB)
    for size in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="no size"):
            flow_price(found, fabric, range(4), size)
    with pytest.raises(InputError, match="start of a step"):
        flow_price(found, fabric, range(4), MIB, start_s=-1.0)
    with pytest.raises(InputError, match="skew"):
        flow_price(found, fabric, range(4), MIB, skew_s=[0.0, -1.0, 0.0, 0.0])
    with pytest.raises(InputError, match="tolerance"):
        flow_price(found, fabric, range(4), MIB, tolerance=0.5)
    with pytest.raises(InputError, match="dimension"):
        flow_price(found, fabric, range(4), MIB, routing="dimensional-order")
    with pytest.raises(InputError, match="switches"):
        flow_price(schedule("nvls", "all-reduce", Layout((4,))), fabric, range(4), MIB)
    everyone = schedule("direct", "all-to-all", Layout((4096,)))
    with pytest.raises(InputError, match="too many"):
        flow_price(everyone, torus(4096), range(4096), MIB, background=Background([0], [1], 1.0))
    apart = fabric_of(nx.disjoint_union(nx.path_graph(2), nx.path_graph(2)))
    with pytest.raises(InputError, match="cannot reach"):
        flow_price(found, apart, range(4), MIB)
