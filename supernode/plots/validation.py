"""Predicted against measured: one point a row, on logarithmic axes, with lines at plus and minus 10 %.

A last panel has predicted over measured by family, where errors of a few per cent can be told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supernode.plots.sheet import COLOURS, GREY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from supernode.validation import Row

MARKERS = {"calibrate": "o", "dev": "D"}
OTHER_MARKERS = "s^vPX<>"
"""Of splits by other names, in alphabetical order."""
FILLS = ("full", "none", "left", "bottom")
"""Families beyond the number of colours are told apart by how their markers are filled."""
TOLERANCE = 0.1
MOST_NAMED = 60
"""More families than this are not named in the legend."""
LEGEND_COLUMNS = 6
FAMILY_HEIGHT = 0.16
"""Height that the name of one family takes [inch]."""
FARTHEST = 4.0
"""Predicted over measured, and its inverse, at the ends of the axis of ratios; what lies beyond is drawn there [1]."""
NAMES = {
    ("collective", "s"): "time of a collective [s]",
    ("collective", "B/s"): "bus bandwidth [B/s]",
    ("kernels", "s"): "time of a kernel [s]",
    ("training", "s"): "time of a training step [s]",
    ("training", "FLOP/s/chip"): "FLOP rate of training [FLOP/s a chip]",
    ("training", "tokens/s/chip"): "training [tokens/s a chip]",
}
"""Kind and unit -> the quantity on both axes."""

Look = dict[str, Any]


def groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Predicted rows that can share axes: of one kind, in one unit; the largest group first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            found.setdefault((row.case.kind, row.unit), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def pictures(rows: Sequence[Row]) -> dict[str, bytes]:
    """The figure of all predicted rows as PNG and SVG, by ending."""
    from matplotlib import style as styles

    from supernode.plots.save import rendered
    from supernode.plots.theme import STYLE

    with styles.context(["default", STYLE]):
        return rendered(validation_figure(rows))


def validation_figure(rows: Sequence[Row]) -> Figure:
    """All predicted rows, each kind and unit on axes of its own, under one legend of families and splits."""
    from matplotlib.figure import Figure

    found = groups(rows)
    columns, panels = 2, len(found) + 1
    lines = -(-panels // columns)
    looks = family_looks([row for members in found.values() for row in members])
    figure = Figure(
        figsize=(7.5 * columns, max(6.5, FAMILY_HEIGHT * len(looks)) * lines + 0.5), layout="constrained", dpi=150
    )
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax, members in zip(grid, found.values(), strict=False):
        plot_validation(members, ax=ax, looks=looks)
    if not found:
        grid[0].text(0.5, 0.5, "no row was predicted", ha="center", transform=grid[0].transAxes)
    else:
        plot_ratios([row for row in rows if row.status == "ok"], ax=grid[len(found)], looks=looks)
    for ax in grid[panels if found else 0 :]:
        ax.set_axis_off()
    handles = _handles(rows, looks)
    legend = figure.legend(handles=handles, loc="outside upper left", ncols=LEGEND_COLUMNS, frameon=False, fontsize=9)
    legend.set_title("Predicted against published measurements; bars: uncertain figures and unknown settings")
    return figure


def family_looks(rows: Sequence[Row]) -> dict[str, Look]:
    """Colour and filling of each family's markers; the largest families get the filled ones."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.case.family] = sizes.get(row.case.family, 0) + 1
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    return {
        name: {
            "color": COLOURS[place % len(COLOURS)],
            "fillstyle": FILLS[place // len(COLOURS) % len(FILLS)],
            "markerfacecoloralt": "white",
            "markeredgecolor": COLOURS[place % len(COLOURS)] if place >= len(COLOURS) else "white",
            "markeredgewidth": 1.0 if place >= len(COLOURS) else 0.3,
        }
        for place, name in enumerate(names)
    }


def plot_validation(rows: Sequence[Row], *, ax: Axes, looks: Mapping[str, Look] | None = None) -> Axes:
    """Predicted against measured for rows of one kind and unit: colour by family, marker by split, ranges as bars.

    ``looks`` of the families as from :func:`family_looks`; by default those of the rows.
    """
    looks = looks or family_looks(rows)
    markers = _markers(rows)
    kind, unit = rows[0].case.kind, rows[0].unit
    quantity = NAMES.get((kind, unit), f"{kind} [{unit}]")
    ax.set_xscale("log")
    ax.set_yscale("log")
    for (family, split), members in _parts(rows).items():
        measured = [row.measured or 0.0 for row in members]
        predicted = [row.predicted or 0.0 for row in members]
        low, high = [row.low or 0.0 for row in members], [row.high or 0.0 for row in members]
        ax.vlines(measured, low, high, color=looks[family]["color"], linewidth=0.7, alpha=0.35)
        ax.plot(measured, predicted, linestyle="none", marker=markers[split], markersize=4.5, **looks[family])
    _guides(ax, [value for row in rows for value in (row.measured, row.predicted) if value])
    ax.set_xlabel(f"measured {quantity}")
    ax.set_ylabel(f"predicted {quantity}")
    ax.set_title(f"{kind}: {len(rows)} rows", fontsize=10)
    ax.grid(visible=True, which="major", linewidth=0.3)
    return ax


def plot_ratios(rows: Sequence[Row], *, ax: Axes, looks: Mapping[str, Look]) -> Axes:
    """Predicted over measured of every row, a line a family; side by side in the order of the rows."""
    markers = _markers(rows)
    names = list(looks)
    for (family, split), members in _parts(rows).items():
        ratios = [1 + (row.error or 0.0) for row in members]
        kept = [min(max(ratio, 1 / FARTHEST), FARTHEST) for ratio in ratios]
        share = 0.7 / max(1, len(members))
        places = [names.index(family) + 0.35 - share * (number + 0.5) for number in range(len(members))]
        ax.plot(kept, places, linestyle="none", marker=markers[split], markersize=3.5, **looks[family])
    ax.axvline(1.0, color=GREY, linewidth=1)
    for edge in (1 - TOLERANCE, 1 + TOLERANCE):
        ax.axvline(edge, color=GREY, linewidth=0.8, linestyle="--")
    ax.set_xscale("log")
    ax.set_xlim(0.95 / FARTHEST, FARTHEST / 0.95)
    ax.set_xticks([0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0], ["≤ 0.25", "0.5", "0.8", "1", "1.25", "2", "≥ 4"])
    ax.minorticks_off()
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("predicted over measured [1]")
    ax.set_title("by family", fontsize=10)
    ax.grid(visible=True, which="major", axis="y", linewidth=0.3)
    return ax


def _parts(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.case.family, row.case.split), []).append(row)
    return dict(sorted(found.items()))


