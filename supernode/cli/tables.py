"""The answer of ``supernode compare`` in the terminal: legible at 80 columns, and plain text where it is piped."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from supernode.wording import MAIN, ahead, chips, decisive, head, ratio, reading, shown, status

if TYPE_CHECKING:
    from rich.console import Console

    from supernode.comparison import Case, Comparison, MachineResult, Outcome, Pair

_INFLUENCES = 3
_NAME = 20


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print results, verdicts and readings of the case as asked, then the verdicts of the case of equal chips."""
    _print_case(comparison.case, console)
    if comparison.matched is not None:
        console.print()
        _print_case(comparison.matched, console)
    console.print()
    console.print(Text(_footnote(comparison), style="dim"))


def _print_case(case: Case, console: Console) -> None:
    console.print(Text(case.title, style="bold"))
    for machine in case.machines.values():
        if machine.residual:
            off = f"{100 * abs(machine.residual):.2g} % {'above' if machine.residual > 0 else 'below'} the target"
            console.print(Text(f"{machine.name}: {chips(machine.chips, machine.machines)}, {off}"))
    names = dict.fromkeys(name for machine in case.machines.values() for name in machine.workloads)
    for name in names:
        console.print()
        _print_workload(name, case, console)
    _print_pairs(case, console)
    for machine in case.machines.values():
        if said := reading(machine):
            console.print(Text(said, style="italic"))


def _print_workload(name: str, case: Case, console: Console) -> None:
    rows = [(machine, machine.workloads[name]) for machine in case.machines.values() if name in machine.workloads]
    first = rows[0][1]
    console.print(Text.assemble((name, "bold"), f"  {first.title}"))
    metrics = [metric for metric in MAIN[first.kind] if any(metric in _metrics(*row) for row in rows)]
    answered = [row for row in rows if _metrics(*row)]
    if answered:
        console.print(_results(metrics, answered))
    for machine, outcome in rows:
        console.print(Padding(_details(machine, outcome), (0, 0, 0, 2)))


def _metrics(machine: MachineResult, outcome: Outcome) -> dict[str, object]:
    """Metrics of a workload; those of a day stand with the machine."""
    if outcome.status != "ok":
        return {}
    return dict(outcome.metrics or (machine.cluster if outcome.kind == "cluster" else {}))


def _results(metrics: list[str], rows: list[tuple[MachineResult, Outcome]]) -> Table:
    """One row a machine; each cell holds the value, and the range under it."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", min_width=min(_NAME, max(len(machine.name) for machine, _ in rows)))
    for name in metrics:
        table.add_column(head(name), justify="right", overflow="fold")
    for machine, outcome in rows:
        quantities = outcome.metrics or machine.cluster
        cells = [_cell(name, machine, outcome) if name in quantities else Text("–") for name in metrics]
        table.add_row(Text.assemble(machine.name, "\n", (chips(machine.chips, machine.machines), "dim")), *cells)
    return table


def _cell(name: str, machine: MachineResult, outcome: Outcome) -> Text:
    quantity = (outcome.metrics or machine.cluster)[name]
    words = shown(name, quantity)
    # The head of a column names what is counted; the cell adds the prefix, or the unit where it depends on the size.
    unit = words.unit.removesuffix(quantity.unit).strip() if quantity.unit.startswith(("tokens", "USD")) else words.unit
    return Text.assemble((f"{words.value} {unit}".rstrip(), "bold"), "\n", (words.range, "dim"))


def _details(machine: MachineResult, outcome: Outcome) -> Text:
    """How a machine does a workload, or why it does not."""
    text = Text(f"{machine.name}: ")
    if outcome.status != "ok":
        return text.append(status(outcome), style="yellow")
    parts = [outcome.plan, outcome.stack and f"stack {outcome.stack}", outcome.note]
    if outcome.answered < 1:
        parts.append(status(outcome))
    return text.append("; ".join(part for part in parts if part) or "ok", style="dim")


def _print_pairs(case: Case, console: Console) -> None:
    pairs = decisive(case)
    for (a, b), between in groupby(pairs, key=lambda pair: (pair.a, pair.b)):
        console.print()
        console.print(Text(f"{a} against {b}", style="bold"))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", overflow="fold", max_width=20)
        table.add_column("a over b", justify="right", overflow="fold", max_width=24)
        table.add_column("", overflow="fold")
        for workload, of_workload in groupby(between, key=lambda pair: pair.workload):
            table.add_row(Text(workload, style="bold"), "", "")
            decided = list(of_workload)
            for pair in decided:
                table.add_row(Text(f" {head(pair.metric)}"), Text(str(ratio(pair))), Text(ahead(pair)))
            if decided[0].influences:
                table.add_row("", "", Text(_deciding(decided[0]), style="dim"))
        console.print(table)
    if pairs:
        console.print()


def _deciding(pair: Pair) -> str:
    return f"{head(pair.metric)} decided by {', '.join(one.figure for one in pair.influences[:_INFLUENCES])}"


def _footnote(comparison: Comparison) -> str:
    assumed = sum(figure.kind == "assumed" for figure in comparison.figures)
    return (
        f"Values: stated figures. Ranges: 5–95 % of {comparison.samples} draws, seed {comparison.seed}. "
        f"{len(comparison.figures)} figures from {len(comparison.sources_list)} sources; {assumed} of them assumed."
    )
