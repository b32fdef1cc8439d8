"""An exchange of experts on the flow level: its expected traffic on the graph of its slice, which may be damaged."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.bounds import Bounds
from simulator.collectives.exchange.domains import domains_of
from simulator.collectives.exchange.flow import Passed, passed
from simulator.collectives.exchange.price import combine, dispatch, kernels_of, reached_by
from simulator.collectives.exchange.traffic import Traffic, fanned_traffic, straight_traffic
from simulator.errors import InternalError
from simulator.fabric import Fabric, capacities
from simulator.faults import check_joined, damaged, read_fault
from simulator.figures import Draw
from supernode.collective_flow import graph_of_part, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.collectives.exchange import Library, Routing, Tokens
    from simulator.collectives.exchange.price import Mode
    from simulator.machine import Slice
    from supernode.exchange_request import Request

    Whole = NDArray[np.int64]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Graph:
    """A slice as a graph whose links carry what its software reaches of them.

    Parameters
    ----------
    whole, fabric : without and with what fails
    chips : node of each rank
    reach : share of the bandwidth that software reaches inside a machine, and between machines [1]
    """

    whole: Fabric
    fabric: Fabric
    chips: Whole
    reach: tuple[float, float]

    def passed(self, fabric: Fabric, traffic: Traffic, routing: str) -> Passed:
        """Let flows run on it."""
        raw = capacities(fabric) / np.where(fabric.scale_out, self.reach[1], self.reach[0])
        return passed(fabric, self.chips, traffic, raw, routing)


@dataclass(frozen=True)
class ExchangeFlow:
    """Unequal parts priced on the flow level.

    Parameters
    ----------
    seconds, whole_s : as it is called, on the fabric as it is and without faults [s]
    bottleneck : the busiest link, or what else takes longer
    bounds : of the fabric as it is
    busiest : the link that needs longest for its bytes
    flows : how many [1]
    """

    seconds: float
    whole_s: float
    bottleneck: str
    bounds: Bounds
    busiest: str
    flows: int


def graph(
    name: str, part: Slice, reach: tuple[float, float], *, hypothesis: str, shape: tuple[int, ...], fails: Sequence[str]
) -> Graph:
    """The graph of a slice of a machine, a name or a file.

    Raises
    ------
    InputError : a slice without a graph of its own, unknown links, failures that cut chips off
    """
    import topologies

    entry, stated = topologies.entry(name, hypothesis), Draw()
    network = topologies.network_entry(part.machine.network.name)
    links = (entry.fabric.link, part.machine.network.link)
    values = {link.bandwidth.key: stated(link.bandwidth) * share for link, share in zip(links, reach, strict=True)}
    built = graph_of_part(entry, network, part, shape, Draw(values))
    whole = Fabric.from_graph(built)
    chips = in_order(built, whole)
    check_joined(whole, chips)
    fabric = damaged(whole, [read_fault(whole, text) for text in fails])
    check_joined(fabric, chips, where=f"--fail {' '.join(fails)}")
    return Graph(whole, fabric, chips, reach)


def exchange_by_flow(
    request: Request, part: Slice, routing: Routing, tokens: Tokens, library: Library, mode: Mode
) -> ExchangeFlow:
    """Price a dispatch or combine on the graph of its slice.

    All flows of expected size start at once, also those that pass on what they first must receive: kernels send in
    chunks. What does not depend on what is sent is as in the closed form, but for the latency, which is that of the
    ways taken.

    Raises
    ------
    InputError : see :func:`graph`; too many flows
    InternalError : the result is below a lower bound
    """
    stated = Draw()
    used = kernels_of(library, mode)
    closed = (dispatch if request.kind == "dispatch" else combine)(part, routing, tokens, library, mode)
    reached = reached_by(used, request.kind)
    reach = (stated(reached.inside), stated(reached.outside))
    wired = graph(request.machine, part, reach, hypothesis=request.hypothesis, shape=request.shape, fails=request.fails)
    token_bytes = tokens.count * tokens.each_bytes
    if mode == "low-latency":
        traffic = straight_traffic(routing, part.chips, token_bytes)
    else:
        traffic = fanned_traffic(domains_of(part, reached, stated), routing, part.chips, token_bytes)
    if request.kind == "combine":
        traffic = traffic.turned()
    return answer(wired, traffic, request.routing, closed.floor_s - closed.latency_s, closed.call_s)


def answer(wired: Graph, traffic: Traffic, routing: str, start_s: float, call_s: float) -> ExchangeFlow:
    """The time of flows as their caller sees it: ``start_s`` before the first byte, and at least ``call_s`` [s]."""
    found = wired.passed(wired.fabric, traffic, routing)
    whole = found if wired.fabric is wired.whole else wired.passed(wired.whole, traffic, routing)
    seconds, whole_s = (max(call_s, start_s + each.latency_s + each.passing_s) for each in (found, whole))
    bounds = dataclasses.replace(found.bounds, latency_s=start_s + found.bounds.latency_s)
    if seconds < bounds.least_s * (1 - _ROUNDING):
        raise InternalError(f"{found.flows} flows take {seconds:g} s, below their bound of {bounds.least_s:g} s")
    floor_s = start_s + found.latency_s
    bottleneck = found.busiest if found.passing_s > floor_s else "floor"
    if call_s > floor_s + found.passing_s:
        bottleneck = "calls"
    return ExchangeFlow(seconds, whole_s, bottleneck, bounds, found.busiest, found.flows)