def _markers(rows: Sequence[Row]) -> dict[str, str]:
    others = sorted({row.case.split for row in rows} - set(MARKERS))
    return MARKERS | {split: OTHER_MARKERS[place % len(OTHER_MARKERS)] for place, split in enumerate(others)}


def _handles(rows: Sequence[Row], looks: Mapping[str, Look]) -> list[Line2D]:
    """Entries of the legend: lines, splits by marker, families by colour with their number of rows."""
    from matplotlib.lines import Line2D

    predicted = [row for row in rows if row.status == "ok"]
    found = [
        Line2D([], [], color=GREY, linewidth=1, label="equal"),
        Line2D([], [], color=GREY, linewidth=0.8, linestyle="--", label=f"±{TOLERANCE:.0%}".replace("%", " %")),
    ]
    splits = sorted({row.case.split for row in predicted})
    markers = _markers(predicted)
    found += [
        Line2D([], [], color=GREY, linestyle="none", marker=markers[split], label=f"split {split or 'none'}")
        for split in splits
    ]
    if len(looks) > MOST_NAMED:
        return found
    for family, look in looks.items():
        count = sum(row.case.family == family for row in predicted)
        found.append(Line2D([], [], linestyle="none", marker="o", markersize=6, label=f"{family} ({count})", **look))
    return found


def _guides(ax: Axes, values: Sequence[float]) -> None:
    """The line of equality and those 10 % above and below it, over the span of the values."""
    span = (min(values) / 1.5, max(values) * 1.5)
    ax.plot(span, span, color=GREY, linewidth=1)
    for factor in (1 + TOLERANCE, 1 - TOLERANCE):
        ax.plot(span, [factor * end for end in span], color=GREY, linewidth=0.8, linestyle="--")
    ax.set_xlim(*span)
