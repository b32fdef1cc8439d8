"""Laws of memory over random plans: more work needs more, splitting needs less, items sum to the whole."""

from __future__ import annotations

import dataclasses
import itertools

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import topologies
import workloads
from simulator.machine import slice_of
from simulator.plan import CONTEXT_MODES, OFFLOADS, SCHEDULES, Plan
from simulator.training.memory import memory
from workloads.program import program

PART = slice_of(topologies.machine("hgx-h100"), 512)
STACKS = tuple(workloads.stack(name) for name in ("megatron-bridge-26.06", "megatron-lm-2022", "maxtext-2025-10"))
MODELS = tuple(workloads.model(name) for name in ("gpt3-175b", "llama3-8b", "deepseek-v3", "gemma3-27b"))
PROGRAMS = {model.name: program(model) for model in MODELS}
SLACK = 1 + 1e-12

sizes = st.sampled_from((1, 2, 4, 8))
widths = st.sampled_from(("bf16", "fp32"))
plans = st.builds(
    Plan,
    tensor=sizes,
    context=st.sampled_from((1, 2)),
    pipeline=st.sampled_from((1, 2, 4, 7, 16)),
    virtual_stages=st.sampled_from((1, 2)),
    data=st.sampled_from((1, 8, 32)),
    expert=st.sampled_from((1, 2)),
    schedule=st.sampled_from(SCHEDULES),
    zero=st.integers(0, 3),
    micro_batch=st.sampled_from((1, 2)),
    recompute=st.sampled_from(("none", "selective", "full")),
    offload=st.sampled_from(OFFLOADS),
    context_mode=st.sampled_from(CONTEXT_MODES),
    sequence_parallel=st.booleans(),
    dtype=st.sampled_from(("bf16", "fp8")),
    gather_dtype=st.sampled_from(("bf16", "fp8")),
    reduce_dtype=widths,
    state_dtype=widths,
)
cases = st.tuples(st.sampled_from(sorted(PROGRAMS)), st.sampled_from(STACKS), plans)


def weigh(name, stack, plan, work=None, **changes):
    work = work or PROGRAMS[name]
    return memory(work, dataclasses.replace(plan, **changes), PART, stack, sequence=4096, batch=1024)


@given(cases)
def test_items_are_positive_and_sum_to_what_is_needed(case):
    found = weigh(*case)
    assert all(size >= 0 for size in found.items.values())
    assert sum(found.items.values()) == pytest.approx(found.needed_bytes)
    assert found.items[found.largest] == max(found.items.values())
    assert (found.infeasible is None) == found.fits


@given(cases)
def test_each_stage_of_zero_needs_no_more_states_than_the_one_before(case):
    name, stack, plan = case
    found = [weigh(name, stack, plan, zero=zero) for zero in range(4)]
    for before, after in itertools.pairwise(found):
        states = [each.weights_bytes + each.gradients_bytes + each.optimizer_bytes for each in (before, after)]
        assert states[1] <= states[0] * SLACK


@given(cases)
def test_recompute_and_offload_never_need_more(case):
    name, stack, plan = case
    plain = weigh(name, stack, plan, recompute="none", offload="none").needed_bytes
    selective = weigh(name, stack, plan, recompute="selective", offload="none").needed_bytes
    full = weigh(name, stack, plan, recompute="full", offload="none").needed_bytes
    assert full <= plain * SLACK
    assert selective <= plain * SLACK
    for offload in OFFLOADS:
        assert weigh(name, stack, plan, recompute="none", offload=offload).needed_bytes <= plain * SLACK


@given(cases, st.integers(1, 8))
def test_recomputing_more_layers_never_keeps_more(case, layers):
    name, stack, plan = case
    fewer, more = (
        weigh(name, stack, plan, recompute="full", recompute_layers=number, offload="none")
        for number in (layers, layers + 1)
    )
    assume(fewer.stage == more.stage)
    assert more.activations_bytes <= fewer.activations_bytes * SLACK


@given(cases)
def test_larger_micro_batches_need_more(case):
    name, stack, plan = case
    one, two = (weigh(name, stack, plan, micro_batch=size, schedule="1f1b") for size in (1, 2))
    assert two.needed_bytes > one.needed_bytes


@given(cases, st.sampled_from((1, 2, 16)))
def test_more_layers_need_more(case, extra):
    name, stack, plan = case
    model = PROGRAMS[name].model
    each = 2 * extra  # for both chunks of a V
    deeper = program(msgspec.structs.replace(model, layers=model.layers + each * plan.pipeline))
    assert weigh(name, stack, plan, deeper).needed_bytes > weigh(name, stack, plan).needed_bytes


@given(cases)
def test_sequence_parallelism_never_keeps_more(case):
    name, stack, plan = case
    split, whole = (weigh(name, stack, plan, sequence_parallel=is_split) for is_split in (True, False))
    assume(split.stage == whole.stage)
    assert split.activations_bytes <= whole.activations_bytes * SLACK


@given(cases)
def test_schedules_hold_as_many_micro_batches_as_their_papers_say(case):
    name, stack, plan = case
    plan = dataclasses.replace(plan, pipeline=16, virtual_stages=1, offload="none", data=1)
    held = {
        schedule: weigh(name, stack, plan, schedule=schedule).activations_bytes
        for schedule in ("v-min", "v-half", "zb-v", "1f1b", "zb-h2", "gpipe")
    }
    assert held["v-min"] < held["v-half"] < held["zb-v"]
    assert held["zb-v"] <= held["zb-h2"] * SLACK < held["gpipe"]
    assert held["1f1b"] <= held["zb-h2"] * SLACK
