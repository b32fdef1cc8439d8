"""Plans as trades: step time against memory of a chip, and step time against the number of chips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from supernode.plots.save import WIDTH, write_plot
from supernode.plots.theme import GREY, INK, LOOKS, MARKERS, PALE, axes, plain, tick, wrapped
from supernode.wording import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from simulator.training import Found, Step

_GIGABYTE = 1e9
_LABELLED = 3
_LETTERS = 34
_TITLE_LETTERS = 110


def plot_front(found: Found, *, ax: Axes | None = None) -> Axes:
    """Step time [s] against memory of the fullest chip [GB]: plans that fit, and those that no other beats in both."""
    ax = axes(ax)
    if len(found.cloud):
        ax.scatter(found.cloud[:, 0], found.cloud[:, 1] / _GIGABYTE, s=5, color=PALE, edgecolor="none", rasterized=True)
    front = sorted(found.front, key=lambda step: step.seconds)
    seconds = np.array([step.seconds for step in front])
    held = np.array([step.memory.needed_bytes / _GIGABYTE for step in front])
    look = LOOKS[0]
    ax.plot(seconds, held, color=look.colour, marker=MARKERS[0], markersize=4, linewidth=1.2, drawstyle="steps-post")
    if front:
        capacity = front[0].memory.available_bytes / _GIGABYTE
        ax.axhline(capacity, color=INK, linewidth=0.9, linestyle="--")
        note = f"{number(capacity)} GB that the stack leaves of a chip's memory"
        ax.annotate(note, (1.0, capacity), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right", fontsize=7.5, color=GREY)  # fmt: skip
        ax.set_ylim(0, capacity * 1.12)
        for place in sorted({0, len(front) // 2, len(front) - 1})[:_LABELLED]:
            text = wrapped(str(front[place].plan), _LETTERS)
            ground = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
            ax.annotate(
                text, (seconds[place], held[place]), (9, 7), textcoords="offset points", fontsize=7, bbox=ground
            )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(tick))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("Time of one step [s]")
    ax.set_ylabel("Memory of the fullest chip [GB]")
    ax.grid(color="#EEEEEE", linewidth=0.6)
    return ax


def plot_scaling(priced: Sequence[tuple[int, Step]], *, ax: Axes | None = None) -> Axes:
    """Time of the fastest step [s] against chips, beside what twice the chips at half the time would be."""
    ax = axes(ax)
    chips = np.array([count for count, _ in priced], dtype=np.float64)
    seconds = np.array([step.seconds for _, step in priced])
    ax.plot(chips, seconds[0] * chips[0] / chips, color=GREY, linestyle="--", linewidth=1.0)
    ax.plot(chips, seconds, color=LOOKS[0].colour, marker=MARKERS[0], markersize=5, linewidth=1.4)
    for (count, step), time in zip(priced, seconds, strict=True):
        text = f"{number(100 * step.mfu)} %"
        ax.annotate(text, (count, time), (5, 6), textcoords="offset points", fontsize=7.5)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(chips, [f"{count:,.0f}" for count in chips])
    ax.set_yticks(seconds, [number(time) for time in seconds])
    ax.minorticks_off()
    ax.set_xlabel("Chips")
    ax.set_ylabel("Time of one step [s]")
    ax.grid(color="#EEEEEE", linewidth=0.6)
    return ax


def write_pareto(found: Sequence[tuple[int, Found]], path: Path, title: str = "") -> None:
    """Write time against memory for the most chips, and against chips where there are several, to a PNG or SVG file.

    Raises
    ------
    simulator.errors.InputError : the path ends in something else
    """
    priced = [(chips, each.steps[0]) for chips, each in found if each.steps]
    chips, last = found[-1]

    def draw(ax: Axes) -> Axes:
        figure = ax.get_figure(root=True)
        assert figure is not None
        handles = [
            Line2D([], [], color=LOOKS[0].colour, marker=MARKERS[0], markersize=4, label="no plan is better in both"),
            Line2D([], [], color=PALE, marker="o", linestyle="none", label="other plans that fit"),
        ]
        if len(priced) > 1:
            figure.set_size_inches(1.25 * WIDTH, 5.0)
            ax.remove()
            ax, right = figure.subplots(1, 2)
            ax.set_title(f"{chips:,} chips")
            plot_scaling(priced, ax=right).set_title("Fastest plans by chips, with their MFU")
            handles.append(Line2D([], [], color=GREY, linestyle="--", label="half the time on twice the chips"))
        legend = figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, alignment="left")
        legend.set_title(wrapped(title, _TITLE_LETTERS) if title else plain("Plans"))
        return plot_front(last, ax=ax)

    write_plot(draw, path)
