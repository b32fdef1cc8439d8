"""Along one axis after the other: rings, tori, full meshes, nested levels.

An all-gather along axes: before phase p a rank holds the pieces of all ranks that differ from it at most along the
first p axes of an order; then it exchanges them with the ranks along the next axis. The buffer may be cut into parts
that take the axes in different orders, so that all axes are busy at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Pieces,
    Round,
    Schedule,
    gathering,
    holding,
    overwrites,
    same,
)
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.collectives.schedules.rounds import Whole

WAYS = ("ring", "direct")


@dataclass(frozen=True)
class Box:
    """Ranks at whole coordinates: (sides, whether each axis closes, distance in rank of neighbours along each)."""

    sides: tuple[int, ...]
    closed: tuple[bool, ...]
    strides: tuple[int, ...]

    @property
    def ranks(self) -> int:
        """How many ranks [1]."""
        return math.prod(self.sides)

    def along(self, axis: int) -> Whole:
        """Coordinate of every rank along an axis."""
        return np.arange(self.ranks) // self.strides[axis] % self.sides[axis]

    def moved(self, axis: int, to: Whole) -> Whole:
        """The ranks that stand where every rank does, but at coordinate ``to`` along an axis."""
        return np.arange(self.ranks) + (to - self.along(axis)) * self.strides[axis]


def box_of(layout: Layout, *, is_inner_first: bool = False) -> Box:
    """The axes of more than one rank; the last runs fastest, or the first where that is the innermost."""
    sides = layout.shape[::-1] if is_inner_first else layout.shape
    strides = [math.prod(sides[axis + 1 :]) for axis in range(len(sides))]
    if is_inner_first:
        strides.reverse()
    kept = [axis for axis, side in enumerate(layout.shape) if side > 1]
    return Box(
        tuple(layout.shape[axis] for axis in kept),
        tuple(layout.closed[axis] for axis in kept),
        tuple(strides[axis] for axis in kept),
    )


def ring_order(side: int, *, closes: bool) -> Whole:
    """Coordinates in the order of a ring; on an open axis up over even and back over odd ones, two links at a time."""
    if closes:
        return np.arange(side)
    return np.concatenate((np.arange(0, side, 2), np.arange(1, side, 2)[::-1]))


def snake(shape: tuple[int, ...]) -> Whole:
    """Ranks of a torus in the order of a ring over neighbours, to and fro along each axis: (ranks,).

    On a torus the step that closes it goes over wraps alone, which no other step uses; it is one hop if the first side
    is even, and at most one for each axis.
    """
    index = np.arange(math.prod(shape))
    found = np.zeros_like(index)
    for axis, side in enumerate(shape):
        stride = math.prod(shape[axis + 1 :])
        digit = index // stride % side
        found += np.where(index // (stride * side) % 2 == 1, side - 1 - digit, digit) * stride
    return found


def bundle(box: Box, origin: Whole, before: tuple[int, ...], part: int) -> Whole:
    """Pieces of ``part`` of all ranks that differ from each ``origin`` at most along the axes ``before``."""
    corner = origin.copy()
    spread = np.zeros(1, dtype=np.int64)
    for axis in before:
        corner -= origin // box.strides[axis] % box.sides[axis] * box.strides[axis]
        spread = (spread[:, None] + np.arange(box.sides[axis]) * box.strides[axis]).ravel()
    return part * box.ranks + corner[:, None] + spread


def ring_rounds(
    box: Box, axis: int, before: tuple[int, ...], senses: tuple[tuple[int, int], ...], parts: int
) -> Iterator[Round]:
    """All-gather on all rings along an axis; ``senses`` are pairs (1 up or -1 down, the part that goes that way)."""
    side = box.sides[axis]
    order = ring_order(side, closes=box.closed[axis])
    at = np.argsort(order)[box.along(axis)]
    ranks = np.arange(box.ranks)
    source = np.concatenate([ranks for _ in senses])
    target = np.concatenate([box.moved(axis, order[(at + way) % side]) for way, _ in senses])
    count = len(source)
    share = same(math.prod(box.sides[each] for each in before) / (parts * box.ranks), count)
    keeps = overwrites(count)

    def held(step: int) -> Pieces:
        return lambda *_: np.concatenate(
            [bundle(box, box.moved(axis, order[(at - way * step) % side]), before, part) for way, part in senses]
        )

    for step in range(side - 1):
        yield Round(source, target, share, keeps, held(step))


def direct_rounds(box: Box, axis: int, before: tuple[int, ...], part: int, parts: int) -> Iterator[Round]:
    """All-gather in which every rank sends to each other along an axis at once."""
    side = box.sides[axis]
    here = box.along(axis)
    source = np.tile(np.arange(box.ranks), side - 1)
    target = np.concatenate([box.moved(axis, (here + apart) % side) for apart in range(1, side)])
    share = same(math.prod(box.sides[each] for each in before) / (parts * box.ranks), len(source))
    yield Round(source, target, share, overwrites(len(source)), lambda source, _: bundle(box, source, before, part))


def in_lanes(
    box: Box, orders: list[tuple[int, ...]], ways: tuple[str, ...], sense: int, *, is_double: bool = False
) -> Schedule:
    """All-gather of one part for each of ``orders`` of the axes, side by side; both ways round where ``is_double``."""
    parts = len(orders) * (2 if is_double else 1)

    def rounds() -> Iterator[Round]:
        for phase in range(len(box.sides)):
            for lane, order in enumerate(orders):
                axis, before = order[phase], order[:phase]
                if ways[axis] == "direct":
                    found = direct_rounds(box, axis, before, lane, parts)
                else:
                    senses = ((1, 2 * lane), (-1, 2 * lane + 1)) if is_double else ((sense, lane),)
                    found = ring_rounds(box, axis, before, senses, parts)
                for each in found:
                    yield Round(each.source, each.target, each.share, each.reduces, each.pieces, lane, phase)

    return Schedule("all-gather", "", box.ranks, parts * box.ranks, rounds)


def rotated(axes: int) -> list[tuple[int, ...]]:
    """Orders in which an all-gather takes the axes, so that a reduce-scatter takes j, j + 1, … in part j."""
    return [tuple((part + step) % axes for step in reversed(range(axes))) for part in range(axes)]


def flat(layout: Layout) -> Box:
    """All ranks on one axis, which closes unless the layout is one open axis."""
    closes = layout.closed[0] if len(layout.shape) == 1 else True
    return Box((layout.ranks,), (closes,), (1,))


def ring(layout: Layout, sense: int) -> Schedule:
    """All ranks on one ring in their order, one way round.

    Patarasuk and Yuan, J. Parallel Distrib. Comput. 69(2), 2009, 117-124.
    """
    return in_lanes(flat(layout), [(0,)], ("ring",), sense)


def bidirectional_ring(layout: Layout, sense: int) -> Schedule:
    """All ranks on one ring, half of the data each way round."""
    return in_lanes(flat(layout), [(0,)], ("ring",), sense, is_double=True)


def ring_per_dimension(layout: Layout, sense: int) -> Schedule:
    """Rings along one axis after the other, all one way round, nothing at once.

    The reduce-scatter walks the axes first to last, the all-gather back: 2 sum over axes of (d - 1) (a + S / (d x
    product of earlier sides) / b) for an all-reduce, where a is the latency of a hop and b a link's bandwidth.
    """
    box = box_of(layout)
    axes = len(box.sides)
    return in_lanes(box, [tuple(reversed(range(axes)))], ("ring",) * axes, sense)


def bucket(layout: Layout, sense: int) -> Schedule:
    """One part of the data for each axis of a torus, each around its rings both ways; part j reduces j, j + 1, ….

    Jain and Sabharwal, "Optimal bucket algorithms for large MPI collectives on torus interconnects", ICS 2010.
    """
    box = box_of(layout)
    axes = len(box.sides)
    return in_lanes(box, rotated(axes), ("ring",) * axes, sense, is_double=True)


def full_mesh(layout: Layout, sense: int) -> Schedule:
    """One part of the data for each axis of an nD full mesh, each sent to all ranks along an axis at once."""
    box = box_of(layout)
    axes = len(box.sides)
    return in_lanes(box, rotated(axes), ("direct",) * axes, sense)


def hierarchical(layout: Layout, sense: int) -> Schedule:
    """Nested levels, innermost first: scatter inside, go on outside with what is left, gather inside.

    Rank r of every group talks to rank r of the others, as rails want it.
    """
    ways = tuple(
        way for way, side in zip(layout.ways or ("direct",) * len(layout.shape), layout.shape, strict=True) if side > 1
    )
    for way in ways:
        if way not in WAYS:
            raise InputError(f"{way!r} is no way along a level", where="ways", remedy=f"take {' or '.join(WAYS)}")
    box = box_of(layout, is_inner_first=True)
    return in_lanes(box, [tuple(reversed(range(len(box.sides))))], ways, sense)


def ring_broadcast(layout: Layout) -> Schedule:
    """Along a chain, in chunks: each rank passes one on while it takes the next."""
    ranks, chunks = layout.ranks, layout.chunks
    order = ring_order(ranks, closes=flat(layout).closed[0])

    def rounds() -> Iterator[Round]:
        for step in range(chunks + ranks - 2):
            at = np.arange(max(0, step - chunks + 1), min(step, ranks - 2) + 1)
            count = len(at)
            held = (step - at)[:, None]
            yield Round(
                order[at],
                order[at + 1],
                same(1 / chunks, count),
                overwrites(count),
                holding(held),
            )

    return Schedule("broadcast", "ring", ranks, chunks, rounds)


RING: dict[str, Maker] = gathering("ring", ring) | {"broadcast": ring_broadcast}
BIDIRECTIONAL_RING = gathering("bidirectional-ring", bidirectional_ring)
RING_PER_DIMENSION = gathering("ring-per-dimension", ring_per_dimension)
BUCKET = gathering("bucket", bucket)
FULL_MESH = gathering("full-mesh", full_mesh)
HIERARCHICAL = gathering("hierarchical", hierarchical)
