"""Laws of how layers are dealt to the chunks of a pipeline, and what chunks that differ take in time and memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.plan import SCHEDULES, Plan
from simulator.training.layout.kernels import rank_layers
from simulator.training.legal import check_stages, fills_stages
from simulator.training.memory.kernels import in_flight
from simulator.training.plans import plan_rows
from simulator.training.rows.kernels import MODEL_LAYERS
from simulator.training.schedules import execute, peak_activations, pipeline_order
from simulator.training.schedules.kernels import pipeline_seconds
from simulator.training.stages import stage_layers

FOLDED = ("zb-v", "v-half", "v-min")
COUNTS = 15
LARGEST_ERROR = 12.0
"""Of the estimate of a pipeline whose chunks differ [%]."""


@st.composite
def dealt(draw, ends=9):
    """A plan with a pipeline, and layers that fill it."""
    schedule = draw(st.sampled_from(SCHEDULES))
    virtual = 2 if schedule in FOLDED else draw(st.integers(1, 12)) if schedule == "1f1b" else 1
    pipeline, layers = draw(st.integers(2, 16)), draw(st.integers(2, 200))
    first, last = draw(st.integers(0, ends)), draw(st.integers(0, ends))
    plan = Plan(pipeline=pipeline, virtual_stages=virtual, schedule=schedule, first_layers=first, last_layers=last)
    try:
        check_stages(plan, layers)
    except InputError:
        assume(False)  # noqa: FBT003 - how hypothesis rejects a case
    return plan, layers


def ranks_of(plan, layers):
    """Layers of each rank, as the kernels of memory count them."""
    counts = np.zeros(COUNTS)
    counts[MODEL_LAYERS] = layers
    return [rank_layers(counts, plan_rows([plan])[0], rank)[0] for rank in range(plan.pipeline)]


@given(dealt())
def test_every_layer_lies_once_on_a_stage_and_only_ends_of_the_model_have_none(case):
    plan, layers = case
    held = stage_layers(plan, layers)
    assert held.sum() == layers
    assert held[1:-1].min(initial=1) >= 1
    if plan.virtual_stages == 1:
        assert held.min() >= 1


@given(dealt())
def test_the_run_and_the_memory_give_a_rank_the_same_layers(case):
    plan, layers = case
    held = stage_layers(plan, layers)
    if plan.schedule == "dualpipe":  # two whole stages on each rank
        assert ranks_of(plan, layers) == (held + held[::-1]).tolist()
        return
    stage_of = pipeline_order(plan.schedule, plan.pipeline, plan.virtual_stages, 2 * plan.pipeline).stage_of
    ranks = held[stage_of].sum(axis=1)
    assert ranks_of(plan, layers) == ranks.tolist()
    assert plan.first_layers in {0, ranks[0]}
    assert plan.last_layers in {0, ranks[-1]}


@given(dealt(ends=0))
def test_layers_are_dealt_as_evenly_as_they_go_with_fewest_at_the_ends(case):
    plan, layers = case
    held = stage_layers(plan, layers)
    assert held.max() - held.min() <= 1
    assert held[-1] == held.min()
    assert held[0] == held.min() or held[:-1].min() == held.max()
    if layers % len(held) == 0:
        assert (held == layers / len(held)).all()
    if plan.schedule not in {*FOLDED, "dualpipe"}:
        ranks = ranks_of(plan, layers)
        assert max(ranks) - min(ranks) <= 1
        assert min(ranks[0], ranks[-1]) == min(ranks)


@given(dealt(ends=0), st.integers(2, 6), st.floats(0.0, 1.0))
def test_no_deal_is_faster_than_all_ranks_busy_with_an_even_share(case, rounds, logits):
    plan, layers = case
    held = stage_layers(plan, layers)
    held[-1] += logits
    micro_batches = rounds * plan.pipeline + rounds * plan.pipeline % 2
    assume(plan.schedule != "dualpipe" or plan.pipeline % 2 == 0)
    assume(plan.schedule != "1f1b" or plan.virtual_stages == 1 or micro_batches % plan.pipeline == 0)
    found = execute(pipeline_order(plan.schedule, plan.pipeline, plan.virtual_stages, micro_batches), held, held, held)
    assert found.seconds >= 3 * micro_batches * held.sum() / plan.pipeline * (1 - 1e-12)
    assert found.seconds >= 3 * held.sum()  # one micro-batch has to go there and back


@given(
    layers=st.integers(8, 130),
    pipeline=st.sampled_from((2, 4, 5, 8)),
    virtual=st.integers(2, 9),
    rounds=st.integers(1, 4),
)
def test_chunks_that_differ_are_in_flight_as_the_executed_schedule_has_them(layers, pipeline, virtual, rounds):
    """Layers x micro-batches of the heaviest rank: equal chunks to the last digit, others within 2 %."""
    assume(fills_stages(layers, pipeline, virtual))
    held = stage_layers(Plan(pipeline=pipeline, virtual_stages=virtual), layers)
    order = pipeline_order("1f1b", pipeline, virtual, rounds * pipeline)
    kind, own = SCHEDULES.index("1f1b"), held[order.stage_of].sum(axis=1)
    closed = max(n * in_flight(kind, pipeline, virtual, rounds * pipeline, rank, n) for rank, n in enumerate(own))
    near = 1e-12 if layers % (pipeline * virtual) == 0 else 0.02
    assert closed == pytest.approx(peak_activations(order, held).max(), rel=near)


def test_the_estimate_of_chunks_that_differ_is_as_near_the_run_as_that_of_other_stages():
    """A search ranks by the estimate: the line of chunks that differ in docs/models/pipelines.md."""
    generator = np.random.default_rng(1)
    errors = []
    while len(errors) < 300:
        pipeline, layers, virtual = (int(generator.integers(*ends)) for ends in ((2, 17), (32, 131), (2, 13)))
        if not fills_stages(layers, pipeline, virtual) or layers % (pipeline * virtual) == 0:
            continue
        micro_batches = pipeline * int(generator.integers(2, 9))
        held = stage_layers(Plan(pipeline=pipeline, virtual_stages=virtual), layers)
        held[-1] += 0.5  # the logits
        order = pipeline_order("1f1b", pipeline, virtual, micro_batches)
        passes = np.array([1.0, generator.uniform(0.8, 1.4), generator.uniform(0.6, 1.1)])
        run = execute(order, *np.outer(passes, held)).seconds
        slow, mean = held[order.stage_of].sum(axis=1).max() * passes, held.sum() / pipeline * passes
        kind = SCHEDULES.index("1f1b")
        errors.append(pipeline_seconds(kind, pipeline, virtual, micro_batches, *slow, *mean, 0.0, 0.0) / run - 1)
    found = 100 * np.array([np.abs(errors).mean(), np.mean(errors), np.percentile(np.abs(errors), 90)])
    assert found.round(1).tolist() == [1.4, -0.2, 3.3]
    assert 100 * np.abs(errors).max() < LARGEST_ERROR
