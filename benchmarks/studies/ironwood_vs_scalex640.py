"""A study of one Ironwood pod against scaleX640s, by basis, by reading, by size and by limit on latency.

Four pictures and a table of their numbers:

* ``bases``: throughput per chip, per megawatt and per dollar on every basis of comparison;
* ``readings``: how the answer changes with what the disclosures of scaleX640 are taken to mean;
* ``scaling``: training on slices of one pod against 1 to 14 scaleX640s joined by their network;
* ``serving``: throughput per chip against the limit on the time per output token.

Run it with ``python benchmarks/studies/ironwood_vs_scalex640.py --out study``; it takes half a minute.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from results import cell, write_picture, write_table

import supernode as sn
import topologies
import workloads
from simulator.figures import Draw, Figure, Kind
from simulator.machine import Machine, slice_of
from simulator.serving import estimate
from simulator.training import USUAL, search, space_of
from supernode.basis import BASES
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.plots.theme import INK, LINES, MARKERS, STYLE, look, plain, tick, wrapped
from workloads.program import program
from workloads.tasks import ServingTask, TrainingTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.axes import Axes

POD, SCALEX = "ironwood-9216", "scalex640"
MACHINES = (POD, SCALEX)
TRAINING = ("train-llama3-405b", "train-deepseek-v3")
SERVING = "serve-deepseek-r1"
WORKLOADS = (*TRAINING, SERVING)
POD_SLICES = (64, 128, 256, 512, 1024, 2048, 3072, 4096, 6144, 9216)
SCALEX_COUNTS = (1, 2, 3, 4, 6, 8, 10, 12, 14)
LIMITS_S = (0.010, 0.015, 0.020, 0.025, 0.030, 0.040, 0.050, 0.065, 0.080, 0.100, 0.150, 0.200)
LOW, HIGH = 5.0, 95.0
ENOUGH = 0.5
"""Share of the draws that must have an answer before a range is drawn."""
SHORTLIST = 200
WIDE = 1e3
"""From this ratio of the ends of a logarithmic axis on, only the powers of ten are named."""
TITLE_INCHES, LETTERS_PER_INCH = 0.28, 17
ROW = (
    *("picture", "workload", "machine", "case", "chips", "limit_s"),
    *("metric", "value", "low", "high", "unit", "answered"),
)


class Measure(NamedTuple):
    """A measure of throughput: the metric of a comparison that it is made from, what it is called, and its unit."""

    name: str
    metric: str
    serving_metric: str
    factor: float
    unit: str
    is_inverse: bool = False

    def of(self, kind: str) -> str:
        """The metric for a kind of workload."""
        return self.serving_metric if kind == "serving" else self.metric

    def value(self, number: float) -> float:
        """The measure from the metric's number."""
        return self.factor / number if self.is_inverse else self.factor * number


WHOLE = Measure("whole machine", "tokens_per_s", "output_tokens_per_s", 1.0, "tokens/s")
MEASURES = (
    Measure("per chip", "tokens_per_s_per_chip", "output_tokens_per_s_per_chip", 1.0, "tokens/s/chip"),
    Measure("per megawatt of the site", "tokens_per_joule", "tokens_per_joule", 1e6, "tokens/s/MW"),
    Measure(
        "per dollar, owned", "usd_per_million_tokens", "usd_per_million_tokens", 1e6, "tokens/USD", is_inverse=True
    ),
)


@dataclass(frozen=True)
class Range:
    """A value under the stated figures, 5 and 95 % of the draws that have an answer, and their share."""

    value: float
    low: float
    high: float
    answered: float

    @property
    def is_drawn(self) -> bool:
        """Whether there is a value, and an answer in enough draws for a range to mean something."""
        return np.isfinite(self.value) and self.answered >= ENOUGH


Curve = list[tuple[float, Range]]


