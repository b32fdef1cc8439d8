"""What a validation says: one JSON object for machines, tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.validation.statistics import Summary, reasons, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from supernode.validation.answers import Row
    from supernode.validation.run import Validation

SCHEMA = 1
STATISTICS = (("count", "rows"), ("mape", "mean |error|"), ("median", "median"), ("p90", "90th %"), ("bias", "bias"))
BANDS = (("inside_band", "in band"), ("band_width", "band width"))


def as_json(found: Validation) -> dict[str, Any]:
    """The object that ``validate --json`` prints: values in SI units, errors as fractions."""
    return {
        "schema": SCHEMA,
        "kind": found.kind,
        "files": list(found.files),
        "repeated": found.repeated,
        "rows": [_row_json(row) for row in found.rows],
        "summary": summary(found.rows) | {"with_unsupported": summary(found.rows, with_unsupported=True)},
        "families": {name: summary(rows) for name, rows in grouped(found.rows, "family").items()},
        "splits": {name or "none": summary(rows) for name, rows in grouped(found.rows, "split").items()},
        "reasons": reasons(found.rows),
    }


def _row_json(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "id": case.id,
        "kind": case.kind,
        "family": case.family,
        "split": case.split,
        "what": row.what,
        "chips": case.count("chips"),
        "measured": row.measured,
        "predicted": row.predicted,
        "low": row.low,
        "high": row.high,
        "unit": row.unit,
        "error": row.error,
        "stack": row.stack,
        "status": row.status,
        "reason": row.reason,
        "possibilities": row.possibilities,
    }


def grouped(rows: tuple[Row, ...], key: str) -> dict[str, list[Row]]:
    """Rows by family or split, in alphabetical order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row.case, key), []).append(row)
    return dict(sorted(groups.items()))


def tables(found: Validation) -> Iterator[Table]:
    """The tables: every row, every family, the summary, and why rows were not predicted."""
    yield _rows_table(found)
    families = {name: summary(rows) for name, rows in grouped(found.rows, "family").items()}
    yield _statistics_table("By family (machine of a collective)", "family", families)
    whole = {
        "predicted rows": summary(found.rows),
        "all rows, those not predicted as 100 % error": summary(found.rows, with_unsupported=True),
    }
    splits = {f"split {name or 'none'}": summary(rows) for name, rows in grouped(found.rows, "split").items()}
    yield _statistics_table("Summary", "", whole | splits)
    if why := reasons(found.rows):
        table = _table("Not predicted", ("reason", "left"), ("rows", "right"))
        for reason, count in why.items():
            table.add_row(_text(reason), str(count))
        yield table


def _rows_table(found: Validation) -> Table:
    table = _table(
        "Measured and predicted",
        ("id", "left"),
        ("family", "left"),
        ("chips", "right"),
        ("what", "left"),
        ("measured", "right"),
        ("predicted", "right"),
        ("range", "right"),
        ("error", "right"),
        ("status", "left"),
    )
    for row in found.rows:
        case = row.case
        table.add_row(
            _text(case.id),
            _text(case.family),
            f"{case.count('chips') or ''}",
            _text(row.what),
            _quantity(row.measured, row.unit),
            _quantity(row.predicted, row.unit),
            "" if row.low is None else f"{_quantity(row.low, row.unit)} to {_quantity(row.high, row.unit)}",
            percent(row.error, signed=True),
            _text(row.status if row.status == "ok" else f"{row.status}: {row.reason}"),
        )
    return table


def _statistics_table(title: str, first: str, groups: dict[str, Summary]) -> Table:
    numeric = ((name, "right") for _, name in (*STATISTICS, *BANDS))
    table = _table(title, (first, "left"), *numeric, ("left out", "right"))
    for name, numbers in groups.items():
        left_out = (numbers["rows"] or 0) - (numbers["count"] or 0)
        table.add_row(
            _text(name),
            str(numbers["count"]),
            *(percent(numbers[key], signed=key == "bias") for key, _ in (*STATISTICS, *BANDS)[1:]),
            str(left_out),
        )
    return table


def percent(value: float | None, *, signed: bool = False) -> str:
    """A fraction as per cent; nothing for None."""
    if value is None:
        return ""
    return f"{value:+.1%}" if signed else f"{value:.1%}"


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit in {"s", "B/s"}:
        return humanise(value, unit)
    return humanise(value, unit) if unit.startswith("FLOP") else f"{value:,.4g} {unit}"


def _table(title: str, *columns: tuple[str, str]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left")
    return table


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text)
