"""Draws of uncertain figures: Latin hypercube, triangular, with common random numbers across machines."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.streams import stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Figure

MOST_KEPT = 4096
"""Columns of draws that are kept: the figures of every machine, for the next answer that touches the same ones."""


def strata(samples: int, seed: int, *names: str) -> NDArray[np.float64]:
    """One number in [0, 1) from each of ``samples`` equal strata, in an order of its own: a Latin hypercube's column.

    Each name has a stream of its own, so that a further figure leaves the draws of the others as they were.
    """
    from scipy.stats import qmc

    column: NDArray[np.float64] = qmc.LatinHypercube(d=1, rng=stream(seed, *names)).random(samples)[:, 0]
    return column


def drawn_values(figures: Iterable[Figure], samples: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """SI values by figure key, (samples,) each, of the figures whose range is wider than their value.

    Triangular between low and high with the mode at the stated value. Alternatives of one figure under different
    hypotheses (``key@hypothesis``) share their random numbers.
    """
    return {
        figure.key: _drawn(figure.key.partition("@")[0], figure.si_low, figure.si, figure.si_high, samples, seed)
        for figure in sorted(figures, key=lambda figure: figure.key)
        if figure.is_uncertain
    }


@functools.lru_cache(maxsize=MOST_KEPT)
def _drawn(name: str, low: float, mode: float, high: float, samples: int, seed: int) -> NDArray[np.float64]:
    """Values of one figure, (samples,), which nobody may write to: whoever asks again gets the same array."""
    from scipy.stats import triang

    share = strata(samples, seed, "figure", name)
    column: NDArray[np.float64] = triang.ppf(share, (mode - low) / (high - low), loc=low, scale=high - low)
    column.flags.writeable = False
    return column


def drawn_hypotheses(weights: Mapping[str, float], samples: int, seed: int, machine: str) -> list[str]:
    """Names of hypotheses, one a draw, by weight; empty names where a machine has none."""
    if not weights:
        return [""] * samples
    import numpy as np

    names = list(weights)
    edges = np.cumsum([weights[name] for name in names])
    picks = np.searchsorted(edges / edges[-1], strata(samples, seed, "hypothesis", machine), side="right")
    return [names[min(int(pick), len(names) - 1)] for pick in picks]


def draw_number(values: Mapping[str, NDArray[np.float64]], index: int) -> Draw:
    """The ``index``-th draw of all figures together."""
    return Draw({key: float(column[index]) for key, column in values.items()})
