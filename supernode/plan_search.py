"""The best plans of a model on a machine, each with its range over draws of the figures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.figures import Draw, source_ids
from simulator.machine import slice_of
from simulator.plan import Plan
from simulator.plan_text import read_plan
from simulator.training import Found, check_plan, search, space_of, step, step_timeline
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.readings import machine_under, weights_of
from workloads.program import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.figures import Figure
    from simulator.machine import Dtype, Slice
    from simulator.plan import Schedule
    from simulator.program import Program, Stack, Transformer
    from simulator.training import Step
    from simulator.training.schedules import Timeline

LOW, HIGH = 5.0, 95.0
MOST_COUNTS = 32
"""Numbers of chips that one command searches."""


@dataclass(frozen=True)
class PlanRequest:
    """What ``supernode plan`` was asked, with names already read.

    ``chips`` as in :func:`chips_asked`; ``per_machine`` of each of the machines that are joined, 0 for all of them;
    ``schedule`` and ``plan``, where they are not empty, are the only ones that are considered.
    """

    model: Transformer
    machine: str
    chips: str
    per_machine: int
    network: str
    hypothesis: str
    stack: Stack
    sequence: int
    batch: int
    dtype: Dtype
    schedule: Schedule | None
    plan: str
    top: int
    samples: int
    seed: int


@dataclass(frozen=True)
class Ranged:
    """A plan priced under the stated figures, and the 5th and 95th percentile of its step time over the draws [s]."""

    step: Step
    low_s: float
    high_s: float


@dataclass(frozen=True, eq=False)
class Planned:
    """The answer for one number of chips: the slice, what was found, the plans with ranges, the ids of the sources.

    ``unfit`` is the one plan that was asked for where it does not fit: what it would take with more memory.
    """

    part: Slice
    found: Found
    ranged: tuple[Ranged, ...]
    sources: tuple[str, ...]
    unfit: Ranged | None = None

    @property
    def best(self) -> Step | None:
        """The fastest plan that fits, or the one that was asked for although it does not."""
        first = next(iter(self.ranged), self.unfit)
        return first.step if first else None


def chips_asked(text: str, machine: str, hypothesis: str = "", per_machine: int = 0) -> list[int]:
    """Read ``512``, ``256,512,1024`` or ``256:1024`` (all doublings) as numbers of chips; empty is the whole machine.

    Or as much of it as ``per_machine`` says.

    Raises
    ------
    InputError : not numbers, a range in the wrong order, too many of them
    """
    if not text.strip():
        return [per_machine or machine_under(machine, hypothesis, "").chips]
    first, colon, last = text.partition(":")
    if colon:
        start, stop = _count(first), _count(last)
        if stop < start:
            raise InputError(f"{text!r} ends before it begins", where="--chips", remedy=f"write {stop}:{start}")
        found = [start << i for i in range(MOST_COUNTS + 1) if start << i <= stop]
    else:
        found = sorted({_count(each) for each in text.split(",")})
    if len(found) > MOST_COUNTS:
        raise InputError(f"{text!r} are more than {MOST_COUNTS} numbers", where="--chips", remedy="name fewer")
    return found


def best_plans(request: PlanRequest, chips: int, tell: Callable[[str, int, int], None] | None = None) -> Planned:
    """Search under the stated figures and price what was found under every draw.

    Raises
    ------
    InputError : unknown names, an illegal slice, a sequence beyond the model's context, an illegal plan
    """
    longest = request.model.context
    if request.sequence > longest:
        message = f"{request.sequence} tokens are more than the context of {request.model.name}"
        raise InputError(message, where="--seq", remedy=f"at most {longest}")
    work = program(request.model)
    part = slice_under(request, request.hypothesis, chips)
    draw = Draw()
    found, unfit = _found(request, work, part, draw, tell)
    wanted = (unfit,) if unfit else found.steps
    weights = {} if request.hypothesis else weights_of(request.machine)
    readings = {name: slice_under(request, name, chips) for name in weights} or {"": part}
    touched: dict[str, Figure] = dict(draw.touched)
    for reading in readings.values():
        for priced in wanted[:1]:
            _seconds(request, work, priced.plan, reading, draw)
            touched |= draw.touched
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, part.machine.name)
    draws = [draw_number(figures, i) for i in range(len(picks))]
    ranged = []
    for place, priced in enumerate(wanted):
        if tell:
            tell("drawing figures", place, len(wanted))
        times = [
            _seconds(request, work, priced.plan, readings[pick], each) for pick, each in zip(picks, draws, strict=True)
        ]
        low, high = (float(x) for x in np.percentile(times, [LOW, HIGH]))
        ranged.append(Ranged(priced, min(low, priced.seconds), max(high, priced.seconds)))
    sources = source_ids(touched.values())
    return Planned(part, found, (), sources, ranged[0]) if unfit else Planned(part, found, tuple(ranged), sources)


def timeline_of(request: PlanRequest, best: Step, part: Slice) -> Timeline:
    """The passes of a plan on every rank of its pipeline."""
    work = program(request.model)
    return step_timeline(work, best.plan, part, request.stack, sequence=request.sequence, batch=request.batch)[0]


def slice_under(request: PlanRequest, hypothesis: str, chips: int) -> Slice:
    """The slice that was asked for, under one reading of its machine.

    Raises
    ------
    InputError : there is none; says what other chips, or fewer of each machine, make one
    """
    machine, each = machine_under(request.machine, hypothesis, request.network), request.per_machine
    if each and each not in machine.legal_chips:
        known = sorted(machine.legal_chips, key=lambda number: abs(number - each))[:2]
        remedy = f"try {' or '.join(str(number) for number in sorted(known))}"
        raise InputError(f"{each} chips are no slice of {machine.name}", where="--per-machine", remedy=remedy)
    try:
        return slice_of(machine, chips, each)
    except InputError as error:
        share = max((number for number in machine.legal_chips if chips % number == 0), default=1)
        if each or share == 1 or chips < machine.chips:
            raise
        message, _, remedy = str(error).partition("\n  ")
        remedy += f", or --per-machine {share} for {share} chips of each of {chips // share:,} machines"
        raise InputError(message, where="--chips", remedy=remedy) from None


def _found(
    request: PlanRequest, work: Program, part: Slice, draw: Draw, tell: Callable[[str, int, int], None] | None
) -> tuple[Found, Step | None]:
    """What a search found; or the one plan that was asked for, and its step again where it does not fit."""
    if request.plan:
        return _given(request, work, part, draw)
    space = space_of(request.stack)
    if request.schedule:
        space = dataclasses.replace(space, schedules=(request.schedule,))
    watch = (lambda done, of: tell(f"searching plans on {part.chips:,} chips", done, of)) if tell else None
    found = search(
        work,
        part,
        request.stack,
        sequence=request.sequence,
        batch=request.batch,
        dtype=request.dtype,
        top=request.top,
        draw=draw,
        space=space,
        tell=watch,
    )
    return found, None


def _given(request: PlanRequest, work: Program, part: Slice, draw: Draw) -> tuple[Found, Step | None]:
    """The one plan that was asked for; its data ranks, where it does not say them, fill the chips."""
    training = request.stack.training
    base = Plan(
        dtype=part.chip.dtype(request.dtype),
        reduce_dtype=training.reduce_dtype if training else "fp32",
        schedule=request.schedule or "1f1b",
        data=0,
    )
    plan = read_plan(request.plan, base)
    if plan.data == 0:
        plan = dataclasses.replace(plan, data=_filling(request, work, plan, part))
    priced = step(work, plan, part, request.stack, sequence=request.sequence, batch=request.batch, draw=draw)
    why = priced.memory.infeasible
    largest = {priced.memory.largest: 1} if why else {}
    point = np.array([[priced.seconds, priced.memory.needed_bytes]])
    front = () if why else (priced,)
    found = Found(front, 1, 0, 0, len(largest), largest, why, front, point, np.empty((0, 0)))
    return found, priced if why else None


def _filling(request: PlanRequest, work: Program, plan: Plan, part: Slice) -> int:
    """The data ranks with which a plan uses every chip; refused where none do, unless another degree is wrong."""
    used = max(1, plan.tensor * plan.context * plan.pipeline)
    data, left = divmod(part.chips, used)
    if data and left:
        batch = plan.micro_batch * plan.pipeline
        alone = dataclasses.replace(plan, data=1, expert=1, expert_tensor=1, shard=0)
        check_plan(alone, work, part.chip, part.chips, sequence=request.sequence, batch=batch)
        raise InputError(
            f"{used} ranks of one replica (tensor x context x pipeline) do not divide {part.chips} chips",
            where=f"--plan {request.plan!r}",
            remedy=f"change a degree, or write DP{data} to leave {left} chips idle",
        )
    return max(1, data)


def _seconds(request: PlanRequest, work: Program, plan: Plan, part: Slice, draw: Draw) -> float:
    axes = sum(level.kind == "axis" for level in part.levels)
    placed = plan if len(plan.axes) in (0, axes) else dataclasses.replace(plan, axes=())
    return step(work, placed, part, request.stack, sequence=request.sequence, batch=request.batch, draw=draw).seconds


def _count(text: str) -> int:
    stripped = text.strip().replace("_", "")
    if not (stripped.isascii() and stripped.isdigit()) or len(stripped) > 9 or int(stripped) < 1:
        raise InputError(f"{text!r} is no number of chips", where="--chips", remedy="write 512, 256,512 or 256:1024")
    return int(stripped)
