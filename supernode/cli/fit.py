"""``supernode fit``: constants from a user's own measurements, with the catalogue's ranges as priors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import InputError
from supernode.cli.common import binary_size, console, machine_names, print_json, progress_bar, quantity, warm_kernels

if TYPE_CHECKING:
    from simulator.machine import Machine
    from supernode.fitting.closed_form import ClosedFit
    from supernode.fitting.curves import FittedCurve
    from supernode.fitting.machine_file import Written
    from supernode.fitting.rows import Row

app = typer.Typer(
    help="Fit constants of links, libraries, kernels and stacks to your own measurements.", no_args_is_help=True
)


@app.command("collective")
def collective(
    file: Annotated[Path, typer.Argument(help="Output of nccl-tests or rccl-tests as printed, its JSON, or a CSV.")],
    machine: Annotated[
        str, typer.Option(help="Machine that it was timed on: a name or a TOML file.", autocompletion=machine_names)
    ] = "",
    network: Annotated[str, typer.Option(help="Network that joins several machines.")] = "",
    chips: Annotated[int | None, typer.Option(help="Chips that took part, where the file does not say.")] = None,
    kind: Annotated[str, typer.Option(help="Collective that was timed, where the file does not say.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the machine with the fitted constants here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Fit a machine's constants to measured collectives, and say what each error was before and is after.

    Example: supernode fit collective nccl.txt --machine hgx-h100 --out mine.toml
    """
    from supernode.fitting.closed_form import fit_rows
    from supernode.fitting.machine_file import write_machine
    from supernode.fitting.rows import read_rows
    from supernode.readings import machine_under

    if not machine:
        raise InputError("which machine was timed is not said", where="--machine", remedy="name one, as in hgx-h100")
    known = machine_under(machine, "", network)
    rows, passed = _own(read_rows(file, kind, chips), known)
    if not rows:
        raise InputError(f"has no rows of {known.name} to fit", where=str(file), remedy="check --machine and --network")
    with progress_bar(as_json) as tell:
        warm_kernels(tell)
        fit = fit_rows(known, rows, tell)
    written = write_machine(out, machine, network, fit, file) if out is not None else None
    if as_json:
        print_json(_object(fit, passed, written))
    else:
        _print(fit, passed, written)


