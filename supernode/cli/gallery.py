"""``supernode gallery``: pictures of machines and a page of all of them; and the table of ``topology --all``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import InputError
from supernode.cli.common import console, machine_names, print_json, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supernode.gallery import Structure


def gallery(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the pictures, the page and the sheet.")],
    machine: Annotated[
        list[str] | None,
        typer.Option(
            "--machine", metavar="NAME", help="Only this picture; again for more.", autocompletion=machine_names
        ),
    ] = None,
) -> None:
    """Draw every machine of the catalogue, and write a page and a contact sheet of them.

    Example: supernode gallery --out docs/machines
    """
    import topologies
    from supernode.gallery import write_gallery

    if out.exists() and not out.is_dir():
        raise InputError("is a file, not a folder", where=f"--out {out}", remedy="name a folder")
    names = [topologies.resolve("machines", name) for name in machine or ()]
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar(is_quiet=False) as tell:
        paths = write_gallery(names or topologies.names("machines"), out, tell, is_whole=not names)
    typer.echo(f"wrote {len(paths)} files into {out}")


def print_structures(plot: Path | None, *, as_json: bool) -> None:
    """Print what the graphs of all machines say; draw their bisections into a file."""
    import topologies
    from supernode.gallery import structures

    with progress_bar(as_json) as tell:
        rows = structures(topologies.names("machines"), tell)
    if as_json:
        print_json({"schema": 1, "unit": "B/s", "machines": [asdict(row) for row in rows]})
    else:
        _print_table(rows)
    if plot is not None:
        from simulator.files import write_whole
        from supernode.plots.structure import rendered_structures

        write_whole(plot, rendered_structures(rows, plot.suffix.lower().removeprefix(".")))
        if not as_json:
            typer.echo(f"wrote {plot}")


def _print_table(rows: Sequence[Structure]) -> None:
    from rich.table import Table
    from rich.text import Text

    from supernode.gallery import shown

    table = Table(title="Machines as graphs; bandwidths of one direction, with their ranges")
    table.add_column("machine", no_wrap=True)
    table.add_column("vendor")
    for head in ("chips", "switches", "links", "injection", "bisection a chip", "all to all", "diameter", "mean"):
        table.add_column(head, justify="right")
    for row in rows:
        rates = [shown(rate) if rate else "–" for rate in (row.injection, row.bisection_per_chip, row.all_to_all)]
        counts = [f"{count:,}" for count in (row.chips, row.switches, row.links)]
        cells = [*counts, *rates, f"{row.diameter}", f"{row.mean_distance:.2f}"]
        table.add_row(Text(row.name), Text(row.vendor), *cells)
    console(200).print(table)
