"""Laws that every collective obeys on any nested levels."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.collectives import ALGORITHMS, KINDS, kernels
from simulator.collectives.rows.kernels import BANDWIDTH, KIND, LATENCY, ranks, subgroup_fast
from tests.support_rows import rows_of

axis = st.tuples(st.integers(3, 24), st.floats(1e9, 1e12), st.floats(0, 1e-5), st.booleans())
switch = st.tuples(st.integers(2, 128), st.floats(1e9, 1e12), st.floats(0, 1e-5))


@st.composite
def groups(draw):
    axes = draw(st.lists(axis, max_size=3))
    levels = draw(st.lists(switch, min_size=0 if axes else 1, max_size=2))
    rows = [(0, size, width, latency, 1e-7, wraps, 1, size, i) for i, (size, width, latency, wraps) in enumerate(axes)]
    rows += [(1, size, width, latency, 1e-7, 0, 0, 0, 0) for size, width, latency in levels]
    return rows_of(rows)


kinds = st.integers(0, len(KINDS) - 1)
sizes = st.floats(1, 1e12)


@given(kinds, sizes, groups())
def test_more_bytes_never_take_less_time(kind, size, rows):
    for algorithm in range(len(ALGORITHMS)):
        first = kernels.algorithm_seconds_fast(kind, algorithm, size, rows)
        second = kernels.algorithm_seconds_fast(kind, algorithm, 2 * size, rows)
        assert second >= first or math.isinf(first)


@given(kinds, sizes, groups(), st.integers(0, 4))
def test_faster_links_never_take_more_time(kind, size, rows, which):
    faster = rows.copy()
    faster[which % len(rows), BANDWIDTH] *= 2
    slower = kernels.cheapest_fast(kind, size, rows)[1]
    assert kernels.cheapest_fast(kind, size, faster)[1] <= slower * (1 + 1e-12)


@given(kinds, sizes, groups(), st.integers(0, 4))
def test_longer_latency_never_takes_less_time(kind, size, rows, which):
    longer = rows.copy()
    longer[which % len(rows), LATENCY] += 1e-6
    assert kernels.cheapest_fast(kind, size, longer)[1] >= kernels.cheapest_fast(kind, size, rows)[1] * (1 - 1e-12)


@given(sizes, groups())
def test_all_reduce_costs_no_more_than_reduce_scatter_then_all_gather(size, rows):
    both = sum(kernels.cheapest_fast(KINDS.index(kind), size, rows)[1] for kind in ("reduce-scatter", "all-gather"))
    assert kernels.cheapest_fast(0, size, rows)[1] <= both * (1 + 1e-9)


@given(kinds, st.floats(1e6, 1e12), groups())
def test_no_algorithm_beats_what_a_chip_must_send_over_all_its_links(kind, size, rows):
    count = ranks(rows)
    axes = rows[rows[:, KIND] == 0]
    widths = axes[:, BANDWIDTH] * 2
    switched = rows[rows[:, KIND] == 1][:, BANDWIDTH]
    injection = widths.sum() + switched.sum()
    share = {0: 2 * (count - 1) / count, 4: 1 / count, 5: 1.0}.get(kind, (count - 1) / count)
    assert kernels.cheapest_fast(kind, size, rows)[1] >= size * share / injection * (1 - 1e-9)


@given(groups(), st.integers(0, 6))
def test_a_group_cut_out_of_a_slice_has_as_many_ranks_as_asked_for(levels, power):
    out = np.empty_like(np.vstack((levels, levels)))
    size = float(2**power)
    rows = subgroup_fast(levels, 1.0, size, out)
    if size > ranks(levels):
        return
    if rows >= 0:
        assert ranks(out[:rows]) == size
