"""Time of an exchange of experts against the tokens of a rank, with its range, its bound and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from simulator.units import humanise
from supernode.plots.theme import GREY, INK, LINES, axes, look, plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from supernode.exchange_sweep import Sweep

_LEGEND_LETTERS = 70


def plot_exchange(found: Sweep, *, ax: Axes | None = None, measured: Sequence[tuple[float, float]] = ()) -> Axes:
    """One exchange at each number of tokens, log-log [s]; each mode of the library has a line of its own.

    ``measured`` are tokens of a rank and times [s] on as many chips of this machine.
    """
    ax = axes(ax)
    answers, part = found.answers, found.part
    tokens = [each.tokens.count for each in answers]
    first = answers[0]
    ax.fill_between(
        tokens,
        [each.low_s for each in answers],
        [each.high_s for each in answers],
        color=look(0).colour,
        alpha=0.18,
        linewidth=0,
    )
    label = f"{part.machine.name}, {part.chips:,} chips, {first.library}; the band holds 5–95 % of the draws"
    ax.plot(tokens, [each.seconds for each in answers], color=look(0).colour, linewidth=2.2, label=_line(label))
    for index, mode in enumerate(sorted({each.mode for each in answers}), start=1):
        name = f"{first.library} {mode}"
        style = LINES[index % len(LINES)]
        times = [each.by_library[name] for each in answers]
        ax.plot(tokens, times, style, color=look(index).colour, linewidth=1.2, label=_line(f"{name}, closed form"))
    least = [each.bounds.least_s for each in answers]
    ax.plot(tokens, least, ":", color=GREY, linewidth=1.5, label="no less than links and latency take, as stated")
    inside = [point for point in measured if tokens[0] <= point[0] <= tokens[-1]]
    if inside:
        label = f"measured: {len(inside)} rows, whatever library ran"
        ax.plot(*zip(*inside, strict=True), "D", color=INK, markersize=7, fillstyle="none", zorder=4, label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(LogLocator(base=4 if len(tokens) > 8 else 2, numticks=16))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: humanise(value, "s", 3)))
    ax.set_xlabel("Tokens of one rank [1]")
    ax.set_ylabel("Time")
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), frameon=False, fontsize=7.5, handlelength=3)
    routing = found.batch.routing
    title = f"{found.kind} in {found.batch.dtype}, {routing.top_k} of {routing.experts} experts, level {found.level}"
    ax.set_title(plain(title))
    return ax


def _line(text: str) -> str:
    return wrapped(plain(text), _LEGEND_LETTERS)
