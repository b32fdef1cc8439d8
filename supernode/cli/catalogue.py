"""``supernode catalogue``: what the machines, chips and networks are, figure by figure, and who says so."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.errors import InputError, unknown_name
from simulator.figures import Figure, Source, figures_of
from simulator.units import DISPLAY
from supernode.cli.common import console

if TYPE_CHECKING:
    from simulator.machine import Chip, Dates, Hypothesis
    from topologies.audit import Finding
    from topologies.schema import Kind as Folder
    from topologies.schema import UndisclosedChip

app = typer.Typer(
    no_args_is_help=True, help="Machines, chips, networks, models and stacks, with every figure's source."
)

Kind = Literal["machine", "chip", "network", "site", "software", "reliability", "model", "stack"]
KINDS: tuple[Kind, ...] = ("machine", "chip", "network", "site", "software", "reliability", "model", "stack")
SHARED: dict[Kind, Folder] = {"site": "sites", "software": "software", "reliability": "reliability"}
"""What machines share by name -> its folder, which is also what the keys of its figures begin with."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
COLUMNS = ("entry", "path", "value", "low", "high", "unit", "kind", "source", "locator", "date", "note")


@dataclass(frozen=True)
class Shown:
    """One entry as it is shown: plain facts, figures by path, and the readings of what is not disclosed."""

    kind: Kind
    name: str
    title: str
    facts: dict[str, Any]
    figures: dict[str, Figure]
    sources: Mapping[str, Source]
    hypotheses: tuple[Hypothesis, ...] = field(default=())


@app.command("list")
def list_(as_json: Json = False) -> None:
    """What there is, by name.

    Example: supernode catalogue list
    """
    import topologies
    import workloads

    machines = [topologies.head("machines", name) for name in topologies.names("machines")]
    chips = [_chip(name) for name in topologies.names("chips")]
    networks = [topologies.head("networks", name) for name in topologies.names("networks")]
    models = [workloads.model(name) for name in workloads.names("models")]
    stacks = [workloads.stack(name) for name in workloads.names("stacks")]
    shared = {folder: topologies.names(folder) for folder in SHARED.values()}
    if as_json:
        _print_json(
            {
                "schema": 1,
                "machines": [
                    {"name": each.name, "vendor": each.vendor, "chip": each.chip, "chips": each.chips}
                    | {"title": each.title, "network": each.network, "aliases": list(each.aliases)}
                    for each in machines
                ],
                "chips": [
                    {"name": each.name, "vendor": each.vendor, "title": each.title, **_years(each.dates)}
                    | {"undisclosed": getattr(each, "undisclosed", "")}
                    for each in chips
                ],
                "networks": [{"name": each.name, "vendor": each.vendor, "title": each.title} for each in networks],
                **{folder: [{"name": name} for name in names] for folder, names in shared.items()},
                "models": [{"name": each.name, "title": each.title} for each in models],
                "stacks": [{"name": each.name, "title": each.title, "date": each.date} for each in stacks],
            }
        )
        return
    rows = [(each.name, each.title, f"{each.chips:,} x {each.chip}", each.network) for each in machines]
    _print_table("Machines", ("name", "title", "chips", "network between machines"), rows)
    dated = [
        (
            each.name,
            each.title + " (undisclosed)" * hasattr(each, "undisclosed"),
            *("" if year is None else f"{year:.1f}" for year in _years(each.dates).values()),
        )
        for each in chips
    ]
    _print_table("Chips", ("name", "title", "announced", "available"), dated)
    _print_table("Networks", ("name", "title"), [(each.name, each.title) for each in networks])
    together = [(folder, ", ".join(names)) for folder, names in shared.items()]
    _print_table("Shared by machines", ("kind", "names"), together)
    _print_table("Models", ("name", "title"), [(each.name, each.title) for each in models])
    _print_table("Stacks", ("name", "title", "date"), [(each.name, each.title, each.date) for each in stacks])


