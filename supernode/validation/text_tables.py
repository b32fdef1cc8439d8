"""What a validation says as tables of text, which are printed on a terminal or written as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.units import humanise
from supernode.validation.bars import verdicts
from supernode.validation.groups import grouped
from supernode.validation.misses import FAR, explained
from supernode.validation.statistics import reasons, summary
from supernode.validation.sweeps import FEWEST, mean_order, sweeps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from supernode.validation.answers import Row
    from supernode.validation.statistics import Summary

STATISTICS = (("count", "rows"), ("mape", "mean |error|"), ("median", "median"), ("p90", "90th %"), ("bias", "bias"))
BANDS = (("inside_band", "in band"), ("band_width", "band width"))
GROUPS = {
    "split": "By split",
    "architecture": "Dense models and mixtures of experts",
    "set": "By architecture, split and cleanliness",
    "family": "By family (machine of a collective)",
    "stack": "By stack",
}
"""How rows are grouped -> title of the table."""
MEASURES = {"mape": "mean |error|", "inside_band": "in band", "kendall_tau": "Kendall's tau", "predicted": "share"}


@dataclass(frozen=True)
class TextTable:
    """A title, columns (those that end in ``>`` are set to the right), cells, and a sentence under it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(rows: Sequence[Row]) -> Iterator[TextTable]:
    """Every row, then the summary."""
    yield rows_table(rows)
    yield from summaries(rows)


def summaries(rows: Sequence[Row]) -> Iterator[TextTable]:
    """All tables but that of the rows; those with nothing in them are left out."""
    whole = {
        "predicted rows": summary(rows),
        "all rows, those not predicted as 100 % error": summary(rows, with_unsupported=True),
    }
    found = [
        _bars_table(rows),
        _statistics_table("Summary", whole),
        *(_statistics_table(title, _summed(rows, key)) for key, title in GROUPS.items()),
        _sweeps_table(rows),
        _misses_table(rows),
        _reasons_table(rows),
    ]
    yield from (table for table in found if table.rows)


def rows_table(rows: Sequence[Row]) -> TextTable:
    """Measured and predicted of every row."""
    columns = ("id", "family", "chips>", "what", "measured>", "predicted>", "range>", "error>", "stack or status")
    cells = tuple(
        (
            row.case.id,
            row.case.family,
            f"{row.case.count('chips') or ''}",
            row.what,
            _quantity(row.measured, row.unit),
            _quantity(row.predicted, row.unit),
            "" if row.low is None else f"{_quantity(row.low, row.unit)} to {_quantity(row.high, row.unit)}",
            percent(row.error, signed=True),
            (row.stack or row.status) if row.status == "ok" else f"{row.status}: {row.reason}",
        )
        for row in rows
    )
    return TextTable("Measured and predicted", columns, cells)


def _bars_table(rows: Sequence[Row]) -> TextTable:
    cells = []
    for found in verdicts(rows):
        show = number if found.measure == "kendall_tau" else percent
        bounds = [f"at least {show(found.least)}"] if found.least is not None else []
        bounds += [f"at most {show(found.most)}"] if found.most is not None else []
        verdict = "met" if found.is_met else "missed"
        cells.append(
            (
                found.name,
                f"{found.count}",
                MEASURES[found.measure],
                show(found.value),
                ", ".join(bounds),
                verdict,
                show(found.all_rows),
            )
        )
    note = (
        "Rows whose architecture, plan and batch are stated; the last column is the same number with the others. Where "
        "rows are put in order, the count is of sweeps."
    )
    columns = ("set", "count>", "number", "value>", "bar", "verdict", "with incomplete rows>")
    return TextTable("Bars", columns, tuple(cells), note)


def _summed(rows: Sequence[Row], key: str) -> dict[str, Summary]:
    return {name: summary(members) for name, members in grouped(rows, key).items()}


def _statistics_table(title: str, groups: Mapping[str, Summary]) -> TextTable:
    columns = ("", *(f"{name}>" for _, name in (*STATISTICS, *BANDS)), "left out>")
    cells = tuple(
        (
            name,
            str(numbers["count"]),
            *(percent(numbers[key], signed=key == "bias") for key, _ in (*STATISTICS, *BANDS)[1:]),
            str((numbers["rows"] or 0) - (numbers["count"] or 0)),
        )
        for name, numbers in groups.items()
    )
    return TextTable(title, columns, cells)


def _sweeps_table(rows: Sequence[Row]) -> TextTable:
    found = sweeps(rows)
    columns = ("sweep", "source", "stack", "rows>", "slowest / fastest>", "tau>", "tau per chip>")
    cells = [
        (
            sweep.what,
            sweep.source,
            sweep.stack,
            str(sweep.rows),
            number(sweep.spread),
            number(sweep.kendall_tau),
            number(sweep.kendall_tau_per_chip),
        )
        for sweep in found
    ]
    if found:
        per_chip = mean_order(found, per_chip=True)
        whole = str(sum(sweep.rows for sweep in found))
        cells.append(("mean of sweeps", "", "", whole, "", number(mean_order(found)), number(per_chip)))
    note = (
        f"At least {FEWEST} rows of one source that share architecture, sequence, machine, precision and stack. "
        "Kendall's tau compares the order of measured and predicted values; the last column does so for the rate of a "
        "chip, which more chips or a larger batch alone do not order."
    )
    return TextTable("Order inside sweeps", columns, tuple(cells), note)


def _misses_table(rows: Sequence[Row]) -> TextTable:
    columns = ("rows of", "rows>", f"beyond {FAR:.0%}>", "mean |error|>", "bias>", "in band>", "why")
    cells = []
    for reason in explained(rows):
        numbers = summary(reason.rows)
        shown = (percent(numbers["mape"]), percent(numbers["bias"], signed=True), percent(numbers["inside_band"]))
        cells.append((reason.name, str(len(reason.rows)), str(reason.far), *shown, reason.why))
    note = "Reasons are written down beside the code; a row counts under the first that is about it."
    return TextTable("Where it misses, and why", columns, tuple(cells), note)


def _reasons_table(rows: Sequence[Row]) -> TextTable:
    cells = tuple((reason, str(count)) for reason, count in reasons(rows).items())
    return TextTable("Not predicted", ("reason", "rows>"), cells)


def rich_table(table: TextTable) -> Table:
    """A table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    found = Table(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
    for name in table.columns:
        found.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    for cells in table.rows:
        found.add_row(*(Text(cell) for cell in cells))
    return found


def percent(value: float | None, *, signed: bool = False) -> str:
    """A fraction as per cent; nothing for None."""
    if value is None:
        return ""
    return f"{value:+.1%}" if signed else f"{value:.1%}"


def number(value: float | None) -> str:
    """A number with two decimals; nothing for None."""
    return "" if value is None else f"{value:.2f}"


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit in {"s", "B/s"}:
        return humanise(value, unit)
    return humanise(value, unit) if unit.startswith("FLOP") else f"{value:,.4g} {unit}"
