"""From an algorithm that the closed form prices to its schedule, and who stands where in it.

Chips are counted as the fabric has them: axes of a torus as its coordinates, whose last one runs fastest; everything
else unit by unit, so that ranks fill nodes first.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives import kernels
from simulator.collectives.group import ALGORITHMS
from simulator.collectives.jobs import Trees
from simulator.collectives.kinds import kind_id
from simulator.collectives.rows.kernels import (
    BANDWIDTH,
    EAGER,
    EAGER_START,
    LATENCY,
    RAMP,
    SIZE,
    START,
    WINDOW,
    WRAPS,
)
from simulator.collectives.schedules import SCHEDULES, Layout, Round, Schedule, schedule, snake
from simulator.collectives.schedules.nested import Nest, nested
from simulator.collectives.schedules.rounds import gathering, holding, overwrites, same
from simulator.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.group import Group
    from simulator.machine import Level

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]

NESTED = frozenset({"hierarchical", "hierarchical-tree", "in-network"})
"""Algorithms that go level by level."""
MOST_CHUNKS = 1024
"""Chunks of a chain or tree at most: more take longer to run than they tell."""
TREE_CHUNKS = 32
"""Chunks of trees across nodes that run against other flows; where nothing is in the way they have no number."""
PIPELINED = f"chunks are at most {MOST_CHUNKS:,} here"
TREES = "trees have the height and the links that their ranks have here, in the closed form those of a balanced one"
ACROSS = "each step has its own way here; the closed form takes the narrowest link and the mean or the longest way"
SHARED = "units have fewer links to each other than chips, and what goes to these shares the links inside"
PARALLEL = "an axis of two has two parallel links, of which one message in the closed form uses one"


@dataclass(frozen=True, eq=False)
class Laid:
    """A schedule with its ranks laid out.

    Parameters
    ----------
    schedule : who sends what to whom
    order : (ranks,) which chip of the group each rank is
    differs : why the closed form is another time by design; empty where both are the same on an idle fabric
    chunks : in which it goes through a chain or tree, which depend on the size [1]
    ramps : share of a pipeline's filling that chunks do not hide, of each level of the schedule, or of all [1]
    trees : what trees across the outermost level have
    """

    schedule: Schedule
    order: Whole
    differs: str = ""
    chunks: int = 1
    ramps: tuple[float, ...] = (0.0,)
    trees: Trees | None = None


def algorithms_laid(kind: str) -> tuple[str, ...]:
    """The algorithms of the closed form that have a schedule for a kind of collective."""
    if kind == "send-recv":
        return ("direct",)
    able = [name for name in ALGORITHMS if kind in SCHEDULES.get(name, {})]
    return (*able, "in-network") if kind == "all-reduce" else tuple(able)


def nest_of(levels: Sequence[Level]) -> Nest:
    """The levels of the hierarchical algorithm: leading axes, or leading meshes, are one; so is every other level."""
    levels = [level for level in levels if level.size > 1]
    axes = [level for level in levels if level.kind == "axis"]
    units = [level for level in levels if level.kind != "axis"]
    meshes = [] if axes else list(itertools.takewhile(lambda level: level.kind == "mesh", units))
    outer = tuple(level.size for level in units[len(meshes) :])
    if meshes:
        return Nest(tuple(level.size for level in meshes), (), outer)
    return Nest(tuple(axis.size for axis in axes), tuple(axis.wraps for axis in axes), outer)


def rows_of(nest: Nest, group: Group) -> Real:
    """The row of every level of a nest, the first one where that has several: (levels, columns)."""
    return np.asarray(group.rows[[0, *range(len(nest.inner), len(group.rows))] if nest.inner else slice(None)])


def levels_that_reduce(kind: str, algorithm: str, nest: Nest, group: Group, size_bytes: float) -> tuple[int, ...]:
    """Levels of a nest whose switches reduce on the way, because that is the shorter."""
    rows, left, found = rows_of(nest, group), size_bytes / math.prod(nest.inner), []
    if algorithm == "in-network":
        return (0,)
    for level in range(1 if nest.inner else 0, nest.levels):
        if algorithm == "hierarchical-tree":
            is_reduced = kernels.tree_reduces(rows, level, left)
        else:
            is_reduced = kernels.is_reduced(rows, level, left, kind_id(kind))
        if is_reduced:
            found.append(level)
        left /= rows[level, SIZE]
    return tuple(found)


def laid(
    kind: str,
    algorithm: str,
    levels: Sequence[Level],
    group: Group,
    size_bytes: float,
    planes: Mapping[int, Sequence[int]] | None = None,
) -> Laid:
    """Lay an algorithm out on the levels of a group, innermost first.

    Parameters
    ----------
    planes : for each level whose switches reduce, how many there are in each of its groups, see :class:`Nest`

    Raises
    ------
    InputError : no schedule of the algorithm does this kind of collective
    """
    if algorithm not in algorithms_laid(kind):
        raise InputError(
            f"the flow level has no schedule of {kind} by {algorithm}",
            where="--algorithm",
            remedy=f"name one of {', '.join(algorithms_laid(kind))}, or ask the closed form",
        )
    if algorithm in NESTED:
        chunks = TREE_CHUNKS if algorithm == "hierarchical-tree" else 0
        nest = dataclasses.replace(nest_of(levels), planes=planes or {}, chunks=chunks)
        rows = rows_of(nest, group)
        differs = ACROSS if nest.levels > 1 else _on_meshes(levels)
        if nest.is_crossed_by_trees and nest.outer[-1] & (nest.outer[-1] - 1):
            differs = TREES
        return Laid(
            nested(kind, nest),
            np.arange(group.ranks),
            differs,
            ramps=tuple(rows[:, RAMP].tolist()),
            trees=_trees(rows[-1]) if chunks else None,
        )
    found = _laid_flat(kind, algorithm, [level for level in levels if level.size > 1], group, size_bytes)
    # chunks that pass on what they get are those of the schedule
    is_pipelined = algorithm == "double-binary-tree" or (kind == "broadcast" and algorithm != "direct")
    return dataclasses.replace(found, ramps=(0.0 if is_pipelined else float(group.rows[-1, RAMP]),))


def _trees(row: Real) -> Trees:
    """What trees have across a level, from its row."""
    latency, start, rate = row[LATENCY], row[START], row[BANDWIDTH]
    window_s = row[WINDOW] / rate if row[WINDOW] > 0 else math.inf
    if row[EAGER] == 0:
        return Trees(window_s=window_s)
    return Trees(float((row[EAGER_START] + latency) / (start + latency)), float(rate / row[EAGER]), float(window_s))


def _laid_flat(kind: str, algorithm: str, levels: Sequence[Level], group: Group, size_bytes: float) -> Laid:
    """An algorithm that takes all ranks as one level, or as the axes of one torus or full mesh."""
    axes = [level for level in levels if level.kind == "axis"]
    units = [level for level in levels if level.kind != "axis"]
    in_order = np.arange(group.ranks)
    if kind == "send-recv":
        return Laid(_to_neighbour(levels), in_order, _on_two(axes) if not units else ACROSS if len(levels) > 1 else "")
    if algorithm in {"ring", "bidirectional-ring"}:
        return _ring(kind, algorithm, axes, units, group, size_bytes)
    if axes and not units:
        layout = Layout(tuple(axis.size for axis in axes), tuple(axis.wraps for axis in axes))
        differs = _on_two(axes) if algorithm == "ring-per-dimension" else ""
        if algorithm == "swing" and len({axis.size for axis in axes}) > 1:
            differs = (
                "parts go on along the axes that are left here; in the closed form each step is as its longest axis"
            )
        if kind == "all-to-all" and not all(axis.wraps for axis in axes):
            differs = "the busiest link of an open axis is not busy all the time, which the closed form takes it to be"
        return Laid(schedule(algorithm, kind, layout), in_order, differs)
    if algorithm == "full-mesh":
        layout = Layout(tuple(unit.size for unit in reversed(units)), chunks=1)
    else:
        chunks = 1
        if algorithm == "double-binary-tree":
            whole = kernels.summed(group.rows)
            steps, pass_s = kernels.tree_pipeline(kind_id(kind), size_bytes, whole)
            chunks = _chunks(steps, whole[1], pass_s)
        layout = Layout((group.ranks,), chunks=chunks)
    return Laid(schedule(algorithm, kind, layout), in_order, _why(kind, algorithm, axes, units), layout.chunks)


def _why(kind: str, algorithm: str, axes: Sequence[Level], units: Sequence[Level]) -> str:
    """Why the closed form of an algorithm over switches and meshes is another time."""
    if algorithm == "double-binary-tree":
        return TREES
    if algorithm == "full-mesh":
        return _on_meshes(units)
    return ACROSS if len(units) + len(axes) > 1 else ""


def _on_meshes(levels: Sequence[Level]) -> str:
    return SHARED if any(level.kind == "mesh" and level.hops > 1 for level in levels) else ""


def _on_two(axes: Sequence[Level]) -> str:
    return PARALLEL if any(axis.size == 2 and axis.wraps for axis in axes) else ""


def _chunks(steps: int, alpha_s: float, pass_s: float) -> int:
    """Chunks at which a pipeline is fastest by the closed form [1]."""
    return int(min(MOST_CHUNKS, kernels.pipeline_chunks(steps, alpha_s, pass_s)))


def _ring(
    kind: str, algorithm: str, axes: Sequence[Level], units: Sequence[Level], group: Group, size_bytes: float
) -> Laid:
    """One ring over neighbours; or several, where the way out of a unit is narrower than what runs inside."""
    chunks = 1
    if kind == "broadcast":
        _, slowest_s, rate, _ = kernels.summed(group.rows)
        chunks = _chunks(group.ranks - 1, slowest_s, size_bytes / rate)
    differs = PIPELINED if chunks == MOST_CHUNKS else ""
    if not axes:
        rings, unit = _rings(group)
        if rings > 1:
            found = _side_by_side(kind, group.ranks, rings, unit, chunks)
            return Laid(found, np.arange(group.ranks), ACROSS, chunks)
        differs = differs or (ACROSS if len(units) > 1 else "")
        return Laid(
            schedule("ring", kind, Layout((group.ranks,), chunks=chunks)), np.arange(group.ranks), differs, chunks
        )
    shape = tuple(axis.size for axis in axes)
    inside = math.prod(shape)
    order = (np.arange(group.ranks // inside)[:, None] * inside + snake(shape)).ravel()
    closes = units != [] or len(shape) > 1 or axes[0].wraps
    found = schedule(algorithm, kind, Layout((group.ranks,), (closes,), chunks=chunks))
    if units:
        differs = "one ring leaves a pod by one chip here; in the closed form all its chips share the way out"
    elif _on_two(axes):
        differs = PARALLEL
    elif len(axes) > 1 and not all(axis.wraps for axis in axes):
        differs = "the ring closes over as many hops as it takes here, over two in the closed form"
    return Laid(found, order, differs, chunks)


def _rings(group: Group) -> tuple[int, int]:
    """Rings side by side that fill the way out of every unit, and the chips of such a unit.

    As many as its chips, or as what runs inside has room for; one fills a way out that all its chips share.
    """
    width, rings, unit, inside = float(group.rows[0, BANDWIDTH]), 1, 1, 1.0
    for row in group.rows:
        wanted = 1 if row[WRAPS] else min(int(inside), math.ceil(width / row[BANDWIDTH]))
        if wanted > rings:
            rings, unit = wanted, int(inside)
        inside *= row[SIZE]
    return rings, unit


def _side_by_side(kind: str, ranks: int, rings: int, unit: int, chunks: int = 1) -> Schedule:
    """Rings through units of consecutive ranks: each ring leaves every unit by a member of its own.

    It enters a unit at the member in the place of the one by which it left the unit before, and turns round there. A
    broadcast is passed on along all of them from rank 0, in ``chunks`` of what each ring carries.
    """
    blocks = ranks // unit
    here = np.arange(unit)
    orders = []
    for ring in range(rings):
        up = (ring * unit // rings + 1 + here) % unit
        orders.append(np.concatenate([(up if block % 2 == 0 else up[::-1]) + block * unit for block in range(blocks)]))
    order = np.array(orders)
    place = np.argsort(order, axis=1)
    every = np.arange(ranks)
    if kind == "broadcast":
        return _chains(np.array([np.roll(one, -first) for one, first in zip(order, place[:, 0], strict=True)]), chunks)

    def gather(_: Layout, sense: int) -> Schedule:
        source = np.tile(every, rings)
        target = np.concatenate([order[r][(place[r] + sense) % ranks] for r in range(rings)])

        def rounds() -> Iterator[Round]:
            for step in range(ranks - 1):
                held = [r * ranks + order[r][(place[r] - sense * step) % ranks] for r in range(rings)]
                count = len(source)
                pieces = holding(np.concatenate(held)[:, None])
                yield Round(source, target, same(1 / (rings * ranks), count), overwrites(count), pieces)

        return Schedule("all-gather", "ring", ranks, rings * ranks, rounds)

    return gathering("ring", gather)[kind](Layout((ranks,)))


def _chains(order: Whole, chunks: int) -> Schedule:
    """A broadcast along chains of all ranks, (chains, ranks), each in as many chunks, side by side."""
    chains, ranks = order.shape
    part = np.arange(chains)[:, None] * chunks

    def rounds() -> Iterator[Round]:
        for step in range(chunks + ranks - 2):
            at = np.arange(max(0, step - chunks + 1), min(step, ranks - 2) + 1)
            source, target, held = order[:, at].ravel(), order[:, at + 1].ravel(), (part + step - at).ravel()
            count = len(held)
            yield Round(source, target, same(1 / (chains * chunks), count), overwrites(count), holding(held[:, None]))

    return Schedule("broadcast", "ring", ranks, chains * chunks, rounds)


def _to_neighbour(levels: Sequence[Level]) -> Schedule:
    """Every second member of the outermost level sends its message to the next one there."""
    axes = [level for level in levels if level.kind == "axis"]
    units = math.prod(level.size for level in levels if level.kind != "axis")
    shape = (units, *(axis.size for axis in axes))
    ranks, last = math.prod(shape), levels[-1]
    stride = 1 if last.kind == "axis" else ranks // last.size
    source = np.arange(ranks)
    at = source // stride % last.size
    source = source[(at % 2 == 0) & (at + 1 < last.size)]

    def rounds() -> Iterator[Round]:
        count = len(source)
        yield Round(source, source + stride, same(1.0, count), overwrites(count), holding(source[:, None]))

    return Schedule("send-recv", "direct", ranks, ranks, rounds)
