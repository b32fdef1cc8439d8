"""What was measured nearest to an exchange of experts, and how far predictions of such rows are off."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Draw
from supernode.nearest_rows import files, sources_by_line
from supernode.validation.answers import Refused
from supernode.validation.cases import read_cases
from supernode.validation.collective import measured
from supernode.validation.exchange import PHASES, Ran, phase, ran

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulator.collectives.exchange import Routing
    from simulator.machine import Slice

_AWAY = 4.0
"""How much farther than one doubling of tokens or chips a row of another machine of the same chip is."""


@dataclass(frozen=True)
class Measured:
    """A measured exchange: what it ran, its time [s], and our error [1] and its sign (+ where we are too slow)."""

    ran: Ran
    seconds: float
    error: float
    algorithm: str
    split: str
    source: str


@dataclass(frozen=True)
class Near:
    """A measured row that is of the ``same`` machine, chip or links."""

    row: Measured
    same: str
    away: float


def nearest(part: Slice, kind: str, tokens: float, mode: str, own: Sequence[Path] = ()) -> list[Near]:
    """Rows of this phase on this machine, or one of the same chip or links, the nearest in chips and tokens first."""
    found = []
    for row in _rows(tuple(files(own))):
        same = _same(row.ran.part, part)
        if not same or row.ran.phase != f"moe_{kind}":
            continue
        away = abs(math.log2(row.ran.part.chips / part.chips)) + abs(math.log2(row.ran.tokens.count / tokens))
        is_joined = row.ran.part.machines > 1
        away += _AWAY * (("machine", "chip", "links").index(same) + (is_joined != (part.machines > 1)))
        found.append(Near(row, same, away + (row.ran.mode != mode)))
    return sorted(found, key=lambda near: near.away)


def measured_alike(
    part: Slice, kind: str, routing: Routing, hidden: int, own: Sequence[Path] = ()
) -> list[tuple[float, float]]:
    """Tokens of a rank and times [s] of rows on as many chips of this machine with such tokens and experts."""
    return [
        (row.ran.tokens.count, row.seconds)
        for row in _rows(tuple(files(own)))
        if row.ran.phase == f"moe_{kind}"
        and row.ran.part.machine.name == part.machine.name
        and row.ran.part.chips == part.chips
        and row.ran.tokens.hidden == hidden
        and (row.ran.routing.experts, row.ran.routing.top_k) == (routing.experts, routing.top_k)
    ]


def median_error(near: Iterable[Near]) -> tuple[float, int, int] | None:
    """Median of the errors without their signs [1], how many rows, and on how many of them constants were fitted."""
    rows = [each.row for each in near]
    if not rows:
        return None
    return median(abs(row.error) for row in rows), len(rows), sum(row.split == "calibrate" for row in rows)


def _same(one: Slice, other: Slice) -> str:
    if one.machine.name == other.machine.name:
        return "machine"
    if one.chip.name == other.chip.name:
        return "chip"
    families = [next((level.link.family for level in each.levels if level.size > 1), "") for each in (one, other)]
    return "links" if families[0] == families[1] != "" else ""


@functools.lru_cache(maxsize=8)
def _rows(paths: tuple[Path, ...]) -> tuple[Measured, ...]:
    """All exchanges in files of measured rows that we know how to run; a row that stands in two files counts once."""
    found: dict[str, Measured] = {}
    for path in paths:
        try:
            cases = read_cases(path)
        except InputError:
            continue  # the output of nccl-tests holds no exchange
        said = sources_by_line(path)
        for case in cases:
            if case.kind != "collective" or phase(case) not in PHASES or case.id in found:
                continue
            try:
                value, unit = measured(case)
                asked = ran(case)
                priced = asked.priced(Draw())
            except (Refused, InputError):
                continue  # neither its size nor its benchmark is known
            seconds = value if unit == "s" else asked.counted_bytes(priced) / value
            error = priced.seconds / seconds - 1
            source = said.get(int(case.where.rpartition("line ")[2]), (path.name, ""))[0]
            found[case.id] = Measured(asked, seconds, error, case.text("algorithm_if_known"), case.split, source)
    return tuple(found.values())
