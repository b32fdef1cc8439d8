"""The picture of a pipeline schedule and the trace of a step."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import topologies
import workloads
from simulator.errors import InputError
from simulator.machine import slice_of
from simulator.plan import SCHEDULES, Plan
from simulator.training import step_timeline
from simulator.training.schedules import PARTS, execute, pipeline_order
from simulator.training.schedules.passes.kernels import PAIRED
from supernode.perfetto import Phase, perfetto_json, write_perfetto
from supernode.plots.pipeline import handles, plot_schedule, write_schedule
from workloads.program import program


def timeline(schedule="zb-v", ranks=4, micro_batches=8, times=(1.1e-3, 1.3e-3, 0.7e-3), hop_s=1e-4, **how):
    virtual_stages = 2 if schedule in ("zb-v", "v-half", "v-min") else 1
    return execute(pipeline_order(schedule, ranks, virtual_stages, micro_batches), *times, hop_s=hop_s, **how)


def drawn(found):
    figure = Figure(figsize=(10, 5))
    FigureCanvasAgg(figure)
    ax = plot_schedule(found, ax=figure.subplots())
    boxes = [
        path.get_extents() for area in ax.collections if isinstance(area, PolyCollection) for path in area.get_paths()
    ]
    return ax, boxes


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_areas_of_a_picture_are_the_passes_of_the_schedule(schedule):
    found = timeline(schedule, overlap=0.5)
    ax, boxes = drawn(found)
    assert len(boxes) == (found.order.passes[:, :, 0] >= 0).sum()
    for rank in range(found.order.ranks):
        row = {(box.x0, box.x1) for box in boxes if abs((box.y0 + box.y1) / 2 - rank) < 0.5}
        want = {pair for pair in zip(found.start_s[rank], found.end_s[rank], strict=True) if not np.isnan(pair[0])}
        np.testing.assert_allclose(sorted(row), sorted(want), atol=1e-12)
    assert ax.get_xlabel() == "Time since the step began [ms]"
    assert ax.get_ylabel() == "Pipeline rank"


def test_a_pair_that_runs_together_is_drawn_one_over_the_other():
    _, boxes = drawn(timeline("dualpipe", micro_batches=12))
    for a in boxes:
        for b in boxes:
            assert a is b or min(a.x1, b.x1) - max(a.x0, b.x0) < 1e-9 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1e-9


def test_numbers_stand_where_they_have_room():
    numbers = [text.get_text() for text in drawn(timeline("1f1b", 2, 3))[0].texts]
    assert sorted(numbers) == sorted(["0", "1", "2"] * 4)
    assert not drawn(timeline("1f1b", 4, 64))[0].texts


def test_of_many_ranks_and_micro_batches_some_are_drawn():
    found = timeline("1f1b", 64, 512)
    ax, boxes = drawn(found)
    ranks = [int(label.get_text()) for label in ax.get_yticklabels()]
    assert (len(ranks), ranks[0], ranks[-1]) == (16, 0, 63)
    assert len(boxes) < 16 * 2 * 300
    ticks = [float(label.get_text()) for label in ax.get_xticklabels() if label.get_text()]
    assert ticks == sorted(ticks)
    assert ticks[-1] == pytest.approx(found.seconds, rel=0.1)
    assert ax.get_xlim()[1] < 0.6 * found.seconds


def test_the_legend_names_the_passes_that_a_schedule_has():
    def said(schedule):
        return [handle.get_label() for handle in handles(timeline(schedule, micro_batches=12))]

    assert said("1f1b") == ["F: forward", "B and W in one", "waits"]
    assert said("zb-h1") == ["F: forward", "B: gradient of the inputs", "W: gradient of the weights", "waits"]
    assert "paler: later stages of a rank" in said("zb-v")
    assert "paler: the other direction" in said("dualpipe")


def test_a_picture_is_the_same_bytes_again_and_only_png_or_svg(tmp_path):
    found = timeline()
    for ending in ("png", "svg"):
        first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        write_schedule(found, first, "a & <b> $x$")
        write_schedule(found, second, "a & <b> $x$")
        assert first.read_bytes() == second.read_bytes()
    with pytest.raises(InputError, match="png"):
        write_schedule(found, tmp_path / "a.pdf")


@pytest.fixture(scope="module", params=["1f1b", "zb-v", "dualpipe"])
def priced(request):
    """DeepSeek-V2 with tensor, context and expert ranks, and its step."""
    virtual = 2 if request.param == "zb-v" else 1
    plan = Plan(tensor=2, context=2, pipeline=4, data=4, expert=8, schedule=request.param, virtual_stages=virtual)
    work, part = program(workloads.model("deepseek-v2")), slice_of(topologies.machine("hgx-h100"), 64)
    return step_timeline(work, plan, part, workloads.stack("megatron-bridge-26.06"), sequence=4096, batch=64)


def test_what_a_pass_consists_of_adds_up_to_the_pass_and_to_the_step(priced):
    found, step = priced
    order = found.order
    sums = np.zeros((order.ranks, len(PARTS)))
    for rank in range(order.ranks):
        edges, passes = found.inside_s(rank), order.passes[rank]
        is_pass = passes[:, 0] >= 0
        is_second = np.concatenate([[False], passes[:-1, 0] == PAIRED])
        assert (np.isnan(edges[:, 0]) == (~is_pass | is_second)).all()
        is_drawn = is_pass & ~is_second
        assert (edges[is_drawn, 0] == found.start_s[rank][is_drawn]).all()
        np.testing.assert_allclose(edges[is_drawn, -1], found.end_s[rank][is_drawn], rtol=1e-12)
        sums[rank] = np.diff(edges[is_drawn]).sum(axis=0)
    np.testing.assert_allclose(sums.sum(axis=1), found.busy_s, rtol=1e-9)
    whole = (step.compute_s, step.tensor_s, step.context_s, step.expert_s)
    np.testing.assert_allclose(sums[np.argmax(found.busy_s)], whole, rtol=1e-9)
    assert min(whole) > 0


def test_a_trace_has_what_a_pass_consists_of_beside_it(priced):
    found, _ = priced
    events = [event for event in json.loads(perfetto_json(found))["traceEvents"] if event["ph"] == "X"]
    for rank in range(found.order.ranks):
        mine = [event for event in events if event["pid"] == rank]
        passes, inside = ([event for event in mine if event["tid"] == thread] for thread in (0, 1))
        assert {event["name"] for event in inside} == set(PARTS)
        assert busy_ns(inside) == busy_ns(passes)


def busy_ns(events):
    """Spans that slices cover without a gap [ns]."""
    spans = []
    for event in sorted(events, key=lambda event: event["ts"]):
        begin = round(event["ts"] * 1e3)
        end = begin + round(event["dur"] * 1e3)
        if spans and begin <= spans[-1][1]:
            spans[-1][1] = max(end, spans[-1][1])
        else:
            spans.append([begin, end])
    return {tuple(span) for span in spans}


def test_strips_of_a_picture_are_as_long_as_the_communication_inside_passes(priced):
    found, _ = priced
    ax, boxes = drawn(found)
    strips = [box for box in boxes if box.height < 0.3]
    want = sum(np.nansum(np.diff(found.inside_s(rank))[:, 1:]) for rank in range(found.order.ranks))
    assert sum(box.width for box in strips) == pytest.approx(want)
    said = [handle.get_label() for handle in handles(found)]
    assert {f"in it: {part}" for part in PARTS[1:]} <= set(said)
    assert not [box for box in drawn(timeline())[1] if box.height < 0.3]
    assert ax.get_ylabel() == "Pipeline rank"


AFTER = (Phase("reduce gradients", 2e-3, "communication"), Phase("optimizer", 1e-3, "compute"))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("hop_s", [0.0, 1e-4, 5e-3])
def test_slices_of_a_trace_never_cross_and_hold_every_pass_and_message(schedule, hop_s):
    found = timeline(schedule, micro_batches=12, hop_s=hop_s, overlap=0.3)
    trace = json.loads(perfetto_json(found, name="a step", after=AFTER))
    threads = defaultdict(list)
    for event in trace["traceEvents"]:
        assert event["ph"] in "MX"
        if event["ph"] == "X":
            assert event["dur"] >= 0
            begin = round(event["ts"] * 1e3)
            threads[event["pid"], event["tid"]].append((begin, begin + round(event["dur"] * 1e3), event))
    for slices in threads.values():
        slices.sort(key=lambda one: one[:2])
        for (start, end, _), (after, last, _) in itertools.pairwise(slices):
            assert after >= end or (start, end) == (after, last)
    order = found.order
    computed = [each for (_, thread), slices in threads.items() if thread == 0 for each in slices]
    assert len(computed) == (order.passes[:, :, 0] >= 0).sum() + order.ranks
    messages = [
        each for (_, thread), slices in threads.items() if thread > 0 for each in slices if "to_rank" in each[2]["args"]
    ]
    links = int((found.hop_s > 0).sum())
    per_link = order.micro_batches // (2 if schedule == "dualpipe" else 1)
    assert len(messages) == (2 * links * per_link if hop_s else 0)
    assert max(end for slices in threads.values() for _, end, _ in slices) == round((found.seconds + 3e-3) * 1e9)
    assert trace["otherData"]["pipeline_seconds"] == found.seconds
    named = [event for event in trace["traceEvents"] if event["name"] == "thread_name"]
    assert {(event["pid"], event["tid"]) for event in named} >= set(threads)


def test_a_trace_says_of_each_pass_its_stage_chunk_and_micro_batch():
    trace = json.loads(perfetto_json(timeline("zb-v", 2, 2)))
    passes = [event for event in trace["traceEvents"] if event["ph"] == "X" and event["tid"] == 0 and event["pid"] == 0]
    assert {event["name"] for event in passes} == {f"{kind} {micro}" for kind in "FBW" for micro in (0, 1)}
    assert {(event["args"]["stage"], event["args"]["chunk"]) for event in passes} == {(0, 0), (3, 1)}
    first = next(event for event in passes if event["name"] == "F 0")
    assert (first["ts"], first["dur"]) == (0.0, 1100.0)  # microseconds


def test_a_trace_is_the_same_bytes_again(tmp_path):
    write_perfetto(timeline(), tmp_path / "a.json", name="x", after=AFTER)
    write_perfetto(timeline(), tmp_path / "b.json", name="x", after=AFTER)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(InputError):
        write_perfetto(timeline(), tmp_path / "a.json" / "b.json")
