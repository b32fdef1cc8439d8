"""Price one collective on a slice and say why: algorithm, bottleneck, lower bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import InputError, InternalError, unknown_name
from simulator.fabric import injection_of_levels
from simulator.figures import Draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Level, Slice

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv")
"""Collectives in the order of the kernels' ids. ``all_reduce``, ``allreduce`` and ``sendrecv`` are understood too."""

ALGORITHMS = ("ring", "bidirectional-ring", "double-tree", "halving-doubling", "torus", "direct", "hierarchical")
"""Algorithms in the order of the kernels' ids."""

_ALL_REDUCE, _ALL_TO_ALL, _BROADCAST, _SEND_RECV = 0, 3, 4, 5
_AXIS, _SWITCH, _MESH = 0.0, 1.0, 2.0
_LEVEL_KINDS = {"axis": _AXIS, "switch": _SWITCH, "mesh": _MESH}
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Times [s] that no algorithm without in-network reduction can beat on these links.

    ``injection``: what a chip must send over all its links; ``link``: what must enter the fullest group of one level;
    ``bisection``: what must cross the middle; ``latency``: launch and the longest shortest way.
    """

    injection_s: float
    link_s: float
    bisection_s: float
    latency_s: float


@dataclass(frozen=True)
class Priced:
    """A priced collective. ``algbw`` and ``busbw`` follow nccl-tests [B/s]."""

    kind: str
    size_bytes: float
    ranks: int
    seconds: float
    algorithm: str
    bottleneck: str
    algbw_bytes_per_s: float
    busbw_bytes_per_s: float
    bounds: Bounds
    by_algorithm: dict[str, float]


def kind_id(name: str) -> int:
    """Number of a collective in the kernels; spelling with ``-``, ``_`` or nothing is the same.

    Raises
    ------
    InputError : unknown collective, with the nearest known ones
    """
    plain = {kind.replace("-", ""): i for i, kind in enumerate(KINDS)}
    found = plain.get(name.lower().replace("-", "").replace("_", "").replace("/", ""))
    if found is None:
        raise unknown_name("collective", name, KINDS)
    return found


def level_rows(levels: Sequence[Level], draw: Draw) -> NDArray[np.float64]:
    """Levels as the array that the kernels take: (rows, 9); levels of one member are left out.

    An axis of several blocks becomes two rows: all axes inside a block come first, then all axes from block to block,
    so that consecutive ranks fill a cube before they leave it.
    """
    import numpy as np

    inside, outside = [], []
    inner = None
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
        kind = _LEVEL_KINDS[level.kind]
        if block > 1:
            inside.append((kind, float(block), *row, 1.0, float(level.size), float(line)))
        if level.size > block:
            outside.append((kind, float(level.size // block), *row, float(block), float(level.size), float(line)))
    rows = [row for row in inside if row[0] == _AXIS] + outside + [row for row in inside if row[0] != _AXIS]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 9)


def price(kind: str, size_bytes: float, part: Slice, *, algorithm: str = "", draw: Draw | None = None) -> Priced:
    """Price one collective over all chips of a slice.

    Parameters
    ----------
    kind : one of :data:`KINDS`
    size_bytes : size under the nccl-tests convention (see :mod:`simulator.collectives.kernels`) [B]
    part : the slice
    algorithm : one of :data:`ALGORITHMS`, or empty for the cheapest legal one
    draw : values of uncertain figures; the stated ones by default

    Raises
    ------
    InputError : unknown kind or algorithm, an algorithm that is not legal here, a slice of one chip, a bad size
    InternalError : the result is below a lower bound
    """
    import numpy as np

    from simulator.collectives import kernels

    number = kind_id(kind)
    if not (math.isfinite(size_bytes) and 0 < size_bytes <= 1e18):
        raise InputError(
            f"{size_bytes:g} bytes is no size of a message", remedy="give more than 0 and at most 1e18 bytes"
        )
    if part.chips < 2:
        raise InputError("a collective needs at least 2 chips", remedy="ask for more chips")
    draw = draw or Draw()
    slice_rows = level_rows(part.levels, draw)
    rows = np.empty_like(slice_rows)
    rows = rows[: kernels.subgroup_fast(slice_rows, 1.0, float(part.chips), rows)]
    launch_s = draw(part.machine.software.collective_launch)
    seconds = {
        name: launch_s + float(kernels.algorithm_seconds_fast(number, i, size_bytes, rows))
        for i, name in enumerate(ALGORITHMS)
    }
    legal = {name: value for name, value in seconds.items() if math.isfinite(value)}
    if algorithm:
        if algorithm not in ALGORITHMS:
            raise unknown_name("algorithm", algorithm, ALGORITHMS)
        if algorithm not in legal:
            raise InputError(
                f"{algorithm} cannot do {KINDS[number]} on {part.chips} chips of {part.machine.name}",
                remedy=f"legal here: {', '.join(legal)}",
            )
    chosen = algorithm or min(legal, key=lambda name: legal[name])
    bounds = _bounds(number, size_bytes, part, draw, launch_s)
    time_s = legal[chosen]
    least = max(bounds.injection_s, bounds.link_s, bounds.bisection_s, bounds.latency_s)
    if time_s < least * (1 - _ROUNDING):
        raise InternalError(f"{KINDS[number]} by {chosen} takes {time_s:g} s, below its bound of {least:g} s")
    algbw = size_bytes / time_s
    return Priced(
        kind=KINDS[number],
        size_bytes=size_bytes,
        ranks=part.chips,
        seconds=time_s,
        algorithm=chosen,
        bottleneck=_bottleneck(number, size_bytes, part, draw, bounds),
        algbw_bytes_per_s=algbw,
        busbw_bytes_per_s=algbw * bus_factor(number, part.chips),
        bounds=bounds,
        by_algorithm=legal,
    )


def bus_factor(kind: int, ranks: int) -> float:
    """Ratio of busbw to algbw, as in nccl-tests' PERFORMANCE.md."""
    scatter = (ranks - 1) / ranks
    return (2 * scatter, scatter, scatter, scatter, 1.0, 1.0)[kind]


