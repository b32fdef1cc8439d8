"""A study of all-reduce and all-to-all on ten machines, against size and chips, and of torus against switch.

Four pictures and a table of their numbers:

* ``sizes-64``: bus bandwidth against the size of the message on 64 chips of every machine;
* ``sizes-whole``: the same on whole machines, and on 1,024 chips of those that are nodes on a network;
* ``chips``: bus bandwidth of large messages against the number of chips;
* ``crossover``: where a torus of three axes overtakes switches with as much bandwidth a chip, and where it falls behind
  again, in sizes and chips; then the same for a pod of Ironwood and scaleX640.

Run it with ``python benchmarks/studies/collectives_across_machines.py --out study``; it takes half a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.figure import Figure as Sheet
from results import cell, write_picture, write_table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import topologies
from simulator.collectives import Group, group_of, price_in
from simulator.errors import InputError
from simulator.figures import Draw, Figure, Kind, settle
from simulator.machine import Level, Link, Machine, Slice, Software, slice_of
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.plots.theme import INK, LINES, MARKERS, STYLE, byte_tick, look, plain, tick, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

FAMILIES = {
    "Tori": ("ironwood-9216", "tpu-v5p", "trn2-ultraserver"),
    "Supernodes of meshes and switches": ("cloudmatrix384", "atlas-950-superpod", "scalex640", "maia-200"),
    "GPUs on switches, nodes on a network": ("gb200-nvl72", "hgx-h100", "mi355x-8"),
}
POD, SCALEX = "ironwood-9216", "scalex640"
KINDS = ("all-reduce", "all-to-all")
SMALLEST, LARGEST = 10, 34
"""Sizes of messages are powers of two: 1 KiB to 16 GiB."""
SHOWN_BYTES = {"all-reduce": 2.0**30, "all-to-all": 2.0**26}
"""Size at which machines are compared as they grow [B]."""
PART = 64
NODES_TOGETHER = 1024
"""Chips of a "whole machine" where the machine is a node of a larger one."""
NODE = 16
"""Machines of up to so many chips are nodes."""
COUNTS = tuple(2**power for power in range(3, 15))
PAIR_COUNTS = COUNTS[3:-1]
NEAR = 0.35
"""A slice of a number of chips that differs from the one wanted by up to this part (of a doubling) stands for it."""
LOW, HIGH = 5.0, 95.0
ENOUGH = 0.5
"""Share of the draws that must have an answer before a range is drawn."""
LEAST_ODDS, MOST_ODDS = 0.05, 0.95
STEEPEST, DARK = 3, 0.6
"""Doublings of the ratio of times at which colours end, and the part of them from which numbers on them are white."""
EQUAL = 1.05
"""Up to this ratio two fabrics are as fast."""
LETTERS_PER_INCH = 17
LINKS, LINK_GB_PER_S = 6, 100
"""Links of a chip of the made-up fabrics, and what each carries one way."""
NODE_CHIPS, NARROWING = 8, 8
"""Chips of a node of the last of them, and by how much its links are wider than those beyond it."""
ROW = (
    *("picture", "kind", "machine", "case", "chips", "size_bytes"),
    *("metric", "value", "low", "high", "unit", "answered", "algorithm", "bottleneck"),
)


@dataclass(frozen=True, eq=False)
class Priced:
    """Times of one kind of collective at some sizes.

    Parameters
    ----------
    chips : of the group [1]
    stated_s : (sizes,) under the stated figures [s]
    draws_s : (draws, sizes) [s]; not a number where a reading of the machine has no such slice
    algorithms, bottlenecks : (sizes,) under the stated figures
    bus_bytes : (sizes,) bus bandwidth times seconds [B]
    """

    chips: int
    stated_s: Real
    draws_s: Real
    algorithms: tuple[str, ...]
    bottlenecks: tuple[str, ...]
    bus_bytes: Real

    @property
    def answered(self) -> float:
        """Share of the draws that have an answer [1]."""
        return float(np.isfinite(self.draws_s[:, 0]).mean())

    def busbw(self) -> tuple[Real, Real, Real]:
        """Bus bandwidth under the stated figures, and the ends of its range: (sizes,) each [B/s]."""
        slow, fast = (np.nanpercentile(self.draws_s, end, axis=0) for end in (HIGH, LOW))
        ends = self.bus_bytes / np.fmax(slow, self.stated_s), self.bus_bytes / np.fmin(fast, self.stated_s)
        return self.bus_bytes / self.stated_s, *ends


class Drawn(NamedTuple):
    """A group under the stated figures and under every draw, and the kinds of the figures that it rests on by key."""

    stated: Group
    draws: list[Group | None]
    kinds: dict[str, str]


@dataclass(frozen=True, eq=False)
class Controlled:
    """A made-up fabric: its levels at a number of chips."""

    name: str
    software: Software
    levels: Callable[[int], tuple[Level, ...]]

    def part(self, chips: int) -> Slice:
        """So many chips of it; what they compute with does not matter here."""
        machine = dataclasses.replace(topologies.machine("hgx-h100"), name=self.name, software=self.software)
        return Slice(machine, chips, 1, self.levels(chips))


class Study:
    """What a run is asked for, the rows of its table, kinds of the figures of a picture by key, and its progress."""

    def __init__(self, out: Path, samples: int, seed: int, progress: Progress, *, is_quick: bool) -> None:
        self.out, self.samples, self.seed, self.is_quick = out, samples, seed, is_quick
        self.sizes = 2.0 ** np.arange(SMALLEST, LARGEST + 1, 4 if is_quick else 1)
        self.rows: list[tuple[Any, ...]] = []
        self.kinds: dict[str, str] = {}
        self.progress, self.task = progress, progress.add_task("", total=None)
        self.known: dict[tuple[str, int], Drawn] = {}

    def each(self, what: str, things: Iterable[Any]) -> Iterable[Any]:
        """The things one by one, with a bar that shows how far they are."""
        kept = list(things)
        self.progress.reset(self.task, total=len(kept), description=what)
        for thing in kept:
            yield thing
            self.progress.advance(self.task)

    def keep(self, **cells: object) -> None:
        """Add a row to the table."""
        self.rows.append(tuple(cell(cells.get(name, "")) for name in ROW))

    def keep_curve(self, picture: str, kind: str, name: str, sizes: Sequence[float], found: Priced) -> None:
        """Add a row for every size."""
        for at, values in enumerate(zip(*found.busbw(), strict=True)):
            numbers = dict(zip(("value", "low", "high"), values, strict=True))
            said = {"algorithm": found.algorithms[at], "bottleneck": found.bottlenecks[at]}
            cells = {"picture": picture, "kind": kind, "machine": name, "chips": found.chips, "size_bytes": sizes[at]}
            self.keep(**cells, **numbers, **said, metric="busbw", unit="B/s", answered=found.answered)

    def write(self, name: str, sheet: Sheet) -> None:
        """Write a picture as PNG and SVG, the same bytes for the same numbers."""
        write_picture(self.out, name, sheet)

    def write_table(self) -> None:
        """Write the numbers of all pictures."""
        write_table(self.out, ROW, self.rows)


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description="All-reduce and all-to-all on ten machines; torus against switch.")
    parser.add_argument("--out", type=Path, default=Path("collectives_across_machines"), help="folder to write to")
    parser.add_argument("--samples", type=int, default=0, help="draws of every uncertain figure (default 64, or 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random streams")
    parser.add_argument("--quick", action="store_true", help="fewer draws and fewer sizes")
    given = parser.parse_args()
    samples = given.samples or (16 if given.quick else 64)
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, mpl.rc_context(STYLE):
        study = Study(given.out, samples, given.seed, progress, is_quick=given.quick)
        study_sizes(study, "sizes-64", f"{PART} chips", lambda machine: nearest(machine, PART))
        study_sizes(study, "sizes-whole", "whole machines", whole)
        study_chips(study)
        said = study_crossover(study)
        study.write_table()
    print("\n".join([*summary(study), *said, f"wrote 4 pictures and results.csv to {given.out}"]))


def whole(machine: Machine) -> int:
    """All chips of a machine, or of the cluster of nodes that stands for one."""
    return NODES_TOGETHER if machine.chips <= NODE else machine.chips


def nearest(machine: Machine, wanted: int) -> int:
    """The number of chips nearest to the one wanted that the machine, or several over its network, can have."""
    times = max(1, round(wanted / machine.chips))
    choices = machine.legal_chips if wanted < machine.chips else (times * machine.chips,)
    return min((each for each in choices if each > 1), key=lambda each: abs(math.log2(each / wanted)))


def study_sizes(study: Study, picture: str, where: str, chips: Callable[[Machine], int]) -> None:
    """Bus bandwidth against size, a panel for each kind and family."""
    sheet, grid = _panels(f"All-reduce and all-to-all against size, {where}")
    for column, at, name in study.each(f"sizes, {where}", _machines()):
        count = chips(topologies.machine(name))
        for kind, ax in zip(KINDS, grid[:, column], strict=True):
            found = priced(study, name, count, kind, study.sizes)
            study.keep_curve(picture, kind, name, study.sizes.tolist(), found)
            _curve(ax, study.sizes, found.busbw(), at, f"{name}, {count:,} chips")
            changes = [i for i in range(1, len(study.sizes)) if found.algorithms[i] != found.algorithms[i - 1]]
            ax.plot(study.sizes[changes], found.busbw()[0][changes], "o", color="white", mec=look(at).colour, ms=5)
    for ax in grid.flat:
        ax.xaxis.set_major_locator(ticker.LogLocator(base=32, numticks=12))
        ax.xaxis.set_major_formatter(ticker.FuncFormatter(byte_tick))
        ax.legend(loc="lower right", frameon=False, fontsize=7.5, handlelength=3)
    for ax in grid[-1]:
        ax.set_xlabel("size, as nccl-tests counts it")
    _notes(sheet, study, "Circles: from there on another algorithm of the library is the cheapest.")
    study.write(picture, sheet)


def study_chips(study: Study) -> None:
    """Bus bandwidth of large messages against chips, over the network beyond one machine."""
    sheet, grid = _panels("All-reduce and all-to-all as machines grow")
    counts = COUNTS[::3] if study.is_quick else COUNTS
    for column, at, name in study.each("growing machines", _machines()):
        machine = topologies.machine(name)
        wanted = {nearest(machine, count): count for count in counts} | {machine.chips: machine.chips}
        slices = [count for count, meant in sorted(wanted.items()) if abs(math.log2(count / meant)) <= NEAR]
        for kind, ax in zip(KINDS, grid[:, column], strict=True):
            size = np.array([SHOWN_BYTES[kind]])
            curve = [priced(study, name, count, kind, size) for count in slices if _slice(machine, count)]
            for found in curve:
                study.keep_curve("chips", kind, name, size.tolist(), found)
            bands = tuple(np.concatenate(each) for each in zip(*(found.busbw() for found in curve), strict=True))
            xs = np.array([found.chips for found in curve], dtype=np.float64)
            _curve(ax, xs, bands, at, f"{name}, {machine.chips:,} chips")
            style = {"linestyle": "none", "marker": MARKERS[at], "mec": look(at).colour, "ms": 5}
            for beyond, face in ((False, look(at).colour), (True, "white")):
                chosen = (xs > machine.chips) == beyond
                ax.plot(xs[chosen], bands[0][chosen], mfc=face, **style)
    for (kind, row), column in itertools.product(zip(KINDS, grid, strict=True), range(len(FAMILIES))):
        ax = row[column]
        ax.set_title(f"{kind}, {byte_tick(SHOWN_BYTES[kind])}\n{list(FAMILIES)[column]}", fontsize=9)
        ax.xaxis.set_major_locator(ticker.LogLocator(base=4, numticks=12))
        ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda chips, _: f"{chips:,.0f}"))
        ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 3.0, 5.0), numticks=12))
    for ax in grid[-1]:
        ax.legend(loc="lower left", frameon=False, fontsize=7.5, handlelength=3)
        ax.set_xlabel("chips, logarithmic")
    _notes(sheet, study, "Filled marks: slices of one machine; hollow ones: whole machines joined by their network.")
    study.write("chips", sheet)


def _machines() -> list[tuple[int, int, str]]:
    """Number of the family, number in it, and name of every machine."""
    return [(column, at, name) for column, names in enumerate(FAMILIES.values()) for at, name in enumerate(names)]


def study_crossover(study: Study) -> list[str]:
    """Ratio of times, torus over switches, against size and chips; what to say of it."""
    counts = PAIR_COUNTS[::3] if study.is_quick else PAIR_COUNTS
    torus, *switched = controlled_fabrics()
    pairs = [(torus, rival, [(count, count) for count in counts]) for rival in switched]
    real = [[nearest(topologies.machine(name), count) for count in counts] for name in (POD, SCALEX)]
    pairs.append((POD, SCALEX, list(zip(*real, strict=True))))
    sheet = Sheet(figsize=(11.5, 7.6), layout="constrained")
    grid = sheet.subplots(len(KINDS), len(pairs), sharex=True)
    said = []
    work = list(itertools.product(enumerate(KINDS), enumerate(pairs)))
    for (row, kind), (column, (first, second, chips)) in study.each("torus against switches", work):
        names = [each if isinstance(each, str) else each.name for each in (first, second)]
        ratios, odds = np.empty((2, len(chips), len(study.sizes)))
        for at, sides in enumerate(chips):
            one, other = (
                priced(study, each, count, kind, study.sizes)
                for each, count in zip((first, second), sides, strict=True)
            )
            ratios[at], odds[at] = one.stated_s / other.stated_s, _odds(one, other)
            cells = {"picture": "crossover", "kind": kind, "machine": " over ".join(names), "chips": one.chips}
            for i, size in enumerate(study.sizes.tolist()):
                case = {"case": f"{sides[0]} against {sides[1]} chips", "size_bytes": size, "unit": "1"}
                study.keep(**cells, **case, metric="ratio of times", value=float(ratios[at, i]))
                study.keep(**cells, **case, metric="share of draws in which the first is faster", value=odds[at, i])
            if at in (0, len(chips) // 2, len(chips) - 1):
                turns = _turns(study, ratios[at])
                said.append(f"{kind}, {names[0]} against {names[1]}, {_count(sides)} chips: {turns}")
        ax = grid[row, column]
        shades = _ratio_map(ax, study.sizes, ratios, odds)
        ax.set_title(f"{kind}: {names[0]}\nover {names[1]}", fontsize=9)
        ax.set_yticks(range(len(chips)), [_count(sides) for sides in chips])
        ax.set_ylabel("chips")
    for ax in grid[-1]:
        ax.set_xlabel("size, as nccl-tests counts it")
    bar = sheet.colorbar(shades, ax=grid, location="right", shrink=0.7, aspect=30, extend="both")
    bar.set_label("time on the torus over time on the switches, logarithmic")
    bar.ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda power, _: f"{2.0**power:g}"))
    _head(sheet, "Where a torus of three axes overtakes switches, and where it falls behind")
    lead = (
        "Numbers: ratio of times; solid line: equally fast under the stated figures; dotted: within 5 %; dashed: the "
        "torus is faster in 5 and in 95 % of the draws. Left and middle: every chip has 600 GB/s each way and the same "
        "software, figures assumed by the study. "
        "Right: nearest legal slices; beyond 640 chips whole scaleX640s on their network."
    )
    _notes(sheet, study, lead)
    study.write("crossover", sheet)
    return said


def priced(study: Study, what: str | Controlled, chips: int, kind: str, sizes: Real) -> Priced:
    """A collective on chips of a machine of the catalogue, whose readings are drawn by weight, or of a made-up one."""
    name = what if isinstance(what, str) else what.name
    if (name, chips) not in study.known:
        weights = {}
        if isinstance(what, str):
            weights = {each.name: each.weight for each in topologies.entry(what).hypotheses}
            machines = {reading: topologies.machine(what, reading) for reading in ("", *weights)}
            parts = {reading: _slice(machine, chips) for reading, machine in machines.items()}
        else:
            parts = {"": what.part(chips)}
        picks = drawn_hypotheses(weights, study.samples, study.seed, name)
        study.known[name, chips] = _drawn(study, parts[""], [parts[pick] for pick in picks])
    groups = study.known[name, chips]
    study.kinds |= groups.kinds
    stated = [price_in(groups.stated, kind, size) for size in sizes.tolist()]
    none = [math.nan] * len(sizes)
    return Priced(
        chips=chips,
        stated_s=np.array([each.seconds for each in stated]),
        draws_s=np.array(
            [
                none if group is None else [price_in(group, kind, size).seconds for size in sizes.tolist()]
                for group in groups.draws
            ]
        ),
        algorithms=tuple(each.algorithm for each in stated),
        bottlenecks=tuple(each.bottleneck for each in stated),
        bus_bytes=np.array([each.busbw_bytes_per_s * each.seconds for each in stated]),
    )


def _drawn(study: Study, stated: Slice | None, picked: list[Slice | None]) -> Drawn:
    """The chips of slices, one for each draw, as groups."""
    assert stated is not None
    touched: dict[str, Figure] = {}
    for part in {id(each): each for each in (stated, *picked) if each is not None}.values():
        draw = Draw()
        group_of(part, draw)
        touched |= draw.touched
    values = drawn_values(touched.values(), study.samples, study.seed)
    return Drawn(
        group_of(stated),
        [None if part is None else group_of(part, draw_number(values, i)) for i, part in enumerate(picked)],
        {key: figure.kind for key, figure in touched.items()},
    )


def _slice(machine: Machine, chips: int) -> Slice | None:
    """So many chips of a machine or of several; nothing where a reading or the network does not allow it."""
    try:
        return slice_of(machine, chips)
    except InputError:
        return None


def controlled_fabrics() -> tuple[Controlled, ...]:
    """A torus of cubes, switches that never block, and nodes on a network of an eighth of the bandwidth inside."""
    start = _assumed("start", 1, "us", 0.5, 3, "Software for each step, the same on all.")
    fraction = _assumed("fraction", 0.9, "1", 0.8, 0.95, "What large messages reach, the same on all.")
    wide = _assumed("bandwidth", LINK_GB_PER_S, "GB/s", LINK_GB_PER_S, LINK_GB_PER_S, "Round.")
    launch = _assumed("collective-launch", 5, "us", 2, 15, "As libraries on GPUs, the same on all.")
    torus, switch = (
        Link(family="wire", bandwidth=wide, latency=latency, fraction=fraction, start=start)
        for latency in (
            _assumed("torus-hop", 1, "us", 0.5, 1.5, "As inter-chip links of TPUs."),
            _assumed("switch-hop", 0.5, "us", 0.25, 1, "Half of the way through one switch."),
        )
    )
    software = Software(collective_launch=launch)

    def axes(chips: int) -> tuple[Level, ...]:
        sides = [4, 4, 4]
        while math.prod(sides) < chips:
            sides[sides.index(min(sides))] *= 2
        return tuple(Level(f"torus-{at}", "axis", side, torus, 1.0, 1, wraps=True) for at, side in enumerate(sides))

    def flat(chips: int) -> tuple[Level, ...]:
        return (Level("switches", "switch", chips, switch, float(LINKS), 2),)

    def nodes(chips: int) -> tuple[Level, ...]:
        inside = Level("node", "switch", NODE_CHIPS, switch, float(LINKS), 2)
        return inside, Level("network", "switch", chips // NODE_CHIPS, switch, LINKS / NARROWING, 4)

    return (
        Controlled("torus", software, axes),
        Controlled("switches that never block", software, flat),
        Controlled(f"nodes of {NODE_CHIPS}, {NARROWING}:1 beyond", software, nodes),
    )


def _assumed(name: str, value: float, unit: str, low: float, high: float, note: str) -> Figure:
    stated = Figure(value=value, unit=unit, low=low, high=high, kind="assumed", note=note)
    dimension = {"us": "s", "1": "1", "GB/s": "bytes_per_s"}[unit]
    return settle(stated, f"study/{name}", dimension, "study")


def _odds(one: Priced, other: Priced) -> Real:
    """Share of the draws that have an answer on both in which the first is faster: (sizes,) [1]."""
    known = np.isfinite(one.draws_s) & np.isfinite(other.draws_s)
    found: Real = (known & (one.draws_s < other.draws_s)).sum(axis=0) / np.fmax(known.sum(axis=0), 1)
    return found


def _turns(study: Study, ratios: Real) -> str:
    """In words, from which sizes on the first is faster, as fast or slower."""
    words = np.where(ratios < 1 / EQUAL, "faster", np.where(ratios > EQUAL, "slower", "as fast"))
    steps = [i for i in range(len(words)) if i == 0 or words[i] != words[i - 1]]
    said = [f"{words[i]} from {byte_tick(study.sizes[i])}" if i else str(words[0]) for i in steps]
    return f"{', '.join(said)} (time {ratios[0]:.2g} to {ratios[-1]:.2g} times)"


def summary(study: Study) -> list[str]:
    """A line for each machine: bus bandwidth of large messages on all of it."""
    said = []
    for name in itertools.chain.from_iterable(FAMILIES.values()):
        chips = whole(topologies.machine(name))
        parts = []
        for kind in KINDS:
            found = priced(study, name, chips, kind, np.array([SHOWN_BYTES[kind]]))
            value, low, high = (each[0] / 1e9 for each in found.busbw())
            size = byte_tick(SHOWN_BYTES[kind])
            parts.append(f"{kind} of {size} {value:,.0f} GB/s ({low:,.0f} to {high:,.0f}), {found.algorithms[0]}")
        said.append(f"{name}, {chips:,} chips: {'; '.join(parts)}")
    return said


def _panels(title: str) -> tuple[Sheet, Any]:
    """A sheet with a row for each kind and a column for each family; bus bandwidth upwards, one scale in a row."""
    sheet = Sheet(figsize=(11.5, 8.4), layout="constrained")
    grid = sheet.subplots(len(KINDS), len(FAMILIES), sharex=True, sharey="row")
    for kind, row in zip(KINDS, grid, strict=True):
        for family, ax in zip(FAMILIES, row, strict=True):
            ax.set_title(f"{kind}\n{family}", fontsize=9)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.grid(color="#DDDDDD", linewidth=0.6)
            ax.xaxis.set_minor_locator(ticker.NullLocator())
            ax.yaxis.set_minor_locator(ticker.NullLocator())
            ax.yaxis.set_major_formatter(ticker.FuncFormatter(tick))
        row[0].set_ylabel("bus bandwidth [B/s], logarithmic")
    _head(sheet, title)
    return sheet, grid


def _curve(ax: Axes, xs: Real, found: tuple[Real, Real, Real], at: int, label: str) -> None:
    """A line with the band of the draws."""
    value, low, high = found
    ax.fill_between(xs, low, high, color=look(at).colour, alpha=0.18, linewidth=0)
    ax.plot(xs, value, LINES[at % len(LINES)], color=look(at).colour, linewidth=1.8, label=plain(label))


def _ratio_map(ax: Axes, sizes: Real, ratios: Real, odds: Real) -> Any:
    """Shades of a ratio over sizes and rows of chips, with lines where it is one and where odds are long."""
    powers, rows = np.log2(sizes), np.arange(len(ratios))
    limits = {"vmin": -STEEPEST, "vmax": STEEPEST}
    shades = ax.pcolormesh(powers, rows, np.log2(ratios), cmap="PuOr", shading="nearest", rasterized=True, **limits)
    lines = [(np.log2(ratios), 0.0, "-", 1.8), (np.log2(ratios), math.log2(EQUAL), ":", 1.2)]
    lines += [(odds, level, "--", 1.0) for level in (LEAST_ODDS, MOST_ODDS)]
    for values, level, style, width in lines:
        if values.min() < level < values.max():
            ax.contour(powers, rows, values, levels=[level], colors=INK, linewidths=width, linestyles=style)
    apart = max(len(sizes) // 5, 1)
    for at, i in itertools.product(rows, range(apart // 2, len(sizes), apart)):
        is_dark = abs(math.log2(ratios[at, i])) > DARK * STEEPEST
        ink, ground = ("white", INK) if is_dark else (INK, "white")
        style = {"ha": "center", "va": "center", "fontsize": 7, "color": ink}
        text = ax.text(powers[i], at, f"{ratios[at, i]:.2g}", **style)
        text.set_path_effects([patheffects.withStroke(linewidth=2, foreground=ground, alpha=0.7)])
    ax.xaxis.set_major_locator(ticker.MultipleLocator(5))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda power, _: byte_tick(2.0**power)))
    return shades


def _count(sides: tuple[int, int]) -> str:
    """Chips of both sides, once where they are the same."""
    return f"{sides[0]:,}" if sides[0] == sides[1] else f"{sides[0]:,} : {sides[1]:,}"


def _head(sheet: Sheet, title: str) -> None:
    """The title of a sheet."""
    sheet.suptitle(plain(title), fontsize=12, fontweight="bold", x=0.01, ha="left")


def _notes(sheet: Sheet, study: Study, lead: str) -> None:
    """What every picture must say: marks, ranges, and what kinds of figures it rests on."""
    kinds = {kind: list(study.kinds.values()).count(kind) for kind in get_args(Kind)}
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    ranges = f"Values: stated figures; ranges: 5–95 % of {study.samples} draws of figures and readings."
    text = f"{lead} {ranges} Rests on {len(study.kinds)} figures: {counts}."
    letters = int(sheet.get_figwidth() * LETTERS_PER_INCH)
    sheet.supxlabel(wrapped(text, letters), fontsize=7.5, x=0.01, ha="left")
    study.kinds.clear()


if __name__ == "__main__":
    main()
