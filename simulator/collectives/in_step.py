"""Price of a schedule where all ranks keep step: every round starts when the one before has ended everywhere.

The bytes of a round move max-min fairly from its start; a transfer ends a latency after its last byte has left. So the
time of a transfer is a latency and a time in proportion to the size, and rounds that differ in size alone are solved
once.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.classes import DIGITS, flow_classes
from simulator.collectives.patterns import FromOne, all_pairs_loads, from_one
from simulator.collectives.schedules import expanded
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


@dataclass(frozen=True, eq=False)
class Phase:
    """Lanes that run side by side: of each its rounds, the part of S that the largest transfer moves [1], how often."""

    lanes: tuple[tuple[tuple[Solved, float, int], ...], ...]

    def seconds(self, size_bytes: float, start_s: float) -> float:
        """When the last lane ends [s]."""
        return max(
            sum(often * (start_s + solved.seconds(share * size_bytes)) for solved, share, often in lane)
            for lane in self.lanes
        )


@dataclass(frozen=True, eq=False)
class Steps:
    """A schedule whose rounds are solved, so that a price at any size is a sum.

    Parameters
    ----------
    phases : one after the other
    rounds : of the schedule [1]
    loads : (entries,) bytes on each directed link for each byte of S [1]
    solved : rounds that were different [1]
    """

    phases: tuple[Phase, ...]
    rounds: int
    loads: Real
    solved: int

    def seconds(self, size_bytes: float, start_s: float) -> float:
        """When the last rank has ended [s]."""
        return sum(phase.seconds(size_bytes, start_s) for phase in self.phases)


@dataclass(eq=False)
class Solver:
    """What has been solved on one fabric for one group; rounds are known by their arrays, then by what these hold."""

    fabric: Fabric
    members: Whole
    routing: str
    tolerance: float
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
            self.ends[place] = (hashlib.blake2b(order.tobytes(), digest_size=16).digest(), each.source, each.target)
        digest = self.ends[place][0]
        if is_even(each.share):
            return digest
        return (digest, each.source.tobytes(), np.round(each.share / each.share.max(), DIGITS).tobytes())

    def key_of(self, each: Round) -> Hashable:
        """The key under which the solution of a round stands in ``found``, from now on at the latest."""
        key = self.key(each)
        if key not in self.found:
            self.found[key] = self.solve(each)
        return key

    def share_links(self, lanes: Sequence[Iterable[Hashable]]) -> bool:
        """Whether a link carries bytes of more than one lane, each given by the keys of its rounds."""
        used = [np.any([self.found[key].loads > 0 for key in lane], axis=0) for lane in lanes]
        return bool((np.sum(used, axis=0) > 1).any())

    def solve(self, each: Round) -> Solved:
        """Solve a round anew.

        Everyone to everyone among more than :data:`MOST_PAIRS` pairs, where no chip speaks for the others, takes what
        its busiest link needs and the longest latency: all its flows end by then if that link is never idle.
        """
        if each.between_all:
            one = from_one(self.fabric, self.members, self.routing)
            if one is not None:
                return of_one(self.fabric, one, self.capacity, len(self.members), self.tolerance)
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


def steps_of(rounds: Iterable[Round], solver: Solver) -> Steps | None:
    """The rounds of a schedule, each solved once; None where lanes that run side by side share a link."""
    phases = []
    moved: Counter[Hashable] = Counter()
    count = 0
    for _, phase in itertools.groupby(rounds, key=lambda each: each.phase):
        lanes: dict[int, Counter[tuple[Hashable, float]]] = {}
        for each in phase:
            share = float(each.share[0] if is_even(each.share) else each.share.max())
            lanes.setdefault(each.lane, Counter())[solver.key_of(each), share] += 1
            count += 1
        phases.append(Phase(tuple(_lane(lane, solver.found) for lane in lanes.values())))
        if len(lanes) > 1 and solver.share_links([{key for key, _ in lane} for lane in lanes.values()]):
            return None
        for lane in lanes.values():
            for (key, share), often in lane.items():
                moved[key] += share * often  # type: ignore[assignment]
    loads = sum((solver.found[key].loads * share for key, share in moved.items()), np.zeros(len(solver.capacity)))
    return Steps(tuple(phases), count, loads, len(solver.found))


def _lane(
    lane: Counter[tuple[Hashable, float]], found: dict[Hashable, Solved]
) -> tuple[tuple[Solved, float, int], ...]:
    return tuple((found[key], share, often) for (key, share), often in lane.items())


def solver_of(fabric: Fabric, members: Whole, routing: str, tolerance: float) -> Solver:
    """A solver that has solved nothing yet."""
    return Solver(fabric, members, routing, tolerance, capacities(fabric))
