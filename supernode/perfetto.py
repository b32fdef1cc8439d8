"""A training step as a Chrome trace, which https://ui.perfetto.dev opens.

A process is a pipeline rank, its first thread the passes that it runs, the next what these consist of (computing, and
what shows of the communication inside their layers), the others the messages that it sends and collectives of the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np

from simulator.files import write_whole
from simulator.training.schedules import PARTS
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, PAIRED, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from simulator.training.schedules import Timeline

PASSES, INSIDE, COMMUNICATION = range(3)
NAMES = {FORWARD: "F", PAIRED: "F", INPUT: "B", WEIGHT: "W", BACKWARD: "BW"}
_NS_PER_S, _NS_PER_US = 1e9, 1e3


class Phase(NamedTuple):
    """What all ranks do after the pipeline, such as the optimizer; one begins when the one before has ended [s]."""

    name: str
    seconds: float
    kind: Literal["compute", "communication"]


def write_perfetto(timeline: Timeline, path: Path, *, name: str = "", after: Sequence[Phase] = ()) -> None:
    """Write a step as Chrome trace JSON; the same step gives the same bytes.

    Parameters
    ----------
    timeline : the pipeline of the step
    path : the file
    name : of the step, kept with the trace
    after : what follows on every rank when the pipeline has ended

    Raises
    ------
    simulator.errors.InputError : the file cannot be written
    """
    write_whole(path, perfetto_json(timeline, name=name, after=after))


def perfetto_json(timeline: Timeline, *, name: str = "", after: Sequence[Phase] = ()) -> bytes:
    """The bytes of :func:`write_perfetto`."""
    order = timeline.order
    events = []
    for rank in range(order.ranks):
        lanes: list[int] = []
        slices = [
            *_passes(timeline, rank),
            *_inside(timeline, rank),
            *_messages(timeline, rank, lanes),
            *_after(timeline, rank, after),
        ]
        events += [*_names(timeline, rank, len(lanes)), *slices]
    about = {
        "name": name,
        "schedule": order.schedule,
        "ranks": order.ranks,
        "virtual_stages": order.virtual_stages,
        "micro_batches": order.micro_batches,
        "pipeline_seconds": timeline.seconds,
    }
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms", "otherData": about})


def _passes(timeline: Timeline, rank: int) -> Iterator[dict[str, Any]]:
    order = timeline.order
    starts, ends = (_ns(each[rank]) for each in (timeline.start_s, timeline.end_s))
    for (kind, chunk, micro), start, end in zip(order.passes[rank].tolist(), starts, ends, strict=True):
        if kind not in NAMES:
            return
        args = {"micro_batch": micro, "stage": int(order.stage_of[rank, chunk]), "chunk": chunk}
        if kind == PAIRED:
            args["paired"] = 1
        yield _slice(f"{NAMES[kind]} {micro}", rank, PASSES, start, end, args)


def _inside(timeline: Timeline, rank: int) -> Iterator[dict[str, Any]]:
    """What each pass consists of, in sequence: the sums over its layers, which take turns in truth."""
    for (_, _, micro), edges_s in zip(timeline.order.passes[rank].tolist(), timeline.inside_s(rank), strict=True):
        if np.isnan(edges_s).any():
            continue
        edges = _ns(edges_s)
        for part, start, end in zip(PARTS, edges, edges[1:], strict=False):
            if end > start:
                yield _slice(part, rank, INSIDE, start, end, {"micro_batch": micro})


def _messages(timeline: Timeline, rank: int, lanes: list[int]) -> Iterator[dict[str, Any]]:
    """What a rank sends, each on the first lane that is free; ``lanes`` are their ends [ns]."""
    order = timeline.order
    sent = []
    for (kind, chunk, micro), end_s in zip(order.passes[rank].tolist(), timeline.end_s[rank], strict=True):
        if kind not in NAMES or kind == WEIGHT:
            continue
        node = rank * order.chunks + chunk
        is_forward = kind in {FORWARD, PAIRED}
        to = int(order.below[node] if is_forward else order.above[node])
        hop_s = timeline.hop_s[to if is_forward else node] if to >= 0 else 0.0
        if hop_s > 0:
            start, end = _ns(np.array([end_s, end_s + hop_s]))
            sent.append((start, end, "activations" if is_forward else "gradients", micro, to // order.chunks))
    for start, end, what, micro, to_rank in sent:
        lane = next((i for i, busy in enumerate(lanes) if busy <= start), len(lanes))
        lanes[lane : lane + 1] = [end]
        args = {"micro_batch": micro, "to_rank": to_rank}
        yield _slice(f"{what} {micro}", rank, COMMUNICATION + lane, start, end, args)


def _after(timeline: Timeline, rank: int, after: Sequence[Phase]) -> Iterator[dict[str, Any]]:
    begin_s = timeline.seconds
    for phase in after:
        start, end = _ns(np.array([begin_s, begin_s + phase.seconds]))
        thread = PASSES if phase.kind == "compute" else COMMUNICATION
        yield _slice(phase.name, rank, thread, start, end, {})
        begin_s += phase.seconds


def _names(timeline: Timeline, rank: int, lanes: int) -> Iterator[dict[str, Any]]:
    stages = ", ".join(str(stage) for stage in timeline.order.stage_of[rank].tolist())
    about = {"name": f"pipeline rank {rank} (stage{'s' if timeline.order.chunks > 1 else ''} {stages})"}
    yield {"ph": "M", "name": "process_name", "pid": rank, "args": about}
    yield {"ph": "M", "name": "process_sort_index", "pid": rank, "args": {"sort_index": rank}}
    for thread in range(COMMUNICATION + max(lanes, 1)):
        said = {PASSES: "passes", INSIDE: "inside passes (layers take turns)"}.get(thread, "communication")
        said += f" {thread - COMMUNICATION + 1}" if thread > COMMUNICATION else ""
        yield {"ph": "M", "name": "thread_name", "pid": rank, "tid": thread, "args": {"name": said}}


def _slice(name: str, rank: int, thread: int, start: int, end: int, args: dict[str, int]) -> dict[str, Any]:
    times = {"ts": start / _NS_PER_US, "dur": (end - start) / _NS_PER_US}
    return {"ph": "X", "name": name, "pid": rank, "tid": thread, **times, "args": args}


def _ns(times_s: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Whole nanoseconds, so that what follows begins where the other ends; padding is 0."""
    rounded: list[int] = np.rint(np.nan_to_num(times_s) * _NS_PER_S).astype(np.int64).tolist()
    return rounded