class Study:
    """What a run is asked for, the rows of its table, kinds of the figures of a picture by key, and when it began."""

    def __init__(self, out: Path, samples: int, seed: int, *, is_quick: bool) -> None:
        self.out, self.samples, self.seed, self.is_quick = out, samples, seed, is_quick
        self.rows: list[tuple[Any, ...]] = []
        self.kinds: dict[str, str] = {}
        self.begun_s = time.perf_counter()

    def tell(self, what: str) -> None:
        """Say on standard error what is being done."""
        print(f"{time.perf_counter() - self.begun_s:6.1f} s  {what}", file=sys.stderr, flush=True)

    def keep(self, *, unit: str, found: Range, **cells: object) -> None:
        """Add a row to the table."""
        numbers = {"value": found.value, "low": found.low, "high": found.high, "answered": found.answered}
        row = cells | numbers | {"unit": unit}
        self.rows.append(tuple(cell(row.get(name, "")) for name in ROW))

    def write(self, name: str, sheet: Sheet) -> None:
        """Write a picture as PNG and SVG, the same bytes for the same numbers."""
        write_picture(self.out, name, sheet)

    def write_table(self) -> None:
        """Write the numbers of all pictures."""
        write_table(self.out, ROW, self.rows)


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description="One Ironwood pod against scaleX640s, by basis, reading and size.")
    parser.add_argument("--out", type=Path, default=Path("ironwood_vs_scalex640"), help="folder to write to")
    parser.add_argument("--samples", type=int, default=0, help="draws of every uncertain figure (default 64, or 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random streams")
    parser.add_argument("--quick", action="store_true", help="fewer draws and fewer points")
    given = parser.parse_args()
    samples = given.samples or (16 if given.quick else 64)
    study = Study(given.out, samples, given.seed, is_quick=given.quick)
    with mpl.rc_context(STYLE):
        for part in (study_bases, study_readings, study_scaling, study_serving):
            part(study)
    study.write_table()
    study.tell(f"wrote 4 pictures and results.csv to {given.out}")


def study_bases(study: Study) -> None:
    """Every basis: what each machine does per chip, per megawatt and per dollar."""
    found = {basis: _compared(study, f"basis {basis}", basis=basis) for basis in BASES}
    sheet = Sheet(figsize=(11.5, 9.6), layout="constrained")
    grid = sheet.subplots(len(WORKLOADS), len(MEASURES), sharex=True)
    for row, workload in zip(grid, WORKLOADS, strict=True):
        for ax, measure in zip(row, MEASURES, strict=True):
            for at, (basis, result) in enumerate(found.items()):
                for i, name in enumerate(MACHINES):
                    machine = result.case.machines[name]
                    found_range = _measured(machine.workloads[workload], measure)
                    cells = {"picture": "bases", "workload": workload, "machine": name, "case": basis}
                    study.keep(**cells, chips=machine.chips, metric=measure.name, found=found_range, unit=measure.unit)
                    _point(ax, at + 0.24 * (i - 0.5), found_range, i)
                ahead = _ahead(result, workload, measure)
                above = ax.get_xaxis_transform()
                ax.annotate(f"{ahead:.0%}", (at, 1.0), (0, 2), above, "offset points", fontsize=7.5, ha="center")
            ax.set_ylim(0, None)
            ax.set_title(f"{workload}, {measure.name}", pad=14)
            ax.set_ylabel(measure.unit)
            ax.yaxis.set_major_formatter(ticker.FuncFormatter(tick))
            ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
            ax.set_xticks(range(len(found)), [_size(basis, result) for basis, result in found.items()], fontsize=7.5)
            ax.set_xlim(-0.5, len(found) - 0.5)
    for ax in grid[-1]:
        ax.set_xlabel("basis, and chips of scaleX640 on it")
    title = "Throughput per chip, per megawatt and per dollar, on every basis of comparison"
    _head(sheet, title, [f"{POD}, one pod", f"{SCALEX}, as many as the basis asks for"])
    lead = "Percentages above the points: share of the draws in which Ironwood is ahead."
    _notes(sheet, study, lead)
    study.write("bases", sheet)


