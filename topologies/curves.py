"""Reads the curves of measured collectives that come with the catalogue, or those of a user's own file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import msgspec

from simulator.collectives.curve import Curve, Grade, Point, Terms
from simulator.collectives.kinds import KINDS
from simulator.errors import InputError, unknown_name
from simulator.figures import BytesPerSecond, Draw, Ratio, Seconds, Source, figures_of, settle_all
from simulator.files import parse_toml, read_text
from simulator.machine import Count, Entry, Line, Name
from topologies.checks import check_figures
from topologies.load import ROOT, shown, sources
from topologies.schema import Sources

FILE = ROOT / "curves.toml"
ROOT_OF = 2.0**20
"""Size at which the square-root term of a curve is written down as a time: 1 MiB [B]."""
Size = Annotated[float, msgspec.Meta(ge=1, le=1e18)]
Families = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*){0,5}$", max_length=200)]
Error = Annotated[float, msgspec.Meta(ge=0, le=1000)]
"""Relative error [1]."""


class MeasuredPoint(Entry, frozen=True):
    """One measured time [us] of a system at a size [B], and its source."""

    machine: Name
    bytes: Size
    us: Annotated[float, msgspec.Meta(ge=1e-3, le=1e15)]
    source: Name
    network: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9.-]{0,63})?$")] = ""


class CurveEntry(Entry, frozen=True):
    """One curve as it stands in a file; see :class:`simulator.collectives.curve.Curve`.

    ``latency`` and ``bandwidth`` are the first two terms (a term that is left out is none); ``ramp`` is the time of the
    square-root term at 1 MiB. ``spread`` is 5 % and 95 % of measured over predicted; ``error`` and ``left_out_error``
    are median relative errors on the curve's own points, with and without the point that is predicted.
    """

    families: Families
    kind: Line
    ranks: Count
    grade: Grade
    rate: BytesPerSecond
    spread_low: Ratio
    spread_high: Ratio
    points: Annotated[tuple[MeasuredPoint, ...], msgspec.Meta(min_length=1, max_length=1000)]
    latency: Seconds | None = None
    bandwidth: BytesPerSecond | None = None
    ramp: Seconds | None = None
    error: Error | None = None
    left_out_error: Error | None = None


class CurveFile(Entry, frozen=True):
    """A file of curves, with the sources that the catalogue does not have."""

    curves: Annotated[tuple[CurveEntry, ...], msgspec.Meta(max_length=1000)] = ()
    sources: Sources = msgspec.field(default_factory=dict)


@functools.cache
def curves() -> tuple[Curve, ...]:
    """The curves of the catalogue."""
    return read_curves(FILE)


def read_curves(path: Path) -> tuple[Curve, ...]:
    """The curves of a file.

    Raises
    ------
    InputError : unreadable, a wrong field, a source that nobody knows
    """
    where = shown(path)
    file = parse_toml(read_text(path), CurveFile, where)
    known = sources() | file.sources
    return tuple(_curve(entry, known, f"{where}: curves[{place}]") for place, entry in enumerate(file.curves))


def _curve(raw: CurveEntry, known: dict[str, Source], where: str) -> Curve:
    if raw.kind not in KINDS:
        raise unknown_name("collective", raw.kind, KINDS, where=f"{where}.kind")
    entry = settle_all(raw, f"curve/{raw.families.replace('/', '+')}-{raw.kind}-{raw.ranks}", where)
    check_figures(entry, where, known)
    named = {figure.source for figure in figures_of(entry)} - {""} | {point.source for point in entry.points}
    if unknown := sorted(named - set(known)):
        raise InputError(f"unknown source {unknown[0]!r}", where=where, remedy="add it under [sources]")
    draw = Draw()
    return Curve(
        families=entry.families,
        kind=entry.kind,
        ranks=entry.ranks,
        rate_bytes_per_s=draw(entry.rate),
        terms=Terms(
            draw(entry.latency) if entry.latency else 0.0,
            1 / draw(entry.bandwidth) if entry.bandwidth else 0.0,
            draw(entry.ramp) / ROOT_OF**0.5 if entry.ramp else 0.0,
        ),
        spread=(draw(entry.spread_low), draw(entry.spread_high)),
        grade=entry.grade,
        sources=tuple(sorted({point.source for point in entry.points})),
        points=tuple(Point(p.machine, p.network, p.bytes, p.us * 1e-6) for p in entry.points),
    )
