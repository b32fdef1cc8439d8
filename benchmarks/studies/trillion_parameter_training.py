"""A study of training mixtures of 1T and 10T parameters on four machines of about ten thousand chips.

Five pictures, a table of their numbers, and the findings in words:

* ``scaling``: tokens per second and MFU against chips;
* ``where``: where the time of a step goes, on whole machines;
* ``memory``: what lies in the memory of the fullest chip;
* ``value``: tokens per second per chip, per megawatt and per dollar;
* ``plans``: time against memory of the plans that a search looked at.

Run it with ``python benchmarks/studies/trillion_parameter_training.py --out study``; it takes about four minutes.
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from results import cell, write_picture, write_table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import topologies
import workloads
from simulator.economics import price_work
from simulator.figures import Draw, Figure, Kind
from simulator.machine import Slice, slice_of
from simulator.training import Space, search, space_of, step
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.plots.theme import GREY, INK, LINES, LOOKS, MARKERS, STYLE, Look, look, plain, swatch, tick, wrapped
from supernode.wording import number
from workloads.program import count, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matplotlib.axes import Axes

    from simulator.machine import Dtype, Machine
    from simulator.plan import Plan
    from simulator.training import Found, Step

SEQUENCE = 4096


class Work(NamedTuple):
    """A model, by name or file, and the least sequences of a step."""

    label: str
    model: str
    batch: int


WORKS = (Work("1T", "kimi-k2", 16_384), Work("10T", str(Path(__file__).with_name("moe-10t.toml")), 32_768))
"""Kimi K2's own steps of 67 million tokens, and twice as many; see :func:`batch_on`."""


class Contender(NamedTuple):
    """A machine of the catalogue, what it is called, its numbers of chips, and chips of it that may also be used."""

    label: str
    name: str
    sizes: tuple[int, ...]
    used: int = 0


CONTENDERS = (
    Contender("Ironwood pod", "ironwood-9216", (256, 576, 1152, 2304, 4608, 9216)),
    Contender("scaleX640 x\u00a016", "scalex640", (640, 1280, 2560, 5120, 10240)),
    Contender("Atlas 950 SuperPoD", "atlas-950-superpod", (512, 1024, 2048, 4096, 8192)),
    Contender("GB200 NVL72 x\u00a0128", "gb200-nvl72", (288, 576, 1152, 2304, 4608, 9216), used=64),
)
QUICK = Space(
    micro_batches=(1, 2),
    recomputes=("none", "full"),
    zeros=(1, 3),
    context_modes=("ring",),
    splits_experts=False,
    shards=False,
    places=False,
)
RERANKED = 32
TRIED = 2
"""Fastest plans that every draw prices again, of those that fit in it."""
SHARES = (0.97, 0.94, 0.9, 0.85, 0.75, 0.6)
"""Shares of the memory for which a plan is at hand in draws that have less of it."""
LOW, HIGH = 5.0, 95.0
ENOUGH = 0.5
"""Share of the draws that must have an answer before a range is drawn."""
LETTERS_PER_INCH, NARROW = 17, 11
WIDTH = 11.5
GRID: dict[str, Any] = {"color": "#DDDDDD", "linewidth": 0.6}
PARTS = {
    "compute": LOOKS[0],
    "tensor": LOOKS[5],
    "context": LOOKS[2],
    "expert": LOOKS[1],
    "data": LOOKS[3],
    "pipeline": LOOKS[4],
    "bubble": Look("#F2F2F2", "..."),
    "optimizer": Look("#F0E442", "++"),
    "overhead": Look(GREY, ""),
}
"""Parts of a step by the name of their field, which they add up to."""
SAID = {
    "tensor": "exposed: tensor ranks",
    "context": "exposed: context ranks",
    "expert": "exposed: experts",
    "data": "exposed: data ranks",
    "pipeline": "exposed: pipeline",
    "bubble": "bubble",
    "optimizer": "optimizer",
    "overhead": "overhead and jitter",
}
ITEM_LOOKS = (*LOOKS, Look("#F0E442", "++"), Look("#F2F2F2", "..."), Look(GREY, ""))
THINNEST = 0.035
"""Share of an axis from which a part is labelled."""
ROW = ("picture", "model", "machine", "case", "chips", "metric", "value", "low", "high", "unit", "answered", "plan")


