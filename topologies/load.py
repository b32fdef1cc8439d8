"""Reads the catalogue: names to machines, chips and networks, with every figure checked and given its key.

A machine is named by its file in the catalogue, by an alias, or by the path of a user's own file, which is held to the
same rules, may use the chips and networks of the catalogue or a ``NAME.toml`` beside it, and may bring its own sources.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from simulator.errors import InputError, InternalError, unknown_name
from simulator.exchange import Library
from simulator.figures import Figure, Source, figures_of, settle_all
from simulator.files import parse_toml, read_head, read_text
from simulator.machine import Chip, Machine, Network, Reliability, Site, Software
from topologies.checks import check_chip, check_figures, check_machine, path_of
from topologies.hypotheses import settled_hypothesis, under
from topologies.schema import Head, Kind, MachineEntry, NetworkEntry, Sources, UndisclosedChip

T = TypeVar("T")
ROOT = Path(__file__).parent / "catalogue"
KINDS: tuple[Kind, ...] = get_args(Kind)
SHARED: dict[Kind, type[Any]] = {
    "sites": Site,
    "software": Software,
    "reliability": Reliability,
    "exchange": Library,
}
"""What machines share by name, and libraries of expert exchange: folder of the catalogue -> struct."""
FIELDS: dict[str, Kind] = {"site": "sites", "software": "software", "reliability": "reliability"}
"""Field of a machine -> folder of the entries that it may name."""


def machine(name_or_path: str, hypothesis: str = "") -> Machine:
    """The machine of this name, alias or file, under its own reading or under one of its hypotheses.

    Raises
    ------
    InputError : nothing has this name; the file is wrong; the machine has no such hypothesis
    """
    if _is_path(name_or_path):
        return _assembled(_read_machine(_path(name_or_path), name_or_path), hypothesis)
    return _named_machine(resolve("machines", name_or_path), hypothesis)


def entry(name_or_path: str, hypothesis: str = "") -> MachineEntry:
    """What the file of a machine says, with its figures settled, under its own reading or one of its hypotheses.

    Raises
    ------
    InputError : nothing has this name; the file is wrong; the machine has no such hypothesis
    """
    return _under(_read(name_or_path), hypothesis)[0]


def sources_of(name_or_path: str) -> Sources:
    """The sources that a machine's figures may name: those of the catalogue and those that its own file brings."""
    return _read(name_or_path).sources


def chip(name: str) -> Chip:
    """The chip of this name in the catalogue."""
    return _named_chip(resolve("chips", name))


def undisclosed(name: str) -> UndisclosedChip | None:
    """What is known of a chip about which too little is known to simulate it; None for any other chip."""
    found = _named_chip_file(resolve("chips", name))
    return found if isinstance(found, UndisclosedChip) else None


def shared(kind: Kind, name: str) -> Any:
    """A site, software or reliability entry that machines share, or a library of expert exchange, figures settled."""
    return _named_shared(kind, resolve(kind, name))


def network(name: str) -> Network:
    """The network of this name or alias in the catalogue."""
    return _joined(network_entry(name))


def network_entry(name: str) -> NetworkEntry:
    """What the file of a network says, with its figures settled."""
    return _named_network(resolve("networks", name))


@functools.cache
def sources() -> Sources:
    """The sources of the catalogue by id."""
    path = ROOT / "sources.toml"
    return parse_toml(read_text(path), dict[str, Source], shown(path))


@functools.cache
def names(kind: Kind) -> tuple[str, ...]:
    """The names in one folder of the catalogue, without aliases, in alphabetical order."""
    return tuple(sorted(path.stem for path in (ROOT / kind).glob("*.toml")))


def resolve(kind: Kind, name: str) -> str:
    """The name that a name or alias stands for.

    Raises
    ------
    InputError : nothing has this name; says which names are near
    """
    if name in names(kind):
        return name
    aliases = _aliases(kind)
    if name not in aliases:
        raise unknown_name(kind.removesuffix("s"), name, (*names(kind), *aliases))
    return aliases[name]


@functools.cache
def head(kind: Kind, name: str) -> Head:
    """Name, title and whatever else stands before the tables of an entry, read without the rest of its file."""
    return read_head(ROOT / kind / f"{name}.toml", Head)


def shown(path: Path) -> str:
    """A file as it is named to people: one of the catalogue by its path inside the project."""
    return str(path.relative_to(ROOT.parent.parent) if path.is_relative_to(ROOT) else path)


