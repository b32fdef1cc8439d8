"""How far measured collectives lie from predicted ones: a figure for each family of links and size of message.

What draws of the other figures leave out: that a closed form is none of the libraries it stands for. The value is 1, so
that no prediction moves; the range is that of measured over predicted time, and is drawn as any other.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Figure, Ratio, settle_all
from simulator.files import parse_toml, read_text
from simulator.machine import Entry
from topologies.checks import check_figures
from topologies.load import ROOT, shown, sources

if TYPE_CHECKING:
    from simulator.machine import Slice

FILE = ROOT / "spreads.toml"
SIZES = {"small": 65_536.0, "middle": 67_108_864.0, "large": math.inf}
"""Class of sizes -> the size from which a message is of the next [B]: start-up decides, then protocols, then links."""
ANY = "any"
"""Stands for families of which too few rows were measured."""
EXCHANGE = "expert-exchange"
"""Stands for exchanges of experts, whose libraries have constants of their own."""


class Spread(Entry, frozen=True):
    """Measured over predicted time of one family by class of sizes [1]; a class that is left out is that of any."""

    small: Ratio | None = None
    middle: Ratio | None = None
    large: Ratio | None = None


def size_class(size_bytes: float) -> str:
    """The class of a message's size."""
    return next(name for name, below in SIZES.items() if size_bytes < below)


def spread_of(part: Slice, size_bytes: float) -> Figure:
    """What a predicted time on this slice is drawn with; the outermost links decide."""
    return _figure(part.levels[-1].link.family, size_bytes)


def spread_of_exchange(size_bytes: float) -> Figure:
    """What a predicted exchange of experts is drawn with."""
    return _figure(EXCHANGE, size_bytes)


def _figure(family: str, size_bytes: float) -> Figure:
    known, name = spreads(), size_class(size_bytes)
    found: Figure | None = getattr(known[family], name) if family in known else None
    if found is None:
        found = getattr(known[ANY], name)
    assert found is not None
    return found


@functools.cache
def spreads() -> dict[str, Spread]:
    """The spreads of the catalogue by family.

    Raises
    ------
    InputError : a wrong field, a value that would move predictions, an unknown source
    """
    where = shown(FILE)
    raw = parse_toml(read_text(FILE), dict[str, Spread], where)
    found = {name: settle_all(entry, f"spread/{name}", f"{where}: {name}") for name, entry in raw.items()}
    for name, entry in found.items():
        check_figures(entry, f"{where}: {name}", sources())
        for each in SIZES:
            figure: Figure | None = getattr(entry, each)
            if figure is None and name == ANY:
                raise InputError(
                    f"{each} is missing", where=f"{where}: {name}", remedy="add it: others fall back to it"
                )
            if figure is not None and figure.value != 1:
                raise InputError(
                    f"{figure.value:g} would move predictions", where=f"{where}: {name}.{each}", remedy="write 1"
                )
    return found
