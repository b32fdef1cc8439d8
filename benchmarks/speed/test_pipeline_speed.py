"""How fast pipeline schedules are ordered, run and estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from numba import njit

from simulator.plan import SCHEDULES
from simulator.training.schedules import execute, kernels, pipeline_order

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 1_000
SIZES = [
    *((schedule, 64, 2 if schedule in {"zb-v", "v-half", "v-min"} else 1, 512) for schedule in SCHEDULES),
    ("1f1b", 8, 4, 64),
    ("zb-v", 8, 2, 64),
]
estimate_fast = kernels.pipeline_seconds_fast


@njit
def many(schedule, ranks, virtual_stages, micro_batches, calls):  # noqa: ANN001 - numbers of the kernel
    """Estimate one pipeline so many times; the times differ, so that no call is left out."""
    total = 0.0
    for call in range(calls):
        f = 1.0 + call * 1e-6
        total += estimate_fast(schedule, ranks, virtual_stages, micro_batches, f, 1.1, 0.9, f, 1.0, 0.8, 0.01, 0.2)
    return total


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join(map(str, size)))
def test_a_schedule_is_run(benchmark: BenchmarkFixture, size: tuple[str, int, int, int]):
    """From Python, with the order at hand."""
    order = pipeline_order(*size)
    assert benchmark(execute, order, 1.0, 1.1, 0.9, hop_s=0.01).seconds > 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join(map(str, size)))
def test_an_order_is_made(benchmark: BenchmarkFixture, size: tuple[str, int, int, int]):
    """Anew each time."""
    assert benchmark(pipeline_order.__wrapped__, *size).passes.size


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_pipeline_is_estimated_inside_a_kernel(benchmark: BenchmarkFixture, schedule: str):
    """8 ranks, 64 micro-batches."""
    assert benchmark(many, SCHEDULES.index(schedule), 8, 1, 64, CALLS) > 0
    if benchmark.stats is not None:
        each_ns = benchmark.stats.stats.median / CALLS * 1e9
        benchmark.extra_info["ns_per_estimate"] = round(each_ns, 1)
        print(f"\n{schedule}: {each_ns:.0f} ns an estimate")
