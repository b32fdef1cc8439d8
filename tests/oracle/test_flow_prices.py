"""Prices of schedules on the flow level against formulas, laws, and a simulation chunk by chunk."""

from __future__ import annotations

import dataclasses
import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.collectives.classes import flow_classes
from simulator.collectives.flow import Background, Job, flow_price, flow_prices, pattern_loads
from simulator.collectives.in_step import drained_by_class, equal_ends
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.patterns import all_pairs_loads, from_one
from simulator.collectives.schedules import SCHEDULES, Layout, expanded, schedule, snake
from simulator.errors import InputError
from simulator.fabric import Fabric, capacities, chips_of
from simulator.network import drained, link_loads
from simulator.routing import routes
from simulator.structure import all_to_all_bytes_per_s
from tests.oracle.chunks import chunked_seconds
from tests.support_fabrics import LINK, fabric_of, torus
from topologies.builders.torus import twisted
from topologies.fabrics import Torus

US = 1e-6
A, B = 1e-6, 100e9
"""Latency of a hop [s] and bandwidth of a link [B/s], as in the tables below."""
MIB, GIB = 2.0**20, 2.0**30
ENTRIES = [(algorithm, kind) for algorithm, kinds in SCHEDULES.items() for kind in kinds]
LOPSIDED = {("double-binary-tree", "all-reduce"), ("double-binary-tree", "broadcast"), ("ring", "broadcast")}


def star(ranks: int, planes: int = 1) -> Fabric:
    """Ranks on switches side by side, 1 us from rank to rank."""
    graph = nx.Graph()
    graph.add_nodes_from(range(ranks), kind="chip")
    graph.add_nodes_from(range(ranks, ranks + planes), kind="switch")
    graph.add_edges_from(itertools.product(range(ranks), range(ranks, ranks + planes)))
    return fabric_of(graph, B, A / 2)


def seconds(algorithm: str, kind: str, layout: Layout, fabric: Fabric, size: float = 64 * MIB, **more) -> float:
    found = schedule(algorithm, kind, layout)
    return flow_price(found, fabric, np.arange(found.ranks + found.switches), size, **more).seconds


# -- formulas


@pytest.mark.parametrize(
    ("ranks", "size", "microseconds"),
    [(8, 64 * MIB, 1188.4), (8, GIB, 18804.5), (64, 64 * MIB, 1447.2), (64, GIB, 21265.3)],
)
def test_a_ring_on_a_switch_takes_what_its_formula_says(ranks, size, microseconds):
    found = seconds("ring", "all-reduce", Layout((ranks,)), star(ranks), size)
    assert found == pytest.approx(2 * (ranks - 1) * (A + size / (ranks * B)), rel=1e-9)
    assert found / US == pytest.approx(microseconds, abs=0.06)


@pytest.mark.parametrize(
    ("shape", "size", "microseconds"),
    [
        ((4, 4, 4), 64 * MIB, 1339.2),
        ((8, 8, 16), 64 * MIB, 1398.9),
        ((16, 24, 24), 64 * MIB, 1464.0),
        ((4, 4, 4), GIB, 21157),
        ((8, 8, 16), GIB, 21512),
        ((16, 24, 24), GIB, 21594),
    ],
)
def test_rings_along_one_axis_after_the_other_take_what_their_formula_says(shape, size, microseconds):
    """Values from the formula, and as other simulators give them for one direction, axes in sequence, unpipelined."""
    found = seconds("ring-per-dimension", "all-reduce", Layout(shape), torus(*shape), size)
    before = [math.prod(shape[:axis]) for axis in range(len(shape))]
    formula = sum(2 * (d - 1) * (A + size / e / d / B) for d, e in zip(shape, before, strict=True))
    assert found == pytest.approx(formula, rel=1e-9)
    assert found / US == pytest.approx(microseconds, abs=0.6 if size == GIB else 0.06)


