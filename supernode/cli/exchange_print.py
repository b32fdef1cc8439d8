"""What ``supernode collective dispatch`` says: one JSON object for machines, tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.cli.common import console, quantity
from supernode.cli.price_print import beside, print_bounds, print_damage, print_fastest
from supernode.nearest_rows import SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from supernode.exchange_rows import Near
    from supernode.exchange_sweep import Answer, Sweep

Judged = tuple[float, int, int] | None


def as_objects(found: Sweep, near: Sequence[Sequence[Near]], good: Judged, shape: list[int]) -> dict[str, Any]:
    """The object that ``--json`` prints; the answers of a sweep stand in a list under ``sweep``."""
    part, routing = found.part, found.batch.routing
    objects = [
        _object(found, answer) | {"nearest": [_near(each) for each in rows[:SHOWN]]}
        for answer, rows in zip(found.answers, near, strict=True)
    ]
    said: dict[str, Any] = {
        "schema": 1,
        "machine": part.machine.name,
        "chips": part.chips,
        "reading": part.machine.reading,
        "kind": found.kind,
        "hidden": found.answers[0].tokens.hidden,
        "experts": routing.experts,
        "top_k": routing.top_k,
        "dtype": found.batch.dtype,
        "skew": found.skew,
        "validation": None if good is None else {"median": good[0], "rows": good[1], "fitted": good[2]},
    }
    return said | ({"shape": shape} if shape else {}) | (objects[0] if len(objects) == 1 else {"sweep": objects})


def _object(found: Sweep, answer: Answer) -> dict[str, Any]:
    """One priced number of tokens; the range of the rates is that of the time, turned round."""
    priced, bounds = answer.found, answer.bounds

    def said(value: float, unit: str, low: float, high: float) -> dict[str, Any]:
        return quantity(value, unit, low=low, high=high, maturity="plausible", sources=found.sources)

    def rate(moved_bytes: float) -> dict[str, Any]:
        return said(moved_bytes / answer.seconds, "B/s", moved_bytes / answer.high_s, moved_bytes / answer.low_s)

    printed = answer.deepep_bytes_per_s * answer.seconds
    objects: dict[str, Any] = {
        "tokens": answer.tokens.count,
        "bytes": answer.token_bytes,
        "time": said(answer.seconds, "s", answer.low_s, answer.high_s),
        "algbw": rate(priced.sent_bytes),
        "busbw": rate(priced.sent_bytes * (priced.ranks - 1) / priced.ranks),
        "deepep": rate(printed) | {"counts": answer.counted},
        "algorithm": f"{answer.library} {answer.mode}",
        "library": answer.library,
        "mode": answer.mode,
        "level": found.level,
        "bottleneck": answer.bottleneck,
        "floor": priced.floor_s,
        "copies": priced.copies,
        "distinct_ranks": priced.distinct_ranks,
        "distinct_nodes": priced.distinct_nodes,
        "level_bytes": priced.level_bytes,
        "bounds": {
            "injection": bounds.injection_s,
            "link": bounds.link_s,
            "bisection": bounds.bisection_s,
            "latency": bounds.latency_s,
        },
        "over_bound": answer.over_bound,
        "by_algorithm": answer.by_library,
    }
    if answer.flow is not None:
        flow = answer.flow
        objects["flow"] = {
            "flows": flow.flows,
            "busiest_link": flow.busiest,
            "closed_form": priced.seconds,
            "whole": flow.whole_s,
            "degradation": answer.seconds / flow.whole_s,
        }
    return objects


def _near(near: Near) -> dict[str, Any]:
    row = near.row
    return {
        "machine": row.ran.part.machine.name,
        "same": near.same,
        "chips": row.ran.part.chips,
        "tokens": row.ran.tokens.count,
        "top_k": row.ran.routing.top_k,
        "experts": row.ran.routing.experts,
        "time": row.seconds,
        "error": row.error,
        "algorithm": row.algorithm or None,
        "source": row.source,
    }


def print_tables(found: Sweep, near: Sequence[Sequence[Near]], good: Judged) -> None:
    """Print the answers: one in full, or a sweep a line each."""
    out = console()
    first = found.answers[0]
    _print_answers(out, found)
    if len(found.answers) == 1:
        _print_ways(out, found, first)
        print_bounds(out, first.bounds, first.over_bound)
        title = "By every library that runs on this chip, in closed form"
        print_fastest(out, title, "library and mode", first.by_library)
    if first.flow is not None:
        _print_flow(out, found.answers[-1])
    _print_measured(out, near[0], is_sweep=len(found.answers) > 1)
    if good is not None:
        fitted = f", on {good[2]} of which constants were fitted" if good[2] else ""
        out.print(f"Against them: median error {good[0]:.1%} over {good[1]} rows{fitted}.", markup=False)
    if found.part.machine.reading:
        out.print(f"Reading: {found.part.machine.reading}", markup=False, soft_wrap=True)


def _print_answers(out: Console, found: Sweep) -> None:
    from rich.table import Table

    part, routing, first = found.part, found.batch.routing, found.answers[0]
    title = (
        f"{found.kind} over {part.chips:,} chips of {part.machine.name}: {first.tokens.hidden} values a token in "
        f"{found.batch.dtype}, {routing.top_k} of {routing.experts} experts, {found.skew}, level {found.level}"
    )
    table = Table(title=title, title_justify="left")
    left = {"algorithm", "bottleneck"}
    for name in ("tokens", "time", "5-95 %", "busbw", "as DeepEP prints", "algorithm", "bottleneck", "over bound"):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for answer in found.answers:
        priced = answer.found
        table.add_row(
            f"{answer.tokens.count:,.6g}",
            humanise(answer.seconds, "s"),
            f"{humanise(answer.low_s, 's', 3)} to {humanise(answer.high_s, 's', 3)}",
            humanise(priced.sent_bytes * (priced.ranks - 1) / priced.ranks / answer.seconds, "B/s"),
            f"{humanise(answer.deepep_bytes_per_s, 'B/s')} ({answer.counted})",
            f"{answer.library} {answer.mode}",
            answer.bottleneck,
            f"{answer.over_bound:.2f}x",
        )
    out.print(table)


def _print_ways(out: Console, found: Sweep, answer: Answer) -> None:
    """Where a token goes, and what that loads onto every level."""
    from rich.table import Table

    priced = answer.found
    nodes = f" of {priced.distinct_nodes:.3g} machines" if priced.machines > 1 else ""
    most = " (of the busiest, as if all were)" if found.batch.routing.odds else ""
    out.print(
        f"A token has {priced.copies:.3g} copies for {priced.distinct_ranks:.3g} ranks{nodes}{most}; each is "
        f"{humanise(answer.tokens.each_bytes, 'B')}, all of one rank once {humanise(answer.token_bytes, 'B')}. "
        f"{humanise(priced.floor_s, 's')} go by whatever is sent.",
        markup=False,
    )
    table = Table(title="What one rank sends over each level", title_justify="left")
    for name in ("level", "bytes", "each copy on its own", "of that"):
        table.add_column(name, justify="left" if name == "level" else "right")
    for name, sent in priced.level_bytes.items():
        plain = priced.plain_bytes[name]
        table.add_row(name, humanise(sent, "B"), humanise(plain, "B"), f"{sent / plain:.2f}x" if plain else "")
    out.print(table)


def _print_flow(out: Console, answer: Answer) -> None:
    flow = answer.flow
    if flow is None:
        return
    same = beside(flow.whole_s, answer.found.seconds)
    out.print(
        f"Flows: {flow.flows:,} of expected size; busiest link {flow.busiest}. The closed form says "
        f"{humanise(answer.found.seconds, 's')}, the whole fabric {same}.",
        markup=False,
    )
    print_damage(out, answer.seconds, flow.whole_s)


def _print_measured(out: Console, near: Sequence[Near], *, is_sweep: bool) -> None:
    from rich.table import Table

    if not near:
        out.print("No exchange was measured on this machine, its chip or its links.")
        return
    table = Table(title=f"Measured nearest{' to the first size' if is_sweep else ''}", title_justify="left")
    for name in ("machine", "chips", "tokens", "top-k", "what ran", "time", "we say", "source"):
        table.add_column(name, justify="left" if name in {"machine", "what ran", "source"} else "right")
    for each in near[:SHOWN]:
        row = each.row
        table.add_row(
            row.ran.part.machine.name,
            f"{row.ran.part.chips:,}",
            f"{row.ran.tokens.count:,.4g}",
            f"{row.ran.routing.top_k} of {row.ran.routing.experts}",
            row.algorithm or row.ran.library,
            humanise(row.seconds, "s"),
            f"{row.error:+.1%}",
            row.source,
        )
    out.print(table)
