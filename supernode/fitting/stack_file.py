"""Writes a stack with fitted constants: a copy of its file, the fitted figures in the place of the catalogue's."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workloads
from simulator.errors import InputError
from simulator.files import read_text, write_whole
from supernode.fitting.machine_file import fitted_figure, plain, source_of
from supernode.fitting.posterior import median_error
from topologies.imports.machine_file import machine_name
from topologies.imports.toml_text import toml
from workloads.load import BOUNDS, stack_path

if TYPE_CHECKING:
    from supernode.fitting.posterior import Constant
    from supernode.fitting.training import TrainingFit


def write_stack(out: Path, like: str, fit: TrainingFit, measured: Path) -> None:
    """Write the stack ``like``, a name or a file, with the constants of a fit into ``out``, and read it back.

    Raises
    ------
    InputError : the file is the one that was read, is no TOML file, or cannot be written
    """
    if out.suffix.lower() != ".toml":
        raise InputError(f"{out.name!r} is no TOML file", where="--out", remedy=f"write into {out.stem or 'mine'}.toml")
    if out.exists() and measured.exists() and out.samefile(measured):
        raise InputError("is the file to read", where=f"--out {out}", remedy="write into another one")
    table = tomllib.loads(read_text(stack_path(like)))
    for each in fit.constants:
        if each.is_fitted:
            *groups, name = each.key.rpartition("/")[2].split(".")
            inner = functools.reduce(lambda outer, group: outer[group], groups, table)
            inner[name] = _figure(each, BOUNDS[name], fit, measured)
    own = {source_of(measured): {"title": f"{plain(measured.name)}, measured steps to which constants were fitted"}}
    table |= {
        "name": machine_name(out),
        "title": f"{table['title'][:200]}, fitted to {plain(measured.name)}",
        "sources": table.get("sources", {}) | own,
    }
    write_whole(out, f"# {plain(like)} with constants fitted by `supernode fit training`.\n" + toml(table))
    workloads.stack(str(out))


def _figure(each: Constant, bounds: tuple[float, float], fit: TrainingFit, measured: Path) -> dict[str, Any]:
    """The fitted figure in the unit of the one before, within what a stack's file may hold."""
    numbers = (each.value, each.low, each.high)
    value, low, high = (min(max(number, bounds[0]), bounds[1]) for number in numbers)
    error = median_error(fit.after) or 0.0
    return fitted_figure(each.figure, (value, low, high), len(fit.rows), error, measured)
