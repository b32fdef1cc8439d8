"""Predicts a measured collective from its slice, size and kind: the time, or the bus bandwidth where no time stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import topologies
from simulator.collectives import ALGORITHMS, bus_factor, kind_id, price
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.units import humanise
from supernode.fitting.rows import kind_named
from supernode.validation import exchange
from supernode.validation.answers import Predicted, Refused, predicted
from supernode.validation.parts import draws, part_of
from topologies.spreads import spread_of

if TYPE_CHECKING:
    from supernode.validation.cases import Case

NAMED = {
    "ring": "ring",
    "tree": "double-binary-tree",
    "nvls": "in-network",
    "nvlstree": "hierarchical-tree",
    "vllm custom (before)": "one-shot",
}
"""Algorithms as measurements name them -> ours; those that we do not have are left to the choice of the cheapest."""

LIBRARIES = {"vllm custom": "custom-all-reduce"}
"""How measurements name a library other than the machine's own -> its entry in the catalogue."""

_MICROSECOND = 1e-6
_GIGABYTE = 1e9


def measured(case: Case) -> tuple[float, str]:
    """What was measured, in SI units: the time [s], else the bus bandwidth [B/s]. A zero is a rounded-off value."""
    if time := case.measured.get("time_us"):
        return time * _MICROSECOND, "s"
    if busbw := case.measured.get("busbw_GBps"):
        return busbw * _GIGABYTE, "B/s"
    raise Refused("unsupported", "neither a time nor a bus bandwidth was measured")


def described(case: Case) -> str:
    """What ran, in a few words."""
    size = case.number("message_bytes")
    return f"{case.text('collective')} {humanise(size, 'B') if size else ''}".strip()


def predict(case: Case, unit: str, seed: int) -> Predicted:
    """Predict the time of a row [s], or its bus bandwidth [B/s] under nccl-tests' convention."""
    import numpy as np

    if exchange.phase(case) in exchange.PHASES:
        return exchange.predict(case, unit, seed)
    try:
        kind = kind_named(case.text("collective"))
    except InputError:
        raise Refused("unsupported", f"{exchange.phase(case)} is not predicted yet") from None
    size = case.number("message_bytes")
    if size is None:
        raise Refused("unsupported", "message_bytes is empty")
    part = part_of(case)
    if part.chips == 1:
        raise Refused("unsupported", "a collective of one chip")
    label = case.text("algorithm_if_known").lower()
    library = next((name for words, name in LIBRARIES.items() if label.startswith(words)), "")
    if library:
        machine = replace(part.machine, software=topologies.shared("software", library))
        part = replace(part, machine=machine)
    # Where programs see several devices in a chip, each is in a group of its own, and all run at once.
    size *= part.machine.chip.devices
    wanted = NAMED.get(label, "")
    algorithm = wanted if wanted in ALGORITHMS else ""
    stated = Draw()
    spread = spread_of(part, size)
    stated(spread)
    try:
        first = price(kind, size, part, algorithm=algorithm, draw=stated)
    except InputError as error:
        raise Refused("infeasible", str(error).splitlines()[0]) from None
    drawn = [
        price(kind, size, part, algorithm=algorithm, draw=draw).seconds * draw(spread)
        for draw in draws(stated.touched, seed)
    ]
    seconds = np.maximum(np.array(drawn), first.bounds.least_s)[:, np.newaxis]
    values = (
        seconds if unit == "s" else size / part.machine.chip.devices * bus_factor(kind_id(kind), part.chips) / seconds
    )
    return predicted(values, note=f"by {first.algorithm}, {first.bottleneck}")
