"""Price of schedules that run against each other: all their transfers as flows that wait for each other.

A rank starts its part of a round when all that it sends and receives in the round before has ended; a transfer needs
both its ends. Where a rank waits for several transfers stands a flow without bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from simulator.collectives.jobs import FlowPriced, answer, nodes_of, skew_of
from simulator.collectives.kernels import filled
from simulator.collectives.schedules import expanded
from simulator.errors import InputError
from simulator.fabric import capacities
from simulator.network import drained, link_loads
from simulator.routing import Routes, routes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simulator.collectives.jobs import Background, Job
    from simulator.fabric import Fabric

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]

MOST_FLOWS = 1 << 23
"""Flows that run over time at most; more would take hours and the memory of a large machine."""
NOWHERE = Routes(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0))

D = TypeVar("D", bound=np.generic)


@dataclass(eq=False)
class Flows:
    """Flows as they are added: columns of :func:`simulator.network.drained`, in pieces."""

    entries: list[Whole] = field(default_factory=list)
    link: list[NDArray[np.int32]] = field(default_factory=list)
    share: list[Real] = field(default_factory=list)
    volume: list[Real] = field(default_factory=list)
    ready: list[Real] = field(default_factory=list)
    delay: list[Real] = field(default_factory=list)
    before: list[Whole] = field(default_factory=list)
    later: list[Whole] = field(default_factory=list)
    count: int = 0

    def add(self, ways: Routes, volume: ArrayLike, ready: ArrayLike = 0.0, delay: ArrayLike = 0.0) -> Whole:
        """Add flows over routes; their numbers."""
        self.entries.append(np.diff(ways.first))
        self.link.append(ways.link)
        self.share.append(ways.share)
        for column, values in ((self.volume, volume), (self.ready, ready), (self.delay, delay)):
            column.append(np.broadcast_to(np.asarray(values, dtype=np.float64), (ways.flows,)))
        self.count += ways.flows
        return np.arange(self.count - ways.flows, self.count)

    def add_gates(self, count: int, ready: ArrayLike = 0.0, delay: ArrayLike = 0.0) -> Whole:
        """Add flows without bytes; their numbers."""
        return self.add(
            Routes(np.zeros(count + 1, np.int64), NOWHERE.link, NOWHERE.share, np.zeros(count)), 0.0, ready, delay
        )

    def wait(self, later: Whole, before: Whole) -> None:
        """Let each of ``later`` wait for its one of ``before``."""
        self.before.append(before)
        self.later.append(later)

    def routes(self) -> Routes:
        """The routes of all."""
        first = np.concatenate(([0], np.cumsum(_joined(self.entries)))).astype(np.int64)
        return Routes(first, _joined(self.link).astype(np.int32), _joined(self.share), np.zeros(self.count))


def _joined(parts: list[NDArray[D]]) -> NDArray[D]:
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Laid:
    """A job laid out: its flows are ``begin`` to ``end - 1``, of which ``last`` end it for each node."""

    begin: int
    end: int
    last: Whole
    rounds: int


def lay_out(job: Job, fabric: Fabric, routing: str, flows: Flows) -> Laid:
    """Add all transfers of a job."""
    members = nodes_of(job, fabric)
    begin = flows.count
    ready = np.zeros(len(members))
    ready[: job.schedule.ranks] = skew_of(job)
    known: dict[tuple[int, int], tuple[Routes, Whole, Whole]] = {}
    base = flows.add_gates(len(members), ready)
    lanes: dict[int, Whole] = {}
    phase = rounds = 0
    for kept in job.schedule.rounds():
        _check_count(flows.count + max(kept.between_all**2, len(kept.source)))
        each = expanded(kept)
        if each.phase != phase:
            phase, base, lanes = each.phase, _met(flows, base, lanes), {}
        key = (id(each.source), id(each.target))
        if key not in known:
            ways = routes(fabric, members[each.source], members[each.target], routing)
            known[key] = (ways, each.source, each.target)
        ways = known[key][0]
        gates = lanes.get(each.lane, base)
        moving = flows.add(ways, each.share * job.size_bytes, delay=job.start_s)
        for ends in (each.source, each.target):
            flows.wait(moving, gates[ends])
        arrived, late = moving, ways.delay_s[:1]
        if (ways.delay_s != late).any():
            arrived, late = flows.add_gates(ways.flows, delay=ways.delay_s), np.zeros(1)
            flows.wait(arrived, moving)
        taking = np.unique(np.concatenate((each.source, each.target)))
        lanes[each.lane] = gates.copy()
        lanes[each.lane][taking] = flows.add_gates(len(taking), delay=late)
        for ends in (each.source, each.target):
            flows.wait(lanes[each.lane][ends], arrived)
        rounds += 1
    return Laid(begin, flows.count, _met(flows, base, lanes), rounds)


def _check_count(count: int) -> None:
    if count > MOST_FLOWS:
        raise InputError(
            f"{count:,} flows are too many to run against each other",
            where="fidelity",
            remedy="take fewer ranks, or leave out skew, background and other jobs: equal rounds are solved once",
        )


def _met(flows: Flows, base: Whole, lanes: dict[int, Whole]) -> Whole:
    """Gates that each rank passes when it is through with all lanes."""
    if len(lanes) < 2:
        return next(iter(lanes.values()), base)
    gates = flows.add_gates(len(base))
    for each in lanes.values():
        flows.wait(gates, each)
    return gates


def priced_over_time(
    jobs: Sequence[Job], fabric: Fabric, background: Background | None, routing: str, tolerance: float
) -> list[FlowPriced]:
    """Run all jobs and the background at once; a price for each job.

    What chunks leave unhidden of a pipeline's filling is that of the whole collective, whose pipeline fills in the time
    that it would take without any bytes.
    """
    flows = Flows()
    laid = [lay_out(job, fabric, routing, flows) for job in jobs]
    if background is not None:
        source, target = (np.asarray(ends, dtype=np.int64) for ends in (background.sources, background.targets))
        ways = routes(fabric, source, target, routing)
        flows.add(ways, background.volume_bytes, background.ready_s)
    ways = flows.routes()
    capacity = capacities(fabric)
    volume = np.asarray(_joined(flows.volume), dtype=np.float64)
    delay, ready, after = (_joined(flows.delay), _joined(flows.ready), (_joined(flows.before), _joined(flows.later)))
    found = drained(ways, capacity, volume, ready_s=ready, delay_s=delay, after=after, tolerance=tolerance)
    is_ramped = any(job.ramps[-1] > 0 for job in jobs)
    empty = drained(ways, capacity, 0.0, delay_s=delay, after=after) if is_ramped else None
    prices = []
    for job, each in zip(jobs, laid, strict=True):
        of_job = Routes(
            ways.first[each.begin : each.end + 1] - ways.first[each.begin],
            ways.link[ways.first[each.begin] : ways.first[each.end]],
            ways.share[ways.first[each.begin] : ways.first[each.end]],
            np.zeros(each.end - each.begin),
        )
        loads = link_loads(of_job, len(fabric.indices), volume[each.begin : each.end])
        seconds = float(found.finish_s[each.last].max())
        if empty is not None:
            fill_s = float(empty.finish_s[each.last].max())
            pass_s = seconds - fill_s - float(skew_of(job).max())
            seconds += filled(fill_s, max(0.0, pass_s), job.ramps[-1]) - fill_s - max(0.0, pass_s)
        needs = loads / np.where(loads > 0, capacity, 1.0)
        prices.append(answer(fabric, loads, needs, seconds, each.rounds, found.fillings, "over-time"))
    return prices
