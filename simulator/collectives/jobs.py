"""What the flow level is asked, and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.fabric import sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from simulator.collectives.schedules import Schedule
    from simulator.fabric import Fabric

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]

MOST_BYTES = 1e18


@dataclass(frozen=True, eq=False)
class Reducing:
    """A fabric as switches use it that reduce.

    Parameters
    ----------
    fabric : the links of the other one at rates of their own
    start_s : level of the schedule -> time until the first reduced bytes come back, latency included [s]
    """

    fabric: Fabric
    start_s: Mapping[int, float]


@dataclass(frozen=True)
class Trees:
    """What trees across the outermost level have that other messages do not.

    Parameters
    ----------
    eager_share : part of the filling that is left where messages carry their own flags, and do not wait for one [1]
    eager_times : how many times as long their bytes take; infinite where there are none [1]
    window_s : time in which all passes that may be under way at once [s]
    """

    eager_share: float = 1.0
    eager_times: float = math.inf
    window_s: float = math.inf


@dataclass(frozen=True, eq=False)
class Job:
    """One collective that runs on a fabric.

    Parameters
    ----------
    schedule : who sends what to whom
    members : node of each rank, then of each switch that reduces
    size_bytes : S, as nccl-tests counts it [B]
    start_s : software time at the start of every transfer [s]
    skew_s : when each rank is ready; one number for all, or one for each [s]
    ramps : share of a pipeline's filling that chunks do not hide, of each level of the schedule; the last for one
        without levels [1]
    reducing : where switches reduce in a schedule of levels
    trees : what trees have across its outermost level
    """

    schedule: Schedule
    members: ArrayLike
    size_bytes: float
    start_s: float = 0.0
    skew_s: ArrayLike = 0.0
    ramps: tuple[float, ...] = (0.0,)
    reducing: Reducing | None = None
    trees: Trees | None = None


@dataclass(frozen=True, eq=False)
class Background:
    """Flows that are in the way: nodes that send and receive, bytes, and when each begins [s]."""

    sources: ArrayLike
    targets: ArrayLike
    volume_bytes: ArrayLike
    ready_s: ArrayLike = 0.0


@dataclass(frozen=True, eq=False)
class FlowPriced:
    """A collective priced on the flow level.

    Parameters
    ----------
    seconds : from time 0 until the last rank has ended [s]
    rounds : rounds of the schedule [1]
    loads : (entries,) bytes that the collective puts on each directed link of the fabric [B]
    busiest : the link that needs longest for its bytes
    link_s : how long that link needs for them, without any latency [s]
    solved : how often rates were filled, or different rounds solved where all ranks keep step [1]
    level : ``in-step``, ``in-lock-step`` where also lanes side by side wait for each other, or ``over-time``
    """

    seconds: float
    rounds: int
    loads: Real
    busiest: str
    link_s: float
    solved: int
    level: str


def answer(
    fabric: Fabric, loads: Real, needs: Real, seconds: float, rounds: int, solved: int, level: str
) -> FlowPriced:
    """The answer with its busiest link; ``needs`` is how long each link takes for its loads [s]."""
    most = int(np.argmax(needs))
    busiest = f"{fabric.nodes[int(sources(fabric)[most])]} -> {fabric.nodes[int(fabric.indices[most])]}"
    return FlowPriced(seconds, rounds, loads, busiest, float(needs[most]), solved, level)


def nodes_of(job: Job, fabric: Fabric) -> Whole:
    """Node of every rank and switch of a job.

    Raises
    ------
    InputError : too few or too many, one twice or outside the fabric, a size or time that is none
    """
    found = np.asarray(job.members, dtype=np.int64)
    needed = job.schedule.ranks + job.schedule.switches
    if found.shape != (needed,):
        switches = f" and {job.schedule.switches} switches" if job.schedule.switches else ""
        raise InputError(
            f"{found.size} nodes do not make {job.schedule.ranks} ranks{switches}",
            where="members",
            remedy=f"name {needed} nodes",
        )
    if found.min() < 0 or found.max() >= len(fabric.nodes):
        raise InputError(
            f"{fabric.name} has no node {found[(found < 0) | (found >= len(fabric.nodes))][0]}",
            where="members",
            remedy=f"number nodes 0 to {len(fabric.nodes) - 1}",
        )
    ranks = found[: job.schedule.ranks]
    if len(np.unique(ranks)) < len(ranks):
        raise InputError("two ranks stand on one node", where="members", remedy="give each rank a node of its own")
    if not (math.isfinite(job.size_bytes) and 0 < job.size_bytes <= MOST_BYTES):
        raise InputError(f"{job.size_bytes:g} bytes is no size of a message", where="bytes", remedy="give more than 0")
    if not (math.isfinite(job.start_s) and job.start_s >= 0):
        raise InputError(f"{job.start_s:g} s is no time at the start of a step", where="start", remedy="give 0 or more")
    return found


def skew_of(job: Job) -> Real:
    """When each rank is ready: (ranks,) [s]."""
    given = np.asarray(job.skew_s, dtype=np.float64)
    if given.shape not in {(), (1,), (job.schedule.ranks,)} or not (np.isfinite(given) & (given >= 0)).all():
        raise InputError(
            "the skew is not one time from 0 for each rank",
            where="skew",
            remedy=f"give 1 or {job.schedule.ranks} times",
        )
    return np.broadcast_to(given, (job.schedule.ranks,))
