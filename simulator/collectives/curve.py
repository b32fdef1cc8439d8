r"""The level ``curve``: times of collectives that were measured, as a curve through them or read off between two.

A curve belongs to the families of links that a group spans (``nvlink4``, ``nvlink4/ib-ndr``), a kind and a number of
ranks:

.. math:: T(S) = a + \frac{S}{b} + c \sqrt{S}

with a latency :math:`a` [s], a bandwidth :math:`b` [B/s] and a square-root term for the ramp between them, which is
what a pipeline at its best number of chunks leaves. Nothing here knows how a collective works: a curve says what was
seen, near to where it was seen, and refuses elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from simulator.collectives.bounds import Bounds, bounds_of
from simulator.collectives.group import group_of
from simulator.collectives.kinds import KINDS, bus_factor, kind_id
from simulator.errors import InputError
from simulator.figures import Draw, source_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.collectives.group import Group
    from simulator.machine import Slice

Grade = Literal["measured", "fitted", "datasheet", "analogy"]
"""How sure a time is.

``measured``: read off between measured sizes of this system; ``fitted``: on a curve through several measured sizes of
this family, kind and number of ranks; ``analogy``: the same moved to other ranks or links, to the twin of a kind, or
away from the one size that was measured; ``datasheet``: from stated rates, nothing measured.
"""

REACH = 4.0
"""Sizes and ranks up to this factor beyond the measured ones are answered; neighbours up to this factor away are read
off between."""
APART = 1.5
"""Factor by which the band of an analogy, or of one size alone, is wider on both sides, and the latency of every curve:
hosts, drivers and libraries of two sites differ more than runs on one. Our judgement, nothing else."""
SAME_RATE = 0.01
"""Links are the same where their rates differ by less than this share."""
TWINS = {"all-gather": "reduce-scatter", "reduce-scatter": "all-gather"}
"""Kinds that send the same bytes over the same links."""
_OUTLIER = 0.1
"""Relative error from which on a row counts less than by its square (the scale of the soft L1 loss)."""
_ROUNDS = 30


@dataclass(frozen=True)
class Terms:
    """The terms of a curve: ``latency_s`` [s], ``s_per_byte`` [s/B], ``s_per_root`` of a byte [s/B^(1/2)]."""

    latency_s: float
    s_per_byte: float
    s_per_root: float

    def seconds(self, size_bytes: float) -> float:
        """The time at a size [s]."""
        return self.latency_s + self.s_per_byte * size_bytes + self.s_per_root * math.sqrt(size_bytes)


@dataclass(frozen=True)
class Point:
    """One measured time of a system: machine, network (empty inside a machine), size [B], time [s]."""

    machine: str
    network: str
    size_bytes: float
    seconds: float


@dataclass(frozen=True)
class Curve:
    """What was measured of one kind on so many ranks over links of these families.

    Parameters
    ----------
    families : of the links from the innermost level outwards, joined by ``/``
    kind, ranks : of the collective
    rate_bytes_per_s : of the links of one chip, see :func:`rate_of` [B/s]
    terms : the curve through the points
    spread : 5 % and 95 % of measured over predicted time, each predicted without itself [1]
    grade : ``measured`` where only one size was measured, ``fitted`` elsewhere; see :data:`Grade`
    sources : ids of sources
    points : the measured times
    """

    families: str
    kind: str
    ranks: int
    rate_bytes_per_s: float
    terms: Terms
    spread: tuple[float, float]
    grade: Grade
    sources: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The curve in words."""
        return f"{self.kind} of {self.ranks} over {self.families}"


@dataclass(frozen=True)
class CurvePriced:
    """A collective priced by a curve: time with its band [s], how it came about, and what bounds it.

    ``is_clamped`` where the curve lay below what the links allow and the time is that of the bound.
    """

    kind: str
    size_bytes: float
    ranks: int
    seconds: float
    low_s: float
    high_s: float
    grade: Grade
    basis: str
    is_clamped: bool
    algbw_bytes_per_s: float
    busbw_bytes_per_s: float
    bounds: Bounds
    sources: tuple[str, ...]


def fit_terms(sizes_bytes: Sequence[float], seconds: Sequence[float], terms: int = 3) -> Terms:
    """The terms that come nearest to measured times: non-negative least squares on relative errors, robust.

    Rows whose relative error is large are weighted down by those of a soft L1 loss, over and over.

    Parameters
    ----------
    sizes_bytes, seconds : measured [B], [s]
    terms : 1 the bandwidth alone, 2 latency and bandwidth, 3 the square root too; 0 the latency alone
    """
    import numpy as np
    from scipy.optimize import nnls

    sizes = np.asarray(sizes_bytes, dtype=np.float64)
    times = np.asarray(seconds, dtype=np.float64)
    scale = float(sizes.max())
    shares = np.stack([np.ones_like(sizes), sizes / scale, np.sqrt(sizes / scale)], axis=1) / times[:, None]
    used = {0: [0], 1: [1], 2: [0, 1], 3: [0, 1, 2]}[terms]
    found = np.zeros(3)
    weights = np.ones_like(times)
    for _ in range(_ROUNDS):
        found[used] = nnls(shares[:, used] * weights[:, None], weights)[0]
        errors = (shares @ found - 1) / _OUTLIER
        weights = (1 + errors**2) ** -0.25
    return Terms(float(found[0]), float(found[1]) / scale, float(found[2]) / math.sqrt(scale))


