"""What one entry of the catalogue shows: plain facts, figures by path, its readings, and the sources they rest on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from simulator.errors import InputError, unknown_name
from simulator.figures import Figure, Source, figures_of, settle_all
from simulator.figures import Kind as FigureKind
from simulator.files import parse_toml, read_text
from simulator.machine import Dates
from supernode.model_costs import ModelCosts, model_costs
from topologies.fabrics import tag_of

if TYPE_CHECKING:
    from topologies.schema import Alternative, MachineEntry, Published
    from topologies.schema import Kind as Folder

Kind = Literal["machine", "chip", "network", "site", "software", "reliability", "exchange", "model", "stack"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FIGURE_KINDS: tuple[FigureKind, ...] = get_args(FigureKind)
SHARED: dict[Kind, Folder] = {
    "site": "sites",
    "software": "software",
    "reliability": "reliability",
    "exchange": "exchange",
}
"""What machines share by name -> its folder, which is also what the keys of its figures begin with."""
_FIELDS: dict[str, Kind] = {folder: kind for kind, folder in SHARED.items()}
_TABLE = re.compile(r"^(?=[ \t]*\[)", re.MULTILINE)


class ChipHead(msgspec.Struct, frozen=True):
    """What a list says of a chip; ``undisclosed`` is empty for one that can be simulated."""

    name: str
    title: str
    vendor: str = ""
    undisclosed: str = ""
    dates: Dates | None = None


@dataclass(frozen=True)
class Reading:
    """One reading of what is not disclosed: the figures that it puts in place of the entry's own, by path.

    ``builder`` is that of a fabric of its own, whose figures then all stand in ``figures``; else empty.
    """

    name: str
    weight: float
    reason: str
    builder: str
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Shown:
    """One entry as it is shown: plain facts, figures by path, and the readings of what is not disclosed.

    ``hypothesis`` is the reading that the figures are of, where one was asked for; ``readings`` is then empty.
    ``costs`` are a model's, and ``states`` the ids of sources of facts that are no figures.
    """

    kind: Kind
    name: str
    title: str
    facts: dict[str, Any]
    figures: dict[str, Figure]
    sources: Mapping[str, Source]
    readings: tuple[Reading, ...] = ()
    hypothesis: str = ""
    costs: ModelCosts | None = None
    states: tuple[str, ...] = ()

    @property
    def all_figures(self) -> tuple[Figure, ...]:
        """The figures of the entry and those of its readings."""
        return (*self.figures.values(), *(figure for each in self.readings for figure in each.figures.values()))

    @property
    def cited(self) -> dict[str, Source]:
        """The sources that the figures are taken from and those that state something else, by id."""
        ids = {*cited_by(self.all_figures), *self.states}
        return {name: self.sources[name] for name in sorted(ids) if name in self.sources}


def find(what: list[str], hypothesis: str = "", *, with_chip: bool = False) -> Shown:
    """The entry that ``[KIND] NAME`` stands for; a bare name is looked for in every kind.

    Parameters
    ----------
    what : a name, or a kind and a name
    hypothesis : the reading that a machine is shown under; empty for that of its file, with all others beside it
    with_chip : whether a machine's figures include those of its chip, under ``chip.``

    Raises
    ------
    InputError : nothing has this name, the machine has no such reading, or the entry is no machine but one was meant
    """
    kind, name = _kind_and_name(what)
    if kind == "machine":
        return machine_shown(name, hypothesis, with_chip=with_chip)
    if hypothesis or with_chip:
        option = "--hypothesis" if hypothesis else "--with-chip"
        raise InputError(f"{name} is a {kind}, and {option} is about machines", remedy="leave it out or name a machine")
    return shown(kind, name)


def shown(kind: Kind, name: str) -> Shown:
    """One entry of a kind by its name or alias.

    Raises
    ------
    InputError : nothing of this kind has this name
    """
    import topologies
    import workloads

    if kind == "machine":
        return machine_shown(name)
    if kind == "chip":
        chip = topologies.undisclosed(name) or topologies.chip(name)
        facts = _given({name: getattr(chip, name, "") for name in ("vendor", "note", "undisclosed")})
        return Shown(
            kind, chip.name, chip.title, facts | years(chip.dates), _by_path(figures_of(chip)), topologies.sources()
        )
    if kind == "network":
        network = topologies.network_entry(name)
        shape = network.fabric
        facts = {"vendor": network.vendor, "note": network.note}
        facts |= {"ports": f"{shape.ports} for {shape.node_chips} chips", "switches": f"{shape.radix} ports"}
        figures = _by_path(figures_of(network))
        return Shown(kind, network.name, network.title, _given(facts), figures, topologies.sources())
    if kind in SHARED:
        table = topologies.shared(SHARED[kind], name)
        facts = _given({"algorithms": ", ".join(getattr(table, "algorithms", ()))})
        title = getattr(table, "title", "shared by machines")
        return Shown(kind, name, title, facts, _by_path(figures_of(table)), topologies.sources())
    if kind == "stack":
        stack = workloads.stack(name)
        facts = _given({"date": stack.date, "note": stack.note})
        return Shown(kind, stack.name, stack.title, facts, _by_path(figures_of(stack)), workloads.sources_of(name))
    model = workloads.model(name)
    facts = {key: value for key, value in msgspec.to_builtins(model).items() if key not in {"name", "title"}}
    states = (model.published.source,) if model.published else ()
    costs = model_costs(model)
    return Shown(kind, model.name, model.title, _given(facts), {}, workloads.sources(), costs=costs, states=states)


def machine_shown(name: str, hypothesis: str = "", *, with_chip: bool = False) -> Shown:
    """A machine, by name, alias or file, under the reading of its file or under one of its hypotheses.

    Raises
    ------
    InputError : no such machine, no such hypothesis, or a file that is wrong
    """
    import topologies

    entry = topologies.entry(name, hypothesis)
    chip = topologies.machine(name, hypothesis).chip
    reading = entry.reading
    if hypothesis:
        chosen = next(each for each in entry.hypotheses if each.name == hypothesis)
        reading = f"{hypothesis}, weight {chosen.weight:g}: {chosen.reason}"
    facts = {"chip": f"{entry.chips:,} x {entry.chip}", "vendor": entry.vendor, "network": entry.network}
    facts |= {"fabric": tag_of(entry.fabric), "published": _counts(entry.published)}
    facts |= {"allocation": f"{entry.allocation.unit} of {entry.allocation.chips} chips", "reading": reading}
    facts |= {"algorithms": ", ".join(getattr(entry.software, "algorithms", ()))}
    facts |= {"stacks": ", ".join(entry.stacks.values()), "power": entry.power_basis, "note": entry.note}
    figures = _by_field(figure for field in entry.__struct_fields__ for figure in _own_figures(entry, field))
    of_chip = {f"chip.{_path(figure)}": figure for figure in figures_of(chip)}
    figures |= of_chip if with_chip else {path: each for path, each in of_chip.items() if "@" in each.key}
    readings = () if hypothesis else tuple(_reading(each) for each in entry.hypotheses)
    known = topologies.sources_of(name)
    return Shown(
        "machine", entry.name, entry.title, _given(facts) | years(entry.dates), figures, known, readings, hypothesis
    )


def everything() -> Iterator[Shown]:
    """Every entry of the catalogue once, kind by kind."""
    for kind in KINDS:
        for name in names(kind):
            yield shown(kind, name)


def names(kind: Kind) -> tuple[str, ...]:
    """The names of one kind, without aliases, in alphabetical order."""
    import topologies
    import workloads

    folders: dict[Kind, Folder] = {"machine": "machines", "chip": "chips", "network": "networks", **SHARED}
    if kind in folders:
        return topologies.names(folders[kind])
    return workloads.names("models" if kind == "model" else "stacks")


def all_sources() -> dict[str, Source]:
    """The sources of machines, models and stacks by id."""
    import topologies
    import workloads

    return dict(sorted({**workloads.sources(), **topologies.sources()}.items()))


def cited_by(figures: Iterable[Figure]) -> set[str]:
    """Ids of the sources that figures are taken from and of those that state something else."""
    known = list(figures)
    ids = {figure.source for figure in known} | {other.source for figure in known for other in figure.others}
    return ids - {""}


def tally(figures: Iterable[Figure]) -> dict[str, int]:
    """How many figures there are, how many of each kind, and how many statements of other sources stand beside them."""
    known = list(figures)
    kinds = Counter(figure.kind for figure in known)
    return {
        "figures": len(known),
        **{kind: kinds[kind] for kind in FIGURE_KINDS},
        "others": sum(len(figure.others) for figure in known),
    }


def chip_head(name: str) -> ChipHead:
    """Name, title, vendor and dates of a chip of the catalogue, read without the rest of its file.

    Raises
    ------
    InputError : as :func:`simulator.files.read_toml`
    """
    from topologies.load import ROOT, shown

    path = ROOT / "chips" / f"{name}.toml"
    where = shown(path)
    head, *tables = _TABLE.split(read_text(path))
    dated = [table for table in tables if table.lstrip().startswith("[dates")]
    return settle_all(parse_toml("".join([head, *dated]), ChipHead, where), f"chip/{name}", where)


def years(dates: Dates | None) -> dict[str, float | None]:
    """When something was announced and when it could first be had [year]; None where nobody says."""
    figures = {"announced": dates and dates.announced, "available": dates and dates.available}
    return {name: figure.si if figure else None for name, figure in figures.items()}


def _kind_and_name(what: list[str]) -> tuple[Kind, str]:
    if len(what) > 2:
        raise InputError(
            f"{len(what)} words where a kind and a name are wanted", remedy="supernode catalogue show chip gb200"
        )
    name = what[-1]
    if len(what) == 2:
        kind = next((kind for kind in KINDS if what[0] in {kind, f"{kind}s"}), None)
        if kind is None:
            raise unknown_name("kind", what[0], KINDS)
        return kind, name
    if name.partition("#")[0].endswith(".json"):
        return "model", name
    if name.endswith(".toml") or "/" in name:
        return "machine", name
    known = {kind: _names_and_aliases(kind) for kind in KINDS}
    for kind in KINDS:
        if name in known[kind]:
            return kind, name
    raise unknown_name("entry", name, {each for names in known.values() for each in names})


def _names_and_aliases(kind: Kind) -> tuple[str, ...]:
    import topologies

    folders: dict[Kind, Folder] = {"machine": "machines", "network": "networks"}
    known = names(kind)
    if kind not in folders:
        return known
    return (*known, *(alias for name in known for alias in topologies.head(folders[kind], name).aliases))


def _own_figures(entry: MachineEntry, field: str) -> Iterator[Figure]:
    """The figures in one field of a machine, but for those of its hypotheses."""
    return iter(()) if field == "hypotheses" else figures_of(getattr(entry, field))


def _reading(hypothesis: Alternative) -> Reading:
    figures = dict(hypothesis.figures)
    builder = ""
    if hypothesis.fabric is not None:
        builder = tag_of(hypothesis.fabric)
        figures |= _by_path(figures_of(hypothesis.fabric))
    return Reading(hypothesis.name, hypothesis.weight, hypothesis.reason, builder, figures)


def _counts(published: Published | None) -> str:
    """What others count in the graph, in words."""
    named = ("chips", "switches", "edges", "links")
    counts = {name: getattr(published, name, None) for name in named}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)


def _by_path(figures: Iterable[Figure]) -> dict[str, Figure]:
    return {_path(figure): figure for figure in figures}


def _by_field(figures: Iterable[Figure]) -> dict[str, Figure]:
    """A machine's figures by path; those of an entry that it shares with others stand under their kind."""
    found = {}
    for figure in figures:
        kind = _FIELDS.get(figure.key.partition("/")[0])
        found[f"{kind}.{_path(figure)}" if kind else _path(figure)] = figure
    return found


def _path(figure: Figure) -> str:
    """The dotted path of a figure inside its entry, whichever reading it is of."""
    _kind, _name, path = figure.key.split("/", 2)
    return path.partition("@")[0]


def _given(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that say something."""
    return {name: fact for name, fact in facts.items() if fact not in ("", None, False, (), [], {})}
