"""``supernode validate``: predicted against published, the error of every row, good or bad."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from supernode.cli.common import console

if TYPE_CHECKING:
    from supernode.validation import Case, Validation

INTERNAL = 4
NARROWEST = 200
"""Columns of a table that goes to a file, where no terminal says how wide it is."""


def validate(
    cases: Annotated[
        list[Path] | None,
        typer.Option(
            "--cases", metavar="FILE.csv", help="Measured rows; again for more files. None: the published ones."
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Only collective, training, inference, scheduling or kernels rows.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write validation.json and the scatter plot here.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png|svg", help="Draw predicted against measured into this file."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write all statistics as a page of Markdown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Compare predictions with published measurements, row by row.

    Example: supernode validate --cases mine.csv
    """
    from supernode.validation import as_json as object_of
    from supernode.validation import validate as run

    if plot is not None:
        _check_picture(plot)
    found = run(cases or (), kind=kind, watch=_watched)
    text = json.dumps(object_of(found), ensure_ascii=False, allow_nan=False, indent=2)
    written = list(_write(found, text, out, plot, markdown))
    if as_json:
        typer.echo(text)
    else:
        _print(found, written)
    if any(row.status == "error" for row in found.rows):
        raise typer.Exit(INTERNAL)


def _watched(cases: Sequence[Case]) -> Iterable[Case]:
    """The cases, with a progress bar on standard error where a person looks at it."""
    from rich.progress import track

    progress_console = Console(stderr=True)
    if not progress_console.is_terminal:
        return cases
    found: Iterator[Case] = iter(
        track(cases, description="predicting (first run compiles kernels)", console=progress_console, transient=True)
    )
    return found


def _print(found: Validation, written: Sequence[Path]) -> None:
    from supernode.validation.text_tables import rich_table, tables

    out_table = console(NARROWEST)
    if not out_table.is_terminal:
        out_table.width = max(out_table.width, NARROWEST)
    for table in tables(found.rows):
        out_table.print(rich_table(table))
    if found.repeated:
        out_table.print(f"{found.repeated} rows stand in more than one file and count once.")
    if written:
        out_table.print(f"Written: {', '.join(map(str, written))}", markup=False)


def _check_picture(path: Path) -> None:
    """Refuse a picture of another kind before hundreds of rows are predicted."""
    from simulator.errors import InputError

    if path.suffix.lower() not in {".png", ".svg"}:
        raise InputError("a picture is a .png or an .svg file", where=str(path), remedy="end the path in .png or .svg")


def _write(found: Validation, text: str, out: Path | None, plot: Path | None, markdown: Path | None) -> Iterator[Path]:
    """Write what was asked for; yield the files."""
    from simulator.files import write_whole
    from supernode.validation.page import page

    contents: dict[Path, str | bytes] = {}
    if out is not None:
        contents[out / "validation.json"] = text + "\n"
    if out is not None or plot is not None:
        from supernode.plots.validation import pictures

        drawn = pictures(found.rows)
        contents |= {out / f"validation.{ending}": drawn[ending] for ending in drawn} if out is not None else {}
        contents |= {plot: drawn[plot.suffix.lower().removeprefix(".")]} if plot is not None else {}
    if markdown is not None:
        beside = os.path.relpath(plot, markdown.parent) if plot is not None else ""
        contents[markdown] = page(found, Path(beside).as_posix() if beside else "")
    for path, content in contents.items():
        write_whole(path, content)
        yield path
