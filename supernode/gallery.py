"""The gallery: a picture of every machine, a page of what their graphs say by vendor, and one sheet of all.

The same catalogue gives the same bytes, so that the folder can be kept under version control and made again at will.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import topologies
from simulator.files import write_whole
from simulator.units import humanise
from supernode.plots.gallery import (
    LARGEST_PICTURE_BYTES,
    LARGEST_SHEET_BYTES,
    contact_sheet,
    packed,
    picture,
    thumbnail,
)

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.fabric import Fabric
    from simulator.figures import Figure
    from topologies.fabrics import MachineFabric
    from topologies.schema import MachineEntry

Tell = Callable[[str, int, int], None]
SHEET = "contact-sheet.png"
PAGE = "README.md"


@dataclass(frozen=True)
class Spread:
    """A quantity of a machine at its stated figures, and over their ranges and all readings of the machine."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Structure:
    """What the graph of a machine says about it.

    Parameters
    ----------
    name, title, vendor, reading : as the catalogue has them
    chips, switches, links : counts; ``links`` are physical ones [1]
    injection : what a chip can send at once, one direction [B/s]
    bisection_per_chip : least declared cut over the number of chips, one direction [B/s]; 0 for one chip
    cut : which cut that is
    all_to_all : what a chip can send when all send to all alike over shortest ways [B/s]; None where a machine is too
        large to ask from every chip
    diameter, mean_distance : edges between two chips [1]
    kind : how sure the bandwidth of a link is
    """

    name: str
    title: str
    vendor: str
    reading: str
    chips: int
    switches: int
    links: int
    injection: Spread
    bisection_per_chip: Spread
    cut: str
    all_to_all: Spread | None
    diameter: int
    mean_distance: float
    kind: str


def structure(name: str) -> Structure:
    """What the graph of a machine of the catalogue says, with ranges over its figures and readings."""
    from simulator.fabric import distances

    entry = topologies.entry(name)
    fabric = topologies.fabric(name)
    far = distances(fabric)
    stated, cut = _rates(fabric)
    ends = [_ends(entry, stated), *(_rewired(each.fabric) for each in entry.hypotheses if each.fabric is not None)]
    spreads = [
        Spread(value, min(low[i] for low, _ in ends), max(high[i] for _, high in ends))
        for i, value in enumerate(stated)
    ]
    return Structure(
        name=entry.name,
        title=entry.title,
        vendor=entry.vendor,
        reading=entry.reading,
        chips=fabric.chips,
        switches=fabric.switches,
        links=fabric.physical_links,
        injection=spreads[0],
        bisection_per_chip=spreads[1],
        cut=cut,
        all_to_all=spreads[2] if spreads[2].low > 0 else None,
        diameter=far.diameter,
        mean_distance=far.mean,
        kind=entry.fabric.link.bandwidth.kind,
    )


def structures(names: Sequence[str], tell: Tell) -> list[Structure]:
    """The same for several machines, by vendor and number of chips; ``tell`` hears what is being done."""
    found = []
    for done, name in enumerate(names):
        tell(f"measuring {name}", done, len(names))
        found.append(structure(name))
    return _in_order(found)


def write_gallery(names: Sequence[str], folder: Path, tell: Tell, *, is_whole: bool = True) -> list[Path]:
    """Draw machines into a folder; where ``is_whole``, write the page and the sheet of these machines too.

    Returns
    -------
    The files written.
    """
    from supernode.plots.topology import graph_of

    rows, thumbnails, paths = [], {}, []
    for done, name in enumerate(names):
        tell(f"drawing {name}", done, len(names))
        image = picture(graph_of(name))
        rows.append(structure(name))
        thumbnails[name] = thumbnail(image)
        paths.append(folder / f"{name}.png")
        write_whole(paths[-1], packed(image, LARGEST_PICTURE_BYTES))
    if is_whole:
        rows = _in_order(rows)
        paths += [folder / SHEET, folder / PAGE]
        sheet = contact_sheet({row.name: thumbnails[row.name] for row in rows})
        write_whole(paths[-2], packed(sheet, LARGEST_SHEET_BYTES))
        write_whole(paths[-1], page(rows).encode())
    tell("done", len(names), len(names))
    return paths


Rates = tuple[float, float, float]


