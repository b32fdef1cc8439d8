"""One entry of the catalogue in the terminal and as JSON: every figure, who says so, and what others state instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from simulator.figures import Figure, Other, Source
from simulator.units import DISPLAY, humanise
from supernode.cli.common import console
from supernode.entries import FIGURE_KINDS, Reading, Shown, tally
from supernode.model_costs import ModelCosts, costs_json

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 120
"""Letters in a line where nobody says how wide the terminal is."""
UNSOURCED = "*"
"""What stands before a figure that has no source."""
_INDENT = 6


def print_entry(shown: Shown) -> None:
    """Print what is known of an entry: facts, figures with their sources' ids, readings, counts, and the sources."""
    out = console(WIDTH)
    out.print(Text(f"{shown.kind} {shown.name}: {plain(shown.title)}", style="bold"))
    for name, fact in shown.facts.items():
        out.print(Padding(Text(f"{name}: {_worded(fact)}"), (0, 0, 0, 2), expand=False))
    if shown.costs:
        _print_costs(shown.costs, out)
    if shown.figures:
        heading = f"Figures as {shown.hypothesis} has them" if shown.hypothesis else "Figures"
        _print_figures(heading, shown.figures, shown, out)
    for each in shown.readings:
        out.print(Text(f"\nReading {each.name}, weight {each.weight:g}: {plain(each.reason)}"))
        if each.figures:
            _print_figures(_heading(each), each.figures, shown, out)
    if shown.figures:
        out.print(Text(f"\n{summary(shown)}", style="bold"))
    _print_sources(shown.cited, out)


def summary(shown: Shown) -> str:
    """How many figures an entry has of each kind, and how many stand beside them."""
    counts = tally(shown.figures.values())
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in FIGURE_KINDS)
    text = f"{counts['figures']} figures: {kinds} (unsourced)"
    if counts["others"]:
        text += f"; {counts['others']} stated otherwise by other sources"
    if replaced := sum(len(each.figures) for each in shown.readings):
        text += f"; {replaced} more in readings"
    return text


def entry_json(shown: Shown) -> dict[str, Any]:
    """An entry as one JSON object."""
    return {
        "schema": 1,
        "kind": shown.kind,
        "name": shown.name,
        "title": shown.title,
        **{key: value for key, value in shown.facts.items() if key not in {"kind", "name", "title"}},
        **(costs_json(shown.costs) if shown.costs else {}),
        "hypothesis": shown.hypothesis,
        "figures": {path: figure_json(figure) for path, figure in shown.figures.items()},
        "hypotheses": [
            {"name": each.name, "weight": each.weight, "reason": each.reason, "builder": each.builder}
            | {"figures": {path: figure_json(figure) for path, figure in each.figures.items()}}
            for each in shown.readings
        ],
        "counts": tally(shown.figures.values()),
        "sources": {name: source_json(source) for name, source in shown.cited.items()},
    }


def figure_json(figure: Figure) -> dict[str, Any]:
    """A figure in SI base units, and as it was stated, with what other sources state in its place."""
    unit = DISPLAY[figure.dimension]
    return {
        "value": figure.si,
        "low": figure.si_low,
        "high": figure.si_high,
        "unit": unit,
        "stated": f"{figure.value:.10g} {figure.unit}",
        **_said(figure),
        "others": [
            {"value": figure.si_of(other), "unit": unit, "stated": f"{other.value:.10g} {other.unit or figure.unit}"}
            | _said(other)
            for other in figure.others
        ],
        "choice": figure.choice,
    }


def source_json(source: Source) -> dict[str, str]:
    """A source as one JSON object."""
    return {"title": source.title, "url": source.url, "date": source.date, "note": source.note}


def number(value: float, unit: str) -> str:
    """A number as it was stated, without the unit of what has none."""
    return f"{value:.10g}" if unit == "1" else f"{value:.10g} {unit}"


