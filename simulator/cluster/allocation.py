"""Which units are free, and which ones a job gets: units keep their identity from the first grant to the last repair.

Any units are legal together (they are joined by optical switches or a switched fabric); neighbours are preferred, so
that a timeline can be read and a later, stricter fabric finds long runs.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from simulator.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.cluster.types import Run


class FreeUnits:
    """The free units as runs of neighbours in ascending order, and the unit-time that they spent free [ns].

    >>> units = FreeUnits(8)
    >>> units.take(3, 0), units.take(2, 0)
    (((0, 3),), ((3, 5),))
    >>> units.give([(0, 3)], 10)
    >>> units.take(3, 10), units.idle_unit_ns
    (((0, 3),), 30)
    """

    def __init__(self, count: int) -> None:
        self.free = count
        self.idle_unit_ns = 0
        self._since_ns = 0
        self._firsts = [0]
        self._stops = [count]

    def book(self, now_ns: int) -> None:
        """Count the idle time up to now; whatever changes the free units does this first."""
        self.idle_unit_ns += self.free * (now_ns - self._since_ns)
        self._since_ns = now_ns

    def take(self, count: int, now_ns: int) -> tuple[Run, ...]:
        """Take ``count`` free units: the shortest run that holds them, else the longest runs; lowest index on ties.

        Raises
        ------
        InternalError : fewer are free
        """
        if not 0 < count <= self.free:
            raise InternalError(f"{count} units asked for, {self.free} free")
        self.book(now_ns)
        self.free -= count
        taken: list[Run] = []
        while count:
            best = self._best(count)
            first, stop = self._firsts[best], self._stops[best]
            if stop - first <= count:
                del self._firsts[best], self._stops[best]
            else:
                stop = first + count
                self._firsts[best] = stop
            taken.append((first, stop))
            count -= stop - first
        return tuple(sorted(taken))

    def _best(self, count: int) -> int:
        """Return the position of the shortest run of at least ``count`` units, or of the longest run."""
        best, best_length, longest, longest_length = -1, 0, 0, 0
        for position, (first, stop) in enumerate(zip(self._firsts, self._stops, strict=True)):
            length = stop - first
            if length == count:
                return position
            if length > count and (best < 0 or length < best_length):
                best, best_length = position, length
            if length > longest_length:
                longest, longest_length = position, length
        return best if best >= 0 else longest

    def holds(self, unit: int) -> bool:
        """Whether ``unit`` is free."""
        position = bisect_right(self._firsts, unit) - 1
        return position >= 0 and unit < self._stops[position]

    def remove(self, unit: int, now_ns: int) -> None:
        """Take this one free unit away.

        Raises
        ------
        InternalError : it is not free
        """
        if not self.holds(unit):
            raise InternalError(f"unit {unit} is not free")
        self.book(now_ns)
        self.free -= 1
        position = bisect_right(self._firsts, unit) - 1
        first, stop = self._firsts[position], self._stops[position]
        left = without(((first, stop),), unit)
        self._firsts[position : position + 1] = [run[0] for run in left]
        self._stops[position : position + 1] = [run[1] for run in left]

    def give(self, runs: Iterable[Run], now_ns: int) -> None:
        """Give runs back.

        Raises
        ------
        InternalError : a unit of them is free already
        """
        self.book(now_ns)
        firsts, stops = self._firsts, self._stops
        for first, stop in runs:
            after = bisect_right(firsts, first)
            if (after and stops[after - 1] > first) or (after < len(firsts) and firsts[after] < stop):
                raise InternalError(f"units {first} to {stop - 1} given back twice")
            self.free += stop - first
            joins_left = after > 0 and stops[after - 1] == first
            joins_right = after < len(firsts) and firsts[after] == stop
            if joins_left and joins_right:
                stops[after - 1] = stops[after]
                del firsts[after], stops[after]
            elif joins_left:
                stops[after - 1] = stop
            elif joins_right:
                firsts[after] = first
            else:
                firsts.insert(after, first)
                stops.insert(after, stop)


def without(runs: Iterable[Run], unit: int) -> tuple[Run, ...]:
    """Return the runs less one unit.

    >>> without([(0, 3), (5, 6)], 1), without([(5, 6)], 5)
    (((0, 1), (2, 3), (5, 6)), ())
    """
    pieces = [
        piece
        for first, stop in runs
        for piece in ([(first, unit), (unit + 1, stop)] if first <= unit < stop else [(first, stop)])
    ]
    return tuple(piece for piece in pieces if piece[0] < piece[1])


def as_runs(units: Iterable[int]) -> tuple[Run, ...]:
    """Return the runs that ascending units form.

    >>> as_runs([0, 1, 4])
    ((0, 2), (4, 5))
    """
    runs: list[list[int]] = []
    for unit in units:
        if runs and runs[-1][1] == unit:
            runs[-1][1] = unit + 1
        else:
            runs.append([unit, unit + 1])
    return tuple((first, stop) for first, stop in runs)
