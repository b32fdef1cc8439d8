"""Price of a schedule where all ranks keep step: every round starts when the one before has ended everywhere.

The bytes of a round move max-min fairly from its start; a transfer ends a latency after its last byte has left. So the
time of a transfer is a latency and a time in proportion to the size, and rounds that differ in size alone are solved
once.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.classes import DIGITS, flow_classes
from simulator.collectives.patterns import FromOne, all_pairs_loads, from_one
from simulator.collectives.schedules import expanded
from simulator.errors import InputError
from simulator.fabric import capacities
from simulator.network import drained, link_loads
from simulator.routing import Routes, routes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.schedules import Round
    from simulator.fabric import Fabric

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]

ALIKE = 1.0 - 1e-12
"""A time of at least this part of another is the same."""
MOST_PAIRS = 1 << 20
"""Pairs up to which everyone to everyone is solved flow by flow where no symmetry helps."""

MOST_ROUTED = 1 << 26
"""Pairs of which routes are found at most; more would take an hour."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A round of which the largest transfer moves one byte.

    Parameters
    ----------
    latency_s, per_byte_s : (kinds of transfers,) a transfer ends at latency + time per byte x bytes of the largest one
    loads : (entries,) bytes on each directed link
    """

    latency_s: Real
    per_byte_s: Real
    loads: Real

    def seconds(self, largest_bytes: float) -> float:
        """When the last transfer ends [s]."""
        return float((self.latency_s + self.per_byte_s * largest_bytes).max())


Lane = Counter[tuple[Hashable, float]]
"""Rounds that follow each other: (key of the round, part of S that its largest transfer moves) -> how often."""


@dataclass(eq=False)
class Solver:
    """What has been solved on one fabric for one group; rounds are known by their arrays, then by what these hold.

    Every transfer starts ``start_s`` after its round.
    """

    fabric: Fabric
    members: Whole
    routing: str
    tolerance: float
    start_s: float
    capacity: Real
    found: dict[Hashable, Solved] = field(default_factory=dict)
    ends: dict[tuple[int, int], tuple[bytes, Whole, Whole]] = field(default_factory=dict)

    def key(self, each: Round) -> Hashable:
        """The same for rounds with the same transfers and shares in the same proportions."""
        if each.between_all:
            return each.between_all
        place = (id(each.source), id(each.target))
        if place not in self.ends:
            order = np.sort(each.source * len(self.members) + each.target)
            self.ends[place] = (_digest(order), each.source, each.target)
        if is_even(each.share):
            return self.ends[place][0]
        shares = np.round(each.share / each.share.max(), DIGITS)
        return b"".join(_digest(column) for column in (each.source, each.target, shares))

    def lane(self, rounds: Iterable[Round]) -> Lane:
        """Rounds that follow each other, solved where they have not been."""
        lane: Lane = Counter()
        for each in rounds:
            key = self.key(each)
            if key not in self.found:
                solved = self.solve(each)
                self.found[key] = dataclasses.replace(solved, latency_s=solved.latency_s + self.start_s)
            lane[key, float(each.share[0] if is_even(each.share) else each.share.max())] += 1
        return lane

    def solved(self, lane: Lane) -> tuple[tuple[Solved, float, int], ...]:
        """The rounds of a lane: solution, part of S that the largest transfer moves, how often."""
        return tuple((self.found[key], share, often) for (key, share), often in lane.items())

    def solve(self, each: Round) -> Solved:
        """Solve a round anew.

        Everyone to everyone among more than :data:`MOST_PAIRS` pairs, where no chip speaks for the others, takes what
        its busiest link needs and the longest latency: all its flows end by then if that link is never idle.
        """
        if each.between_all:
            one = from_one(self.fabric, self.members, self.routing)
            if one is not None:
                return of_one(self.fabric, one, self.capacity, len(self.members), self.tolerance)
            if each.between_all**2 > MOST_ROUTED:
                raise InputError(
                    f"{each.between_all:,} ranks have too many pairs on a fabric that does not look the same from all",
                    where="--fidelity flow",
                    remedy="take fewer chips, leave out what fails, or ask the closed form",
                )
            if each.between_all**2 > MOST_PAIRS:
                loads, longest = all_pairs_loads(self.fabric, self.members[: each.between_all], self.routing)
                busiest = float((loads[loads > 0] / self.capacity[loads > 0]).max())
                return Solved(np.array([longest]), np.array([busiest]), loads)
            each = expanded(each)
        ways = routes(self.fabric, self.members[each.source], self.members[each.target], self.routing)
        volume = each.share / each.share.max()
        loads = link_loads(ways, len(self.capacity), volume)
        ends = equal_ends(ways, loads, self.capacity) if is_even(each.share) else None
        if ends is None:
            ends = drained_by_class(ways, self.capacity, volume, self.tolerance)
        return Solved(*kinds(ways.delay_s, ends), loads)


def _digest(column: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(column.tobytes(), digest_size=16).digest()


def is_even(share: Real) -> bool:
    """Whether all shares are the same."""
    return share.strides == (0,) or bool((share == share[0]).all())


def kinds(latency_s: Real, per_byte_s: Real) -> tuple[Real, Real]:
    """Pairs of which no other is longer in both."""
    order = np.lexsort((latency_s, per_byte_s))[::-1]
    longest = np.maximum.accumulate(latency_s[order])
    first = np.concatenate(([True], longest[1:] > longest[:-1]))
    return latency_s[order][first], per_byte_s[order][first]


def equal_ends(ways: Routes, loads: Real, capacity: Real) -> Real | None:
    """Ends of equal transfers if each uses a link that needs longest; None where one does not.

    All then have a full link on which none is faster, which makes their rates max-min fair, and end as one.
    """
    if len(ways.link) == 0 or (np.diff(ways.first) == 0).any():
        return None
    needs = loads[ways.link] / capacity[ways.link]
    longest = np.maximum.reduceat(needs, ways.first[:-1])
    if longest.min() < longest.max() * ALIKE:
        return None
    return longest


def drained_by_class(ways: Routes, capacity: Real, volume: Real, tolerance: float) -> Real:
    """When the last byte of each flow has left, solved once for flows that are alike: (flows,) [s]."""
    alike = flow_classes(ways, capacity, np.asarray(volume))
    ends = drained(alike.routes, alike.capacity_bytes_per_s, alike.volume_bytes, delay_s=0.0, tolerance=tolerance)
    return ends.finish_s[alike.of_flow]


def of_one(fabric: Fabric, one: FromOne, capacity: Real, chips: int, tolerance: float) -> Solved:
    """Everyone to everyone where the flows of one chip speak for all.

    A class of links is then one link, as wide as all of them together, for all flows that are translations of one.
    Flows over the class that needs longest are the slowest and end as one, so that nothing else needs to be known if
    one of them also has the longest way.
    """
    sizes = np.bincount(fabric.classes)
    width = np.zeros(len(sizes))
    width[fabric.classes] = capacity
    carried = one.share.sum(axis=0) * chips / sizes
    loads = carried[fabric.classes]
    needs = carried / width
    is_slowest = (one.share[:, needs >= needs.max() * ALIKE] > 0).any(axis=1)
    if one.delay_s[is_slowest].max() >= one.delay_s.max() * ALIKE:
        return Solved(one.delay_s.max(keepdims=True), needs.max(keepdims=True), loads)
    rows, which, many = np.unique(one.share, axis=0, return_inverse=True, return_counts=True)
    row, link = np.nonzero(rows)
    merged = Routes(
        np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(rows))))).astype(np.int64),
        link.astype(np.int32),
        rows[row, link] * many[row],
        np.zeros(len(rows)),
    )
    ends = drained(merged, width * sizes / chips, 1.0, delay_s=0.0, tolerance=tolerance).finish_s
    return Solved(*kinds(one.delay_s, ends[which.ravel()]), loads)


def solver_of(fabric: Fabric, members: Whole, routing: str, tolerance: float, start_s: float) -> Solver:
    """A solver that has solved nothing yet."""
    return Solver(fabric, members, routing, tolerance, start_s, capacities(fabric))