def study_readings(study: Study) -> None:
    """Every reading of scaleX640, as built: Ironwood over scaleX640."""
    readings = {each.name: f"{each.name}, weight {each.weight:.0%}" for each in topologies.entry(SCALEX).hypotheses}
    cases = {name: _compared(study, f"reading {name}", hypothesis=name) for name in readings}
    cases["all"] = _compared(study, "readings drawn by weight")
    labels = [*readings.values(), "drawn, by weight"]
    measures = (WHOLE, *MEASURES)
    sheet = Sheet(figsize=(11.5, 6.4), layout="constrained")
    axes = sheet.subplots(1, len(measures), sharey=True)
    for ax, measure in zip(axes, measures, strict=True):
        for at, (case, result) in enumerate(cases.items()):
            for i, workload in enumerate(WORKLOADS):
                ratio = _ratio(result, workload, measure)
                cells = {"picture": "readings", "workload": workload, "machine": f"{POD} over {SCALEX}", "case": case}
                study.keep(**cells, metric=measure.name, found=ratio, unit="1")
                _point(ax, at + 0.2 * (i - 1), ratio, i, is_across=True)
        ax.axvline(1.0, color=INK, linewidth=0.8)
        ax.set_xscale("log")
        left, right = ax.get_xlim()
        left, right = min(left, 0.8), max(right, 1.25)
        ax.set_xlim(left, right)
        ax.set_title(measure.name)
        ax.set_xlabel("ratio of throughputs, logarithmic")
        subs = (1, 2, 5) if right / left < WIDE else (1,)
        ax.xaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=12))
        ax.xaxis.set_minor_locator(ticker.NullLocator())
        ax.xaxis.set_major_formatter(ticker.FuncFormatter(tick))
        ax.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        ax.set_yticks(range(len(cases)), [label.replace(", ", "\n").replace("-per-", "-\nper-") for label in labels])
        ax.set_ylim(len(cases) - 0.5, -0.5)
        for edge in range(1, len(cases)):
            ax.axhline(edge - 0.5, color="#DDDDDD", linewidth=0.6)
    _head(sheet, "Ironwood over scaleX640, as built, under each reading of what scaleX640 is", WORKLOADS)
    _notes(sheet, study, "Right of the line Ironwood is ahead, left of it scaleX640.")
    study.write("readings", sheet)


def study_scaling(study: Study) -> None:
    """Training at every size: slices of a pod against joined scaleX640s, the global batch as in the papers."""
    sizes = {POD: POD_SLICES, SCALEX: tuple(640 * count for count in SCALEX_COUNTS)}
    if study.is_quick:
        sizes = {name: (*chips[:-1:3], chips[-1]) for name, chips in sizes.items()}
    sheet = Sheet(figsize=(11.5, 8.2), layout="constrained")
    grid = sheet.subplots(2, len(TRAINING), sharex=True)
    for column, workload in zip(grid.T, TRAINING, strict=True):
        task = workloads.task(workload)
        assert isinstance(task, TrainingTask)
        for i, name in enumerate(MACHINES):
            curve: Curve = []
            for chips in sizes[name]:
                study.tell(f"scaling: {workload} on {chips:,} chips of {name}")
                found = drawn(study, name, _trainer(task, chips))
                cells = {"picture": "scaling", "workload": workload, "machine": name, "chips": chips}
                study.keep(**cells, metric="tokens_per_s", found=found, unit="tokens/s")
                curve.append((chips, found))
            _line(column[0], [(chips, _scaled(found, 1 / chips)) for chips, found in curve], i)
            _line(column[1], curve, i)
        for ax, label in zip(column, ("tokens/s/chip", "tokens/s, logarithmic"), strict=True):
            ax.set_xscale("log", base=2)
            ax.set_xlim(48, 12288)
            ax.xaxis.set_major_locator(ticker.FixedLocator([64, 128, 256, 512, 1024, 2048, 4096, 8192]))
            ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda chips, _: f"{chips:,.0f}"))
            ax.xaxis.set_minor_locator(ticker.NullLocator())
            ax.set_ylabel(label)
            ax.grid(color="#DDDDDD", linewidth=0.6)
        column[0].set_ylim(0, None)
        column[1].set_yscale("log")
        for ax in column:
            ax.yaxis.set_major_formatter(ticker.FuncFormatter(tick))
        batch = f"{task.batch:,} x {task.sequence:,} tokens a step"
        column[0].set_title(f"{workload}, {batch}")
        column[1].set_xlabel("chips, logarithmic")
    labels = [f"{POD}: slices of one pod", f"{SCALEX}: 1 to 14 cabinets over {topologies.entry(SCALEX).network}"]
    _head(sheet, "Training as machines grow, global batch as published", labels)
    _notes(sheet, study, "No point: no plan fits in memory in half of the draws.")
    study.write("scaling", sheet)


