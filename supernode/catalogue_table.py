"""The whole catalogue as one table: a row for every figure, for every reading's figure, and for what others state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.figures import Figure, Other
from simulator.units import DISPLAY
from supernode import entries
from supernode.entries import Shown

COLUMNS = {
    "entry": "kind and name of what the figure belongs to; what machines share has rows of its own",
    "path": "the figure's place in its file; others[N] is what the Nth other source states in its place",
    "value": "in SI base units",
    "low": "low end of the range in SI base units; empty for what another source states",
    "high": "high end of the range in SI base units; empty for what another source states",
    "unit": "the SI base unit",
    "kind": "measured, announced, estimated, derived or assumed (which has no source)",
    "source": "id of the source, see supernode catalogue sources",
    "locator": "where in the source",
    "date": "of the statement, where it is not that of the source",
    "note": "what else is to know, and why an assumed figure is what it is",
    "stands": "chosen, other, hypothesis:NAME, or other:NAME for what stands beside a figure of a hypothesis",
    "stated": "the value as it was stated",
    "stated_low": "low end of the range in the unit as stated",
    "stated_high": "high end of the range in the unit as stated",
    "stated_unit": "the unit as stated",
    "choice": "why the value was taken before what the other sources state",
    "source_title": "title of the source",
    "source_url": "address of the source",
}
"""Column -> what it holds."""

CHOSEN, OTHER, HYPOTHESIS = "chosen", "other", "hypothesis"


@dataclass(frozen=True)
class Row:
    """One number and who states it; see :data:`COLUMNS`."""

    entry: str
    path: str
    value: float
    low: float | None
    high: float | None
    unit: str
    kind: str
    source: str
    locator: str
    date: str
    note: str
    stands: str
    stated: float
    stated_low: float | None
    stated_high: float | None
    stated_unit: str
    choice: str
    source_title: str
    source_url: str

    @property
    def is_figure(self) -> bool:
        """Whether this is a figure rather than what another source states in the place of one."""
        return self.stands.partition(":")[0] != OTHER

    @property
    def cells(self) -> tuple[str | float, ...]:
        """The row in the order of :data:`COLUMNS`, with nothing where there is nothing to say."""
        return tuple("" if cell is None else cell for cell in dataclasses.astuple(self))


def rows() -> Iterator[Row]:
    """Every figure of the catalogue once, and below each what other sources state in its place."""
    return rows_of(entries.everything())


def rows_of(shown: Iterable[Shown]) -> Iterator[Row]:
    """The figures of these entries; one that several share has one row, that of the entry which its key begins with."""
    seen = set()
    for each in shown:
        for figure in each.figures.values():
            if figure.key in seen:
                continue
            seen.add(figure.key)
            kind, name, path = figure.key.split("/", 2)
            yield from _rows(f"{kind} {name}", path, "", figure, each)
        for reading in each.readings:
            for path, figure in reading.figures.items():
                yield from _rows(f"{each.kind} {each.name}", path, reading.name, figure, each)


def _rows(entry: str, path: str, reading: str, figure: Figure, shown: Shown) -> Iterator[Row]:
    """The row of a figure and those of what other sources state in its place."""
    yield Row(
        entry=entry,
        path=path,
        value=figure.si,
        low=figure.si_low,
        high=figure.si_high,
        unit=DISPLAY[figure.dimension],
        kind=figure.kind,
        source=figure.source,
        locator=figure.locator,
        date=figure.date,
        note=figure.note,
        stands=f"{HYPOTHESIS}:{reading}" if reading else CHOSEN,
        stated=figure.value,
        stated_low=figure.low,
        stated_high=figure.high,
        stated_unit=figure.unit,
        choice=figure.choice,
        **_source(figure, shown),
    )
    for index, other in enumerate(figure.others):
        yield Row(
            entry=entry,
            path=f"{path}.others[{index}]",
            value=figure.si_of(other),
            low=None,
            high=None,
            unit=DISPLAY[figure.dimension],
            kind=other.kind,
            source=other.source,
            locator=other.locator,
            date=other.date,
            note=other.note,
            stands=f"{OTHER}:{reading}" if reading else OTHER,
            stated=other.value,
            stated_low=None,
            stated_high=None,
            stated_unit=other.unit or figure.unit,
            choice="",
            **_source(other, shown),
        )


def _source(stated: Figure | Other, shown: Shown) -> dict[str, str]:
    source = shown.sources.get(stated.source)
    return {"source_title": source.title if source else "", "source_url": source.url if source else ""}
