"""What ``supernode fit kernels`` says: errors of each kind of kernel, constants, and the text of a chip's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supernode.cli.common import console, quantity
from supernode.fitting.kernel_tables import path_of
from supernode.fitting.posterior import median_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from supernode.fitting.kernel_tables import ChipFit, Constant, KindFit

MATURITY = "plausible"


def as_object(fits: Sequence[ChipFit], texts: dict[str, str], out: Path | None) -> dict[str, Any]:
    """The object that ``--json`` prints: errors are fractions, constants in SI units by path in the chip's file."""
    return {
        "schema": 1,
        "chips": {
            fit.chip.name: {
                "tile": [fit.chip.matmul.tile.m, fit.chip.matmul.tile.n],
                "kinds": {kind: _errors(members) for kind, members in _by_kind(fit).items()},
                "constants": {path_of(each.figure): _constant(each) for each in fit.constants},
                "rows": [_row(kind, place) for kind in fit.kinds for place in range(len(kind.rows))],
                "left_out": [{"where": case.where, "reason": reason} for case, reason in fit.left_out],
                "toml": texts[fit.chip.name],
            }
            for fit in fits
        },
        "file": str(out) if out else None,
    }


def print_fits(fits: Sequence[ChipFit], text: str, out: Path | None) -> None:
    """Print errors and constants of every chip, then the text to paste, or where it was written."""
    from rich.table import Table

    from simulator.units import DISPLAY, humanise

    shown = console()
    for fit in fits:
        tile = fit.chip.matmul.tile
        table = Table(title=f"Kernels on {fit.chip.name}, tiles of {tile.m} x {tile.n}", title_justify="left")
        for name in ("kind", "rows", "median before", "after", "left out", "mean after", "left out"):
            table.add_column(name, justify="left" if name == "kind" else "right", no_wrap=True)
        for kind, members in _by_kind(fit).items():
            found = _errors(members)
            numbers = [found[name] for name in ("before", "after", "left_out", "mean_after", "mean_left_out")]
            table.add_row(kind, f"{found['rows']}", *("-" if each is None else f"{each:.1%}" for each in numbers))
        shown.print(table)
        table = Table(title="Constants", title_justify="left")
        for name in ("constant", "catalogue", "fitted", "90 % range"):
            table.add_column(name, justify="left" if name == "constant" else "right", no_wrap=True)
        for each in fit.constants:
            unit = DISPLAY[each.figure.dimension]
            low, high = humanise(each.low, unit, 3), humanise(each.high, unit, 3)
            prior = "-" if each.is_new else humanise(each.figure.si, unit, 3)
            table.add_row(path_of(each.figure), prior, humanise(each.value, unit, 3), f"{low} to {high}")
        shown.print(table)
        reasons: dict[str, int] = {}
        for _, reason in fit.left_out:
            plain = reason.partition(", which need")[0]
            reasons[plain] = reasons.get(plain, 0) + 1
        for reason, count in reasons.items():
            shown.print(f"Left out, {count} rows: {reason}", markup=False)
    if out is not None:
        shown.print(f"Written to {out}: put its tables in the place of those in the chip's file.", markup=False)
    else:
        shown.print("For the chip's file:\n", markup=False)
        shown.print(text, markup=False, highlight=False, soft_wrap=True)


def _by_kind(fit: ChipFit) -> dict[str, list[tuple[KindFit, int]]]:
    """Rows as kind and place in it, by the kind of kernel with its dtype."""
    found: dict[str, list[tuple[KindFit, int]]] = {}
    for kind in fit.kinds:
        for place, row in enumerate(kind.rows):
            found.setdefault(row.kernel.kind, []).append((kind, place))
    return found


def _errors(members: Sequence[tuple[KindFit, int]]) -> dict[str, Any]:
    """Medians and means of absolute errors [1]; None where a row could not be left out."""
    before = [kind.before[place] for kind, place in members]
    after = [kind.after[place] for kind, place in members]
    left = [kind.left_out[place] for kind, place in members if kind.left_out]
    return {
        "rows": len(members),
        "before": median_error(before),
        "after": median_error(after),
        "left_out": median_error(left),
        "mean_after": sum(map(abs, after)) / len(after),
        "mean_left_out": sum(map(abs, left)) / len(left) if left else None,
    }


def _row(kind: KindFit, place: int) -> dict[str, Any]:
    row = kind.rows[place]
    return {
        "where": row.case.where,
        "kind": row.kernel.kind,
        "measured": row.seconds,
        "error_before": kind.before[place],
        "error_after": kind.after[place],
        "error_left_out": kind.left_out[place] if kind.left_out else None,
    }


def _constant(each: Constant) -> dict[str, Any]:
    from simulator.units import DISPLAY

    figure, unit = each.figure, DISPLAY[each.figure.dimension]
    sources = (figure.source,) if figure.source else ()
    prior = quantity(figure.si, unit, low=figure.si_low, high=figure.si_high, maturity=MATURITY, sources=sources)
    value = quantity(each.value, unit, low=each.low, high=each.high, maturity=MATURITY)
    return {"prior": None if each.is_new else prior, "fitted": value}
