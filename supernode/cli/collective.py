"""``supernode collective``: price one collective, or a sweep of sizes, on one of three levels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import InputError
from supernode.cli.common import machine_names, print_json, progress_bar, warm_kernels

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv")
LEVELS = ("curve", "closed-form", "flow")


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
    fidelity: Annotated[
        str, typer.Option(help=f"Level that answers: {', '.join(LEVELS)}.  [default: closed-form]")
    ] = "",
    fail: Annotated[
        list[str] | None,
        typer.Option(metavar="LINK|SWITCH", help="A dead link chip3-leaf0 or switch leaf0; leaf0=0.5 is half as fast."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Equal jobs at once, each of --chips chips, on one fabric.")] = 1,
    placement: Annotated[str, typer.Option(help="How jobs lie: packed or interleaved.")] = "packed",
    routing: Annotated[
        str, typer.Option(help="dimension-order, spread, ecmp, valiant or all-path.  [default: the fabric's own]")
    ] = "",
    cases: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Your own measured rows, beside the published ones.")
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Draws of the uncertain figures for the range.", min=8, max=100_000)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0)] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw busbw against size to a PNG or SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price a collective: time, algbw, busbw, algorithm, bottleneck, lower bounds, and what was measured nearest.

    Example: supernode collective all-reduce gb200-nvl72 --bytes 1MiB:8GiB --chips 72
    """
    from supernode.cli.collective_print import as_objects, print_tables
    from supernode.cli.slices import parsed
    from supernode.collective_sweep import Request, sweep
    from supernode.nearest_rows import judged, measured_of, nearest

    if part and chips is not None:
        raise InputError("says how many chips, as --chips does", where="--slice", remedy="leave one of them out")
    shape = list(parsed(part)) if part else []
    if len(shape) == 1:
        chips = shape.pop()
    request = Request(
        kind,
        machine,
        size,
        chips,
        network,
        algorithm,
        hypothesis,
        samples,
        seed,
        tuple(shape),
        fidelity,
        tuple(fail or ()),
        jobs,
        placement,
        routing,
    )
    with progress_bar(as_json) as tell:
        if request.level == "flow":
            warm_kernels(tell)
        found = sweep(request, tell)
    first, own = found.answers[0], cases or []
    near = [nearest(found.part, answer.kind, answer.size_bytes, own) for answer in found.answers]
    good = judged(found.part, first.kind, own)
    if plot is not None:
        from supernode.plots.collectives import plot_sweep
        from supernode.plots.save import write_plot

        rows = [(answer, answer.low_s, answer.high_s) for answer in found.answers]
        points = [(each.row.size_bytes, each.busbw_bytes_per_s) for each in measured_of(near[0], found.part)]
        bounds = [(answer.size_bytes, answer.bounds.least_s) for answer in found.answers]
        name = found.part.machine.name
        write_plot(lambda ax: plot_sweep(rows, name, ax=ax, measured=points, least_s=bounds, level=first.level), plot)
    if as_json:
        print_json(as_objects(found, near, good, shape))
        return
    print_tables(found, near, good, part)