class Measure(NamedTuple):
    """What is said of a step: its name and unit."""

    name: str
    unit: str


SPEED, MFU = Measure("throughput", "tokens/s"), Measure("MFU", "1")
VALUES = (
    Measure("per chip", "tokens/s/chip"),
    Measure("per megawatt of the site", "tokens/s/MW"),
    Measure("per dollar, owned", "tokens/USD"),
)
TIME = Measure("step", "s")
MEASURES = (SPEED, MFU, *VALUES, TIME)


class Range(NamedTuple):
    """A value under the stated figures, 5 and 95 % of the draws that have an answer, and their share."""

    value: float
    low: float
    high: float
    answered: float


@dataclass(frozen=True, eq=False)
class Best:
    """The best step of a model on a slice under one reading; no step where nothing fits.

    ``part`` holds the chips that compute, ``chips`` are those that are bought; ``tried`` are the plans for the draws.
    """

    machine: Machine
    part: Slice
    chips: int
    found: Found
    tried: tuple[Plan, ...]

    @property
    def step(self) -> Step | None:
        """The fastest step."""
        return self.found.steps[0] if self.found.steps else None


@dataclass(frozen=True, eq=False)
class Point:
    """A model on so many chips of a machine: the best plan under the stated figures, and measures with ranges."""

    contender: Contender
    work: Work
    best: Best
    ranges: dict[Measure, Range]
    stack: str


class Study:
    """What a run is asked for, the rows of its table, kinds of the figures of all pictures, and its progress."""

    def __init__(self, out: Path, samples: int, seed: int, progress: Progress, *, is_quick: bool) -> None:
        self.out, self.samples, self.seed, self.is_quick = out, samples, seed, is_quick
        self.rows: list[tuple[Any, ...]] = []
        self.kinds: dict[str, str] = {}
        self.progress, self.task = progress, progress.add_task("", total=None)

    def each(self, what: str, things: Iterable[Any]) -> Iterator[Any]:
        """The things one by one, with a bar that shows how far they are."""
        kept = list(things)
        self.progress.reset(self.task, total=len(kept), description=what)
        for thing in kept:
            yield thing
            self.progress.advance(self.task)

    def keep(self, picture: str, point: Point, measure: Measure, value: Range | float, case: str = "bf16") -> None:
        """Add a row to the table."""
        found = value if isinstance(value, Range) else Range(value, value, value, 1.0)
        best = point.best
        names = (picture, point.work.label, point.contender.name, case, best.chips, measure.name)
        row = (*names, found.value, found.low, found.high, measure.unit, found.answered, best.step and best.step.plan)
        self.rows.append(tuple(cell(each) for each in row))

    def write(self, name: str, sheet: Sheet, lead: str) -> None:
        """Write a picture with its notes as PNG and SVG, the same bytes for the same numbers."""
        kinds = {kind: list(self.kinds.values()).count(kind) for kind in get_args(Kind)}
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        text = (
            f"{lead}Values: stated figures; ranges: 5–95 % of {self.samples} draws. scaleX640: "
            f"{topologies.entry('scalex640').reading} All in bf16. Rests on {len(self.kinds)} figures: {counts}."
        )
        sheet.supxlabel(wrapped(text, int(WIDTH * LETTERS_PER_INCH)), fontsize=7.5, x=0.01, ha="left")
        write_picture(self.out, name, sheet)


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description="Training mixtures of 1T and 10T parameters on four machines.")
    parser.add_argument("--out", type=Path, default=Path("trillion_parameter_training"), help="folder to write to")
    parser.add_argument("--samples", type=int, default=0, help="draws of every uncertain figure (default 64, or 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random streams")
    parser.add_argument("--quick", action="store_true", help="fewer draws, plans and sizes")
    given = parser.parse_args()
    samples = given.samples or (8 if given.quick else 64)
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, mpl.rc_context(STYLE):
        study = Study(given.out, samples, given.seed, progress, is_quick=given.quick)
        wanted = [
            (contender, work, chips)
            for work in WORKS
            for contender in CONTENDERS
            for chips in (contender.sizes[:: len(contender.sizes) - 1] if study.is_quick else contender.sizes)
        ]
        points = [point_of(study, *each) for each in study.each("searching plans and drawing", wanted)]
        whole = [point for point in points if point.best.chips == point.contender.sizes[-1]]
        for draw in (draw_scaling, draw_plans):
            draw(study, points if draw is draw_scaling else whole)
        for draw in (draw_where, draw_memory, draw_value):
            draw(study, whole)
        changes = [change for point in study.each("what changes it", whole) for change in changes_of(study, point)]
        write_table(given.out, ROW, study.rows)
    say(points, whole, changes)
    print(f"wrote 5 pictures and results.csv to {given.out}")


