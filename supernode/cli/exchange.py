"""Dispatch, combine and all-to-all-v of ``supernode collective``: from its options to an answer that is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError
from supernode.cli.common import print_json, progress_bar, warm_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supernode.exchange_request import Request
    from supernode.exchange_sweep import Sweep
    from supernode.exchange_vector import VectorRequest

EXCHANGES = ("dispatch", "combine", "all-to-all-v")
_SAME = {
    "moe-dispatch": "dispatch",
    "moe-combine": "combine",
    "alltoallv": "all-to-all-v",
    "all-to-allv": "all-to-all-v",
    "alltoall-v": "all-to-all-v",
}


def exchange_of(kind: str) -> str:
    """Which of :data:`EXCHANGES` a kind of collective is; empty where it is none."""
    plain = kind.lower().replace("_", "-")
    plain = _SAME.get(plain, plain)
    return plain if plain in EXCHANGES else ""


def check_options(kind: str, given: dict[str, object], able: Sequence[str]) -> None:
    """Refuse options that say nothing about a kind of collective; ``given`` has those that a user may have set.

    Raises
    ------
    InputError : names the first of them, and what goes with the kind
    """
    for name, value in given.items():
        if value and name not in able:
            fitting = ", ".join(other for other in given if other in able)
            raise InputError(f"says nothing about {kind}", where=name, remedy=f"leave it out; {kind} has {fitting}")


def libraries(incomplete: str) -> list[str]:
    """Complete the name of a library of exchange."""
    import topologies

    return [name for name in topologies.names("exchange") if name.startswith(incomplete)]


def print_exchange(request: Request, own: Sequence[Path], plot: Path | None, *, as_json: bool) -> None:
    """Price a dispatch or combine and print it."""
    from supernode.cli.exchange_print import as_objects, print_tables
    from supernode.exchange_rows import median_error, nearest
    from supernode.exchange_sweep import sweep

    with progress_bar(as_json) as tell:
        if request.level == "flow":
            warm_kernels(tell)
        found = sweep(request, tell)
    near = [nearest(found.part, found.kind, each.tokens.count, each.mode, own) for each in found.answers]
    good = median_error(near[0])
    if plot is not None:
        _plot(found, own, plot)
    if as_json:
        print_json(as_objects(found, near, good, list(request.shape)))
        return
    print_tables(found, near, good)


def _plot(found: Sweep, own: Sequence[Path], path: Path) -> None:
    from supernode.exchange_rows import measured_alike
    from supernode.plots.exchange import plot_exchange
    from supernode.plots.save import write_plot

    points = measured_alike(found.part, found.kind, found.batch.routing, found.answers[0].tokens.hidden, own)
    write_plot(lambda ax: plot_exchange(found, ax=ax, measured=points), path)


def print_vector(request: VectorRequest, *, as_json: bool) -> None:
    """Price an all-to-all of unequal parts and print it."""
    from supernode.cli.vector_print import as_object, print_table
    from supernode.exchange_vector import price_vector

    with progress_bar(as_json) as tell:
        warm_kernels(tell)
        found = price_vector(request)
    if as_json:
        print_json(as_object(found))
        return
    print_table(found)
