"""The run itself, on SimPy: arrivals, jobs, failures and repairs are processes; the scheduler acts when they change.

Everything that happens at one instant happens before the scheduler looks, which it does once: the outcome does not
depend on the order in which SimPy pops simultaneous events. An attempt of a job is one timeout, however many
checkpoints it writes; what a failure leaves of it is arithmetic (:mod:`.checkpoints`).
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import TYPE_CHECKING

import simpy
from simpy.events import EventPriority

from simulator.clock import to_ns
from simulator.cluster.allocation import FreeUnits, without
from simulator.cluster.checks import check
from simulator.cluster.failures import failures
from simulator.cluster.policies import POLICIES
from simulator.cluster.record import Recorder
from simulator.cluster.work import Tenant, Work
from simulator.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from simulator.cluster.failures import Failure
    from simulator.cluster.types import Job, Report, Service, Settings

    Process = Generator[simpy.Event, None, None]

_LAST = EventPriority(2)
"""After SimPy's urgent (0) and normal (1) events of the same instant."""

_QUEUE_ORDER = attrgetter("key")


class _Pass(simpy.Event):
    """The scheduler's turn: an event of this instant that comes after all others of it."""

    def __init__(self, env: simpy.Environment, schedule: Callable[[simpy.Event], None]) -> None:
        super().__init__(env)
        self.callbacks = [schedule]
        self._ok = True
        self._value = None
        env.schedule(self, priority=_LAST)


