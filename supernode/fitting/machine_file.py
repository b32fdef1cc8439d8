"""Writes a machine with fitted constants: a copy of its file, the fitted figures in the place of the catalogue's."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import topologies
from simulator.errors import InputError
from simulator.files import read_text, write_whole
from simulator.units import factor
from supernode.fitting.closed_form import ClosedFit
from supernode.fitting.posterior import Constant, median_error
from topologies.imports.machine_file import machine_name, template
from topologies.imports.toml_text import toml
from topologies.load import FIELDS, ROOT

if TYPE_CHECKING:
    from simulator.figures import Figure

DIGITS = 5
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True)
class Written:
    """What was written: the machine's name, its file, and that of its network where constants of it were fitted."""

    name: str
    path: Path
    network: Path | None


def write_machine(out: Path, like: str, network: str, fit: ClosedFit, measured: Path) -> Written:
    """Write the machine ``like`` with the constants of a fit into ``out``, and read it back.

    A network whose constants were fitted is written beside it, under the machine's name with ``-network`` behind it.

    Parameters
    ----------
    network : what joins several machines instead of the machine's own; empty for that
    measured : the file that the constants were fitted to

    Raises
    ------
    InputError : the file is the one that was read, cannot be written, or the reader of machines refuses it
    """
    if out.suffix.lower() != ".toml":
        raise InputError(f"{out.name!r} is no TOML file", where="--out", remedy=f"write into {out.stem or 'mine'}.toml")
    if out.exists() and measured.exists() and out.samefile(measured):
        raise InputError("is the file to read", where=f"--out {out}", remedy="write into another one")
    name = machine_name(out)
    table = copy.deepcopy(template(like))
    fitted = [each for each in fit.constants if each.is_fitted]
    by_place: dict[str, list[tuple[str, Constant]]] = {}
    for each in fitted:
        place, _, path = each.key.split("/", 2)
        by_place.setdefault(place, []).append((path.partition("@")[0], each))
    for field, folder in FIELDS.items():
        if folder in by_place and isinstance(table.get(field), str):
            shared = ROOT / folder / f"{table[field]}.toml"
            table[field] = tomllib.loads(read_text(shared))
        for path, each in by_place.get(folder, []):
            _put(table[field], path, each, fit, measured)
    for path, each in by_place.get("machine", []):
        _put(table, path, each, fit, measured)
        for hypothesis in table.get("hypotheses", []):
            hypothesis.get("figures", {}).pop(path, None)
    own = {
        source_of(measured): {"title": f"{plain(measured.name)}, measured collectives to which constants were fitted"}
    }
    table |= {"name": name, "title": f"{table['title'][:200]}, fitted to {plain(measured.name)}", "aliases": []}
    table["sources"] = table.get("sources", {}) | own
    table["network"] = topologies.resolve("networks", network) if network else table["network"]
    beside = None
    if "network" in by_place:
        beside = out.parent / f"{name}-network.toml"
        write_whole(beside, _network(table["network"], beside.stem, like, by_place["network"], fit, measured))
        table["network"] = beside.stem
    text = f"# {like} with constants fitted to {plain(measured.name)} by `supernode fit collective`.\n" + toml(table)
    _check(out, text)
    write_whole(out, text)
    return Written(name, out, beside)


def source_of(measured: Path) -> str:
    """Id of the source that a file of measurements is to the figures that were fitted to it."""
    return f"fitted-{machine_name(measured)[:48]}".strip("-.")


def _check(out: Path, text: str) -> None:
    """Read the text as it would stand in its folder, so that a file which is there stays if the new one is wrong."""
    trial = out.with_name(f".{out.stem[:64]}-trial.toml")
    write_whole(trial, text)
    try:
        topologies.machine(str(trial))
    except InputError as error:
        message = str(error).replace(str(trial), f"{out} (as it would be written)")
        raise InputError(message.partition("\n  ")[0], remedy=error.remedy or "use another folder") from None
    finally:
        trial.unlink(missing_ok=True)


def _network(
    network: str, name: str, like: str, fitted: list[tuple[str, Constant]], fit: ClosedFit, measured: Path
) -> str:
    beside = Path(like).parent / f"{network}.toml"
    is_own = like.endswith(".toml") and beside.is_file()
    path = beside if is_own else ROOT / "networks" / f"{topologies.resolve('networks', network)}.toml"
    table = tomllib.loads(read_text(path))
    for place, each in fitted:
        _put(table, place, each, fit, measured)
    table |= {"name": name, "aliases": []}
    return f"# {network} with constants fitted to {plain(measured.name)}.\n" + toml(table)


def _put(table: Any, path: str, constant: Constant, fit: ClosedFit, measured: Path) -> None:
    """Replace the figure at a dotted path by the fitted one, which keeps what the catalogue states beside it."""
    *steps, last = _STEP.findall(path)
    for step in steps:
        table = table[int(step)] if isinstance(table, list) else table[step]
    before = constant.figure
    error = median_error(fit.after) or 0.0
    figure = fitted_figure(before, (constant.value, constant.low, constant.high), len(fit.rows), error, measured)
    if before.kind != "assumed" and before.value != figure["value"]:
        figure["choice"] = "Fitted to measurements of this very machine."
        figure["others"] = [_other(before)]
    table[last] = figure


def fitted_figure(
    before: Figure, numbers: tuple[float, float, float], rows: int, error: float, measured: Path
) -> dict[str, Any]:
    """A figure as a file holds it, in the unit of the one before.

    Parameters
    ----------
    numbers : fitted value and the ends of its 90 % range, in SI base units
    rows, error : how many rows it was fitted to, and their median error [1]
    measured : the file of these rows
    """
    scale = factor(before.unit, before.dimension)
    value, low, high = (float(f"{each / scale:.{DIGITS}g}") for each in numbers)
    return {
        "value": value,
        "unit": before.unit,
        "low": min(low, value),
        "high": max(high, value),
        "kind": "derived",
        "source": source_of(measured),
        "locator": f"{rows} rows of {plain(measured.name)}, median error {error:.1%}",
        "note": f"90 % range. Before: {before.value:g} ({before.low:g} to {before.high:g}) {before.unit}.",
    }


def _other(figure: Any) -> dict[str, Any]:
    stated: Mapping[str, Any] = {name: getattr(figure, name) for name in ("value", "kind", "source", "locator", "date")}
    return {name: value for name, value in stated.items() if value != ""}


def plain(text: str) -> str:
    """A file name as it may stand in a line of text."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]