@dataclass(frozen=True)
class _Reading:
    """A machine's file, the chip and network that it names, and the sources that its figures may name."""

    entry: MachineEntry
    chip: Chip
    network: Network
    sources: Sources
    where: str


@functools.cache
def _named_machine(name: str, hypothesis: str) -> Machine:
    return _assembled(_named_reading(name), hypothesis)


@functools.cache
def _named_reading(name: str) -> _Reading:
    path = ROOT / "machines" / f"{name}.toml"
    return _read_machine(path, shown(path))


def _named_chip(name: str) -> Chip:
    found = _named_chip_file(name)
    if isinstance(found, UndisclosedChip):
        raise InputError(
            f"{name} cannot be simulated: {found.undisclosed}",
            remedy="write a chip file of your own beside your machine's, with figures that you stand for",
        )
    return found


@functools.cache
def _named_chip_file(name: str) -> Chip | UndisclosedChip:
    path = ROOT / "chips" / f"{name}.toml"
    text = read_text(path)
    if re.search(r"^undisclosed\s*=", text, re.MULTILINE):
        found = settle_all(parse_toml(text, UndisclosedChip, shown(path)), f"chip/{name}", shown(path))
        check_figures(found, shown(path), sources())
        return found
    return _read_chip(path, shown(path), sources())


@functools.cache
def _named_shared(kind: Kind, name: str) -> Any:
    path = ROOT / kind / f"{name}.toml"
    where = shown(path)
    found = settle_all(parse_toml(read_text(path), SHARED[kind], where), f"{kind}/{name}", where)
    check_figures(found, where, sources())
    return found


@functools.cache
def _named_network(name: str) -> NetworkEntry:
    path = ROOT / "networks" / f"{name}.toml"
    return _read_network(path, shown(path), sources())


@functools.cache
def _aliases(kind: Kind) -> Mapping[str, str]:
    if kind not in {"machines", "networks"}:
        return {}
    found = {name: name for name in names(kind)}
    for name in names(kind):
        for alias in head(kind, name).aliases:
            if alias in found:
                where = f"{shown(ROOT / kind / name)}.toml: aliases"
                raise InputError(f"{alias!r} already stands for {found[alias]}", where=where, remedy="take it out")
            found[alias] = name
    return {alias: name for alias, name in found.items() if alias != name}


def _read(name_or_path: str) -> _Reading:
    if _is_path(name_or_path):
        return _read_machine(_path(name_or_path), name_or_path)
    return _named_reading(resolve("machines", name_or_path))


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or os.sep in name


def _path(name: str) -> Path:
    if not name.isprintable():
        raise InputError(f"{name[:80]!r} is not a file name", remedy="name a TOML file")
    return Path(name)


def _read_machine(path: Path, where: str) -> _Reading:
    raw = parse_toml(read_text(path), MachineEntry, where)
    _check_aliases(raw, where)
    known = sources() | raw.sources
    found = settle_all(msgspec.structs.replace(raw, hypotheses=()), f"machine/{raw.name}", where)
    _check_name(found.name, path, where)
    check_figures(found, where, known)
    is_own = path.parent != ROOT / "machines"
    used_chip = _read_beside(found.chip, "chips", path, known) if is_own else None
    used_network = _read_beside(found.network, "networks", path, known) if is_own else None
    used_chip = used_chip or _at(f"{where}: chip", chip, found.chip)
    used_network = used_network or _at(f"{where}: network", network_entry, found.network)
    named = {
        name: _at(f"{where}: {name}", functools.partial(shared, kind), getattr(found, name))
        for name, kind in FIELDS.items()
        if isinstance(getattr(found, name), str)
    }
    found = msgspec.structs.replace(found, **named)
    base = figures_by_path(found, used_chip)
    settled = tuple(settled_hypothesis(each, found.name, base, known, where) for each in raw.hypotheses)
    found = msgspec.structs.replace(found, hypotheses=settled)
    check_machine(found, where)
    return _Reading(found, used_chip, _joined(used_network), known, where)


def _read_beside(name: str, kind: Kind, machine_path: Path, known: Sources) -> Any:
    """The chip or network in ``NAME.toml`` beside a user's machine, if there is one."""
    path = machine_path.parent / f"{name}.toml"
    if path == machine_path or not path.is_file():
        return None
    return _read_chip(path, str(path), known) if kind == "chips" else _read_network(path, str(path), known)


