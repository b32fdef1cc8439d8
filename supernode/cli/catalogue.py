"""``supernode catalogue``: what the machines, chips and networks are, figure by figure, and who says so."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from simulator.errors import InputError, unknown_name
from supernode import entries
from supernode.catalogue_table import COLUMNS, rows, rows_of
from supernode.cli.common import console
from supernode.cli.entry_print import WIDTH, entry_json, number, plain, print_entry, source_json

if TYPE_CHECKING:
    from supernode.catalogue_table import Row
    from topologies.audit import Finding

app = typer.Typer(
    no_args_is_help=True, help="Machines, chips, networks, models and stacks, with every figure's source."
)

FORMS = ("csv", "json", "md")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """What there is, by name.

    Example: supernode catalogue list
    """
    import topologies
    import workloads

    machines = [topologies.head("machines", name) for name in topologies.names("machines")]
    chips = [entries.chip_head(name) for name in topologies.names("chips")]
    networks = [topologies.head("networks", name) for name in topologies.names("networks")]
    models = [workloads.model(name) for name in workloads.names("models")]
    stacks = [workloads.stack(name) for name in workloads.names("stacks")]
    shared = {folder: topologies.names(folder) for folder in entries.SHARED.values()}
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
                    {"name": each.name, "vendor": each.vendor, "title": each.title, **entries.years(each.dates)}
                    | {"undisclosed": each.undisclosed}
                    for each in chips
                ],
                "networks": [{"name": each.name, "vendor": each.vendor, "title": each.title} for each in networks],
                **{folder: [{"name": name} for name in names] for folder, names in shared.items()},
                "models": [{"name": each.name, "title": each.title} for each in models],
                "stacks": [{"name": each.name, "title": each.title, "date": each.date} for each in stacks],
            }
        )
        return
    lines = [(each.name, each.title, f"{each.chips:,} x {each.chip}", each.network) for each in machines]
    _print_table("Machines", ("name", "title", "chips", "network between machines"), lines)
    dated = [
        (
            each.name,
            each.title + " (undisclosed)" * bool(each.undisclosed),
            *("" if year is None else f"{year:.1f}" for year in entries.years(each.dates).values()),
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
        list[str], typer.Argument(metavar="[KIND] NAME", help=f"A name; KIND is one of {', '.join(entries.KINDS)}.")
    ],
    hypothesis: Annotated[str, typer.Option(help="Show a machine under this reading of what is not disclosed.")] = "",
    with_chip: Annotated[bool, typer.Option("--with-chip", help="Show a machine's chip along with it.")] = False,
    as_json: Json = False,
) -> None:
    """Every figure of one entry: its value and range, who says so, what others state instead.

    Example: supernode catalogue show scalex640
    """
    shown = entries.find(what, hypothesis, with_chip=with_chip)
    if as_json:
        _print_json(entry_json(shown))
    else:
        print_entry(shown)


@app.command("sources")
def sources_(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids; with them, the figures that rest on each.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The documents that figures are taken from, and which figures are taken from one of them.

    Example: supernode catalogue sources google-tpu7x-docs
    """
    known = entries.all_sources()
    for name in names or ():
        if name not in known:
            raise unknown_name("source", name, known)
    wanted = {name: known[name] for name in names or known}
    resting: dict[str, list[Row]] = {name: [] for name in names or ()}
    for row in rows() if names else ():
        if row.source in resting:
            resting[row.source].append(row)
    if as_json:
        tree = {name: source_json(source) for name, source in wanted.items()}
        figures = {name: {"figures": [_resting_json(row) for row in found]} for name, found in resting.items()}
        _print_json({"schema": 1, "sources": {name: tree[name] | figures.get(name, {}) for name in tree}})
        return
    lines = [(name, each.title, each.date, each.url, each.note) for name, each in wanted.items()]
    _print_table("Sources", ("id", "title", "date", "address", "note"), lines)
    for name, found in resting.items():
        cells = [
            (row.entry, row.path.partition(".others[")[0], number(row.stated, row.stated_unit), row.stands, row.locator)
            for row in found
        ]
        title = f"{len(found)} figures that {name} states"
        _print_table(title, ("entry", "path", "value", "stands", "locator"), cells)


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
    counts = _counted(machines or ()) | {"checks": len(findings), "wrong": len(wrong)}
    if as_json:
        found = [{"subject": f.subject, "what": f.what, "holds": f.holds, "detail": f.detail} for f in findings]
        _print_json(
            {"schema": 1, "findings": found, "count": len(findings), "wrong": len(wrong), "counts": counts},
        )
    else:
        marks = [(f.subject, f.what, "ok" if f.holds else "WRONG", f.detail) for f in findings]
        _print_table("Checks", ("entry", "what", "", "detail"), marks)
        typer.echo(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    if wrong:
        raise typer.Exit(2)


@app.command(
    help="Every figure of the catalogue as one table, what other sources state in its place in rows below it.\n\n"
    "Example: supernode catalogue export --format md\n\n"
    # The mark of click for lines that are not to be joined.
    "Columns:\n\n\b\n" + "\n".join(f"{name}: {text}" for name, text in COLUMNS.items())
)
def export(
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMS)}.")] = "csv",
) -> None:
    """Print the whole catalogue as one table; its help lists the columns."""
    if form not in FORMS:
        raise unknown_name("format", form, FORMS, where="--format")
    if form == "json":
        figures = [{name: getattr(row, name) for name in COLUMNS} for row in rows()]
        _print_json({"schema": 1, "columns": COLUMNS, "figures": figures})
    elif form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(row.cells for row in rows())])
        typer.echo(text.getvalue(), nl=False)
    else:
        typer.echo("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
        for row in rows():
            typer.echo("| " + " | ".join(plain(str(cell)).replace("|", "\\|") for cell in row.cells) + " |")


def _stack_findings(machines: Iterable[str]) -> Iterator[Finding]:
    """Whether the stacks that machines name exist: the one thing that neither side can know alone."""
    import topologies
    from supernode.readings import stack_of
    from topologies.audit import Finding

    for name in machines:
        entry = topologies.entry(name)
        wrong = []
        for phase in entry.stacks:
            try:
                stack_of(name, phase)
            except InputError as error:
                wrong.append(str(error).replace("\n  ", "; "))
        detail = "; ".join(wrong) or "all known"
        yield Finding(f"machine {entry.name}", "stacks exist", not wrong, detail)


def _counted(machines: Sequence[str]) -> dict[str, int]:
    """What was held to the rules: the whole catalogue, or these machines with their chips."""
    import topologies

    shown = [entries.machine_shown(name, with_chip=True) for name in machines]
    named = [topologies.entry(name) for name in machines]
    counts = {
        "machines": {each.name for each in named} or topologies.names("machines"),
        "chips": {each.chip for each in named} or topologies.names("chips"),
        "networks": {each.network for each in named} or topologies.names("networks"),
    }
    shown = shown or list(entries.everything())
    table = list(rows_of(shown))
    figures = sum(row.is_figure for row in table)
    return {
        **{what: len(names) for what, names in counts.items()},
        "figures": figures,
        "others": len(table) - figures,
        "sources": len({row.source for row in table if row.source}),
    }


def _resting_json(row: Row) -> dict[str, Any]:
    wanted = ("entry", "path", "value", "unit", "kind", "stands", "stated", "stated_unit", "locator", "note")
    return {name: getattr(row, name) for name in wanted}


def _print_table(title: str, columns: tuple[str, ...], lines: Iterable[Iterable[str]]) -> None:
    table = Table(title=title, title_justify="left", show_lines=False)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0, vertical="top")
    for line in lines:
        table.add_row(*(Text(plain(cell)) for cell in line))
    console(WIDTH).print(table)


def _print_json(tree: dict[str, Any]) -> None:
    typer.echo(json.dumps(tree, ensure_ascii=False, allow_nan=False, indent=2))
