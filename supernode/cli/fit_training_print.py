"""What ``supernode fit training`` says: errors of each row, constants of the stack, and where they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.cli.common import console
from supernode.cli.fit_print import constant_object, constants_table
from supernode.fitting.posterior import median_error
from supernode.validation.training import described, measured

if TYPE_CHECKING:
    from pathlib import Path

    from supernode.fitting.training import TrainingFit


def as_object(fit: TrainingFit, passed: int, out: Path | None) -> dict[str, Any]:
    """The object that ``--json`` prints: errors are fractions, constants in SI units by their place."""
    rows: list[dict[str, Any]] = []
    for place, case in enumerate(fit.rows):
        value, unit = measured(case)
        said: dict[str, Any] = {"id": case.id, "where": case.where, "machine": case.text("machine")}
        said |= {"chips": case.count("chips"), "what": described(case)}
        errors = {
            "error_before": fit.before[place],
            "error_after": fit.after[place],
            "error_left_out": fit.left_out_errors[place] if fit.left_out_errors else None,
        }
        rows.append(said | {"measured": value, "unit": unit, "group": fit.groups[place]} | errors | {"status": "ok"})
    return {
        "schema": 1,
        "stack": fit.stack.name,
        "rows": rows
        + [
            {"id": case.id, "where": case.where, "reason": reason, "status": "left out"}
            for case, reason in fit.left_out
        ],
        "passed_over": passed,
        "groups": max(fit.groups) + 1,
        "median_error": {
            "before": median_error(fit.before),
            "after": median_error(fit.after),
            "left_out": median_error(fit.left_out_errors),
        },
        "constants": {each.key: constant_object(each) for each in fit.constants},
        "file": str(out) if out else None,
    }


def print_fit(fit: TrainingFit, passed: int, out: Path | None) -> None:
    """Print rows and constants as tables, then the median errors and what was left out."""
    from rich.markup import escape
    from rich.table import Table

    shown = console()
    table = Table(title=f"Measured and predicted with {fit.stack.name}", title_justify="left")
    for name in ("row", "machine", "chips", "what", "group", "measured", "error before", "error after", "left out"):
        table.add_column(name, justify="left" if name in {"row", "machine", "what"} else "right")
    for place, case in enumerate(fit.rows):
        value, unit = measured(case)
        left = f"{fit.left_out_errors[place]:+.1%}" if fit.left_out_errors else ""
        told = (escape(case.id), escape(case.text("machine")), f"{case.count('chips')}", escape(described(case)))
        table.add_row(
            *told,
            f"{fit.groups[place] + 1}",
            humanise(value, unit),
            f"{fit.before[place]:+.1%}",
            f"{fit.after[place]:+.1%}",
            left,
        )
    shown.print(table)
    shown.print(constants_table(fit.constants, f"stack/{fit.stack.name}/training."))
    numbers = [median_error(errors) for errors in (fit.before, fit.after, fit.left_out_errors)]
    before, after, left = ("-" if number is None else f"{number:.1%}" for number in numbers)
    each = "group (architecture, machine, precision)" if max(fit.groups) else "row"
    shown.print(f"Median error: {before} before, {after} after, {left} with each {each} left out of the fit.")
    for case, reason in fit.left_out:
        shown.print(f"Left out: {case.where} ({case.id}): {reason}", markup=False)
    if passed:
        shown.print(f"{passed} rows of other splits, machines or stacks were passed over.")
    if out:
        shown.print(f"Written to {out}. Use it in place of the name: ", end="", markup=False)
        shown.print(f"supernode plan MODEL MACHINE --stack {out}", markup=False)
