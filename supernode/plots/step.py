"""Where the time of a training step goes: stacked bars in seconds, and the same as shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.ticker import FuncFormatter, PercentFormatter

from supernode.plots.metrics import draw_stub
from supernode.plots.theme import INK, Look, axes, room, swatch, tick, wrapped
from supernode.wording import number, title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

    from supernode.comparison import Outcome

PARTS = {
    "step_compute": Look("#0072B2", ""),
    "step_exposed_communication": Look("#E69F00", "///"),
    "step_bubble": Look("#F2F2F2", "..."),
    "step_optimizer": Look("#009E73", "xxx"),
    "step_overhead": Look("#707070", "\\\\\\"),
}
"""Metrics that add up to the step time, in the order in which they are stacked."""

_THINNEST_LABEL = 0.045
_LABEL_LETTERS = 20
_LABEL_INCHES = 1.4
_HEIGHT = 0.62


class Piece(NamedTuple):
    """A part of a step: where it begins and how long it is, in the unit of the axis."""

    part: str
    left: float
    width: float


def pieces(outcome: Outcome, *, as_shares: bool = False) -> list[Piece]:
    """The parts of a step, end to end [s], or as shares of their sum [1]."""
    present = [part for part in PARTS if part in outcome.metrics]
    widths = [outcome.metrics[part].value for part in present]
    whole = (sum(widths) or 1.0) if as_shares else 1.0
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width / whole)
    return [Piece(part, left, width / whole) for part, left, width in zip(present, edges[:-1], widths, strict=True)]


def plot_step(outcomes: Mapping[str, Outcome], *, ax: Axes | None = None, as_shares: bool = False) -> Axes:
    """Stacked bars of one training workload, one for each machine [s]; ``as_shares`` draws shares of the step [1].

    The whisker is the range of the step time. A machine without an answer says so.
    """
    ax = axes(ax)
    for row, outcome in enumerate(outcomes.values()):
        if outcome.status != "ok":
            draw_stub(ax, row, _HEIGHT, outcome.status)
            continue
        for piece in pieces(outcome, as_shares=as_shares):
            style = PARTS[piece.part]
            ax.barh(
                row,
                piece.width,
                _HEIGHT,
                left=piece.left,
                color=style.colour,
                hatch=style.hatch,
                edgecolor=INK,
                linewidth=0.5,
            )
            if as_shares and piece.width >= _THINNEST_LABEL:
                _label(ax, piece.left + piece.width / 2, row, f"{100 * piece.width:.0f} %")
        if not as_shares:
            _draw_total(ax, row, outcome)
    ax.set_yticks(range(len(outcomes)), [wrapped(name, _LABEL_LETTERS) for name in outcomes])
    ax.set_ylim(len(outcomes) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    if as_shares:
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_xlabel("Share of the step")
    else:
        longest = max(
            (work.metrics["step_time"].high for work in outcomes.values() if work.status == "ok"), default=1.0
        )
        ax.set_xlim(0, longest / (1 - room(ax, _LABEL_INCHES)))
        ax.xaxis.set_major_formatter(FuncFormatter(tick))
        ax.set_xlabel("Time of one step [s]")
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    return ax


def handles() -> list[Patch]:
    """Legend: the parts of a step."""
    return [swatch(style, title(part)) for part, style in PARTS.items()]


def _draw_total(ax: Axes, row: int, outcome: Outcome) -> None:
    step = outcome.metrics["step_time"]
    reach = [[step.value - step.low], [step.high - step.value]]
    ax.errorbar(step.value, row, xerr=reach, color=INK, capsize=3.5, elinewidth=1.1, capthick=1.1)
    text = f"{number(step.value)} ({number(step.low)}–{number(step.high)}) s"
    ax.annotate(text, (step.high, row), (6, 0), textcoords="offset points", va="center", fontsize=7.5)


def _label(ax: Axes, x: float, y: float, text: str) -> None:
    """A share on its piece, on a pale ground so that it reads on every colour and hatch."""
    ground = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    ax.text(x, y, text, ha="center", va="center", fontsize=7.5, bbox=ground)
