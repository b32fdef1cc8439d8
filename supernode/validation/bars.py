"""What predictions are held to: bars on sets of rows, met or missed; see the head of ``bars.toml``."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from simulator.files import read_toml
from simulator.machine import Entry
from supernode.validation.selection import Selection, picks
from supernode.validation.statistics import summary
from supernode.validation.sweeps import mean_order, sweeps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from supernode.validation.answers import Row

HERE = Path(__file__).parent


class Bar(Entry, frozen=True):
    """A bound on one number of a set of rows, or on that of each family of them."""

    name: str
    measure: Literal["mape", "inside_band", "kendall_tau", "predicted"]
    rows: Selection
    least: float | None = None
    most: float | None = None
    each_family: bool = False
    fewest: int = 1


class Bars(Entry, frozen=True):
    """All bars, in the order in which they are shown."""

    bar: tuple[Bar, ...]


@dataclass(frozen=True)
class Verdict:
    """A bar and what came out: ``value`` of ``count`` rows (of sweeps where they are ordered), and whether it holds.

    ``all_rows`` is the same number with rows whose configuration is incomplete.
    """

    name: str
    measure: str
    count: int
    value: float
    all_rows: float | None
    least: float | None
    most: float | None

    @property
    def is_met(self) -> bool:
        """Whether the value lies inside its bounds."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Every bar that the training rows among these can be held to."""
    training = [row for row in rows if row.case.kind == "training"]
    return [found for bar in _bars() for found in _judged(bar, training)]


def _judged(bar: Bar, rows: Sequence[Row]) -> Iterator[Verdict]:
    everyone = msgspec.structs.replace(bar.rows, is_complete=None)
    families: list[tuple[str, ...]] = [()]
    if bar.each_family:
        families = [(family,) for family in sorted({row.case.family for row in rows})]
    for family in families:
        complete, whole = (
            [row for row in rows if picks(msgspec.structs.replace(wanted, families=family or wanted.families), row)]
            for wanted in (bar.rows, everyone)
        )
        count, value = _measured(bar.measure, complete)
        if value is not None and count >= bar.fewest:
            name = f"{bar.name}: {family[0]}" if family else bar.name
            yield Verdict(name, bar.measure, count, value, _measured(bar.measure, whole)[1], bar.least, bar.most)


def _measured(measure: str, rows: Sequence[Row]) -> tuple[int, float | None]:
    """Rows (or sweeps) behind a number, and the number."""
    if measure == "kendall_tau":
        found = sweeps(rows)
        return len(found), mean_order(found)
    numbers = summary(rows)
    count = int(numbers["count"] or 0)
    if measure == "predicted":
        return len(rows), count / len(rows) if rows else None
    value = numbers[measure]
    return count, None if value is None else float(value)


@functools.cache
def _bars() -> tuple[Bar, ...]:
    return read_toml(HERE / "bars.toml", Bars).bar
