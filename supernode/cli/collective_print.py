"""What ``supernode collective`` says: one JSON object for machines, tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.cli.common import binary_size, console, quantity
from supernode.cli.price_print import beside, print_bounds, print_damage, print_fastest
from supernode.nearest_rows import SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from supernode.collective_sweep import Answer, Sweep
    from supernode.nearest_rows import Judged, Near

MOST_LISTED = 16
"""Jobs that a table lists one by one."""


def as_objects(found: Sweep, near: Sequence[Sequence[Near]], good: Judged | None, shape: list[int]) -> dict[str, Any]:
    """The object that ``--json`` prints; the answers of a sweep stand in a list under ``sweep``."""
    part = found.part
    objects = [
        _object(answer, found.sources) | {"nearest": [_near(row) for row in rows[:SHOWN]]}
        for answer, rows in zip(found.answers, near, strict=True)
    ]
    said: dict[str, Any] = {
        "schema": 1,
        "machine": part.machine.name,
        "chips": part.chips,
        "reading": part.machine.reading,
        "validation": None
        if good is None
        else {"median": good.median, "rows": good.rows, "fitted": good.fitted, "what": good.what},
    }
    return said | ({"shape": shape} if shape else {}) | (objects[0] if len(objects) == 1 else {"sweep": objects})


def _object(answer: Answer, sources: tuple[str, ...]) -> dict[str, Any]:
    """One priced size; the range of the rates is that of the time, turned round."""
    bus = answer.busbw_bytes_per_s / answer.algbw_bytes_per_s
    slow, fast = answer.size_bytes / answer.high_s, answer.size_bytes / answer.low_s
    bounds = answer.bounds

    def said(value: float, unit: str, low: float, high: float) -> dict[str, Any]:
        return quantity(value, unit, low=low, high=high, maturity="verified", sources=sources)

    found: dict[str, Any] = {
        "kind": answer.kind,
        "bytes": answer.size_bytes,
        "time": said(answer.seconds, "s", answer.low_s, answer.high_s),
        "algbw": said(answer.algbw_bytes_per_s, "B/s", slow, fast),
        "busbw": said(answer.busbw_bytes_per_s, "B/s", slow * bus, fast * bus),
        "algorithm": answer.algorithm,
        "level": answer.level,
        "bottleneck": answer.bottleneck,
        "bounds": {
            "injection": bounds.injection_s,
            "link": bounds.link_s,
            "bisection": bounds.bisection_s,
            "latency": bounds.latency_s,
        },
        "over_bound": answer.over_bound,
        "by_algorithm": answer.by_algorithm,
    }
    if answer.flow is not None:
        flow = answer.flow
        found["flow"] = {
            "rounds": flow.found.rounds,
            "solved": flow.found.solved,
            "stepping": flow.found.level,
            "busiest_link": flow.found.busiest,
            "closed_form": flow.closed_s,
            "differs": flow.differs or None,
            "whole": flow.whole_s,
            "degradation": answer.seconds / flow.whole_s,
        }
    if answer.curve is not None:
        curve = answer.curve
        found["curve"] = {"grade": curve.grade, "basis": curve.basis, "is_clamped": curve.is_clamped}
    if answer.jobs is not None:
        jobs = answer.jobs
        found["placement"], found["shared_chips"] = jobs.placement, jobs.chips
        found["jobs"] = [
            {"time": time, "alone": alone, "slowdown": slower}
            for time, alone, slower in zip(jobs.seconds, jobs.alone_s, jobs.slowdowns, strict=True)
        ]
    return found


def _near(near: Near) -> dict[str, Any]:
    row = near.row
    return {
        "machine": row.machine or None,
        "same": near.same,
        "network": row.network or None,
        "chips": row.chips,
        "bytes": row.size_bytes,
        "time": row.seconds,
        "busbw": near.busbw_bytes_per_s,
        "algorithm": row.algorithm or None,
        "source": near.source,
        "url": near.url or None,
    }


def print_tables(found: Sweep, near: Sequence[Sequence[Near]], good: Judged | None, shape: str) -> None:
    """Print the answers: one in full, or a sweep a line each."""
    out = console()
    first = found.answers[0]
    _print_answers(out, found, shape)
    if len(found.answers) == 1:
        print_bounds(out, first.bounds, first.over_bound)
        print_fastest(out, "By every algorithm, in closed form", "algorithm", first.by_algorithm)
    _print_level(out, found.answers)
    _print_measured(out, near[0], is_sweep=len(found.answers) > 1)
    if good is not None:
        fitted = f", on {good.fitted} of which constants were fitted" if good.fitted else ""
        out.print(
            f"Closed form against measurements: median error {good.median:.1%} over {good.rows} rows, "
            f"{good.what}{fitted}.",
            markup=False,
        )
    if found.part.machine.reading:
        out.print(f"Reading: {found.part.machine.reading}", markup=False, soft_wrap=True)


def _print_answers(out: Console, found: Sweep, shape: str) -> None:
    from rich.table import Table

    first, part = found.answers[0], found.part
    shaped = f" as {shape}" if "x" in shape else ""
    many = f", {len(first.jobs.seconds)} {first.jobs.placement} jobs at once" if first.jobs else ""
    title = f"{first.kind} over {part.chips:,} chips{shaped} of {part.machine.name}{many}, level {first.level}"
    table = Table(title=title, title_justify="left")
    for name in ("size", "time", "5-95 %", "algbw", "busbw", "algorithm", "bottleneck", "over bound"):
        table.add_column(name, justify="left" if name in {"algorithm", "bottleneck"} else "right", no_wrap=True)
    for answer in found.answers:
        table.add_row(
            binary_size(answer.size_bytes),
            humanise(answer.seconds, "s"),
            f"{humanise(answer.low_s, 's', 3)} to {humanise(answer.high_s, 's', 3)}",
            humanise(answer.algbw_bytes_per_s, "B/s"),
            humanise(answer.busbw_bytes_per_s, "B/s"),
            answer.algorithm,
            answer.bottleneck,
            f"{answer.over_bound:.2f}x",
        )
    out.print(table)


def _print_level(out: Console, answers: Sequence[Answer]) -> None:
    """What only the level that answered can say."""
    last = answers[-1]
    if last.curve is not None:
        clamped = "; raised to what the links allow" if last.curve.is_clamped else ""
        out.print(f"Curve: {last.curve.basis} ({last.curve.grade}{clamped}).", markup=False)
    if last.flow is not None:
        flow = last.flow
        same = beside(flow.whole_s, flow.closed_s)
        why = f": {flow.differs}" if flow.differs and same != "the same" else ""
        out.print(
            f"Flows: {flow.found.rounds:,} rounds, {flow.found.solved:,} solved; busiest link {flow.found.busiest}. "
            f"The closed form says {humanise(flow.closed_s, 's')}, the whole fabric {same}{why}.",
            markup=False,
        )
        print_damage(out, last.seconds, flow.whole_s)
    if last.jobs is not None:
        jobs = last.jobs
        listed = [f"{slower:.3f}" for slower in jobs.slowdowns[:MOST_LISTED]]
        more = ", ..." if len(jobs.slowdowns) > MOST_LISTED else ""
        out.print(
            f"Times as long as alone, job by job: {', '.join(listed)}{more}; "
            f"they share {jobs.chips:,} chips, alone the first takes {humanise(jobs.alone_s[0], 's')}.",
            markup=False,
        )


def _print_measured(out: Console, near: Sequence[Near], *, is_sweep: bool) -> None:
    from rich.table import Table

    if not near:
        out.print("Nothing of this kind was measured on this machine, its chip or its links.")
        return
    table = Table(title=f"Measured nearest{' to the first size' if is_sweep else ''}", title_justify="left")
    for name in ("machine", "chips", "size", "time", "busbw", "source"):
        table.add_column(name, justify="left" if name in {"machine", "source"} else "right")
    for each in near[:SHOWN]:
        row = each.row
        table.add_row(
            row.machine or "(your own)",
            f"{row.chips:,}",
            binary_size(row.size_bytes),
            humanise(row.seconds, "s"),
            humanise(each.busbw_bytes_per_s, "B/s"),
            each.source,
        )
    out.print(table)