class Cluster:
    """A machine with its scheduler; :meth:`run` plays it through once.

    Raises
    ------
    simulator.errors.InputError : what :func:`simulator.cluster.checks.check` refuses
    """

    def __init__(self, settings: Settings, jobs: Sequence[Job], services: Sequence[Service], seed: int) -> None:
        check(settings, jobs, services)
        self.settings = settings
        self.env = simpy.Environment()
        self.horizon_ns = to_ns(settings.horizon_s)
        self.record = Recorder(settings, self.horizon_ns, seed)
        self.free = FreeUnits(settings.units)
        self.policy = POLICIES[settings.policy]
        self.restart_ns = to_ns(settings.restart_s)
        self.repair_ns = max(1, to_ns(settings.repair_s))
        self.queue: list[Work] = []
        self.running: dict[int, Work] = {}
        self.down: dict[int, int] = {}
        self.is_pass_due = False
        in_order = sorted(jobs, key=lambda job: to_ns(job.submit_s))
        self.arrivals = [Work(job, index, settings) for index, job in enumerate(in_order)]
        self.tenants = [Tenant(service, settings) for service in services]
        self.failures = failures(settings, seed)

    def run(self) -> Report:
        """Simulate until the horizon, settle what is still going on, and close the ledger.

        Raises
        ------
        InternalError : the ledger does not close, or it has run before
        """
        if self.env.now:
            raise InternalError(f"a cluster runs once (seed {self.record.seed})")
        self._admit_services()
        self.env.process(self._arrive())
        self.env.process(self._fail())
        self.env.run(until=self.horizon_ns)
        self._settle()
        return self.record.report()

    # Processes -------------------------------------------------------------------------------------------------

    def _arrive(self) -> Process:
        """Submit the jobs in the order of their times."""
        held = sum(tenant.wanted for tenant in self.tenants)
        for work in self.arrivals:
            if work.submit_ns >= self.horizon_ns:
                return
            if work.submit_ns > self.env.now:
                yield self.env.timeout(work.submit_ns - self._now)
            self.record.submitted.append(work)
            self.record.log(self._now, "submit", work.job.id, work.units)
            if work.units > self.settings.units - held:
                work.outcome = "rejected"
                self.record.reject(self._now, work.job.id, work.units)
            else:
                self._enqueue(work)

    def _attempt(self, work: Work) -> Process:
        """Run a job from its start until it ends or a unit of it fails."""
        try:
            yield self.env.timeout(work.wall_ns)
        except simpy.Interrupt as interrupt:
            self._stop(work, failed_unit=interrupt.cause)
        else:
            self._stop(work)

    def _fail(self) -> Process:
        """Let units fail."""
        for failure in self.failures:
            yield self.env.timeout(failure.gap_ns)
            if failure.unit not in self.down:
                self._strike(failure)

    def _repair(self, failure: Failure) -> Process:
        """Bring a failed unit back."""
        yield self.env.timeout(failure.repair_ns)
        self.record.repaired(failure.unit, self.down.pop(failure.unit), self._now)
        self.free.give([(failure.unit, failure.unit + 1)], self._now)
        self._request_pass()

    def _join(self, tenant: Tenant) -> Process:
        """Let replacement units serve once they have started."""
        yield self.env.timeout(self.restart_ns)
        self.record.settle_service(tenant, self._now)

    # What they do ----------------------------------------------------------------------------------------------

    @property
    def _now(self) -> int:
        """The time [ns]."""
        return int(self.env.now)

    def _request_pass(self) -> None:
        """Ask for the scheduler at the end of this instant."""
        if not self.is_pass_due:
            self.is_pass_due = True
            _Pass(self.env, self._schedule)

    def _enqueue(self, work: Work) -> None:
        """Put a job into the queue at its place."""
        if self.queue and work.key < self.queue[-1].key:
            insort(self.queue, work, key=_QUEUE_ORDER)
        else:
            self.queue.append(work)
        self._request_pass()

    def _schedule(self, _event: simpy.Event) -> None:
        """Services that lack units take free ones; then the policy starts jobs."""
        self.is_pass_due = False
        now_ns = self._now
        for tenant in self.tenants:
            self._refill(tenant)
        if self.queue and self.free.free:
            decision = self.policy(now_ns, self.queue, self.free.free, self._releases)
            chosen = [self.queue[position] for position in decision.start]
            for position in sorted(decision.start, reverse=True):
                del self.queue[position]
            for work in chosen:
                self._start(work)
            if decision.reservation_ns is not None:
                self.record.reserve(now_ns, self.queue[0].job.id, decision.reservation_ns)
        self.record.queue_length(now_ns, len(self.queue))

    def _releases(self) -> list[tuple[int, int]]:
        """Return what is expected back when: running jobs by their requests, repairs by their mean time [ns].

        All of it is for jobs: the policy is asked only while units are free, and then no service lacks any.
        """
        soonest = self._now + 1
        expected = [(max(soonest, work.started_ns + work.estimate_ns), work.units) for work in self.running.values()]
        expected += [(max(soonest, since_ns + self.repair_ns), 1) for since_ns in self.down.values()]
        return sorted(expected)

    def _start(self, work: Work) -> None:
        """Give a job its units."""
        now_ns = self._now
        work.runs = self.free.take(work.units, now_ns)
        work.started_ns = now_ns
        if work.first_start_ns < 0:
            work.first_start_ns = now_ns
        work.outcome = "running"
        self.running[work.index] = work
        self.record.log(now_ns, "start", work.job.id, work.units)
        work.process = self.env.process(self._attempt(work))

    def _stop(self, work: Work, failed_unit: int | None = None) -> None:
        """End an attempt: complete the job, or send it back to the head of the queue with the work it had saved."""
        now_ns = self._now
        del self.running[work.index]
        is_complete = now_ns - work.started_ns >= work.wall_ns
        work.remaining_ns -= self.record.settle_job(work, now_ns, "completed" if is_complete else "interrupted")
        self.free.give(work.runs if failed_unit is None else without(work.runs, failed_unit), now_ns)
        work.runs = ()
        if is_complete:
            work.complete(now_ns)
            self._request_pass()
        else:
            self.record.log(now_ns, "interrupt", work.job.id, -1 if failed_unit is None else failed_unit)
            work.interrupt(self.restart_ns)
            self._enqueue(work)

    def _strike(self, failure: Failure) -> None:
        """Take a failed unit from whoever has it, and send it to repair."""
        unit = failure.unit
        self.record.fail(self._now, unit)
        self.down[unit] = self._now
        self.env.process(self._repair(failure))
        if self.free.holds(unit):
            self.free.remove(unit, self._now)
            return
        for tenant in self.tenants:
            if unit in tenant.ready_ns:
                self.record.settle_service(tenant, self._now)
                del tenant.ready_ns[unit]
                self._request_pass()
                return
        for work in self.running.values():
            if work.process is not None and any(first <= unit < stop for first, stop in work.runs):
                work.process.interrupt(unit)
                return
        raise InternalError(f"unit {unit} is nowhere (seed {self.record.seed})")

    # Services --------------------------------------------------------------------------------------------------

    def _admit_services(self) -> None:
        """Give each service that fits its units, in the order in which they stand; reject the others."""
        admitted = []
        for tenant in self.tenants:
            self.record.demand(tenant.service)
            if tenant.wanted > self.free.free:
                self.record.reject(0, tenant.service.name, tenant.wanted)
                continue
            tenant.ready_ns = dict.fromkeys(_each(self.free.take(tenant.wanted, 0)), 0)
            self.record.log(0, "start", tenant.service.name, tenant.wanted)
            admitted.append(tenant)
        self.tenants = admitted

    def _refill(self, tenant: Tenant) -> None:
        """Replace the units that a service lost by free ones."""
        count = min(tenant.wanted - len(tenant.ready_ns), self.free.free)
        if count <= 0:
            return
        self.record.settle_service(tenant, self._now)
        for unit in _each(self.free.take(count, self._now)):
            tenant.ready_ns[unit] = self._now + self.restart_ns
            self.record.log(self._now, "join", tenant.service.name, unit)
        if self.restart_ns:
            self.env.process(self._join(tenant))

    def _settle(self) -> None:
        """Account for all that is going on at the horizon."""
        for work in self.running.values():
            is_complete = self.horizon_ns - work.started_ns >= work.wall_ns
            work.remaining_ns -= self.record.settle_job(
                work, self.horizon_ns, "completed" if is_complete else "running"
            )
            if is_complete:
                work.complete(self.horizon_ns)
        for tenant in self.tenants:
            self.record.settle_service(tenant, self.horizon_ns)
        for unit, since_ns in self.down.items():
            self.record.repaired(unit, since_ns, self.horizon_ns, outcome="repairing")
        self.free.book(self.horizon_ns)
        self.record.ledger.add("idle", self.settings.unit_chips, self.free.idle_unit_ns)


def _each(runs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the units of some runs."""
    return [unit for first, stop in runs for unit in range(first, stop)]
