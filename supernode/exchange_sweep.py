"""Dispatch and combine of experts at one number of tokens or a sweep of them, with the range over draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import topologies
from simulator.collectives.exchange import Exchanged, combine, dispatch
from simulator.errors import InputError
from simulator.figures import Draw, source_ids
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.exchange_request import Batch, Request, batch_of, libraries_on, library_of, mode_of, modes_of
from supernode.readings import machine_under, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.collectives.bounds import Bounds
    from simulator.collectives.exchange import Tokens
    from simulator.collectives.exchange.price import Mode
    from simulator.figures import Figure
    from simulator.machine import Slice
    from supernode.exchange_flow import ExchangeFlow

PRICES = {"dispatch": dispatch, "combine": combine}


@dataclass(frozen=True)
class Answer:
    """One exchange as it was priced; rates count the bytes of one rank.

    Parameters
    ----------
    tokens : of one rank, and how each is sent
    found : by the closed form
    seconds, low_s, high_s : by the level that answers, and 5 % and 95 % of the draws [s]
    bottleneck, bounds : by the level that answers
    library, mode : that ran
    by_library : ``library mode`` -> time of every library that runs here, in closed form [s]
    flow : what only the flow level knows
    """

    tokens: Tokens
    found: Exchanged
    seconds: float
    low_s: float
    high_s: float
    bottleneck: str
    bounds: Bounds
    library: str
    mode: Mode
    by_library: dict[str, float] = field(default_factory=dict)
    flow: ExchangeFlow | None = None

    @property
    def token_bytes(self) -> float:
        """All tokens of one rank, each once [B]."""
        return self.tokens.count * self.tokens.each_bytes

    @property
    def counted(self) -> str:
        """What the bandwidth that DeepEP prints counts of a token: its ``copies``, distinct ``nodes`` or ``ranks``."""
        if self.mode == "low-latency":
            return "copies"
        return "nodes" if self.found.machines > 1 else "ranks"

    @property
    def deepep_bytes_per_s(self) -> float:
        """The bandwidth as DeepEP prints it, which counts a token as :attr:`counted` says [B/s]."""
        times = {
            "copies": self.found.copies,
            "nodes": self.found.distinct_nodes,
            "ranks": self.found.distinct_ranks,
        }[self.counted]
        return self.token_bytes * times / self.seconds

    @property
    def over_bound(self) -> float:
        """How many times the largest bound it takes [1]."""
        return self.seconds / self.bounds.least_s


@dataclass(frozen=True)
class Sweep:
    """A request answered: the slice, what was exchanged and as asked, an answer for each number of tokens, sources."""

    part: Slice
    batch: Batch
    level: str
    kind: str
    skew: str
    answers: tuple[Answer, ...]
    sources: tuple[str, ...]


def sweep(request: Request, watch: Callable[[str, int, int], None] | None = None) -> Sweep:
    """Price the request at every number of tokens.

    Raises
    ------
    InputError : unknown names, an illegal slice, what does not fit each other, what a level cannot do
    InternalError : an answer below a lower bound
    """
    import numpy as np

    level = request.level
    stated = machine_under(request.machine, request.hypothesis, request.network)
    part = request.cut(stated)
    if part.chips < 2:
        raise InputError("an exchange needs at least 2 chips", where="--chips", remedy="ask for more chips")
    batch = batch_of(request, part)
    name = library_of(request, part)
    library = topologies.shared("exchange", name)
    modes = [mode_of(request.mode, library, tokens.count) for tokens in batch.sizes]
    price = PRICES[request.kind]
    weights = {} if request.hypothesis else weights_of(request.machine)
    readings = {each: request.cut(machine_under(request.machine, each, request.network)) for each in weights} or {
        "": part
    }
    touched: dict[str, Figure] = {}
    for reading in readings.values():
        for mode in sorted(set(modes)):
            draw = Draw()
            price(reading, batch.routing, batch.sizes[0], library, mode, draw=draw)
            touched |= draw.touched
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, stated.name)
    drawn = [(readings[pick], draw_number(figures, i)) for i, pick in enumerate(picks)]
    answers = []
    for done, (tokens, mode) in enumerate(zip(batch.sizes, modes, strict=True)):
        if watch is not None and level == "flow":
            watch("pricing flows", done, len(batch.sizes))
        found = price(part, batch.routing, tokens, library, mode)
        times = [price(each, batch.routing, tokens, library, mode, draw=draw).seconds for each, draw in drawn]
        low, high = (float(x) / found.seconds for x in np.percentile(times, [5, 95]))
        seconds, bottleneck, bounds, flow = found.seconds, found.bottleneck, found.bounds, None
        if level == "flow":
            from supernode.exchange_flow import exchange_by_flow

            flow = exchange_by_flow(request, part, batch.routing, tokens, library, mode)
            seconds, bottleneck, bounds = flow.seconds, flow.bottleneck, flow.bounds
        answers.append(
            Answer(
                tokens=tokens,
                found=found,
                seconds=seconds,
                low_s=seconds * min(low, 1.0),
                high_s=seconds * max(high, 1.0),
                bottleneck=bottleneck,
                bounds=bounds,
                library=name,
                mode=mode,
                by_library=_by_library(request, part, batch, tokens),
                flow=flow,
            )
        )
    return Sweep(part, batch, level, request.kind, request.skew, tuple(answers), source_ids(touched.values()))


def _by_library(request: Request, part: Slice, batch: Batch, tokens: Tokens) -> dict[str, float]:
    """Time of every library that runs on a slice, in each of its modes [s]."""
    price = PRICES[request.kind]
    return {
        f"{name} {mode}": price(part, batch.routing, tokens, library, mode).seconds
        for name, library in libraries_on(part).items()
        for mode in modes_of(library)
    }
