"""Orders of pipeline passes run by the kernel and by SimPy, and the bounds that no run may break."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.plan import SCHEDULES
from simulator.training.schedules import execute, peak_activations, pipeline_order
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, PAIRED, WEIGHT
from tests.support_pipelines import SlowRun, pipelines, rows, uneven

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(size=pipelines(), seed=SEEDS, is_blocking=st.booleans(), overlap=st.sampled_from([0.0, 0.4, 1.0]))
def test_uneven_stages_run_as_in_a_slow_simulation(size, seed, is_blocking, overlap):
    order = pipeline_order(*size)
    *times, hops = uneven(seed, order.stages)
    how = {"is_blocking": is_blocking, "overlap": overlap}
    slow = SlowRun(order, times, hops, **how)
    found = execute(order, *times, hop_s=hops, **how)
    assert found.seconds == pytest.approx(slow.seconds)
    for rank, span in enumerate(slow.spans):
        np.testing.assert_allclose(found.start_s[rank, : len(span)], [start for start, _ in span])
        np.testing.assert_allclose(found.end_s[rank, : len(span)], [end for _, end in span])
        assert np.isnan(found.start_s[rank, len(span) :]).all()


@settings(max_examples=20, deadline=None)
@given(size=pipelines(), seed=SEEDS, is_blocking=st.booleans())
def test_plain_and_compiled_runs_agree_to_the_byte(size, seed, is_blocking):
    order = pipeline_order(*size)
    *times, hops = uneven(seed, order.stages)
    how = {"hop_s": hops, "is_blocking": is_blocking, "overlap": 0.3}
    plain, fast = (execute(order, *times, is_compiled=compiled, **how) for compiled in (False, True))
    assert plain.seconds == fast.seconds
    for name in ("start_s", "end_s", "busy_s"):
        assert getattr(plain, name).tobytes() == getattr(fast, name).tobytes()


@settings(max_examples=40, deadline=None)
@given(size=pipelines(), seed=SEEDS, part=st.integers(0, 3), more=st.floats(0, 3), data=st.data())
def test_no_stage_and_no_message_that_takes_longer_shortens_a_step(size, seed, part, more, data):
    order = pipeline_order(*size)
    *times, hops = uneven(seed, order.stages)
    before = execute(order, *times, hop_s=hops)
    changed = [*times, hops][part]
    if changed.size == 0:
        return
    changed[data.draw(st.integers(0, changed.size - 1))] += more
    after = execute(order, *times, hop_s=hops)
    assert after.seconds >= before.seconds
    assert (np.nan_to_num(after.end_s) >= np.nan_to_num(before.end_s)).all()


@settings(max_examples=40, deadline=None)
@given(size=pipelines(), seed=SEEDS, is_blocking=st.booleans())
def test_a_step_is_never_shorter_than_its_busiest_rank_or_the_path_of_one_micro_batch(size, seed, is_blocking):
    order = pipeline_order(*size)
    forward, inputs, weight, hops = uneven(seed, order.stages)
    found = execute(order, forward, inputs, weight, hop_s=hops, is_blocking=is_blocking)
    assert found.seconds >= found.busy_s.max() * (1 - 1e-12)
    sent = np.where(np.isin(np.arange(1, order.stages), _turn(order)), 0.0, hops)
    is_split = order.schedule.startswith(("zb", "v-"))
    back = inputs.sum() + (weight[0] if is_split else 0.0 if order.schedule == "dualpipe" else weight.sum())
    assert found.seconds >= (forward.sum() + back + 2 * sent.sum()) * (1 - 1e-12)
    np.testing.assert_allclose(found.bubble_s + found.busy_s, found.seconds)
    assert (found.idle_s <= found.bubble_s + 1e-9).all()
    assert (found.idle_s >= -1e-9).all()


def _turn(order):
    """Stages that lie on the rank of the stage above them."""
    return [order.ranks] if order.schedule in ("zb-v", "v-half", "v-min") or order.ranks == 1 else []


@settings(max_examples=30, deadline=None)
@given(size=pipelines(), seed=SEEDS)
def test_peak_activations_are_those_of_the_passes_followed_one_by_one(size, seed):
    order = pipeline_order(*size)
    generator = np.random.default_rng(seed)
    held = generator.uniform(0, 2, order.stages)
    kept = held * generator.uniform(0, 1, order.stages)
    peaks = peak_activations(order, held, kept)
    for rank in range(order.ranks):
        now, most = 0.0, 0.0
        for kind, chunk, _ in rows(order, rank):
            stage = order.stage_of[rank, chunk]
            now += {
                FORWARD: held[stage],
                PAIRED: held[stage],
                INPUT: kept[stage] - held[stage],
                WEIGHT: -kept[stage],
                BACKWARD: -held[stage],
            }[kind]
            most = max(most, now)
        assert peaks[rank] == pytest.approx(most)
        assert now == pytest.approx(0, abs=1e-9)


@given(seed=SEEDS, ranks=st.integers(1, 8), micro_batches=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_1f1b_takes_its_slowest_stage_for_every_micro_batch_and_each_other_once(seed, ranks, micro_batches):
    """The slowest stage last: Narayanan et al., SC21, section 2.2, with stages that differ."""
    forward, inputs, weight, _ = uneven(seed, ranks)
    forward[-1], inputs[-1] = forward.max(), inputs.max()
    weight[-1] = weight.max()
    found = execute(pipeline_order("1f1b", ranks, 1, micro_batches), forward, inputs, weight)
    stages = forward + inputs + weight
    assert found.seconds == pytest.approx(micro_batches * stages[-1] + stages[:-1].sum())


@given(seed=SEEDS, ranks=st.integers(2, 8), micro_batches=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_1f1b_is_never_faster_than_the_wait_for_the_first_backward_pass_of_any_stage(seed, ranks, micro_batches):
    forward, inputs, weight, _ = uneven(seed, ranks)
    found = execute(pipeline_order("1f1b", ranks, 1, micro_batches), forward, inputs, weight).seconds
    stages = forward + inputs + weight
    for stage in range(ranks):
        warm_up = min(micro_batches, ranks - stage) - 1
        first = max(stages[stage + 1 :].sum() - warm_up * forward[stage], 0.0)
        assert found >= (stages[:stage].sum() + micro_batches * stages[stage] + first) * (1 - 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_scales_with_its_times(schedule):
    order = pipeline_order(schedule, 4, 2 if schedule in ("zb-v", "v-half", "v-min") else 1, 8)
    *times, hops = uneven(7, order.stages)
    once = execute(order, *times, hop_s=hops).seconds
    assert execute(order, *(2 * each for each in times), hop_s=2 * hops).seconds == 2 * once
