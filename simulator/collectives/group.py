"""The chips that take part in a collective: their levels as rows for the kernels, and what the hardware limits."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from simulator.errors import InputError
from simulator.fabric import injection_of_levels
from simulator.figures import Draw
from simulator.machine import Algorithm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Level, Slice, Software

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
"""Algorithms in the order of the kernels' ids."""


@dataclass(frozen=True)
class Way:
    """What the hardware of one level can do, without what software reaches of it.

    Parameters
    ----------
    name, kind, size, wraps : of the level
    link_bytes_per_s : one chip's links in one direction; along an axis those of one direction of it [B/s]
    outward_bytes_per_s : one chip into the level over all its links there [B/s]
    hop_s : between neighbours [s]
    farthest_s : latency between the two members farthest apart [s]
    reduces : whether its switches reduce on the way
    """

    name: str
    kind: str
    size: int
    wraps: bool
    link_bytes_per_s: float
    outward_bytes_per_s: float
    hop_s: float
    farthest_s: float
    reduces: bool


@dataclass(frozen=True, eq=False)
class Group:
    """All chips of a slice under one draw of the figures, ready to be priced.

    Parameters
    ----------
    name : the machine's
    ranks : chips [1]
    rows : levels as the kernels take them, see :mod:`simulator.collectives.rows.kernels`
    ways : levels as the bounds take them, innermost first
    injection_bytes_per_s : what one chip can send at once over all its links [B/s]
    launch_s, call_s : see :class:`simulator.machine.Software` [s]
    """

    name: str
    ranks: int
    rows: NDArray[np.float64]
    ways: tuple[Way, ...]
    injection_bytes_per_s: float
    launch_s: float
    call_s: float

    @functools.cached_property
    def in_slice(self) -> float:
        """Chips of one torus of the group, as its axes join them [1]."""
        return math.prod(float(way.size) for way in self.ways if way.kind == "axis")


def group_of(part: Slice, draw: Draw | None = None) -> Group:
    """The chips of a slice as a group.

    Raises
    ------
    InputError : a slice of one chip
    """
    import numpy as np

    from simulator.collectives.rows import kernels

    if part.chips < 2:
        raise InputError("a collective needs at least 2 chips", remedy="ask for more chips")
    draw = draw or Draw()
    software = part.machine.software
    levels = level_rows(part.levels, software, draw)
    rows = np.empty_like(levels)
    rows = rows[: kernels.subgroup_fast(levels, 1.0, float(part.chips), rows)]
    return Group(
        name=part.machine.name,
        ranks=part.chips,
        rows=rows,
        ways=tuple(_way(level, draw) for level in part.levels),
        injection_bytes_per_s=_injection_bytes_per_s(part, draw),
        launch_s=draw(software.collective_launch),
        call_s=draw(software.call) if software.call else 0.0,
    )


def _injection_bytes_per_s(part: Slice, draw: Draw) -> float:
    """Over the links of its machine, and over its ports of the network, which are others."""
    if part.machines == 1:
        return injection_of_levels(part.levels, draw)
    *inside, network = part.levels
    return injection_of_levels(inside, draw) + network.links * draw(network.link.bandwidth)


def _way(level: Level, draw: Draw) -> Way:
    rate = level.links * draw(level.link.bandwidth)
    hop_s = draw(level.link.latency)
    return Way(
        name=level.name,
        kind=level.kind,
        size=level.size,
        wraps=level.wraps,
        link_bytes_per_s=rate,
        outward_bytes_per_s=level.neighbours * rate,
        hop_s=hop_s,
        farthest_s=level.farthest_hops * hop_s,
        reduces=level.kind == "switch" and level.link.reduction is not None,
    )


def level_rows(levels: Sequence[Level], software: Software, draw: Draw) -> NDArray[np.float64]:
    """Levels as the array that the kernels take: (rows, COLUMNS); levels of one member are left out.

    An axis of several blocks becomes two rows: all axes inside a block come first, then all axes from block to block,
    so that consecutive ranks fill a cube before they leave it.
    """
    import numpy as np

    from simulator.collectives.rows.kernels import AXIS, COLUMNS, MESH, SWITCH

    inside, outside = [], []
    inner = None
    library = _library(levels, software)
    for line, level in enumerate(levels):
        is_shared = level.kind == "switch" and level.link is inner
        inner = level.link if level.kind == "switch" else None
        block = level.block if level.kind == "axis" and level.block > 1 else level.size
        row = (
            level.links * draw(level.link.bandwidth) * draw(level.link.fraction),
            level.hops * draw(level.link.latency),
            draw(level.link.start),
            float(level.wraps or is_shared),
        )
        kind = float({"axis": AXIS, "switch": SWITCH, "mesh": MESH}[level.kind])
        reduction = level.link.reduction if level.kind == "switch" else None
        rate = level.links * draw(level.link.bandwidth) * draw(reduction.fraction) if reduction else 0.0
        ramp = draw(level.link.ramp) if level.link.ramp else 0.0
        last = (float(line), rate, draw(reduction.start) if reduction else 0.0, ramp, library, *_buffered(level, draw))
        if block > 1:
            inside.append((kind, float(block), *row, 1.0, float(level.size), *last))
        if level.size > block:
            outside.append((kind, float(level.size // block), *row, float(block), float(level.size), *last))
    rows = [row for row in inside if row[0] == AXIS] + outside + [row for row in inside if row[0] != AXIS]
    return np.array(rows, dtype=np.float64).reshape(len(rows), COLUMNS)


def _buffered(level: Level, draw: Draw) -> tuple[float, float, float]:
    """What may be under way into a level [B], and rate [B/s] and start [s] of eager messages."""
    link = level.link
    window = draw(link.window) if link.window else 0.0
    if link.eager is None:
        return window, 0.0, 0.0
    rate = level.links * draw(link.bandwidth) * draw(link.eager.fraction)
    return window, rate, draw(link.eager.start)


def _library(levels: Sequence[Level], software: Software) -> float:
    """The algorithms that the library has and that all links leave to it, as the kernels take them."""
    allowed = _bits(())
    for level in levels:
        allowed &= _bits(level.link.algorithms)
    all_reduce, others = (_bits(software.all_reduce or software.algorithms), _bits(software.algorithms))
    return float((others & allowed) << len(ALGORITHMS) | all_reduce & allowed)


@functools.cache
def _bits(algorithms: tuple[str, ...]) -> int:
    """Sum of 2^a over algorithms; over all where none is named."""
    return sum(1 << ALGORITHMS.index(name) for name in algorithms or ALGORITHMS)