@pytest.mark.parametrize(("shape", "closing"), [((4, 4, 4), 1), ((4, 3), 1), ((3, 4), 2), ((3, 5), 2), ((3, 3, 3), 3)])
def test_one_ring_through_all_chips_of_a_torus_shares_no_link(shape, closing):
    ranks = math.prod(shape)
    found = schedule("ring", "all-reduce", Layout((ranks,)))
    priced = flow_price(found, torus(*shape), snake(shape), 64 * MIB)
    assert sorted(snake(shape)) == list(range(ranks))
    assert priced.seconds == pytest.approx(2 * (ranks - 1) * (closing * A + 64 * MIB / ranks / B), rel=1e-9)


def bucket_formula(shape, size, wraps=True):
    """Phase after phase, the slowest part: (d - 1) (a + its message / b), both ways round at once.

    A ring that is laid on a line steps over two links, and its two ways round use every link twice.
    """
    sides = [side for side in shape if side > 1]
    parts = len(sides)
    total = 0.0
    for phase in range(parts):
        slowest = 0.0
        for part in range(parts):
            order = [(part + step) % parts for step in range(parts)]
            d = sides[order[phase]]
            message = size / (2 * parts) / math.prod(sides[axis] for axis in order[:phase]) / d
            if wraps:
                slowest = max(slowest, (d - 1) * (A + message / B))
            else:
                slowest = max(slowest, (d - 1) * (min(2, d - 1) * A + 2 * message / B))
        total += slowest
    return total


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 4, 4), (3, 4, 5), (8, 8, 16), (16, 24, 24)])
def test_buckets_over_all_axes_both_ways_round_take_what_their_formula_says(shape):
    fabric = torus(*shape)
    for kind, times in (("all-reduce", 2), ("reduce-scatter", 1), ("all-gather", 1)):
        found = seconds("bucket", kind, Layout(shape), fabric)
        assert found == pytest.approx(times * bucket_formula(shape, 64 * MIB), rel=1e-9)


def test_equal_axes_that_wrap_are_used_to_the_full_by_buckets():
    """The injection bound of 64 MiB on 4x4x4: 2 x 63/64 of S over six links."""
    found = schedule("bucket", "all-reduce", Layout((4, 4, 4)))
    priced = flow_price(found, torus(4, 4, 4), range(64), 64 * MIB)
    assert priced.link_s == pytest.approx(2 * 63 / 64 * 64 * MIB / (6 * B))
    assert priced.loads == pytest.approx(np.full(len(priced.loads), priced.loads[0]))
    assert priced.solved == 3


@pytest.mark.parametrize("shape", [(2,), (3,), (6,), (3, 4), (3, 4, 5)])
def test_buckets_on_a_mesh_take_rings_that_are_laid_on_lines(shape):
    layout = Layout(shape, (False,) * len(shape))
    found = seconds("bucket", "all-reduce", layout, torus(*shape, wraps=False))
    assert found == pytest.approx(2 * bucket_formula(shape, 64 * MIB, wraps=False), rel=1e-9)


