"""How good predictions are: errors of rows summed up, plainly and with all that is not predicted held against us."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supernode.validation.answers import Row

NOT_PREDICTED = -1.0
"""Error of a row without a prediction where it is held against us: as if nothing had been predicted."""

Summary = dict[str, float | int | None]


def summary(rows: Sequence[Row], *, with_unsupported: bool = False) -> Summary:
    """Statistics of rows: errors are (predicted - measured) / measured, all fractions; null where there is none.

    ``mape``, ``median`` and ``p90`` are of the absolute error, ``bias`` is the mean error, ``inside_band`` the share of
    measured values inside the predicted band and ``band_width`` the mean of (high - low) / predicted.

    Parameters
    ----------
    rows : rows of any status
    with_unsupported : count every row that was not predicted as 100 % error, outside its band
    """
    import numpy as np

    errors = [row.error for row in rows if row.error is not None]
    inside = [row.is_inside for row in rows if row.error is not None]
    widths = [
        (row.high - row.low) / row.predicted
        for row in rows
        if row.error is not None and row.high is not None and row.low is not None and row.predicted
    ]
    if with_unsupported:
        left = len(rows) - len(errors)
        errors += [NOT_PREDICTED] * left
        inside += [False] * left
    counts: Summary = {
        "count": len(errors),
        "unsupported": sum(row.status == "unsupported" for row in rows),
        "infeasible": sum(row.status == "infeasible" for row in rows),
        "rows": len(rows),
    }
    if not errors:
        return counts | dict.fromkeys(("mape", "median", "p90", "bias", "inside_band", "band_width"))
    values = np.array(errors, dtype=np.float64)
    sizes = np.abs(values)
    return counts | {
        "mape": float(sizes.mean()),
        "median": float(np.median(sizes)),
        "p90": float(np.percentile(sizes, 90)),
        "bias": float(values.mean()),
        "inside_band": float(np.mean(inside)),
        "band_width": float(np.mean(widths)) if widths else None,
    }


def reasons(rows: Sequence[Row]) -> dict[str, int]:
    """Why rows were not predicted: status and reason, with the number of rows, the most frequent first."""
    found: dict[str, int] = {}
    for row in rows:
        if row.status != "ok":
            key = f"{row.status}: {row.reason}"
            found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
