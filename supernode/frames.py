"""The answer as tables: data frames for Python, and Parquet whose bytes depend on nothing but the answer."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from simulator.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from supernode.comparison import Case, Comparison, MachineResult, Quantity

STATED = -1
"""``draw`` of a row that holds the answer under the stated figures."""

_RESULT = ("case", "machine", "chips", "workload", "metric", "value", "low", "high", "unit", "maturity", "sources")
_FIGURE = ("key", "value", "low", "high", "unit", "kind", "source", "title", "url", "date", "locator", "note")
_TYPES = {"chips": "int64", "draw": "int64", "value": "float64", "low": "float64", "high": "float64"}

Row = dict[str, Any]


def results_frame(comparison: Comparison) -> pd.DataFrame:
    """One row for every case, machine, workload and metric.

    Columns: case, machine, chips, workload, metric, value, low, high, unit, maturity, sources. Values are in SI base
    units, sources are ids joined by commas. Metrics of the machine itself have the workload ``economics``, those of
    its simulated day ``cluster``, unless the workload that is the day has them already.
    """
    import pandas as pd

    return pd.DataFrame(_results(comparison), columns=list(_RESULT))


def figures_frame(comparison: Comparison) -> pd.DataFrame:
    """One row for every figure that touched the answer, with its source; values are in SI base units."""
    import pandas as pd

    known = {source.id: source for source in comparison.sources_list}
    rows = []
    for figure in comparison.figures:
        source = known.get(figure.source)
        rows.append(
            {
                "key": figure.key,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "unit": figure.unit,
                "kind": figure.kind,
                "source": figure.source,
                "title": source.title if source else "",
                "url": source.url if source else "",
                "date": source.date if source else "",
                "locator": figure.locator,
                "note": figure.note,
            }
        )
    return pd.DataFrame(rows, columns=list(_FIGURE))


def write_parquet(comparison: Comparison, path: Path) -> None:
    """Write every result and every draw of it.

    Columns as in :func:`results_frame`, and ``draw``: -1 where ``value`` is the answer under the stated figures, else
    the number of the draw that gave it. Only the rows of the stated figures have ``low`` and ``high``, which are
    percentiles over the others. A draw without an answer has no value.
    """
    write_whole(path, parquet_bytes(comparison))


def parquet_bytes(comparison: Comparison) -> bytes:
    """The content of ``results.parquet``; see :func:`write_parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stated = _results(comparison)
    rows = [{**row, "draw": STATED} for row in stated] + _draws(comparison, stated)
    columns = ("case", "draw", *_RESULT[1:])
    arrays = {
        name: pa.array([_cell(row.get(name)) for row in rows], type=pa.type_for_alias(_TYPES.get(name, "string")))
        for name in columns
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer, compression="zstd", version="2.6", store_schema=False)
    return buffer.getvalue()


def _results(comparison: Comparison) -> list[Row]:
    cases = [case for case in (comparison.case, comparison.matched) if case is not None]
    return [row for case in cases for machine in case.machines.values() for row in _of_machine(case, machine)]


def _of_machine(case: Case, machine: MachineResult) -> list[Row]:
    tables = {name: outcome.metrics for name, outcome in machine.workloads.items()}
    days = [outcome.metrics for outcome in machine.workloads.values() if outcome.kind == "cluster"]
    alone = {name: q for name, q in machine.cluster.items() if not any(name in metrics for metrics in days)}
    tables |= {"economics": machine.economics, "cluster": alone}
    return [
        _row(case, machine, workload, metric, quantity)
        for workload, metrics in tables.items()
        for metric, quantity in metrics.items()
    ]


def _row(case: Case, machine: MachineResult, workload: str, metric: str, quantity: Quantity) -> Row:
    return {
        "case": case.name,
        "machine": machine.name,
        "chips": machine.chips,
        "workload": workload,
        "metric": metric,
        "value": quantity.value,
        "low": quantity.low,
        "high": quantity.high,
        "unit": quantity.unit,
        "maturity": quantity.maturity,
        "sources": ",".join(quantity.sources),
    }


def _draws(comparison: Comparison, stated: list[Row]) -> list[Row]:
    """The draws as rows that carry what is the same for all draws of a result: chips, unit, maturity."""
    columns = comparison.draws
    if not columns:
        return []
    place = ("case", "machine", "workload", "metric")
    same = {tuple(row[name] for name in place): row for row in stated}
    units = {row["metric"]: row["unit"] for row in stated}
    chips = {(row["case"], row["machine"]): row["chips"] for row in stated}
    rows = []
    for values in zip(*(columns[name] for name in (*place, "draw", "value")), strict=True):
        *at, draw, value = values
        if draw == STATED:
            continue
        known = same.get(tuple(at), {})
        rows.append(
            {
                **dict(zip(place, at, strict=True)),
                "chips": chips.get((at[0], at[1])),
                "draw": draw,
                "value": value,
                "unit": known.get("unit", units.get(at[3], "")),
                "maturity": known.get("maturity"),
                "sources": known.get("sources"),
            }
        )
    return rows


def _cell(value: Any) -> Any:
    """A value as Parquet keeps it: no answer is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
