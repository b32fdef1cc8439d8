"""Measured collectives of a user: one row a time, from nccl-tests as printed, its JSON, or a CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.collectives import KINDS, bus_factor, kind_id
from simulator.errors import InputError
from simulator.files import read_text
from simulator.machine import MOST_CHIPS

MOST_ROWS = 20_000
_MICROSECOND = 1e-6
_GIGABYTE = 1e9
_SHOWN = 60
FITTED_SPLITS = frozenset({"", "calibrate"})
"""Values of a column ``split`` whose rows constants may be fitted on."""

COLUMNS = {
    "collective": ("collective", "name"),
    "chips": ("chips", "ranks", "gpus"),
    "message_bytes": ("message_bytes", "size"),
    "time_us": ("time_us", "time"),
    "busbw_GBps": ("busbw_gbps",),
    "in_place": ("inplace", "in_place"),
    "algorithm": ("algorithm_if_known", "algorithm"),
    "machine": ("machine",),
    "network": ("network",),
    "split": ("split",),
}
"""What a column means -> the titles that it may have in a CSV, or in the JSON of rccl-tests, in small letters."""

SAME = {"ppermute": "send-recv"}
"""Collectives under names of other libraries -> ours."""


@dataclass(frozen=True)
class Row:
    """One measured collective: kind, chips, size [B], time [s], and where it stands.

    ``algorithm`` as its source names it, ``machine`` and ``network`` and ``split`` where the source says.
    """

    kind: str
    chips: int
    size_bytes: float
    seconds: float
    where: str
    algorithm: str = ""
    machine: str = ""
    network: str = ""
    split: str = ""


def read_rows(path: Path, kind: str = "", chips: int | None = None) -> tuple[Row, ...]:
    """Read measured collectives from a file, whatever form it has.

    nccl-tests and rccl-tests as printed (several outputs may follow each other), the JSON of either, rccl-tests' CSV,
    or a CSV with the columns ``collective, chips, message_bytes`` and ``time_us`` or ``busbw_GBps``. Of out-of-place
    and in-place times the former count; rows of size 0 are passed over.

    Parameters
    ----------
    kind : of all rows, where the file does not say; one of :data:`simulator.collectives.KINDS`
    chips : that took part in all rows, where the file does not say

    Raises
    ------
    InputError : unreadable, empty, no such format, a row that is wrong; names file, line and what would be right
    """
    from supernode.fitting import nccl_tests

    name = str(path)
    kind = KINDS[kind_id(kind)] if kind else ""
    if chips is not None and chips < 2:
        raise InputError(f"{chips} chips make no collective", where="--chips", remedy="give at least 2")
    text = read_text(path)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not first:
        raise InputError("is empty", where=name, remedy="save the output of all_reduce_perf in it, or a CSV")
    if "\0" in text:
        raise InputError("is no text", where=name, remedy="name the output of nccl-tests, or a CSV")
    if first[0] in "{[" and not nccl_tests.LABEL.match(first):
        rows = _json_rows(text, name, kind, chips)
    elif not first.startswith("#") and "," in first and _meanings(first.split(",")):
        rows = _csv_rows(text, name, kind, chips)
    else:
        rows = nccl_tests.rows_of(text, name, kind, chips)
    found = tuple(rows)
    if not found:
        raise InputError("holds no measured collective", where=name, remedy="save at least one table of results in it")
    if len(found) > MOST_ROWS:
        raise InputError(f"has more than {MOST_ROWS:,} rows", where=name, remedy="split it")
    return found


def kind_named(text: str) -> str:
    """The kind of collective that a measurement names, without what it adds in brackets.

    Raises
    ------
    InputError : none that is priced
    """
    named = text.partition("(")[0].strip()
    return KINDS[kind_id(SAME.get(named.lower(), named))]


def row_of(kind: str, chips: int, size_bytes: float, time_us: float, where: str) -> Row:
    """One row, its numbers checked.

    Raises
    ------
    InputError : a time or number of chips that is none
    """
    if not (math.isfinite(time_us) and time_us > 0):
        raise InputError(f"a time of {time_us:g} us", where=where, remedy="a time is above 0; leave the row out")
    if not (math.isfinite(size_bytes) and size_bytes >= 1):
        raise InputError(f"{size_bytes:g} bytes is no size of a message", where=where, remedy="leave the row out")
    if not 2 <= chips <= MOST_CHIPS:
        remedy = f"a collective has 2 to {MOST_CHIPS:,} ranks"
        raise InputError(f"{chips:.10g} chips make no collective", where=where, remedy=remedy)
    return Row(kind, chips, size_bytes, time_us * _MICROSECOND, where)


def _meanings(header: list[str]) -> dict[str, int]:
    """Column number by meaning, if the header is one of a table of collectives; empty elsewhere."""
    titles = [title.strip().strip('"').lower() for title in header]
    found = {
        meaning: titles.index(title)
        for meaning, names in COLUMNS.items()
        for title in reversed(names)
        if title in titles
    }
    return found if {"collective", "message_bytes"} & set(found) else {}


def _csv_rows(text: str, name: str, kind: str, chips: int | None) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    meanings: dict[str, int] = {}
    width = 0
    while True:
        line = reader.line_num + 1
        where = f"{name}: line {line}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"is not CSV: {error}", where=where, remedy="close every double quote") from None
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if not meanings:
            meanings, width = _header(cells, where, kind, chips), len(cells)
            continue
        if len(cells) != width:
            remedy = "put text with commas in double quotes"
            raise InputError(f"has {len(cells)} cells where the header has {width}", where=where, remedy=remedy)
        values = {meaning: cells[column].strip() for meaning, column in meanings.items()}
        if row := _row(values, where, kind, chips):
            yield row


def _header(cells: list[str], where: str, kind: str, chips: int | None) -> dict[str, int]:
    meanings = _meanings(cells)
    titles = [cell.strip().lower() for cell in cells]
    known = {title for names in COLUMNS.values() for title in names}
    if twice := next((title for title in titles if title in known and titles.count(title) > 1), ""):
        raise InputError(f"column {twice!r} stands there twice", where=where, remedy="take one of them out")
    missing = [] if kind else ["collective"]
    missing += [] if chips else ["chips"]
    missing = [each for each in [*missing, "message_bytes"] if each not in meanings]
    if not {"time_us", "busbw_GBps"} & set(meanings):
        missing.append("time_us")
    if missing:
        remedy = "add them; --kind and --chips stand for the first two where all rows share them"
        raise InputError(f"columns are missing: {', '.join(missing)}", where=where, remedy=remedy)
    return meanings


def _row(values: Mapping[str, str], where: str, kind: str, chips: int | None) -> Row | None:
    """A row from text by meaning; None for in-place results, for sizes of 0 and for kinds that are not priced."""
    named = values.get("collective", "").partition("(")[0].strip()
    if values.get("in_place", "").lower() in {"1", "true"}:
        return None
    try:
        found = kind or kind_named(named)
    except InputError:
        if values.get("machine"):  # a table of many things: rows of other kinds are no mistake
            return None
        raise InputError(
            f"{named[:_SHOWN]!r} is no collective that is priced", where=where, remedy=f"one of {', '.join(KINDS)}"
        ) from None
    if not values.get("message_bytes") or not (values.get("time_us") or values.get("busbw_GBps")):
        return None
    size = _number(values["message_bytes"], f"{where}, message_bytes")
    if size == 0:
        return None
    count = chips or int(_number(values.get("chips", ""), f"{where}, chips"))
    if count < 2 and values.get("machine"):
        return None
    time = _number(values.get("time_us") or "0", f"{where}, time_us")
    if not values.get("time_us"):
        busbw = _number(values["busbw_GBps"], f"{where}, busbw_GBps")
        if busbw <= 0 or count < 2:
            raise InputError(f"a bus bandwidth of {busbw:g} GB/s", where=where, remedy="leave the row out")
        time = size * bus_factor(kind_id(found), count) / (busbw * _GIGABYTE) / _MICROSECOND
    row = row_of(found, count, size, time, where)
    said = {key: values.get(key, "") for key in ("algorithm", "machine", "network", "split")}
    return Row(row.kind, row.chips, row.size_bytes, row.seconds, where, **said)


def _number(text: str, where: str) -> float:
    try:
        value = float(text) if len(text) <= _SHOWN and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{text[:_SHOWN]!r} is no number", where=where, remedy="write a number")
    return value


def _json_rows(text: str, name: str, kind: str, chips: int | None) -> Iterator[Row]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {str(error)[:_SHOWN]}", where=name, remedy="name the file as written") from None
    if isinstance(tree, dict) and isinstance(tree.get("results"), list):
        yield from _nccl_json(tree, name, kind, chips)
        return
    if not (isinstance(tree, list) and all(isinstance(each, dict) for each in tree)):
        remedy = "name what nccl-tests -J or rccl-tests -Z json wrote"
        raise InputError("is JSON without results of nccl-tests", where=name, remedy=remedy)
    for number, record in enumerate(tree):
        values = {
            meaning: str(value)
            for meaning, names in COLUMNS.items()
            for key, value in record.items()
            if key.lower() in names and value is not None
        }
        if row := _row(values, f"{name}: [{number}]", kind, chips):
            yield row


def _nccl_json(tree: Mapping[str, Any], name: str, kind: str, chips: int | None) -> Iterator[Row]:
    """Rows of what nccl-tests -J wrote: one device entry stands for the chips of a process."""
    from supernode.fitting.nccl_tests import kind_in, unknown_chips, unknown_kind

    config = tree.get("config")
    config = config if isinstance(config, dict) else {}
    arguments = tree.get("args")
    found = kind or kind_in(str(arguments[0]) if isinstance(arguments, list) and arguments else "")
    if not found:
        raise unknown_kind(name)
    counts = [config.get("nthreads"), config.get("ngpus")]
    devices = config.get("devices")
    if not chips and not (isinstance(devices, list) and devices and all(isinstance(each, int) for each in counts)):
        raise unknown_chips(name)
    count = chips or len(devices or ()) * math.prod(each for each in counts if isinstance(each, int))
    for number, result in enumerate(tree["results"]):
        where = f"{name}: results[{number}]"
        part = result.get("out_of_place") or result.get("in_place") if isinstance(result, dict) else None
        if not isinstance(part, dict):
            raise InputError("has neither out_of_place nor in_place", where=where, remedy="leave it out")
        if "time" not in part:
            raise InputError("has no time of the collective", where=where, remedy="run it without -C 1")
        size = _number(str(result.get("size", "")), f"{where}.size")
        if size > 0:
            yield row_of(found, count, size, _number(str(part["time"]), f"{where}.time"), where)