@app.command()
def show(
    what: Annotated[
        list[str], typer.Argument(metavar="[KIND] NAME", help=f"A name; KIND is one of {', '.join(KINDS)}.")
    ],
    as_json: Json = False,
) -> None:
    """Every figure of one entry.

    Example: supernode catalogue show scalex640
    """
    shown = _find(what)
    if as_json:
        _print_json(_shown_json(shown))
        return
    out = console(120)
    out.print(Text(f"{shown.kind} {shown.name}: {_plain(shown.title)}", style="bold"))
    for name, fact in shown.facts.items():
        out.print(Text(f"  {name}: {_plain(str(fact))}"))
    if shown.figures:
        _print_figures("Figures", shown.figures, shown.sources)
    for each in shown.hypotheses:
        out.print(Text(f"Reading {each.name}, weight {each.weight:g}: {_plain(each.reason)}"))
        if each.figures:
            _print_figures(f"Figures that {each.name} replaces", each.figures, shown.sources)


@app.command("sources")
def sources_(as_json: Json = False) -> None:
    """The documents that figures are taken from.

    Example: supernode catalogue sources
    """
    known = _all_sources()
    if as_json:
        _print_json({"schema": 1, "sources": {name: _source_json(source) for name, source in known.items()}})
        return
    rows = [(name, each.title, each.date, each.url, each.note) for name, each in known.items()]
    _print_table("Sources", ("id", "title", "date", "address", "note"), rows)


