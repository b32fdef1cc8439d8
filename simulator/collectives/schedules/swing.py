r"""Swing: partners that swing from side to side of a torus, near ones for the largest parts.

.. math:: \rho(s) = \sum_{i=0}^{s} (-2)^i = \frac{1 - (-2)^{s + 1}}{3}

In step s of an axis an even coordinate a talks to :math:`a + \rho(s)` and an odd one to :math:`a - \rho(s)`, the
mirrored collective the other way. On k axes 2k collectives run at once, each on its part of the data, each starting
with another axis (De Sensi, Bonato, Saam and Hoefler, "Swing: short-cutting rings for higher bandwidth allreduce",
arXiv 2401.09356).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.collectives.schedules.axes import Box, box_of
from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Pieces,
    Round,
    Schedule,
    adds,
    gathering,
    holding,
    overwrites,
    power_of_two,
    same,
)


def rho(step: int) -> int:
    """Distance of the partner in a step of one axis, with its sign [1]."""
    return int((1 - (-2) ** (step + 1)) // 3)


def partners(box: Box, first: int, *, is_mirrored: bool) -> list[np.ndarray]:
    """Partner of every rank in each step of the collective that starts with axis ``first``: steps x (ranks,)."""
    left = [power_of_two(side, "a side of the torus for Swing") for side in box.sides]
    taken = [0] * len(left)
    found = []
    axis = first
    while any(left):
        if left[axis]:
            here = box.along(axis)
            sign = np.where((here % 2 == 0) != is_mirrored, 1, -1)
            found.append(box.moved(axis, (here + sign * rho(taken[axis])) % box.sides[axis]))
            taken[axis] += 1
            left[axis] -= 1
        axis = (axis + 1) % len(left)
    return found


def collectives(box: Box) -> list[list[np.ndarray]]:
    """Partners of all collectives that run at once: plain ones, then mirrored ones."""
    return [
        partners(box, first, is_mirrored=is_mirrored)
        for is_mirrored in (False, True)
        for first in range(len(box.sides))
    ]


def owned(partner: list[np.ndarray]) -> list[np.ndarray]:
    """Ranks whose pieces a rank is left with before each step of the reduce-scatter: steps + 1 of (ranks, count)."""
    found = [np.arange(len(partner[0]))[:, None]]
    for each in reversed(partner):
        found.append(np.concatenate((found[-1], found[-1][each]), axis=1))
    return found[::-1]


def swing(layout: Layout, sense: int) -> Schedule:
    """All-gather of the version for bandwidth: a rank sends all it has, twice as much in every step, farthest first."""
    box = box_of(layout)
    at_once = collectives(box)
    parts, steps = len(at_once), len(at_once[0])
    source = np.tile(np.arange(box.ranks), parts)

    def rounds() -> Iterator[Round]:
        for step in reversed(range(steps)):
            target = np.concatenate([each[step] for each in at_once])
            share = same(2 ** (steps - 1 - step) / (parts * box.ranks), len(source))
            yield Round(source, target, share, overwrites(len(source)), _gathered(at_once, step, box.ranks))

    return Schedule("all-gather", "swing", box.ranks, parts * box.ranks, rounds)


def _gathered(at_once: list[list[np.ndarray]], step: int, ranks: int) -> Pieces:
    return lambda *_: np.concatenate([part * ranks + owned(each)[step + 1] for part, each in enumerate(at_once)])


def swing_latency(layout: Layout) -> Schedule:
    """All-reduce of the version for latency: partners exchange and add the whole of each part in every step."""
    box = box_of(layout)
    at_once = collectives(box)
    parts = len(at_once)
    source = np.tile(np.arange(box.ranks), parts)
    part_of = np.repeat(np.arange(parts), box.ranks)[:, None]

    def rounds() -> Iterator[Round]:
        for step in range(len(at_once[0])):
            target = np.concatenate([each[step] for each in at_once])
            count = len(source)
            yield Round(source, target, same(1 / parts, count), adds(count), holding(part_of))

    return Schedule("all-reduce", "swing-latency", box.ranks, parts, rounds)


SWING: dict[str, Maker] = gathering("swing", swing)
SWING_LATENCY: dict[str, Maker] = {"all-reduce": swing_latency}