@pytest.mark.parametrize("ranks", [4, 8, 16, 32, 64])
def test_swing_on_a_ring_loads_each_link_with_the_distance_of_its_partners(ranks):
    found = seconds("swing", "all-reduce", Layout((ranks,)), torus(ranks))
    far = [abs(1 - (-2) ** (step + 1)) // 3 for step in range(ranks.bit_length() - 1)]
    formula = 2 * sum(d * (A + 64 * MIB / 2 / 2 ** (step + 1) / B) for step, d in enumerate(far))
    assert found == pytest.approx(formula, rel=1e-9)
    short = seconds("swing-latency", "all-reduce", Layout((ranks,)), torus(ranks))
    assert short == pytest.approx(sum(d * (A + 64 * MIB / 2 / B) for d in far), rel=1e-9)


@pytest.mark.parametrize("ranks", [2, 4, 8, 32])
def test_flat_algorithms_on_a_switch_take_what_their_formulas_say(ranks):
    fabric, layout, s, n = star(ranks), Layout((ranks,), chunks=4), 64 * MIB, ranks
    steps = n.bit_length() - 1
    formulas = {
        ("one-shot", "all-reduce"): A + (n - 1) * s / B,
        ("two-shot", "all-reduce"): 2 * (A + (n - 1) / n * s / B),
        ("direct", "reduce-scatter"): A + (n - 1) / n * s / B,
        ("direct", "all-to-all"): A + (n - 1) / n * s / B,
        ("direct", "broadcast"): A + (n - 1) * s / B,
        ("halving-doubling", "all-reduce"): 2 * (steps * A + (n - 1) / n * s / B),
        ("pat", "all-gather"): steps * A + (n - 1) / n * s / B,
        ("bidirectional-ring", "all-reduce"): 2 * (n - 1) * (A + s / (n * B)),
        ("ring", "broadcast"): (4 + n - 2) * (A + s / 4 / B),
        ("full-mesh", "all-gather"): A + (n - 1) / n * s / B,
        ("nvls", "all-reduce"): (4 + 1) * (A / 2 + s / 4 / B),
    }
    for (algorithm, kind), formula in formulas.items():
        assert seconds(algorithm, kind, layout, fabric) == pytest.approx(formula, rel=1e-9), algorithm


@pytest.mark.parametrize("ranks", [3, 5, 6, 7, 12])
def test_pat_takes_logarithmic_rounds_on_any_number_of_ranks(ranks):
    formula = math.ceil(math.log2(ranks)) * A + (ranks - 1) / ranks * 64 * MIB / B
    for kind in ("all-gather", "reduce-scatter"):
        assert seconds("pat", kind, Layout((ranks,)), star(ranks)) == pytest.approx(formula, rel=1e-9)


def test_reducing_switches_side_by_side_share_the_buffer():
    layout = Layout((8,), chunks=16, planes=4)
    found = seconds("nvls", "all-reduce", layout, star(8, 4), GIB)
    assert found == pytest.approx(17 * (A / 2 + GIB / (16 * 4) / B), rel=1e-9)


def test_reduction_in_a_tree_of_switches_takes_one_round_a_level():
    """4 leaves of 8 ranks below a root."""
    graph = nx.Graph()
    graph.add_nodes_from(range(32), kind="chip")
    graph.add_nodes_from(range(32, 37), kind="switch")
    graph.add_edges_from([(rank, 32 + rank // 8) for rank in range(32)] + [(leaf, 36) for leaf in range(32, 36)])
    found = seconds("sharp", "all-reduce", Layout((8, 4), chunks=10), fabric_of(graph, B, A))
    assert found == pytest.approx((10 + 3) * (A + 64 * MIB / 10 / B), rel=1e-9)


@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 3), (2, 3, 4)])
def test_direct_exchange_on_a_full_mesh_takes_one_message_a_phase(shape):
    graph = nx.complete_graph(shape[0])
    for side in shape[1:]:
        graph = nx.cartesian_product(graph, nx.complete_graph(side))
    graph = nx.convert_node_labels_to_integers(graph, ordering="sorted")
    formula = 0.0
    for phase in range(len(shape)):
        orders = [[(part + step) % len(shape) for step in range(phase + 1)] for part in range(len(shape))]
        formula += 2 * max(A + 64 * MIB / len(shape) / math.prod(shape[axis] for axis in order) / B for order in orders)
    assert seconds("full-mesh", "all-reduce", Layout(shape), fabric_of(graph, B, A)) == pytest.approx(formula, rel=1e-9)


def railed(inside: int, nodes: int) -> Fabric:
    """Nodes of ranks on a fast switch each, and a slow switch for each rail: rank r of every node."""
    graph = nx.Graph()
    ranks = inside * nodes
    graph.add_nodes_from(range(ranks), kind="chip")
    graph.add_nodes_from(range(ranks, ranks + nodes + inside), kind="switch")
    for rank in range(ranks):
        graph.add_edge(rank, ranks + rank // inside, bandwidth_bytes_per_s=4 * B, latency_s=A / 2)
        graph.add_edge(rank, ranks + nodes + rank % inside, bandwidth_bytes_per_s=B, latency_s=2 * A)
    return fabric_of(graph)


@pytest.mark.parametrize(("inside", "nodes"), [(8, 4), (4, 3), (2, 2)])
def test_nested_levels_take_the_sum_of_their_formulas(inside, nodes):
    s = 64 * MIB
    far = 4 * A + (nodes - 1) / nodes * s / inside / B
    near = A + (inside - 1) / inside * s / (4 * B)
    fabric = railed(inside, nodes)
    found = seconds("hierarchical", "all-reduce", Layout((inside, nodes)), fabric)
    assert found == pytest.approx(2 * (near + far), rel=1e-9)
    rings = seconds("hierarchical", "all-gather", Layout((inside, nodes), ways=("ring", "ring")), fabric)
    assert rings == pytest.approx(near + far + (inside - 2) * A + (nodes - 2) * 4 * A, rel=1e-9)


@pytest.mark.parametrize("chunks", [1, 4, 64])
@pytest.mark.parametrize("ranks", [4, 7, 16])
def test_two_trees_move_twice_the_buffer_through_every_rank_in_as_many_rounds_as_chunks_and_levels(ranks, chunks):
    fabric, s = star(ranks), 64 * MIB
    layout = Layout((ranks,), chunks=chunks)
    height = math.ceil(math.log2(ranks)) + 1
    for kind, most in (("all-reduce", chunks + 2 * height), ("broadcast", chunks + height + 1)):
        found = schedule("double-binary-tree", kind, layout)
        priced = flow_price(found, fabric, range(ranks), s)
        assert priced.rounds <= most
        assert priced.link_s <= priced.seconds <= priced.rounds * (A + 2 * s / chunks / B) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("fabric", "bound"),
    [
        (star(8), 587.2),
        (star(64), 660.6),
        (torus(4, 4, 4), 335.5),
        (torus(8, 8, 16), 1342.2),
        (torus(16, 24, 24), 2013.27),
    ],
    ids=["8", "64", "4x4x4", "8x8x16", "16x24x24"],
)
def test_an_all_to_all_takes_what_the_busiest_link_needs_and_a_latency(fabric, bound):
    ranks = fabric.chips
    found = schedule("direct", "all-to-all", Layout((ranks,)))
    priced = flow_price(found, fabric, range(ranks), 64 * MIB)
    assert priced.link_s / US == pytest.approx(bound, abs=0.06)
    longest = sum(side // 2 for side in fabric.coordinates.max(axis=0) + 1) if fabric.coordinates is not None else 1
    assert priced.seconds == pytest.approx(priced.link_s + longest * A, rel=1e-9)


# -- everyone to everyone

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


# -- flows that are alike


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


# -- over time


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
    if (algorithm, kind) in LOPSIDED:
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


# -- chunk by chunk

CHUNKED = [
    ("ring", "all-reduce", (8,), star(8), ""),
    ("ring", "all-reduce", (6,), torus(6), ""),
    ("bidirectional-ring", "all-gather", (7,), torus(7), ""),
    ("halving-doubling", "all-reduce", (8,), star(8), ""),
    ("pat", "reduce-scatter", (6,), star(6), ""),
    ("one-shot", "all-reduce", (5,), star(5), ""),
    ("two-shot", "all-reduce", (8,), star(8), ""),
    ("direct", "all-to-all", (8,), star(8), ""),
    ("direct", "all-to-all", (5,), torus(5), ""),
    ("direct", "all-to-all", (3, 3), torus(3, 3), ""),
    ("direct", "all-to-all", (4, 4), torus(4, 4), ""),
    ("ring-per-dimension", "all-reduce", (4, 4), torus(4, 4), ""),
    ("bucket", "all-reduce", (4, 4), torus(4, 4), ""),
    ("bucket", "all-reduce", (3, 5), torus(3, 5), ""),
    ("bucket", "all-gather", (2, 2, 3), torus(2, 2, 3), ""),
    ("swing", "all-reduce", (16,), torus(16), ""),
    ("swing", "all-reduce", (4, 4), torus(4, 4), ""),
    ("halving-doubling", "reduce-scatter", (64,), star(64), ""),
    ("ring-per-dimension", "reduce-scatter", (4, 4, 4), torus(4, 4, 4), ""),
    ("hierarchical", "all-reduce", (4, 3), railed(4, 3), ""),
    ("nvls", "all-reduce", (8,), star(8), ""),
    ("double-binary-tree", "all-reduce", (8,), star(8), ""),
]


@pytest.mark.parametrize(
    ("algorithm", "kind", "shape", "fabric", "routing"),
    CHUNKED,
    ids=[
        f"{algorithm}-{kind}-{'x'.join(map(str, shape))}-{fabric.chips}"
        for algorithm, kind, shape, fabric, _ in CHUNKED
    ],
)
def test_a_simulation_chunk_by_chunk_comes_to_the_flow_price_as_chunks_get_small(
    algorithm, kind, shape, fabric, routing
):
    """In each round a transfer is late by at most one chunk at each hop for each transfer that it meets there.

    Where transfers meet, the simulation may be early by the latency of the way: the last chunk through the busiest
    link need not be the one that has farthest to go.
    """
    size = 4 * MIB
    found = schedule(algorithm, kind, Layout(shape, chunks=4))
    nodes = list(range(found.ranks + found.switches))
    (free,) = priced_over_time([Job(found, nodes, size)], fabric, None, routing, 0.0)
    smallest = min(float(each.share.max()) for each in found.rounds()) * size
    late, early = slack(found, fabric, nodes)
    gaps = []
    for parts in (2, 8):
        gap = chunked_seconds(found, fabric, nodes, size, smallest / parts) - free.seconds
        assert -early - 1e-9 * free.seconds <= gap <= late * smallest / parts + 1e-9 * free.seconds
        gaps.append(max(gap, 0.0))
    assert gaps[1] <= gaps[0] / 2 + early + 1e-9 * free.seconds


def slack(found, fabric: Fabric, nodes: list[int]) -> tuple[float, float]:
    """Sums over rounds: most hops x most transfers on a link, per rate [s/B]; longest latency where transfers meet."""
    late = early = 0.0
    for each in map(expanded, found.rounds()):
        ways = routes(fabric, np.array(nodes)[each.source], np.array(nodes)[each.target])
        most = np.bincount(ways.link).max()
        late += np.diff(ways.first).max() * most / capacities(fabric).min()
        early += float(ways.delay_s.max()) if most > 1 else 0.0
    return late, early


@pytest.mark.parametrize("level", ["flow", "chunks"])
def test_algorithms_are_ordered_as_theory_says_on_both_levels(level):
    def takes(algorithm: str, size: float, fabric: Fabric, shape: tuple[int, ...]) -> float:
        found = schedule(algorithm, "all-reduce", Layout(shape))
        ranks = list(range(found.ranks))
        if level == "flow":
            return flow_price(found, fabric, ranks, size).seconds
        return chunked_seconds(found, fabric, ranks, size, size / 256)

    switch, grid = star(8), torus(4, 4)
    assert takes("one-shot", 1024, switch, (8,)) < takes("two-shot", 1024, switch, (8,))
    assert takes("two-shot", 1024, switch, (8,)) < takes("halving-doubling", 1024, switch, (8,))
    assert takes("halving-doubling", 1024, switch, (8,)) < takes("ring", 1024, switch, (8,))
    assert takes("two-shot", 8 * MIB, switch, (8,)) < takes("one-shot", 8 * MIB, switch, (8,))
    assert takes("swing-latency", 1024, grid, (4, 4)) < takes("swing", 1024, grid, (4, 4))
    assert takes("swing", 1024, grid, (4, 4)) < takes("bucket", 1024, grid, (4, 4))
    assert takes("bucket", 8 * MIB, grid, (4, 4)) < takes("ring-per-dimension", 8 * MIB, grid, (4, 4)) / 3
