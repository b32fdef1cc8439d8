"""What every study leaves behind: its numbers as a table, its pictures as PNG and SVG; same numbers, same bytes."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from simulator.files import write_whole
from supernode.plots.save import PNG_DOTS_PER_INCH, rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure


def cell(value: object) -> object:
    """A cell of the table: six digits are more than the figures deserve; nothing for no number."""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return value


def write_table(out: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the numbers of all pictures into ``results.csv``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_whole(out / "results.csv", text.getvalue())


def write_picture(out: Path, name: str, sheet: Figure) -> None:
    """Write a picture as PNG and SVG."""
    sheet.set_dpi(PNG_DOTS_PER_INCH)
    for ending, data in rendered(sheet).items():
        write_whole(out / f"{name}.{ending}", data)
