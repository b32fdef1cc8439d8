"""Switches that reduce: every rank sends its buffer up once and receives the sum once.

NVLS (NVLink switches) has one level; SHARP a tree of levels. Each of ``planes`` sets of switches takes an equal part of
the buffer. Chunks follow each other, so that one comes down while the next goes up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from simulator.collectives.schedules.rounds import Layout, Maker, Round, Schedule, holding, same


def reduced(algorithm: str, sizes: tuple[int, ...], layout: Layout) -> Schedule:
    """All-reduce over a tree of switches, ``sizes[0]`` ranks below each switch of the lowest level.

    Switches follow the ranks: plane by plane, in it level by level from the lowest. A chunk takes a round for each
    level up and each down: T = (chunks + 2 levels - 1) (a + S / (chunks x planes) / b) on links of one latency a and
    bandwidth b.
    """
    ranks, planes, chunks = math.prod(sizes), layout.planes, layout.chunks
    levels = len(sizes)
    widths = [ranks, *(ranks // math.prod(sizes[: level + 1]) for level in range(levels))]
    in_plane = sum(widths[1:])

    def ends(plane: int, level: int) -> tuple[np.ndarray, np.ndarray]:
        """The nodes of a level, ranks at 0, and the switch above each."""
        number = np.arange(widths[level])
        above = ranks + plane * in_plane + sum(widths[1 : level + 1]) + number // sizes[level]
        below = number if level == 0 else number + ranks + plane * in_plane + sum(widths[1:level])
        return below, above

    def rounds() -> Iterator[Round]:
        for step in range(chunks + 2 * levels - 1):
            source, target, held, reduces = [], [], [], []
            for plane in range(planes):
                for level in range(levels):
                    below, above = ends(plane, level)
                    for late, is_up in ((level, True), (2 * levels - 1 - level, False)):
                        if 0 <= step - late < chunks:
                            source.append(below if is_up else above)
                            target.append(above if is_up else below)
                            held.append(np.full((len(below), 1), plane * chunks + step - late))
                            reduces.append(np.full(len(below), is_up))
            pieces = np.concatenate(held)
            yield Round(
                np.concatenate(source),
                np.concatenate(target),
                same(1 / (planes * chunks), len(pieces)),
                np.concatenate(reduces),
                holding(pieces),
            )

    return Schedule("all-reduce", algorithm, ranks, planes * chunks, rounds, planes * in_plane)


def nvls(layout: Layout) -> Schedule:
    """All ranks below one switch, or several side by side."""
    return reduced("nvls", (layout.ranks,), layout)


def sharp(layout: Layout) -> Schedule:
    """A tree of switches: the shape of the layout from the lowest level up."""
    return reduced("sharp", tuple(side for side in layout.shape if side > 1), layout)


NVLS: dict[str, Maker] = {"all-reduce": nvls}
SHARP: dict[str, Maker] = {"all-reduce": sharp}