def point_of(study: Study, contender: Contender, work: Work, chips: int) -> Point:
    """The best plan of a model on so many chips, under the stated figures and in every draw."""
    weights = {each.name: each.weight for each in topologies.entry(contender.name).hypotheses}
    stack = topologies.machine(contender.name).stacks["training"]
    bests = {name: best_of(study, contender, work, chips, reading=name) for name in weights or [""]}
    touched: dict[str, Figure] = {}
    stated = []
    for best in bests.values():
        draw = Draw()
        stated.append(measured(work, best, draw))
        touched |= draw.touched
    study.kinds |= {key: figure.kind for key, figure in touched.items()}
    values = drawn_values(touched.values(), study.samples, study.seed)
    picks = drawn_hypotheses(weights, study.samples, study.seed, contender.name)
    drawn = np.array([measured(work, bests[pick], draw_number(values, i)) for i, pick in enumerate(picks)])
    ranges = {measure: _range(stated[0][at], drawn[:, at]) for at, measure in enumerate(MEASURES)}
    return Point(contender, work, next(iter(bests.values())), ranges, stack)


def best_of(
    study: Study,
    contender: Contender,
    work: Work,
    chips: int,
    *,
    reading: str = "",
    dtype: Dtype = "bf16",
    batch: int = 0,
) -> Best:
    """Search all plans, or some in a quick run; on racks of 72 also those that leave eight chips of each rack idle."""
    machine = topologies.machine(contender.name, reading)
    parts = [slice_of(machine, chips)]
    if contender.used:
        parts.append(slice_of(machine, parts[0].machines * contender.used, contender.used))
    stack = workloads.stack(machine.stacks["training"])
    bests = []
    for part in parts:
        found = search(
            program(workloads.model(work.model)),
            part,
            stack,
            sequence=SEQUENCE,
            batch=batch or batch_on(work, part.chips),
            dtype=dtype,
            top=TRIED,
            reranked=RERANKED,
            space=space_of(stack, QUICK if study.is_quick else None),
        )
        bests.append(Best(machine, part, chips, found, tried_of(found)))
    return max(bests, key=lambda best: best.step.tokens_per_s if best.step else 0.0)


def tried_of(found: Found) -> tuple[Plan, ...]:
    """The fastest plans, and the fastest of those that leave more and more memory free, in this order."""
    plans = [each.plan for each in found.steps]
    for share in SHARES:
        lean = (each for each in found.front if each.memory.needed_bytes <= share * each.memory.available_bytes)
        plans += [each.plan for each in sorted(lean, key=lambda each: each.seconds)[:1]]
    return tuple(dict.fromkeys(plans))


def batch_on(work: Work, chips: int) -> int:
    """Sequences of a step on so many chips: nines and fives in the chips stand in the batch too, up to a quarter more.

    A batch that is a power of two leaves these factors to the pipeline and to the context ranks.
    """
    odd = chips // (chips & -chips)
    return work.batch * odd // (1 << (odd.bit_length() - 1))


