"""Figures: numbers that say who states them and how sure they are, and draws of them.

A :class:`Figure` stands in a data file as it was published, in the unit it was published in. The engine never reads
``figure.value``: it asks a :class:`Draw` for the number in SI base units, so that one draw of every uncertain figure
reaches every formula, and so that the figures which touched a result are known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from simulator import units
from simulator.errors import InputError

T = TypeVar("T")

Kind = Literal["measured", "announced", "estimated", "derived", "assumed"]
"""How a figure came to be. ``assumed`` is honourable: it is our own prior, with a range wide enough to be honest."""

Number = Annotated[float, msgspec.Meta(ge=0, le=1e24)]
Day = Annotated[str, msgspec.Meta(pattern=r"^([12][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?)?$")]
"""When something was said, as exactly as is known: ``2025``, ``2025-04`` or ``2025-04-09``; empty where it is not."""


class Other(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What another source states in the place of a figure's value; kept beside it, and never computed with.

    ``unit`` is that of the figure where it is empty.
    """

    value: Number
    kind: Literal["measured", "announced", "estimated", "derived"]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    unit: str = ""
    locator: str = ""
    date: Day = ""
    note: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sourced number with a range, in the unit in which it was stated.

    Every figure has a range (``low`` and ``high`` may equal ``value``) and, unless it is ``assumed``, a source: the
    id of an entry in ``sources.toml``. An ``assumed`` figure says in ``note`` why this value and this range.
    Where sources disagree, ``others`` keeps what the rest of them state, and ``choice`` says why ``value`` was taken.
    ``key`` is set by the reader (the figure's place in the catalogue) and cannot be written in a file.
    """

    value: Number
    unit: str
    low: Number
    high: Number
    kind: Kind
    source: str = ""
    locator: str = ""
    date: Day = ""
    note: str = ""
    others: Annotated[tuple[Other, ...], msgspec.Meta(max_length=32)] = ()
    choice: str = ""
    key: str = ""
    dimension: str = ""

    @property
    def si(self) -> float:
        """The value in the SI base unit of its dimension."""
        return self.value * units.factor(self.unit, self.dimension)

    @property
    def si_low(self) -> float:
        """The low end of the range in SI base units."""
        return self.low * units.factor(self.unit, self.dimension)

    @property
    def si_high(self) -> float:
        """The high end of the range in SI base units."""
        return self.high * units.factor(self.unit, self.dimension)

    def si_of(self, other: Other) -> float:
        """What another source states, in the SI base unit of the figure's dimension."""
        return other.value * units.factor(other.unit or self.unit, self.dimension)

    @property
    def is_uncertain(self) -> bool:
        """Whether the range is wider than the value."""
        return self.low < self.high


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where figures come from: an entry of a ``sources.toml``, under the id that figures name in ``source``."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    url: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^(https?://.*)?$")] = ""
    date: Day = ""
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""


def _of(dimension: str) -> Any:
    return Annotated[Figure, msgspec.Meta(extra={"dimension": dimension})]


Bytes = _of("bytes")
BytesPerSecond = _of("bytes_per_s")
Seconds = _of("s")
Flops = _of("flops")
Watts = _of("w")
Usd = _of("usd")
UsdPerSecond = _of("usd_per_s")
UsdPerJoule = _of("usd_per_j")
PerSecond = _of("per_s")
Ratio = _of("1")
Date = _of("date")
"""A point in time as a year with its fraction: the middle of 2025 is 2025.5."""


class Draw:
    """One value for every figure: the stated one, unless this draw replaces it.

    Parameters
    ----------
    values : SI value by figure key, for the figures that this draw moves
    """

    __slots__ = ("_values", "touched")

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self._values = dict(values or {})
        self.touched: dict[str, Figure] = {}

    def __call__(self, figure: Figure) -> float:
        """The figure's number in SI base units under this draw; remembers that it was asked for."""
        self.touched[figure.key] = figure
        value = self._values.get(figure.key)
        return figure.si if value is None else value


