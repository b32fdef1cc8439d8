"""What the subcommands share: consoles, JSON, progress, completion of names."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simulator.units import DISPLAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from simulator.figures import Figure


def print_json(tree: Any) -> None:
    """Print one object for machines; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(tree), indent=1, sort_keys=True, allow_nan=False) + "\n")


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree


def binary_size(size_bytes: float) -> str:
    """A size as nccl-tests people say it: in powers of 1,024."""
    for unit, scale in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.4g} {unit}"
    return f"{size_bytes:.4g} B"


def quantity(
    value: float,
    unit: str,
    *,
    low: float | None = None,
    high: float | None = None,
    maturity: str = "plausible",
    sources: tuple[str, ...] = (),
) -> dict[str, Any]:
    """One quantity of the published format, in SI base units."""
    return {
        "value": value,
        "low": value if low is None else low,
        "high": value if high is None else high,
        "unit": unit,
        "maturity": maturity,
        "sources": list(sources),
    }


def quantity_of(values: Sequence[float], figure: Figure) -> dict[str, Any]:
    """A value with its low and high end: counts that are checked, of a figure that has its source."""
    value, low, high = values
    sources = (figure.source,) if figure.source else ()
    return quantity(value, DISPLAY[figure.dimension], low=low, high=high, maturity="verified", sources=sources)


def console(piped_width: int = 160) -> Console:
    """Where tables go: as wide as the terminal or COLUMNS says, ``piped_width`` letters where neither does."""
    from rich.console import Console

    class Piped(Console):
        """A console that leaves a closed pipe to the one place that knows what it means."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Piped(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else piped_width)


@contextmanager
def progress_bar(is_quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show on standard error what is being done; nothing where nobody watches.

    Yields a function that is told what is being done, how much is done and how much there is.
    """
    if is_quiet or not sys.stderr.isatty():
        said: set[str] = set()

        def say(what: str, _done: int, _of: int) -> None:
            if not is_quiet and what not in said:
                said.add(what)
                print(f"supernode: {what}", file=sys.stderr)  # noqa: T201 - progress of a run in a log

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("starting", total=1)

        def show(what: str, done: int, of: int) -> None:
            progress.update(bar, description=what, completed=done, total=of)

        yield show


def warm_kernels(tell: Callable[[str, int, int], None]) -> None:
    """Say so before the first run compiles its kernels, which takes a while once."""
    from simulator import compiled

    if not compiled.is_warm():
        tell("first run: compiling kernels, about half a minute, once", 0, 1)


def machine_names(incomplete: str) -> list[str]:
    """Complete a machine's name."""
    import topologies

    return [name for name in topologies.names("machines") if name.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Complete a model's name."""
    import workloads

    return [name for name in workloads.names("models") if name.startswith(incomplete)]


def task_names(incomplete: str) -> list[str]:
    """Complete a workload's name."""
    import workloads

    return [name for name in workloads.names("tasks") if name.startswith(incomplete)]


def stack_names(incomplete: str) -> list[str]:
    """Complete a software stack's name."""
    import workloads

    return [name for name in workloads.names("stacks") if name.startswith(incomplete)]
