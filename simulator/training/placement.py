"""Which axes of a torus the innermost ranks fill first: every order that makes a difference.

Ranks of a plan fill a slice innermost first: tensor ranks, then context, data and pipeline. On a torus any axis can be
the innermost one, and a group that fills a whole axis has a ring with two ways round where one on a part of it has a
line. Orders that only swap axes of the same length and links are the same placement.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

from simulator.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Slice

Axes = tuple[int, ...]
Look = tuple[float, ...]


def axis_orders(part: Slice) -> tuple[Axes, ...]:
    """Every order of the axes of a slice that differs from the others; the first is the one in which they are numbered.

    A slice without axes has one order, of none.
    """
    return _orders(_looks(part))


def placement_of(axes: Axes, part: Slice) -> int:
    """Which of :func:`axis_orders` an order is; () is the first.

    Raises
    ------
    InputError : the order does not name every axis of the slice once
    """
    if not axes:
        return 0
    looks = _looks(part)
    if sorted(axes) != list(range(len(looks))):
        known = ",".join(str(i) for i in range(len(looks)))
        remedy = f"name each of {known} once" if looks else "leave it empty"
        message = f"{','.join(map(str, axes))} is no order of {len(looks)} axes"
        raise InputError(message, where="plan.axes", remedy=remedy)
    wanted = _seen(looks, axes)
    return next(n for n, order in enumerate(_orders(looks)) if _seen(looks, order) == wanted)


def placed_rows(rows: NDArray[np.float64], part: Slice) -> NDArray[np.float64]:
    """Rows of a slice's levels under each of :func:`axis_orders`, (placements, levels, columns).

    Axes change places inside blocks as from block to block.
    """
    import numpy as np

    from simulator.collectives.rows.kernels import AXIS, KIND, LINE, STEP

    lines = [line for line, level in enumerate(part.levels) if level.kind == "axis"]
    found = []
    for order in axis_orders(part):
        rank = {lines[axis]: place for place, axis in enumerate(order)}
        keys = [
            (1 if row[STEP] > 1 else 0, rank[int(row[LINE])], place) if row[KIND] == AXIS else (2, 0, place)
            for place, row in enumerate(rows.tolist())
        ]
        found.append(rows[np.array([place for _, _, place in sorted(keys)], dtype=np.int64)])
    return np.stack(found)


def _looks(part: Slice) -> tuple[Look, ...]:
    """What makes a difference of each axis of a slice: its length, block and links."""
    found = [level for level in part.levels if level.kind == "axis"]
    links = [level.link for level in found]
    return tuple(
        (level.size, level.block, level.wraps, level.links, level.hops, next(i for i, b in enumerate(links) if b is a))
        for level, a in zip(found, links, strict=True)
    )


@lru_cache(maxsize=256)
def _orders(looks: tuple[Look, ...]) -> tuple[Axes, ...]:
    found: dict[tuple[Look, ...], Axes] = {}
    for order in itertools.permutations(range(len(looks))):
        found.setdefault(_seen(looks, order), order)
    return tuple(found.values())


def _seen(looks: tuple[Look, ...], order: Axes) -> tuple[Look, ...]:
    """What an order looks like: axes of one chip have no place in it."""
    return tuple(looks[i] for i in order if looks[i][0] > 1)
