"""Why predictions miss where they do: reasons are data, counted on rows that they are about; see ``misses.toml``."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.files import read_toml
from simulator.machine import Entry
from supernode.validation.selection import Selection, picks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supernode.validation.answers import Row

HERE = Path(__file__).parent
FAR = 0.2
"""Error beyond which a row is called a miss [1]."""
REST = "all other rows"


class Miss(Entry, frozen=True):
    """Rows that are missed together, and why."""

    name: str
    why: str
    rows: Selection


class Misses(Entry, frozen=True):
    """All reasons, in the order in which they are tried; a row counts under the first that is about it."""

    miss: tuple[Miss, ...]


@dataclass(frozen=True)
class Explained:
    """A reason, the predicted rows that it is about, and how many of them are missed by more than :data:`FAR`."""

    name: str
    why: str
    rows: tuple[Row, ...]

    @property
    def far(self) -> int:
        """Rows that are missed."""
        return sum(abs(row.error or 0.0) > FAR for row in self.rows)


def explained(rows: Sequence[Row]) -> list[Explained]:
    """Every predicted training row under its reason; those of none come last."""
    reasons = _misses()
    found: list[list[Row]] = [[] for _ in range(len(reasons) + 1)]
    for row in rows:
        if row.status == "ok" and row.case.kind == "training":
            place = next((n for n, miss in enumerate(reasons) if picks(miss.rows, row)), len(reasons))
            found[place].append(row)
    named = [Explained(miss.name, miss.why, tuple(some)) for miss, some in zip(reasons, found, strict=False) if some]
    return [*named, Explained(REST, "", tuple(found[-1]))] if found[-1] else named


@functools.cache
def _misses() -> tuple[Miss, ...]:
    return read_toml(HERE / "misses.toml", Misses).miss
