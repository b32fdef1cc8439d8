"""What changes while a cluster runs: the state of one job, and of one service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.clock import to_ns
from simulator.cluster.allocation import as_runs
from simulator.cluster.checkpoints import wall_ns, young_daly_seconds

if TYPE_CHECKING:
    import simpy

    from simulator.cluster.types import Job, Outcome, Run, Service, Settings


def units_for(chips: int, settings: Settings) -> int:
    """Whole units that hold ``chips`` chips [1]."""
    return -(-chips // settings.unit_chips)


class Work:
    """A job through its attempts.

    ``index`` is its place in the order of arrival, ``key`` orders the queue, ``estimate_ns`` is what the scheduler is
    told that the next attempt takes [ns].
    """

    __slots__ = (
        "estimate_ns",
        "first_start_ns",
        "index",
        "interruptions",
        "interval_ns",
        "job",
        "key",
        "outcome",
        "process",
        "remaining_ns",
        "restart_ns",
        "runs",
        "started_ns",
        "stopped_ns",
        "submit_ns",
        "total_ns",
        "units",
        "wall_ns",
        "write_ns",
    )

    def __init__(self, job: Job, index: int, settings: Settings) -> None:
        self.job = job
        self.index = index
        self.submit_ns = to_ns(job.submit_s)
        self.units = units_for(job.chips, settings)
        self.total_ns = self.remaining_ns = max(1, to_ns(job.work_s))
        self.write_ns = to_ns(job.checkpoint_s)
        self.interval_ns = self._interval_ns(settings)
        self.restart_ns = 0
        self.interruptions = 0
        self.first_start_ns = self.started_ns = self.stopped_ns = -1
        self.runs: tuple[Run, ...] = ()
        self.process: simpy.Process | None = None
        self.outcome: Outcome = "waiting"
        self._plan()

    def _interval_ns(self, settings: Settings) -> int:
        """Productive time between checkpoints [ns]: at least one, at most all of the work."""
        if settings.checkpoint_interval != "young-daly":
            return min(self.total_ns, max(1, to_ns(settings.checkpoint_interval)))
        failures_per_s = settings.failures_per_chip_s * self.units * settings.unit_chips
        if failures_per_s == 0:
            return self.total_ns
        interval_s = young_daly_seconds(self.job.checkpoint_s, 1.0 / failures_per_s)
        return max(1, to_ns(interval_s)) if interval_s < self.job.work_s else self.total_ns

    def _plan(self) -> None:
        """Set what the next attempt takes, and is said to take, if nothing fails."""
        self.key = (-self.job.priority, 0 if self.interruptions else 1, self.index)
        self.wall_ns = self.restart_ns + wall_ns(self.remaining_ns, self.interval_ns, self.write_ns)
        self.estimate_ns = self.wall_ns
        if self.job.requested_s is not None:
            share = self.remaining_ns / self.total_ns
            self.estimate_ns = self.restart_ns + max(1, to_ns(self.job.requested_s * share))

    def complete(self, now_ns: int) -> None:
        """Be done at ``now_ns``."""
        self.outcome = "completed"
        self.stopped_ns = now_ns

    def interrupt(self, restart_ns: int) -> None:
        """Go back to the queue, to pay ``restart_ns`` at the next start [ns]."""
        self.restart_ns = restart_ns
        self.interruptions += 1
        self.outcome = "waiting"
        self._plan()


class Tenant:
    """A service and the units it holds: ``ready_ns`` maps a unit to the time from which it serves [ns]."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.wanted = units_for(service.chips, settings)
        self.unit_chips = settings.unit_chips
        self.ready_ns: dict[int, int] = {}
        self.settled_ns = 0

    @property
    def runs(self) -> tuple[Run, ...]:
        """The units that it holds."""
        return as_runs(sorted(self.ready_ns))

    def chips(self) -> tuple[int, int, int]:
        """Chips that serve, that are starting, and beyond what was asked for, since the last settlement [1]."""
        held = len(self.ready_ns) * self.unit_chips
        asked = min(self.service.chips, held)
        ready = sum(1 for time_ns in self.ready_ns.values() if time_ns <= self.settled_ns)
        serving = min(asked, ready * self.unit_chips)
        return serving, asked - serving, held - asked

    def rate_tokens_per_s(self, serving_chips: int) -> float:
        """Return what so many chips serve at most [1/s]."""
        return self.service.capacity_tokens_per_s * serving_chips / self.service.chips
