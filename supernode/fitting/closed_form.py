r"""Fits the constants of a machine's closed forms to measured collectives, with the catalogue's ranges as priors.

Fitted are the figures that say what software reaches of the hardware: ``fraction`` and ``start`` of links and of
switches that reduce, ``collective_launch``, ``call`` and ``ramp``. With constants :math:`\theta` in logarithms and rows
:math:`i`,

.. math:: \min_\theta \sum_i \rho\!\left(\frac{\ln T_i(\theta) - \ln t_i}{\sigma}\right)
          + \sum_j \left(\frac{\theta_j - \theta_j^0}{w_j}\right)^2

where :math:`\rho` is the soft L1 loss, :math:`\sigma` the scatter of a good measurement, and :math:`w_j` the logarithm
of high over low by 3.29 (the range as 90 % of a normal distribution). A constant about which the rows say little keeps
the catalogue's figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.collectives import ALGORITHMS, KINDS, bus_factor, group_of, kind_id, price_in
from simulator.errors import InputError
from simulator.figures import Draw, Figure
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
NARROWEST = 0.05
"""Least logarithmic width of a prior, for figures that their source states without much of a range."""
TELLING = 0.9
"""A constant is fitted where the rows leave at most this share of the width of its prior."""
TOO_FAST = 0.98
"""A row this far under what the links need was not timed on this machine, or not in these units."""
LEAST = 1e-9
"""Stands for a figure of 0 where a logarithm is taken."""
_WIDE = 8.0
"""A constant stays within this factor of its prior's ends."""
_NORMAL = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""
_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""
_STEP = 1e-4
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Constant:
    """One constant before and after: figure of the catalogue, fitted value and its 90 % range, in SI base units.

    ``width`` is what is left of the prior's width, 1 where the rows say nothing; ``is_fitted`` whether the value is of
    the rows or of the catalogue.
    """

    figure: Figure
    value: float
    low: float
    high: float
    width: float
    is_fitted: bool

    @property
    def key(self) -> str:
        """The figure's place in the catalogue."""
        return self.figure.key


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


def median_error(errors: Sequence[float]) -> float | None:
    """Median of absolute relative errors [1]; None where there is none."""
    import numpy as np

    return float(np.median(np.abs(errors))) if errors else None


