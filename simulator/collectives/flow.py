"""Price of collectives on the flow level: their rounds as flows that share the links of a fabric max-min fairly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.collectives.in_step import solver_of
from simulator.collectives.jobs import Background, FlowPriced, Job, Reducing, answer, nodes_of, skew_of
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.patterns import default_routing, pattern_loads
from simulator.collectives.steps import Steps, steps_of
from simulator.errors import InputError
from simulator.network.flows import LARGEST_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from simulator.collectives.schedules import Schedule
    from simulator.fabric import Fabric

MOST_FREE = 1 << 18
"""Transfers of lanes that share links up to which each lane goes at its own pace."""

__all__ = [
    "Background",
    "FlowPriced",
    "Job",
    "Reducing",
    "flow_price",
    "flow_prices",
    "in_step",
    "pattern_loads",
    "priced_in_step",
]


def flow_price(
    schedule: Schedule,
    fabric: Fabric,
    members: ArrayLike,
    size_bytes: float,
    *,
    start_s: float = 0.0,
    skew_s: ArrayLike | None = None,
    tolerance: float = 0.0,
    background: Background | None = None,
    routing: str = "",
) -> FlowPriced:
    """Price one collective.

    Where all ranks start at once on an idle fabric they keep step: a round starts when the one before has ended
    everywhere, and rounds that differ in size alone are solved once. With skew or background traffic every transfer is
    a flow of its own that waits for those before it at its two ends alone. Both are the same where all transfers of a
    round end at once.

    Parameters
    ----------
    schedule : of :data:`simulator.collectives.schedules.SCHEDULES`
    members : node of each rank, then of each switch that reduces
    size_bytes : S, as nccl-tests counts it [B]
    start_s : software time at the start of every transfer [s]
    skew_s : when each rank is ready [s]; all at 0 if left out
    tolerance : part of the time within which events count as simultaneous; 0 is exact
    background : flows that are in the way
    routing : a name of :data:`simulator.routing.routes.ROUTING`; the fabric's own if empty

    Raises
    ------
    InputError : members that do not fit the schedule or the fabric, a size, time or tolerance that is none, nodes that
        cannot reach each other
    """
    job = Job(schedule, members, size_bytes, start_s, 0.0 if skew_s is None else skew_s)
    return flow_prices([job], fabric, tolerance=tolerance, background=background, routing=routing)[0]


def flow_prices(
    jobs: Sequence[Job],
    fabric: Fabric,
    *,
    tolerance: float = 0.0,
    background: Background | None = None,
    routing: str = "",
) -> list[FlowPriced]:
    """Price collectives that run at once, each as of :func:`flow_price`."""
    if not 0 <= tolerance <= LARGEST_TOLERANCE:
        raise InputError(f"{tolerance:g} is no tolerance", where="tolerance", remedy="give 0 (exact) to 0.1")
    how = routing or default_routing(fabric)
    if len(jobs) == 1 and background is None:
        skew = skew_of(jobs[0])
        steps = in_step(jobs[0], fabric, tolerance=tolerance, routing=how) if (skew == skew[0]).all() else None
        if steps is not None:
            return [priced_in_step(steps, jobs[0], fabric)]
    return priced_over_time(jobs, fabric, background, how, tolerance)


def in_step(job: Job, fabric: Fabric, *, tolerance: float = 0.0, routing: str = "") -> Steps | None:
    """Solve the rounds of a collective whose ranks start at once, for all sizes.

    None where lanes that run side by side share a link, and run free: which of them is where then depends on the size.
    Of more than :data:`MOST_FREE` transfers, and between levels that overlap, they keep step too.
    """
    members, how = nodes_of(job, fabric), routing or default_routing(fabric)
    solver = solver_of(fabric, members, how, tolerance, job.start_s)
    reducing = {}
    if job.reducing is not None:
        reducing = {
            level: solver_of(job.reducing.fabric, members, how, tolerance, start_s)
            for level, start_s in job.reducing.start_s.items()
        }
    found = steps_of(job.schedule, solver, reducing, is_locked=bool(job.schedule.reduces))
    if found is None and transfers(job.schedule) > MOST_FREE:
        found = steps_of(job.schedule, solver, reducing, is_locked=True)
    return found


def transfers(schedule: Schedule) -> int:
    """Transfers of all rounds [1]."""
    return sum(each.between_all**2 or len(each.source) for each in schedule.rounds())


def priced_in_step(steps: Steps, job: Job, fabric: Fabric) -> FlowPriced:
    """The price of a collective whose rounds :func:`in_step` has solved."""
    seconds = float(skew_of(job)[0]) + steps.seconds(job.size_bytes, job.ramps, job.trees)
    level = "in-lock-step" if steps.is_locked else "in-step"
    loads, needs = steps.loads * job.size_bytes, steps.per_byte_s * job.size_bytes
    return answer(fabric, loads, needs, seconds, steps.rounds, steps.solved, level)
