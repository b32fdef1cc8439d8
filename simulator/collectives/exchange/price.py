"""Dispatch of tokens to the ranks of their experts, and combine of what these make of them, priced with a reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from simulator.collectives.bounds import Bounds
from simulator.collectives.exchange.domains import (
    Domain,
    domains_of,
    fanned_loads,
    farthest_seconds,
    ports_bytes_per_s,
    straight_loads,
)
from simulator.collectives.exchange.experts import Routing, spread
from simulator.errors import InputError, InternalError, unknown_name
from simulator.figures import Draw

if TYPE_CHECKING:
    from simulator.exchange import Kernels, Library, Phases, Reached
    from simulator.figures import Figure
    from simulator.machine import Slice

Mode = Literal["normal", "low-latency"]
Phase = Literal["dispatch", "combine"]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_TOKENS = 1e12
LARGEST_TOKEN_BYTES = 1e12
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Tokens:
    """What every rank has to send.

    Parameters
    ----------
    count : tokens of one rank [1]; an average, so that it need not be whole
    hidden : values of a token [1]
    bytes_per_value : of the type that is sent (1 for fp8, 2 for bf16) [B]
    scale_bytes : that go along with each token (its scaling factors) [B]
    """

    count: float
    hidden: int
    bytes_per_value: float
    scale_bytes: float = 0.0

    def __post_init__(self) -> None:
        """Check the amounts.

        Raises
        ------
        InputError : nothing to send, or amounts out of all proportion
        """
        if not (math.isfinite(self.count) and 0 < self.count <= MOST_TOKENS):
            raise InputError(
                f"{self.count:g} tokens are no batch", remedy=f"give more than 0 and at most {MOST_TOKENS:g}"
            )
        parts = {"hidden": self.hidden, "bytes_per_value": self.bytes_per_value}
        for name, value in parts.items():
            if not (math.isfinite(value) and 0 < value <= LARGEST_TOKEN_BYTES):
                raise InputError(f"{name} = {value:g} is out of bounds", remedy="give more than 0 and at most 1e12")
        if not (math.isfinite(self.scale_bytes) and 0 <= self.scale_bytes <= LARGEST_TOKEN_BYTES):
            raise InputError(
                f"scale_bytes = {self.scale_bytes:g} is out of bounds", remedy="give 0 or more, up to 1e12"
            )

    @property
    def each_bytes(self) -> float:
        """One token as it is sent [B]."""
        return self.hidden * self.bytes_per_value + self.scale_bytes


@dataclass(frozen=True)
class Exchanged:
    """A priced dispatch or combine; bytes are those of one rank, the busiest where experts are in unequal demand.

    Parameters
    ----------
    phase, mode, ranks, machines : what ran
    seconds : from the start of the first kernel to the end of the last [s]
    floor_s : of it, what does not depend on what is sent, the latency of the ways included; the rest passes bytes [s]
    latency_s, call_s : of the ways, and the least time from one call to the next [s]
    copies, distinct_ranks, distinct_nodes : of a token: experts, and the distinct ranks and machines that they lie on
    sent_bytes : copies that a rank sends in this mode, those to itself included [B]
    level_bytes : by level, what one rank sends over it (along an axis: over its fullest link) [B]
    plain_bytes : the same if every copy went on its own [B]
    bottleneck : what binds: the links of a level, the floor, or calls
    bounds : times that no exchange of its kind can beat [s]
    """

    phase: Phase
    mode: Mode
    ranks: int
    machines: int
    seconds: float
    floor_s: float
    latency_s: float
    call_s: float
    copies: float
    distinct_ranks: float
    distinct_nodes: float
    sent_bytes: float
    level_bytes: dict[str, float]
    plain_bytes: dict[str, float]
    bottleneck: str
    bounds: Bounds


def dispatch(
    part: Slice, routing: Routing, tokens: Tokens, library: Library, mode: Mode, *, draw: Draw | None = None
) -> Exchanged:
    """Send each token of each rank of a slice to the ranks of its experts.

    In mode ``normal`` a token crosses the network once for each distinct machine among them and is fanned out there
    over the links inside; in mode ``low-latency`` each copy goes straight to its rank. Levels work at the same time.

    Parameters
    ----------
    part : the ranks, one on each chip; experts lie on them in order
    routing : which experts tokens pick
    tokens : how many, and how large as they are sent out
    library : kernels and what they reach of the links
    mode : one of :data:`MODES`
    draw : values of uncertain figures; the stated ones by default

    Raises
    ------
    InputError : experts that do not divide over the ranks, a mode that the library lacks
    InternalError : the result is below a lower bound
    """
    return _exchanged("dispatch", part, routing, tokens, library, mode, draw or Draw())


def combine(
    part: Slice, routing: Routing, tokens: Tokens, library: Library, mode: Mode, *, draw: Draw | None = None
) -> Exchanged:
    """Send back what the experts made of each token and add it up: the ways of :func:`dispatch`, walked back.

    ``tokens`` is how large they come back. In mode ``normal`` the copies of one machine are added up before they
    leave it.
    """
    return _exchanged("combine", part, routing, tokens, library, mode, draw or Draw())


def _exchanged(
    phase: Phase, part: Slice, routing: Routing, tokens: Tokens, library: Library, mode: Mode, draw: Draw
) -> Exchanged:
    used = kernels_of(library, mode)
    if part.chips < 2:
        raise InputError("an exchange needs at least 2 ranks", remedy="ask for more chips")
    ranks = part.chips
    domains = domains_of(part, reached_by(used, phase), draw)
    own, nodes = spread(routing, ranks), spread(routing, part.machines)
    token_bytes = tokens.count * tokens.each_bytes
    is_straight = mode == "low-latency"
    plain = straight_loads(domains, ranks, token_bytes * own.copies)
    loads = plain if is_straight else fanned_loads(domains, routing, ranks, token_bytes)
    floor_s = draw(_of_phase(used, phase))
    if used.signal is not None:
        floor_s += routing.experts * draw(_of_phase(used.signal, phase))
    if used.network is not None and part.machines > 1:
        floor_s += draw(used.network)
    if used.scan is not None:
        floor_s += draw(used.scan) * tokens.count * ranks
    latency_s = farthest_seconds(domains, is_straight=is_straight)
    floor_s += latency_s
    busiest = max(loads, key=lambda load: load.seconds)
    call_s = draw(_of_phase(used.call, phase)) if used.call is not None else 0.0
    seconds = max(call_s, floor_s + busiest.seconds)
    bounds = _bounds(part, domains, routing, token_bytes, draw)
    if seconds < bounds.least_s * (1 - _ROUNDING):
        raise InternalError(f"{phase} in mode {mode} takes {seconds:g} s, below its bound of {bounds.least_s:g} s")
    bottleneck = f"{busiest.name} links" if busiest.seconds > floor_s else "floor"
    return Exchanged(
        phase=phase,
        mode=mode,
        ranks=ranks,
        machines=part.machines,
        seconds=seconds,
        floor_s=floor_s,
        latency_s=latency_s,
        call_s=call_s,
        copies=own.copies,
        distinct_ranks=own.distinct,
        distinct_nodes=nodes.distinct,
        sent_bytes=token_bytes * (own.copies if is_straight else own.distinct),
        level_bytes={load.name: load.bytes_per_rank for load in loads},
        plain_bytes={load.name: load.bytes_per_rank for load in plain},
        bottleneck="calls" if call_s > floor_s + busiest.seconds else bottleneck,
        bounds=bounds,
    )


def kernels_of(library: Library, mode: Mode) -> Kernels:
    """The kernels of one mode.

    Raises
    ------
    InputError : an unknown mode, or one that the library lacks
    """
    if mode not in MODES:
        raise unknown_name("mode of an exchange", mode, MODES)
    by_mode = {"normal": library.normal, "low-latency": library.low_latency}
    found = by_mode[mode]
    if found is None:
        raise InputError(
            f"{library.title} has no kernels for mode {mode}",
            remedy=f"ask for {', '.join(name for name, kernels in by_mode.items() if kernels)}",
        )
    return found


def reached_by(kernels: Kernels, phase: Phase) -> Reached:
    """The share of the links that the kernels of a phase reach."""
    return kernels.combine_fraction if phase == "combine" and kernels.combine_fraction else kernels.fraction


def _of_phase(times: Kernels | Phases, phase: Phase) -> Figure:
    found: Figure = times.dispatch if phase == "dispatch" else times.combine
    return found


def _bounds(part: Slice, domains: tuple[Domain, ...], routing: Routing, token_bytes: float, draw: Draw) -> Bounds:
    """What must be sent though each token reaches each rank, and each group of ranks, but once.

    The middle of a torus is passed by as many copies as there are distinct ranks: there no copy is made on the way.
    """
    ranks = part.chips
    reached = token_bytes * spread(routing, ranks).distinct
    levels = [level for level in part.levels if level.size > 1]
    inside = {domain.inside: sum(len(each.parts) for each in domains[:at]) for at, domain in enumerate(domains)}
    link_s = max(
        token_bytes
        * spread(routing, ranks // below).distinct
        * (ranks - below)
        / ranks
        / ports_bytes_per_s(levels[first:], draw)
        for below, first in inside.items()
    )
    on_torus = domains[0].parts[0].kind == "axis"
    return Bounds(
        injection_s=reached * (ranks - 1) / ranks / ports_bytes_per_s(part.levels, draw),
        link_s=link_s,
        bisection_s=max(load.raw_s for load in straight_loads(domains[:1], ranks, reached)) if on_torus else 0.0,
        latency_s=farthest_seconds(domains, is_straight=True),
    )
