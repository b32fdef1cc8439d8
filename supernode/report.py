"""The report: one HTML page with tables, charts, assumptions and sources that needs no network and runs no script."""

from __future__ import annotations

import base64
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from simulator.figures import Kind
from simulator.files import write_whole
from simulator.ledger import BINS
from supernode import wording
from supernode.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from supernode.comparison import Case, Comparison, Outcome, Pair, Quantity, UsedFigure

TEMPLATES = Path(__file__).with_name("templates")
CAPTIONS = {
    "throughput": "Tokens per second of each workload on each machine, in all and per chip.",
    "verdicts": "How far apart the machines are; the line at 1 is no difference.",
    "step": "Where the time of a training step goes, in seconds and in shares.",
    "collectives": "Bus bandwidth of collectives against message size, over all chips.",
    "cost": "What tokens and training runs cost, and what they take in energy.",
    "ledger": "Where the chip-time of the simulated day goes.",
    "timeline": "The simulated day: who holds which allocation units when, and how many jobs wait.",
}
"""First word of a chart's name -> its caption."""

Row = dict[str, Any]


class Picture(NamedTuple):
    """A chart in the page: its name, its caption, and its SVG as a data address."""

    name: str
    caption: str
    address: str


def write_report(comparison: Comparison, path: Path, *, plots: Iterable[Path] = ()) -> None:
    """Write the page; ``plots`` are files of :func:`supernode.plots.save.write_plots`, which else are drawn again."""
    charts = {plot.stem: plot.read_bytes() for plot in plots if plot.suffix == ".svg"}
    write_whole(path, report_html(comparison, charts or drawn(comparison)))


def drawn(comparison: Comparison) -> dict[str, bytes]:
    """Every chart as SVG by name."""
    from supernode.plots.save import figures, svg_text

    return {name: svg_text(figure).encode() for name, figure in figures(comparison).items()}


