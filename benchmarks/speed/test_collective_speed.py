"""What a closed form costs: inside a kernel, where plans are priced, and from Python, where one answer is explained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numba import njit

import topologies
from simulator.collectives import KINDS, group_of, level_rows, price_in
from simulator.collectives.kernels import cheapest
from simulator.collectives.rows.kernels import subgroup
from simulator.figures import Draw
from simulator.machine import slice_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 100_000
GROUPS = {
    "torus of 9,216": ("ironwood-9216", 9216),
    "two tiers of 640": ("scalex640", 640),
    "one switch of 72": ("gb200-nvl72", 72),
    "eight by 128 nodes": ("hgx-h100", 1024),
}


@njit
def many(kind: int, size_bytes: float, rows: NDArray[np.float64], calls: int) -> float:
    """Price the same group at so many sizes; the sum keeps the calls from being left out."""
    total = 0.0
    for call in range(calls):
        total += cheapest(kind, size_bytes + call, rows)[1]
    return total


@njit
def many_groups(kind: int, size_bytes: float, levels: NDArray[np.float64], ranks: float, calls: int) -> float:
    """Cut the group out of the slice and price it, as a plan's pricing does, so many times."""
    total = 0.0
    rows = np.empty((levels.shape[0] + 1, levels.shape[1]))
    for call in range(calls):
        count = subgroup(levels, 1.0, ranks, rows)
        total += cheapest(kind, size_bytes + call, rows[:count])[1]
    return total


def _rows(name: str, chips: int) -> NDArray[np.float64]:
    """The levels of a slice as the kernels take them."""
    machine = topologies.machine(name)
    return level_rows(slice_of(machine, chips).levels, machine.software, Draw())


def report(benchmark: BenchmarkFixture, what: str) -> None:
    """Print and keep the time of one call."""
    if benchmark.stats is None:
        return
    each_ns = benchmark.stats.stats.median / CALLS * 1e9
    benchmark.extra_info["ns_per_call"] = round(each_ns, 1)
    print(f"\n{what}: {each_ns:.0f} ns a call")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", GROUPS)
def test_cheapest_algorithm_inside_a_kernel(benchmark: BenchmarkFixture, group: str, kind: str):
    """Target: below half a microsecond, all legal algorithms priced."""
    name, chips = GROUPS[group]
    rows = group_of(slice_of(topologies.machine(name), chips)).rows
    assert math.isfinite(benchmark(many, KINDS.index(kind), 2.0**30, rows, CALLS))
    report(benchmark, f"{kind}, {group}")


@pytest.mark.parametrize("group", GROUPS)
def test_cutting_a_group_and_pricing_it_inside_a_kernel(benchmark: BenchmarkFixture, group: str):
    """An all-reduce of the eight innermost chips."""
    name, chips = GROUPS[group]
    levels = _rows(name, chips)
    assert math.isfinite(benchmark(many_groups, KINDS.index("all-reduce"), 2.0**30, levels, 8.0, CALLS))
    report(benchmark, f"group of 8, {group}")


@pytest.mark.parametrize("group", GROUPS)
def test_price_from_python(benchmark: BenchmarkFixture, group: str):
    """Target: below 20 us, with every algorithm's time, bounds and bottleneck."""
    name, chips = GROUPS[group]
    group_of_chips = group_of(slice_of(topologies.machine(name), chips))
    assert benchmark(price_in, group_of_chips, "all-reduce", 2.0**30).seconds > 0
