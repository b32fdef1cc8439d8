"""Holds the whole catalogue against itself and against what others publish: sources, counts of the graphs, totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.compute.chip import WIDTH_BYTES
from simulator.figures import Figure, figures_of
from simulator.machine import Chip
from topologies import load
from topologies.hypotheses import under
from topologies.schema import MachineEntry, Published
from topologies.spreads import spreads

ROUNDING = 0.02
"""How far a published total may lie from chips times the figure of a chip without a note that says why: totals are
rounded. A range may lie this far outside of ours."""

FLOP_PER_ELEMENT = (128.0, 1600.0)
"""Least and most FLOP that a peak makes of each number that the memory delivers, where nobody says why it is otherwise.

A chip of half the width a number makes twice the FLOP a byte, so one band serves all dtypes: it is this one over the
bytes of a number. It is the spread of the chips whose peak and bandwidth are both measured or announced: the ends lie
one and a half times the ratio of the quartiles (in logarithms) beyond the quartiles, which is Tukey's rule for what is
an outlier, and are rounded. A test holds them to the chips of the catalogue.

Numbers of more than two bytes have no least: chips made for AI compute with them on the side, some hardly at all.
"""
WIDEST_BYTES = 2.0
"""Bytes of the widest number that chips made for AI are made for."""

OUTLIER = "FLOP per byte"
"""The words with which the note of a peak, of a bandwidth or of a chip says why a chip lies outside of the band."""


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
        entry, chip = load.entry(name), load.machine(name).chip
        subject = f"machine {entry.name}"
        yield from _sourced(subject, list(figures_of(entry)))
        if machines:
            yield from _plausible(f"chip {chip.name}", chip)
        for hypothesis in entry.hypotheses:
            if any(path.startswith("chip.") for path in hypothesis.figures):
                yield from _plausible(f"{subject} as {hypothesis.name}", under(hypothesis, entry, chip)[1])
        if entry.published is not None:
            yield from _counts(entry, entry.published)
            yield from _totals(entry, entry.published, chip)


def _files() -> Iterator[Finding]:
    """The figures of all chips, networks and shared entries, and whether every source is used by something."""
    nodes: dict[str, Any] = {f"chip {name}": load.undisclosed(name) or load.chip(name) for name in load.names("chips")}
    nodes |= {f"network {name}": load.network_entry(name) for name in load.names("networks")}
    nodes |= {f"{kind} {name}": load.shared(kind, name) for kind in load.SHARED for name in load.names(kind)}
    nodes |= {f"spread of {name}": entry for name, entry in spreads().items()}
    figures = [figure for name in load.names("machines") for figure in figures_of(load.entry(name))]
    for subject, node in nodes.items():
        own = list(figures_of(node))
        figures += own
        yield from _sourced(subject, own)
        if isinstance(node, Chip):
            yield from _plausible(subject, node)
    used = {figure.source for figure in figures} | {other.source for figure in figures for other in figure.others}
    unused = sorted(set(load.sources()) - used)
    detail = f"unused: {', '.join(unused)}" if unused else f"{len(load.sources())} sources, all used"
    yield Finding("sources.toml", "every source is used", not unused, detail)


def _sourced(subject: str, figures: list[Figure]) -> Iterator[Finding]:
    """Reading has checked each figure's source, range and choice; what is left is to count them."""
    assumed = sum(figure.kind == "assumed" for figure in figures)
    detail = f"{len(figures) - assumed} from sources, {assumed} assumed"
    yield Finding(subject, "figures sourced or assumed", bool(figures), detail)
    disputed = [figure for figure in figures if figure.others]
    if disputed:
        stated = [(figure, figure.si_of(other)) for figure in disputed for other in figure.others]
        outside = sum(not figure.si_low <= value <= figure.si_high for figure, value in stated)
        reasons = all(figure.choice for figure in disputed)
        detail = f"{len(stated)} stated otherwise of {len(disputed)} figures, {outside} outside the range"
        yield Finding(subject, "choices have reasons", reasons, detail)


def _plausible(subject: str, chip: Chip) -> Iterator[Finding]:
    """Whether each peak and the bandwidth of the memory are in proportion, or a note says why they are not."""
    bandwidth = chip.hbm.bandwidth
    for dtype, peak in chip.peak.items():
        ratio = peak.si / bandwidth.si
        width = WIDTH_BYTES[dtype]
        low, high = (end / width for end in FLOP_PER_ELEMENT)
        low = low if width <= WIDEST_BYTES else 0.0
        is_usual = low <= ratio <= high
        note = next((each for each in (peak.note, bandwidth.note, chip.note) if OUTLIER in each), "")
        detail = f"{ratio:,.4g}, usual {low:g} to {high:,g}"
        if not is_usual:
            detail += f"; {note}" if note else f"; correct it, or say why with the words {OUTLIER!r} in a note"
        yield Finding(subject, f"{OUTLIER} in {dtype}", is_usual or bool(note), detail)


def _counts(entry: MachineEntry, published: Published) -> Iterator[Finding]:
    from simulator.fabric import capacities, chips_of, row_sums
    from topologies.builders import builder_of

    fabric = builder_of(entry.fabric).arrays(entry.fabric)
    built = {
        "chips": fabric.chips,
        "switches": fabric.switches,
        "edges": fabric.edges,
        "links": fabric.physical_links,
    }
    subject = f"machine {entry.name}"
    for what, count in built.items():
        stated = getattr(published, what)
        if stated is not None:
            yield Finding(subject, what, stated == count, f"published {stated:,}, built {count:,}")
    if published.injection is not None:
        rates = row_sums(fabric, capacities(fabric))
        rate = float(rates[chips_of(fabric)][0])
        yield _compared(subject, "injection", published.injection, (rate, rate, rate))


def _totals(entry: MachineEntry, published: Published, chip: Chip) -> Iterator[Finding]:
    subject = f"machine {entry.name}"
    pairs = [(f"peak {dtype}", stated, chip.peak.get(dtype)) for dtype, stated in published.peak.items()]
    pairs.append(("memory", published.memory, chip.hbm.capacity))
    pairs.append(("memory bandwidth", published.memory_bandwidth, chip.hbm.bandwidth))
    for what, stated, each in pairs:
        if each is None:
            yield Finding(subject, what, holds=False, detail=f"published, but {chip.name} has none")
        elif stated is not None:
            low, value, high = (entry.chips * number for number in (each.si_low, each.si, each.si_high))
            yield _compared(subject, what, stated, (low, value, high))


def _compared(subject: str, what: str, stated: Figure, ours: tuple[float, float, float]) -> Finding:
    """Whether the published range and ours (low, value, high) meet, and the values too or a note says why not."""
    from simulator.units import DISPLAY, humanise

    low, value, high = ours
    unit = DISPLAY[stated.dimension]
    meets = stated.si_low * (1 - ROUNDING) <= high and low <= stated.si_high * (1 + ROUNDING)
    agrees = abs(stated.si - value) <= ROUNDING * value
    span = humanise(value, unit) if low == high else f"{humanise(low, unit)} to {humanise(high, unit)}"
    detail = f"published {humanise(stated.si, unit)}, ours {span}"
    reason = stated.note or stated.choice
    if not meets:
        detail += "; the ranges do not meet: correct or widen one of them"
    elif not agrees:
        detail += f"; {reason}" if reason else "; correct one of them, or say in a note why they differ"
    return Finding(subject, what, meets and (agrees or bool(reason)), detail)
