"""A collective at one size or a sweep of sizes, on any of the three levels, with its range over draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.collectives import Bounds, Priced, group_of, price, price_in
from simulator.errors import InputError, unknown_name
from simulator.figures import Draw, source_ids
from simulator.machine import Slice, slice_of, slice_of_shape
from simulator.units import parse
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.readings import machine_under, weights_of
from topologies.spreads import spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulator.collectives.curve import CurvePriced
    from simulator.figures import Figure
    from simulator.machine import Machine
    from supernode.collective_flow import FlowAnswer, Wired
    from supernode.collective_jobs import JobsAnswer

MOST_SIZES = 64
LEVELS = ("curve", "closed-form", "flow")
PLACEMENTS = ("packed", "interleaved")
MOST_JOBS = 1024


@dataclass(frozen=True)
class Request:
    """What ``supernode collective`` was asked.

    Parameters
    ----------
    kind, machine, network, algorithm, hypothesis, routing : names; empty for the usual ones
    size : as people write it, one or a range
    chips : that take part, or of each of several jobs; None for the whole machine
    shape : chips along each axis of a torus, in place of ``chips``; empty for the most cubic shape
    fidelity : one of :data:`LEVELS`; empty for the closed form, or for flow where only that can answer
    fails : links and switches that are dead or slow
    jobs, placement : equal jobs at once [1], and how they lie: one of :data:`PLACEMENTS`
    samples, seed : of the draws
    """

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
    fidelity: str = ""
    fails: tuple[str, ...] = ()
    jobs: int = 1
    placement: str = "packed"
    routing: str = ""

    @property
    def level(self) -> str:
        """The level that answers.

        Raises
        ------
        InputError : no such level, one that cannot do what else was asked, jobs or a placement that are none
        """
        only = [
            option
            for option, is_asked in (
                ("--fail", bool(self.fails)),
                ("--jobs", self.jobs != 1),
                ("--routing", bool(self.routing)),
            )
            if is_asked
        ]
        wanted = self.fidelity or ("flow" if only else "closed-form")
        if wanted not in LEVELS:
            raise unknown_name("level", wanted, LEVELS, where="--fidelity")
        if only and wanted != "flow":
            raise InputError(
                f"the level {wanted} knows no links one by one",
                where=only[0],
                remedy="leave out --fidelity, or say flow",
            )
        if wanted == "curve" and self.algorithm:
            raise InputError(
                "a curve knows what was measured, not by which algorithm",
                where="--algorithm",
                remedy="leave it out, or ask --fidelity closed-form",
            )
        if self.placement not in PLACEMENTS:
            raise unknown_name("placement", self.placement, PLACEMENTS, where="--placement")
        if not 1 <= self.jobs <= MOST_JOBS:
            raise InputError(f"{self.jobs} is no number of jobs", where="--jobs", remedy=f"ask for 1 to {MOST_JOBS}")
        if self.jobs > 1 and self.shape:
            raise InputError(
                "jobs are told by their number of chips", where="--slice", remedy="write --chips, chips of one job"
            )
        return wanted


@dataclass(frozen=True)
class Answer:
    """One priced collective, whichever level answered.

    ``low_s`` and ``high_s`` are 5 % and 95 % of the draws, what closed forms miss among them, or of the measurements
    behind a curve; ``by_algorithm`` is
    the closed form's time of every algorithm that is legal here [s]. ``flow``, ``curve``, ``jobs`` say what only their
    level knows.
    """

    kind: str
    size_bytes: float
    ranks: int
    seconds: float
    low_s: float
    high_s: float
    algorithm: str
    level: str
    bottleneck: str
    algbw_bytes_per_s: float
    busbw_bytes_per_s: float
    bounds: Bounds
    by_algorithm: dict[str, float] = field(default_factory=dict)
    flow: FlowAnswer | None = None
    curve: CurvePriced | None = None
    jobs: JobsAnswer | None = None

    @property
    def over_bound(self) -> float:
        """How many times the largest bound it takes [1]."""
        return self.seconds / self.bounds.least_s


@dataclass(frozen=True)
class Sweep:
    """A request answered: the slice, the answer at each size, ids of the sources of all figures that it rests on."""

    part: Slice
    answers: tuple[Answer, ...]
    sources: tuple[str, ...]


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


def sweep(request: Request, watch: Callable[[str, int, int], None] | None = None) -> Sweep:
    """Price the request at every size.

    ``watch`` is told what is being done, how much is done and how much there is.

    Raises
    ------
    InputError : unknown names, an illegal slice or algorithm, a bad size, what a level cannot do
    InternalError : an answer below a lower bound
    """
    import numpy as np

    level = request.level
    wanted = sizes(request.size)
    stated = machine_under(request.machine, request.hypothesis, request.network)
    part = _cut(stated, request)
    weights = {} if request.hypothesis else weights_of(request.machine)
    touched: dict[str, Figure] = {}
    readings = {name: _cut(machine_under(request.machine, name, request.network), request) for name in weights} or {
        "": part
    }
    for reading in readings.values():
        draw = Draw()
        price(request.kind, wanted[0], reading, draw=draw)
        touched |= draw.touched
    spreads = [spread_of(part, size) for size in wanted] if level != "curve" else []  # a curve has a band of its own
    touched |= {spread.key: spread for spread in spreads}
    figures = drawn_values(touched.values(), request.samples, request.seed)
    picks = drawn_hypotheses(weights, request.samples, request.seed, stated.name)
    group = group_of(part)
    draws = [draw_number(figures, i) for i in range(request.samples)] if spreads else []
    drawn = [group_of(readings[pick], draw) for pick, draw in zip(picks, draws, strict=False)]
    wires = _wired(part, request) if level == "flow" else []
    answers = []
    for done, size in enumerate(wanted):
        if watch is not None and level == "flow":
            watch("pricing flows", done, len(wanted))
        priced = price_in(group, request.kind, size, algorithm=request.algorithm)
        times = [
            price_in(each, request.kind, size, algorithm=request.algorithm).seconds * draw(spreads[done])
            for each, draw in zip(drawn, draws, strict=True)
        ]
        low, high = (float(x) / priced.seconds for x in np.percentile(times or [priced.seconds], [5, 95]))
        answers.append(_answer(level, priced, min(low, 1.0), max(high, 1.0), part, request, wires))
    ids = source_ids(touched.values())
    if level == "curve":
        ids = tuple(sorted({*ids, *(each for a in answers if a.curve for each in a.curve.sources)}))
    return Sweep(part, tuple(answers), ids)


def _wired(part: Slice, request: Request) -> Sequence[Wired]:
    """The graph on which flows run at all sizes, once for each job."""
    from supernode.collective_flow import wire
    from supernode.collective_jobs import wire_jobs

    if request.jobs > 1:
        return wire_jobs(part, request)
    one = wire(
        request.machine,
        part,
        hypothesis=request.hypothesis,
        shape=request.shape,
        fails=request.fails,
        routing=request.routing,
    )
    return [one]


def _answer(
    level: str, priced: Priced, low: float, high: float, part: Slice, request: Request, wires: Sequence[Wired]
) -> Answer:
    """The answer of one level; ``low`` and ``high`` are the range of the closed form, as parts of its time [1]."""
    if level == "curve":
        return _by_curve(priced, part)
    if level == "flow":
        return _by_flow(priced, low, high, request, wires)
    return _with_time(priced, priced.seconds, low, high, level=level)


def _with_time(priced: Priced, seconds: float, low: float, high: float, **more: object) -> Answer:
    algbw = priced.size_bytes / seconds
    said: dict[str, object] = {
        "algorithm": priced.algorithm,
        "bottleneck": priced.bottleneck,
        "bounds": priced.bounds,
        **more,
    }
    least_s = said["bounds"].least_s  # type: ignore[attr-defined]
    return Answer(
        kind=priced.kind,
        size_bytes=priced.size_bytes,
        ranks=priced.ranks,
        seconds=seconds,
        low_s=max(seconds * low, min(seconds, least_s)),
        high_s=seconds * high,
        algbw_bytes_per_s=algbw,
        busbw_bytes_per_s=algbw * priced.busbw_bytes_per_s / priced.algbw_bytes_per_s,
        by_algorithm=priced.by_algorithm,
        **said,  # type: ignore[arg-type]
    )


def _by_curve(priced: Priced, part: Slice) -> Answer:
    from simulator.collectives.curve import price_curve
    from topologies.curves import curves

    found = price_curve(priced.kind, priced.size_bytes, part, curves())
    low, high = found.low_s / found.seconds, found.high_s / found.seconds
    return _with_time(
        priced, found.seconds, low, high, level="curve", algorithm="as measured", bounds=found.bounds, curve=found
    )


def _by_flow(priced: Priced, low: float, high: float, request: Request, wires: Sequence[Wired]) -> Answer:
    if request.jobs > 1:
        from supernode.collective_jobs import priced_jobs

        jobs = priced_jobs(priced.kind, priced.size_bytes, wires, request)
        return _with_time(
            priced,
            jobs.slowest_s,
            low,
            high,
            level="flow",
            algorithm=jobs.algorithm,
            bottleneck=jobs.bottleneck,
            bounds=jobs.bounds,
            jobs=jobs,
        )
    from supernode.collective_flow import priced_by_flow

    found = priced_by_flow(priced.kind, priced.size_bytes, wires[0], algorithm=request.algorithm)
    return _with_time(
        priced,
        found.seconds,
        low,
        high,
        level="flow",
        algorithm=found.algorithm,
        bottleneck=found.bottleneck,
        bounds=found.bounds,
        flow=found,
    )


def _cut(machine: Machine, request: Request) -> Slice:
    """The slice that the request names by its shape or its chips; the whole machine where it names none."""
    if request.jobs > 1 and request.chips is None:
        raise InputError("how many chips each job has is not said", where="--jobs", remedy="write --chips")
    if request.shape:
        return slice_of_shape(machine, request.shape)
    return slice_of(machine, machine.chips if request.chips is None else request.chips)
