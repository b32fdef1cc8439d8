"""A schedule whose ranks keep step, solved: what it takes at any size is a sum."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.kernels import filled, in_chunks
from simulator.collectives.schedules import Round, expanded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.in_step import Lane, Solved, Solver
    from simulator.collectives.jobs import Trees
    from simulator.collectives.schedules import Schedule

    Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Phase:
    """Lanes that run side by side.

    Parameters
    ----------
    level : of the hierarchical algorithm, innermost first; 0 elsewhere
    lanes : of each its rounds, the part of S that the largest transfer moves [1], and how often there is such a round
    """

    level: int
    lanes: tuple[tuple[tuple[Solved, float, int], ...], ...]

    def seconds(self, size_bytes: float, ramp: float = 0.0) -> float:
        """When the last lane ends, if chunks leave ``ramp`` of the filling of its pipeline unhidden [s]."""
        slowest = 0.0
        for lane in self.lanes:
            seconds = sum(often * solved.seconds(share * size_bytes) for solved, share, often in lane)
            fill_s = sum(often * solved.seconds(0.0) for solved, _, often in lane)
            slowest = max(slowest, float(filled(fill_s, seconds - fill_s, ramp)))
        return slowest


@dataclass(frozen=True, eq=False)
class Steps:
    """All rounds of a schedule, solved.

    Parameters
    ----------
    phases : one after the other
    rounds : of the schedule [1]
    loads : (entries,) bytes on each directed link for each byte of S [1]
    per_byte_s : (entries,) how long each link needs for them [s/B]
    solved : rounds that were different [1]
    overlaps : levels of the hierarchical algorithm, those together that share a link; empty for other algorithms
    is_locked : whether lanes side by side waited for each other, because they share a link
    is_crossed_by_trees : whether trees cross the outermost level
    """

    phases: tuple[Phase, ...]
    rounds: int
    loads: Real
    per_byte_s: Real
    solved: int
    overlaps: tuple[tuple[int, ...], ...]
    is_locked: bool
    is_crossed_by_trees: bool = False

    def seconds(self, size_bytes: float, ramps: Sequence[float] = (0.0,), trees: Trees | None = None) -> float:
        """When the last rank has ended [s].

        Phases follow each other. Only levels of the hierarchical algorithm that share no link overlap in chunks, where
        that is less, as :func:`simulator.collectives.kernels.in_chunks` says.

        Parameters
        ----------
        ramps : share of a pipeline's filling that chunks do not hide, of each level; the last for algorithms without
            levels [1]
        trees : what trees have across the outermost level
        """
        if not self.overlaps:
            return sum(phase.seconds(size_bytes, ramps[-1]) for phase in self.phases)
        fills = passings = 0.0
        slowest = (0.0, 0.0, 0.0)
        window_s = math.inf
        outermost = max(map(max, self.overlaps))
        for levels in self.overlaps:
            here = [phase for phase in self.phases if phase.level in levels]
            fill_s = sum(phase.seconds(0.0) for phase in here)
            pass_s = sum(phase.seconds(size_bytes) for phase in here) - fill_s
            if trees is not None and self.is_crossed_by_trees and levels == (outermost,):
                eager = (fill_s * trees.eager_share, pass_s * trees.eager_times)
                fill_s, pass_s = min((fill_s, pass_s), eager, key=sum)
            fills, passings = fills + fill_s, passings + pass_s
            if pass_s > slowest[1]:
                slowest = (fill_s, pass_s, ramps[max(levels) if len(ramps) > 1 else 0])
                window_s = trees.window_s if trees is not None and outermost in levels else math.inf
        return min(float(in_chunks(fills, passings, *slowest)), fills + slowest[1] + window_s)


def steps_of(
    schedule: Schedule, solver: Solver, reducing: Mapping[int, Solver], *, is_locked: bool = False
) -> Steps | None:
    """The rounds of a schedule, each solved once; None where lanes that run side by side share a link.

    Parameters
    ----------
    reducing : what solves each level whose switches reduce. Chunks come and go through these at once, so that all
        rounds of such a level are solved as one
    is_locked : lanes that share a link go round by round, the next one when the last has ended in all of them
    """
    found: list[tuple[int, Solver, list[Lane]]] = []
    through: dict[int, list[Round]] = {level: [] for level in reducing}
    count, waits = 0, False
    for _, phase in itertools.groupby(schedule.rounds(), key=lambda each: each.phase):
        rounds = list(phase)
        level, count = rounds[0].level, count + len(rounds)
        if level in through:
            through[level] += rounds
            continue
        if schedule.chunks and level == len(schedule.reduces) - 1:
            found.append((level, solver, [_at_once(solver, rounds, schedule.chunks)]))
            continue
        by_lane: dict[int, list[Round]] = {}
        for each in rounds:
            by_lane.setdefault(each.lane, []).append(each)
        lanes = [solver.lane(each) for each in by_lane.values()]
        if len(lanes) > 1 and (np.sum([_loads(solver, [lane]) > 0 for lane in lanes], axis=0) > 1).any():
            if not is_locked:
                return None
            waits = True
            lanes = [solver.lane(_abreast(list(by_lane.values())))]
        found.append((level, solver, lanes))
    found += [
        (level, reducing[level], [reducing[level].lane([_joined(rounds, {})])]) for level, rounds in through.items()
    ]
    levels = max(level for level, _, _ in found) + 1
    loads = [np.zeros(len(solver.capacity)) for _ in range(levels)]
    per_byte_s = np.zeros(len(solver.capacity))
    for level, own, lanes in found:
        here = _loads(own, lanes)
        loads[level] += here
        per_byte_s += here / np.where(here > 0, own.capacity, 1.0)
    return Steps(
        phases=tuple(Phase(level, tuple(map(own.solved, lanes))) for level, own, lanes in found),
        rounds=count,
        loads=np.sum(loads, axis=0),
        per_byte_s=per_byte_s,
        solved=sum(len(own.found) for own in {id(own): own for _, own, _ in found}.values()),
        overlaps=_together(loads) if schedule.reduces else (),
        is_locked=waits,
        is_crossed_by_trees=schedule.chunks > 0,
    )


def _at_once(solver: Solver, rounds: Sequence[Round], chunks: int) -> Lane:
    """Rounds whose chunks come and go at once: the bytes of all as one round, and the filling of each up to the last.

    The first chunk has gone all its way when all others are still to end.
    """
    lane = solver.lane([_joined(rounds, {})])
    for (key, _), often in solver.lane(rounds[1 : len(rounds) - chunks + 1]).items():
        lane[key, 0.0] += often
    return lane


def _loads(solver: Solver, lanes: Sequence[Lane]) -> Real:
    """Bytes on each link for each byte of S [1]."""
    moved: Counter[Hashable] = Counter()
    for lane in lanes:
        for (key, share), often in lane.items():
            moved[key] += share * often  # type: ignore[assignment]
    return sum((solver.found[key].loads * share for key, share in moved.items()), np.zeros(len(solver.capacity)))


def _abreast(lanes: Sequence[Sequence[Round]]) -> Iterator[Round]:
    """The first rounds of all lanes as one, then the second ones, and so on."""
    known: Joined = {}
    for rounds in itertools.zip_longest(*lanes):
        yield _joined([each for each in rounds if each is not None], known)


Joined = dict[tuple[int, ...], tuple[list[Round], Round]]
"""Which rounds have been joined, by their arrays, and the rounds that they became."""


def _joined(rounds: Sequence[Round], known: Joined) -> Round:
    """Rounds that run at once as one."""
    key = tuple(id(ends) for each in rounds for ends in (each.source, each.target))
    parts = [expanded(each) for each in rounds]
    if key not in known:
        ends = [np.concatenate([getattr(each, name) for each in parts]) for name in ("source", "target")]
        known[key] = (parts, replace(parts[0], source=ends[0], target=ends[1]))
    return replace(
        known[key][1],
        share=np.concatenate([each.share for each in parts]),
        reduces=np.concatenate([each.reduces for each in parts]),
    )


def _together(loads: Sequence[Real]) -> tuple[tuple[int, ...], ...]:
    """Levels, innermost first, with those that share a link with one of them, or with one that does."""
    groups: list[tuple[set[int], NDArray[np.bool_]]] = []
    for level, load in enumerate(loads):
        levels, used = {level}, load > 0
        for group in [each for each in groups if (each[1] & used).any()]:
            groups.remove(group)
            levels |= group[0]
            used = used | group[1]
        groups.append((levels, used))
    return tuple(tuple(sorted(levels)) for levels, _ in groups)
