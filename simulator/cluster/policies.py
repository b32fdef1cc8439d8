"""Which waiting jobs start now. A policy is one function and one line in :data:`POLICIES`.

The queue comes in order: higher priority first, then jobs that a failure struck, then the order of arrival. A policy
decides on units and requested wall times alone; it may not know when a job will really end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from simulator.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Waiting(Protocol):
    """What a policy may know of a waiting job: units it needs [1], wall time that was requested for it [ns]."""

    @property
    def units(self) -> int:
        """Units that it needs [1]."""

    @property
    def estimate_ns(self) -> int:
        """Wall time that was requested [ns]."""


class Decision(NamedTuple):
    """Positions in the queue to start, in this order, and when the first that stays is promised to start [ns]."""

    start: list[int]
    reservation_ns: int | None = None


if TYPE_CHECKING:
    Releases = Callable[[], Sequence[tuple[int, int]]]
    """Gives ``(time_ns, units)``: what is expected to come back when, ascending, no time before now."""
    Policy = Callable[[int, Sequence[Waiting], int, Releases], Decision]
    """``(now_ns, queue, free_units, releases) -> decision``."""


def fifo(now_ns: int, queue: Sequence[Waiting], free_units: int, releases: Releases) -> Decision:
    """First in, first out: nobody overtakes."""
    start = []
    for position, job in enumerate(queue):
        if job.units > free_units:
            break
        free_units -= job.units
        start.append(position)
    return Decision(start)


def easy(now_ns: int, queue: Sequence[Waiting], free_units: int, releases: Releases) -> Decision:
    """EASY backfill: the first job that must wait gets a promise; others overtake where they do not break it.

    A job overtakes if it fits now and either ends before the promised start or uses units that are to spare then.

    Reference: Lifka, The ANL/IBM SP scheduling system, JSSPP 1995; Mu'alem and Feitelson, IEEE Trans. Parallel
    Distrib. Syst. 12(6), 2001, 529-543.
    """
    start = fifo(now_ns, queue, free_units, releases).start
    head = len(start)
    free_units -= sum(queue[position].units for position in start)
    if head + 1 >= len(queue) or free_units == 0:
        return Decision(start)
    started = [(now_ns + queue[position].estimate_ns, queue[position].units) for position in start]
    reservation_ns, spare_units = _reserve(queue[head].units, free_units, sorted([*releases(), *started]))
    for position in range(head + 1, len(queue)):
        job = queue[position]
        if job.units > free_units:
            continue
        ends_before = now_ns + job.estimate_ns <= reservation_ns
        if not ends_before and job.units > spare_units:
            continue
        spare_units -= 0 if ends_before else job.units
        free_units -= job.units
        start.append(position)
        if free_units == 0:
            break
    return Decision(start, reservation_ns)


def _reserve(units: int, free_units: int, releases: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """When ``units`` units will be free at the latest, and how many more will be free then."""
    expected = free_units
    for position, (time_ns, released) in enumerate(releases):
        expected += released
        is_last_of_its_time = position + 1 == len(releases) or releases[position + 1][0] > time_ns
        if expected >= units and is_last_of_its_time:
            return time_ns, expected - units
    raise InternalError(f"{units} units will never be free: {free_units} are, {releases} come back")


def shortest_first(now_ns: int, queue: Sequence[Waiting], free_units: int, releases: Releases) -> Decision:
    """Shortest requested wall time first, in order of the queue among equals; nobody overtakes a shorter job."""
    start = []
    for position in sorted(range(len(queue)), key=lambda position: queue[position].estimate_ns):
        if queue[position].units > free_units:
            break
        free_units -= queue[position].units
        start.append(position)
    return Decision(start)


POLICIES: dict[str, Policy] = {"easy": easy, "fifo": fifo, "shortest-first": shortest_first}
"""Name -> policy."""
