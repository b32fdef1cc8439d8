"""Predicts a measured exchange of experts from its library and its size, or from what its benchmark is known to run."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import topologies
from simulator.collectives.exchange import Exchanged, Routing, Tokens, balanced, combine, dispatch
from simulator.collectives.exchange.experts import spread
from simulator.collectives.exchange.price import Mode
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.files import parse_toml, read_text
from simulator.machine import Entry
from supernode.validation.answers import Predicted, Refused, predicted
from supernode.validation.parts import draws, part_of
from topologies.spreads import spread_of_exchange

if TYPE_CHECKING:
    from simulator.machine import Slice
    from supernode.validation.cases import Case

PHASES = {"moe_dispatch": dispatch, "moe_combine": combine}
"""Collectives of case files that are an exchange of experts -> what prices them."""

DEFAULT_PRECISION = {"moe_dispatch": "fp8", "moe_combine": "bf16"}
"""What is sent where a row does not say: FP8 out, BF16 back."""

Counted = Literal["copies", "ranks", "nodes"]


class Precision(Entry, frozen=True):
    """How values are sent: their bytes, and the bytes of a scaling factor for each run of values."""

    bytes_per_value: float
    scale_bytes: float
    scaled_values: int


class Benchmark(Entry, frozen=True):
    """What one benchmark runs; see the head of ``exchange.toml``."""

    words: tuple[str, ...]
    library: str
    source: str
    mode: Mode
    busbw: Counted
    hidden: int
    top_k: int
    experts: int
    top_groups: int = 0
    tokens: int = 0
    message: Literal["", "copies", "ranks"] = ""


class Table(Entry, frozen=True):
    """Benchmarks, and the types in which they send."""

    precision: dict[str, Precision]
    benchmark: tuple[Benchmark, ...]


@functools.cache
def table() -> Table:
    """The table of benchmarks that comes with the package."""
    path = Path(__file__).with_name("exchange.toml")
    return parse_toml(read_text(path), Table, path.name)


@dataclass(frozen=True)
class Ran:
    """What a row ran: the slice, the routing, the tokens of one rank, the library in its mode, and what it counts."""

    phase: str
    part: Slice
    routing: Routing
    tokens: Tokens
    library: str
    mode: Mode
    counted: Counted

    def priced(self, draw: Draw) -> Exchanged:
        """It as we price it."""
        library = topologies.shared("exchange", self.library)
        return PHASES[self.phase](self.part, self.routing, self.tokens, library, self.mode, draw=draw)

    def counted_bytes(self, priced: Exchanged) -> float:
        """The bytes of one rank that its bandwidth counts [B]."""
        times = priced.copies
        if self.counted != "copies":
            is_joined = self.counted == "nodes" and self.part.machines > 1
            times = priced.distinct_nodes if is_joined else priced.distinct_ranks
        return self.tokens.count * self.tokens.each_bytes * times


def ran(case: Case) -> Ran:
    """What a row ran.

    Raises
    ------
    Refused : the batch is not known, or the machine has no such slice
    """
    name = phase(case)
    text = case.text("algorithm_if_known").lower()
    size = case.number("message_bytes")
    found = _benchmark(text, is_sized=size is not None)
    sent = _precision(text, name)
    part = part_of(case)
    try:
        routing = _routing(found, part)
        tokens = Tokens(
            _count(found, size, routing, part, sent), found.hidden, sent.bytes_per_value, _scale(found, sent)
        )
    except InputError as error:
        raise Refused("infeasible", str(error).splitlines()[0]) from None
    return Ran(name, part, routing, tokens, found.library, found.mode, found.busbw)


def predict(case: Case, unit: str, seed: int) -> Predicted:
    """Predict the time of a row [s], or its bandwidth as its benchmark counts it [B/s].

    Raises
    ------
    Refused : the batch is not known, or the machine has no such slice
    """
    import numpy as np

    asked = ran(case)
    stated = Draw()
    spread = spread_of_exchange(asked.tokens.count * asked.tokens.each_bytes * asked.routing.top_k)
    stated(spread)
    try:
        first = asked.priced(stated)
        seconds = np.array([[asked.priced(draw).seconds * draw(spread)] for draw in draws(stated.touched, seed)])
    except InputError as error:
        raise Refused("infeasible", str(error).splitlines()[0]) from None
    note = f"by {asked.library} in mode {asked.mode}, {first.bottleneck}"
    return predicted(seconds if unit == "s" else asked.counted_bytes(first) / seconds, note=note)


def phase(case: Case) -> str:
    """The collective of a row without what stands beside it in brackets."""
    return case.text("collective").partition("(")[0].strip().lower()


def _benchmark(text: str, *, is_sized: bool) -> Benchmark:
    """The first benchmark whose words a row has; one that says its batch itself where the row has no size."""
    words = set(re.findall(r"[a-z0-9]+", text))
    for each in table().benchmark:
        is_known = bool(each.message) if is_sized else bool(each.tokens)
        if is_known and words.issuperset(each.words) and (words or not each.words):
            return each
    raise Refused("unsupported", "neither a size nor a known benchmark says how many tokens were exchanged")


def _precision(text: str, name: str) -> Precision:
    known = table().precision
    return next((known[word] for word in known if word in text), known[DEFAULT_PRECISION[name]])


def _scale(found: Benchmark, sent: Precision) -> float:
    return sent.scale_bytes * found.hidden / sent.scaled_values


def _routing(found: Benchmark, part: Slice) -> Routing:
    """Experts limited to groups where the benchmark does so, a group being the experts of one machine."""
    if found.top_groups and part.machines > found.top_groups:
        return balanced(found.experts, found.top_k, groups=part.machines, top_groups=found.top_groups)
    return balanced(found.experts, found.top_k)


def _count(found: Benchmark, size: float | None, routing: Routing, part: Slice, sent: Precision) -> float:
    """Tokens of one rank, from the size of the row where it has one [1]."""
    if size is None:
        return float(found.tokens)
    each_bytes = found.hidden * sent.bytes_per_value + _scale(found, sent)
    if found.message == "copies":
        return max(1.0, round(size / (found.top_k * each_bytes)))
    return size / (part.chips * spread(routing, part.chips).distinct * each_bytes)
