"""Lower bounds of collectives: times that no algorithm can beat on these links, and what binds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives.kinds import ALL_REDUCE, ALL_TO_ALL, BROADCAST, SEND_RECV

if TYPE_CHECKING:
    from simulator.collectives.group import Group, Way

REDUCING = frozenset({"in-network", "hierarchical", "hierarchical-tree"})
"""Algorithms that let switches reduce on the way where these can."""


@dataclass(frozen=True)
class Bounds:
    """Times [s] that no algorithm of its class can beat on these links.

    ``injection``: what a chip must send over all its links; ``link``: what must enter the fullest group of one level;
    ``bisection``: what must cross the middle; ``latency``: launch and the longest shortest way. Where switches reduce
    on the way a chip sends its buffer once, elsewhere 2 (n - 1) / n of it for an all-reduce.
    """

    injection_s: float
    link_s: float
    bisection_s: float
    latency_s: float

    @property
    def least_s(self) -> float:
        """The largest of them [s]."""
        return max(self.injection_s, self.link_s, self.bisection_s, self.latency_s)


def bounds_of(kind: int, size_bytes: float, group: Group, algorithm: str) -> Bounds:
    """The bounds of a collective, of all algorithms that reduce where ``algorithm`` does."""
    is_reduced = kind == ALL_REDUCE and algorithm in REDUCING and any(way.reduces for way in group.ways)
    count = float(group.ranks)
    in_slice = group.in_slice
    link_s = bisection_s = 0.0
    inside = 1.0
    along_axes, switched = 0.0, 0.0
    left = sum(way.outward_bytes_per_s for way in group.ways)
    for way in group.ways:
        # ways along axes add up; through an outer switch there is a way that passes no inner level
        along_axes += way.farthest_s if way.kind == "axis" else 0.0
        switched = max(switched, way.farthest_s if way.kind != "axis" else 0.0)
        if kind == ALL_TO_ALL:
            crossing = inside * size_bytes * (count - inside) / count
        elif kind == SEND_RECV:
            crossing = 0.0
        else:
            crossing = size_bytes * (1.0 if is_reduced else sent_share(kind, count / inside))
        link_s = max(link_s, crossing / (inside * left))
        left -= way.outward_bytes_per_s
        inside *= way.size
        if way.kind == "axis":
            bisection_s = max(bisection_s, _cut_seconds(kind, size_bytes, way, in_slice, count))
    farthest = max(along_axes, switched)
    if kind == SEND_RECV:
        farthest = min(way.hop_s for way in group.ways)
    share = 1.0 if is_reduced else sent_share(kind, count)
    return Bounds(
        injection_s=size_bytes * share / group.injection_bytes_per_s,
        link_s=link_s,
        bisection_s=bisection_s,
        latency_s=group.launch_s + farthest,
    )


def sent_share(kind: int, ranks: float) -> float:
    """Least share of the size that one rank must send where no switch reduces [1]."""
    scatter = (ranks - 1) / ranks
    return (2 * scatter, scatter, scatter, scatter, 1.0 / ranks, 1.0)[kind]


def bottleneck(kind: int, size_bytes: float, group: Group, bounds: Bounds) -> str:
    """Name the level that binds: the one whose links need longest, or the latency where that is longer."""
    inside = 1.0
    in_slice = group.in_slice
    slowest, name = 0.0, group.ways[0].name
    for way in group.ways:
        seconds = size_bytes * sent_share(kind, group.ranks / inside) / (inside * way.outward_bytes_per_s)
        if kind == ALL_TO_ALL:
            seconds = size_bytes * inside * (way.size - 1) / group.ranks / way.outward_bytes_per_s
            if way.kind == "axis":
                seconds = _cut_seconds(kind, size_bytes, way, in_slice, group.ranks)
        if seconds > slowest:
            slowest, name = seconds, way.name
        inside *= way.size
    return f"{name} links" if slowest > bounds.latency_s else "latency"


def _cut_seconds(kind: int, size_bytes: float, way: Way, in_slice: float, count: float) -> float:
    """Time of what must cross the middle of one axis of a torus [s].

    Several tori that a network joins can go round each other's cuts, but for what an all-to-all sends inside them.
    """
    if kind == SEND_RECV or (in_slice < count and kind != ALL_TO_ALL):
        return 0.0
    across = in_slice / way.size * (2 if way.wraps else 1) * way.link_bytes_per_s
    lesser = way.size // 2 / way.size
    if kind == ALL_TO_ALL:
        return lesser * in_slice * size_bytes * in_slice / count * (1 - lesser) / across
    half_share = {ALL_REDUCE: 1.0, BROADCAST: 0.0}
    return size_bytes * half_share.get(kind, lesser) / across
