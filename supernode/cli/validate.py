"""``supernode validate``: predicted against published, the error of every row, good or bad."""

from __future__ import annotations

import json
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Compare predictions with published measurements, row by row.

    Example: supernode validate --cases mine.csv
    """
    from supernode.validation import as_json as object_of
    from supernode.validation import validate as run

    found = run(cases or (), kind=kind, watch=_watched)
    text = json.dumps(object_of(found), ensure_ascii=False, allow_nan=False, indent=2)
    if out is not None:
        _write(found, text, out)
    if as_json:
        typer.echo(text)
    else:
        _print(found, out)
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


def _print(found: Validation, out: Path | None) -> None:
    from supernode.validation.report import tables

    out_table = console(NARROWEST)
    if not out_table.is_terminal:
        out_table.width = max(out_table.width, NARROWEST)
    for table in tables(found):
        out_table.print(table)
    if found.repeated:
        out_table.print(f"{found.repeated} rows stand in more than one file and count once.")
    if out is not None:
        out_table.print(f"Written to {out}: validation.json, validation.png, validation.svg", markup=False)


def _write(found: Validation, text: str, out: Path) -> None:
    import io

    from simulator.errors import InputError
    from simulator.files import write_whole
    from supernode.plots.validation import validation_figure

    try:
        write_whole(out / "validation.json", text + "\n")
        figure = validation_figure(found.rows)
        for ending in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, dpi=150, metadata={"Date": None} if ending == "svg" else None)
            write_whole(out / f"validation.{ending}", buffer.getvalue())
    except OSError as error:
        raise InputError(f"cannot write there: {error.strerror}", where=str(out), remedy="name a folder") from None
