"""What a library of expert exchange is to the engine: for each mode of its kernels, when they start and how fast."""

from __future__ import annotations

from simulator.figures import Ratio, Seconds
from simulator.machine import Entry, Line


class Kernels(Entry, frozen=True):
    """The kernels of one mode.

    ``dispatch`` and ``combine`` [s], their floors: launch and synchronisation, whatever is sent; ``network`` [s] that
    comes on top where ranks are on several machines; ``inside`` and ``outside`` [1], the share of a link's bandwidth
    that they reach inside a machine and on the network; ``call`` [s], the least time from one call to the next in a
    program that calls them one by one; ``scan`` [s] for each token and rank, where the layout is found so.
    """

    dispatch: Seconds
    combine: Seconds
    inside: Ratio
    outside: Ratio
    network: Seconds | None = None
    call: Seconds | None = None
    scan: Seconds | None = None


class Library(Entry, frozen=True):
    """A library of expert exchange, with the kernels of one mode or both.

    ``normal`` sends a token once to each node and fans it out there (for throughput), ``low_latency`` sends each copy
    straight to its rank.
    """

    title: Line
    normal: Kernels | None = None
    low_latency: Kernels | None = None
    note: Line = ""
