"""The nouns of a cluster run: what goes in (settings, jobs, services) and what comes out (a report), as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAY_S = 86_400.0

Run = tuple[int, int]
"""Units ``first`` to ``stop - 1``, which lie side by side."""

Outcome = Literal["completed", "running", "waiting", "rejected"]
LogEntry = tuple[int, str, str, int]
"""``(time_ns, what, who, detail)``; what the detail counts is said at :attr:`Report.events`."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A machine as the scheduler sees it, and the rules.

    Parameters
    ----------
    units : allocation units, handed out whole [1]
    unit_chips : chips in a unit [1]
    horizon_s : simulated time [s]
    failures_per_chip_s : rate of failures that stop the unit of a chip, per chip [1/s]
    repair_s : mean time until a failed unit is back [s]
    repair_sigma : standard deviation of the logarithm of a lognormal repair time [1]; 0 makes it constant, None makes
        it exponential
    restart_s : what a job pays when it starts again after a failure, and a unit when it joins a running service [s]
    checkpoint_interval : productive seconds between checkpoints [s], or ``young-daly``
    policy : a name in :data:`simulator.cluster.policies.POLICIES`
    """

    units: int
    unit_chips: int
    horizon_s: float
    failures_per_chip_s: float = 0.0
    repair_s: float = 0.0
    repair_sigma: float | None = None
    restart_s: float = 0.0
    checkpoint_interval: float | Literal["young-daly"] = "young-daly"
    policy: str = "fifo"

    @property
    def chips(self) -> int:
        """Chips of the whole machine [1]."""
        return self.units * self.unit_chips


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A training job.

    Parameters
    ----------
    id : unique name
    kind : its class, for plots
    submit_s : when it joins the queue [s]
    chips : chips it needs at once [1]
    work_s : productive time on these chips [s], without checkpoints
    priority : higher goes first; the same order as arrival within one priority
    tokens_per_s : tokens trained per productive second [1/s]
    checkpoint_s : time to write one checkpoint, during which it does not train [s]
    requested_s : wall time the scheduler is told [s]; None: exactly what a run without failures takes
    """

    id: str
    kind: str = "job"
    submit_s: float = 0.0
    chips: int
    work_s: float
    priority: int = 0
    tokens_per_s: float = 0.0
    checkpoint_s: float = 0.0
    requested_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobClass:
    """A kind of job to draw: ``weight`` is its share of arrivals [1] in proportion to the other classes' weights.

    Durations are lognormal with mean ``work_s`` [s] and standard deviation of the logarithm ``work_sigma`` [1];
    the rest is as in :class:`Job`.
    """

    name: str
    weight: float
    chips: int
    work_s: float
    work_sigma: float = 0.0
    priority: int = 0
    tokens_per_s: float = 0.0
    checkpoint_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """An inference service, which holds its units for the whole run.

    The load is ``mean * (1 + a * cos(2 pi (t - peak_s) / period_s))`` with ``a = (r - 1) / (r + 1)`` for a ratio r of
    peak to trough.

    Parameters
    ----------
    name : unique name
    chips : chips it holds [1]
    capacity_tokens_per_s : what all its chips serve at most [1/s]; a part of them serves in proportion
    mean_tokens_per_s : mean load [1/s]
    peak_to_trough : ratio of the highest to the lowest load [1]
    peak_s : a time of highest load [s]
    period_s : from peak to peak [s]
    """

    name: str
    chips: int
    capacity_tokens_per_s: float
    mean_tokens_per_s: float
    peak_to_trough: float = 1.0
    peak_s: float = 0.0
    period_s: float = DAY_S


class Span(NamedTuple):
    """Some units over a time: held by a job or a service, or down.

    ``outcome`` of a job's span: ``completed``, ``interrupted``, ``running`` (at the end of the run); ``serving`` of a
    service, whose spans change whenever its units do; ``repaired`` or ``repairing`` of a unit that was down.
    """

    what: Literal["job", "service", "down"]
    name: str
    kind: str
    runs: tuple[Run, ...]
    start_s: float
    end_s: float
    outcome: str

    @property
    def units(self) -> tuple[int, ...]:
        """The units, in ascending order."""
        return tuple(unit for first, stop in self.runs for unit in range(first, stop))


class JobRecord(NamedTuple):
    """What became of a job; a time that never came is None."""

    id: str
    kind: str
    submit_s: float
    first_start_s: float | None
    end_s: float | None
    outcome: Outcome
    interruptions: int
    productive_s: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What happened.

    Shares are of capacity times horizon. ``delay_s_*`` is the time from submission to the first start; a job that
    still waits at the end counts with the time it has waited so far; ``slowdown_mean`` is (end - submission) / work
    over the completed jobs. Both are None where there is no such job.

    Parameters
    ----------
    utilisation : share that was allocated
    goodput_share : share in the bin ``productive``
    useful_share : share in the bins ``productive`` and ``service_busy``
    tokens_trained : tokens of training work that was kept
    tokens_served, tokens_demanded : over all services, rejected ones included in the demand
    jobs_submitted : jobs that arrived within the horizon, rejected ones included
    jobs_interrupted : jobs struck by at least one failure
    interruptions : times that a job was struck
    rejected : ids of jobs and names of services larger than what the machine could ever give
    failures : units that failed
    ledger : bin -> chip-seconds; ``ledger_chip_ns`` the same exactly
    jobs : one record per submitted job, in the order of submission
    timeline : who held which units when, in the order in which the spans ended
    queue : (time [s], jobs waiting) at every change
    events : ``(time_ns, what, who, detail)``: ``submit`` (units asked for), ``reject`` (units), ``start`` (units),
        ``complete`` (units), ``interrupt`` (unit that failed), ``reserve`` (ns at which the scheduler promises a
        start), ``fail`` (unit), ``repair`` (unit), ``join`` (unit that a service took as a replacement)
    edges_s : edges of equal time bins [s]
    busy_chip_s : chip-seconds of training (kept or lost) and serving per time bin; a job's work is spread evenly over
        each of its spans [s]
    down_chip_s : chip-seconds under repair per time bin [s]
    """

    seed: int
    settings: Settings
    utilisation: float
    goodput_share: float
    useful_share: float
    tokens_trained: float
    tokens_served: float
    tokens_demanded: float
    delay_s_mean: float | None
    delay_s_median: float | None
    delay_s_p95: float | None
    slowdown_mean: float | None
    jobs_submitted: int
    jobs_completed: int
    jobs_interrupted: int
    interruptions: int
    rejected: tuple[str, ...]
    failures: int
    ledger: dict[str, float]
    ledger_chip_ns: dict[str, int]
    jobs: tuple[JobRecord, ...]
    timeline: tuple[Span, ...]
    queue: tuple[tuple[float, int], ...]
    events: tuple[LogEntry, ...]
    edges_s: NDArray[np.float64] = field(compare=False)
    busy_chip_s: NDArray[np.float64] = field(compare=False)
    down_chip_s: NDArray[np.float64] = field(compare=False)
