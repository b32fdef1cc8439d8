"""All-to-all of unequal parts against a walk of every part over every link, and against the uniform closed form."""

from __future__ import annotations

import functools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from simulator.collectives import price
from simulator.collectives.exchange import all_to_all_v, kernels
from simulator.collectives.group import level_rows
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import slice_of

SLICES = [
    ("hgx-h800", 8),
    ("hgx-h800", 32),
    ("cloudmatrix384", 16),
    ("mi355x-8", 8),
    ("ironwood-9216", 16),
    ("ironwood-9216", 64),
    ("tpu-v5e", 32),
]


@functools.cache
def part(name, chips):
    return slice_of(topologies.machine(name), chips)


def uniform(chips, size_bytes):
    return np.full((chips, chips), size_bytes / chips)


def drawn(chips, seed):
    """Parts of very different sizes, many of them none."""
    draw = np.random.default_rng(seed)
    return draw.pareto(1.2, (chips, chips)) * 1e4 * (draw.random((chips, chips)) < 0.6)


def walked(levels, matrix):
    """Bytes on every link, part by part: (level, link) -> bytes; the axes of a torus first, then switches."""
    loads = defaultdict(float)
    sizes = [level.size for level in levels]
    digits = [np.unravel_index(rank, sizes[::-1])[::-1] for rank in range(len(matrix))]
    for source, target in np.ndindex(*matrix.shape):
        amount, here, there = matrix[source, target], list(digits[source]), list(digits[target])
        if source == target or not amount:
            continue
        differing = [i for i, level in enumerate(levels) if level.kind == "switch" and here[i] != there[i]]
        if differing:
            last = differing[-1]
            first = next(i for i in range(last, -1, -1) if i == 0 or levels[i].link is not levels[i - 1].link)
            for i in range(first, last + 1):
                loads[i, "out", source] += amount
                loads[i, "in", target] += amount
            continue
        for i, level in enumerate(levels):
            if level.kind == "mesh" and here[i] != there[i]:
                loads[i, tuple(here), there[i]] += amount
                here[i] = there[i]
            elif level.kind == "axis":
                walk_axis(loads, i, level, here, there[i], amount)
    return loads


def walk_axis(loads, i, level, here, end, amount):
    ahead, behind = (end - here[i]) % level.size, (here[i] - end) % level.size
    if not level.wraps:
        shares = {1: float(end > here[i]), -1: float(end < here[i])}
    else:
        shares = {
            1: 0.5 * (ahead < behind) + 0.5 * (ahead <= behind),
            -1: 0.5 * (behind < ahead) + 0.5 * (behind <= ahead),
        }
    for way, share in shares.items():
        at = list(here)
        while share and at[i] != end:
            loads[i, tuple(at), way] += share * amount
            at[i] = (at[i] + way) % level.size
    here[i] = end


@pytest.mark.parametrize(("name", "chips"), SLICES)
@pytest.mark.parametrize("seed", range(3))
def test_fullest_link_of_each_level_is_that_of_a_walk_of_every_part(name, chips, seed):
    levels = part(name, chips).levels
    matrix = drawn(chips, seed)
    loads = walked(levels, matrix)
    found = all_to_all_v(part(name, chips), matrix)
    for i, level in enumerate(levels):
        fullest = max((amount for (at, *_), amount in loads.items() if at == i), default=0.0)
        assert found.link_bytes[level.name] == pytest.approx(fullest, rel=1e-9)


@pytest.mark.parametrize(("name", "chips"), [*SLICES[:1], *SLICES[3:], ("ironwood-9216", 512), ("gb300-nvl72", 72)])
def test_equal_parts_take_as_long_as_the_closed_form(name, chips):
    size = 8e6
    found = all_to_all_v(part(name, chips), uniform(chips, size))
    expected = price("all-to-all", size, part(name, chips), algorithm="direct")
    assert found.seconds == pytest.approx(expected.seconds, rel=1e-9)
    assert found.bottleneck.endswith("links") == expected.bottleneck.endswith("links")


def test_ranks_of_a_torus_of_cubes_fill_a_cube_before_they_leave_it():
    """Rank 0 to rank 64, the first of the next 4 x 4 x 4 cube, is 4 hops along one axis of an 8 x 8 x 8 torus."""
    matrix = np.zeros((512, 512))
    matrix[0, 64] = 1e6
    found = all_to_all_v(part("ironwood-9216", 512), matrix)
    assert sorted(found.link_bytes.values()) == [0.0, 0.0, 0.5e6]  # both ways round are as long, so that each has half


def test_a_part_for_another_node_passes_no_link_inside_but_those_that_are_the_same_ports():
    matrix = np.zeros((16, 16))
    matrix[0, 9] = 1e6
    apart = all_to_all_v(part("hgx-h800", 16), matrix)
    assert apart.link_bytes == {"nvlink4": 0.0, "ib-ndr-8x400": 1e6}
    shared = all_to_all_v(part("cloudmatrix384", 16), matrix)
    assert shared.link_bytes == {"ub1-node": 1e6, "ub1": 1e6}


@settings(max_examples=60, deadline=None)
@given(where=st.sampled_from(SLICES), seed=st.integers(0, 10_000), factor=st.floats(1.0, 100.0))
def test_laws_of_any_matrix(where, seed, factor):
    used = part(*where)
    matrix = drawn(used.chips, seed)
    matrix[0, 1] += 1.0
    found = all_to_all_v(used, matrix)
    assert found.seconds >= found.injection_s
    np.fill_diagonal(matrix, 0.0)
    assert found.total_bytes == pytest.approx(matrix.sum())
    assert sum(found.crossing_bytes.values()) >= found.total_bytes * (1 - 1e-9)
    back = all_to_all_v(used, matrix.T)  # what is sent is what is received
    for name, crossing in found.crossing_bytes.items():
        assert back.crossing_bytes[name] == pytest.approx(crossing)
    if all(level.kind == "switch" for level in used.levels):
        assert back.link_bytes == pytest.approx(found.link_bytes)
    more = all_to_all_v(used, factor * matrix)
    assert more.seconds >= found.seconds * (1 - 1e-12)
    for name, most in found.link_bytes.items():
        assert more.link_bytes[name] == pytest.approx(factor * most)


def test_compiled_kernels_give_the_same_bytes_as_plain_ones():
    for name, chips in SLICES[1:]:
        rows = level_rows(part(name, chips).levels, part(name, chips).machine.software, Draw())
        matrix = drawn(chips, 1)
        plain, fast = kernels.vector_loads(rows, matrix), kernels.vector_loads_fast(rows, matrix)
        assert [each.tobytes() for each in plain] == [each.tobytes() for each in fast]
        assert kernels.vector_seconds(rows, plain[0]) == kernels.vector_seconds_fast(rows, plain[0])


@pytest.mark.parametrize(
    ("chips", "matrix", "message"),
    [
        (8, np.ones((8, 7)), "8 x 7 entries"),
        (8, 3.0, "no entries"),
        (8, [["x"] * 8] * 8, "no numbers"),
        (8, np.full((8, 8), -1.0), "no sizes"),
        (8, np.full((8, 8), np.inf), "no sizes"),
        (8, np.eye(8), "nothing is sent"),
        (8, np.zeros((8, 8)), "nothing is sent"),
        (1, np.ones((1, 1)), "over 1 ranks"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(chips, matrix, message):
    with pytest.raises(InputError, match=message) as error:
        all_to_all_v(part("hgx-h800", chips), matrix)
    assert "\n  " in str(error.value), "a remedy stands below the message"
