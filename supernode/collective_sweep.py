"""A collective at one size or a sweep of sizes, with its range over draws of the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives import Priced, price
from simulator.errors import InputError
from simulator.figures import Draw, source_ids
from simulator.machine import Slice, slice_of, slice_of_shape
from simulator.units import parse
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.readings import machine_under, weights_of

if TYPE_CHECKING:
    from simulator.figures import Figure
    from simulator.machine import Machine

MOST_SIZES = 64


@dataclass(frozen=True)
class Request:
    """What ``supernode collective`` was asked."""

    kind: str
    machine: str
    size: str
    chips: int | None
    network: str
    algorithm: str
    hypothesis: str
    samples: int
    seed: int
    shape: tuple[int, ...] = ()
    """Chips along each axis of a torus, in place of ``chips``; empty for the most cubic shape."""


def sizes(text: str) -> list[float]:
    """Read ``1GiB`` as one size and ``1KiB:4GiB`` as all doublings from the first to the last [B].

    Raises
    ------
    InputError : not a size, sizes in the wrong order, more than 64 of them
    """
    first, colon, last = text.partition(":")
    start = parse(_bytes(first), "bytes", where="--bytes")
    stop = parse(_bytes(last), "bytes", where="--bytes") if colon else start
    if start < 1 or stop < start:
        raise InputError(f"{text!r} is no size or range of sizes", where="--bytes", remedy="write 1GiB or 1KiB:4GiB")
    found = [start]
    while found[-1] * 2 <= stop and len(found) <= MOST_SIZES:
        found.append(found[-1] * 2)
    if len(found) > MOST_SIZES:
        raise InputError(f"{text!r} has more than {MOST_SIZES} doublings", where="--bytes", remedy="narrow the range")
    return found


def _bytes(text: str) -> str:
    """A bare number counts bytes; a prefix without B is completed, as nccl-tests writes sizes."""
    stripped = text.strip()
    if stripped and stripped[-1].isdigit():
        return f"{stripped} B"
    return stripped if stripped.endswith("B") else f"{stripped}B"


def sweep(request: Request) -> tuple[Slice, list[tuple[Priced, float, float]], tuple[str, ...]]:
    """Price the request at every size: the slice, (priced, time at 5 %, time at 95 % of the draws), ids of sources.

    Raises
    ------
    InputError : unknown names, an illegal slice or algorithm, a bad size
    """
    import numpy as np

    wanted = sizes(request.size)
    stated = machine_under(request.machine, request.hypothesis, request.network)
    part = _cut(stated, request)
    weights = {} if request.hypothesis else weights_of(request.machine)
    touched: dict[str, Figure] = {}
    rows = []
    readings = {name: _cut(machine_under(request.machine, name, request.network), request) for name in weights} or {
        "": part
    }
    for reading in readings.values():
        draw = Draw()
        price(request.kind, wanted[0], reading, draw=draw)
        touched |= draw.touched
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, stated.name)
    for size in wanted:
        priced = price(request.kind, size, part, algorithm=request.algorithm)
        times = [
            price(request.kind, size, readings[pick], algorithm=request.algorithm, draw=draw_number(figures, i)).seconds
            for i, pick in enumerate(picks)
        ]
        low, high = (float(x) for x in np.percentile(times, [5, 95]))
        rows.append((priced, min(low, priced.seconds), max(high, priced.seconds)))
    return part, rows, source_ids(touched.values())


def _cut(machine: Machine, request: Request) -> Slice:
    """The slice that the request names by its shape or its chips; the whole machine where it names none."""
    if request.shape:
        return slice_of_shape(machine, request.shape)
    return slice_of(machine, machine.chips if request.chips is None else request.chips)