def settle(figure: Figure, key: str, dimension: str, where: str) -> Figure:
    """Check one figure as it was read and give it its key and dimension.

    Raises
    ------
    InputError : wrong unit, range that misses the value, no source, a field that only the reader may set
    """
    if figure.key or figure.dimension:
        raise InputError("key and dimension cannot be written", where=where, remedy="take the line out")
    units.factor(figure.unit, dimension, where=f"{where}.unit")
    for name, number in (("value", figure.value), ("low", figure.low), ("high", figure.high)):
        if not math.isfinite(number):
            raise InputError(
                f"{number} is not a finite number", where=f"{where}.{name}", remedy="write a finite number"
            )
    if not figure.low <= figure.value <= figure.high:
        raise InputError(
            f"value {figure.value:g} lies outside its range {figure.low:g} to {figure.high:g}",
            where=where,
            remedy="widen low or high so that they hold the value",
        )
    if figure.kind == "assumed" and not figure.note:
        raise InputError("an assumed figure needs a note", where=where, remedy="say why this value and this range")
    if figure.kind != "assumed" and not figure.source:
        raise InputError(
            f"a figure of kind {figure.kind!r} has no source",
            where=where,
            remedy='name a source of sources.toml, or set kind = "assumed" with a note',
        )
    _check_others(figure, dimension, where)
    return msgspec.structs.replace(figure, key=key, dimension=dimension)


def _check_others(figure: Figure, dimension: str, where: str) -> None:
    """Check what other sources state: numbers in units of the figure's kind, other than its value, and why not they."""
    if bool(figure.others) != bool(figure.choice):
        what = "choice is missing beside others" if figure.others else "choice stands without others"
        remedy = "say why this value was taken before those of the other sources" if figure.others else "take it out"
        raise InputError(what, where=where, remedy=remedy)
    stated = figure.value * units.factor(figure.unit, dimension)
    for index, other in enumerate(figure.others):
        place = f"{where}.others[{index}]"
        rate = units.factor(other.unit or figure.unit, dimension, where=f"{place}.unit")
        if not math.isfinite(other.value):
            raise InputError(f"{other.value} is not a finite number", where=place, remedy="write a finite number")
        if other.value * rate == stated:
            remedy = "keep only sources that state something else"
            raise InputError(f"{other.value:g} is the figure's own value", where=place, remedy=remedy)


def _dimension(hint: Any) -> str:
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and "dimension" in meta.extra:
            return str(meta.extra["dimension"])
    return ""


def _figure_hint(hint: Any) -> str:
    """Return the dimension of a hint that is a figure, or holds one (optional, a dict of them); else nothing."""
    if found := _dimension(hint):
        return found
    for argument in get_args(hint) if get_origin(hint) is not Annotated else ():
        if found := _figure_hint(argument):
            return found
    return ""


def settle_all(entry: T, key: str, where: str) -> T:
    """Check every figure inside a decoded struct and give each its key: ``key`` plus its dotted path.

    Raises
    ------
    InputError : see :func:`settle`
    """
    settled: T = _settled(entry, key, where, "", "")
    return settled


@functools.cache
def _dimensions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Dimension of the figures in each field of a struct; empty for fields that hold none themselves."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: _figure_hint(hints[name]) for name in struct.__struct_fields__}


def _settled(node: Any, key: str, where: str, path: str, dimension: str) -> Any:
    place = f"{where}: {path}" if path else where
    if isinstance(node, Figure):
        return settle(node, f"{key}/{path}", dimension, place)
    if isinstance(node, msgspec.Struct):
        changes = {}
        for name, inner in _dimensions(type(node)).items():
            changes[name] = _settled(getattr(node, name), key, where, f"{path}.{name}" if path else name, inner)
        return msgspec.structs.replace(node, **changes)
    if isinstance(node, dict):
        return {name: _settled(child, key, where, f"{path}.{name}", dimension) for name, child in node.items()}
    if isinstance(node, tuple | list):
        return type(node)(_settled(child, key, where, f"{path}[{i}]", dimension) for i, child in enumerate(node))
    return node


def with_each(node: T, change: Callable[[Figure], Figure]) -> T:
    """The same data with every figure inside changed."""
    changed: Any = node
    if isinstance(node, Figure):
        changed = change(node)
    elif isinstance(node, msgspec.Struct):
        children = {name: with_each(getattr(node, name), change) for name in node.__struct_fields__}
        changed = msgspec.structs.replace(node, **children)
    elif isinstance(node, dict):
        changed = {name: with_each(child, change) for name, child in node.items()}
    elif isinstance(node, tuple | list):
        changed = type(node)(with_each(child, change) for child in node)
    return changed  # type: ignore[no-any-return]


def source_ids(figures: Iterable[Figure]) -> tuple[str, ...]:
    """Ids of the sources that the values of figures are taken from, each once, in alphabetical order."""
    return tuple(sorted({figure.source for figure in figures if figure.source}))


def figures_of(node: Any) -> Iterator[Figure]:
    """Every settled figure inside a struct, in the order of the fields."""
    if isinstance(node, Figure):
        yield node
    elif isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            yield from figures_of(getattr(node, name))
    elif isinstance(node, dict):
        for child in node.values():
            yield from figures_of(child)
    elif isinstance(node, tuple | list):
        for child in node:
            yield from figures_of(child)