def plain(text: str) -> str:
    """Text from a file without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def _worded(fact: Any) -> str:
    """A fact in words."""
    if fact is None:
        return "not stated"
    if isinstance(fact, dict):
        return ", ".join(f"{name} {_worded(value)}" for name, value in fact.items() if value not in ("", False))
    if isinstance(fact, list):
        return ", ".join(_worded(each) for each in fact)
    return f"{fact:g}" if isinstance(fact, float) else plain(str(fact))


def _print_costs(costs: ModelCosts, out: Console) -> None:
    """What a model costs: parameters, bytes, and FLOPs of a token by phase and length."""
    from rich.table import Table

    def sizes(by_dtype: Mapping[str, float]) -> str:
        return ", ".join(f"{humanise(value, 'B')} in {dtype}" for dtype, value in by_dtype.items())

    counts = ", ".join(f"{value:,} {name}" for name, value in costs.parameters.items())
    out.print(Text("\nCosts, counted from the architecture", style="bold"))
    out.print(Padding(Text(f"parameters: {counts}"), (0, 0, 0, 2), expand=False))
    out.print(Padding(Text(f"weights: {sizes(costs.weight_bytes)}"), (0, 0, 0, 2), expand=False))
    out.print(Padding(Text(f"cache of a token: {sizes(costs.kv_bytes_per_token)}"), (0, 0, 0, 2), expand=False))
    table = Table(title="FLOPs of one token in a sequence", title_justify="left")
    columns = ("tokens", "forward", "backward", "training step", "prefill", "decode", "cache of a sequence (bf16)")
    for column in columns:
        table.add_column(column, justify="right")
    for flops, kept in zip(costs.flops_per_token, costs.kv_bytes_per_sequence["bf16"], strict=True):
        table.add_row(f"{flops.tokens:,}", *(humanise(value, "FLOP") for value in flops[1:]), humanise(kept, "B"))
    out.print(table)


def _said(stated: Figure | Other) -> dict[str, str]:
    """Who says so, how surely and where."""
    return {name: getattr(stated, name) for name in ("kind", "source", "locator", "date", "note")}


def _heading(reading: Reading) -> str:
    if reading.builder:
        return f"Figures of {reading.name}, which has a fabric of its own ({reading.builder})"
    return f"Figures that {reading.name} replaces"


def _print_figures(title: str, figures: Mapping[str, Figure], shown: Shown, out: Console) -> None:
    """Each figure on a line, and who says so below it: sentences fit no column."""
    legend = f" ({UNSOURCED} has no source)" if any(not each.source for each in figures.values()) else ""
    out.print(Text(f"\n{title}{legend}", style="bold"))
    width = max(len(path) for path in figures)
    for path, figure in figures.items():
        mark = " " if figure.source else UNSOURCED
        span = f" ({figure.low:.10g} to {figure.high:.10g})" if figure.is_uncertain else ""
        kind = figure.kind if figure.source else f"{figure.kind}, no source"
        under = f", as {shown.hypothesis} has it" if shown.hypothesis and "@" in figure.key else ""
        line = f"{mark} {path:<{width}}  {number(figure.value, figure.unit)}{span}, {kind}{under}"
        out.print(Text(line, style="" if figure.source else "yellow"))
        _below(_cited(figure, shown.sources), out)
        _below(plain(figure.note), out)
        for other in figure.others:
            shown_other = number(other.value, other.unit or figure.unit)
            note = f"; {plain(other.note)}" if other.note else ""
            _below(f"other: {shown_other}, {other.kind}; {_cited(other, shown.sources)}{note}", out)
        if figure.choice:
            _below(f"choice: {plain(figure.choice)}", out)


def _below(text: str, out: Console) -> None:
    if text:
        out.print(Padding(Text(text, style="dim"), (0, 0, 0, _INDENT), expand=False))


def _cited(stated: Figure | Other, sources: Mapping[str, Source]) -> str:
    """Title and id of the source, and where in it; the address stands under the id in the list of sources."""
    title = f"{sources[stated.source].title} [{stated.source}]" if stated.source else ""
    return "; ".join(plain(part) for part in (title, stated.locator, stated.date) if part)


def _print_sources(sources: Mapping[str, Source], out: Console) -> None:
    if not sources:
        return
    out.print(Text("\nSources", style="bold"))
    for name, source in sources.items():
        dated = f", {plain(source.date)}" if source.date else ""
        out.print(Padding(Text(f"[{name}] {plain(source.title)}{dated}"), (0, 0, 0, 2), expand=False))
        if source.url:
            # An address stays on one line, so that it can be copied and followed.
            out.print(Text(" " * _INDENT + plain(source.url), style="dim"), soft_wrap=True)
