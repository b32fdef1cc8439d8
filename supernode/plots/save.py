"""Every chart of a comparison as a figure with a name, and as PNG and SVG files: same answer, same bytes."""

from __future__ import annotations

import io
from itertools import groupby
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import style as styles
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from simulator.errors import InputError
from simulator.files import write_whole
from supernode.plots import collectives, economics, metrics, ratios, step, timeline
from supernode.plots.theme import STYLE, annotate, plain, wrapped
from supernode.wording import decisive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from supernode.comparison import Case, Comparison, Outcome

WIDTH = 10.0
PNG_DOTS_PER_INCH = 150
_FRAME = 1.5
_TITLE_LETTERS = 98
_TITLE: dict[str, Any] = {"fontsize": 12, "fontweight": "bold"}


def figures(comparison: Comparison) -> dict[str, Figure]:
    """Every chart by the name of its files; those of the case of equal chips begin with ``matched-``."""
    found: dict[str, Figure] = {}
    with styles.context(["default", STYLE]):
        for case in (comparison.case, comparison.matched):
            if case is not None:
                prefix = "" if case is comparison.case else "matched-"
                found |= {prefix + name: figure for name, figure in _figures(comparison, case).items()}
    return found


def write_plots(comparison: Comparison, folder: Path) -> list[Path]:
    """Write NAME.png and NAME.svg of every chart into a folder; return the paths."""
    paths = []
    for name, figure in figures(comparison).items():
        for ending, content in rendered(figure).items():
            path = folder / f"{name}.{ending}"
            write_whole(path, content)
            paths.append(path)
    return paths


def write_plot(draw: Callable[[Axes], Axes], path: Path) -> None:
    """Draw on new axes and write them to one PNG or SVG file.

    Raises
    ------
    simulator.errors.InputError : the path ends in something else
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in {"png", "svg"}:
        raise InputError("a picture is a .png or an .svg file", where=str(path), remedy="end the path in .png or .svg")
    with styles.context(["default", STYLE]):
        figure = Figure(figsize=(0.7 * WIDTH, 5.0), layout="constrained", dpi=PNG_DOTS_PER_INCH)
        draw(figure.subplots())
    write_whole(path, rendered(figure)[ending])


def rendered(figure: Figure) -> dict[str, bytes]:
    """A figure as PNG and SVG by ending; it is laid out once, for both."""
    png = png_bytes(figure)
    figure.set_layout_engine("none")
    return {"png": png, "svg": svg_text(figure).encode()}


def png_bytes(figure: Figure) -> bytes:
    """A figure as PNG, without the date and version that would change from day to day."""
    buffer = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    with mpl.rc_context(STYLE):
        # Not savefig, which draws everything twice.
        canvas.print_png(buffer, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return buffer.getvalue()


def svg_text(figure: Figure) -> str:
    """A figure as SVG; letters are outlines, so that it looks the same without our fonts."""
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    with mpl.rc_context(STYLE):
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _figures(comparison: Comparison, case: Case) -> dict[str, Figure]:
    found = {
        "throughput": _throughput(comparison, case),
        "verdicts": _verdicts(comparison, case),
        "step": _step(comparison, case),
        "collectives": _collectives(comparison, case),
        "cost": _cost(comparison, case),
        "ledger": _ledger(comparison, case),
    }
    days = {f"timeline-{name}": _timeline(comparison, case, name) for name in case.machines}
    return {_file_name(name): figure for name, figure in (found | days).items() if figure is not None}


def _figure(height: float, title: str, handles: Sequence[Artist] = (), columns: int = 2) -> Figure:
    """An empty figure with a title and under it the legend, if there is one."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=PNG_DOTS_PER_INCH)
    if not handles:
        figure.suptitle(wrapped(title, _TITLE_LETTERS), x=0.01, ha="left", **_TITLE)
        return figure
    legend = figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False, alignment="left")
    legend.set_title(wrapped(title, _TITLE_LETTERS))
    legend.get_title().set(**_TITLE)
    return figure


def _throughput(comparison: Comparison, case: Case) -> Figure | None:
    panels = {
        "Tokens per second (trained, or written by the service)": ("tokens_per_s", "output_tokens_per_s"),
        "The same per chip": ("tokens_per_s_per_chip", "output_tokens_per_s_per_chip"),
    }
    rows = len(metrics.groups(case, panels["The same per chip"]))
    if not rows:
        return None
    figure = _figure(
        _FRAME + 2 * (0.6 + rows * _row_height(case)), f"Throughput, {_lowered(case.title)}", metrics.handles(case)
    )
    for ax, (title, names) in zip(figure.subplots(2, 1), panels.items(), strict=True):
        metrics.plot_bars(case, names, ax=ax, label="Throughput")
        ax.set_title(title)
    annotate(figure, comparison, case.machines.values())
    return figure