def _rates(fabric: Fabric) -> tuple[Rates, str]:
    """Injection, bisection per chip and all-to-all bound [B/s], 0 for what is not known; and the cut."""
    from simulator.fabric import bisection, injection_bytes_per_s
    from simulator.structure import all_to_all_bytes_per_s, is_quick

    injection = injection_bytes_per_s(fabric)
    if fabric.chips == 1:
        return (injection, 0.0, 0.0), ""
    across, cut = bisection(fabric)
    bound = all_to_all_bytes_per_s(fabric) if is_quick(fabric) else 0.0
    return (injection, across / fabric.chips, bound), cut


def _ends(entry: MachineEntry, stated: Rates) -> tuple[Rates, Rates]:
    """Rates at both ends of the link's bandwidth, over all readings: every rate is in proportion to it."""
    path = "fabric.link.bandwidth"
    figures = [each.figures[path] for each in entry.hypotheses if path in each.figures]
    return _scaled(stated, entry.fabric.link.bandwidth, figures)


def _rewired(wiring: MachineFabric) -> tuple[Rates, Rates]:
    """Rates at both ends of the link's bandwidth where a reading has a fabric of its own."""
    from topologies.builders import builder_of

    return _scaled(_rates(builder_of(wiring).arrays(wiring))[0], wiring.link.bandwidth, [])


def _scaled(rates: Rates, stated: Figure, others: Sequence[Figure]) -> tuple[Rates, Rates]:
    least = min(figure.si_low for figure in (stated, *others)) / stated.si
    most = max(figure.si_high for figure in (stated, *others)) / stated.si
    first, second, third = rates
    return (first * least, second * least, third * least), (first * most, second * most, third * most)


def _in_order(rows: Sequence[Structure]) -> list[Structure]:
    return sorted(rows, key=lambda row: (row.vendor.casefold(), row.chips, row.name))


# --- the page ---------------------------------------------------------------------------------------------------------

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~$&])")

_HEAD = """# Machines

Every machine of the catalogue as the graph that the simulator builds: {count} machines of {vendors} vendors. The
numbers are computed from the graphs, not typed in; bandwidths are of one direction. A range covers those of the
figures and every reading of a machine that is not fully disclosed. *Bisection* is the least declared cut that halves
the chips; *all to all* is what a chip can send when all send to all over shortest ways, where the machine is not too
large to ask from every chip. `supernode topology NAME` says more of one machine; `supernode gallery --out DIR` makes
this page.

![All machines]({sheet})
"""


def page(rows: Sequence[Structure]) -> str:
    """The page of the gallery: machines by vendor, in tables and pictures."""
    parts = [_HEAD.format(count=len(rows), vendors=len({row.vendor for row in rows}), sheet=SHEET)]
    for vendor, group in groupby(rows, key=lambda row: row.vendor):
        own = list(group)
        parts.append(f"\n## {escaped(vendor)}\n")
        parts.append("| machine | chips | switches | links | injection of a chip | bisection per chip | all to all |")
        parts.append("|---|--:|--:|--:|--:|--:|--:|")
        parts += [_row(row) for row in own]
        for row in own:
            parts.append(f"\n### {escaped(row.title)}\n")
            far = f"Two chips are at most {row.diameter} edges apart, {row.mean_distance:.2f} on average"
            least = f"; least cut: {row.cut}" if row.cut else ""
            parts.append(f"`{row.name}`: link bandwidth {row.kind}. {far}{least}.")
            if row.reading:
                parts.append(f"\nReading: {escaped(row.reading)}")
            parts.append(f"\n![{escaped(row.title)}]({row.name}.png)")
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text as Markdown that shows it as it stands, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _row(row: Structure) -> str:
    cells = (f"[{escaped(row.name)}]({row.name}.png)", f"{row.chips:,}", f"{row.switches:,}", f"{row.links:,}")
    rates = (row.injection, row.bisection_per_chip, row.all_to_all or Spread(0.0, 0.0, 0.0))
    return f"| {' | '.join((*cells, *map(shown, rates)))} |"


def shown(spread: Spread) -> str:
    """A rate with its range where it has one: ``224 GB/s (216 GB/s to 448 GB/s)``."""
    if spread.value == 0 and spread.high == 0:
        return "–"
    value, low, high = (humanise(each, "B/s") for each in (spread.value, spread.low, spread.high))
    return value if low == high else f"{value} ({low} to {high})"
