"""Equal collectives at once on groups of chips that share no chip, but the links of one fabric."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives import KINDS, Bounds, kind_id, price_in
from simulator.collectives.flow import Job, flow_prices, transfers
from simulator.collectives.group import group_of
from simulator.collectives.laid import NESTED
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.patterns import default_routing
from simulator.collectives.schedules import Round, expanded
from simulator.errors import InputError
from simulator.fabric import chips_of
from simulator.machine import Slice, slice_of
from supernode.collective_flow import bounds_here, checked, chosen, job_of, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from simulator.machine import Level
    from supernode.collective_flow import Wired
    from supernode.collective_sweep import Request


MOST_EXACT = 30_000
"""Transfers that run over time, each when its ranks are ready; with more, all jobs keep step round by round."""


@dataclass(frozen=True)
class JobsAnswer:
    """Several equal collectives that run at once.

    Parameters
    ----------
    algorithm, placement : of all
    chips : of the fabric that they share [1]
    seconds, alone_s : (jobs,) time of each beside the others, and by itself [s]
    bottleneck : busiest link of the slowest
    bounds : of the slowest, as if it were alone
    """

    algorithm: str
    placement: str
    chips: int
    seconds: tuple[float, ...]
    alone_s: tuple[float, ...]
    bottleneck: str
    bounds: Bounds

    @property
    def slowest_s(self) -> float:
        """Time of the slowest [s]."""
        return max(self.seconds)

    @property
    def slowdowns(self) -> tuple[float, ...]:
        """How many times as long as by itself each takes [1]."""
        return tuple(beside / alone for beside, alone in zip(self.seconds, self.alone_s, strict=True))


def wire_jobs(part: Slice, request: Request) -> list[Wired]:
    """The graph that as many jobs share as are asked for, with the chips of each, as many as ``part`` has.

    They share the smallest slice that holds them all, or the whole machine where that is none.

    Raises
    ------
    InputError : groups that do not fill the fabric evenly; see :func:`supernode.collective_flow.wire`
    """
    whole = _shared(part, request.jobs)
    levels = levels_of_job(whole, part, request.jobs, request.placement)
    own = Slice(part.machine, part.chips, part.machines, levels)
    wired = wire(request.machine, whole, hypothesis=request.hypothesis, fails=request.fails, routing=request.routing)
    every = np.arange(part.chips * request.jobs).reshape(request.jobs, part.chips)
    if request.placement == "interleaved":
        every = every.reshape(part.chips, request.jobs).T
    group = group_of(own)
    return [dataclasses.replace(wired, part=own, group=group, chips=wired.chips[places], solved={}) for places in every]


def priced_jobs(kind: str, size_bytes: float, wires: Sequence[Wired], request: Request) -> JobsAnswer:
    """Run one collective on the chips of each of ``wires``, all from the same instant.

    Of more than :data:`MOST_EXACT` transfers, and level by level, all jobs keep step, which is no faster than each by
    itself.

    Raises
    ------
    InputError : see :func:`supernode.collective_flow.chosen`
    InternalError : a result below a lower bound
    """
    kind = KINDS[kind_id(kind)]
    first = wires[0]
    stated = price_in(first.group, kind, size_bytes, algorithm=request.algorithm)
    taken = chosen(kind, stated, is_named=bool(request.algorithm))
    fabric = first.fabric
    jobs = [job_of(each, kind, taken, size_bytes, fabric)[0] for each in wires]
    how = request.routing or default_routing(fabric)
    if taken in NESTED or sum(transfers(job.schedule) for job in jobs) > MOST_EXACT:
        found = flow_prices([_merged(jobs)], fabric, routing=how) * len(jobs)
        alone = [flow_prices([job], fabric, routing=how)[0] for job in jobs]
    else:
        found = priced_over_time(jobs, fabric, None, how, 0.0)
        alone = [priced_over_time([job], fabric, None, how, 0.0)[0] for job in jobs]
    bounds = [bounds_here(each, kind, taken, size_bytes, one) for each, one in zip(wires, alone, strict=True)]
    seconds = [
        checked(each, kind, taken, one.seconds, bound) for each, one, bound in zip(wires, found, bounds, strict=True)
    ]
    slowest = int(np.argmax(seconds))
    return JobsAnswer(
        algorithm=taken,
        placement=request.placement,
        chips=int(chips_of(fabric).sum()),
        seconds=tuple(seconds),
        alone_s=tuple(
            checked(each, kind, taken, one.seconds, bound)
            for each, one, bound in zip(wires, alone, bounds, strict=True)
        ),
        bottleneck=found[slowest].busiest,
        bounds=bounds[slowest],
    )


def _merged(jobs: list[Job]) -> Job:
    """All jobs as one, whose rounds start when those before have ended in all of them."""
    plans = [job.schedule for job in jobs]
    ranks, switches = sum(plan.ranks for plan in plans), sum(plan.switches for plan in plans)
    before = [
        (sum(plan.ranks for plan in plans[:number]), ranks + sum(plan.switches for plan in plans[:number]))
        for number in range(len(plans))
    ]
    known: dict[tuple[int, ...], tuple[list[Round], Round]] = {}

    def of_all(parts: list[Round], name: str) -> NDArray[np.int64]:
        moved = []
        for each, plan, (rank, switch) in zip(parts, plans, before, strict=True):
            ends = getattr(each, name)
            moved.append(np.where(ends < plan.ranks, ends + rank, ends - plan.ranks + switch))
        return np.concatenate(moved)

    def rounds() -> Iterator[Round]:
        for at_once in zip(*(plan.rounds() for plan in plans), strict=True):
            parts = [expanded(each) for each in at_once]
            key = tuple(id(ends) for each in parts for ends in (each.source, each.target))
            if key not in known:
                wide = dataclasses.replace(parts[0], source=of_all(parts, "source"), target=of_all(parts, "target"))
                known[key] = (parts, wide)
            share = np.concatenate([each.share for each in parts])
            yield dataclasses.replace(parts[0], source=known[key][1].source, target=known[key][1].target, share=share)

    merged = dataclasses.replace(plans[0], ranks=ranks, switches=switches, rounds=rounds)
    cut = [np.split(np.asarray(job.members), [job.schedule.ranks]) for job in jobs]
    members = np.concatenate([part[which] for which in (0, 1) for part in cut])
    return dataclasses.replace(jobs[0], schedule=merged, members=members)


def _shared(part: Slice, jobs: int) -> Slice:
    """The slice that jobs of this size share."""
    machine, total = part.machine, part.chips * jobs
    if total > machine.chips or total in machine.legal_chips:
        return slice_of(machine, total)
    return slice_of(machine, machine.chips)


def levels_of_job(whole: Slice, part: Slice, jobs: int, placement: str) -> tuple[Level, ...]:
    """The levels of one of ``jobs`` groups of a slice: of consecutive chips, or of every ``jobs``-th.

    Raises
    ------
    InputError : groups that are no boxes of a torus; jobs on tori that a network joins
    """
    axes = [level for level in whole.levels if level.kind == "axis"]
    if axes and len(axes) < len(whole.levels):
        raise InputError(
            "jobs over several pods of a torus have no placement", where="--jobs", remedy="stay within one machine"
        )
    if not axes and placement == "packed":
        return part.levels
    # the last axis of a torus runs fastest, but the innermost level of everything else
    ordered = whole.levels[::-1] if axes else whole.levels
    cut = _strided(ordered, jobs, part.chips) if placement == "interleaved" else _first(ordered, part.chips)
    if cut is None and axes:
        shape = "x".join(str(axis.size) for axis in axes)
        raise InputError(
            f"{jobs} {placement} jobs of {part.chips} chips are no boxes of {shape} chips",
            where="--jobs",
            remedy="take numbers that divide its sides",
        )
    if cut is None:
        return (dataclasses.replace(whole.levels[-1], kind="switch", size=part.chips, wraps=False),)
    return tuple(cut[::-1] if axes else cut)


def _first(levels: tuple[Level, ...], chips: int) -> list[Level] | None:
    """The levels of the first chips; None where they are no box."""
    found, left = [], chips
    for level in levels:
        here = min(left, level.size)
        if left % here or level.size % here:
            return None
        is_all = here == level.size
        found.append(dataclasses.replace(level, size=here, wraps=level.wraps and is_all, block=1))
        left //= here
    return [level for level in found if level.size > 1] if left == 1 else None


def _strided(levels: tuple[Level, ...], stride: int, chips: int) -> list[Level] | None:
    """The levels of every ``stride``-th chip; None where these are no box."""
    rest, apart = [], stride
    for level in levels:
        step = min(apart, level.size)
        if apart % step or level.size % step:
            return None
        hops = level.hops * (step if level.kind == "axis" else 1)
        rest.append(dataclasses.replace(level, size=level.size // step, hops=hops, block=1))
        apart //= step
    if math.prod(level.size for level in rest) == chips:
        return [level for level in rest if level.size > 1]
    return _first(tuple(level for level in rest if level.size > 1), chips)