def measured(work: Work, best: Best, draw: Draw) -> list[float]:
    """Every measure of the fastest plan that fits under a draw; not a number where none does."""
    stack = workloads.stack(best.machine.stacks["training"])
    made = program(workloads.model(work.model))
    batch = batch_on(work, best.part.chips)
    steps = (step(made, plan, best.part, stack, sequence=SEQUENCE, batch=batch, draw=draw) for plan in best.tried)
    fitting = list(itertools.islice((each for each in steps if each.memory.fits), TRIED))
    if not fitting:
        return [math.nan] * len(MEASURES)
    found = min(fitting, key=lambda each: each.seconds)
    rate, mfu = found.tokens_per_s, found.mfu * best.part.chips / best.chips
    cost = price_work(best.machine, best.chips, rate, 1.0, draw)
    return [rate, mfu, rate / best.chips, cost.tokens_per_j * 1e6, rate / cost.cost_usd_per_s, found.seconds]


class Change(NamedTuple):
    """What another number format or batch does to the rate of a whole machine; nothing where no plan fits."""

    point: Point
    case: str
    ratio: float
    plan: str


def changes_of(study: Study, point: Point) -> Iterator[Change]:
    """What fp8, the plain batch, and all chips of each rack would change, where they differ from what was found."""
    contender, work = point.contender, point.work
    if point.best.machine.chip.dtype("fp8") == "fp8":
        yield _change(study, point, "fp8", contender, dtype="fp8")
    if batch_on(work, point.best.part.chips) != work.batch:
        fixed = f"a batch of {work.batch:,}"
        yield _change(study, point, fixed, contender, batch=work.batch)
    if contender.used:
        yield _change(study, point, "all chips of each rack", contender._replace(used=0))


def _change(study: Study, point: Point, case: str, contender: Contender, **asked: Any) -> Change:
    best = best_of(study, contender, point.work, point.best.chips, **asked)
    old, new = point.best.step, best.step
    if old is None or new is None:
        return Change(point, case, math.nan, "no plan fits")
    study.keep("findings", replace(point, best=best), SPEED, new.tokens_per_s, case)
    return Change(point, case, new.tokens_per_s / old.tokens_per_s, str(new.plan))


def draw_scaling(study: Study, points: list[Point]) -> None:
    """Tokens per second and MFU against chips, a column for each model."""
    sheet, grid = _sheet(7.4, 2, len(WORKS), sharex=True)
    for column, work in zip(grid.T, WORKS, strict=True):
        for i, contender in enumerate(CONTENDERS):
            curve = [point for point in points if (point.work, point.contender) == (work, contender)]
            for ax, measure in zip(column, (SPEED, MFU), strict=True):
                _line(ax, [(point.best.chips, point.ranges[measure]) for point in curve], i)
                for point in curve:
                    study.keep("scaling", point, measure, point.ranges[measure])
        for ax, label in zip(column, ("tokens/s, logarithmic", "MFU of bf16 peak, all chips bought"), strict=True):
            ax.set_xscale("log", base=2)
            ax.set_xlim(220, 12288)
            ax.xaxis.set_major_locator(ticker.FixedLocator([256, 512, 1024, 2048, 4096, 8192]))
            ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda chips, _: f"{chips:,.0f}"))
            ax.xaxis.set_minor_locator(ticker.NullLocator())
            ax.set_ylabel(label)
            ax.grid(**GRID)
        column[0].set_yscale("log")
        column[0].yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
        column[0].yaxis.set_minor_locator(ticker.NullLocator())
        column[0].yaxis.set_major_formatter(ticker.FuncFormatter(tick))
        column[1].set_ylim(0, None)
        column[1].yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
        column[0].set_title(_titled(work))
        column[1].set_xlabel("chips, logarithmic")
    _head(sheet, "Training as machines grow, the batch held", [_mark(i) for i in range(len(CONTENDERS))])
    study.write("scaling", sheet, "No point: no plan fits in memory in half of the draws. ")


