"""Price one collective on a group of chips and say why: algorithm, bottleneck, lower bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives.bounds import Bounds, bottleneck, bounds_of
from simulator.collectives.group import ALGORITHMS, Group, group_of
from simulator.collectives.kinds import KINDS, bus_factor, kind_id
from simulator.errors import InputError, InternalError, unknown_name

if TYPE_CHECKING:
    from simulator.figures import Draw
    from simulator.machine import Slice

LARGEST_BYTES = 1e18
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Priced:
    """A priced collective. ``algbw`` and ``busbw`` follow nccl-tests [B/s].

    ``by_algorithm`` has the time of every algorithm that is legal on the group [s], whether or not its library has it.
    """

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


def price(kind: str, size_bytes: float, part: Slice, *, algorithm: str = "", draw: Draw | None = None) -> Priced:
    """Price one collective over all chips of a slice; see :func:`price_in`.

    ``draw`` gives the values of uncertain figures; the stated ones by default.
    """
    return price_in(group_of(part, draw), kind, size_bytes, algorithm=algorithm)


def price_in(group: Group, kind: str, size_bytes: float, *, algorithm: str = "") -> Priced:
    """Price one collective over all chips of a group, called on its own, as nccl-tests calls it.

    Parameters
    ----------
    kind : one of :data:`simulator.collectives.KINDS`
    size_bytes : size under the nccl-tests convention (see :mod:`simulator.collectives.kernels`) [B]
    algorithm : one of :data:`simulator.collectives.ALGORITHMS`, also one that the machine's library lacks; empty for
        the cheapest legal one that it has

    Raises
    ------
    InputError : unknown kind or algorithm, an algorithm that is not legal here, a bad size
    InternalError : the result is below a lower bound
    """
    from simulator.collectives import kernels

    number = kind_id(kind)
    if not (math.isfinite(size_bytes) and 0 < size_bytes <= LARGEST_BYTES):
        raise InputError(
            f"{size_bytes:g} bytes is no size of a message", remedy="give more than 0 and at most 1e18 bytes"
        )
    best, times = kernels.priced_fast(number, float(size_bytes), group.rows)
    legal = {
        name: max(group.call_s, group.launch_s + seconds)
        for name, seconds in zip(ALGORITHMS, times.tolist(), strict=True)
        if seconds < math.inf
    }
    if algorithm:
        if algorithm not in ALGORITHMS:
            raise unknown_name("algorithm", algorithm, ALGORITHMS)
        if algorithm not in legal:
            raise InputError(
                f"{algorithm} cannot do {KINDS[number]} on {group.ranks} chips of {group.name}",
                remedy=f"legal here: {', '.join(legal)}",
            )
    chosen = algorithm or ALGORITHMS[best]
    if chosen not in legal:
        raise InputError(
            f"the library of {group.name} has no algorithm for {KINDS[number]} on {group.ranks} chips",
            remedy=f"name one: {', '.join(legal)}",
        )
    bounds = bounds_of(number, size_bytes, group, chosen)
    seconds = legal[chosen]
    if seconds < bounds.least_s * (1 - _ROUNDING):
        raise InternalError(f"{KINDS[number]} by {chosen} takes {seconds:g} s, below its bound of {bounds.least_s:g} s")
    algbw = size_bytes / seconds
    return Priced(
        kind=KINDS[number],
        size_bytes=size_bytes,
        ranks=group.ranks,
        seconds=seconds,
        algorithm=chosen,
        bottleneck=bottleneck(number, size_bytes, group, bounds),
        algbw_bytes_per_s=algbw,
        busbw_bytes_per_s=algbw * bus_factor(number, group.ranks),
        bounds=bounds,
        by_algorithm=legal,
    )
