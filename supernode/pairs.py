"""Every machine against every other: in how many draws it is ahead, by how much, and which figure decides."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from supernode.comparison import Influence, Pair
from supernode.metrics import metric
from supernode.wording import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from supernode.comparison import MachineResult

LOW, HIGH = 5.0, 95.0
MOST_INFLUENCES = 5
FEWEST_DRAWS = 8
ECONOMIC_FIGURES = ("/prices.", "/power.", "/site.", "price_per_chip", "power_per_chip")
ECONOMIC_METRICS = ("usd", "joule", "energy")
CHANCE = 3.0
"""Standard errors: a rank correlation of n independent draws has the standard error 1 / sqrt(n)."""


def all_pairs(
    results: list[MachineResult],
    values: dict[tuple[str, str], dict[str, NDArray[np.float64]]],
    figures: dict[str, NDArray[np.float64]],
    used: Mapping[tuple[str, str], Mapping[str, object]],
    picks: dict[str, list[str]],
) -> tuple[Pair, ...]:
    """Compare all machines in every metric of every workload that both have and in which one can be better.

    Parameters
    ----------
    results : the machines
    values : drawn values by (machine, workload) and metric, (samples,), not a number where there is no answer
    figures : drawn figures by key, (samples,)
    used : keys of the figures that (machine, workload) rests on
    picks : hypothesis of each draw by machine
    """
    found: list[Pair] = []
    for a, b in itertools.combinations(results, 2):
        for workload in a.workloads:
            keys = {*used[a.name, workload], *used[b.name, workload]}
            columns = {key: column for key, column in figures.items() if key in keys and "@" not in key}
            columns |= {f"reading of {name}": _order(picks[name]) for name in (a.name, b.name)}
            found.extend(_pairs(a, b, workload, values, columns))
    return tuple(found)


def _bears_on(key: str, name: str) -> bool:
    """Whether a figure can touch a metric: prices, power and site bear on cost and energy alone."""
    is_economic = any(part in key for part in ECONOMIC_FIGURES)
    return not is_economic or any(part in name for part in ECONOMIC_METRICS)


def _order(picked: list[str]) -> NDArray[np.float64]:
    """Readings as numbers, in the order of their names."""
    order = {name: i for i, name in enumerate(sorted(set(picked)))}
    return np.array([order[name] for name in picked], dtype=np.float64)


def _pairs(
    a: MachineResult,
    b: MachineResult,
    workload: str,
    values: dict[tuple[str, str], dict[str, NDArray[np.float64]]],
    columns: dict[str, NDArray[np.float64]],
) -> Iterator[Pair]:
    of_a, of_b = values[a.name, workload], values[b.name, workload]
    for name in of_a:
        if name not in of_b or metric(name).better == "neither":
            continue
        both = np.isfinite(of_a[name]) & np.isfinite(of_b[name])
        if not both.any():
            continue
        first, second = of_a[name][both], of_b[name][both]
        sign = 1.0 if metric(name).better == "more" else -1.0
        ahead = np.mean(np.where(first == second, 0.5, sign * first > sign * second))
        ratios = _ratios(first, second)
        stated = _stated_ratio(a, b, workload, name)
        low, high = (float(x) for x in np.percentile(ratios, [LOW, HIGH]))
        middle = float(np.median(ratios)) if stated is None else stated
        spread = (middle, min(low, middle), max(high, middle))
        yield Pair(
            a=a.name,
            b=b.name,
            workload=workload,
            metric=name,
            probability_a_better=float(ahead),
            ratio=spread,
            verdict=verdict(a.name, b.name, name, float(ahead), spread),
            influences=influences(
                ratios, {key: column[both] for key, column in columns.items() if _bears_on(key, name)}
            ),
        )


def _ratios(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """A over b; two zeros are equal, and against a single zero the ratio is capped where it stays readable."""
    tiny = 1e-12
    return np.where(
        np.maximum(np.abs(first), np.abs(second)) < tiny, 1.0, np.clip(first / np.maximum(second, tiny), 0.0, 1e9)
    )


def _stated_ratio(a: MachineResult, b: MachineResult, workload: str, name: str) -> float | None:
    of_a, of_b = a.workloads[workload].metrics.get(name), b.workloads[workload].metrics.get(name)
    if of_a is None or of_b is None or of_b.value <= 0:
        return None
    return of_a.value / of_b.value


def verdict(a: str, b: str, name: str, ahead: float, ratio: tuple[float, float, float]) -> str:
    """Who is ahead in words; says so where the range holds "no difference"."""
    title = metric(name).title
    leader, share = (a, ahead) if ahead >= 0.5 else (b, 1 - ahead)
    spread = f"{a} over {b}: {number(ratio[0])} ({number(ratio[1])} to {number(ratio[2])})"
    if ratio[1] <= 1 <= ratio[2]:
        return f"{title}: no clear difference, the range holds 1; {leader} is ahead in {share:.0%} of draws; {spread}"
    return f"{title}: {leader} is ahead in {share:.0%} of draws; {spread}"


def influences(ratios: NDArray[np.float64], columns: dict[str, NDArray[np.float64]]) -> tuple[Influence, ...]:
    """Figures whose draws go with the ratio, by Spearman's rank correlation; readings count as their order.

    A correlation within three standard errors of nothing is not shown: chance gives one figure in 370 a larger one.
    """
    names = [key for key, column in columns.items() if np.ptp(column) > 0]
    if ratios.size < FEWEST_DRAWS or np.ptp(ratios) == 0 or not names:
        return ()
    ranked = _ranks(np.column_stack([columns[key] for key in names]))
    correlations = (ranked * _ranks(ratios[:, None])).mean(axis=0)
    order = np.argsort(-np.abs(correlations), kind="stable")[:MOST_INFLUENCES]
    weakest = CHANCE / math.sqrt(ratios.size)
    return tuple(Influence(names[i], float(correlations[i])) for i in order if abs(correlations[i]) >= weakest)


def _ranks(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised ranks of each column, ties averaged."""
    from scipy.stats import rankdata, zscore

    standard: NDArray[np.float64] = zscore(rankdata(columns, axis=0), axis=0)
    return standard
