"""The levels of a slice as an exchange of tokens uses them: domains whose ports are their own, innermost first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives.exchange.experts import Routing, spread

if TYPE_CHECKING:
    from simulator.exchange import Reached
    from simulator.figures import Draw
    from simulator.machine import Level, Slice


@dataclass(frozen=True)
class Part:
    """One level: ``size`` members, the rate of one chip [B/s] raw and as kernels reach it, latency across it [s].

    ``rate_bytes_per_s`` is that of one link along an axis, else of all links of a chip into the level. ``is_shared``:
    reached through the ports of the level inside.
    """

    name: str
    kind: str
    size: int
    wraps: bool
    rate_bytes_per_s: float
    fraction: float
    farthest_s: float
    is_shared: bool


@dataclass(frozen=True)
class Domain:
    """Levels that share their ports, or the axes of a torus; ``inside`` ranks make one member of its innermost."""

    parts: tuple[Part, ...]
    inside: int

    @property
    def size(self) -> int:
        """Members of the innermost level in the whole domain."""
        return math.prod(part.size for part in self.parts)


@dataclass(frozen=True)
class Load:
    """What one rank sends over one level: bytes of the fullest link, or of all its links there; and for how long."""

    name: str
    bytes_per_rank: float
    seconds: float
    raw_s: float


def domains_of(part: Slice, reached: Reached, draw: Draw) -> tuple[Domain, ...]:
    """The domains of a slice, innermost first: a torus, a switch level with those behind its ports, a mesh.

    ``reached`` is the share of the links' bandwidth that kernels reach.
    """
    found: list[list[Part]] = []
    shared = _are_shared(part.levels)
    for index, level in enumerate(part.levels):
        is_network = part.machines > 1 and index == len(part.levels) - 1
        is_shared = shared[index]
        if level.size == 1:
            continue
        rate = level.links * draw(level.link.bandwidth) * (level.neighbours if level.kind == "mesh" else 1)
        fraction = draw(reached.outside if is_network else reached.inside)
        farthest_s = level.farthest_hops * draw(level.link.latency)
        each = Part(level.name, level.kind, level.size, level.wraps, rate, fraction, farthest_s, is_shared)
        if found and (is_shared or level.kind == found[-1][-1].kind == "axis"):
            found[-1].append(each)
        else:
            found.append([each])
    domains = []
    inside = 1
    for parts in found:
        domains.append(Domain(tuple(parts), inside))
        inside *= domains[-1].size
    return tuple(domains)


def straight_loads(domains: Sequence[Domain], ranks: int, size_bytes: float) -> list[Load]:
    """Loads when each rank sends ``size_bytes`` [B] to all ranks alike, itself included, every copy on its own way."""
    return [load for domain in domains for load in _loads(domain, domain.inside, ranks, size_bytes)]


def fanned_loads(domains: Sequence[Domain], routing: Routing, ranks: int, token_bytes: float) -> list[Load]:
    """Loads when a rank's tokens of ``token_bytes`` [B] in all cross each domain once for each member that they reach.

    A token that reaches a domain does so at any member alike (the peer of its sender), and goes on to the members that
    have an expert of it; the share 1 / size of these is where it is already.
    """
    found = []
    for domain in domains:
        reached = spread(routing, ranks // domain.inside).distinct
        found += _loads(domain, 1, domain.size, token_bytes * reached)
    return found


def _loads(domain: Domain, inside: int, ranks: int, size_bytes: float) -> list[Load]:
    """Loads of one domain, of whose traffic between ``ranks`` members ``inside`` are below its innermost level."""
    found: list[Load] = []
    torus = domain.size if domain.parts[0].kind == "axis" else 0
    outer = inside * domain.size
    ports = 0.0
    for part in reversed(domain.parts):
        if torus:
            carried = size_bytes * torus / ranks * _axis_share(part.size, wraps=part.wraps)
        else:
            inner = outer // part.size
            ports += size_bytes * (outer - inner) / ranks
            carried = ports
            outer = inner
        raw_s = carried / part.rate_bytes_per_s
        found.append(Load(part.name, carried, raw_s / part.fraction, raw_s))
    return found[::-1]


def ports_bytes_per_s(levels: Sequence[Level], draw: Draw) -> float:
    """What one chip can send at once over all the ports that it has, those of the network beside its own [B/s]."""
    total = 0.0
    for level, is_shared in zip(levels, _are_shared(levels), strict=True):
        total += 0.0 if is_shared else level.neighbours * level.links * draw(level.link.bandwidth)
    return total


def _are_shared(levels: Sequence[Level]) -> list[bool]:
    """Whether each level is one of switches that are reached through the ports of the level inside."""
    found = []
    inner = None
    for level in levels:
        found.append(level.kind == "switch" and level.link is inner)
        if level.size > 1:
            inner = level.link if level.kind == "switch" else None
    return found


def farthest_seconds(domains: Iterable[Domain], *, is_straight: bool) -> float:
    """Latency between the ranks farthest apart [s]: the longest way of any domain, or one after the other."""
    ways = []
    for domain in domains:
        each = [part.farthest_s for part in domain.parts]
        ways.append(sum(each) if domain.parts[0].kind in {"axis", "mesh"} else max(each))
    return max(ways) if is_straight else sum(ways)


def _axis_share(members: int, *, wraps: bool) -> float:
    """Share of what a chip sends to all chips of an axis alike that its fullest link carries [1].

    Ties split: d / 8 on a ring of d chips ((d^2 - 1) / 8d for odd d), d / 4 in the middle of a line.
    """
    return members * members // 4 / members / (2.0 if wraps else 1.0)
