"""A day on a cluster: who held which units when, how many jobs waited, and where the chip-time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter

from simulator.ledger import BINS
from simulator.units import UNITS
from supernode.plots.theme import INK, LOOKS, PALE, Look, axes, swatch, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from simulator.cluster import Report, Span
    from supernode.comparison import Quantity

HOUR_S = UNITS["s"]["h"]

_JOBS = (LOOKS[0], Look("#56B4E9", ""), LOOKS[4], Look("#F0E442", ""), LOOKS[5], Look("#999999", "..."))
_SERVICES = (Look("#E69F00", "////"), Look("#D55E00", "\\\\\\\\"), Look("#CC79A7", "////"))
_DOWN = Look("#000000", "")
_LEDGER = {
    "productive": Look("#0072B2", ""),
    "service_busy": Look("#56B4E9", "..."),
    "service_idle": Look("#BFE3F7", "///"),
    "checkpoint": Look("#009E73", "xxx"),
    "restart": Look("#F0E442", "---"),
    "lost": Look("#D55E00", "\\\\\\"),
    "fragmented": Look("#CC79A7", "+++"),
    "down": Look("#222222", ""),
    "idle": Look("#F2F2F2", ""),
}
_THINNEST_LABEL = 0.04
_LABEL_LETTERS = 20


def plot_timeline(report: Report, *, ax: Axes | None = None) -> Axes:
    """Units over time [h]: an area for each job, service and repair, coloured by class; white is free."""
    ax = axes(ax)
    looks = class_looks(report)
    for (what, kind), style in looks.items():
        spans = [span for span in report.timeline if (span.what, span.kind) == (what, kind)]
        boxes = [_box(span, first, stop) for span in spans for first, stop in span.runs]
        areas = PolyCollection(boxes, facecolor=style.colour, edgecolor=INK, linewidth=0.25)
        if style.hatch:
            areas.set_hatch(style.hatch)
        ax.add_collection(areas)
    struck = [span for span in report.timeline if span.outcome == "interrupted"]
    for span in struck:
        first, stop = max(span.runs, key=lambda run: run[1] - run[0])
        ax.plot(
            span.end_s / HOUR_S,
            (first + stop) / 2,
            "X",
            markersize=7,
            color="white",
            markeredgecolor="black",
            markeredgewidth=1.0,
            zorder=5,
        )
    ax.set_xlim(0, report.settings.horizon_s / HOUR_S)
    ax.set_ylim(0, report.settings.units)
    ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    chips = report.settings.unit_chips
    ax.set_ylabel(f"Allocation unit ({chips:,} chip{'s' if chips > 1 else ''} each)")
    _hours(ax, report)
    return ax


def plot_queue(report: Report, *, ax: Axes | None = None) -> Axes:
    """Jobs that wait over time [h]."""
    ax = axes(ax)
    horizon = report.settings.horizon_s
    times = [time_s / HOUR_S for time_s, _ in report.queue] + [horizon / HOUR_S]
    lengths = [length for _, length in report.queue] + [report.queue[-1][1] if report.queue else 0]
    ax.fill_between(times[-len(lengths) :], lengths, step="post", color=PALE, edgecolor=INK, linewidth=0.8)
    ax.set_ylim(0, max(1, *lengths) * 1.1 if len(lengths) > 1 else 1)
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.set_ylabel("Jobs waiting")
    ax.set_xlabel("Simulated time [h]")
    _hours(ax, report)
    return ax


def plot_ledger(shares: Mapping[str, Mapping[str, Quantity]], *, ax: Axes | None = None) -> Axes:
    """Where the chip-time of each machine went, as shares of all of it; ``shares`` is by machine and ``ledger_BIN``."""
    ax = axes(ax)
    for row, table in enumerate(shares.values()):
        left = 0.0
        for name, style in _LEDGER.items():
            quantity = table.get(f"ledger_{name}")
            if quantity is None:
                continue
            width = quantity.value
            ax.barh(row, width, 0.6, left=left, color=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.5)
            if width >= _THINNEST_LABEL:
                ground = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
                ax.text(
                    left + width / 2, row, f"{100 * width:.0f} %", ha="center", va="center", fontsize=7.5, bbox=ground
                )
            left += width
    ax.set_yticks(range(len(shares)), [wrapped(name, _LABEL_LETTERS) for name in shares])
    ax.set_ylim(len(shares) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("Share of all chip-seconds of the day")
    return ax


def class_looks(report: Report) -> dict[tuple[str, str], Look]:
    """A look for every class of span: jobs by name, then services, then what was down."""
    present = {(span.what, span.kind) for span in report.timeline}
    looks = {}
    for what, palette in (("job", _JOBS), ("service", _SERVICES), ("down", (_DOWN,))):
        for index, kind in enumerate(sorted(kind for found, kind in present if found == what)):
            looks[what, kind] = palette[index % len(palette)]
    return looks


def timeline_handles(report: Report) -> list[Artist]:
    """Legend of a timeline."""
    words = {"job": "job {}", "service": "service {}", "down": "under repair"}
    found: list[Artist] = [
        swatch(style, words[what].format(kind)) for (what, kind), style in class_looks(report).items()
    ]
    if any(span.outcome == "interrupted" for span in report.timeline):
        cross = Line2D([], [], marker="X", linestyle="none", markersize=7, color="white", markeredgecolor="black")
        cross.set_label("job struck by a failure")
        found.append(cross)
    return found


def ledger_handles() -> list[Artist]:
    """Legend of a ledger."""
    return [
        swatch(style, f"{name.replace('_', ' ')}: {BINS[name].partition(',')[0]}") for name, style in _LEDGER.items()
    ]


def _box(span: Span, first: int, stop: int) -> list[tuple[float, float]]:
    start, end = span.start_s / HOUR_S, span.end_s / HOUR_S
    return [(start, first), (end, first), (end, stop), (start, stop)]


def _hours(ax: Axes, report: Report) -> None:
    ax.set_xlim(0, report.settings.horizon_s / HOUR_S)
    if report.settings.horizon_s <= 48 * HOUR_S:
        ax.xaxis.set_major_locator(MultipleLocator(3))
