"""Hypotheses of a machine: their figures settled by those that they replace, and the machine as each of them has it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from simulator.errors import unknown_name
from simulator.figures import Figure, Source, settle, settle_all, with_each
from simulator.machine import Chip
from topologies.checks import check_figure, check_figures
from topologies.schema import Alternative, MachineEntry

T = TypeVar("T")


def under(hypothesis: Alternative, entry: MachineEntry, chip: Chip) -> tuple[MachineEntry, Chip]:
    """The machine and its chip under one of its hypotheses."""
    if hypothesis.fabric is not None:
        entry = msgspec.structs.replace(entry, fabric=hypothesis.fabric)
    for path, figure in hypothesis.figures.items():
        first, *rest = path.split(".")
        if first == "chip":
            chip = _replaced(chip, rest, figure)
        else:
            entry = _replaced(entry, [first, *rest], figure)
    return entry, chip


def settled_hypothesis(
    hypothesis: Alternative, machine: str, base: Mapping[str, Figure], known: Mapping[str, Source], where: str
) -> Alternative:
    """Settle the figures of a hypothesis: by those that they replace, and those of a fabric of its own.

    ``base`` holds the figures of the machine by path. The key of a figure is that of the one in its place with the name
    of the hypothesis behind an ``@``, so that all readings of one figure share their random numbers.

    Raises
    ------
    InputError : a path at which the machine and its chip have no figure; see also :func:`simulator.figures.settle`
    """
    figures = {}
    for path, figure in hypothesis.figures.items():
        place = f"{where}: hypotheses.{hypothesis.name}.{path}"
        if path not in base:
            raise unknown_name("figure", path, base, where=place)
        settled = settle(figure, f"{base[path].key}@{hypothesis.name}", base[path].dimension, place)
        check_figure(settled, place, known)
        figures[path] = settled
    fabric = hypothesis.fabric
    if fabric is not None:
        place = f"{where}: hypotheses.{hypothesis.name}.fabric"
        key = f"machine/{machine}"
        fabric = with_each(settle_all(fabric, key, place), functools.partial(_named, key, hypothesis.name))
        check_figures(fabric, place, known)
    return msgspec.structs.replace(hypothesis, figures=figures, fabric=fabric)


def _named(machine: str, hypothesis: str, figure: Figure) -> Figure:
    """A figure of a fabric with the key that it has in a machine, and the name of the hypothesis behind it."""
    path = figure.key.removeprefix(f"{machine}/")
    return msgspec.structs.replace(figure, key=f"{machine}/fabric.{path}@{hypothesis}")


def _replaced(node: T, path: list[str], figure: Figure) -> T:
    """The same data with another figure at the end of ``path``."""
    first, *rest = path
    if isinstance(node, dict):
        changed: Any = node | {first: _replaced(node[first], rest, figure) if rest else figure}
        return changed  # type: ignore[no-any-return]
    child = _replaced(getattr(node, first), rest, figure) if rest else figure
    return msgspec.structs.replace(node, **{first: child})  # type: ignore[type-var]
