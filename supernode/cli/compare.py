"""``supernode compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from supernode.cli.common import machine_names, print_json, progress_bar, task_names, warm_kernels


def compare(
    machines: Annotated[
        list[str],
        typer.Argument(
            help="Machines of the catalogue, or TOML files.", autocompletion=machine_names, metavar="MACHINE..."
        ),
    ],
    workload: Annotated[
        list[str] | None,
        typer.Option(
            "--workload",
            "-w",
            help="train-MODEL, serve-MODEL, cluster-day or a TOML file; repeatable.",
            autocompletion=task_names,
        ),
    ] = None,
    basis: Annotated[
        str, typer.Option(help="Make machines comparable: as-built, chips, power, cost or flops of the first.")
    ] = "as-built",
    hypothesis: Annotated[
        str, typer.Option(help="One reading of an undisclosed machine instead of drawing among them.")
    ] = "",
    samples: Annotated[
        int | None, typer.Option(help="Draws of every uncertain figure.  [default: 64; 16 if quick]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0, max=2**63 - 1)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, plots, results.parquet and summary.json.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer draws.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Run workloads on machines side by side, over draws of every uncertain figure.

    Prints who is ahead, by how much and in how many draws; with --out also writes a report, plots and data.

    Example: supernode compare ironwood-9216 scalex640 --basis power --samples 256 --out comparison
    """
    import workloads
    from simulator.errors import unknown_name
    from simulator.files import make_folder
    from supernode.basis import BASES
    from supernode.readings import check_stacks

    for name in machines:
        check_stacks(name)
    for name in workload or ():
        workloads.task(name)
    if basis not in BASES:
        raise unknown_name("basis", basis, BASES)
    if out is not None:
        make_folder(out)
    with progress_bar(is_quiet=as_json) as tell:
        warm_kernels(tell)
        from supernode.comparing import DEFAULT_SAMPLES, DEFAULT_WORKLOADS, QUICK_SAMPLES
        from supernode.comparing import compare as run

        result = run(
            machines,
            workload or DEFAULT_WORKLOADS,
            basis=basis,
            hypothesis=hypothesis,
            samples=samples if samples is not None else QUICK_SAMPLES if quick else DEFAULT_SAMPLES,
            seed=seed,
            progress=tell,
        )
        written = []
        if out is not None:
            from supernode.output import write_all

            written = write_all(result, out, tell)
    if as_json:
        print_json(result.to_json())
    else:
        from supernode.cli.common import console
        from supernode.cli.tables import print_comparison

        print_comparison(result, console())
        if out is not None:
            console().print(
                f"Wrote {len(written)} files to {out}; open {out / 'report.html'}", highlight=False, soft_wrap=True
            )
    results = result.case.machines.values()
    if not any(outcome.status == "ok" for machine in results for outcome in machine.workloads.values()):
        raise typer.Exit(3)
