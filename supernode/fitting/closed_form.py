"""Fits the constants of a machine's closed forms to measured collectives, with the catalogue's ranges as priors.

Fitted are the figures that say what software reaches of the hardware: ``fraction`` and ``start`` of links and of
switches that reduce, ``collective_launch``, ``call`` and ``ramp``; how is :mod:`supernode.fitting.posterior`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.collectives import ALGORITHMS, KINDS, bus_factor, group_of, kind_id, price_in
from simulator.errors import InputError
from simulator.figures import Draw, Figure
from supernode.fitting.posterior import Constant, Problem, Watch
from supernode.fitting.slices import slices_of
from supernode.fitting.spread import spreads_by_size
from supernode.validation.collective import NAMED
from topologies.checks import MOST_RAMP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.collectives import Group
    from simulator.machine import Machine, Slice
    from supernode.fitting.rows import Row
    from supernode.fitting.spread import Spread

FITTED = ("fraction", "start", "collective_launch", "call", "ramp")
"""Last step of the path of a figure that is fitted."""
MOST = {"fraction": 1.0, "ramp": MOST_RAMP}
"""The most that some of them can be."""
SCATTER = 0.03
"""Relative scatter of repeated runs of nccl-tests, taken as that of a good measurement."""
TOO_FAST = 0.98
"""A row this far under what the links need was not timed on this machine, or not in these units."""


@dataclass(frozen=True)
class ClosedFit:
    """Constants fitted to rows.

    Parameters
    ----------
    machine : its name
    rows : rows that count; ``left_out`` those that do not, with the reason
    constants : all that could be fitted, in the order of their keys
    before, after : relative error of each row, (predicted - measured) / measured, with the catalogue's and the fitted
        constants [1]
    left_out_errors : the same, each row predicted with constants fitted to all others [1]; empty for a single row
    """

    machine: str
    rows: tuple[Row, ...]
    left_out: tuple[tuple[Row, str], ...]
    constants: tuple[Constant, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out_errors: tuple[float, ...]

    @property
    def values(self) -> dict[str, float]:
        """SI value by key of the constants that were fitted."""
        return {each.key: each.value for each in self.constants if each.is_fitted}

    @property
    def spreads(self) -> dict[str, Spread]:
        """What the fit leaves open by class of sizes, each row as predicted from the others; empty for a single row."""
        return spreads_by_size([row.size_bytes for row in self.rows if self.left_out_errors], self.left_out_errors)


def fit_rows(machine: Machine, rows: Sequence[Row], watch: Watch | None = None) -> ClosedFit:
    """Fit the constants of a machine's closed forms to measured rows.

    Raises
    ------
    InputError : chips that the machine cannot give, or rows that are all faster than its links allow
    """
    parts = slices_of(machine, rows)
    kept, left_out = _plausible(rows, parts)
    touched = _touched(kept, parts)
    problem = problem_of(kept, parts, touched)
    everything = list(range(len(kept)))
    tell = watch or (lambda _what, _done, _of: None)
    tell("fitting", 0, len(kept) + 1)
    theta, widths = problem.settle(everything)
    errors = []
    for row in everything if len(kept) > 1 else []:
        tell("leaving one row out", row + 1, len(kept) + 1)
        others = [each for each in everything if each != row]
        errors.append(math.expm1(float(problem.ratios([row], problem.solve(others, theta))[0])))
    return ClosedFit(
        machine=machine.name,
        rows=tuple(kept),
        left_out=tuple(left_out),
        constants=problem.constants(theta, widths),
        before=tuple(math.expm1(each) for each in problem.ratios(everything, problem.prior)),
        after=tuple(math.expm1(each) for each in problem.ratios(everything, theta)),
        left_out_errors=tuple(errors),
    )


def problem_of(rows: Sequence[Row], parts: Mapping[int, Slice], figures: Sequence[Figure]) -> Problem:
    """The rows' times and the figures' priors; the best algorithm counts, and each choice may have a valley."""
    return Problem(
        figures,
        [row.seconds for row in rows],
        lambda chosen, draw: seconds_of([rows[row] for row in chosen], parts, draw),
        scatter=SCATTER,
        most=[MOST.get(_last(figure), math.inf) for figure in figures],
        has_valleys=True,
    )


def algorithm_of(row: Row) -> str:
    """Our name of the algorithm that a row names; empty where it names none, or one that we do not have."""
    named = NAMED.get(row.algorithm.lower(), row.algorithm.lower())
    return named if named in ALGORITHMS else ""


def seconds_of(rows: Sequence[Row], parts: Mapping[int, Slice], draw: Draw) -> NDArray[np.float64]:
    """Predicted time of each row under a draw of the figures [s]; infinite where its algorithm is not legal there."""
    import numpy as np

    groups: dict[int, Group] = {}
    times = np.empty(len(rows))
    for place, row in enumerate(rows):
        if row.chips not in groups:
            groups[row.chips] = group_of(parts[row.chips], draw)
        times[place] = price_in(groups[row.chips], row.kind, row.size_bytes, algorithm=algorithm_of(row)).seconds
    return times


def _plausible(rows: Sequence[Row], parts: Mapping[int, Slice]) -> tuple[list[Row], list[tuple[Row, str]]]:
    """Rows that the machine could have shown, and the others with the reason."""
    from simulator.collectives.bounds import bounds_of

    kept: list[Row] = []
    left_out: list[tuple[Row, str]] = []
    groups = {chips: group_of(part) for chips, part in parts.items()}
    for row in rows:
        group = groups[row.chips]
        try:
            price_in(group, row.kind, row.size_bytes, algorithm=algorithm_of(row))
        except InputError as error:
            left_out.append((row, str(error).partition("\n")[0]))
            continue
        bounds = bounds_of(kind_id(row.kind), row.size_bytes, group, algorithm_of(row) or "in-network")
        least = max(bounds.injection_s, bounds.link_s, bounds.bisection_s)
        if row.seconds < TOO_FAST * least:
            left_out.append((row, f"faster than the links allow, which need {least * 1e6:.4g} us"))
        else:
            kept.append(row)
    if not kept:
        raise InputError(
            f"no row can be fitted: {left_out[0][1] if left_out else 'there are none'}",
            where=left_out[0][0].where if left_out else "",
            remedy="check --machine, --network and --chips, and that times are us and sizes bytes",
        )
    return kept, left_out


def _touched(rows: Sequence[Row], parts: Mapping[int, Slice]) -> list[Figure]:
    """The figures that can be fitted and that the rows' times depend on, in the order of their keys."""
    draw = Draw()
    seconds_of(rows, parts, draw)
    return [figure for _, figure in sorted(draw.touched.items()) if _last(figure) in FITTED]


def _last(figure: Figure) -> str:
    """Last step of the path of a figure."""
    return figure.key.rpartition(".")[2].rpartition("/")[2]


def rows_as_json(fit: ClosedFit) -> list[dict[str, Any]]:
    """Every row with its errors, and every row that was left out with the reason."""
    found: list[dict[str, Any]] = []
    for place, row in enumerate(fit.rows):
        bus = bus_factor(KINDS.index(row.kind), row.chips)
        found.append(
            {
                "where": row.where,
                "kind": row.kind,
                "chips": row.chips,
                "bytes": row.size_bytes,
                "measured": row.seconds,
                "busbw": row.size_bytes / row.seconds * bus,
                "error_before": fit.before[place],
                "error_after": fit.after[place],
                "error_left_out": fit.left_out_errors[place] if fit.left_out_errors else None,
                "status": "ok",
            }
        )
    return found + [
        {"where": row.where, "kind": row.kind, "chips": row.chips, "bytes": row.size_bytes, "status": "left out"}
        | {"measured": row.seconds, "reason": reason}
        for row, reason in fit.left_out
    ]
