"""Flows over time: links shared max-min fairly until every flow has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError, InternalError
from simulator.network import kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simulator.routing import Routes

LARGEST_TOLERANCE = 0.1
"""Above this a tolerance says more about itself than about the network."""


@dataclass(frozen=True, eq=False)
class Drained:
    """When flows ran.

    Parameters
    ----------
    begin_s, finish_s : (flows,) when the first and the last byte of each flow moved [s]
    fillings : how often rates had to be filled [1]
    tolerance : part of the time since 0 within which events were taken together; no flow kept its links for longer
        than that after it had ended, so where fewer flows slow no other one no finish is later than exact by more [1]
    """

    begin_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    fillings: int
    tolerance: float

    @property
    def seconds(self) -> float:
        """When the last flow ended [s]."""
        return float(self.finish_s.max(initial=0.0))


def link_loads(routes: Routes, links: int, volume_bytes: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Bytes on each of ``links`` directed links when every flow has moved its volume: (links,)."""
    volume = np.broadcast_to(np.asarray(volume_bytes, dtype=np.float64), (routes.flows,))
    weights = np.repeat(volume, np.diff(routes.first)) * routes.share
    return np.asarray(np.bincount(routes.link, weights=weights, minlength=links), dtype=np.float64)


def max_min_rates(routes: Routes, capacity_bytes_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Max-min fair rates of flows that run at once: (flows,) [B/s]; infinite for a flow from a chip to itself.

    ``capacity_bytes_per_s`` (links,) is of every directed link.
    """
    rates = kernels.fill_rates_fast(routes.first, routes.link, routes.share, capacity_bytes_per_s)
    return np.asarray(rates, dtype=np.float64)


def drained(
    routes: Routes,
    capacity_bytes_per_s: NDArray[np.float64],
    volume_bytes: ArrayLike,
    *,
    ready_s: ArrayLike = 0.0,
    delay_s: ArrayLike | None = None,
    after: tuple[ArrayLike, ArrayLike] | None = None,
    tolerance: float = 0.0,
) -> Drained:
    """Let flows run until all have ended.

    Parameters
    ----------
    capacity_bytes_per_s : (links,) of every directed link [B/s]
    volume_bytes : (flows,) or one for all
    ready_s : when each flow may start [s]
    delay_s : from a flow's readiness to its first byte [s]; the latency of its route if left out
    after : pairs (before, flow): the second of each waits until the first has ended
    tolerance : part of the time since 0 within which events count as simultaneous; 0 is exact

    Raises
    ------
    InputError : bytes or times that are negative or not finite, a tolerance out of range
    InternalError : flows that wait for each other in a circle, or lead over a link without capacity
    """
    flows = routes.flows
    volume = _of_each(volume_bytes, flows, "bytes")
    ready = _of_each(ready_s, flows, "start")
    delay = _of_each(routes.delay_s if delay_s is None else delay_s, flows, "delay")
    if not 0 <= tolerance <= LARGEST_TOLERANCE:
        raise InputError(f"{tolerance:g} is no tolerance", where="tolerance", remedy="give 0 (exact) to 0.1")
    before, later = (np.asarray(each, dtype=np.int64) for each in (after or ((), ())))
    order = np.argsort(before, kind="stable")
    next_first = np.concatenate(([0], np.cumsum(np.bincount(before, minlength=flows)))).astype(np.int64)
    waits = np.bincount(later, minlength=flows).astype(np.int64)
    begin, finish, fillings = kernels.drain_fast(
        routes.first,
        routes.link,
        routes.share,
        capacity_bytes_per_s,
        volume,
        ready,
        delay,
        waits,
        next_first,
        later[order],
        tolerance,
    )
    if not np.isfinite(finish).all():
        raise InternalError(f"flow {int(np.argmax(~np.isfinite(finish)))} never ends")
    return Drained(begin, finish, int(fillings), tolerance)


def _of_each(given: ArrayLike, flows: int, what: str) -> NDArray[np.float64]:
    """One number for each flow, each finite and not negative."""
    found = np.broadcast_to(np.asarray(given, dtype=np.float64), (flows,)).copy()
    wrong = found[~((found >= 0) & (found < math.inf))]
    if len(wrong):
        raise InputError(f"{wrong[0]:g} is no {what} of a flow", where=what, remedy="give a finite number from 0")
    return found
