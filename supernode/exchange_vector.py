"""``supernode collective all-to-all-v``: unequal parts from a file, priced in closed form or as flows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.exchange import Vector, all_to_all_v
from simulator.errors import InputError
from simulator.figures import Draw, source_ids
from simulator.files import read_text
from simulator.machine import slice_of, slice_of_shape
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.exchange_request import level_of
from supernode.readings import machine_under, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.figures import Figure
    from simulator.machine import Machine, Slice
    from supernode.exchange_flow import ExchangeFlow

    Real = NDArray[np.float64]

LARGEST_FILE = 64 << 20


@dataclass(frozen=True)
class VectorRequest:
    """What was asked: names as in :class:`supernode.exchange_request.Request`, ``matrix`` a file of bytes."""

    machine: str
    matrix: Path
    chips: int | None = None
    shape: tuple[int, ...] = ()
    network: str = ""
    hypothesis: str = ""
    fidelity: str = ""
    fails: tuple[str, ...] = ()
    routing: str = ""
    samples: int = 64
    seed: int = 0


@dataclass(frozen=True)
class VectorAnswer:
    """An all-to-all of unequal parts as the level that answers prices it; ``found`` is the closed form's answer.

    ``busiest_bytes`` is what the busiest rank sends or receives [B].
    """

    part: Slice
    level: str
    found: Vector
    seconds: float
    low_s: float
    high_s: float
    bottleneck: str
    busiest_bytes: float
    sources: tuple[str, ...]
    flow: ExchangeFlow | None = None

    @property
    def algbw_bytes_per_s(self) -> float:
        """What the busiest rank moves over the time [B/s]."""
        return self.busiest_bytes / self.seconds

    @property
    def bounds_s(self) -> dict[str, float]:
        """Lower bounds by name [s]."""
        if self.flow is None:
            return {"injection": self.found.injection_s, "link": self.found.link_s, "latency": self.found.latency_s}
        return {name.removesuffix("_s"): each for name, each in dataclasses.asdict(self.flow.bounds).items()}


def read_matrix(path: Path) -> Real:
    """Read a square of bytes, a line for each rank that sends; numbers between commas or white space.

    Raises
    ------
    InputError : unreadable, too large, no numbers, lines of unequal length
    """
    where = f"--matrix {path}"
    rows: list[list[float]] = []
    for number, line in enumerate(read_text(path, LARGEST_FILE).splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError:
            raise InputError(
                "holds something that is no number",
                where=f"{where}, line {number}",
                remedy="write bytes: line i, column j is what rank i sends to rank j",
            ) from None
        if len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"has {len(rows[-1])} numbers, the first line {len(rows[0])}",
                where=f"{where}, line {number}",
                remedy="write one line for each rank, all as long",
            )
    if len(rows) < 2 or len(rows) != len(rows[0]):
        size = f"{len(rows)} lines of {len(rows[0])}" if rows else "no"
        raise InputError(f"holds {size} numbers", where=where, remedy="write as many lines as columns, 2 or more")
    return np.array(rows)


def price_vector(request: VectorRequest) -> VectorAnswer:
    """Price the request.

    Raises
    ------
    InputError : unknown names, an illegal slice, a file that is wrong, a matrix of another size than the slice
    InternalError : an answer below a lower bound
    """
    level = level_of(request.fidelity, request.fails, request.routing)
    matrix = read_matrix(request.matrix)
    ranks = len(matrix)

    def cut(machine: Machine) -> Slice:
        if request.shape:
            return slice_of_shape(machine, request.shape)
        return slice_of(machine, ranks if request.chips is None else request.chips)

    part = cut(machine_under(request.machine, request.hypothesis, request.network))
    if part.chips != ranks:
        raise InputError(
            f"is for {ranks} ranks, and {part.chips} chips take part",
            where=f"--matrix {request.matrix}",
            remedy=f"write --chips {ranks}, or a matrix of {part.chips} lines",
        )
    weights = {} if request.hypothesis else weights_of(request.machine)
    readings = {each: cut(machine_under(request.machine, each, request.network)) for each in weights} or {"": part}
    touched: dict[str, Figure] = {}
    for reading in readings.values():
        draw = Draw()
        all_to_all_v(reading, matrix, draw=draw)
        touched |= draw.touched
    found = all_to_all_v(part, matrix)
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, part.machine.name)
    times = [all_to_all_v(readings[pick], matrix, draw=draw_number(figures, i)).seconds for i, pick in enumerate(picks)]
    low, high = (float(x) / found.seconds for x in np.percentile(times, [5, 95]))
    flow = _by_flow(request, part, matrix) if level == "flow" else None
    seconds = flow.seconds if flow else found.seconds
    np.fill_diagonal(matrix, 0.0)
    return VectorAnswer(
        part=part,
        level=level,
        found=found,
        seconds=seconds,
        low_s=seconds * min(low, 1.0),
        high_s=seconds * max(high, 1.0),
        bottleneck=flow.bottleneck if flow else found.bottleneck,
        busiest_bytes=float(max(matrix.sum(axis=0).max(), matrix.sum(axis=1).max())),
        sources=source_ids(touched.values()),
        flow=flow,
    )


def _by_flow(request: VectorRequest, part: Slice, matrix: Real) -> ExchangeFlow:
    """Every part as a flow of its own, at the rates that the machine's library reaches."""
    from simulator.collectives.exchange.traffic import Traffic
    from supernode.exchange_flow import answer, graph

    stated, software = Draw(), part.machine.software
    reach = (stated(part.levels[0].link.fraction), stated(part.machine.network.link.fraction))
    wired = graph(request.machine, part, reach, hypothesis=request.hypothesis, shape=request.shape, fails=request.fails)
    source, target = np.nonzero(matrix)
    apart = source != target
    source, target = source[apart], target[apart]
    traffic = Traffic(source, target, matrix[source, target], np.zeros(len(source), dtype=np.int64))
    start_s = stated(software.collective_launch) + max(stated(level.link.start) for level in part.levels)
    return answer(wired, traffic, request.routing, start_s, stated(software.call) if software.call else 0.0)
