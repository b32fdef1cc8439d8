"""How fast plans are priced: one step in a kernel, one step from Python, and whole searches in plans per second."""

from __future__ import annotations

import dataclasses
import math
import resource
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numba import njit

import topologies
import workloads
from simulator.figures import Draw
from simulator.machine import Slice, slice_of
from simulator.plan import Plan
from simulator.plan_text import read_plan
from simulator.serving import estimate
from simulator.training import USUAL, kernels, search, space_of, step
from simulator.training.arrays import training_arrays
from simulator.training.candidates import candidate_blocks
from simulator.training.layers.kernels import KINDS, LAYER_COLUMNS
from simulator.training.memory.kernels import fill_memory_fast
from simulator.training.plans import plan_rows
from simulator.training.rows.kernels import MEMORY_COLUMNS, PART_COLUMNS
from workloads.program import program
from workloads.tasks import ServingTask, TrainingTask

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 1_000
KIBIBYTE = 1024
STEP_IN_KERNEL_US, STEP_FROM_PYTHON_US = 5.0, 200.0
SEARCH_PLANS_PER_S, SEARCH_BYTES = 200_000, 2 * 2**30
CALCULON_PLANS_PER_S = (500, 1_200)
"""Calculon (Isaev et al., SC23), as reported for one run of it; no registry has it, so that it does not run beside."""
step_fast = kernels.step_fast
CASES = [
    ("train-gpt3-175b", "hgx-h100", 512, 30.0),
    ("train-deepseek-v3", "ironwood-9216", 9216, 60.0),
    ("train-llama3-405b", "ironwood-9216", 9216, 60.0),
    ("train-deepseek-v3", "scalex640", 640, 60.0),
]
"""Task, machine, chips, and how long the whole search may take [s]."""
PLANS = [
    ("train-gpt3-175b", "hgx-h100", 512, "TP8 PP8 VP4 DP8"),
    ("train-llama3-405b", "ironwood-9216", 8192, "TP16 DP512 ZeRO-3"),
    ("train-deepseek-v3", "ironwood-9216", 8192, "TP4 PP4 DP512 EP64 gpipe"),
]


@njit
def many(program, counts, work, chip, levels, library, stack, plans, calls):  # noqa: ANN001 - arrays of the kernel
    """Price plans in turn so many times; the sum keeps the calls from being left out."""
    scratch = np.empty((levels.shape[1] + 1, levels.shape[2]))
    layer = np.empty((KINDS, LAYER_COLUMNS))
    parts = np.empty(PART_COLUMNS)
    total = 0.0
    for i in range(calls):
        plan = plans[i % plans.shape[0]]
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


@pytest.mark.parametrize(("workload", "machine", "chips", "words"), PLANS)
def test_one_step_inside_a_kernel(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int, words: str):
    """Two plans in turn, so that nothing of one can be kept for the next."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    plan = read_plan(words, Plan())
    plans = plan_rows([plan, dataclasses.replace(plan, recompute="full")], part)
    arrays = training_arrays(made, part, stack, sequence=task.sequence, batch=task.batch, dtype=task.dtype, draw=Draw())
    assert math.isfinite(benchmark(many, *arrays, plans, CALLS))
    if benchmark.stats is not None:
        each_us = benchmark.stats.stats.min / CALLS * 1e6
        benchmark.extra_info["us_per_step"] = round(each_us, 2)
        print(f"\n{workload} on {chips:,} chips of {machine}, {plan}: {each_us:.2f} us (bar {STEP_IN_KERNEL_US:g})")


@pytest.mark.parametrize(("workload", "machine", "chips", "words"), PLANS)
def test_memory_of_plans_inside_a_kernel(
    benchmark: BenchmarkFixture, workload: str, machine: str, chips: int, words: str
):
    """Every plan of a usual search, weighed once; ``words`` are of the plan that other benchmarks price."""
    task, part = asked(workload, machine, chips)
    assert read_plan(words, Plan()).chips <= chips
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    settings = {"sequence": task.sequence, "batch": task.batch}
    arrays = training_arrays(made, part, stack, dtype=task.dtype, draw=Draw(), **settings)
    blocks = candidate_blocks(made, part, chips, space=space_of(stack, USUAL), base=Plan(), **settings)
    plans = np.concatenate([block.rows for block in blocks])
    least = benchmark(leanest, arrays.program, arrays.counts, arrays.work, arrays.chip, arrays.stack, plans)
    assert 0 < least < math.inf
    if benchmark.stats is not None:
        each_ns = benchmark.stats.stats.median / len(plans) * 1e9
        benchmark.extra_info["ns_per_plan"] = round(each_ns)
        print(f"\n{workload} on {chips:,} chips of {machine}: {each_ns:.0f} ns a plan, {len(plans):,} plans")


@pytest.mark.parametrize("is_executed", [False, True])
@pytest.mark.parametrize(("workload", "machine", "chips", "words"), PLANS)
def test_one_step_from_python(
    benchmark: BenchmarkFixture, workload: str, machine: str, chips: int, words: str, is_executed: bool
):
    """With every figure asked for, arrays filled and the answer packed; pipelines by closed form, or run."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    plan = read_plan(words, Plan())
    batch = -(-task.batch // plan.data) * plan.data
    found = benchmark(step, made, plan, part, stack, sequence=task.sequence, batch=batch, is_executed=is_executed)
    assert found.seconds > 0
    if benchmark.stats is not None:
        each_us = benchmark.stats.stats.min * 1e6
        how = "run pass by pass" if is_executed else "by closed form"
        print(f"\n{workload} on {chips:,} chips of {machine}, {how}: {each_us:.0f} us (bar {STEP_FROM_PYTHON_US:g})")


@pytest.mark.parametrize(("workload", "machine", "chips", "bar_s"), CASES)
def test_search_of_every_legal_plan(benchmark: BenchmarkFixture, workload: str, machine: str, chips: int, bar_s: float):
    """Listed, weighed, priced with all terms, the best run pass by pass; on one core."""
    task, part = asked(workload, machine, chips)
    made = program(workloads.model(task.model))
    stack = workloads.stack(part.machine.stacks["training"])
    found = benchmark.pedantic(
        search,
        args=(made, part, stack),
        kwargs={"sequence": task.sequence, "batch": task.batch, "dtype": task.dtype},
        rounds=2,
    )
    assert found.steps
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
    assert held < SEARCH_BYTES
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.min
        rate = found.searched / seconds
        benchmark.extra_info["plans_per_s"] = round(rate)
        low, high = (rate / each for each in reversed(CALCULON_PLANS_PER_S))
        print(
            f"\n{workload} on {chips:,} chips of {machine}: {found.searched:,} plans in {seconds:.1f} s (bar "
            f"{bar_s:g}), {rate:,.0f} plans/s (bar {SEARCH_PLANS_PER_S:,}), {low:.0f} to {high:.0f} times Calculon's "
            f"reported rate; {held / 2**30:.2f} GiB in all (bar {SEARCH_BYTES / 2**30:g})"
        )


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
