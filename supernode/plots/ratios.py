"""How far apart two machines are in each metric, and whether the range holds "no difference"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from supernode.plots.theme import GREY, INK, axes, look, plain, room, tick, wrapped
from supernode.wording import head, percent
from supernode.wording import ratio as said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from supernode.comparison import Pair

_LABEL_LETTERS = 40
_LABEL_INCHES = 2.7
_WIDE = 1e3


def plot_ratios(pairs: Sequence[Pair], *, ax: Axes | None = None) -> Axes:
    """Ratio of a to b with its range, a row for each workload and metric; the line at 1 is "no difference".

    A filled mark: a is better under the stated figures; a hollow one: b is, or neither.
    """
    ax = axes(ax)
    for row, pair in enumerate(pairs):
        value, low, high = pair.ratio
        holds_one = low <= 1 <= high
        colour = GREY if holds_one else look(0).colour
        reach = [[value - low], [high - value]]
        face = colour if pair.probability_a_better > 0.5 else "white"
        ax.errorbar(value, row, xerr=reach, fmt="o", color=colour, mfc=face, capsize=3.5, elinewidth=1.5, markersize=6)
        note = f"{said(pair)}; a better in {percent(pair.probability_a_better)}"
        ground = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        at: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 7.5, "bbox": ground}
        ax.annotate(plain(note), (high, row), (8, 0), **at)
    ax.axvline(1, color=INK, linewidth=1)
    ax.set_yticks(
        range(len(pairs)), [wrapped(f"{pair.workload}: {head(pair.metric)}", _LABEL_LETTERS) for pair in pairs]
    )
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xscale("log")
    lowest = min((pair.ratio[1] for pair in pairs if pair.ratio[1] > 0), default=1.0)
    highest = max((pair.ratio[2] for pair in pairs), default=1.0)
    left, right = min(lowest, 1.0) / 1.3, max(highest, 1.0) * 1.3
    free = room(ax, _LABEL_INCHES)
    ax.set_xlim(left, right * (right / left) ** (free / (1 - free)))
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if right / left > _WIDE else (1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(tick))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("Ratio of a to b, logarithmic")
    ax.set_axisbelow(True)
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    return ax