def report_html(comparison: Comparison, charts: Mapping[str, bytes]) -> str:
    """The page as text; everything that comes from a file or a user is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cases = [case for case in (comparison.case, comparison.matched) if case is not None]
    numbers = {source.id: number for number, source in enumerate(comparison.sources_list, start=1)}
    return environment.get_template("report.html.j2").render(
        comparison=comparison,
        title=" against ".join(comparison.case.machines),
        cases=[_case_view(case, charts, numbers, is_matched=case is comparison.matched) for case in cases],
        answers=_answers(comparison),
        failures=[_failure(case, outcome, name) for case in cases for name, outcome in _without_answer(case)],
        figures=[_figure_row(figure, numbers) for figure in comparison.figures],
        kinds=_kinds(comparison),
        sources=_sources(comparison),
        provenance=sorted(comparison.provenance.items()),
    )


# The answer ------------------------------------------------------------------------------------------------------


def _answers(comparison: Comparison) -> list[Row]:
    """Decisive pairs of the case as asked, each with the same pair at equal chips beside it."""
    matched = {_place(pair): pair for pair in comparison.matched.pairs} if comparison.matched else {}
    found = []
    for (a, b), between in groupby(wording.decisive(comparison.case), key=lambda pair: (pair.a, pair.b)):
        works = []
        for work, pairs in groupby(between, key=lambda pair: pair.workload):
            rows = [{**_pair_row(pair), "matched": _pair_row(matched.get(_place(pair)))} for pair in pairs]
            works.append({"workload": work, "rows": rows})
        found.append({"a": a, "b": b, "works": works})
    return found


def _place(pair: Pair) -> tuple[str, str, str, str]:
    return pair.a, pair.b, pair.workload, pair.metric


def _pair_row(pair: Pair | None) -> Row:
    if pair is None:
        return {}
    return {
        "workload": pair.workload,
        "metric": wording.title(pair.metric),
        "ratio": wording.ratio(pair),
        "ahead": wording.ahead(pair),
        "verdict": pair.verdict[:1].upper() + pair.verdict[1:],
        "share": pair.probability_a_better,
        "is_open": pair.ratio[1] <= 1 <= pair.ratio[2],
        "influences": [
            {"figure": one.figure, "correlation": f"{one.correlation:+.2f}", "strength": abs(one.correlation)}
            for one in pair.influences
        ],
    }


def _without_answer(case: Case) -> list[tuple[str, Outcome]]:
    return [
        (machine.name, outcome)
        for machine in case.machines.values()
        for outcome in machine.workloads.values()
        if outcome.status != "ok" or outcome.answered < 1
    ]


def _failure(case: Case, outcome: Outcome, machine: str) -> Row:
    return {"case": case.title, "machine": machine, "workload": outcome.workload, "status": wording.status(outcome)}


# A case ----------------------------------------------------------------------------------------------------------


def _case_view(case: Case, charts: Mapping[str, bytes], numbers: dict[str, int], *, is_matched: bool) -> Row:
    prefix = "matched-" if is_matched else ""
    machines = list(case.machines.values())
    return {
        "title": case.title[:1].upper() + case.title[1:],
        "basis": case.basis,
        "anchor": "matched" if is_matched else "asked",
        "machines": [
            {
                "name": machine.name,
                "title": machine.title,
                "size": wording.chips(machine.chips, machine.machines),
                "residual": "as built" if case.basis == "as-built" else _residual(machine.residual),
                "reading": machine.reading.rstrip("."),
                "weights": _weights(machine.hypotheses),
            }
            for machine in machines
        ],
        "workloads": _workloads(case, numbers),
        "economics": _table([machine.economics for machine in machines], numbers),
        "cluster": _table([_without_ledger(machine.cluster) for machine in machines], numbers),
        "ledger": _ledger([machine.cluster for machine in machines]),
        "pairs": [_pair_row(pair) | {"a": pair.a, "b": pair.b} for pair in case.pairs],
        "decided": [_pair_row(pair) | {"a": pair.a, "b": pair.b} for pair in wording.decisive(case) if pair.influences],
        "pictures": {kind: _pictures(kind, prefix, charts) for kind in CAPTIONS},
    }


def _residual(residual: float) -> str:
    if not residual:
        return "on target"
    return f"{100 * abs(residual):.2g} % {'above' if residual > 0 else 'below'} the target"


def _weights(hypotheses: dict[str, float]) -> list[str]:
    total = sum(hypotheses.values()) or 1.0
    return [f"{name}: {wording.percent(weight / total)}" for name, weight in hypotheses.items()]


def _workloads(case: Case, numbers: dict[str, int]) -> list[Row]:
    """Tables of the workloads; those of a day stand in a section of their own."""
    names = dict.fromkeys(name for machine in case.machines.values() for name in machine.workloads)
    found = []
    for name in names:
        outcomes = [machine.workloads.get(name) for machine in case.machines.values()]
        known = [outcome for outcome in outcomes if outcome is not None]
        is_day = known[0].kind == "cluster"
        tables: list[dict[str, Quantity]] = [
            {} if outcome is None or is_day else outcome.metrics for outcome in outcomes
        ]
        found.append(
            {
                "name": name,
                "title": known[0].title,
                "is_day": is_day,
                "outcomes": [_outcome(outcome) for outcome in outcomes],
                **_table(tables, numbers),
            }
        )
    return found


def _outcome(outcome: Outcome | None) -> Row:
    if outcome is None:
        return {"is_ok": False, "said": ["not asked"]}
    parts = (
        "" if outcome.status == "ok" and outcome.answered >= 1 else wording.status(outcome),
        outcome.plan and f"Plan: {outcome.plan}",
        outcome.stack and f"Software stack: {outcome.stack}",
        outcome.note[:1].upper() + outcome.note[1:],
    )
    said = [part.rstrip(".") for part in parts if part] or ["ok"]
    return {"is_ok": outcome.status == "ok", "said": said}


def _table(tables: list[dict[str, Quantity]], numbers: dict[str, int]) -> Row:
    """Metrics of several machines: a row for each metric, a cell for each machine, the label of the weakest model."""
    present = {name for table in tables for name in table}
    order = [name for name in METRICS if name in present] + sorted(present - set(METRICS))
    quantities = [quantity for table in tables for quantity in table.values()]
    cited = sorted({numbers[source] for quantity in quantities for source in quantity.sources if source in numbers})
    return {
        "rows": [
            {
                "title": wording.title(name),
                "cells": [wording.shown(name, table[name]) if name in table else None for table in tables],
            }
            for name in order
        ],
        "maturity": ", ".join(sorted({quantity.maturity for quantity in quantities})),
        "cited": cited,
    }


def _without_ledger(metrics: dict[str, Quantity]) -> dict[str, Quantity]:
    return {name: quantity for name, quantity in metrics.items() if not name.startswith("ledger_")}


def _ledger(tables: list[dict[str, Quantity]]) -> list[Row]:
    """Shares of chip-time: a row for each bin that a machine has, with what the bin means."""
    found = []
    for name, meaning in BINS.items():
        key = f"ledger_{name}"
        if any(key in table for table in tables):
            cells = [wording.shown(key, table[key]) if key in table else None for table in tables]
            found.append({"title": name.replace("_", " "), "meaning": meaning, "cells": cells})
    return found


def _pictures(kind: str, prefix: str, charts: Mapping[str, bytes]) -> list[Picture]:
    wanted = f"{prefix}{kind}"
    return [
        Picture(name, CAPTIONS[kind], f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}")
        for name, content in charts.items()
        if name == wanted or name.startswith(f"{wanted}-")
    ]


# What it rests on ------------------------------------------------------------------------------------------------


def _figure_row(figure: UsedFigure, numbers: dict[str, int]) -> Row:
    shown = wording.shown_figure(figure.value, figure.low, figure.high, figure.unit)
    return {
        "key": figure.key,
        "value": f"{shown.value} {shown.unit}".rstrip(),
        "range": shown.range if figure.low < figure.high else "exact",
        "kind": figure.kind,
        "number": numbers.get(figure.source),
        "source": figure.source,
        "locator": figure.locator,
        "note": figure.note,
    }


def _kinds(comparison: Comparison) -> list[tuple[str, int]]:
    counted = [(kind, sum(figure.kind == kind for figure in comparison.figures)) for kind in get_args(Kind)]
    return [(kind, count) for kind, count in counted if count]


def _sources(comparison: Comparison) -> list[Row]:
    """Sources with their links; an address that is not of the web is shown as text."""
    return [
        {
            "id": source.id,
            "title": source.title,
            "date": source.date,
            "url": source.url,
            "is_link": source.url.startswith(("https://", "http://")),
        }
        for source in comparison.sources_list
    ]