def study_serving(study: Study) -> None:
    """Serving at every limit on the time per output token."""
    task = workloads.task(SERVING)
    assert isinstance(task, ServingTask)
    limits = LIMITS_S[::3] if study.is_quick else LIMITS_S
    sheet = Sheet(figsize=(9.0, 6.0), layout="constrained")
    ax = sheet.subplots()
    for i, name in enumerate(MACHINES):
        study.tell(f"serving: {task.name} on {name} at {len(limits)} limits")
        curve: Curve = []
        for limit_s in limits:
            found = drawn(study, name, _server(task, limit_s))
            cells = {"picture": "serving", "workload": SERVING, "machine": name, "limit_s": limit_s}
            study.keep(**cells, metric="output_tokens_per_s_per_chip", found=found, unit="tokens/s/chip")
            curve.append((limit_s * 1e3, found))
        _line(ax, curve, i)
    ax.axvline(task.tpot_s * 1e3, color=INK, linewidth=0.8, linestyle=":")
    above = ax.get_xaxis_transform()
    at = (task.tpot_s * 1e3, 0.98)
    ax.annotate(f"limit of {SERVING}", at, (4, 0), above, "offset points", fontsize=8, va="top")
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(ticker.FixedLocator([10, 15, 20, 30, 50, 80, 100, 150, 200]))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(tick))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.set_ylim(0, None)
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(tick))
    ax.set_xlabel("limit on time per output token [ms], logarithmic")
    ax.set_ylabel("output tokens/s/chip")
    ax.set_title(f"{task.input_tokens:,} tokens in, {task.output_tokens:,} out, first token within {task.ttft_s:g} s")
    ax.grid(color="#DDDDDD", linewidth=0.6)
    _head(sheet, "Serving DeepSeek-R1 under a limit on latency", [f"{POD}, one pod", f"{SCALEX}, one cabinet"])
    _notes(sheet, study, "No point: no layout keeps the limit in half of the draws.")
    study.write("serving", sheet)


def drawn(study: Study, name: str, answer: Callable[[Machine, Draw], float]) -> Range:
    """An answer about a machine under the stated figures, and its range over draws of figures and readings."""
    weights = {each.name: each.weight for each in topologies.entry(name).hypotheses}
    readings = {reading: topologies.machine(name, reading) for reading in weights} or {"": topologies.machine(name)}
    touched: dict[str, Figure] = {}
    stated = []
    for machine in readings.values():
        draw = Draw()
        stated.append(answer(machine, draw))
        touched |= draw.touched
    study.kinds |= {key: figure.kind for key, figure in touched.items()}
    figures = drawn_values(touched.values(), study.samples, study.seed)
    picks = drawn_hypotheses(weights, study.samples, study.seed, name)
    values = np.array([answer(readings[pick], draw_number(figures, i)) for i, pick in enumerate(picks)])
    known = values[np.isfinite(values)]
    if not known.size:
        return Range(stated[0], stated[0], stated[0], 0.0)
    low, high = (float(end) for end in np.percentile(known, [LOW, HIGH]))
    return Range(stated[0], float(np.fmin(low, stated[0])), float(np.fmax(high, stated[0])), known.size / values.size)


def _trainer(task: TrainingTask, chips: int) -> Callable[[Machine, Draw], float]:
    """Tokens/s of training on so many chips; draws price again what the first search of a reading listed."""
    made = program(workloads.model(task.model))
    listed: dict[str, Any] = {}

    def answer(machine: Machine, draw: Draw) -> float:
        stack = workloads.stack(machine.stacks["training"])
        found = search(
            made,
            slice_of(machine, chips),
            stack,
            sequence=task.sequence,
            batch=task.batch,
            dtype=task.dtype,
            shortlist=0 if machine.hypothesis in listed else SHORTLIST,
            plans=listed.get(machine.hypothesis),
            space=space_of(stack, USUAL),
            draw=draw,
        )
        listed.setdefault(machine.hypothesis, found.shortlist)
        return found.steps[0].tokens_per_s if found.steps else float("nan")

    return answer


def _server(task: ServingTask, limit_s: float) -> Callable[[Machine, Draw], float]:
    """Output tokens/s/chip of serving within a limit on the time per output token."""
    made = program(workloads.model(task.model))

    def answer(machine: Machine, draw: Draw) -> float:
        found = estimate(
            made,
            machine,
            machine.chips,
            workloads.stack(machine.stacks["serving"]),
            input_tokens=task.input_tokens,
            output_tokens=task.output_tokens,
            tpot_s=limit_s,
            ttft_s=task.ttft_s,
            dtype=task.dtype,
            draw=draw,
        )
        return found.best.output_tokens_per_s / machine.chips if found.best else float("nan")

    return answer


def _compared(study: Study, what: str, **options: str) -> sn.Comparison:
    study.tell(f"comparing: {what}")
    found = sn.compare(MACHINES, WORKLOADS, samples=study.samples, seed=study.seed, **options)
    study.kinds |= {figure.key: figure.kind for figure in found.figures}
    return found