def leave_one_out(sizes_bytes: Sequence[float], seconds: Sequence[float], terms: int = 3) -> list[Terms]:
    """For each row the curve through all others."""
    found = []
    for left in range(len(sizes_bytes)):
        others = [row for row in range(len(sizes_bytes)) if row != left]
        found.append(fit_terms([sizes_bytes[row] for row in others], [seconds[row] for row in others], terms))
    return found


def look_up(points: Sequence[Point], size_bytes: float) -> tuple[float, float, float] | None:
    """The time at a size between two measured ones, straight on logarithmic scales: (time [s], the two sizes [B]).

    None where no size within :data:`REACH` was measured on both sides. Times of one size count by their geometric mean.
    """
    times: dict[float, list[float]] = {}
    for point in points:
        times.setdefault(point.size_bytes, []).append(point.seconds)
    below = max((size for size in times if size <= size_bytes), default=0.0)
    above = min((size for size in times if size >= size_bytes), default=math.inf)
    if below * REACH < size_bytes or above > size_bytes * REACH:
        return None
    first, last = (sum(map(math.log, times[size])) / len(times[size]) for size in (below, above))
    share = 0.0 if above == below else math.log(size_bytes / below) / math.log(above / below)
    return math.exp(first + share * (last - first)), below, above


def families_of(part: Slice) -> str:
    """The families of the links that a slice spans, innermost first, each once where levels share it."""
    names: list[str] = []
    for level in part.levels:
        if level.size > 1 and level.link.family not in names[-1:]:
            names.append(level.link.family)
    return "/".join(names)


def rate_of(part: Slice, group: Group) -> float:
    """What curves of one family scale with [B/s]: injection of a chip, or its outermost links where families mix."""
    return group.injection_bytes_per_s if "/" not in families_of(part) else group.ways[-1].outward_bytes_per_s


def price_curve(
    kind: str,
    size_bytes: float,
    part: Slice,
    curves: Sequence[Curve],
    *,
    draw: Draw | None = None,
    or_datasheet: bool = False,
) -> CurvePriced:
    """Price a collective by what was measured on such links.

    Read off between two measured sizes of the same system where there are such within :data:`REACH`; else on the curve
    of its family, kind and ranks; else by analogy on the nearest curve of its family. A time below what the links allow
    is raised to that bound and flagged. Where ``or_datasheet``, :func:`datasheet_curve` answers in place of a refusal.

    Raises
    ------
    InputError : nothing was measured on such links, or only far from this size or number of ranks
    """
    if not (math.isfinite(size_bytes) and size_bytes > 0):
        raise InputError(f"{size_bytes:g} bytes is no size of a message", remedy="give more than 0 bytes")
    number = kind_id(kind)
    group = group_of(part, draw)
    try:
        curve, seconds, grade, basis = _answer(KINDS[number], size_bytes, part, group, curves)
    except InputError:
        if not or_datasheet:
            raise
        curve, grade, basis = datasheet_curve(kind, part, draw), "datasheet", "from stated rates, nothing measured"
        seconds = curve.terms.seconds(size_bytes)
    low, high = curve.spread
    site_s = min(curve.terms.latency_s, seconds)
    bounds = bounds_of(number, size_bytes, group, "in-network")
    least = max(bounds.injection_s, bounds.link_s, bounds.bisection_s, bounds.latency_s - group.launch_s)
    taken = max(seconds, least)
    return CurvePriced(
        kind=KINDS[number],
        size_bytes=size_bytes,
        ranks=group.ranks,
        seconds=taken,
        low_s=max(least, min(taken, seconds * low - site_s * (1 - 1 / APART))),
        high_s=max(taken, seconds * high + site_s * (APART - 1)),
        grade=grade,
        basis=basis,
        is_clamped=seconds < least,
        algbw_bytes_per_s=size_bytes / taken,
        busbw_bytes_per_s=size_bytes / taken * bus_factor(number, group.ranks),
        bounds=bounds,
        sources=curve.sources,
    )


