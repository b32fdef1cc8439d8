"""Bisection per chip against chips, for all machines: what growth costs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from supernode.plots.theme import GREY, INK, LOOKS, MARKERS, STYLE, axes, plain, tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from supernode.gallery import Structure

_STEPS = 48
_LETTER_PIXELS, _LINE_PIXELS = 0.68, 1.25


def plot_structures(rows: Sequence[Structure], *, ax: Axes | None = None) -> Axes:
    """Bisection bandwidth per chip [B/s, one direction] against chips [1]; ranges where figures or readings differ."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    ax = axes(ax)
    shown = [row for row in rows if row.bisection_per_chip.value > 0]
    vendors = sorted({row.vendor for row in shown}, key=str.casefold)
    handles = []
    for index, vendor in enumerate(vendors):
        colour, marker = LOOKS[index % len(LOOKS)].colour, MARKERS[(index // len(LOOKS) + index) % len(MARKERS)]
        own = [row for row in shown if row.vendor == vendor]
        spreads = [row.bisection_per_chip for row in own]
        chips = [row.chips for row in own]
        ax.vlines(chips, [s.low for s in spreads], [s.high for s in spreads], colors=colour, linewidth=1.2, alpha=0.7)
        ax.scatter(chips, [s.value for s in spreads], s=24, color=colour, marker=marker, zorder=3)
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="none", label=plain(vendor)))
    ax.set(xscale="log", yscale="log", xlabel="chips", ylabel="bisection per chip, one direction [B/s]")
    ax.margins(x=0.12, y=0.08)
    ax.xaxis.set_major_formatter(FuncFormatter(tick))
    ax.yaxis.set_major_formatter(FuncFormatter(tick))
    ax.grid(visible=True, color="#EEEEEE", linewidth=0.6)
    columns = max(1, min(8, len(handles)))
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=columns, frameon=False, fontsize=7
    )
    ranges = [(row.chips, row.bisection_per_chip.low, row.bisection_per_chip.high) for row in shown]
    label_apart(ax, [(row.chips, row.bisection_per_chip.value, row.name) for row in shown], ranges)
    return ax


def rendered_structures(rows: Sequence[Structure], ending: str) -> bytes:
    """The plot of :func:`plot_structures` as a file of type ``png``, ``svg`` or ``pdf``: same rows, same bytes."""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    from supernode.plots.topology import UNDATED

    picture = io.BytesIO()
    with styles.context(["default", STYLE]):
        sheet = Figure(figsize=(13, 8), dpi=150)
        ax = sheet.add_axes((0.06, 0.16, 0.92, 0.77))
        plot_structures(rows, ax=ax)
        ax.set_title("Bisection bandwidth per chip; lines: ranges of the figures and readings", fontweight="bold")
        sheet.savefig(picture, format=ending, dpi=150, metadata=UNDATED[ending])
    return picture.getvalue()


def label_apart(
    ax: Axes,
    points: Sequence[tuple[float, float, str]],
    ranges: Sequence[tuple[float, float, float]] = (),
    size: float = 6.5,
) -> None:
    """Write a label beside each point where no other label, point or range is; a thin line leads to one that is far."""
    figure = ax.figure
    figure.canvas.draw()
    pixels = size * figure.dpi / 72
    places = [ax.transData.transform((x, y)) for x, y, _ in points]
    near = 0.5 * pixels
    taken = [(x - near, y - near, x + near, y + near) for x, y in places]
    for value, low, high in ranges:
        if low < high:
            (across, bottom), (_, top) = ax.transData.transform([(value, low), (value, high)])
            taken.append((across - 1, bottom, across + 1, top))
    inverse = ax.transData.inverted()
    for (x, y), (value_x, value_y, text) in zip(places, points, strict=True):
        wide, tall = _LETTER_PIXELS * pixels * len(text), _LINE_PIXELS * pixels
        box, step = _free(x, y, wide, tall, near, taken, ax.bbox.extents)
        taken.append(box)
        at = inverse.transform((box[0], box[1] + 0.25 * pixels))
        ax.text(at[0], at[1], plain(text), fontsize=size, color=INK, ha="left", va="baseline", zorder=4)
        if step > 1:
            start = inverse.transform((min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])))
            ax.plot([start[0], value_x], [start[1], value_y], color=GREY, linewidth=0.4, zorder=2)


Box = tuple[float, float, float, float]


def _free(
    x: float, y: float, wide: float, tall: float, near: float, taken: Sequence[Box], frame: Sequence[float]
) -> tuple[Box, int]:
    """The first place around a point, going outwards, where a label meets nothing; the last one where all do."""
    box = (x, y, x + wide, y + tall)
    for step in range(1, _STEPS):
        out = near * 1.8 + (step - 1) * tall * 0.6
        for left in (x + out, x - wide - out, x - wide / 2):
            for low in (y - tall / 2, y + out, y - tall - out):
                if left == x - wide / 2 and low == y - tall / 2:
                    continue
                box = (left, low, left + wide, low + tall)
                is_inside = frame[0] < box[0] and box[2] < frame[2] and frame[1] < box[1] and box[3] < frame[3]
                if is_inside and not any(_meet(box, other) for other in taken):
                    return box, step
    return box, _STEPS


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
