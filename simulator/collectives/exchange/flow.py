"""Flows of unequal parts, all at once on the links of a fabric: an exchange of tokens, or any all-to-all-v."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.bounds import Bounds
from simulator.collectives.in_step import drained_by_class, equal_ends
from simulator.collectives.patterns import default_routing
from simulator.errors import InputError
from simulator.fabric import capacities, row_sums, sources
from simulator.network import link_loads
from simulator.routing import routes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.exchange.traffic import Traffic
    from simulator.fabric import Fabric

    Whole = NDArray[np.int64]
    Real = NDArray[np.float64]

MOST_FLOWS = 1 << 19
"""Flows of unequal parts at most: more take minutes to route."""


@dataclass(frozen=True)
class Passed:
    """What unequal parts need on a fabric.

    Parameters
    ----------
    passing_s : until the last byte has left its rank, all links shared max-min fairly [s]
    latency_s : of the longest way of each domain, one after the other [s]
    busiest : the link that needs longest for its bytes, by the names of its ends
    flows : how many [1]
    bounds : that no order of these flows can beat, on links that give all that the hardware has
    """

    passing_s: float
    latency_s: float
    busiest: str
    flows: int
    bounds: Bounds


def passed(fabric: Fabric, nodes: Whole, traffic: Traffic, raw_bytes_per_s: Real, routing: str = "") -> Passed:
    """Let all flows start at once and run until the last has ended.

    Parameters
    ----------
    nodes : (ranks,) of the fabric
    raw_bytes_per_s : (entries,) what each link can carry, whatever software reaches of it [B/s]
    routing : a name of :data:`simulator.routing.routes.ROUTING`; the fabric's own if empty

    Raises
    ------
    InputError : more flows than :data:`MOST_FLOWS`, ranks that cannot reach each other
    """
    flows = len(traffic.source)
    if flows > MOST_FLOWS:
        raise InputError(
            f"{flows:,} flows of unequal size are too many",
            where="--fidelity flow",
            remedy=f"take fewer chips (at most {MOST_FLOWS:,} pairs), or ask the closed form",
        )
    source, target = nodes[traffic.source], nodes[traffic.target]
    ways = routes(fabric, source, target, routing or default_routing(fabric))
    capacity = capacities(fabric)
    most = float(traffic.size_bytes.max())
    share = traffic.size_bytes / most
    loads = link_loads(ways, len(capacity), share)
    ends = equal_ends(ways, loads, capacity) if (share == 1).all() else None
    if ends is None:
        ends = drained_by_class(ways, capacity, share, 0.0)
    domains = int(traffic.domain.max()) + 1
    delays = [float(ways.delay_s[traffic.domain == number].max()) for number in range(domains)]
    needs = loads / capacity
    at = int(needs.argmax())
    return Passed(
        passing_s=most * float(ends.max()),
        latency_s=sum(delays),
        busiest=f"{fabric.nodes[int(sources(fabric)[at])]} -> {fabric.nodes[int(fabric.indices[at])]}",
        flows=flows,
        bounds=Bounds(
            injection_s=_injection_seconds(fabric, nodes, traffic, raw_bytes_per_s),
            link_s=most * float((loads / raw_bytes_per_s).max()),
            bisection_s=max(
                (_cut_seconds(fabric, source, target, traffic.size_bytes, raw_bytes_per_s, side))
                for side in (*fabric.cuts.values(), np.zeros(len(fabric.nodes), dtype=np.bool_))
            ),
            latency_s=max(delays),
        ),
    )


def _injection_seconds(fabric: Fabric, nodes: Whole, traffic: Traffic, raw_bytes_per_s: Real) -> float:
    """What the busiest rank must send, or receive, over all its links [s]."""
    out = row_sums(fabric, raw_bytes_per_s)[nodes]
    into = np.bincount(fabric.indices, raw_bytes_per_s, len(fabric.nodes))[nodes]
    sent = np.bincount(traffic.source, traffic.size_bytes, len(nodes))
    received = np.bincount(traffic.target, traffic.size_bytes, len(nodes))
    return float(max((sent / out).max(), (received / into).max()))


def _cut_seconds(
    fabric: Fabric, source: Whole, target: Whole, size_bytes: Real, raw_bytes_per_s: Real, side: NDArray[np.bool_]
) -> float:
    """Time of what must cross a declared cut, the slower of its directions [s]."""
    head, tail = sources(fabric), fabric.indices
    slowest = 0.0
    for here in (side, ~side):
        width = float(raw_bytes_per_s[here[head] & ~here[tail]].sum())
        moved = float(size_bytes[here[source] & ~here[target]].sum())
        if moved > 0:
            slowest = max(slowest, moved / width)
    return slowest
