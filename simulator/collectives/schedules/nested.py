"""Nested levels: scatter inside, go on outside with what is left, gather inside; rank r meets rank r.

The innermost level may be a torus or a full mesh of several axes, all of them at work at once. Where the switches of a
level reduce, its members send all they have into them and get back the sum of their own share; on the way back they
send that share, and the switches copy it to all. As NCCL crosses nodes, levels inside are rings and two binary trees
cross the outermost one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.axes import Box, bundle, direct_rounds, ring_rounds, rotated
from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Pieces,
    Round,
    Schedule,
    adds,
    holding,
    one_after_the_other,
    overwrites,
    same,
    turned,
)
from simulator.collectives.schedules.trees import DOUBLE_BINARY_TREE

if TYPE_CHECKING:
    from simulator.collectives.schedules.rounds import Whole


@dataclass(frozen=True)
class Nest:
    """Levels of ranks.

    Parameters
    ----------
    inner : sides of the innermost level; empty where that is one of ``outer``
    closed : whether each of these closes to a ring, where they are axes of a torus, whose last one runs fastest; empty
        where they are full meshes, whose first one does
    outer : members of every other level, innermost first
    planes : number of a level -> switches that reduce in each of its groups, in the order of their first ranks [1]
    chunks : in which two binary trees for each place of a unit cross the outermost level, with rings in those inside;
        0 where every rank sends to each other in one step [1]
    """

    inner: tuple[int, ...]
    closed: tuple[bool, ...]
    outer: tuple[int, ...]
    planes: Mapping[int, Sequence[int]] = field(default_factory=dict)
    chunks: int = 0

    @property
    def box(self) -> Box:
        """All axes: those inside, then every level outside."""
        inside = math.prod(self.inner)
        faster = [self.inner[axis + 1 :] if self.closed else self.inner[:axis] for axis in range(len(self.inner))]
        strides = [math.prod(sides) for sides in faster]
        strides += [inside * math.prod(self.outer[:level]) for level in range(len(self.outer))]
        closed = self.closed or (True,) * len(self.inner)
        return Box((*self.inner, *self.outer), (*closed, *(True for _ in self.outer)), tuple(strides))

    @property
    def levels(self) -> int:
        """How many levels [1]."""
        return (1 if self.inner else 0) + len(self.outer)

    def place(self, level: int) -> tuple[int, tuple[int, ...]]:
        """The axis of a level other than an inner one, and those outside it."""
        axis = level + max(0, len(self.inner) - 1)
        return axis, tuple(range(axis + 1, len(self.box.sides)))

    def groups(self, level: int) -> Whole:
        """Ranks that meet at a level: (groups, members), by their first ranks."""
        box, (axis, _) = self.box, self.place(level)
        return np.flatnonzero(box.along(axis) == 0)[:, None] + np.arange(box.sides[axis]) * box.strides[axis]

    @property
    def lanes(self) -> int:
        """Parts of the data that the innermost level moves at once, each its own way [1]."""
        return max(1, len(self.inner) * (2 if self.closed else 1))

    @property
    def parts(self) -> int:
        """Parts of which every switch of a group, and every chunk of a tree, takes as many as the others [1]."""
        counts = (count for counts in self.planes.values() for count in counts)
        return self.lanes * math.lcm(*counts) * max(1, 2 * self.chunks)

    @property
    def is_crossed_by_trees(self) -> bool:
        """Whether trees cross the outermost level; switches that reduce there do without."""
        return self.chunks > 0 and self.levels - 1 not in self.planes


def nested(kind: str, nest: Nest) -> Schedule:
    """All-reduce, reduce-scatter or all-gather level by level."""
    levels = range(nest.levels - nest.is_crossed_by_trees)

    def rounds() -> Iterator[Round]:
        there = [scatter(nest, level) for level in levels if kind != "all-gather"]
        across = [over_trees(nest)] if nest.is_crossed_by_trees else []
        back = [gather(nest, level) for level in reversed(levels) if kind != "reduce-scatter"]
        return one_after_the_other(*there, *across, *back)

    ranks = nest.box.ranks
    switches = sum(sum(counts) for counts in nest.planes.values())
    reduces = tuple(level in nest.planes for level in range(nest.levels))
    name = "hierarchical-tree" if nest.chunks else "hierarchical"
    chunks = nest.chunks if nest.is_crossed_by_trees else 0
    return Schedule(kind, name, ranks, nest.parts * ranks, rounds, switches, reduces, chunks)


def of_layout(layout: Layout) -> Schedule:
    """All-reduce by trees over the last of the sides, rings in the others."""
    return nested("all-reduce", Nest((), (), tuple(side for side in layout.shape if side > 1), chunks=layout.chunks))


HIERARCHICAL_TREE: dict[str, Maker] = {"all-reduce": of_layout}


def scatter(nest: Nest, level: int) -> Iterable[Round]:
    """The reduce-scatter of one level."""
    if level in nest.planes:
        return _through_switches(nest, level, is_back=False)
    return turned(gather(nest, level))


def gather(nest: Nest, level: int) -> Iterator[Round]:
    """The all-gather of one level, after those of all levels outside it."""
    if level in nest.planes:
        yield from _through_switches(nest, level, is_back=True)
    elif level == 0 and nest.inner:
        yield from _inside(nest)
    else:
        axis, before = nest.place(level)
        ring = ring_rounds(nest.box, axis, before, ((1, 0),), 1)
        for each in ring if nest.chunks else direct_rounds(nest.box, axis, before, 0, 1):
            yield dataclasses.replace(each, pieces=_split(each.pieces, nest, nest.parts), level=level)


def over_trees(nest: Nest) -> Iterator[Round]:
    """All-reduce over the outermost level of what each place of a unit has: up both trees and down again."""
    units, ranks = nest.outer[-1], nest.box.ranks
    inside, each_chunk = ranks // units, nest.parts // (2 * nest.chunks)
    place, unit = np.arange(inside)[:, None], np.arange(units)
    for each in DOUBLE_BINARY_TREE["all-reduce"](Layout((units,), chunks=nest.chunks)).rounds():
        chunk = each.pieces(each.source, each.target)[:, 0]
        part = (chunk[:, None] * each_chunk + np.arange(each_chunk)) * ranks
        held = part[None, :, :, None] + (place + unit * inside)[:, None, None, :]
        yield Round(
            (each.source * inside + place).ravel(),
            (each.target * inside + place).ravel(),
            same(float(each.share[0]) / inside, inside * len(each.source)),
            np.tile(each.reduces, inside),
            holding(held.reshape(inside * len(each.source), -1)),
            level=nest.levels - 1,
        )


def _inside(nest: Nest) -> Iterator[Round]:
    """The all-gather along all inner axes at once."""
    box, count = nest.box, len(nest.inner)
    outside = tuple(range(count, len(box.sides)))
    for phase in range(count):
        for lane, turn in enumerate(rotated(count)):
            before = (*outside, *turn[:phase])
            if nest.closed:
                senses = ((1, 2 * lane), (-1, 2 * lane + 1))
                found = ring_rounds(box, turn[phase], before, senses, nest.lanes)
            else:
                found = direct_rounds(box, turn[phase], before, lane, nest.lanes)
            for each in found:
                pieces = _split(each.pieces, nest, nest.parts // nest.lanes)
                yield dataclasses.replace(each, pieces=pieces, lane=lane, phase=phase)


def _split(pieces: Pieces, nest: Nest, among: int) -> Pieces:
    """The same pieces, each of them in as many."""
    ranks = nest.box.ranks

    def found(source: Whole, target: Whole) -> Whole:
        coarse = pieces(source, target)
        fine = (coarse // ranks * among)[..., None] + np.arange(among)
        return (fine * ranks + (coarse % ranks)[..., None]).reshape(len(coarse), -1)

    return found


def _through_switches(nest: Nest, level: int, *, is_back: bool) -> Iterator[Round]:
    """Into the switches of a level, and out of them, each of which takes an equal part of what its group has."""
    box = nest.box
    axis, before = nest.place(level)
    members = nest.groups(level)
    count = members.shape[1]
    planes = np.asarray(nest.planes[level])
    begin = box.ranks + sum(sum(counts) for other, counts in nest.planes.items() if other < level)
    first = begin + np.cumsum(planes) - planes
    group = np.repeat(np.arange(len(members)), count)
    often = planes[group]
    rank = np.repeat(members.ravel(), often)
    plane = np.concatenate([np.arange(each) for each in often])
    switch = np.repeat(first[group], often) + plane
    little = math.prod(box.sides[each] for each in before) / box.ranks
    # all in the room of one where all groups have as many switches
    share = np.repeat(little / often, often) if (planes != planes[0]).any() else same(little / planes[0], len(rank))

    def held(*, is_own: bool, is_other: bool) -> Pieces:
        """The pieces of a rank of the group, those of all others, or both, in the parts that a switch takes."""
        among = nest.parts // int(planes[0])

        def found(_: Whole, __: Whole) -> Whole:
            ranks = [
                bundle(box, box.moved(axis, (box.along(axis) + apart) % count)[rank], before, 0)
                for apart in range(count)
                if (is_other if apart else is_own)
            ]
            part = plane[:, None] * among + np.arange(among)
            return (part[:, None, :] * box.ranks + np.concatenate(ranks, axis=1)[..., None]).reshape(len(rank), -1)

        return found

    many = len(rank)
    if is_back:
        yield Round(rank, switch, share, overwrites(many), held(is_own=True, is_other=False), level=level)
        copied = held(is_own=False, is_other=True)
        yield Round(switch, rank, (count - 1) * share, overwrites(many), copied, level=level)
    else:
        yield Round(rank, switch, count * share, adds(many), held(is_own=True, is_other=True), level=level)
        yield Round(switch, rank, share, overwrites(many), held(is_own=True, is_other=False), level=level)
