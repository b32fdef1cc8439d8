"""What was measured nearest to a collective that is priced, and how far predictions of such rows are off."""

from __future__ import annotations

import csv
import functools
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from simulator.collectives import bus_factor, kind_id
from simulator.errors import InputError
from simulator.files import read_text
from supernode.fitting.rows import Row, kind_named, read_rows
from supernode.validation.run import DATA, predict, published

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulator.machine import Slice

SHOWN = 3
"""Rows that an answer names."""
FEW = 3
"""Below so many rows of one kind, those of all kinds say how good predictions are."""
_AWAY = 4.0
"""How much farther than one doubling of size or chips a row of another machine of the same chip is."""


@dataclass(frozen=True)
class Near:
    """A measured row: ``same`` says whether it is of this ``machine``, its ``chip`` or its ``links``."""

    row: Row
    same: str
    source: str
    url: str
    away: float

    @property
    def busbw_bytes_per_s(self) -> float:
        """As nccl-tests counts it [B/s]."""
        row = self.row
        return row.size_bytes / row.seconds * bus_factor(kind_id(row.kind), row.chips)


@dataclass(frozen=True)
class Judged:
    """How predictions of measured rows came out: median relative error, without its sign [1].

    ``what`` says which rows; ``fitted`` of the ``rows`` are such that constants were fitted on.
    """

    median: float
    rows: int
    fitted: int
    what: str


def files(own: Sequence[Path] = ()) -> list[Path]:
    """The published rows, those of the folder that ``SUPERNODE_DATA`` names, and a user's own."""
    found = [published() / "collectives.csv"]
    if folder := os.environ.get(DATA):
        found.append(Path(folder) / "reference" / "measured-comm.csv")
    return [path for path in found if path.is_file()] + list(own)


def nearest(part: Slice, kind: str, size_bytes: float, own: Sequence[Path] = ()) -> list[Near]:
    """Rows of this kind on this machine, or one of the same chip or links, the nearest in chips and size first."""
    found = []
    paths = {str(path) for path in own}
    for row, source, url in _rows(tuple(files(own))):
        same = _same(row, part) if row.machine else "machine" * (row.where.partition(": line")[0] in paths)
        if not same or row.kind != kind:
            continue
        away = abs(math.log2(row.chips / part.chips)) + abs(math.log2(row.size_bytes / size_bytes))
        away += _AWAY * (("machine", "chip", "links").index(same) + (_is_joined(row, part) != (part.machines > 1)))
        found.append(Near(row, same, source, url, away))
    found.sort(key=_order)
    unique = {(near.row.machine, near.row.chips, near.row.size_bytes, near.row.seconds): near for near in found[::-1]}
    return sorted(unique.values(), key=_order)


def _order(each: Near) -> tuple[float, bool, str]:
    """Nearest first; as near, a user's own rows before those that name a machine."""
    return each.away, bool(each.row.machine), each.row.where


def measured_of(near: Iterable[Near], part: Slice) -> list[Near]:
    """Rows of this machine on as many chips, over the same network: those that belong into its plot."""
    return [
        each
        for each in near
        if each.same == "machine"
        and each.row.chips == part.chips
        and (part.machines == 1 or each.row.network in {"", part.machine.network.name})
    ]


def judged(part: Slice, kind: str, own: Sequence[Path] = ()) -> Judged | None:
    """How good predictions of rows of this machine are (or of its chip, or links), inside or across machines."""
    from supernode.validation.cases import read_cases

    errors: dict[str, list[tuple[str, str, float]]] = {"machine": [], "chip": [], "links": []}
    seen = set()
    for path in files(own):
        try:
            cases = read_cases(path)
        except InputError:
            continue  # the output of nccl-tests names no machine that a case could be of
        for case in cases:
            if case.kind != "collective" or case.id in seen:
                continue
            seen.add(case.id)
            row = Row("", case.count("chips") or 0, 1.0, 1.0, case.where, "", case.text("machine"))
            same = _same(row, part)
            if not same or _is_joined(row, part) != (part.machines > 1):
                continue
            found = predict(case)
            if found.error is not None:
                errors[same].append((case.text("collective"), case.split, abs(found.error)))
    for same, rows in errors.items():
        if rows:
            return _judged(rows, same, kind, part)
    return None


def _judged(rows: list[tuple[str, str, float]], same: str, kind: str, part: Slice) -> Judged:
    alike = [row for row in rows if _kind(row[0]) == kind]
    is_enough = len(alike) >= FEW
    taken = alike if is_enough else rows
    whose = {"machine": part.machine.name, "chip": part.chip.name, "links": "the same links"}[same]
    where = "across machines" if part.machines > 1 else "inside a machine"
    what = f"{kind if is_enough else 'collectives'} of {whose} {where}"
    return Judged(median(row[2] for row in taken), len(taken), sum(row[1] == "calibrate" for row in taken), what)


def _kind(text: str) -> str:
    try:
        return kind_named(text)
    except InputError:
        return ""


@functools.cache
def _known(name: str) -> tuple[str, str, str, int] | None:
    """Name, chip, family of the innermost links and chips of a machine that a row names; None for unknown ones."""
    import topologies

    try:
        machine = topologies.machine(topologies.resolve("machines", name))
    except InputError:
        return None
    levels = machine.slice_levels(machine.chips)
    return machine.name, machine.chip.name, levels[0].link.family if levels else "", machine.chips


def _same(row: Row, part: Slice) -> str:
    """What a row's machine shares with this one; nothing where it names none that is known."""
    known = _known(row.machine) if row.machine else None
    if known is None:
        return ""
    if known[0] == part.machine.name:
        return "machine"
    if known[1] == part.chip.name:
        return "chip"
    return "links" if part.levels and known[2] == part.levels[0].link.family else ""


def _is_joined(row: Row, part: Slice) -> bool:
    """Whether a row's chips are on several machines."""
    known = _known(row.machine) if row.machine else None
    return row.chips > (known[3] if known else part.machine.chips)


@functools.lru_cache(maxsize=8)
def _rows(paths: tuple[Path, ...]) -> tuple[tuple[Row, str, str], ...]:
    """All rows, with the title and address of the source of each."""
    found = []
    for path in paths:
        said = sources_by_line(path)
        for row in read_rows(path):
            line = int(row.where.rpartition("line ")[2].split(",")[0] or 0) if "line " in row.where else 0
            found.append((row, *said.get(line, (path.name, ""))))
    return tuple(found)


def sources_by_line(path: Path) -> dict[int, tuple[str, str]]:
    """Line -> (title, address) of its source, where a CSV has columns for them."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    header: list[str] = []
    found: dict[int, tuple[str, str]] = {}
    try:
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return found
            if not header:
                header = cells
            elif "source_title" in header and len(cells) == len(header):
                url = cells[header.index("source_url")] if "source_url" in header else ""
                found[line] = (cells[header.index("source_title")], url)
    except csv.Error:
        return found
