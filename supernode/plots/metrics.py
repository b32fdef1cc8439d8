"""Bars of a metric over workloads and machines, with whiskers for the range."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from simulator.errors import unknown_name
from supernode.plots.theme import GREY, INK, axes, look, plain, room, swatch, tick, wrapped
from supernode.wording import chips, is_share, shown, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from supernode.comparison import Case, Quantity

WIDEST_LINEAR = 50.0
"""From this ratio of the end of the longest whisker to the lowest value on, an axis is logarithmic."""

_GROUP = 0.8
_STUB = 0.035
_LABEL_LETTERS = 22
_LABEL_INCHES = 2.3


class Bar(NamedTuple):
    """One machine in one group: a quantity, or the word for why there is none."""

    machine: int
    metric: str
    quantity: Quantity | None
    word: str


class Group(NamedTuple):
    """The bars of one workload."""

    label: str
    bars: tuple[Bar, ...]


def plot_metric(case: Case, metric: str, *, ax: Axes | None = None) -> Axes:
    """Bars of one metric, a group for each workload and a bar for each machine; whiskers are the range of the draws.

    Raises
    ------
    simulator.errors.InputError : nothing has this metric
    """
    known = {name for machine in case.machines.values() for name in (*machine.economics, *machine.cluster)}
    known |= {
        name for machine in case.machines.values() for work in machine.workloads.values() for name in work.metrics
    }
    if metric not in known:
        raise unknown_name("metric", metric, known)
    drawn = plot_bars(case, (metric,), ax=ax)
    drawn.legend(handles=handles(case), fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(0, -0.12))
    return drawn


def plot_bars(case: Case, metrics: Sequence[str], *, ax: Axes | None = None, label: str = "") -> Axes:
    """Bars of the first of ``metrics`` that each workload has; see :func:`plot_metric`.

    All are of one unit; ``label`` is the name of the axis, where the title of the first does not fit all of them.
    """
    ax = axes(ax)
    found = groups(case, metrics)
    quantities = [bar.quantity for group in found for bar in group.bars if bar.quantity is not None]
    _scale_axis(ax, quantities, metrics[0], label or title(metrics[0]))
    height = _GROUP / max(1, len(case.machines))
    for row, group in enumerate(found):
        for bar in group.bars:
            at = row + (bar.machine - (len(case.machines) - 1) / 2) * height
            if bar.quantity is None:
                draw_stub(ax, at, height, bar.word)
            else:
                _draw_bar(ax, at, height, bar)
    ax.set_yticks(range(len(found)), [wrapped(group.label, _LABEL_LETTERS) for group in found])
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_axisbelow(True)
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    return ax


def groups(case: Case, metrics: Sequence[str]) -> list[Group]:
    """What :func:`plot_bars` draws, in order: a group for each workload that has one of the metrics anywhere."""
    found = []
    works = dict.fromkeys(name for machine in case.machines.values() for name in machine.workloads)
    for work in works:
        bars = []
        for index, machine in enumerate(case.machines.values()):
            outcome = machine.workloads.get(work)
            if outcome is None:
                continue
            metric = next((name for name in metrics if name in outcome.metrics), metrics[0])
            word = "" if outcome.status == "ok" else outcome.status
            bars.append(Bar(index, metric, outcome.metrics.get(metric), word))
        if any(bar.quantity is not None for bar in bars):
            found.append(Group(work, tuple(bar for bar in bars if bar.quantity is not None or bar.word)))
    for section in ("economics", "cluster"):
        tables = [getattr(machine, section) for machine in case.machines.values()]
        metric = next((name for name in metrics if any(name in table for table in tables)), "")
        if metric and not any(bar.metric == metric for group in found for bar in group.bars):
            bars = [Bar(index, metric, table.get(metric), "no answer") for index, table in enumerate(tables)]
            found.append(Group("the machine" if section == "economics" else "the day", tuple(bars)))
    return found


def handles(case: Case) -> list[Artist]:
    """Legend of a bar chart: the machines, what a whisker is, and what a stub is."""
    found: list[Artist] = [
        swatch(look(index), f"{machine.name}, {chips(machine.chips, machine.machines)}")
        for index, machine in enumerate(case.machines.values())
    ]
    found.append(
        Line2D([], [], color=INK, marker="|", markersize=7, label="bar: stated figures; whisker: range of draws")
    )
    if any(work.status != "ok" for machine in case.machines.values() for work in machine.workloads.values()):
        found.append(Patch(facecolor="white", edgecolor=GREY, hatch="xxxx", label="no answer, and the word for why"))
    return found


def _scale_axis(ax: Axes, quantities: list[Quantity], metric: str, name: str) -> None:
    """A linear axis from zero, or a logarithmic one where the values spread widely; room for labels on the right."""
    values = [q.value for q in quantities]
    highest = max((q.high for q in quantities), default=1.0)
    lowest = min((q.low for q in quantities if q.low > 0), default=0.0)
    is_log = bool(values) and min(values) > 0 and lowest > 0 and highest / min(values) > WIDEST_LINEAR
    unit = quantities[0].unit if quantities else ""
    label = name if is_share(metric) or unit in {"1", ""} else f"{name} [{unit}]"
    free = room(ax, _LABEL_INCHES)
    ax.set_xlabel(plain(f"{label}, logarithmic" if is_log else label))
    if is_log:
        ax.set_xscale("log")
        left = lowest / 3
        ax.set_xlim(left, highest * (highest / left) ** (free / (1 - free)))
        ax.xaxis.set_major_locator(LogLocator(numticks=12))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.set_xlim(0, (highest or 1.0) / (1 - free))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0) if is_share(metric) else FuncFormatter(tick))


def _draw_bar(ax: Axes, at: float, height: float, bar: Bar) -> None:
    assert bar.quantity is not None
    quantity, style = bar.quantity, look(bar.machine)
    left = ax.get_xlim()[0]
    ax.barh(
        at,
        quantity.value - left,
        0.92 * height,
        left=left,
        color=style.colour,
        hatch=style.hatch,
        edgecolor=INK,
        linewidth=0.5,
    )
    reach = [[quantity.value - quantity.low], [quantity.high - quantity.value]]
    ax.errorbar(quantity.value, at, xerr=reach, color="white", capsize=4.2, elinewidth=3, capthick=3)
    ax.errorbar(quantity.value, at, xerr=reach, color=INK, capsize=3.5, elinewidth=1.1, capthick=1.1)
    text = plain(str(shown(bar.metric, quantity)))
    ax.annotate(text, (quantity.high, at), (6, 0), textcoords="offset points", va="center", fontsize=7.5)


def draw_stub(ax: Axes, at: float, height: float, word: str) -> None:
    """A hatched stub and the word, in place of a bar."""
    across = ax.get_yaxis_transform()
    box = (0, at - 0.46 * height)
    ax.add_patch(Rectangle(box, _STUB, 0.92 * height, transform=across, fc="white", ec=GREY, hatch="xxxx", lw=0.5))
    ax.text(_STUB + 0.01, at, plain(word), transform=across, va="center", fontsize=8, color=INK, style="italic")
