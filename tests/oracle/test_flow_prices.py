"""Prices of schedules on the flow level against their formulas."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from simulator.collectives.flow import flow_price
from simulator.collectives.schedules import Layout, schedule, snake
from tests.support_fabrics import fabric_of, torus
from tests.support_flows import GIB, MIB, US, A, B, railed, seconds, star


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
        ("direct", "broadcast"): 2 * (A + (n - 1) / n * s / B),
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
