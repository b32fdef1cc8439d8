"""What ``supernode collective all-to-all-v`` says: one JSON object for machines, a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.cli.common import console, quantity
from supernode.cli.price_print import print_damage

if TYPE_CHECKING:
    from supernode.exchange_vector import VectorAnswer


def as_object(found: VectorAnswer) -> dict[str, Any]:
    """The object that ``--json`` prints; the range of the rate is that of the time, turned round."""
    moved = found.busiest_bytes

    def said(value: float, unit: str, low: float, high: float) -> dict[str, Any]:
        return quantity(value, unit, low=low, high=high, maturity="verified", sources=found.sources)

    rate = said(found.algbw_bytes_per_s, "B/s", moved / found.high_s, moved / found.low_s)
    objects: dict[str, Any] = {
        "schema": 1,
        "machine": found.part.machine.name,
        "chips": found.part.chips,
        "reading": found.part.machine.reading,
        "kind": "all-to-all-v",
        "bytes": moved,
        "total_bytes": found.found.total_bytes,
        "time": said(found.seconds, "s", found.low_s, found.high_s),
        "algbw": rate,
        "busbw": rate,
        "algorithm": "direct",
        "level": found.level,
        "bottleneck": found.bottleneck,
        "link_bytes": found.found.link_bytes,
        "crossing_bytes": found.found.crossing_bytes,
        "bounds": {"injection": 0.0, "link": 0.0, "bisection": 0.0, "latency": 0.0} | found.bounds_s,
        "over_bound": found.seconds / max(found.bounds_s.values()),
    }
    if found.flow is not None:
        objects["flow"] = {
            "flows": found.flow.flows,
            "busiest_link": found.flow.busiest,
            "closed_form": found.found.seconds,
            "whole": found.flow.whole_s,
            "degradation": found.seconds / found.flow.whole_s,
        }
    return objects


def print_table(found: VectorAnswer) -> None:
    """Print the answer, then what each level carries."""
    from rich.table import Table

    out = console()
    part = found.part
    table = Table(
        title=f"all-to-all-v over {part.chips:,} chips of {part.machine.name}, level {found.level}",
        title_justify="left",
    )
    for name in ("busiest rank", "all ranks", "time", "5-95 %", "algbw of the busiest", "bottleneck", "over bound"):
        table.add_column(name, justify="left" if name == "bottleneck" else "right", no_wrap=True)
    table.add_row(
        humanise(found.busiest_bytes, "B"),
        humanise(found.found.total_bytes, "B"),
        humanise(found.seconds, "s"),
        f"{humanise(found.low_s, 's', 3)} to {humanise(found.high_s, 's', 3)}",
        humanise(found.algbw_bytes_per_s, "B/s"),
        found.bottleneck,
        f"{found.seconds / max(found.bounds_s.values()):.2f}x",
    )
    out.print(table)
    levels = Table(title="What each level carries", title_justify="left")
    for name in ("level", "its fullest link", "all that crosses it"):
        levels.add_column(name, justify="left" if name == "level" else "right")
    for name, most in found.found.link_bytes.items():
        levels.add_row(name, humanise(most, "B"), humanise(found.found.crossing_bytes[name], "B"))
    out.print(levels)
    said = ", ".join(f"{name} {humanise(seconds, 's')}" for name, seconds in found.bounds_s.items())
    out.print(f"No less than: {said}.", markup=False)
    if found.flow is not None:
        flow = found.flow
        out.print(f"Flows: {flow.flows:,}; busiest link {flow.busiest}.", markup=False)
        print_damage(out, found.seconds, flow.whole_s)
    if part.machine.reading:
        out.print(f"Reading: {part.machine.reading}", markup=False, soft_wrap=True)
