"""The page of errors for the documentation: statistics of all rows, and one by one those that come with the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supernode.validation.run import published
from supernode.validation.text_tables import TextTable, rows_table, summaries

if TYPE_CHECKING:
    from supernode.validation.answers import Row
    from supernode.validation.run import Validation

HEAD = """# Predicted against published

This page is written by `supernode validate{kind} --markdown FILE --plot FILE`; what it says changes with the
models and is not edited by hand. `supernode validate` prints the same tables, and every row, for any file of
measurements.

An error is (predicted - measured) / measured. A band holds the ranges of uncertain figures and everything that a row
leaves open, such as virtual stages or recomputation; its width is (high - low) / predicted, and belongs beside the
share of measured values inside it: a wide band is not a right one. Constants were fitted on rows of the split
`calibrate`, never on `dev`. `clean` marks rows of dense models whose configuration is whole and with which nothing is
known to be wrong; only reports read it.

{rows} rows of {files}.
"""


def page(found: Validation, picture: str = "") -> str:
    """The whole page as Markdown, with the scatter plot if its path from the page is given.

    Rows that stand in files of the project are shown one by one, others only as statistics: they are not ours to give.
    """
    kind = "" if found.kind == "all" else f" --kind {found.kind}"
    files = dict.fromkeys(_file(row).name for row in found.rows)
    parts = [HEAD.format(kind=kind, rows=len(found.rows), files=" and ".join(f"`{name}`" for name in files))]
    parts += [f"![Predicted against measured]({picture})\n"] if picture else []
    parts += [_section(table) for table in summaries(found.rows)]
    if ours := [row for row in found.rows if _file(row).parent == published().resolve()]:
        parts.append(_section(rows_table(ours), "Rows that come with the project"))
    return "\n".join(parts)


def _file(row: Row) -> Path:
    return Path(row.case.where.rpartition(": line ")[0]).resolve()


def _section(table: TextTable, title: str = "") -> str:
    note = [table.note, ""] if table.note else []
    names = [_cell(name.rstrip(">")) for name in table.columns]
    sides = ["---:" if name.endswith(">") else "---" for name in table.columns]
    lines = [_line(names), _line(sides), *(_line([_cell(text) for text in cells]) for cells in table.rows)]
    return "\n".join([f"## {title or table.title}", "", *note, *lines, ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text that no reader of Markdown takes for a mark."""
    return "".join(f"\\{letter}" if letter in "\\|<>*_`[]" else letter for letter in text)