def fit_rows(machine: Machine, rows: Sequence[Row], watch: Watch | None = None) -> ClosedFit:
    """Fit the constants of a machine's closed forms to measured rows.

    Raises
    ------
    InputError : chips that the machine cannot give, or rows that are all faster than its links allow
    """
    parts = slices_of(machine, rows)
    kept, left_out = _plausible(rows, parts)
    touched = _touched(kept, parts)
    problem = _Problem(kept, parts, touched)
    everything = list(range(len(kept)))
    tell = watch or (lambda _what, _done, _of: None)
    tell("fitting", 0, len(kept) + 1)
    theta = problem.solve(everything, problem.prior)
    widths = problem.widths(everything, theta)
    used = [place for place, width in enumerate(widths) if width <= TELLING]
    problem.free = used
    theta = problem.solve(everything, theta)
    widths = problem.widths(everything, theta)  # as if all were free: what is kept may be wrong, and shifts the others
    errors = []
    for row in everything if len(kept) > 1 else []:
        tell("leaving one row out", row + 1, len(kept) + 1)
        others = [each for each in everything if each != row]
        errors.append(math.expm1(float(problem.ratios([row], problem.solve(others, theta))[0])))
    constants = []
    for place, figure in enumerate(touched):
        value, is_fitted = math.exp(theta[place]), place in used
        away = math.exp(_NORMAL * widths[place] * problem.sigma[place])
        low, high = (value / away, value * away) if is_fitted else (figure.si_low, figure.si_high)
        value = value if is_fitted else figure.si
        constants.append(Constant(figure, value, low, _most(figure, high), float(widths[place]), is_fitted))
    return ClosedFit(
        machine=machine.name,
        rows=tuple(kept),
        left_out=tuple(left_out),
        constants=tuple(constants),
        before=tuple(math.expm1(each) for each in problem.ratios(everything, problem.prior)),
        after=tuple(math.expm1(each) for each in problem.ratios(everything, theta)),
        left_out_errors=tuple(errors),
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
    return [
        figure for key, figure in sorted(draw.touched.items()) if key.rpartition(".")[2].rpartition("/")[2] in FITTED
    ]


def _most(figure: Figure, high: float) -> float:
    return min(MOST.get(figure.key.rpartition(".")[2].rpartition("/")[2], math.inf), high)


class _Problem:
    """The rows, the priors and what is free; vectors are logarithms of the constants, in the order of the figures."""

    def __init__(self, rows: Sequence[Row], parts: Mapping[int, Slice], figures: Sequence[Figure]) -> None:
        import numpy as np

        self.rows, self.parts, self.figures = rows, parts, figures
        self.free = list(range(len(figures)))
        self.measured = np.log([row.seconds for row in rows])
        ends = np.log([[max(each, LEAST) for each in (one.si, one.si_low, one.si_high)] for one in figures])
        ends = ends.reshape(len(figures), 3)
        self.prior = ends[:, 0]
        self.sigma = np.maximum((ends[:, 2] - ends[:, 1]) / (2 * _NORMAL), NARROWEST)
        self.least = np.minimum(ends[:, 1], self.prior) - math.log(_WIDE)
        most = np.maximum(ends[:, 2], self.prior) + math.log(_WIDE)
        limits = [_most(one, math.inf) for one in figures]
        self.most = np.minimum(most, np.log(limits))

    def ratios(self, chosen: Sequence[int], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of predicted over measured time of some rows [1]."""
        import numpy as np

        values = {one.key: math.exp(value) for one, value in zip(self.figures, theta.tolist(), strict=True)}
        values |= {self.figures[place].key: self.figures[place].si for place in self._fixed()}
        found: NDArray[np.float64] = np.log(seconds_of([self.rows[row] for row in chosen], self.parts, Draw(values)))
        return found - self.measured[list(chosen)]

    def solve(self, chosen: Sequence[int], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """The constants at which the sum is least, from the best of a few starts; what is not free keeps its prior."""
        import numpy as np
        from scipy.optimize import least_squares

        best, least = self.prior.copy(), math.inf
        if not self.free:
            return best
        free = np.array(self.free)
        starts = [start] if start is not self.prior else [start, *self._other_starts()]
        for first in starts:
            begin = np.clip(first[free], self.least[free] + _STEP, self.most[free] - _STEP)
            ends = (self.least[free], self.most[free])
            found = least_squares(
                self._residuals,
                begin,
                bounds=ends,
                diff_step=np.full(len(free), _STEP),
                x_scale=self.sigma[free],
                args=(chosen,),
            )
            if found.cost < least:
                least = float(found.cost)
                best = self.prior.copy()
                best[free] = found.x
        return best

    def widths(self, chosen: Sequence[int], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the rows leave of the width of each prior [1], from the curvature at a point; 1 where nothing.

        All constants count as free, whether or not they are.
        """
        import numpy as np

        count = len(self.figures)
        if not count:
            return np.ones(0)
        free, self.free = self.free, list(range(count))
        base = self.ratios(chosen, theta)
        columns = []
        for place in range(count):
            moved = theta.copy()
            step = -_STEP if moved[place] + _STEP > self.most[place] else _STEP
            moved[place] += step
            columns.append((self.ratios(chosen, moved) - base) / step)
        self.free = free
        scatter = max(SCATTER, float(np.median(np.abs(base))) * _TO_DEVIATION)
        slopes = np.stack(columns, axis=1) / scatter * self.sigma
        widths: NDArray[np.float64] = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes + np.eye(count))))
        return widths

    def _fixed(self) -> list[int]:
        return [place for place in range(len(self.figures)) if place not in self.free]

    def _other_starts(self) -> list[NDArray[np.float64]]:
        """All constants, and each alone, towards either end of their ranges.

        Times are those of the best algorithm, so that the sum may have a valley for each choice of algorithms.
        """
        import numpy as np

        moves = [np.ones(len(self.figures)), *np.eye(len(self.figures))]
        return [self.prior + sign * move * self.sigma for move in moves for sign in (-1, 1)]

    def _residuals(self, free: NDArray[np.float64], chosen: Sequence[int]) -> NDArray[np.float64]:
        import numpy as np

        theta = self.prior.copy()
        theta[self.free] = free
        plain = self.ratios(chosen, theta) / SCATTER
        soft = np.sign(plain) * np.sqrt(2 * (np.sqrt(1 + plain**2) - 1))
        return np.concatenate([soft, (theta - self.prior)[self.free] / self.sigma[self.free]])


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
