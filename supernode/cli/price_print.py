"""What prices of collectives and of exchanges say alike: their bounds, who is fastest, what flows add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.units import humanise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from simulator.collectives.bounds import Bounds

_SAME = 1e-9


def print_bounds(out: Console, bounds: Bounds, over_bound: float) -> None:
    """Say what the answer cannot be faster than, and how many times the largest of that it takes."""
    named = {
        "injection": bounds.injection_s,
        "link": bounds.link_s,
        "bisection": bounds.bisection_s,
        "latency": bounds.latency_s,
    }
    said = ", ".join(f"{name} {humanise(seconds, 's')}" for name, seconds in named.items())
    out.print(f"No less than: {said}; {over_bound:.2f} times the largest.", markup=False)


def print_fastest(out: Console, title: str, heading: str, seconds_of: Mapping[str, float]) -> None:
    """A table of times by name, the fastest first."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column(heading)
    table.add_column("time", justify="right")
    table.add_column("to the fastest", justify="right")
    least = min(seconds_of.values())
    for name, seconds in sorted(seconds_of.items(), key=lambda item: item[1]):
        table.add_row(name, humanise(seconds, "s"), f"{seconds / least:.2f}x")
    out.print(table)


def beside(whole_s: float, closed_s: float) -> str:
    """How flows on the whole fabric stand to the closed form, in words."""
    ratio = whole_s / closed_s
    return "the same" if abs(ratio - 1) < _SAME else f"{ratio:.3f} times that"


def print_damage(out: Console, seconds: float, whole_s: float) -> None:
    """Say how much longer it takes with what fails, where something does."""
    if seconds != whole_s:
        out.print(
            f"With what fails: {seconds / whole_s:.3f} times as long as on the whole fabric "
            f"({humanise(whole_s, 's')}).",
            markup=False,
        )