def datasheet_curve(kind: str, part: Slice, draw: Draw | None = None) -> Curve:
    r"""The curve of links that nobody measured, from what the catalogue states of them alone.

    .. math:: T(S) = \text{launch} + \text{way} + \text{start} + \frac{S}{f b}

    with the longest way through the hardware, one step's start, and as :math:`b` what the tightest bound of the links
    allows, of which the least stated fraction :math:`f` of any level is reached. Its band begins at the bound itself.
    """
    draw = draw or Draw()
    number, group = kind_id(kind), group_of(part, draw)
    levels = [level for level in part.levels if level.size > 1]
    bounds = bounds_of(number, 1.0, group, "in-network")
    fraction = min(draw(level.link.fraction) for level in levels)
    start_s = max(draw(level.link.start) for level in levels)
    per_byte = max(bounds.injection_s, bounds.link_s, bounds.bisection_s) / fraction
    return Curve(
        families=families_of(part),
        kind=KINDS[number],
        ranks=group.ranks,
        rate_bytes_per_s=rate_of(part, group),
        terms=Terms(bounds.latency_s + start_s, per_byte, 0.0),
        spread=(fraction, APART / fraction),
        grade="datasheet",
        sources=source_ids(draw.touched.values()),
        points=(),
    )


def _system(part: Slice) -> tuple[str, str]:
    return part.machine.name, part.machine.network.name if part.machines > 1 else ""


def _answer(
    kind: str, size_bytes: float, part: Slice, group: Group, curves: Sequence[Curve]
) -> tuple[Curve, float, Grade, str]:
    """The curve, the time [s], how sure that is and how it came about."""
    curve, grade = _nearest(kind, part, group, curves)
    system = [point for point in curve.points if (point.machine, point.network) == _system(part)]
    found = look_up(system, size_bytes) if grade != "analogy" else None
    if found is not None:
        seconds, below, above = found
        sizes = f"between {below:.0f} and {above:.0f} bytes" if below < above else f"at {below:.0f} bytes"
        return curve, seconds, "measured", f"read off {sizes} of {part.machine.name}"
    _refuse_far(size_bytes, curve)
    grade = "analogy" if curve.grade == "measured" else grade
    return curve, curve.terms.seconds(size_bytes), grade, f"on the curve of {curve.name}"


def _nearest(kind: str, part: Slice, group: Group, curves: Sequence[Curve]) -> tuple[Curve, Grade]:
    """The curve that a group is priced by, moved to its ranks and rate, and how sure that is."""
    families, rate = families_of(part), rate_of(part, group)
    same = [curve for curve in curves if curve.families == families and curve.kind in {kind, TWINS.get(kind, kind)}]
    reach = REACH if "/" not in families else 1.0  # across machines the number of them decides, not that of ranks
    near = [
        curve
        for curve in same
        if 1 / reach <= curve.ranks / group.ranks <= reach and 1 / REACH <= curve.rate_bytes_per_s / rate <= REACH
    ]
    if not near:
        known = ", ".join(sorted({each.name for each in same or curves if each.kind == kind or same}))
        raise InputError(
            f"no {kind} of about {group.ranks} ranks over {families} was measured",
            remedy=f"use the closed form; curves there are: {known or 'none'}",
        )

    def distance(curve: Curve) -> tuple[bool, float]:
        moved = abs(math.log(curve.ranks / group.ranks)) + abs(math.log(curve.rate_bytes_per_s / rate))
        return curve.kind != kind, moved

    curve = min(near, key=distance)
    is_same_rate = abs(curve.rate_bytes_per_s / rate - 1) < SAME_RATE
    if curve.kind == kind and curve.ranks == group.ranks and is_same_rate:
        return curve, curve.grade
    return moved_to(curve, kind, group.ranks, rate), "analogy"


def moved_to(curve: Curve, kind: str, ranks: int, rate_bytes_per_s: float) -> Curve:
    """A curve moved to other ranks and links: latency as the depth of a tree, the rest as bytes sent over the rate."""
    number = kind_id(kind)
    sent = bus_factor(number, ranks) / bus_factor(number, curve.ranks) * curve.rate_bytes_per_s / rate_bytes_per_s
    depth = math.log2(ranks) / math.log2(curve.ranks)
    terms = Terms(curve.terms.latency_s * depth, curve.terms.s_per_byte * sent, curve.terms.s_per_root * sent)
    low, high = curve.spread
    return replace(curve, terms=terms, spread=(low / APART, high * APART))


def _refuse_far(size_bytes: float, curve: Curve) -> None:
    sizes = [point.size_bytes for point in curve.points]
    if not min(sizes) / REACH <= size_bytes <= max(sizes) * REACH:
        raise InputError(
            f"{size_bytes:.0f} bytes are far from what was measured of {curve.name}: {min(sizes):.0f} to "
            f"{max(sizes):.0f} bytes",
            remedy=f"stay within a factor of {REACH:g} of it, or use the closed form",
        )
