"""What a validation says as one JSON object for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from supernode.validation.bars import verdicts
from supernode.validation.groups import grouped
from supernode.validation.statistics import Summary, reasons, summary
from supernode.validation.sweeps import sweeps

if TYPE_CHECKING:
    from supernode.validation.answers import Row
    from supernode.validation.run import Validation

SCHEMA = 1


def as_json(found: Validation) -> dict[str, Any]:
    """The object that ``validate --json`` prints: values in SI units, errors as fractions."""
    return {
        "schema": SCHEMA,
        "kind": found.kind,
        "files": list(found.files),
        "repeated": found.repeated,
        "rows": [_row_json(row) for row in found.rows],
        "summary": summary(found.rows) | {"with_unsupported": summary(found.rows, with_unsupported=True)},
        "families": _summed(found, "family"),
        "splits": _summed(found, "split"),
        "stacks": _summed(found, "stack"),
        "architectures": _summed(found, "architecture"),
        "sets": _summed(found, "set"),
        "sweeps": [asdict(sweep) for sweep in sweeps(found.rows)],
        "bars": [asdict(verdict) | {"met": verdict.is_met} for verdict in verdicts(found.rows)],
        "reasons": reasons(found.rows),
    }


def _summed(found: Validation, key: str) -> dict[str, Summary]:
    return {name: summary(rows) for name, rows in grouped(found.rows, key).items()}


def _row_json(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "id": case.id,
        "kind": case.kind,
        "family": case.family,
        "split": case.split,
        "clean": case.is_clean,
        "source": case.source,
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
