"""Cost and energy of each workload on each machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supernode.plots.metrics import groups, plot_bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from supernode.comparison import Case

PANELS = {
    "usd_per_million_tokens": "Cost of a million tokens: capital over its life, and energy",
    "tokens_per_joule": "Tokens per joule of the whole site",
    "usd_per_run": "Cost of the whole training run",
}
"""Metric -> title of its panel."""


def panels(case: Case) -> list[str]:
    """The metrics of :data:`PANELS` that the case has."""
    return [metric for metric in PANELS if groups(case, (metric,))]


def plot_economics(case: Case, metrics: Sequence[str], axes: Sequence[Axes]) -> Sequence[Axes]:
    """One panel of bars with ranges for each metric, on axes of its own."""
    for metric, ax in zip(metrics, axes, strict=True):
        plot_bars(case, (metric,), ax=ax)
        ax.set_title(PANELS[metric])
    return axes
