"""What a library of expert exchange is to the engine: for each mode of its kernels, when they start and how fast."""

from __future__ import annotations

from typing import Annotated

import msgspec

from simulator.figures import Ratio, Seconds
from simulator.machine import Entry, Line, Name, Said

MOST = 256
"""More vendors or families of links than any library names."""


class Reached(Entry, frozen=True):
    """The share of a link's bandwidth that kernels reach: ``inside`` a machine and ``outside``, on the network [1]."""

    inside: Ratio
    outside: Ratio


class Phases(Entry, frozen=True):
    """A time of ``dispatch`` and one of ``combine`` [s]."""

    dispatch: Seconds
    combine: Seconds


class Kernels(Entry, frozen=True):
    """The kernels of one mode.

    ``dispatch`` and ``combine`` [s], their floors: launch and synchronisation, whatever is sent; ``fraction`` [1] of
    the links that they reach, ``combine_fraction`` where combine reaches another; ``network`` [s] that comes on top
    where ranks are on several machines; ``signal`` [s] for each expert, whose counts and flags every rank sends apart
    from its tokens; ``call`` [s], the least time from one call to the next in a program that calls one by one, which a
    captured graph does not pay; ``scan`` [s] for each token and rank, where the layout is found so.
    """

    dispatch: Seconds
    combine: Seconds
    fraction: Reached
    combine_fraction: Reached | None = None
    network: Seconds | None = None
    signal: Phases | None = None
    call: Phases | None = None
    scan: Seconds | None = None


class Library(Entry, frozen=True):
    """A library of expert exchange, with the kernels of one mode or both.

    ``normal`` sends a token once to each node and fans it out there (for throughput), ``low_latency`` sends each copy
    straight to its rank; up to ``low_latency_tokens`` tokens of a rank go so where no mode is named. It runs on chips
    of ``vendors`` and on machines whose innermost links are of one of the families ``links`` (all where these are
    empty), inside one machine alone where ``only_inside``; where none is named it is taken on ``usual_on`` links.
    """

    title: Said
    vendors: Annotated[tuple[Said, ...], msgspec.Meta(max_length=MOST)] = ()
    links: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST)] = ()
    only_inside: bool = False
    usual_on: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST)] = ()
    low_latency_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    normal: Kernels | None = None
    low_latency: Kernels | None = None
    note: Line = ""