@app.command("curves")
def curves(
    file: Annotated[Path, typer.Argument(help="CSV of measured collectives of machines of the catalogue.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the curves here; none: only print them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Fit latency + bytes / bandwidth + square root for each family of links, kind and number of ranks.

    Rows whose split is something else than calibrate are passed over; a row without one counts.

    Example: supernode fit curves measured-comm.csv --out curves.toml
    """
    import topologies
    from simulator.files import write_whole
    from supernode.fitting.curves import curves_toml, fitted_curves, source_ids
    from supernode.fitting.rows import FITTED_SPLITS, read_rows
    from supernode.fitting.slices import slices_named

    rows = [row for row in read_rows(file) if row.split in FITTED_SPLITS]
    found = fitted_curves(rows, slices_named(rows))
    ids, own = source_ids(file, topologies.sources())
    text = curves_toml(found, ids, own)
    if out is not None:
        if out.exists() and out.samefile(file):
            raise InputError("is the file to read", where=f"--out {out}", remedy="write into another one")
        write_whole(out, text)
    if as_json:
        print_json({"schema": 1, "curves": [_curve_object(each) for each in found], "file": str(out) if out else None})
    else:
        _print_curves(found, out)


@app.command("kernels")
def kernels(
    file: Annotated[Path, typer.Argument(help="CSV of timed kernels: products, attention, latent attention, experts.")],
    chip: Annotated[str, typer.Option(help="Chip that they were timed on, where the column system does not say.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the constants here, as a chip's file holds them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Fit what kernels reach on a chip: rates, tiles, starts; with the errors before, after, and of rows left out.

    Rows whose split is something else than calibrate are passed over; a row without one counts.

    Example: supernode fit kernels kernel-gemm.csv --out constants.toml
    """
    from simulator.files import write_whole
    from supernode.cli.fit_kernels_print import as_object, print_fits
    from supernode.fitting.kernel_tables import as_toml, fit_kernels
    from supernode.validation.cases import read_cases

    cases = read_cases(file)
    if cases[0].kind != "kernels":
        raise InputError(
            f"holds {cases[0].kind} rows, no timed kernels",
            where=str(file),
            remedy="give columns such as system, dtype, m, n, k, latency_ms",
        )
    with progress_bar(as_json) as tell:
        fits = fit_kernels(cases, chip, tell)
    texts = {fit.chip.name: as_toml(fit, file.name) for fit in fits}
    text = (
        texts[fits[0].chip.name] if len(fits) == 1 else "".join(f"# {name}\n{each}\n" for name, each in texts.items())
    )
    if out is not None:
        if out.exists() and out.samefile(file):
            raise InputError("is the file to read", where=f"--out {out}", remedy="write into another one")
        write_whole(out, text)
    if as_json:
        print_json(as_object(fits, texts, out))
    else:
        print_fits(fits, text, out)


@app.command("training")
def training(
    file: Annotated[Path, typer.Argument(help="CSV of measured steps, with the columns that `validate` reads.")],
    stack: Annotated[str, typer.Option(help="Stack that the rows ran, where they do not say: a name or a file.")] = "",
    machine: Annotated[str, typer.Option(help="Fit to rows of this machine alone.", autocompletion=machine_names)] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the stack with the fitted constants here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Fit the constants of a training stack to measured steps; chips and links keep the catalogue's figures.

    Rows whose split is something else than calibrate are passed over; a row without one counts.

    Example: supernode fit training steps.csv --stack megatron-bridge-26.04 --out mystack.toml
    """
    from supernode.cli.fit_training_print import as_object, print_fit
    from supernode.fitting.stack_file import write_stack
    from supernode.fitting.training import fit_training
    from supernode.fitting.training_rows import own_rows
    from supernode.validation.cases import read_cases

    cases = read_cases(file)
    rows, known = own_rows(cases, machine, stack, str(file))
    with progress_bar(as_json) as tell:
        warm_kernels(tell)
        fit = fit_training(rows, known, tell)
    if out is not None:
        write_stack(out, rows[0].text("stack"), fit, file)
    passed = len(cases) - len(rows)
    if as_json:
        print_json(as_object(fit, passed, out))
    else:
        print_fit(fit, passed, out)


def _own(rows: tuple[Row, ...], machine: Machine) -> tuple[list[Row], int]:
    """Rows of this machine on its network that may be fitted, and how many are passed over.

    Rows that name no machine are of this one; rows inside one machine are, whatever network they name.
    """
    import topologies
    from supernode.fitting.rows import FITTED_SPLITS

    def is_own(row: Row) -> bool:
        if row.machine:
            try:
                named = topologies.resolve("machines", row.machine)
            except InputError:
                return False
            if named != machine.name:
                return False
        is_joined = row.chips <= machine.chips or row.network in {"", machine.network.name}
        return is_joined and row.split in FITTED_SPLITS

    own = [row for row in rows if is_own(row)]
    return own, len(rows) - len(own)


def _object(fit: ClosedFit, passed: int, written: Written | None) -> dict[str, Any]:
    from supernode.cli.fit_print import constant_object
    from supernode.fitting.closed_form import rows_as_json
    from supernode.fitting.posterior import median_error

    return {
        "schema": 1,
        "machine": fit.machine,
        "rows": rows_as_json(fit),
        "passed_over": passed,
        "median_error": {
            "before": median_error(fit.before),
            "after": median_error(fit.after),
            "left_out": median_error(fit.left_out_errors),
        },
        "spread": {name: {"low": each.low, "high": each.high, "rows": each.rows} for name, each in fit.spreads.items()},
        "constants": {each.key: constant_object(each) for each in fit.constants},
        "file": str(written.path) if written else None,
        "network_file": str(written.network) if written and written.network else None,
    }


def _print(fit: ClosedFit, passed: int, written: Written | None) -> None:
    from rich.table import Table

    from simulator.units import humanise
    from supernode.cli.fit_print import constants_table
    from supernode.fitting.posterior import median_error

    out = console()
    table = Table(title=f"Measured and predicted on {fit.machine}", title_justify="left")
    for name in ("kind", "chips", "size", "measured", "error before", "error after", "left out"):
        table.add_column(name, justify="left" if name == "kind" else "right", no_wrap=True)
    for place, row in enumerate(fit.rows):
        left = f"{fit.left_out_errors[place]:+.1%}" if fit.left_out_errors else ""
        cells = (binary_size(row.size_bytes), humanise(row.seconds, "s"))
        table.add_row(row.kind, f"{row.chips}", *cells, f"{fit.before[place]:+.1%}", f"{fit.after[place]:+.1%}", left)
    out.print(table)
    out.print(constants_table(fit.constants))
    numbers = [median_error(errors) for errors in (fit.before, fit.after, fit.left_out_errors)]
    before, after, left = ("-" if number is None else f"{number:.1%}" for number in numbers)
    out.print(f"Median error: {before} before, {after} after, {left} with each row left out of the fit.")
    for name, spread in fit.spreads.items():
        out.print(
            f"Measured over predicted, {name} messages: {spread.low:.3f} to {spread.high:.3f} "
            f"(5-95 % of {spread.rows} {'row' if spread.rows == 1 else 'rows'}, each left out of the fit)."
        )
    for row, reason in fit.left_out:
        out.print(f"Left out: {row.where}: {reason}", markup=False)
    if passed:
        out.print(f"{passed} rows of other machines, networks or splits were passed over.")
    if written:
        beside = f" and {written.network}" if written.network else ""
        out.print(f"Written to {written.path}{beside}. Use it in place of the name: ", end="", markup=False)
        out.print(f"supernode collective all-reduce {written.path}", markup=False)


def _curve_object(each: FittedCurve) -> dict[str, Any]:
    curve = each.curve
    terms = curve.terms
    return {
        "families": curve.families,
        "kind": curve.kind,
        "ranks": curve.ranks,
        "grade": curve.grade,
        "latency": quantity(terms.latency_s, "s", low=each.low.latency_s, high=each.high.latency_s),
        "per_byte": quantity(terms.s_per_byte, "s/B", low=each.low.s_per_byte, high=each.high.s_per_byte),
        "per_root": quantity(terms.s_per_root, "s/B^0.5", low=each.low.s_per_root, high=each.high.s_per_root),
        "spread": list(curve.spread),
        "error": each.error,
        "left_out_error": each.left_out_error,
        "points": len(curve.points),
    }


def _print_curves(found: list[FittedCurve], written: Path | None) -> None:
    from rich.table import Table

    from simulator.units import humanise
    from topologies.curves import ROOT_OF

    out = console()
    table = Table(title="Curves", title_justify="left")
    for name in ("curve", "grade", "points", "latency", "bandwidth", "ramp at 1 MiB", "error", "left out"):
        table.add_column(name, justify="left" if name in {"curve", "grade"} else "right", no_wrap=True)
    for each in found:
        terms = each.curve.terms
        table.add_row(
            each.curve.name,
            each.curve.grade,
            f"{len(each.curve.points)}",
            humanise(terms.latency_s, "s", 3),
            humanise(1 / terms.s_per_byte, "B/s", 3) if terms.s_per_byte else "-",
            humanise(terms.s_per_root * ROOT_OF**0.5, "s", 3),
            f"{each.error:.1%}",
            "-" if each.left_out_error is None else f"{each.left_out_error:.1%}",
        )
    out.print(table)
    if written is not None:
        out.print(f"Written to {written}", markup=False)