def draw_where(study: Study, whole: list[Point]) -> None:
    """Where the time of the best step on whole machines goes."""
    sheet, grid = _sheet(6.4, len(WORKS), 1, sharex=True)
    for ax, work in zip(grid[:, 0], WORKS, strict=True):
        for row, point in enumerate(_of(whole, work)):
            found = point.best.step
            if found is None:
                ax.text(0.01, row, "no plan fits in memory", va="center")
                continue
            times = {part: float(getattr(found, f"{part}_s")) for part in PARTS}
            _stack(ax, row, {part: each / found.seconds for part, each in times.items()}, PARTS, 1.0, "{:.0%}")
            for part, seconds in times.items():
                study.keep("where", point, Measure(part, "s"), seconds)
            time, mfu = point.ranges[TIME], point.ranges[MFU]
            used = f", {point.best.part.chips:,} of {point.best.chips:,} chips" * (
                point.best.part.chips < point.best.chips
            )
            said = f"{time.value:.3g} s ({time.low:.3g}–{time.high:.3g}), MFU {mfu.value:.1%}{used}\n{found.plan}"
            ax.annotate(
                said, (1.0, row), (6, 0), textcoords="offset points", va="center", fontsize=7, annotation_clip=False
            )
        _bars(ax, work)
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    grid[-1, 0].set_xlabel("share of the step")
    _head(sheet, "Where the time of a step goes, whole machines", [swatch(PARTS[p], SAID.get(p, p)) for p in PARTS], 5)
    study.write("where", sheet, "")


def draw_memory(study: Study, whole: list[Point]) -> None:
    """What lies in the memory of the fullest chip."""
    sheet, grid = _sheet(6.0, len(WORKS), 1, sharex=True)
    names: list[str] = []
    widest = max(point.best.machine.chip.hbm.capacity.si for point in whole) / 1e9
    for ax, work in zip(grid[:, 0], WORKS, strict=True):
        for row, point in enumerate(_of(whole, work)):
            capacity = point.best.machine.chip.hbm.capacity.si / 1e9
            ax.plot([capacity] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=2)
            found = point.best.step
            if found is None:
                ax.text(0.01 * widest, row, "no plan fits in memory", va="center")
                continue
            items = {name: size / 1e9 for name, size in found.memory.items.items()}
            names = list(items)
            _stack(ax, row, items, dict(zip(items, ITEM_LOOKS, strict=True)), widest, "{:.0f}")
            free = found.memory.available_bytes / 1e9
            ax.plot([free] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=1, linestyle=":")
            for name, size in found.memory.items.items():
                study.keep("memory", point, Measure(name, "B"), size)
        _bars(ax, work)
        ax.set_xlim(0, 1.03 * widest)
    grid[-1, 0].set_xlabel("memory of the fullest chip [GB]")
    handles = [swatch(style, name) for name, style in zip(names, ITEM_LOOKS, strict=False)]
    _head(sheet, "What lies in the memory of the fullest chip, whole machines, best plans", handles, 5)
    study.write("memory", sheet, "Line: capacity; dotted: what the stack leaves for the step. ")


def draw_value(study: Study, whole: list[Point]) -> None:
    """Throughput of whole machines per chip, per megawatt and per dollar."""
    sheet, grid = _sheet(6.6, len(WORKS), len(VALUES), sharex=True)
    for row, work in zip(grid, WORKS, strict=True):
        for ax, measure in zip(row, VALUES, strict=True):
            for i, point in enumerate(_of(whole, work)):
                found = point.ranges[measure]
                study.keep("value", point, measure, found)
                if found.answered < ENOUGH or not math.isfinite(found.value):
                    continue
                reach = [[found.value - found.low], [found.high - found.value]]
                style: dict[str, Any] = {
                    "marker": MARKERS[i],
                    "color": look(i).colour,
                    "markersize": 7,
                    "markeredgecolor": INK,
                }
                ax.errorbar(i, found.value, reach, **style, ecolor=INK, capsize=4, elinewidth=1.1)
                ax.annotate(
                    tick(found.value), (i, found.value), (8, 0), textcoords="offset points", va="center", fontsize=7.5
                )
            ax.set_ylim(0, None)
            ax.set_title(f"{work.label}, {measure.name}")
            ax.set_ylabel(measure.unit)
            ax.yaxis.set_major_formatter(ticker.FuncFormatter(tick))
            ax.grid(axis="y", **GRID)
            ax.set_xticks(range(len(CONTENDERS)), [wrapped(each.label, NARROW) for each in CONTENDERS], fontsize=7.5)
            ax.set_xlim(-0.5, len(CONTENDERS) - 0.2)
    _head(sheet, "Throughput of whole machines per chip, per megawatt and per dollar", [])
    study.write("value", sheet, "Dollars: capital over its life, and energy; prices of machines are mostly assumed. ")


