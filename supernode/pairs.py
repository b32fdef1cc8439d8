"""Every machine against every other: in how many draws it is ahead, by how much, and which figure decides."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from supernode.comparison import Influence, Pair
from supernode.metrics import metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from supernode.comparison import MachineResult

LOW, HIGH = 5.0, 95.0
MOST_INFLUENCES = 5
FEWEST_DRAWS = 8
WEAKEST = 0.15
"""Rank correlations below this are noise at the usual number of draws, and are not shown."""


def all_pairs(
    results: list[MachineResult],
    values: dict[tuple[str, str], dict[str, NDArray[np.float64]]],
    figures: dict[str, NDArray[np.float64]],
    picks: dict[str, list[str]],
) -> tuple[Pair, ...]:
    """Compare all machines in every metric of every workload that both have and in which one can be better.

    Parameters
    ----------
    results : the machines
    values : drawn values by (machine, workload) and metric, (samples,), not a number where there is no answer
    figures : drawn figures by key, (samples,)
    picks : hypothesis of each draw by machine
    """
    return tuple(
        pair
        for a, b in itertools.combinations(results, 2)
        for workload in a.workloads
        for pair in _pairs(a, b, workload, values, figures, picks)
    )


def _pairs(
    a: MachineResult,
    b: MachineResult,
    workload: str,
    values: dict[tuple[str, str], dict[str, NDArray[np.float64]]],
    figures: dict[str, NDArray[np.float64]],
    picks: dict[str, list[str]],
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
            influences=influences(ratios, both, figures, picks),
        )


def _ratios(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """a over b; two zeros are equal, and against a single zero the ratio is capped where it stays readable."""
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
    leader, share = (a, ahead) if ahead >= 0.5 else (b, 1 - ahead)  # noqa: PLR2004 - an even chance
    spread = f"{a} over {b}: {ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g})"
    if ratio[1] <= 1 <= ratio[2]:
        return f"{title}: no clear difference, the range holds 1; {leader} is ahead in {share:.0%} of draws; {spread}"
    return f"{title}: {leader} is ahead in {share:.0%} of draws; {spread}"


def influences(
    ratios: NDArray[np.float64],
    both: NDArray[np.bool_],
    figures: dict[str, NDArray[np.float64]],
    picks: dict[str, list[str]],
) -> tuple[Influence, ...]:
    """Figures whose draws go with the ratio, by Spearman's rank correlation; readings count as their order."""
    if ratios.size < FEWEST_DRAWS or np.ptp(ratios) == 0:
        return ()
    columns = {key: column[both] for key, column in figures.items() if "@" not in key}
    for machine, names in picks.items():
        order = {name: i for i, name in enumerate(dict.fromkeys(sorted(names)))}
        columns[f"reading of {machine}"] = np.array([order[name] for name in names], dtype=np.float64)[both]
    names = [key for key, column in columns.items() if np.ptp(column) > 0]
    if not names:
        return ()
    ranked = _ranks(np.column_stack([columns[key] for key in names]))
    target = _ranks(ratios[:, None])[:, 0]
    with np.errstate(invalid="ignore"):
        correlations = (ranked * target[:, None]).mean(axis=0)
    order = np.argsort(-np.abs(correlations), kind="stable")[:MOST_INFLUENCES]
    return tuple(Influence(names[i], float(correlations[i])) for i in order if abs(correlations[i]) >= WEAKEST)


def _ranks(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised ranks of each column, ties averaged."""
    from scipy.stats import rankdata, zscore  # noqa: PLC0415 - scipy is heavy

    standard: NDArray[np.float64] = zscore(rankdata(columns, axis=0), axis=0)
    return standard