def _sent_share(kind: int, ranks: float) -> float:
    """Least share of the size that one rank must send without in-network reduction [1]."""
    scatter = (ranks - 1) / ranks
    return (2 * scatter, scatter, scatter, scatter, 1.0 / ranks, 1.0)[kind]


def _bounds(kind: int, size_bytes: float, part: Slice, draw: Draw, launch_s: float) -> Bounds:
    link_s = 0.0
    bisection_s = 0.0
    inside = 1.0
    count = float(part.chips)
    outward = outward_bandwidth(part.levels, draw)
    along_axes, switched = 0.0, 0.0
    for i, level in enumerate(part.levels):
        far = draw(level.link.latency) * _farthest(level)
        # ways along axes add up; through an outer switch there is a way that passes no inner level
        along_axes += far if level.kind == "axis" else 0.0
        switched = max(switched, far if level.kind != "axis" else 0.0)
        if kind == _ALL_TO_ALL:
            crossing = inside * size_bytes * (count - inside) / count
        elif kind == _SEND_RECV:
            crossing = 0.0
        else:
            crossing = size_bytes * _sent_share(kind, count / inside)
        link_s = max(link_s, crossing / (inside * sum(outward[i:])))
        inside *= level.size
        bisection_s = max(bisection_s, _cut_seconds(kind, size_bytes, level, count, draw))
    farthest = max(along_axes, switched)
    if kind == _SEND_RECV:
        farthest = min(draw(level.link.latency) for level in part.levels)
    return Bounds(
        injection_s=size_bytes * _sent_share(kind, count) / injection_of_levels(part.levels, draw),
        link_s=link_s,
        bisection_s=bisection_s,
        latency_s=launch_s + farthest,
    )


def outward_bandwidth(levels: Sequence[Level], draw: Draw) -> list[float]:
    """Full link rate of one chip into each level, both directions of an axis [B/s]."""
    widths = []
    for level in levels:
        ways = 1.0
        if level.kind == "axis":
            ways = 2.0 if level.wraps or level.size > 2 else 1.0
        elif level.kind == "mesh":
            ways = level.size - 1.0
        widths.append(ways * level.links * draw(level.link.bandwidth))
    return widths


def _farthest(level: Level) -> int:
    if level.kind != "axis":
        return level.hops
    return level.size // 2 if level.wraps else level.size - 1


def _cut_seconds(kind: int, size_bytes: float, level: Level, count: float, draw: Draw) -> float:
    """Time of what must cross the middle of one axis of a torus [s]; 0 for other levels, whose links bound them."""
    if level.kind != "axis" or kind == _SEND_RECV:
        return 0.0
    width = count / level.size * (2 if level.wraps else 1)
    across = width * level.links * draw(level.link.bandwidth)
    lesser = level.size // 2 / level.size
    if kind == _ALL_TO_ALL:
        return lesser * count * size_bytes * (1 - lesser) / across
    half_share = {_ALL_REDUCE: 1.0, _BROADCAST: 0.0}
    return size_bytes * half_share.get(kind, lesser) / across


def _bottleneck(kind: int, size_bytes: float, part: Slice, draw: Draw, bounds: Bounds) -> str:
    """Name the level that binds: the one whose links need longest, or the latency where that is longer."""
    outward = outward_bandwidth(part.levels, draw)
    inside = 1.0
    slowest, name = 0.0, part.levels[0].name
    for level, width in zip(part.levels, outward, strict=True):
        seconds = size_bytes * _sent_share(kind, part.chips / inside) / (inside * width)
        if kind == _ALL_TO_ALL:
            seconds = size_bytes * (part.chips - inside) / part.chips / width
            if level.kind == "axis":
                seconds = _cut_seconds(kind, size_bytes, level, part.chips, draw)
        if seconds > slowest:
            slowest, name = seconds, level.name
        inside *= level.size
    return f"{name} links" if slowest > bounds.latency_s else "latency"