def draw_plans(study: Study, whole: list[Point]) -> None:
    """Time against memory of plans that fit, with those that no other beats in both."""
    sheet, grid = _sheet(6.6, len(WORKS), len(CONTENDERS))
    for row, work in zip(grid, WORKS, strict=True):
        for i, (ax, point) in enumerate(zip(row, _of(whole, work), strict=True)):
            found = point.best.found
            ax.set_title(f"{work.label}, {point.contender.label}", fontsize=9)
            if not len(found.cloud):
                ax.text(0.5, 0.5, "no plan fits in memory", ha="center", transform=ax.transAxes)
                continue
            ax.plot(found.cloud[:, 0], found.cloud[:, 1] / 1e9, ".", color=look(i).colour, ms=2.5, alpha=0.5, zorder=1)
            front = _unbeaten((each.seconds, each.memory.needed_bytes / 1e9) for each in found.front)
            ax.plot(*zip(*front, strict=True), color=INK, marker="o", ms=3, linewidth=0.9, drawstyle="steps-post")
            best = found.steps[0]
            ax.plot(best.seconds, best.memory.needed_bytes / 1e9, "*", color="#D55E00", mec=INK, ms=11, zorder=3)
            for metric, counted in (("plans considered", found.searched), ("plans too large", found.too_large)):
                study.keep("plans", point, Measure(metric, "1"), float(counted))
            shares = f"{found.searched:,} plans\n{found.too_large / found.searched:.0%} too large"
            ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
            place: dict[str, Any] = {"ha": "right", "va": "top", "transform": ax.transAxes, "zorder": 4}
            ax.text(0.98, 0.98, shares, **place, fontsize=7.5, bbox=ground)
            ax.set_xscale("log")
            ax.set_xlim(0.8 * best.seconds, 30 * best.seconds)
            ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
            ax.xaxis.set_major_formatter(ticker.FuncFormatter(tick))
            ax.xaxis.set_minor_locator(ticker.NullLocator())
            ax.set_ylim(0, None)
            ax.grid(**GRID)
    for ax in grid[-1]:
        ax.set_xlabel("step [s], logarithmic")
    for ax in grid[:, 0]:
        ax.set_ylabel("memory of the fullest chip [GB]")
    handles = [
        Line2D([], [], color=GREY, marker=".", linestyle="none", label="some of the plans that fit"),
        Line2D([], [], color=INK, marker="o", ms=3, label="plans that no other beats in both"),
        Line2D([], [], color="#D55E00", mec=INK, marker="*", ms=11, linestyle="none", label="the best plan"),
    ]
    _head(sheet, "Time against memory of plans, whole machines", handles)
    study.write("plans", sheet, "Left out: plans that take more than thirty times as long as the best. ")


def say(points: list[Point], whole: list[Point], changes: Iterable[Change | None]) -> None:
    """Print the findings: best plans, what does not fit, what another format or batch does."""
    out = Console(width=200, highlight=False)
    names = ("model", "machine", "chips", "plan", "step [s]", "5-95 %", "MFU", "tokens/s", "/chip", "/MW", "/USD")
    table = Table(*names, "stack", "maturity", title="Best plans on whole machines", title_justify="left")
    for point in whole:
        found, best = point.ranges, point.best
        if best.step is None:
            table.add_row(point.work.label, point.contender.name, f"{best.chips:,}", "none fits in memory")
            continue
        used = f"{best.part.chips:,} of " * (best.part.chips < best.chips) + f"{best.chips:,}"
        rates = [tick(found[measure].value) for measure in (SPEED, *VALUES)]
        time = found[TIME]
        cells = (point.work.label, point.contender.name, used, str(best.step.plan), f"{time.value:.3g}")
        ends = f"{time.low:.3g} to {time.high:.3g}"
        table.add_row(*cells, ends, f"{found[MFU].value:.1%}", *rates, point.stack, "plausible")
    out.print(table)
    for work in WORKS:
        counted = count(workloads.model(work.model))
        print(f"{_titled(work)}: {counted.parameters:.4g} parameters, all in bf16")
    for point in points:
        why = point.best.found.infeasible
        if why:
            gigabytes = f"{why.needed_bytes / 1e9:.0f} GB needed, {why.available_bytes / 1e9:.0f} GB available"
            where = f"{point.work.label} does not fit on {point.best.chips:,} chips of {point.contender.name}"
            print(f"{where}: {gigabytes}; {why.reason}")
    for change in filter(None, changes):
        where = f"{change.point.work.label} on {change.point.contender.name}, {change.case}"
        print(f"{where}: {number(change.ratio)} times the tokens/s of the table; {change.plan}")
    print("Maturity: nobody has published such a run on three of these machines, so all rows are plausible at most.")