def _verdicts(comparison: Comparison, case: Case) -> Figure | None:
    pairs = decisive(case)
    if not pairs:
        return None
    sides = [list(group) for _, group in groupby(pairs, key=lambda pair: (pair.a, pair.b))]
    heights = [0.9 + 0.3 * len(side) for side in sides]
    figure = _figure(_FRAME + sum(heights), f"How far apart, {_lowered(case.title)}")
    grid = figure.subplots(len(sides), 1, squeeze=False, height_ratios=heights)
    for ax, side in zip(grid[:, 0], sides, strict=True):
        ratios.plot_ratios(side, ax=ax)
        ax.set_title(plain(f"a = {side[0].a}, b = {side[0].b}"))
    lead = "Grey: the range holds no difference. Filled: a is better in most draws. Hollow: b is."
    annotate(figure, comparison, case.machines.values(), lead=lead)
    return figure


def _step(comparison: Comparison, case: Case) -> Figure | None:
    works: dict[str, dict[str, Outcome]] = {}
    for name, machine in case.machines.items():
        for work, outcome in machine.workloads.items():
            if outcome.kind == "training":
                works.setdefault(work, {})[name] = outcome
    works = {work: by for work, by in works.items() if any(outcome.status == "ok" for outcome in by.values())}
    if not works:
        return None
    height = _FRAME + len(works) * (0.9 + 0.45 * len(case.machines))
    figure = _figure(height, f"Where a step's time goes, {_lowered(case.title)}", step.handles(), columns=5)
    grid = figure.subplots(len(works), 2, squeeze=False)
    for (left, right), (work, outcomes) in zip(grid, works.items(), strict=True):
        step.plot_step(outcomes, ax=left)
        step.plot_step(outcomes, ax=right, as_shares=True)
        left.set_title(plain(work))
        right.set_yticks([])
    annotate(figure, comparison, case.machines.values(), lead="Whisker: range of the step time.")
    return figure


def _collectives(comparison: Comparison, case: Case) -> Figure | None:
    kinds = list(dict.fromkeys(curve.kind for curve in case.curves))
    if not kinds:
        return None
    figure = _figure(_FRAME + 4.4, f"Collectives, {_lowered(case.title)}")
    grid = figure.subplots(1, len(kinds), squeeze=False, sharey=True)
    for ax, kind in zip(grid[0], kinds, strict=True):
        collectives.plot_curves([curve for curve in case.curves if curve.kind == kind], ax=ax)
        ax.set_title(plain(f"{kind} over all chips"))
        ax.label_outer()
    lead = "Line: stated figures; band: range. A numbered mark: from this size on another algorithm is cheapest."
    annotate(figure, comparison, case.machines.values(), lead=lead)
    return figure


def _cost(comparison: Comparison, case: Case) -> Figure | None:
    names = economics.panels(case)
    if not names:
        return None
    rows = [len(metrics.groups(case, (name,))) for name in names]
    heights = [0.7 + count * _row_height(case) for count in rows]
    figure = _figure(_FRAME + sum(heights), f"Cost and energy, {_lowered(case.title)}", metrics.handles(case))
    grid = figure.subplots(len(names), 1, squeeze=False, height_ratios=heights)
    economics.plot_economics(case, names, list(grid[:, 0]))
    annotate(figure, comparison, case.machines.values())
    return figure


def _ledger(comparison: Comparison, case: Case) -> Figure | None:
    shares = {name: machine.cluster for name, machine in case.machines.items() if machine.cluster}
    if not any(key.startswith("ledger_") for table in shares.values() for key in table):
        return None
    height = _FRAME + 1.9 + 0.5 * len(shares)
    figure = _figure(height, f"Where the chip-time of a day goes, {_lowered(case.title)}", timeline.ledger_handles())
    timeline.plot_ledger(shares, ax=figure.subplots())
    annotate(
        figure,
        comparison,
        case.machines.values(),
        ranges=False,
        lead="Shares under the stated figures; the tables have their ranges.",
    )
    return figure


def _timeline(comparison: Comparison, case: Case, name: str) -> Figure | None:
    machine = case.machines[name]
    report = machine.timeline
    if report is None:
        return None
    title = f"A day on {machine.name}: {machine.chips:,} chips"
    figure = _figure(_FRAME + 5.5, title, timeline.timeline_handles(report), columns=4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    timeline.plot_timeline(report, ax=top)
    timeline.plot_queue(report, ax=bottom)
    lead = "One simulated day under the stated figures. White: free."
    annotate(figure, comparison, [machine], ranges=False, lead=lead)
    return figure


def _row_height(case: Case) -> float:
    return 0.25 + 0.24 * len(case.machines)


def _file_name(name: str) -> str:
    """A name that is safe as a file's: letters, digits, dots and dashes."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-.") else "_" for letter in name)[
        :120
    ]


def _lowered(title: str) -> str:
    """A title as it stands within a sentence."""
    return title[:1].lower() + title[1:]
