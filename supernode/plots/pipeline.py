"""A pipeline schedule that was run: every pass of every rank over time, coloured by F, B and W."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from simulator.training.schedules import PARTS
from simulator.training.schedules.passes.kernels import BACKWARD, CHUNK, FORWARD, INPUT, KIND, MICRO, PAIRED, WEIGHT
from supernode.plots.save import WIDTH, write_plot
from supernode.plots.theme import INK, PALE, Look, axes, plain, swatch
from supernode.wording import number

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from numpy.typing import NDArray

    from simulator.training.schedules import Timeline

LOOKS = {
    FORWARD: Look("#0072B2", ""),
    INPUT: Look("#E69F00", "////"),
    WEIGHT: Look("#009E73", "xxxx"),
    BACKWARD: Look("#D55E00", "\\\\\\\\"),
}
LABELS = {
    FORWARD: "F: forward",
    INPUT: "B: gradient of the inputs",
    WEIGHT: "W: gradient of the weights",
    BACKWARD: "B and W in one",
}
INSIDE = {
    "tensor ranks": Look("#56B4E9", ""),
    "context ranks": Look("#CC79A7", ""),
    "expert exchange": Look("#F0E442", ""),
}
"""Communication inside passes, drawn as strips along their lower edge."""
MOST_RANKS, MOST_MICRO_BATCHES = 16, 64
"""Of more ranks those at equal distances are drawn, of more micro-batches the first and the last."""

_HEIGHT, _STRIP = 0.86, 0.2
_WIDE_INCHES, _NUMBER_INCHES = 0.07, 0.14
_GAP = 0.03
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


class _Shown(NamedTuple):
    """The part of the step that is drawn: all of it, or both ends with a gap between them."""

    first_s: float
    last_s: float
    gap_s: float

    def place(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where a time stands on the axis; what is left out falls into the gap."""
        cut = np.maximum(time_s - self.last_s, 0) + np.where(time_s > self.first_s, self.gap_s, 0)
        return np.asarray(np.minimum(time_s, self.first_s) + cut)


def plot_schedule(timeline: Timeline, *, ax: Axes | None = None) -> Axes:
    """Every pass of every rank over time; a pair that runs together is drawn one over the other.

    Strips along the lower edge of a pass are as long as what shows of the communication inside its layers. Numbers are
    micro-batches, paler areas are later stages of a rank. Of more than 16 ranks and 64 micro-batches some ranks and
    both ends of the step are drawn.
    """
    ax = axes(ax)
    order = timeline.order
    shown = _shown(timeline)
    whole = float(shown.place(np.array([timeline.seconds]))[0])
    inches_per_s = ax.bbox.width / ax.figure.dpi / whole if whole else 0.0
    ranks = _some(order.ranks)
    for row, rank in enumerate(ranks):
        ax.barh(row, whole, _HEIGHT, color=PALE, linewidth=0, zorder=0)
        _draw_rank(ax, timeline, rank, row, shown, inches_per_s)
    if shown.gap_s:
        ax.axvspan(shown.first_s, shown.first_s + shown.gap_s, color="white", zorder=3)
        ax.text(shown.first_s + shown.gap_s / 2, len(ranks) / 2 - 0.5, "…", ha="center", va="center", zorder=4)
    ax.set_yticks(range(len(ranks)), [str(rank) for rank in ranks])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(ranks) - 0.5, -0.5)
    ax.set_ylabel("Pipeline rank")
    ax.set_xlim(0, whole or 1.0)
    _label_time(ax, timeline.seconds, shown)
    return ax


def handles(timeline: Timeline) -> list[Patch]:
    """Legend of a schedule: the kinds of passes that it has."""
    kinds = set(np.unique(timeline.order.passes[:, :, KIND]).tolist())
    kinds |= {FORWARD} if PAIRED in kinds else set()
    found = [swatch(look, LABELS[kind]) for kind, look in LOOKS.items() if kind in kinds]
    if timeline.order.chunks > 1:
        said = (
            "paler: the other direction" if timeline.order.schedule == "dualpipe" else "paler: later stages of a rank"
        )
        found.append(swatch(Look(to_hex(_paler(LOOKS[FORWARD].colour, 1, 2)), ""), said))
    if timeline.parts_s is not None:
        shown = timeline.parts_s.sum(axis=(0, 2))
        found += [
            swatch(INSIDE[part], f"in it: {part}") for part, s in zip(PARTS, shown, strict=True) if s and part in INSIDE
        ]
    return [*found, swatch(Look(PALE, ""), "waits")]


def write_schedule(timeline: Timeline, path: Path, title: str = "") -> None:
    """Write the picture of a schedule with its legend to a PNG or SVG file.

    Raises
    ------
    simulator.errors.InputError : the path ends in something else
    """
    order = timeline.order
    waits = 1 - timeline.busy_s.mean() / timeline.seconds if timeline.seconds else 0.0
    pieces = f" of {order.virtual_stages} virtual stages" if order.virtual_stages > 1 else ""
    stated = f"{order.schedule}, {order.ranks} ranks{pieces}, {order.micro_batches} micro-batches: "
    stated += f"{number(timeline.seconds)} s, of which ranks wait {100 * waits:.1f} %"
    if order.ranks > MOST_RANKS:
        stated += f"; {MOST_RANKS} of the ranks"
    if _drawn_micro_batches(timeline) < order.micro_batches:
        stated += "; both ends of the step"

    def draw(ax: Axes) -> Axes:
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.set_size_inches(WIDTH, 1.6 + 0.32 * len(_some(order.ranks)))
        legend = figure.legend(handles=handles(timeline), loc="outside upper left", ncols=6, frameon=False)
        legend.set_title(plain(f"{title}: {stated}" if title else stated))
        legend.set_alignment("left")
        return plot_schedule(timeline, ax=ax)

    write_plot(draw, path)


