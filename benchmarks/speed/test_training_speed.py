"""How fast plans are priced: one step in a kernel, one step from Python, and whole searches in plans per second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numba import njit

import topologies
import workloads
from simulator.figures import Draw
from simulator.machine import Slice, slice_of
from simulator.serving import estimate
from simulator.training import kernels, search, step
from simulator.training.arrays import training_arrays
from simulator.training.layers.kernels import KINDS, LAYER_COLUMNS
from simulator.training.memory.kernels import fill_memory_fast
from simulator.training.plans import plan_rows
from simulator.training.rows.kernels import MEMORY_COLUMNS, PART_COLUMNS
from workloads.program import program
from workloads.tasks import ServingTask, TrainingTask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 1_000
step_fast = kernels.step_fast
CASES = [
    ("train-llama3-405b", "ironwood-9216", 9216),
    ("train-deepseek-v3", "ironwood-9216", 9216),
    ("train-llama3-405b", "scalex640", 8960),
    ("train-deepseek-v3", "scalex640", 640),
]


@njit
def many(program, counts, work, chip, levels, library, stack, plan, calls):  # noqa: ANN001 - arrays of the kernel
    """Price one plan so many times; the sum keeps the calls from being left out."""
    scratch = np.empty((levels.shape[1] + 1, levels.shape[2]))
    layer = np.empty((KINDS, LAYER_COLUMNS))
    parts = np.empty(PART_COLUMNS)
    total = 0.0
    for _ in range(calls):
        total += step_fast(program, counts, work, chip, levels, library, stack, plan, scratch, layer, parts)
    return total


@njit
def leanest(program, counts, work, chip, stack, plans):  # noqa: ANN001 - arrays of the kernel
    """Memory of the plan that needs least [B]."""
    memory = np.empty(MEMORY_COLUMNS)
    least = np.inf
    for i in range(plans.shape[0]):
        least = min(least, fill_memory_fast(program, counts, work, chip, stack, plans[i], memory))
    return least


def asked(workload: str, machine: str, chips: int) -> tuple[TrainingTask, Slice]:
    """The task and the slice of a case."""
    task = workloads.task(workload)
    assert isinstance(task, TrainingTask)
    return task, slice_of(topologies.machine(machine), chips)


def options(task: TrainingTask) -> dict[str, object]:
    """What a search is told of a task."""
    return {"sequence": task.sequence, "batch": task.batch, "dtype": task.dtype}


def rows_of(task: TrainingTask, chips: int) -> NDArray[np.float64]:
    """All plans of a case."""
    return candidate_plans(workloads.model(task.model), chips, task.sequence, task.batch)


@pytest.mark.parametrize(("workload", "machine", "chips"), CASES)
def test_one_step_inside_a_kernel(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int):
    """The best plan of the search, priced again and again."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    best = search(made, part, stack, **options(task)).steps[0].plan
    arrays = training_arrays(made, part, stack, draw=Draw(), **options(task))
    assert math.isfinite(benchmark(many, *arrays, plan_rows([best])[0], CALLS))
    if benchmark.stats is not None:
        each_us = benchmark.stats.stats.median / CALLS * 1e6
        benchmark.extra_info["us_per_step"] = round(each_us, 2)
        print(f"\n{workload} on {chips:,} chips of {machine}: {each_us:.2f} us a step ({best})")


@pytest.mark.parametrize(("workload", "machine", "chips"), CASES)
def test_memory_of_plans_inside_a_kernel(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int):
    """Every plan of a search, weighed once."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    arrays = training_arrays(made, part, stack, draw=Draw(), **options(task))
    plans = rows_of(task, chips)
    least = benchmark(leanest, arrays.program, arrays.counts, arrays.work, arrays.chip, arrays.stack, plans)
    assert 0 < least < math.inf
    if benchmark.stats is not None:
        each_ns = benchmark.stats.stats.median / len(plans) * 1e9
        benchmark.extra_info["ns_per_plan"] = round(each_ns)
        print(f"\n{workload} on {chips:,} chips of {machine}: {each_ns:.0f} ns a plan, {len(plans):,} plans")


@pytest.mark.parametrize(("workload", "machine", "chips"), CASES[:1])
def test_one_step_from_python(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int):
    """With every figure asked for, arrays filled and the answer packed."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    best = search(made, part, stack, **options(task)).steps[0].plan
    found = benchmark(step, made, best, part, stack, sequence=task.sequence, batch=task.batch)
    assert found.seconds > 0


@pytest.mark.parametrize(("workload", "machine", "chips"), CASES)
def test_search_of_all_plans(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int):
    """Plans per second, with the plans listed anew; most are dropped by their memory before they are timed."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    found = benchmark(search, made, part, stack, **options(task))
    if benchmark.stats is not None:
        rate = found.searched / benchmark.stats.stats.median
        benchmark.extra_info["plans_per_s"] = round(rate)
        print(f"\n{workload} on {chips:,} chips of {machine}: {found.searched:,} plans, {rate:,.0f} plans/s")
    assert found.searched == sum(len(rows_of(task, count)) for count in {chips, 1 << (chips.bit_length() - 1)})


@pytest.mark.parametrize("machine", ["ironwood-9216", "scalex640"])
def test_serving_estimate(benchmark: BenchmarkFixture, machine: str):
    """The best layout of DeepSeek-R1 within its limits."""
    task = workloads.task("serve-deepseek-r1")
    assert isinstance(task, ServingTask)
    where = topologies.machine(machine)
    found = benchmark(
        estimate,
        program(workloads.model(task.model)),
        where,
        where.chips,
        workloads.stack(where.stacks["serving"]),
        input_tokens=task.input_tokens,
        output_tokens=task.output_tokens,
        tpot_s=task.tpot_s,
        ttft_s=task.ttft_s,
        dtype=task.dtype,
    )
    assert found.best is not None