def _measured(outcome: Any, measure: Measure) -> Range:
    quantity = outcome.metrics.get(measure.of(outcome.kind))
    if quantity is None:
        return Range(float("nan"), float("nan"), float("nan"), outcome.answered)
    ends = sorted((measure.value(quantity.low), measure.value(quantity.high)))
    return Range(measure.value(quantity.value), *ends, outcome.answered)


def _pair(result: sn.Comparison, workload: str, measure: Measure) -> Any:
    kind = result.case.machines[POD].workloads[workload].kind
    wanted = (workload, measure.of(kind))
    return next((pair for pair in result.case.pairs if (pair.workload, pair.metric) == wanted), None)


def _ahead(result: sn.Comparison, workload: str, measure: Measure) -> float:
    pair = _pair(result, workload, measure)
    return float("nan") if pair is None else pair.probability_a_better


def _ratio(result: sn.Comparison, workload: str, measure: Measure) -> Range:
    pair = _pair(result, workload, measure)
    if pair is None:
        return Range(float("nan"), float("nan"), float("nan"), 0.0)
    value, *ends = (1 / part for part in pair.ratio) if measure.is_inverse else pair.ratio
    answered = min(machine.workloads[workload].answered for machine in result.case.machines.values())
    return Range(value, min(ends), max(ends), answered)


def _scaled(found: Range, factor: float) -> Range:
    return Range(factor * found.value, factor * found.low, factor * found.high, found.answered)


def _point(ax: Axes, at: float, found: Range, i: int, *, is_across: bool = False) -> None:
    """A marker with its range, upright or lying."""
    if not found.is_drawn:
        return
    reach = [[found.value - found.low], [found.high - found.value]]
    x, y = (found.value, at) if is_across else (at, found.value)
    ends = {"xerr" if is_across else "yerr": reach}
    style = {"marker": MARKERS[i], "markersize": 6, "color": look(i).colour, "ecolor": INK, "markeredgecolor": INK}
    ax.errorbar(x, y, **ends, **style, elinewidth=1.0, capsize=3, markeredgewidth=0.5)


def _line(ax: Axes, curve: Curve, i: int) -> None:
    """A line with markers through the stated values, and the band of the draws."""
    kept = [(x, found) for x, found in curve if found.is_drawn]
    if not kept:
        return
    xs = [x for x, _ in kept]
    colour = look(i).colour
    ax.fill_between(xs, [r.low for _, r in kept], [r.high for _, r in kept], color=colour, alpha=0.2, linewidth=0)
    ax.plot(xs, [r.value for _, r in kept], color=colour, linestyle=LINES[i], marker=MARKERS[i], markersize=5)


def _size(basis: str, result: sn.Comparison) -> str:
    """The name of a basis over the chips that it gives scaleX640."""
    words = "as built" if basis == "as-built" else f"equal\n{'peak FLOP/s' if basis == 'flops' else basis}"
    return f"{words}\n{result.case.machines[SCALEX].chips:,}"


def _head(sheet: Sheet, title: str, labels: Iterable[str]) -> None:
    """The title of a sheet, and under it one legend for all axes."""
    handles = [
        Line2D([], [], color=look(i).colour, linestyle=LINES[i], marker=MARKERS[i], label=plain(label))
        for i, label in enumerate(labels)
    ]
    # the second line of the title is the place of the legend
    sheet.suptitle(f"{plain(title)}\n ", fontsize=12, fontweight="bold", x=0.01, ha="left")
    below = 1 - TITLE_INCHES / sheet.get_figheight()
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, below), "borderaxespad": 0.0}
    sheet.legend(handles=handles, ncols=len(handles), frameon=False, **place)


def _notes(sheet: Sheet, study: Study, lead: str) -> None:
    """What every picture must say: ranges, the reading that the values are, and what kinds of figures they rest on."""
    kinds = {kind: list(study.kinds.values()).count(kind) for kind in get_args(Kind)}
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    reading = topologies.entry(SCALEX).reading
    text = (
        f"{lead} Values: stated figures; ranges: 5–95 % of {study.samples} draws. Values of {SCALEX}: {reading} "
        f"Rests on {len(study.kinds)} figures: {counts}."
    )
    letters = int(sheet.get_figwidth() * LETTERS_PER_INCH)
    sheet.supxlabel(wrapped(text, letters), fontsize=7.5, x=0.01, ha="left")
    study.kinds.clear()


if __name__ == "__main__":
    main()
