"""Where the experts of a token lie: closed forms against the enumeration of all that a token can pick."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.collectives.exchange import Routing, balanced, kernels, measured, zipf
from simulator.collectives.exchange.experts import spread
from simulator.errors import InputError


def enumerated(experts, top_k, sets, odds=None):
    """Largest probability of a hit and largest expected number of picks of any set, over all combinations."""
    weights = np.ones(experts) if odds is None else np.array(odds)
    each = experts // sets
    hit, copies, total = np.zeros(sets), np.zeros(sets), 0.0
    for picks in itertools.combinations(range(experts), top_k):
        weight = math.prod(weights[list(picks)])
        total += weight
        for index, count in zip(*np.unique([pick // each for pick in picks], return_counts=True), strict=True):
            hit[index] += weight
            copies[index] += weight * count
    return hit / total, copies / total


def limited(order, run, top_k, top_groups):
    """What a token picks whose experts have this order of scores: the best of the groups that come first."""
    groups = []
    for expert in order:
        if expert // run not in groups:
            groups.append(expert // run)
    allowed = set(groups[:top_groups])
    return [expert for expert in order if expert // run in allowed][:top_k]


@pytest.mark.parametrize(("experts", "top_k", "sets"), [(8, 1, 4), (8, 3, 4), (12, 4, 3), (12, 5, 12), (6, 6, 2)])
def test_distinct_sets_without_skew_are_those_of_all_combinations(experts, top_k, sets):
    found = spread(balanced(experts, top_k), sets)
    hit, copies = enumerated(experts, top_k, sets)
    assert found.distinct == pytest.approx(hit.sum(), rel=1e-12)
    assert found.copies == pytest.approx(copies.sum(), rel=1e-12) == top_k


@pytest.mark.parametrize(("groups", "top_groups", "top_k"), [(4, 2, 3), (4, 1, 2), (2, 1, 3), (4, 3, 4), (4, 4, 3)])
@pytest.mark.parametrize("sets", [2, 4, 8])
def test_node_limited_routing_is_that_of_all_orders_of_scores(groups, top_groups, top_k, sets):
    experts = 8
    each = experts // sets
    numbers = [
        len({expert // each for expert in limited(order, experts // groups, top_k, top_groups)})
        for order in itertools.permutations(range(experts))
    ]
    routing = balanced(experts, top_k, groups=groups, top_groups=top_groups)
    assert spread(routing, sets).distinct == pytest.approx(np.mean(numbers), rel=1e-12)


def test_deepseek_v3_on_eight_nodes_reaches_nearly_four_of_them():
    """256 experts in 8 groups, 8 picked from the best 4: drawn at random, 4 of the nodes but for one token in 60."""
    scores = np.random.default_rng(3).random((20_000, 256))
    best = np.argsort(-scores.reshape(20_000, 8, 32).max(axis=2), axis=1)[:, :4]
    allowed = np.zeros((20_000, 8), dtype=bool)
    np.put_along_axis(allowed, best, values=True, axis=1)
    picks = np.argsort(-np.where(np.repeat(allowed, 32, axis=1), scores, -1.0), axis=1)[:, :8]
    routing = balanced(256, 8, groups=8, top_groups=4)
    for sets, each in ((8, 32), (64, 4)):
        drawn = [len(set(row)) for row in (picks // each).tolist()]
        error = np.std(drawn) / math.sqrt(len(drawn))
        assert spread(routing, sets).distinct == pytest.approx(np.mean(drawn), abs=4 * error)
    assert 3.9 < spread(routing, 8).distinct < 4


@pytest.mark.parametrize(("top_k", "sets"), [(1, 4), (3, 4), (3, 8), (5, 2)])
def test_skewed_picks_are_those_of_all_combinations_by_their_odds(top_k, sets):
    odds = np.random.default_rng(1).random(8) ** 3
    hit, copies = kernels.picked(odds, top_k, 8 // sets)
    expected = enumerated(8, top_k, sets, odds)
    np.testing.assert_allclose(hit, expected[0], rtol=1e-12)
    np.testing.assert_allclose(copies, expected[1], rtol=1e-12)


def test_equal_odds_are_the_hypergeometric_distribution():
    for sets in (2, 8, 32, 256):
        even = spread(Routing(256, 8, odds=(3.0,) * 256), sets)
        assert even.distinct == pytest.approx(spread(balanced(256, 8), sets).distinct, rel=1e-12)
        assert even.copies == pytest.approx(8, rel=1e-12)


def test_measured_counts_come_back_as_the_share_of_tokens_of_each_expert():
    counts = np.random.default_rng(5).integers(0, 400, 64)
    routing = measured(counts.tolist(), 4)
    hit, _ = kernels.picked_fast(np.array(routing.odds), 4, 1)
    np.testing.assert_allclose(hit, counts * (4 / counts.sum()), atol=1e-11)
    loads = counts.reshape(8, 8).sum(axis=1)
    assert spread(routing, 8).copies == pytest.approx(4 * 8 * loads.max() / loads.sum(), rel=1e-9)


def test_equal_counts_are_no_skew():
    assert spread(measured([7] * 32, 4), 8).distinct == pytest.approx(spread(balanced(32, 4), 8).distinct, rel=1e-9)


def test_hot_experts_of_a_zipf_law_lie_on_different_ranks():
    odds = np.array(zipf(16, 2, 1.0, 4).odds).reshape(4, 4)
    np.testing.assert_allclose(odds[:, 0], [1, 1 / 2, 1 / 3, 1 / 4])
    assert zipf(16, 2, 0.0, 4).odds == (1.0,) * 16


@pytest.mark.parametrize("name", ["picked", "fitted_odds"])
def test_compiled_kernels_give_the_same_bytes_as_plain_ones(name):
    odds = np.random.default_rng(2).random(24) + 0.01
    arguments = (odds, 4, 3) if name == "picked" else (odds * (4 / odds.sum()), 4, 50, 1e-12)
    plain = getattr(kernels, name)(*arguments)
    fast = getattr(kernels, f"{name}_fast")(*arguments)
    assert np.array(plain).tobytes() == np.array(fast).tobytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_laws_of_any_routing(data):
    sets = data.draw(st.sampled_from([1, 2, 4, 8]))
    experts = sets * data.draw(st.integers(1, 8))
    top_k = data.draw(st.integers(1, min(experts, 8)))
    even = spread(balanced(experts, top_k), sets)
    assert even.distinct <= min(top_k, sets) * (1 + 1e-12)
    assert even.distinct >= top_k / (experts // sets) * (1 - 1e-12)
    odds = tuple(data.draw(st.lists(st.floats(1e-3, 1e3), min_size=experts, max_size=experts)))
    skewed = spread(Routing(experts, top_k, odds=odds), sets)
    assert skewed.copies >= top_k * (1 - 1e-9)
    assert skewed.distinct <= min(sets, skewed.copies) * (1 + 1e-9)
    if data.draw(st.booleans()):
        coarser = spread(Routing(experts, top_k, odds=odds), 1)
        assert coarser.distinct == pytest.approx(1)
        assert coarser.copies == pytest.approx(top_k)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: balanced(8, 9), "cannot pick 9 of 8"),
        (lambda: balanced(8, 0), "cannot pick 0 of 8"),
        (lambda: balanced(0, 1), "0 experts are out of bounds"),
        (lambda: balanced(8, 2, groups=3, top_groups=1), "1 of 3 groups of 8"),
        (lambda: balanced(8, 2, groups=2, top_groups=3), "3 of 2 groups"),
        (lambda: balanced(8, 3, groups=4, top_groups=1), "hold fewer than 3"),
        (lambda: Routing(4, 2, odds=(1.0,)), "1 odds are given for 4"),
        (lambda: Routing(2, 1, odds=(1.0, math.nan)), "finite number"),
        (lambda: Routing(4, 2, odds=(1.0, 0.0, 0.0, 0.0)), "fewer than 2 experts are ever picked"),
        (lambda: Routing(4, 1, 2, 1, odds=(1.0, 1.0, 1.0, 1.0)), "do not go together"),
        (lambda: zipf(8, 2, -1.0, 4), "no exponent"),
        (lambda: zipf(8, 2, 1.0, 3), "do not divide evenly over 3"),
        (lambda: measured([], 1), "counts of tokens"),
        (lambda: measured([-1, 2], 1), "counts of tokens"),
        (lambda: measured([9, 1, 1], 2), "expert 0 has 1.636 times"),
        (lambda: spread(balanced(256, 8), 48), "do not divide evenly over 48"),
        (lambda: spread(balanced(24, 2, groups=4, top_groups=2), 6), None),
    ],
)
def test_routing_that_cannot_be_is_refused(make, message):
    if message is None:
        with pytest.raises(InputError, match="cut the groups of 6 experts apart"):
            make()
        return
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n  " in str(error.value), "a remedy stands below the message"
