"""All-to-all of unequal parts: exact loads of every level from a matrix of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives.exchange.domains import ports_bytes_per_s
from simulator.collectives.group import level_rows
from simulator.errors import InputError, InternalError
from simulator.figures import Draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from simulator.machine import Slice

MOST_RANKS = 4096
_LARGEST_BYTES = 1e18
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Vector:
    """A priced all-to-all of unequal parts.

    ``link_bytes`` and ``crossing_bytes`` by level: on its fullest link (into or out of one chip at a switch level),
    and all that crosses it [B]. Lower bounds: ``injection_s`` is what the busiest rank must send or receive over all
    its links, ``link_s`` what the fullest link needs at all that the hardware has, ``latency_s`` the launch [s].
    """

    ranks: int
    total_bytes: float
    seconds: float
    bottleneck: str
    link_bytes: dict[str, float]
    crossing_bytes: dict[str, float]
    injection_s: float
    link_s: float
    latency_s: float


def all_to_all_v(part: Slice, matrix: ArrayLike, *, draw: Draw | None = None) -> Vector:
    """Price an all-to-all in which rank i sends ``matrix[i][j]`` bytes to rank j, by the library of the machine.

    Every part goes straight to its rank (see :func:`simulator.collectives.exchange.kernels.vector_loads`); what a rank
    sends to itself costs nothing. Levels work at the same time.

    Raises
    ------
    InputError : a matrix that is not square over the ranks, or has entries that are no sizes
    InternalError : the result is below a lower bound
    """
    import numpy as np

    from simulator.collectives.exchange import kernels
    from simulator.collectives.rows.kernels import BANDWIDTH, LINE, RAMP

    draw = draw or Draw()
    sizes = _sizes(matrix, part.chips)
    software = part.machine.software
    rows = level_rows(part.levels, software, draw)
    fullest, crossing = kernels.vector_loads_fast(rows, sizes)
    passing_s, slowest = kernels.vector_seconds_fast(rows, fullest)
    latencies = [level.farthest_hops * draw(level.link.latency) for level in part.levels]
    along = sum(each for each, level in zip(latencies, part.levels, strict=True) if level.kind != "switch")
    across = max(
        (each for each, level in zip(latencies, part.levels, strict=True) if level.kind == "switch"), default=0.0
    )
    fill_s = max(draw(level.link.start) for level in part.levels) + max(along, across)
    ramp = float(rows[-1, RAMP])
    launch_s, call_s = draw(software.collective_launch), draw(software.call) if software.call else 0.0
    seconds = max(call_s, launch_s + fill_s + passing_s + 2 * ramp * math.sqrt(fill_s * passing_s))
    busiest = float(max(sizes.sum(axis=0).max(), sizes.sum(axis=1).max()))
    injection_s = busiest / ports_bytes_per_s(part.levels, draw)
    if seconds < injection_s * (1 - _ROUNDING):
        raise InternalError(
            f"an all-to-all of {busiest:g} bytes takes {seconds:g} s, below its bound of {injection_s:g} s"
        )
    lines = rows[:, LINE].astype(np.int64).tolist()
    names = [part.levels[line].name for line in lines]
    link_bytes: dict[str, float] = {}
    crossing_bytes: dict[str, float] = {}
    for name, most, every in zip(names, fullest.tolist(), crossing.tolist(), strict=True):
        link_bytes[name] = max(link_bytes.get(name, 0.0), most)
        crossing_bytes[name] = max(crossing_bytes.get(name, 0.0), every)
    is_bound = passing_s > launch_s + fill_s
    return Vector(
        ranks=part.chips,
        total_bytes=float(sizes.sum()),
        seconds=seconds,
        bottleneck=f"{names[slowest]} links" if is_bound else "latency",
        link_bytes=link_bytes,
        crossing_bytes=crossing_bytes,
        injection_s=injection_s,
        link_s=max(
            most / (float(rate) / draw(part.levels[line].link.fraction))
            for most, rate, line in zip(fullest, rows[:, BANDWIDTH], lines, strict=True)
        ),
        latency_s=launch_s,
    )


def _sizes(matrix: ArrayLike, ranks: int) -> NDArray[np.float64]:
    import numpy as np

    if not 2 <= ranks <= MOST_RANKS:
        raise InputError(f"a matrix over {ranks} ranks is out of bounds", remedy=f"take 2 to {MOST_RANKS:,} chips")
    try:
        sizes = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("the matrix holds entries that are no numbers", remedy="give bytes, one row a rank") from None
    if sizes.shape != (ranks, ranks):
        shape = " x ".join(map(str, sizes.shape)) or "no"
        raise InputError(f"the matrix has {shape} entries", remedy=f"give {ranks} x {ranks}, one row for each rank")
    if not (np.isfinite(sizes).all() and (sizes >= 0).all() and sizes.max() <= _LARGEST_BYTES):
        raise InputError("the matrix holds entries that are no sizes", remedy="give 0 to 1e18 bytes")
    np.fill_diagonal(sizes, 0.0)
    if not sizes.any():
        raise InputError("nothing is sent to another rank", remedy="give a matrix with bytes off its diagonal")
    return sizes