def _read_chip(path: Path, where: str, known: Sources) -> Chip:
    raw = parse_toml(read_text(path), Chip, where)
    found = settle_all(raw, f"chip/{raw.name}", where)
    _check_name(found.name, path, where)
    check_figures(found, where, known)
    check_chip(found, where)
    return found


def _read_network(path: Path, where: str, known: Sources) -> NetworkEntry:
    raw = parse_toml(read_text(path), NetworkEntry, where)
    _check_aliases(raw, where)
    found = settle_all(raw, f"network/{raw.name}", where)
    _check_name(found.name, path, where)
    check_figures(found, where, known)
    return found


def _check_name(name: str, path: Path, where: str) -> None:
    """In the catalogue, and for what is found by its name beside a user's file, file and name are the same."""
    if path.is_relative_to(ROOT) and name != path.stem:
        raise InputError(f"{name!r} is not the name of the file", where=f"{where}: name", remedy=f'write "{path.stem}"')


def _check_aliases(entry: MachineEntry | NetworkEntry, where: str) -> None:
    """Other names are none that the entry has already."""
    own = (entry.name, *entry.aliases)
    twice = next((name for index, name in enumerate(own) if name in own[:index]), "")
    if twice:
        raise InputError(f"{twice!r} stands twice", where=f"{where}: aliases", remedy="write each other name once")


def _at(where: str, read: Any, name: str) -> Any:
    """Read what a field names; an unknown name is then an error of that field."""
    try:
        return read(name)
    except InputError as error:
        if error.where:
            raise
        message, _, remedy = str(error).partition("\n  ")
        raise InputError(message, where=where, remedy=remedy) from None


def figures_by_path(entry: MachineEntry, chip: Chip) -> dict[str, Figure]:
    """The figures that a hypothesis can replace: those of the machine by path, those of its chip under ``chip.``."""
    own = {_path_in(figure): figure for figure in figures_of(entry) if not path_of(figure).startswith("published.")}
    return own | {f"chip.{path_of(figure)}": figure for figure in figures_of(chip)}


def _path_in(figure: Figure) -> str:
    """The path of a figure in its machine, also where it stands in an entry that machines share."""
    folder = figure.key.partition("/")[0]
    field = next((f"{name}." for name, kind in FIELDS.items() if kind == folder), "")
    return field + path_of(figure)


def _under(read: _Reading, name: str) -> tuple[MachineEntry, Chip]:
    """A machine's file and its chip under one hypothesis; the empty name is the reading of the file itself."""
    entry = read.entry
    if not name:
        return entry, read.chip
    known = {each.name: each for each in entry.hypotheses}
    if name not in known:
        if not known:
            raise InputError(f"{entry.name} has no hypotheses", remedy="leave the hypothesis out")
        raise unknown_name(f"hypothesis of {entry.name}", name, known)
    is_own = name == entry.hypotheses[0].name
    reading = entry.reading if is_own else known[name].reason
    return under(known[name], msgspec.structs.replace(entry, reading=reading), read.chip)


def _assembled(read: _Reading, name: str) -> Machine:
    """Put a machine together under one hypothesis; the empty name is the reading of the file itself."""
    from topologies.builders import builder_of, levels_of_shape

    entry, chip = _under(read, name)
    builder = builder_of(entry.fabric)
    return Machine(
        name=entry.name,
        title=entry.title,
        vendor=entry.vendor,
        chip=chip,
        chips=entry.chips,
        network=read.network,
        software=_struct(entry.software),
        power=entry.power,
        site=_struct(entry.site),
        prices=entry.prices,
        reliability=_struct(entry.reliability),
        allocation=entry.allocation,
        stacks={phase: str(stack) for phase, stack in entry.stacks.items()},
        hypothesis=name,
        reading=entry.reading,
        slice_levels=functools.partial(builder.levels, entry.fabric),
        shape_levels=functools.partial(levels_of_shape, entry.fabric),
        legal_chips=builder.legal_chips(entry.fabric),
    )


def _struct(table: T | str) -> T:
    """A table of a machine's file, after reading has put the shared entry in the place of its name."""
    if isinstance(table, str):
        raise InternalError(f"{table} was not read")
    return table


def _joined(entry: NetworkEntry) -> Network:
    from topologies.builders import network_builder_of

    return Network(
        name=entry.name,
        title=entry.title,
        link=entry.fabric.link,
        node_chips=entry.fabric.node_chips,
        reaches=network_builder_of(entry.fabric).reaches(entry.fabric),
        price_per_chip=entry.price_per_chip,
        power_per_chip=entry.power_per_chip,
    )
