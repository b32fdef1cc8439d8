r"""Constants from measurements, with the catalogue's ranges as priors: what is likeliest, and what is left open.

With constants :math:`\theta` in logarithms and rows :math:`i`,

.. math:: \min_\theta \sum_i \rho\!\left(\frac{\ln T_i(\theta) - \ln t_i}{\sigma}\right)
          + \sum_j \left(\frac{\theta_j - \theta_j^0}{w_j}\right)^2

where :math:`\rho` is the soft L1 loss, :math:`\sigma` the scatter of a good measurement, and :math:`w_j` the logarithm
of high over low by 3.29 (the range as 90 % of a normal distribution). A constant about which the rows say little keeps
the catalogue's figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.figures import Draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Figure

NARROWEST = 0.05
"""Least logarithmic width of a prior, for figures that their source states without much of a range."""
TELLING = 0.9
"""A constant is fitted where the rows leave at most this share of the width of its prior."""
LEAST = 1e-9
"""Stands for a figure of 0 where a logarithm is taken."""
NORMAL = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""
_WIDE = 8.0
"""A constant stays within this factor of its prior's ends."""
_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""
_STEP = 1e-4
Watch = Callable[[str, int, int], None]
Predict = Callable[[Sequence[int], Draw], "NDArray[np.float64]"]
"""Time of some rows, by their places, under a draw of the figures."""


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


def median_error(errors: Sequence[float]) -> float | None:
    """Median of absolute relative errors [1]; None where there is none."""
    import numpy as np

    return float(np.median(np.abs(errors))) if errors else None


def deviation(ratios: Sequence[float] | NDArray[np.float64]) -> float:
    """Standard deviation of logarithms that are 0 on the whole [1], such that single outliers count little."""
    import numpy as np

    return float(np.median(np.abs(ratios))) * _TO_DEVIATION


class Problem:
    """The rows, the priors and what is free; vectors are logarithms of the constants, in the order of the figures.

    Parameters
    ----------
    figures : what can be fitted
    measured : time of each row, in the unit of what ``predict`` gives
    predict : predicted time of some rows under a draw
    scatter : relative scatter of a good measurement [1]
    most : the most that each figure can be, in SI base units
    has_valleys : whether the sum can have several minima, so that one start is not enough
    zero : share of its value for which a low end of 0 stands; a logarithm has none [1]
    fewest : of fewer rows none is taken for an outlier: they count in full, by the square
    """

    def __init__(
        self,
        figures: Sequence[Figure],
        measured: Sequence[float],
        predict: Predict,
        *,
        scatter: float,
        most: Sequence[float],
        has_valleys: bool,
        zero: float = 0.0,
        fewest: int = 0,
    ) -> None:
        import numpy as np

        self.figures, self.predict, self.scatter = figures, predict, scatter
        self.has_valleys, self.fewest = has_valleys, fewest
        self.free = list(range(len(figures)))
        self.measured = np.log(measured)
        stated = [(one.si, one.si_low or zero * one.si, one.si_high) for one in figures]
        ends = np.log([[max(each, LEAST) for each in three] for three in stated])
        ends = ends.reshape(len(figures), 3)
        self.prior = ends[:, 0]
        self.sigma = np.maximum((ends[:, 2] - ends[:, 1]) / (2 * NORMAL), NARROWEST)
        self.least = np.minimum(ends[:, 1], self.prior) - math.log(_WIDE)
        self.limits = np.array(most)
        self.most = np.minimum(np.maximum(ends[:, 2], self.prior) + math.log(_WIDE), np.log(self.limits))

    def ratios(self, chosen: Sequence[int], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of predicted over measured time of some rows [1]."""
        import numpy as np

        found: NDArray[np.float64] = np.log(self.predict(chosen, self.draw(theta)))
        return found - self.measured[list(chosen)]

    def draw(self, theta: NDArray[np.float64]) -> Draw:
        """The constants as a draw; what is not free keeps the catalogue's figure."""
        values = {one.key: math.exp(value) for one, value in zip(self.figures, theta.tolist(), strict=True)}
        return Draw(values | {self.figures[place].key: self.figures[place].si for place in self._fixed()})

    def settle(self, chosen: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Free what the rows tell of and nothing else, and solve: the constants and their :meth:`widths`.

        Widths are as if all were free: what is kept may be wrong, and shifts the others.
        """
        self.free = list(range(len(self.figures)))
        theta = self.solve(chosen, self.prior)
        self.free = [place for place, width in enumerate(self.widths(chosen, theta)) if width <= TELLING]
        theta = self.solve(chosen, theta)
        return theta, self.widths(chosen, theta)

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
        scatter = max(self.scatter, deviation(base)) if len(chosen) >= self.fewest else self.scatter
        slopes = np.stack(columns, axis=1) / scatter * self.sigma
        widths: NDArray[np.float64] = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes + np.eye(count))))
        return widths

    def constants(self, theta: NDArray[np.float64], widths: NDArray[np.float64]) -> tuple[Constant, ...]:
        """Every constant with its 90 % range: of the rows where it is free, else of the catalogue."""
        found = []
        for place, figure in enumerate(self.figures):
            value, low, high, is_fitted = figure.si, figure.si_low, figure.si_high, place in self.free
            if is_fitted:
                value, away = math.exp(theta[place]), math.exp(NORMAL * widths[place] * self.sigma[place])
                low, high = value / away, value * away
            high = min(high, float(self.limits[place]))
            found.append(Constant(figure, value, low, high, float(widths[place]), is_fitted))
        return tuple(found)

    def _fixed(self) -> list[int]:
        return [place for place in range(len(self.figures)) if place not in self.free]

    def _other_starts(self) -> list[NDArray[np.float64]]:
        """All constants, and each alone, towards either end of their ranges, where one start is not enough."""
        import numpy as np

        if not self.has_valleys:
            return []
        moves = [np.ones(len(self.figures)), *np.eye(len(self.figures))]
        return [self.prior + sign * move * self.sigma for move in moves for sign in (-1, 1)]

    def _residuals(self, free: NDArray[np.float64], chosen: Sequence[int]) -> NDArray[np.float64]:
        import numpy as np

        theta = self.prior.copy()
        theta[self.free] = free
        plain = self.ratios(chosen, theta) / self.scatter
        if len(chosen) >= self.fewest:
            plain = np.sign(plain) * np.sqrt(2 * (np.sqrt(1 + plain**2) - 1))
        return np.concatenate([plain, (theta - self.prior)[self.free] / self.sigma[self.free]])