def _draw_rank(ax: Axes, timeline: Timeline, rank: int, row: int, shown: _Shown, inches_per_s: float) -> None:
    passes = timeline.order.passes[rank]
    passes = passes[passes[:, KIND] >= 0]
    starts, ends = (shown.place(each[rank, : len(passes)]) for each in (timeline.start_s, timeline.end_s))
    is_first = passes[:, KIND] == PAIRED
    is_second = np.concatenate([[False], is_first[:-1]])
    low = np.where(is_second, row, row - _HEIGHT / 2)
    high = np.where(is_first, row, row + _HEIGHT / 2)
    kinds = np.where(is_first, FORWARD, passes[:, KIND])
    is_drawn = (ends - starts > 0) & ~((starts >= shown.first_s) & (ends <= shown.first_s + shown.gap_s))
    wide = np.median((ends - starts)[is_drawn]) * inches_per_s if is_drawn.any() else 0.0
    for kind, look in LOOKS.items():
        for chunk in range(timeline.order.chunks):
            mask = is_drawn & (kinds == kind) & (passes[:, CHUNK] == chunk)
            corners = (
                (starts[mask], low[mask]),
                (ends[mask], low[mask]),
                (ends[mask], high[mask]),
                (starts[mask], high[mask]),
            )
            boxes = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
            areas = PolyCollection(
                list(boxes),
                facecolor=_paler(look.colour, chunk, timeline.order.chunks),
                edgecolor=INK if wide >= _WIDE_INCHES else "none",
                linewidth=0.35,
                zorder=2,
            )
            if look.hatch and wide >= _WIDE_INCHES:
                areas.set_hatch(look.hatch)
            ax.add_collection(areas, autolim=False)
    _draw_inside(ax, timeline.inside_s(rank)[: len(passes)], row, shown, is_drawn)
    for i in np.flatnonzero(is_drawn & ((ends - starts) * inches_per_s >= _NUMBER_INCHES)):
        middle = (starts[i] + ends[i]) / 2, (low[i] + high[i]) / 2
        ground = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        label = str(passes[i, MICRO])
        ax.text(*middle, label, ha="center", va="center", fontsize=5, bbox=ground, zorder=2.5, clip_on=True)


def _draw_inside(ax: Axes, edges_s: NDArray[np.float64], row: int, shown: _Shown, is_drawn: NDArray[np.bool_]) -> None:
    """Strips of the communication inside passes, the last part of each; ``row`` counts downwards."""
    mask = is_drawn & ~np.isnan(edges_s[:, 0])
    edges = shown.place(edges_s[mask])
    low = row + _HEIGHT / 2
    for place, part in enumerate(PARTS):
        left, right = edges[:, place], edges[:, place + 1]
        is_long = right > left
        if part not in INSIDE or not is_long.any():
            continue
        boxes = [
            ((a, low), (b, low), (b, low - _STRIP), (a, low - _STRIP))
            for a, b in zip(left[is_long].tolist(), right[is_long].tolist(), strict=True)
        ]
        areas = PolyCollection(boxes, facecolor=INSIDE[part].colour, edgecolor="none", zorder=2.2)
        ax.add_collection(areas, autolim=False)


def _shown(timeline: Timeline) -> _Shown:
    drawn = _drawn_micro_batches(timeline)
    if drawn == timeline.order.micro_batches:
        return _Shown(timeline.seconds, timeline.seconds, 0.0)
    part_s = timeline.seconds * drawn / timeline.order.micro_batches
    return _Shown(part_s / 2, timeline.seconds - part_s / 2, _GAP * part_s)


def _drawn_micro_batches(timeline: Timeline) -> int:
    """As many as fill and drain the pipeline, and some more."""
    return min(max(MOST_MICRO_BATCHES, 4 * timeline.order.ranks), timeline.order.micro_batches)


def _some(ranks: int) -> list[int]:
    """All ranks, or some at equal distances with the first and the last."""
    return sorted({round(each) for each in np.linspace(0, ranks - 1, min(ranks, MOST_RANKS))})


def _paler(colour: str, chunk: int, chunks: int) -> tuple[float, float, float]:
    """A colour mixed with white, the more the later the chunk."""
    white = 0.55 * chunk / max(chunks - 1, 1)
    red, green, blue = ((1 - white) * part + white for part in to_rgb(colour))
    return red, green, blue


def _label_time(ax: Axes, seconds: float, shown: _Shown) -> None:
    """Ticks at round times; on both sides of a gap where there is one."""
    unit_s, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    locator = MaxNLocator(8)
    ticks = [
        tick * unit_s
        for low, high in ((0.0, shown.first_s), (shown.last_s, seconds))
        for tick in locator.tick_values(low / unit_s, high / unit_s)
        if low <= tick * unit_s <= high
    ]
    ticks = sorted(set(ticks))
    places = shown.place(np.array(ticks))
    said = {round(float(place), 15): number(tick / unit_s) for place, tick in zip(places, ticks, strict=True)}
    ax.xaxis.set_major_locator(FixedLocator(list(places)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda place, _: said.get(round(float(place), 15), "")))
    ax.set_xlabel(f"Time since the step began [{unit}]")
