"""Curves through measured collectives: rows of one family, kind and number of ranks together, written as TOML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.collectives.curve import APART, Curve, Grade, Point, families_of, fit_terms, leave_one_out, rate_of
from simulator.errors import InputError
from simulator.files import read_text
from supernode.fitting.spread import spread
from topologies.imports.toml_text import inline, toml

if TYPE_CHECKING:
    from simulator.collectives.curve import Terms
    from simulator.machine import Slice
    from supernode.fitting.rows import Row

FORCED = 1.1
"""A named algorithm that another beats by more than this at the same size was forced by who measured, not chosen."""
BUSY = 0.1
"""From this share of the links' rate on, a size that was measured alone says something of the bandwidth."""
DIGITS = 6
"""Digits of numbers in the file of curves."""
_MICROSECOND = 1e-6
_WORDS = re.compile(r"[^a-z0-9.]+")


@dataclass(frozen=True)
class FittedCurve:
    """A curve with what the fit says of it.

    Parameters
    ----------
    curve : the curve
    rows : the rows behind its points
    low, high : the least and the largest value of each term when one size is left out
    error, left_out_error : median relative error on its own points, with and without the point in the fit [1]; the
        second is None where too few sizes were measured to leave one out
    """

    curve: Curve
    rows: tuple[Row, ...]
    low: Terms
    high: Terms
    error: float
    left_out_error: float | None


def fitted_curves(rows: Sequence[Row], slice_for: Mapping[tuple[str, str, int], Slice]) -> list[FittedCurve]:
    """Curves through rows, each on the slice of its machine, network and chips; sorted by family, kind and ranks.

    Rows whose slice is not there are left out, and so are those of algorithms that were forced.
    """
    groups: dict[tuple[str, str, int, float], list[Row]] = {}
    for row in rows:
        part = slice_for.get((row.machine, row.network, row.chips))
        if part is None:
            continue
        rate = _rate(part)
        known = next(
            (key for key in groups if key[:3] == (families_of(part), row.kind, row.chips) and _is_near(key[3], rate)),
            (families_of(part), row.kind, row.chips, rate),
        )
        network = row.network if part.machines > 1 else ""
        groups.setdefault(known, []).append(replace(row, network=network))
    return [_fitted(key, _chosen(group)) for key, group in sorted(groups.items())]


def _rate(part: Slice) -> float:
    from simulator.collectives import group_of

    return rate_of(part, group_of(part))


def _is_near(a: float, b: float) -> bool:
    return abs(a / b - 1) < 0.01


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Rows as a library would have answered: without algorithms that another beats at a size that both were run at."""
    forced = set()
    for row in rows:
        for other in rows:
            is_same = _run_of(row) == _run_of(other)
            if is_same and row.algorithm != other.algorithm and row.seconds > FORCED * other.seconds:
                forced.add((row.machine, row.algorithm))
    return [row for row in rows if not row.algorithm or (row.machine, row.algorithm) not in forced]


def _run_of(row: Row) -> tuple[object, ...]:
    return row.machine, row.network, row.kind, row.chips, row.size_bytes


def _fitted(key: tuple[str, str, int, float], rows: Sequence[Row]) -> FittedCurve:
    import numpy as np

    families, kind, ranks, rate = key
    ordered = sorted(rows, key=lambda row: (row.size_bytes, row.machine, row.seconds))
    sizes, times = _merged(ordered)
    terms = {1: 1, 2: 2, 3: 2}.get(len(sizes), 3)
    if terms == 1 and sizes[0] / times[0] < BUSY * rate:
        terms = 0
    fit = fit_terms(sizes, times, terms)
    raw = [fit.seconds(row.size_bytes) / row.seconds - 1 for row in ordered]
    left_out, errors, variants = None, raw, [fit]
    grade: Grade = "measured"
    if len(sizes) > max(1, terms):
        others = leave_one_out(sizes, times, terms)
        variants += others
        errors = [each.seconds(size) / time - 1 for each, size, time in zip(others, sizes, times, strict=True)]
        left_out = float(np.median(np.abs(errors)))
        grade = "fitted"
    within = spread(errors)
    low, high = (within.low, within.high) if len(sizes) > 1 else (1 / APART, APART)
    points = tuple(Point(row.machine, row.network, row.size_bytes, row.seconds) for row in ordered)
    curve = Curve(families, kind, ranks, rate, fit, (low, high), grade, (), points)
    error = float(np.median(np.abs(raw)))
    return FittedCurve(curve, tuple(ordered), _extreme(variants, min), _extreme(variants, max), error, left_out)


def _merged(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Sizes in ascending order, each once, with the geometric mean of their times."""
    import math

    times: dict[float, list[float]] = {}
    for row in rows:
        times.setdefault(row.size_bytes, []).append(math.log(row.seconds))
    return list(times), [math.exp(sum(each) / len(each)) for each in times.values()]


