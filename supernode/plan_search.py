"""The best plans of a model on a machine, each with its range over draws of the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.figures import Draw, source_ids
from simulator.machine import slice_of
from simulator.training import search, step
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.readings import machine_under, weights_of
from workloads.program import program

if TYPE_CHECKING:
    from simulator.figures import Figure
    from simulator.machine import Dtype, Slice
    from simulator.plan import Plan
    from simulator.program import Stack, Transformer
    from simulator.training import Found, Step

LOW, HIGH = 5.0, 95.0


@dataclass(frozen=True)
class PlanRequest:
    """What ``supernode plan`` was asked, with names already read."""

    model: Transformer
    machine: str
    chips: int | None
    network: str
    hypothesis: str
    stack: Stack
    sequence: int
    batch: int
    dtype: Dtype
    top: int
    samples: int
    seed: int


@dataclass(frozen=True)
class Ranged:
    """A plan priced under the stated figures, and the 5th and 95th percentile of its step time over the draws [s]."""

    step: Step
    low_s: float
    high_s: float


def best_plans(request: PlanRequest) -> tuple[Slice, Found, list[Ranged], tuple[str, ...]]:
    """Search under the stated figures and price what was found under every draw.

    Returns
    -------
    the slice, what the search found, the plans with their ranges, the ids of the sources

    Raises
    ------
    simulator.errors.InputError : unknown names, an illegal slice
    """
    part = slice_under(request, request.hypothesis)
    work = program(request.model)
    draw = Draw()
    found = search(
        work,
        part,
        request.stack,
        sequence=request.sequence,
        batch=request.batch,
        dtype=request.dtype,
        top=request.top,
        draw=draw,
    )
    weights = {} if request.hypothesis else weights_of(request.machine)
    readings = {name: slice_under(request, name) for name in weights} or {"": part}
    touched: dict[str, Figure] = dict(draw.touched)
    for reading in readings.values():
        for priced in found.steps[:1]:
            _seconds(request, priced.plan, reading, draw)
            touched |= draw.touched
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, part.machine.name)
    ranged = []
    for priced in found.steps:
        times = [
            _seconds(request, priced.plan, readings[pick], draw_number(figures, i)) for i, pick in enumerate(picks)
        ]
        low, high = (float(x) for x in np.percentile(times, [LOW, HIGH]))
        ranged.append(Ranged(priced, min(low, priced.seconds), max(high, priced.seconds)))
    return part, found, ranged, source_ids(touched.values())


def slice_under(request: PlanRequest, hypothesis: str) -> Slice:
    """The slice that was asked for, under one reading of its machine."""
    machine = machine_under(request.machine, hypothesis, request.network)
    return slice_of(machine, machine.chips if request.chips is None else request.chips)


def _seconds(request: PlanRequest, plan: Plan, part: Slice, draw: Draw) -> float:
    priced = step(
        program(request.model), plan, part, request.stack, sequence=request.sequence, batch=request.batch, draw=draw
    )
    return priced.seconds