def _range(stated: float, drawn: Any) -> Range:
    known = drawn[np.isfinite(drawn)]
    if not known.size:
        return Range(stated, stated, stated, 0.0)
    low, high = (float(end) for end in np.percentile(known, [LOW, HIGH]))
    return Range(stated, float(np.fmin(low, stated)), float(np.fmax(high, stated)), known.size / drawn.size)


def _unbeaten(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points of time and memory those that no other beats in both; their pipelines were run after the search."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def _of(points: list[Point], work: Work) -> list[Point]:
    return [point for point in points if point.work == work]


def _titled(work: Work) -> str:
    least, most = (batch_on(work, odd) for odd in (1, 5))
    return plain(
        f"{work.label} ({workloads.model(work.model).name}), {least:,} to {most:,} x {SEQUENCE:,} tokens a step"
    )


def _sheet(height: float, rows: int, columns: int, **shared: Any) -> tuple[Sheet, Any]:
    sheet = Sheet(figsize=(WIDTH, height), layout="constrained")
    return sheet, sheet.subplots(rows, columns, squeeze=False, **shared)


def _mark(i: int) -> Line2D:
    style: dict[str, Any] = {"color": look(i).colour, "linestyle": LINES[i], "marker": MARKERS[i]}
    return Line2D([], [], **style, label=CONTENDERS[i].label)


def _head(sheet: Sheet, title: str, handles: list[Any], columns: int = 4) -> None:
    """The title of a sheet, and under it one legend for all axes."""
    if not handles:
        sheet.suptitle(plain(title), fontsize=12, fontweight="bold", x=0.01, ha="left")
        return
    place: dict[str, Any] = {"loc": "outside upper left", "alignment": "left", "frameon": False}
    legend = sheet.legend(handles=handles, ncols=columns, title=plain(title), **place)
    legend.get_title().set(fontsize=12, fontweight="bold")


def _line(ax: Axes, curve: list[tuple[int, Range]], i: int) -> None:
    """A line with markers through the stated values, and the band of the draws."""
    kept = [(x, found) for x, found in curve if found.answered >= ENOUGH and math.isfinite(found.value)]
    xs = [x for x, _ in kept]
    colour = look(i).colour
    ax.fill_between(xs, [r.low for _, r in kept], [r.high for _, r in kept], color=colour, alpha=0.18, linewidth=0)
    ax.plot(xs, [r.value for _, r in kept], color=colour, linestyle=LINES[i], marker=MARKERS[i], markersize=5)


def _stack(ax: Axes, row: int, parts: dict[str, float], looks: dict[str, Look], whole: float, form: str) -> None:
    """Parts end to end, the wide ones with their size."""
    left = 0.0
    for name, width in parts.items():
        style: dict[str, Any] = {
            "color": looks[name].colour,
            "hatch": looks[name].hatch,
            "edgecolor": INK,
            "linewidth": 0.5,
        }
        ax.barh(row, width, 0.62, left=left, **style)
        if width >= THINNEST * whole:
            ground = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
            where = (left + width / 2, row)
            ax.text(*where, form.format(width), ha="center", va="center", fontsize=7.5, bbox=ground)
        left += width


def _bars(ax: Axes, work: Work) -> None:
    ax.set_yticks(range(len(CONTENDERS)), [each.label for each in CONTENDERS])
    ax.set_ylim(len(CONTENDERS) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", **GRID)
    ax.set_title(_titled(work))


if __name__ == "__main__":
    main()
