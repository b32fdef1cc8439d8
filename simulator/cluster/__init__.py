"""A machine through time: jobs, services, a scheduler, failures and repairs over hours or days, on SimPy.

Plain numbers in, plain data out: the caller knows what a job is worth on a slice, this package knows when it runs.

>>> from simulator.cluster import Job, Settings, simulate
>>> settings = Settings(units=4, unit_chips=64, horizon_s=3600.0)
>>> report = simulate(settings, [Job(id="a", chips=128, work_s=1800.0)], [], seed=1)
>>> report.utilisation, report.jobs_completed
(0.25, 1)

SimPy and numpy are imported when the first simulation starts, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.cluster.checkpoints import daly_seconds, young_daly_seconds
from simulator.cluster.policies import POLICIES
from simulator.cluster.types import Job, JobClass, JobRecord, Report, Service, Settings, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.cluster.engine import Cluster

__all__ = [
    "POLICIES",
    "Cluster",
    "Job",
    "JobClass",
    "JobRecord",
    "Report",
    "Service",
    "Settings",
    "Span",
    "daly_seconds",
    "draw_jobs",
    "simulate",
    "young_daly_seconds",
]


def simulate(settings: Settings, jobs: Sequence[Job], services: Sequence[Service], seed: int) -> Report:
    """Run ``jobs`` and ``services`` through ``settings.horizon_s`` seconds of a machine; same inputs, same report.

    ``seed`` names the random streams of failure times, victims and repairs; arrivals are in ``jobs`` already.
    A job or service that cannot fit is rejected, which the report says.

    Raises
    ------
    simulator.errors.InputError : a number outside its bounds, an unknown policy, two jobs or services of one name
    simulator.errors.InternalError : the ledger does not close
    """
    from simulator.cluster.engine import Cluster

    return Cluster(settings, jobs, services, seed).run()


def draw_jobs(
    classes: Sequence[JobClass], *, load: float, capacity_chips: int, horizon_s: float, seed: int
) -> tuple[Job, ...]:
    """Draw the jobs of ``horizon_s`` seconds that ask for ``load`` times the machine; see :mod:`.arrivals`.

    Raises
    ------
    simulator.errors.InputError : no classes, a weight, size or duration outside its bounds
    """
    from simulator.cluster.arrivals import draw

    return draw(classes, load=load, capacity_chips=capacity_chips, horizon_s=horizon_s, seed=seed)


def __getattr__(name: str) -> Any:
    """Import the engine, and SimPy with it, when it is first asked for."""
    if name == "Cluster":
        from simulator.cluster.engine import Cluster

        return Cluster
    raise AttributeError(f"module 'simulator.cluster' has no attribute {name!r}")
