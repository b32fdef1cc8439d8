"""Every entry of SCHEDULES is run on contributions: all arrive, each once, and nothing is sent that is not held."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.collectives.schedules import SCHEDULES, Layout, expanded, schedule
from simulator.collectives.schedules.axes import ring_order
from simulator.collectives.schedules.swing import rho
from simulator.collectives.schedules.trees import first_parents, two_trees
from simulator.collectives.symbolic import faults
from simulator.errors import InputError

ENTRIES = [(algorithm, kind) for algorithm, kinds in SCHEDULES.items() for kind in kinds]
POWERS_ONLY = {"halving-doubling", "swing", "swing-latency"}
SHAPES = [
    (2,),
    (3,),
    (4,),
    (5,),
    (8,),
    (11,),
    (16,),
    (2, 2),
    (3, 4),
    (4, 8),
    (1, 5),
    (2, 3, 4),
    (2, 4, 4),
    (2, 2, 2, 2),
]


def refused(algorithm: str, shape: tuple[int, ...]) -> bool:
    """Whether the algorithm is for powers of two alone."""
    return algorithm in POWERS_ONLY and not all(side & (side - 1) == 0 for side in shape)


def sent(found) -> float:
    """What all ranks and switches send together, in parts of S."""
    return math.fsum(math.fsum(expanded(each).share) for each in found.rounds())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize(("algorithm", "kind"), ENTRIES)
def test_every_rank_ends_with_every_contribution_exactly_once(algorithm, kind, shape):
    if refused(algorithm, shape):
        with pytest.raises(InputError, match="power of two"):
            schedule(algorithm, kind, Layout(shape))
        return
    found = schedule(algorithm, kind, Layout(shape, chunks=3))
    assert faults(found) == []
    assert (found.algorithm, found.kind, found.ranks) == (algorithm, kind, math.prod(shape))


@settings(max_examples=15)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3).filter(lambda sides: 2 <= math.prod(sides) <= 40),
    chunks=st.integers(1, 5),
    planes=st.integers(1, 3),
    data=st.data(),
)
@pytest.mark.parametrize(("algorithm", "kind"), ENTRIES)
def test_any_layout_is_scheduled_rightly_or_refused_with_a_remedy(algorithm, kind, shape, chunks, planes, data):
    wraps = tuple(data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))))
    ways = tuple(data.draw(st.lists(st.sampled_from(["ring", "direct"]), min_size=len(shape), max_size=len(shape))))
    layout = Layout(tuple(shape), wraps, chunks, planes, ways)
    if refused(algorithm, layout.shape):
        with pytest.raises(InputError) as caught:
            schedule(algorithm, kind, layout)
        assert caught.value.remedy
    else:
        assert faults(schedule(algorithm, kind, layout)) == []


@settings(max_examples=15)
@given(shape=st.sampled_from([(4,), (2, 4), (2, 2, 2)]), seed=st.integers(0, 10**6))
@pytest.mark.parametrize(("algorithm", "kind"), ENTRIES)
@pytest.mark.parametrize("is_doubled", [False, True], ids=["dropped", "doubled"])
def test_a_transfer_dropped_or_doubled_is_found(algorithm, kind, is_doubled, shape, seed):
    found = schedule(algorithm, kind, Layout(shape, chunks=2))
    rounds = [expanded(each) for each in found.rounds()]
    rng = np.random.default_rng(seed)
    number = int(rng.integers(len(rounds)))
    each = rounds[number]
    one = int(rng.integers(len(each.source)))
    rest = np.delete(np.arange(len(each.source)), one)
    keep = np.append(np.arange(len(each.source)), one) if is_doubled else rest
    pieces = each.pieces(each.source, each.target)[keep]
    rounds[number] = dataclasses.replace(
        each,
        source=each.source[keep],
        target=each.target[keep],
        share=each.share[keep],
        reduces=each.reduces[keep],
        pieces=lambda *_: pieces,
    )
    rounds = [each for each in rounds if len(each.source)]
    assert faults(dataclasses.replace(found, rounds=lambda: rounds))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda each: {"target": each.source}, "sends to itself"),
        (lambda each: {"target": each.target + 90}, "does not exist"),
        (lambda each: {"share": each.share * 2}, "but moves"),
        (lambda each: {"share": each.share[:-1]}, "shares"),
        (lambda each: {"source": each.source[::-1]}, "does not hold"),
        (lambda each: {"reduces": ~each.reduces}, "in the end"),
    ],
)
def test_a_wrong_end_share_or_deed_is_named(change, fault):
    found = schedule("ring", "all-gather", Layout((5,)))
    rounds = list(found.rounds())
    pieces = rounds[1].pieces(rounds[1].source, rounds[1].target)
    rounds[1] = dataclasses.replace(rounds[1], pieces=lambda *_: pieces)
    if fault == "in the end":
        found = schedule("ring", "reduce-scatter", Layout((5,)))
        rounds = list(found.rounds())
    rounds[1] = dataclasses.replace(rounds[1], **change(rounds[1]))
    assert any(fault in each for each in faults(dataclasses.replace(found, rounds=lambda: rounds)))


@pytest.mark.parametrize(
    ("algorithm", "kind", "shape"),
    [
        (*entry, shape)
        for entry in ENTRIES
        for shape in [(2,), (3,), (8,), (4, 4), (2, 3, 4)]
        if not refused(entry[0], shape)
    ],
)
def test_what_is_sent_is_the_least_that_the_kind_needs_where_the_algorithm_says_so(algorithm, kind, shape):
    """(n - 1) / n of S for each rank scattered or gathered, twice that for both; S for broadcast and per shot."""
    found = schedule(algorithm, kind, Layout(shape))
    n = math.prod(shape)
    least = {"all-reduce": 2 * (n - 1), "broadcast": n - 1, "all-to-all": n - 1}.get(kind, n - 1)
    if algorithm == "one-shot":
        least = n * (n - 1)
    elif algorithm == "nvls":
        least = 2 * n
    elif algorithm == "sharp":
        nodes = [side for side in shape if side > 1]
        least = 2 * sum(n // math.prod(nodes[:level]) for level in range(len(nodes)))
    elif algorithm == "swing-latency":
        least = n * round(math.log2(n))
    assert sent(found) == pytest.approx(least)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(algorithm, kind) for algorithm, kind in ENTRIES if "-tree" not in algorithm and kind != "broadcast"],
)
def test_in_algorithms_without_a_root_every_rank_sends_as_much_as_it_receives(algorithm, kind):
    found = schedule(algorithm, kind, Layout((4, 4)))
    out, into = np.zeros(99), np.zeros(99)
    for each in map(expanded, found.rounds()):
        np.add.at(out, each.source, each.share)
        np.add.at(into, each.target, each.share)
    assert out == pytest.approx(into)
    assert out[:16] == pytest.approx(np.full(16, out[0]))


def test_rounds_are_as_many_as_the_algorithms_are_known_for():
    def rounds(algorithm, kind, layout):
        return sum(1 for _ in schedule(algorithm, kind, layout).rounds())

    assert rounds("ring", "all-reduce", Layout((9,))) == 16
    assert rounds("pat", "all-gather", Layout((9,))) == 4
    assert rounds("halving-doubling", "all-reduce", Layout((16,))) == 8
    assert rounds("swing", "all-reduce", Layout((4, 4))) == 8
    assert rounds("swing-latency", "all-reduce", Layout((4, 4))) == 4
    assert rounds("ring-per-dimension", "all-reduce", Layout((16, 24, 24))) == 2 * (15 + 23 + 23)
    assert rounds("bucket", "reduce-scatter", Layout((2, 3, 4))) == 3 * (1 + 2 + 3)
    assert rounds("full-mesh", "all-reduce", Layout((4, 4))) == 2 * 2 * 2
    assert rounds("hierarchical", "all-reduce", Layout((8, 4, 2))) == 6
    assert rounds("ring", "broadcast", Layout((9,), chunks=5)) == 5 + 9 - 2
    assert rounds("nvls", "all-reduce", Layout((8,), chunks=4)) == 5
    assert rounds("sharp", "all-reduce", Layout((8, 4), chunks=4)) == 7


def test_a_schedule_can_be_run_twice_and_its_equal_rounds_share_their_arrays():
    found = schedule("ring-per-dimension", "all-reduce", Layout((4, 6)))
    first, second = list(found.rounds()), list(found.rounds())
    assert len(first) == len(second)
    assert len({id(each.source) for each in first[:3]}) == 1
    for one, other in zip(first, second, strict=True):
        assert (one.target == other.target).all()


def test_a_ring_on_an_open_axis_takes_at_most_two_links_at_a_time():
    for side in range(2, 12):
        order = ring_order(side, closes=False)
        assert sorted(order) == list(range(side))
        assert np.abs(np.diff(np.append(order, order[0]))).max() <= 2


def test_hierarchical_ranks_talk_along_their_rail_and_send_far_only_what_is_left():
    """8 ranks a node, 4 nodes: between nodes an eighth of S goes, always between equal places in their nodes."""
    found = schedule("hierarchical", "reduce-scatter", Layout((8, 4)))
    inside, outside = found.rounds()
    assert (inside.source // 8 == inside.target // 8).all()
    assert (outside.source % 8 == outside.target % 8).all()
    assert (outside.source // 8 != outside.target // 8).all()
    assert outside.share == pytest.approx(np.full(32 * 3, 1 / 32))


def test_swing_distances_are_those_of_the_paper():
    assert [rho(step) for step in range(6)] == [1, -1, 3, -5, 11, -21]


@pytest.mark.parametrize("ranks", range(2, 40))
def test_no_rank_is_inside_of_both_trees_of_an_even_number_and_none_has_more_than_two_children_in_all(ranks):
    first, second = two_trees(ranks)
    children = [Counter(tree.parent.tolist()) for tree in (first, second)]
    for rank in range(ranks):
        counts = [each[rank] for each in children]
        assert sum(counts) <= 2
        assert max(counts) <= 2
        if ranks % 2 == 0:
            assert min(counts) == 0 or first.parent[rank] == -1 or second.parent[rank] == -1
    assert first.depth.max() <= math.ceil(math.log2(ranks)) + 1


def test_the_first_tree_of_eight_is_the_one_drawn_in_order():
    assert first_parents(8).tolist() == [-1, 2, 4, 2, 0, 6, 4, 6]


def test_bad_layouts_and_names_are_refused_with_the_nearest_right_one():
    with pytest.raises(InputError, match="no group of ranks"):
        Layout((1,))
    with pytest.raises(InputError, match="not one for each"):
        Layout((4, 4), wraps=(True,))
    with pytest.raises(InputError, match="count from 1"):
        Layout((4,), chunks=0)
    with pytest.raises(InputError, match="8 or 16"):
        schedule("halving-doubling", "all-reduce", Layout((12,)))
    with pytest.raises(InputError, match="bucket"):
        schedule("buckets", "all-reduce", Layout((4,)))
    with pytest.raises(InputError, match="all-reduce"):
        schedule("nvls", "all-reduces", Layout((4,)))
    with pytest.raises(InputError, match="ring or direct"):
        schedule("hierarchical", "all-reduce", Layout((4, 4), ways=("ring", "rings")))
