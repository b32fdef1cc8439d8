"""What a run leaves behind: the ledger, the spans, the event log, and the report made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.clock import NANOSECONDS_PER_SECOND, to_ns, to_s
from simulator.cluster.checkpoints import split_ns
from simulator.cluster.load import tokens_until
from simulator.cluster.types import JobRecord, Report, Span
from simulator.ledger import FREE, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.cluster.types import LogEntry, Service, Settings
    from simulator.cluster.work import Tenant, Work

BINS = 288
"""Time bins of a report: five minutes each in a day."""


class Recorder:
    """Collects what happens; everything that holds chips is settled here, once for each stretch of time."""

    def __init__(self, settings: Settings, horizon_ns: int, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self.horizon_ns = horizon_ns
        self.ledger = Ledger(settings.chips, horizon_ns, seed=seed)
        self.edges_s = np.linspace(0.0, to_s(horizon_ns), BINS + 1)
        self.submitted: list[Work] = []
        self.spans: list[Span] = []
        self.events: list[LogEntry] = []
        self.queue: list[tuple[float, int]] = [(0.0, 0)]
        self.rejected: list[str] = []
        self.failures = 0
        self.tokens_trained = self.tokens_served = self.tokens_demanded = 0.0
        self._busy: list[tuple[int, int, float]] = []
        self._down: list[tuple[int, int, float]] = []
        self._serving_chip_s = np.zeros(BINS)
        self._reserved = ("", -1)

    # Events ----------------------------------------------------------------------------------------------------

    def log(self, now_ns: int, what: str, who: str, detail: int) -> None:
        """Write one line of the event log; :attr:`.types.Report.events` says what ``detail`` means."""
        self.events.append((now_ns, what, who, detail))

    def reject(self, now_ns: int, who: str, units: int) -> None:
        """Note that a job or a service asks for more than the machine could ever give."""
        self.rejected.append(who)
        self.log(now_ns, "reject", who, units)

    def reserve(self, now_ns: int, who: str, reservation_ns: int) -> None:
        """Log a start that the scheduler promises, when the promise changes."""
        if (who, reservation_ns) != self._reserved:
            self._reserved = (who, reservation_ns)
            self.log(now_ns, "reserve", who, reservation_ns)

    def fail(self, now_ns: int, unit: int) -> None:
        """Note that a unit fails."""
        self.failures += 1
        self.log(now_ns, "fail", str(unit), unit)

    def queue_length(self, now_ns: int, length: int) -> None:
        """Note that so many jobs wait from now on."""
        if self.queue[-1][1] != length:
            self.queue.append((to_s(now_ns), length))

    # Chip-time -------------------------------------------------------------------------------------------------

    def settle_job(self, work: Work, now_ns: int, outcome: str) -> int:
        """Account for the attempt of a job that ends now, and return the work that is kept of it [ns].

        ``outcome``: ``completed``, ``interrupted``, or ``running`` at the horizon, where nothing is lost.
        """
        elapsed_ns = now_ns - work.started_ns
        restart_ns = min(elapsed_ns, work.restart_ns)
        saved_ns, unsaved_ns, writing_ns = split_ns(
            elapsed_ns - restart_ns, work.remaining_ns, work.interval_ns, work.write_ns
        )
        worked_ns = saved_ns + unsaved_ns
        if outcome != "interrupted":
            saved_ns, unsaved_ns = worked_ns, 0
        chips = work.job.chips
        add = self.ledger.add
        add("productive", chips, saved_ns)
        add("checkpoint", chips, writing_ns)
        add("restart", chips, restart_ns)
        add("lost", chips, unsaved_ns)
        add("fragmented", work.units * self.settings.unit_chips - chips, elapsed_ns)
        self.tokens_trained += to_s(saved_ns) * work.job.tokens_per_s
        start_s, now_s = to_s(work.started_ns), to_s(now_ns)
        if worked_ns:
            self._busy.append((work.started_ns + restart_ns, now_ns, chips * to_s(worked_ns)))
        self.spans.append(Span("job", work.job.id, work.job.kind, work.runs, start_s, now_s, outcome))
        if outcome == "completed":
            self.log(now_ns, "complete", work.job.id, work.units)
        return saved_ns

    def settle_service(self, tenant: Tenant, now_ns: int) -> None:
        """Account for a service since its last settlement: its units and their readiness were constant until now."""
        since_ns, duration_ns = tenant.settled_ns, now_ns - tenant.settled_ns
        serving, starting, beyond = tenant.chips()
        tenant.settled_ns = now_ns
        if duration_ns == 0 or not tenant.ready_ns:
            return
        start_s, now_s = to_s(since_ns), to_s(now_ns)
        inside_s = np.clip(self.edges_s, start_s, now_s)
        served = np.diff(tokens_until(tenant.service, inside_s, tenant.rate_tokens_per_s(serving)))
        chips_per_rate = tenant.service.chips / tenant.service.capacity_tokens_per_s
        tokens = float(served.sum())
        busy_ns = min(serving * duration_ns, max(0, to_ns(tokens * chips_per_rate)))
        self.tokens_served += tokens
        self._serving_chip_s += served * chips_per_rate
        self.ledger.add("service_busy", 1, busy_ns)
        self.ledger.add("service_idle", 1, serving * duration_ns - busy_ns)
        self.ledger.add("restart", starting, duration_ns)
        self.ledger.add("fragmented", beyond, duration_ns)
        name = tenant.service.name
        self.spans.append(Span("service", name, name, tenant.runs, start_s, now_s, "serving"))

    def demand(self, service: Service) -> None:
        """Add what a service is asked for over the whole run."""
        ends = self.edges_s[[0, -1]]
        self.tokens_demanded += float(np.diff(tokens_until(service, ends, np.inf))[0])

    def repaired(self, unit: int, since_ns: int, now_ns: int, *, outcome: str = "repaired") -> None:
        """Account for a unit that was down until now."""
        chips = self.settings.unit_chips
        self.ledger.add("down", chips, now_ns - since_ns)
        start_s, now_s = to_s(since_ns), to_s(now_ns)
        self._down.append((since_ns, now_ns, chips * to_s(now_ns - since_ns)))
        self.spans.append(Span("down", f"unit-{unit}", "down", ((unit, unit + 1),), start_s, now_s, outcome))
        if outcome == "repaired":
            self.log(now_ns, "repair", str(unit), unit)

    # The report ------------------------------------------------------------------------------------------------

    def report(self) -> Report:
        """Close the ledger and sum up.

        Raises
        ------
        simulator.errors.InternalError : the ledger does not close
        """
        chip_ns = self.ledger.close()
        total_ns = self.ledger.capacity_chips * self.ledger.horizon_ns
        works = self.submitted
        accepted = [work for work in works if work.outcome != "rejected"]
        waited_ns = [
            (self.horizon_ns if work.first_start_ns < 0 else work.first_start_ns) - work.submit_ns for work in accepted
        ]
        delays_s = np.array([to_s(waited) for waited in waited_ns])
        completed = [work for work in accepted if work.outcome == "completed"]
        slowdowns = [(work.stopped_ns - work.submit_ns) / work.total_ns for work in completed]
        return Report(
            seed=self.seed,
            settings=self.settings,
            utilisation=(total_ns - sum(chip_ns[name] for name in FREE)) / total_ns,
            goodput_share=chip_ns["productive"] / total_ns,
            useful_share=(chip_ns["productive"] + chip_ns["service_busy"]) / total_ns,
            tokens_trained=self.tokens_trained,
            tokens_served=self.tokens_served,
            tokens_demanded=self.tokens_demanded,
            delay_s_mean=float(delays_s.mean()) if accepted else None,
            delay_s_median=float(np.median(delays_s)) if accepted else None,
            delay_s_p95=float(np.quantile(delays_s, 0.95)) if accepted else None,
            slowdown_mean=sum(slowdowns) / len(slowdowns) if slowdowns else None,
            jobs_submitted=len(works),
            jobs_completed=len(completed),
            jobs_interrupted=sum(1 for work in works if work.interruptions),
            interruptions=sum(work.interruptions for work in works),
            rejected=tuple(self.rejected),
            failures=self.failures,
            ledger=self.ledger.chip_seconds(),
            ledger_chip_ns=chip_ns,
            jobs=tuple(_record(work) for work in works),
            timeline=tuple(self.spans),
            queue=tuple(self.queue),
            events=tuple(self.events),
            edges_s=self.edges_s,
            busy_chip_s=spread(self._busy, self.edges_s) + self._serving_chip_s,
            down_chip_s=spread(self._down, self.edges_s),
        )


def _record(work: Work) -> JobRecord:
    """Write down what became of a job."""
    return JobRecord(
        work.job.id,
        work.job.kind,
        to_s(work.submit_ns),
        None if work.first_start_ns < 0 else to_s(work.first_start_ns),
        None if work.stopped_ns < 0 else to_s(work.stopped_ns),
        work.outcome,
        work.interruptions,
        to_s(work.total_ns - work.remaining_ns),
    )


def spread(pieces: Sequence[tuple[int, int, float]], edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amounts ``(start_ns, end_ns, amount)``, each spread evenly over its time, as amounts per time bin.

    >>> spread([(0, 3_000_000_000, 6.0), (2_000_000_000, 3_000_000_000, 1.0)], np.array([0.0, 2.0, 4.0]))
    array([4., 3.])
    """
    if not pieces:
        return np.zeros(len(edges_s) - 1)
    starts, ends, amounts = zip(*pieces, strict=True)
    start_ns, end_ns = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
    rate = np.array(amounts) / (end_ns - start_ns)
    times_ns = np.concatenate([start_ns, end_ns])
    order = np.argsort(times_ns, kind="stable")
    times_ns = times_ns[order]
    level = np.cumsum(np.concatenate([rate, -rate])[order])
    until = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times_ns))])
    amount: NDArray[np.float64] = np.diff(np.interp(edges_s * NANOSECONDS_PER_SECOND, times_ns, until))
    return np.clip(amount, 0.0, None)