def _extreme(variants: Sequence[Terms], pick: Any) -> Terms:
    from simulator.collectives.curve import Terms

    return Terms(*(pick(getattr(each, name) for each in variants) for name in Terms.__dataclass_fields__))


def source_ids(path: Path, known: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Id of the source of each line of a CSV, by ``file: line N``, and the sources that ``known`` does not have.

    A row whose address is that of one known source has its id; others get one made of their title. A file without
    ``source_title`` is its own source.
    """
    by_url: dict[str, list[str]] = {}
    for name, source in known.items():
        by_url.setdefault(source.url, []).append(name)
    found: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    line = 2
    for row in reader:
        title, url = (row.get("source_title") or path.name).strip(), (row.get("source_url") or "").strip()
        url = url.split()[0] if url.startswith("http") else ""
        title = re.sub(r",? *\(?stored GitHub file\)?", "", title)
        named = by_url.get(url, []) if url else []
        name = named[0] if len(named) == 1 else _WORDS.sub("-", title.lower()).strip("-.")[:60].strip("-.")
        if name not in known:
            own[name] = {"title": title, "url": url}
        found[f"{path}: line {line}"] = name
        line = reader.line_num + 1
    return found, own


def curves_toml(found: Sequence[FittedCurve], ids: Mapping[str, str], own: Mapping[str, dict[str, str]]) -> str:
    """A file of curves as TOML, as :mod:`topologies.curves` reads it."""
    if not found:
        raise InputError("no row is of a machine of the catalogue", remedy="name machines in the column machine")
    tables = [_table(each, ids) for each in found]
    used = {point["source"] for table in tables for point in table["points"]}
    head = (
        "# Curves of measured collectives, written by `supernode fit curves`; not by hand.\n"
        "# Fitted on rows marked calibrate alone. Time = latency + bytes / bandwidth + ramp * sqrt(bytes / 1 MiB).\n\n"
    )
    text = head
    for table in tables:
        points = "".join(f"    {inline(each)},\n" for each in table.pop("points"))
        plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
        figures = "".join(f"{key} = {inline(value)}\n" for key, value in table.items() if key not in plain)
        text += f"[[curves]]\n{toml(plain)}points = [\n{points}]\n{figures}\n"
    return text + toml({"sources": {name: table for name, table in sorted(own.items()) if name in used}}).lstrip()


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _table(each: FittedCurve, ids: Mapping[str, str]) -> dict[str, Any]:
    from topologies.curves import ROOT_OF

    curve = each.curve
    sources = [ids[row.where] for row in each.rows]
    main = max(sorted(set(sources)), key=sources.count)
    others = sorted(set(sources) - {main})
    locator = f"{len(each.rows)} rows" + (f", also of {', '.join(others)}" if others else "")
    told = {"kind": "derived", "source": main, "locator": locator}

    def figure(values: tuple[float, float, float], unit: str) -> dict[str, Any]:
        value, low, high = (_rounded(one) for one in values)
        return {"value": value, "unit": unit, "low": min(low, value), "high": max(high, value), **told}

    table: dict[str, Any] = {"families": curve.families, "kind": curve.kind, "ranks": curve.ranks, "grade": curve.grade}
    table["error"] = round(each.error, 4)
    if each.left_out_error is not None:
        table["left_out_error"] = round(each.left_out_error, 4)
    table["points"] = [
        {"machine": row.machine, "bytes": int(row.size_bytes), "us": _rounded(row.seconds / _MICROSECOND)}
        | ({"network": row.network} if row.network else {})
        | {"source": source}
        for row, source in zip(each.rows, sources, strict=True)
    ]
    terms, low, high = curve.terms, each.low, each.high
    rate = _rounded(curve.rate_bytes_per_s / 1e9)
    table["rate"] = {"value": rate, "unit": "GB/s", "low": rate, "high": rate, "kind": "assumed"}
    table["rate"]["note"] = "Of the links of one chip in the catalogue, by which the curve is moved to other links."
    if terms.latency_s > 0:
        table["latency"] = figure(
            (terms.latency_s / _MICROSECOND, low.latency_s / _MICROSECOND, high.latency_s / _MICROSECOND), "us"
        )
    if terms.s_per_byte > 0:
        ends = [1e-9 / one if one > 0 else 1e-9 / terms.s_per_byte for one in (high.s_per_byte, low.s_per_byte)]
        table["bandwidth"] = figure((1e-9 / terms.s_per_byte, ends[0], ends[1]), "GB/s")
    if terms.s_per_root > 0:
        scale = ROOT_OF**0.5 / _MICROSECOND
        table["ramp"] = figure((terms.s_per_root * scale, low.s_per_root * scale, high.s_per_root * scale), "us")
    for name, value in (("spread_low", curve.spread[0]), ("spread_high", curve.spread[1])):
        table[name] = figure((value, value, value), "1")
    return table
