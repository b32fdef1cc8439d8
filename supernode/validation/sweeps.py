"""Sweeps: rows of one source that run the same model on the same machine and differ in chips, plan or batch.

Whoever chooses among plans needs their order more than their times; Kendall's rank correlation says how right it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from supernode.validation.columns import ARCHITECTURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from supernode.validation.answers import Row

FEWEST = 3
"""Rows of a sweep: the order of two is right or wrong by the toss of a coin."""
SHARED = (*(name for name in ARCHITECTURE if name != "params_B"), "seq_len", "machine", "network", "precision")


@dataclass(frozen=True)
class Sweep:
    """Rows that can be ordered, and how well they were.

    Parameters
    ----------
    what : model, machine and precision
    source, stack, unit : of its rows
    rows : how many were predicted
    spread : largest measured value over the smallest [1]
    kendall_tau : of measured and predicted values: 1 the same order, -1 the reverse; None where all are equal
    kendall_tau_per_chip : the same of tokens per second and chip, where more chips or a larger batch alone say nothing
    """

    what: str
    source: str
    stack: str
    unit: str
    rows: int
    spread: float
    kendall_tau: float | None
    kendall_tau_per_chip: float | None


def sweeps(rows: Sequence[Row]) -> list[Sweep]:
    """Every sweep of at least :data:`FEWEST` predicted training rows, in the order of their first rows."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok" and row.case.kind == "training":
            key = (row.case.source, row.stack, row.unit, *(row.case.given.get(name) for name in SHARED))
            groups.setdefault(key, []).append(row)
    return [_sweep(members) for members in groups.values() if len(members) >= FEWEST]


def mean_order(found: Iterable[Sweep], *, per_chip: bool = False) -> float | None:
    """Mean of Kendall's tau over sweeps; None where there is none."""
    values = [sweep.kendall_tau_per_chip if per_chip else sweep.kendall_tau for sweep in found]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sweep(rows: list[Row]) -> Sweep:
    first = rows[0]
    measured = [row.measured or 0.0 for row in rows]
    predicted = [row.predicted or 0.0 for row in rows]
    per_chip = [_per_chip(row) for row in rows]
    known = [weight for weight in per_chip if weight]
    has_all = len(known) == len(rows)
    return Sweep(
        what=" ".join([first.case.title, first.case.text("machine"), first.case.text("precision")]).strip(),
        source=first.case.source,
        stack=first.stack,
        unit=first.unit,
        rows=len(rows),
        spread=max(measured) / min(measured),
        kendall_tau=_tau(measured, predicted),
        kendall_tau_per_chip=_tau(_weighed(measured, known), _weighed(predicted, known)) if has_all else None,
    )


def _per_chip(row: Row) -> float:
    """What a value is multiplied by to be chip-seconds of a sequence, or a rate of a chip; 0 where it is unknown."""
    if row.unit.endswith("/chip"):
        return 1.0
    chips, batch = row.case.count("chips"), row.case.count("global_batch")
    if row.unit == "s":
        return chips / batch if chips and batch else 0.0
    return 1 / chips if chips else 0.0


def _weighed(values: list[float], weights: list[float]) -> list[float]:
    return [value * weight for value, weight in zip(values, weights, strict=True)]


def _tau(measured: list[float], predicted: list[float]) -> float | None:
    from scipy.stats import kendalltau

    if min(measured) == max(measured) or min(predicted) == max(predicted):
        return None
    return float(kendalltau(measured, predicted).statistic)
