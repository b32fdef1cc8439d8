"""Reads case files: CSV as spreadsheets write it, every cell checked, every complaint with its line and column."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError
from supernode.validation.columns import FORMATS, KERNELS, Column, Format, Kind

LARGEST_BYTES = 32 << 20
MOST_ROWS = 100_000
LONGEST = 60
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

Cell = float | str


@dataclass(frozen=True)
class Case:
    """One measured row. ``given`` is all that a prediction may read; empty cells are absent from it.

    ``source`` is the title of what published the row, and ``is_clean`` whether its column ``clean`` says that nothing
    is known to be wrong with it: reports count by them.
    """

    kind: Kind
    id: str
    family: str
    split: str
    title: str
    where: str
    given: Mapping[str, Cell]
    measured: Mapping[str, float]
    source: str = ""
    is_clean: bool = False

    def text(self, column: str) -> str:
        """A given text, or nothing."""
        return str(self.given.get(column, ""))

    def number(self, column: str) -> float | None:
        """A given number, or None where it is unknown."""
        found = self.given.get(column)
        return None if found is None or isinstance(found, str) else found

    def count(self, column: str) -> int | None:
        """A given whole number, or None where it is unknown."""
        found = self.number(column)
        return None if found is None else int(found)


def read_cases(path: Path) -> list[Case]:
    """Read a file of measured rows; its columns say which of the formats it has.

    Raises
    ------
    InputError : unreadable, too large, not CSV, an unknown format, a cell that is wrong; names line, column and value
    """
    name = str(path)
    rows = _records(_read(path), name)
    first = next(rows, None)
    if first is None:
        raise InputError("is empty", where=name, remedy="write a line of column names and a line for each measurement")
    header = [title.strip() for title in first[1]]
    form = _format(header, name)
    cases: list[Case] = []
    for line, cells in rows:
        if len(cases) >= MOST_ROWS:
            raise InputError(f"has more than {MOST_ROWS} rows", where=name, remedy="split it")
        if len(cells) != len(header):
            raise InputError(
                f"has {len(cells)} cells where the header has {len(header)}",
                where=f"{name}: line {line}",
                remedy="put text with commas in double quotes, and an empty cell where a value is unknown",
            )
        cases.append(_case(form, dict(zip(header, cells, strict=True)), name, line))
    if not cases:
        raise InputError("has a header and no rows", where=name, remedy="add a line for each measurement")
    return cases


def holds_kernels(path: Path) -> bool:
    """Whether the columns of a file are those of timed kernels on one chip."""
    name = str(path)
    header = next(_records(_read(path), name), (1, [""]))[1]
    return any({title.strip() for title in header}.issuperset(form.marks) for form in KERNELS)


def _read(path: Path) -> str:
    name = str(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError("is not a file", where=name, remedy="name a CSV file")
        with path.open("rb") as handle:
            raw = handle.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise InputError("no such file", where=name, remedy="check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=name) from None
    if len(raw) > LARGEST_BYTES:
        raise InputError(f"is larger than {LARGEST_BYTES} bytes", where=name, remedy="split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 at byte {error.start}", where=name, remedy="save it as UTF-8") from None


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the line on which each starts, without blank ones."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"is not CSV: {error}", where=f"{name}: line {line}", remedy="close every double quote"
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _format(header: list[str], name: str) -> Format:
    where = f"{name}: line 1"
    columns = set(header)
    for form in FORMATS:
        if not columns.issuperset(form.marks):
            continue
        known = {*form.given, *form.measured, "id", form.split, *form.family.split()}
        twice = sorted({title for title in header if title in known and header.count(title) > 1})
        if twice:
            raise InputError(f"column {twice[0]!r} stands there twice", where=where, remedy="take one of them out")
        missing = [title for title in form.needed if title not in columns]
        if form.one_of and columns.isdisjoint(form.one_of):
            missing.append(" or ".join(form.one_of))
        if missing:
            raise InputError(
                f"columns are missing from a file of {form.kind} rows: {', '.join(missing)}",
                where=where,
                remedy=_near(missing, header) or "add them; a cell may be empty where its value is unknown",
            )
        return form
    known_marks = "; ".join(f"{form.kind}: {', '.join(form.marks)}" for form in FORMATS)
    remedy = f"the columns that tell the kinds apart are {known_marks}"
    if len(header) == 1:
        remedy = "separate the columns with commas"
    shown = ", ".join(_shown(title) for title in header[:8]) + (", …" if len(header) > 8 else "")
    raise InputError(f"the columns fit no kind of measurement ({shown})", where=where, remedy=remedy)


def _near(missing: list[str], header: list[str]) -> str:
    found = []
    for title in missing:
        near = difflib.get_close_matches(title, header, n=1, cutoff=0.6)
        found += [f"rename {_shown(near[0])!r} to {title!r}"] if near else []
    return "; ".join(found)


def _case(form: Format, cells: Mapping[str, str], name: str, line: int) -> Case:
    where = f"{name}: line {line}"
    given = _cells(form.given, cells, where)
    measured = _cells(form.measured, cells, where)
    return Case(
        kind=form.kind,
        id=clean(cells.get("id", "")) or f"line {line}",
        family=clean(" ".join([form.prefix, *(cells.get(title, "") for title in form.family.split())])) or "unknown",
        split=clean(cells.get(form.split, "")),
        title=clean(cells.get(form.title, "")),
        where=where,
        given=given,
        measured={key: float(value) for key, value in measured.items()},
        source=clean(cells.get("source_title", "")),
        is_clean=cells.get("clean", "").strip().lower() == "yes",
    )


def _cells(columns: Mapping[str, Column], cells: Mapping[str, str], where: str) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for title, column in columns.items():
        text = cells.get(title, "").strip()
        if text:
            found[title] = _number(text, column, f"{where}, column {title}") if column.number else clean(text)
    return found


def _number(text: str, column: Column, where: str) -> float:
    if not _NUMBER.fullmatch(text[:LONGEST]) or len(text) > LONGEST:
        raise InputError(
            f"{_shown(text)!r} is not a number", where=where, remedy="write a number, or nothing if unknown"
        )
    value = float(text)
    if not column.least <= value <= column.most:
        raise InputError(
            f"{_shown(text)} is not between {column.least:g} and {column.most:g}",
            where=where,
            remedy="correct it, or leave the cell empty if unknown",
        )
    if column.whole and value != int(value):
        raise InputError(f"{_shown(text)} is not a whole number", where=where, remedy="write a whole number")
    return value


def clean(text: str) -> str:
    """One line of printable text of moderate length, whatever stood in the cell."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return plain if len(plain) <= 2 * LONGEST else plain[: 2 * LONGEST - 1] + "…"


def _shown(text: str) -> str:
    plain = clean(text)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
