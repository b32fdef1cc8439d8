"""Holds the whole catalogue against itself and against what others publish: sources, counts of the graphs, totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.figures import Figure, figures_of
from simulator.machine import Chip
from topologies import load
from topologies.schema import MachineEntry, Published

ROUNDING = 0.02
"""How far a published total may lie outside the range of chips times the figure of a chip: totals are rounded."""


@dataclass(frozen=True)
class Finding:
    """One thing that was held against another: of ``subject``, ``what``, whether it holds, and the two numbers."""

    subject: str
    what: str
    holds: bool
    detail: str


def audit(*machines: str) -> Iterator[Finding]:
    """Every check over these machines (names or files), or over every file of the catalogue if none is named.

    Raises
    ------
    simulator.errors.InputError : a file breaks the rules that reading it checks
    """
    if not machines:
        yield from _files()
    for name in machines or load.names("machines"):
        entry = load.entry(name)
        yield _sourced(f"machine {entry.name}", list(figures_of(entry)))
        if entry.published is not None:
            yield from _counts(entry, entry.published)
            yield from _totals(entry, entry.published, load.machine(name).chip)


def _files() -> Iterator[Finding]:
    """The figures of all chips, networks and shared entries, and whether every source is used by something."""
    chips = {name: list(figures_of(load.undisclosed(name) or load.chip(name))) for name in load.names("chips")}
    networks = {name: list(figures_of(load.network_entry(name))) for name in load.names("networks")}
    machines = {name: list(figures_of(load.entry(name))) for name in load.names("machines")}
    shared = {
        f"{kind}/{name}": list(figures_of(load.shared(kind, name))) for kind in load.SHARED for name in load.names(kind)
    }
    for kind, files in (("chip", chips), ("network", networks)):
        for name, figures in files.items():
            yield _sourced(f"{kind} {name}", figures)
    all_files = (chips, networks, machines, shared)
    figures = [figure for files in all_files for each in files.values() for figure in each]
    used = {each.source for figure in figures for each in (figure, *figure.others)}
    unused = sorted(set(load.sources()) - used)
    detail = f"unused: {', '.join(unused)}" if unused else f"{len(load.sources())} sources, all used"
    yield Finding("sources.toml", "every source is used", not unused, detail)


def _sourced(subject: str, figures: list[Figure]) -> Finding:
    """Reading has checked each figure's source and range; what is left is to count them."""
    assumed = sum(figure.kind == "assumed" for figure in figures)
    detail = f"{len(figures) - assumed} from sources, {assumed} assumed"
    return Finding(subject, "figures sourced or assumed", bool(figures), detail)


def _counts(entry: MachineEntry, published: Published) -> Iterator[Finding]:
    from topologies.builders import builder_of

    graph = builder_of(entry.fabric).graph(entry.fabric)
    kinds = [str(data["kind"]) for _, data in graph.nodes(data=True)]
    built = {
        "chips": kinds.count("chip"),
        "switches": kinds.count("switch"),
        "edges": graph.number_of_edges(),
        "links": sum(int(data["links"]) for _, _, data in graph.edges(data=True)),
    }
    subject = f"machine {entry.name}"
    for what, count in built.items():
        stated = getattr(published, what)
        if stated is not None:
            yield Finding(subject, what, stated == count, f"published {stated:,}, built {count:,}")
    if published.injection is not None:
        chip = next(node for node, data in graph.nodes(data=True) if data["kind"] == "chip")
        rate = sum(data["bandwidth_bytes_per_s"] * data["links"] for _, _, data in graph.edges(chip, data=True))
        yield _compared(subject, "injection", published.injection, rate, rate)


def _totals(entry: MachineEntry, published: Published, chip: Chip) -> Iterator[Finding]:
    subject = f"machine {entry.name}"
    pairs = [(f"peak {dtype}", stated, chip.peak.get(dtype)) for dtype, stated in published.peak.items()]
    pairs.append(("memory", published.memory, chip.hbm.capacity))
    pairs.append(("memory bandwidth", published.memory_bandwidth, chip.hbm.bandwidth))
    for what, stated, each in pairs:
        if each is None:
            yield Finding(subject, what, holds=False, detail=f"published, but {chip.name} has none")
        elif stated is not None:
            yield _compared(subject, what, stated, entry.chips * each.si_low, entry.chips * each.si_high)


def _compared(subject: str, what: str, stated: Figure, low: float, high: float) -> Finding:
    """Whether the published range and ours meet, but for rounding."""
    from simulator.units import DISPLAY, humanise

    unit = DISPLAY[stated.dimension]
    holds = stated.si_low * (1 - ROUNDING) <= high and low <= stated.si_high * (1 + ROUNDING)
    ours = humanise(low, unit) if low == high else f"{humanise(low, unit)} to {humanise(high, unit)}"
    return Finding(subject, what, holds, f"published {humanise(stated.si, unit)}, ours {ours}")
