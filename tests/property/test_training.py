"""Laws of a training step over random plans: what more work, faster links, skew and order may do to it."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import topologies
import workloads
from simulator.figures import Draw
from simulator.machine import slice_of
from simulator.plan import CONTEXT_MODES, RECOMPUTES, Plan
from simulator.training import step
from simulator.training.layers.kernels import exposed
from workloads.program import program

PART = slice_of(topologies.machine("hgx-h100"), 2048)
CUBE = slice_of(topologies.machine("tpu-v5p"), 64)
STACKS = {name: workloads.stack(name) for name in ("megatron-bridge-26.04", "megatron-lm-2022", "eager-pytorch")}
PROGRAMS = {
    name: program(workloads.model(name)) for name in ("llama3-8b", "gpt3-175b", "mixtral-8x7b", "qwen3-30b-a3b")
}
PARTS = ("compute_s", "tensor_s", "context_s", "expert_s", "data_s", "pipeline_s", "bubble_s", "optimizer_s")
SLACK = 1 + 1e-9
PIPELINES = ((1, 1, "1f1b"), (2, 1, "1f1b"), (4, 1, "gpipe"), (4, 2, "1f1b"), (4, 1, "zb-h1"), (4, 2, "v-half"))


@st.composite
def cases(draw):
    """A model, a stack, a legal plan of it on :data:`PART`, a sequence and a batch."""
    name = draw(st.sampled_from(sorted(PROGRAMS)))
    experts = PROGRAMS[name].model.experts
    pipeline, virtual, schedule = draw(st.sampled_from(PIPELINES))
    tensor, context, data = draw(st.tuples(*(st.sampled_from(sizes) for sizes in ((1, 2, 8), (1, 2), (1, 2, 4, 8)))))
    among = tensor * context * data
    plan = Plan(
        tensor=tensor,
        context=context,
        data=data,
        pipeline=pipeline,
        virtual_stages=virtual,
        schedule=schedule,
        expert=draw(st.sampled_from([size for size in (1, 2, 8) if experts and among % size == 0] or [1])),
        zero=draw(st.integers(0, 3)),
        micro_batch=draw(st.sampled_from((1, 2))),
        recompute=draw(st.sampled_from(RECOMPUTES)),
        context_mode=draw(st.sampled_from([mode for mode in CONTEXT_MODES if mode != "ulysses" or tensor < 8])),
        sequence_parallel=draw(st.booleans()),
        dtype=draw(st.sampled_from(("bf16", "fp8"))),
    )
    batch = data * plan.micro_batch * pipeline * draw(st.sampled_from((1, 3)))
    return name, draw(st.sampled_from(sorted(STACKS))), plan, draw(st.sampled_from((2048, 8192))), batch


def price(case, *, draw=None, skew=1.0, work=None, part=PART, **changes):
    name, stack, plan, sequence, batch = case
    plan = dataclasses.replace(plan, **changes)
    work = work or PROGRAMS[name]
    return step(work, plan, part, STACKS[stack], sequence=sequence, batch=batch, draw=draw, skew=skew)


@given(cases())
def test_parts_are_not_negative_and_sum_to_the_step(case):
    found = price(case)
    parts = [getattr(found, part) for part in (*PARTS, "overhead_s")]
    assert min(parts) >= -1e-12 * found.seconds
    assert sum(parts) == pytest.approx(found.seconds, rel=1e-9)


@given(cases())
def test_no_step_beats_its_flops_at_the_peak(case):
    name, _, plan, sequence, batch = case
    rows = PROGRAMS[name].rows
    attention = rows[:, 0] == 2
    products = (rows[:, 4] * rows[:, 7] * 2 * rows[:, 1] * rows[:, 2])[rows[:, 0] < 2].sum()
    scores = (rows[:, 4] * sequence * (rows[:, 1] + rows[:, 2]))[attention].sum()
    peak = PART.chip.peak
    least_s = products / peak[plan.dtype].si + scores / peak["bf16"].si
    assert price(case).seconds >= 3 * sequence * batch * least_s / plan.chips


@given(cases())
def test_more_sequences_take_more_time(case):
    name, stack, plan, sequence, batch = case
    assert price((name, stack, plan, sequence, 2 * batch)).seconds > price(case).seconds


@given(cases())
def test_longer_sequences_take_more_time(case):
    """Where the device decides; else two forward passes stand for a backward pass that does not grow with them."""
    name, stack, plan, sequence, batch = case
    draw = Draw({STACKS[stack].training.launch.key: 0.0})
    assert price((name, stack, plan, 2 * sequence, batch), draw=draw).seconds > price(case, draw=draw).seconds


@given(cases(), st.sampled_from((1.01, 1.5, 4.0)))
def test_faster_links_are_never_slower(case, factor):
    links = {level.link.bandwidth.key: factor * level.link.bandwidth.si for level in PART.levels}
    assert price(case, draw=Draw(links)).seconds <= price(case).seconds * SLACK


@given(st.floats(0, 1e3), st.floats(0, 1), st.floats(0, 1e3))
def test_what_shows_lies_between_a_share_and_all(seconds, share, behind):
    found = exposed(seconds, share, behind)
    assert share * seconds <= found <= seconds
    assert found >= seconds - behind
    assert found <= exposed(seconds, share, behind / 2)


@given(cases())
def test_overlap_leaves_at_least_the_stacks_share(case):
    shares = STACKS[case[1]].training
    alone = price(case, pipeline=1, virtual_stages=1, schedule="1f1b", overlap_tensor=False, overlap_expert=False)
    hidden = price(case, pipeline=1, virtual_stages=1, schedule="1f1b")
    for part, share in (("tensor_s", shares.tensor_exposed), ("expert_s", shares.expert_exposed)):
        assert share.si * getattr(alone, part) <= getattr(hidden, part) * SLACK
        assert getattr(hidden, part) <= getattr(alone, part) * SLACK
    share = shares.parameter_gather_exposed if case[2].zero == 3 else shares.data_exposed
    whole, part = price(case, overlap_data=False).data_s, price(case).data_s
    assert share.si * whole <= part * SLACK
    assert part <= whole * SLACK


@given(cases(), st.sampled_from((2, 4)))
def test_more_replicas_of_the_same_work_compute_the_same(case, times):
    name, stack, plan, sequence, batch = case
    more = price((name, stack, dataclasses.replace(plan, data=times * plan.data), sequence, times * batch))
    found = price(case)
    for part in ("compute_s", "tensor_s", "context_s", "expert_s", "bubble_s"):
        assert getattr(more, part) == pytest.approx(getattr(found, part), rel=1e-9, abs=1e-12)
    assert more.seconds >= found.seconds - found.optimizer_s - found.data_s - found.pipeline_s


@given(cases(), st.lists(st.floats(1, 8), min_size=2, max_size=2))
def test_skew_never_helps(case, skews):
    assume(PROGRAMS[case[0]].model.experts)
    even, less, more = (price(case, skew=skew).seconds for skew in (1.0, *sorted(skews)))
    assert even <= less * SLACK
    assert less <= more * SLACK


@given(cases())
def test_recomputing_more_computes_more(case):
    kinds = (
        {"recompute": "none"},
        *({"recompute": "full", "recompute_layers": n} for n in (1, 4)),
        {"recompute": "full"},
    )
    found = [price(case, **kind).compute_s for kind in kinds]
    for less, more in itertools.pairwise(found):
        assert less <= more * SLACK
    assert found[0] <= price(case, recompute="selective").compute_s * SLACK


@given(cases())
def test_recomputing_as_many_layers_as_a_rank_has_is_recomputing_all(case):
    layers = PROGRAMS[case[0]].layers // case[2].pipeline
    all_of_them = price(case, recompute="full", recompute_layers=layers)
    assert all_of_them.seconds == price(case, recompute="full").seconds


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_operators_changes_nothing(case, random):
    work = PROGRAMS[case[0]]
    order = list(range(len(work.rows)))
    random.shuffle(order)
    shuffled = dataclasses.replace(work, rows=np.ascontiguousarray(work.rows[order]))
    assert price(case, work=shuffled).seconds == pytest.approx(price(case).seconds, rel=1e-12)


@given(st.permutations(range(3)), st.sampled_from((1, 4, 16)))
def test_equal_axes_of_a_torus_can_change_places(axes, tensor):
    plan = Plan(tensor=tensor, data=64 // tensor, axes=tuple(axes))
    case = ("llama3-8b", "megatron-bridge-26.04", plan, 8192, 256)
    assert price(case, part=CUBE).seconds == price(case, part=CUBE, axes=()).seconds


@given(cases())
def test_a_plan_of_frozen_weights_is_faster(case):
    assert price(case, adapters=True).seconds < price(case).seconds


@given(cases())
def test_weights_that_are_not_split_gather_nothing_more(case):
    """ZeRO-2 reduces in every micro-batch what ZeRO-1 reduces once."""
    one, two = (price(case, zero=zero) for zero in (1, 2))
    assert one.data_s <= two.data_s * SLACK
    assert one.compute_s == two.compute_s