@app.command()
def check(
    machines: Annotated[
        list[str] | None, typer.Argument(help="Names or files; none means the whole catalogue.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold the catalogue, or your own machine files, to their rules.

    Example: supernode catalogue check mine.toml
    """
    import topologies
    from topologies.audit import audit

    findings = [*audit(*(machines or ())), *_stack_findings(machines or topologies.names("machines"))]
    wrong = [finding for finding in findings if not finding.holds]
    if as_json:
        rows = [{"subject": f.subject, "what": f.what, "holds": f.holds, "detail": f.detail} for f in findings]
        _print_json({"schema": 1, "findings": rows, "count": len(findings), "wrong": len(wrong)})
    else:
        marks = [(f.subject, f.what, "ok" if f.holds else "WRONG", f.detail) for f in findings]
        _print_table("Checks", ("entry", "what", "", "detail"), marks)
        typer.echo(f"{len(findings)} checks, {len(wrong)} wrong")
    if wrong:
        raise typer.Exit(2)


@app.command()
def export(
    form: Annotated[str, typer.Option("--format", help="csv, json or md.")] = "csv",
) -> None:
    """Every figure of the catalogue as one table.

    Example: supernode catalogue export --format md
    """
    if form not in {"csv", "json", "md"}:
        raise unknown_name("format", form, ("csv", "json", "md"), where="--format")
    # A figure that several machines share has one row, that of its own entry, which its key begins with.
    rows = [
        [" ".join(key.split("/")[:2]), _path(figure), *_si(figure), *_said(figure)]
        for key, figure in {figure.key: figure for each in _everything() for figure in each.figures.values()}.items()
    ]
    if form == "json":
        _print_json({"schema": 1, "figures": [dict(zip(COLUMNS, row, strict=True)) for row in rows]})
    elif form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        typer.echo(text.getvalue(), nl=False)
    else:
        typer.echo("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
        for row in rows:
            typer.echo("| " + " | ".join(_plain(str(cell)).replace("|", "\\|") for cell in row) + " |")


def _find(what: list[str]) -> Shown:
    """The entry that ``[KIND] NAME`` stands for; a bare name is looked for in every kind."""
    if len(what) > 2:
        raise InputError(
            f"{len(what)} words where a kind and a name are wanted", remedy="supernode catalogue show chip gb200"
        )
    name = what[-1]
    if len(what) == 2:
        kind = next((kind for kind in KINDS if what[0] in {kind, f"{kind}s"}), None)
        if kind is None:
            raise unknown_name("kind", what[0], KINDS)
        return _shown(kind, name)
    if name.endswith(".toml") or "/" in name:
        return _shown("machine", name)
    known = {kind: _names(kind) for kind in KINDS}
    for kind in KINDS:
        if name in known[kind]:
            return _shown(kind, name)
    raise unknown_name("entry", name, {each for names in known.values() for each in names})


def _names(kind: Kind) -> tuple[str, ...]:
    import topologies
    import workloads

    if kind == "machine":
        names = topologies.names("machines")
        return (*names, *(alias for name in names for alias in topologies.entry(name).aliases))
    if kind == "network":
        names = topologies.names("networks")
        return (*names, *(alias for name in names for alias in topologies.network_entry(name).aliases))
    if kind == "chip":
        return topologies.names("chips")
    if kind in SHARED:
        return topologies.names(SHARED[kind])
    return workloads.names("models" if kind == "model" else "stacks")


def _shown(kind: Kind, name: str) -> Shown:
    import msgspec

    import topologies
    import workloads

    if kind == "machine":
        entry = topologies.entry(name)
        facts = {"chip": f"{entry.chips:,} x {entry.chip}", "vendor": entry.vendor, "network": entry.network}
        facts |= {"allocation": f"{entry.allocation.unit} of {entry.allocation.chips} chips", "reading": entry.reading}
        facts |= {"stacks": ", ".join(entry.stacks.values()), "power": entry.power_basis, "note": entry.note}
        figures = _by_field(figure for figure in figures_of(entry) if "@" not in figure.key)
        known = topologies.sources_of(name)
        return Shown(kind, entry.name, entry.title, _given(facts), figures, known, entry.hypotheses)
    if kind == "chip":
        chip = _chip(name)
        facts = _given({name: getattr(chip, name, "") for name in ("vendor", "note", "undisclosed")})
        return Shown(kind, chip.name, chip.title, facts, _by_path(figures_of(chip)), topologies.sources())
    if kind == "network":
        network = topologies.network_entry(name)
        shape = network.fabric
        facts = {"vendor": network.vendor, "note": network.note}
        facts |= {"ports": f"{shape.ports} for {shape.node_chips} chips", "switches": f"{shape.radix} ports"}
        return Shown(
            kind, network.name, network.title, _given(facts), _by_path(figures_of(network)), topologies.sources()
        )
    if kind in SHARED:
        table = topologies.shared(SHARED[kind], name)
        return Shown(kind, name, "shared by machines", {}, _by_path(figures_of(table)), topologies.sources())
    if kind == "stack":
        stack = workloads.stack(name)
        facts = _given({"date": stack.date, "note": stack.note})
        return Shown(kind, stack.name, stack.title, facts, _by_path(figures_of(stack)), workloads.sources())
    model = workloads.model(name)
    facts = {key: value for key, value in msgspec.to_builtins(model).items() if key not in {"name", "title"}}
    return Shown(kind, model.name, model.title, _given(facts), {}, workloads.sources())


def _everything() -> Iterator[Shown]:
    for kind in KINDS:
        seen: set[str] = set()
        for name in _names(kind):
            shown = _shown(kind, name)
            if shown.name not in seen:
                seen.add(shown.name)
                yield shown


def _stack_findings(machines: Iterable[str]) -> Iterator[Finding]:
    """Whether the stacks that machines name exist: the one thing that neither side can know alone."""
    import topologies
    import workloads
    from topologies.audit import Finding

    known = set(workloads.names("stacks"))
    for name in machines:
        entry = topologies.entry(name)
        missing = sorted(set(entry.stacks.values()) - known)
        detail = f"unknown: {', '.join(missing)}" if missing else "all known"
        yield Finding(f"machine {entry.name}", "stacks exist", not missing, detail)


def _all_sources() -> dict[str, Source]:
    import topologies
    import workloads

    return dict(sorted({**workloads.sources(), **topologies.sources()}.items()))


def _by_path(figures: Iterable[Figure]) -> dict[str, Figure]:
    return {_path(figure): figure for figure in figures}


def _by_field(figures: Iterable[Figure]) -> dict[str, Figure]:
    """A machine's figures by path; those of an entry that it shares with others stand under their kind."""
    kinds: dict[str, Kind] = {folder: kind for kind, folder in SHARED.items()}
    found = {}
    for figure in figures:
        kind = kinds.get(figure.key.partition("/")[0])
        found[f"{kind}.{_path(figure)}" if kind else _path(figure)] = figure
    return found


def _path(figure: Figure) -> str:
    return figure.key.split("/", 2)[2]


def _chip(name: str) -> Chip | UndisclosedChip:
    import topologies

    return topologies.undisclosed(name) or topologies.chip(name)


def _years(dates: Dates | None) -> dict[str, float | None]:
    """When something was announced and when it could first be had [year]; None where nobody says."""
    figures = {"announced": dates and dates.announced, "available": dates and dates.available}
    return {name: figure.si if figure else None for name, figure in figures.items()}


def _given(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that say something."""
    return {name: fact for name, fact in facts.items() if fact not in ("", None, False, (), [], {})}


def _shown_json(shown: Shown) -> dict[str, Any]:
    used = {figure.source for figure in shown.figures.values()}
    used |= {figure.source for each in shown.hypotheses for figure in each.figures.values()}
    return {
        "schema": 1,
        "kind": shown.kind,
        "name": shown.name,
        "title": shown.title,
        **{key: value for key, value in shown.facts.items() if key not in {"kind", "name", "title"}},
        "figures": {path: _figure_json(figure) for path, figure in shown.figures.items()},
        "hypotheses": [
            {"name": each.name, "weight": each.weight, "reason": each.reason}
            | {"figures": {path: _figure_json(figure) for path, figure in each.figures.items()}}
            for each in shown.hypotheses
        ],
        "sources": {name: _source_json(source) for name, source in shown.sources.items() if name in used},
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    """A figure in SI base units, and as it was stated."""
    return {
        "value": figure.si,
        "low": figure.si_low,
        "high": figure.si_high,
        "unit": DISPLAY[figure.dimension],
        "stated": f"{figure.value:g} {figure.unit}",
        "kind": figure.kind,
        "source": figure.source,
        "locator": figure.locator,
        "date": figure.date,
        "note": figure.note,
    }


def _si(figure: Figure) -> tuple[float, float, float, str]:
    return figure.si, figure.si_low, figure.si_high, DISPLAY[figure.dimension]


def _said(figure: Figure) -> tuple[str, str, str, str, str]:
    return figure.kind, figure.source, figure.locator, figure.date, figure.note


def _source_json(source: Source) -> dict[str, str]:
    return {"title": source.title, "url": source.url, "date": source.date, "note": source.note}


def _print_figures(title: str, figures: Mapping[str, Figure], sources: Mapping[str, Source]) -> None:
    """Each figure on a line, and who says so below it: sentences fit no column."""
    out = console(120)
    out.print(Text(f"\n{title}", style="bold"))
    width = max(len(path) for path in figures)
    for path, figure in figures.items():
        unit = "" if figure.unit == "1" else f" {figure.unit}"
        span = f" ({figure.low:g} to {figure.high:g})" if figure.is_uncertain else ""
        out.print(Text(f"{path:<{width}}  {figure.value:g}{unit}{span}, {figure.kind}"))
        source = sources[figure.source].title if figure.source else ""
        said = [_plain(part) for part in (source, figure.locator, figure.date, figure.note) if part]
        out.print(Padding(Text("; ".join(said), style="dim"), (0, 0, 0, 4)))


def _print_table(title: str, columns: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    table = Table(title=title, title_justify="left", show_lines=False)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0, vertical="top")
    for row in rows:
        table.add_row(*(Text(_plain(cell)) for cell in row))
    console(120).print(table)


def _plain(text: str) -> str:
    """Text from a file without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def _print_json(tree: dict[str, Any]) -> None:
    typer.echo(json.dumps(tree, ensure_ascii=False, allow_nan=False, indent=2))
