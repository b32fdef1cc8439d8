"""``supernode collective``: price one collective, or a sweep of sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import InputError
from supernode.cli.common import console, machine_names, print_json, quantity

if TYPE_CHECKING:
    from simulator.collectives import Priced
    from simulator.machine import Slice

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv")


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def collective(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.", autocompletion=_kinds)],
    machine: Annotated[
        str, typer.Argument(help="A machine of the catalogue, or a TOML file.", autocompletion=machine_names)
    ],
    size: Annotated[
        str, typer.Option("--bytes", help="Message size as in nccl-tests, e.g. 1GiB, or a sweep 1KiB:4GiB.")
    ] = "1GiB",
    chips: Annotated[int | None, typer.Option(help="Chips that take part.  [default: the whole machine]")] = None,
    part: Annotated[
        str, typer.Option("--slice", metavar="SHAPE", help="Shape of a torus in place of --chips, as in 4x4x16.")
    ] = "",
    network: Annotated[str, typer.Option(help="Network that joins several machines.")] = "",
    algorithm: Annotated[str, typer.Option(help="Name one instead of the cheapest.")] = "",
    hypothesis: Annotated[str, typer.Option(help="Reading of an undisclosed machine.")] = "",
    samples: Annotated[
        int, typer.Option(help="Draws of the uncertain figures for the range.", min=8, max=100_000)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0)] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw busbw against size to a PNG or SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price a collective: time, algbw, busbw, algorithm, bottleneck and lower bounds.

    Example: supernode collective all-reduce gb200-nvl72 --bytes 1MiB:8GiB --chips 72
    """
    from supernode.cli.slices import parsed
    from supernode.collective_sweep import Request, sweep

    if part and chips is not None:
        raise InputError("says how many chips, as --chips does", where="--slice", remedy="leave one of them out")
    shape = list(parsed(part)) if part else []
    if len(shape) == 1:
        chips = shape.pop()
    request = Request(kind, machine, size, chips, network, algorithm, hypothesis, samples, seed, tuple(shape))
    cut, rows, sources = sweep(request)
    if plot is not None:
        from supernode.plots.collectives import plot_sweep
        from supernode.plots.save import write_plot

        write_plot(lambda ax: plot_sweep(rows, cut.machine.name, ax=ax), plot)
    if as_json:
        objects = [_object(priced, low, high, sources) for priced, low, high in rows]
        first = objects[0] if len(objects) == 1 else {"sweep": objects}
        print_json(
            {"schema": 1, "machine": cut.machine.name, "chips": cut.chips, "reading": cut.machine.reading}
            | ({"shape": shape} if shape else {})
            | first
        )
        return
    _print(cut, rows, part)


def _object(priced: Priced, low: float, high: float, sources: tuple[str, ...]) -> dict[str, Any]:
    """One priced size; the range of the rates is that of the time, turned round."""
    bus = priced.busbw_bytes_per_s / priced.algbw_bytes_per_s
    slow, fast = priced.size_bytes / high, priced.size_bytes / low
    bounds = priced.bounds
    return {
        "kind": priced.kind,
        "bytes": priced.size_bytes,
        "time": quantity(priced.seconds, "s", low=low, high=high, maturity="verified", sources=sources),
        "algbw": quantity(priced.algbw_bytes_per_s, "B/s", low=slow, high=fast, maturity="verified", sources=sources),
        "busbw": quantity(
            priced.busbw_bytes_per_s, "B/s", low=slow * bus, high=fast * bus, maturity="verified", sources=sources
        ),
        "algorithm": priced.algorithm,
        "level": "closed-form",
        "bottleneck": priced.bottleneck,
        "bounds": {
            "injection": bounds.injection_s,
            "link": bounds.link_s,
            "bisection": bounds.bisection_s,
            "latency": bounds.latency_s,
        },
        "by_algorithm": priced.by_algorithm,
    }


def _print(part: Slice, rows: list[tuple[Priced, float, float]], shape: str) -> None:
    from rich.table import Table

    from simulator.units import humanise

    first = rows[0][0]
    shaped = f" as {shape}" if "x" in shape else ""
    title = f"{first.kind} over {part.chips:,} chips{shaped} of {part.machine.name}"
    table = Table(title=title, title_justify="left")
    for name in ("size", "time", "5-95 %", "algbw", "busbw", "algorithm", "bottleneck", "over bound"):
        table.add_column(name, justify="left" if name in {"algorithm", "bottleneck"} else "right", no_wrap=True)
    for priced, low, high in rows:
        bounds = priced.bounds
        least = max(bounds.injection_s, bounds.link_s, bounds.bisection_s, bounds.latency_s)
        table.add_row(
            _binary(priced.size_bytes),
            humanise(priced.seconds, "s"),
            f"{humanise(low, 's', 3)} to {humanise(high, 's', 3)}",
            humanise(priced.algbw_bytes_per_s, "B/s"),
            humanise(priced.busbw_bytes_per_s, "B/s"),
            priced.algorithm,
            priced.bottleneck,
            f"{priced.seconds / least:.2f}x",
        )
    out = console()
    out.print(table)
    if part.machine.reading:
        out.print(f"Reading: {part.machine.reading}", highlight=False, soft_wrap=True)


def _binary(size_bytes: float) -> str:
    for unit, factor in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.4g} {unit}"
    return f"{size_bytes:.4g} B"
