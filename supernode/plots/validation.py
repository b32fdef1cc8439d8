"""Predicted against measured: one point a row, on logarithmic axes, with lines at plus and minus 20 %."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supernode.plots.sheet import COLOURS, GREY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from supernode.validation import Row

MARKERS = "os^DvP*X<>hpd8"
TOLERANCE = 0.2
MOST_NAMED = 30
"""More families than this are not named beside their points."""
NAMES = {
    ("collective", "s"): "time of a collective [s]",
    ("collective", "B/s"): "bus bandwidth [B/s]",
    ("kernels", "s"): "time of a kernel [s]",
    ("training", "s"): "time of a training step [s]",
    ("training", "FLOP/s/chip"): "FLOP rate of training [FLOP/s a chip]",
    ("training", "tokens/s/chip"): "training [tokens/s a chip]",
}
"""Kind and unit -> the quantity on both axes."""


def groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Predicted rows that can share axes: of one kind, in one unit; the largest group first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            found.setdefault((row.case.kind, row.unit), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def validation_figure(rows: Sequence[Row]) -> Figure:
    """All predicted rows, each kind and unit on axes of its own."""
    from matplotlib.figure import Figure

    found = groups(rows)
    columns = min(2, max(1, len(found)))
    lines = -(-max(1, len(found)) // columns)
    figure = Figure(figsize=(7.5 * columns, 6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    families = sorted({row.case.family for members in found.values() for row in members})
    for ax, members in zip(grid, found.values(), strict=False):
        plot_validation(members, ax=ax, families=families)
    for ax in grid[len(found) :]:
        ax.set_axis_off()
    if not found:
        grid[0].text(0.5, 0.5, "no row was predicted", ha="center", transform=grid[0].transAxes)
    figure.suptitle("Predicted against published measurements; bars: range of uncertain figures and unknown settings")
    return figure


def plot_validation(rows: Sequence[Row], *, ax: Axes, families: Sequence[str] = ()) -> Axes:
    """Predicted against measured for rows of one kind and unit: colour and marker by family, ranges as bars.

    ``families`` in the order that gives them their colours and markers; those of the rows by default.
    """
    families = families or sorted({row.case.family for row in rows})
    kind, unit = rows[0].case.kind, rows[0].unit
    quantity = NAMES.get((kind, unit), f"{kind} [{unit}]")
    ax.set_xscale("log")
    ax.set_yscale("log")
    for number, family in enumerate(families):
        members = [row for row in rows if row.case.family == family]
        if not members:
            continue
        measured = [row.measured or 0.0 for row in members]
        predicted = [row.predicted or 0.0 for row in members]
        below = [(row.predicted or 0.0) - (row.low or 0.0) for row in members]
        above = [(row.high or 0.0) - (row.predicted or 0.0) for row in members]
        ax.errorbar(
            measured,
            predicted,
            yerr=(below, above),
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            elinewidth=0.7,
            alpha=0.85,
            label=f"{family} ({len(members)})",
        )
    _guides(ax, [value for row in rows for value in (row.measured, row.predicted) if value])
    ax.set_xlabel(f"measured {quantity}")
    ax.set_ylabel(f"predicted {quantity}")
    ax.set_title(f"{kind}: {len(rows)} rows", fontsize=10)
    ax.grid(visible=True, which="major", linewidth=0.3)
    if len(families) <= MOST_NAMED:
        ax.legend(fontsize=7, loc="upper left")
    return ax


def _guides(ax: Axes, values: Sequence[float]) -> None:
    """The line of equality and those 20 % above and below it, over the span of the values."""
    span = (min(values) / 1.5, max(values) * 1.5)
    ax.plot(span, span, color=GREY, linewidth=1, label="equal")
    for factor, label in ((1 + TOLERANCE, "±20 %"), (1 - TOLERANCE, None)):
        ax.plot(span, [factor * end for end in span], color=GREY, linewidth=0.8, linestyle="--", label=label)
    ax.set_xlim(*span)
