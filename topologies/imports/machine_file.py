"""Writes the machine of an imported wiring: its fabric is the file's, all else that of a machine of the catalogue.

Figures that are taken over keep their sources. What depends on the number of chips is scaled with it and says that it
is assumed. The text is read back by the reader of machines before anybody sees it.
"""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import topologies
from simulator.errors import InputError
from simulator.files import read_text
from topologies.imports.toml_text import toml
from topologies.load import ROOT

SOURCE = "imported-file"
LONGEST_NAME = 64
_TAKEN = ("vendor", "chip", "network", "power_basis", "stacks", "site", "software", "reliability", "sources")
_LETTERS = re.compile(r"[^a-z0-9.-]+")


@dataclass(frozen=True)
class Imported:
    """An imported machine.

    Parameters
    ----------
    name : of the machine
    text : its TOML
    builder : tag of its fabric
    chips : how many it has [1]
    notes : what was found and what was assumed, a sentence each
    """

    name: str
    text: str
    builder: str
    chips: int
    notes: tuple[str, ...]


def template(like: str) -> dict[str, Any]:
    """The file of the machine that an imported one is to be like, as plain tables.

    Raises
    ------
    InputError : there is no such machine, or its file is wrong
    """
    if not like:
        known = ", ".join(topologies.names("machines"))
        raise InputError(
            "which machine gives chip, power and prices is not said",
            where="--like",
            remedy=f"name the nearest one: {known}",
        )
    topologies.entry(like)
    is_file = like.endswith(".toml") or "/" in like
    path = Path(like) if is_file else ROOT / "machines" / f"{topologies.resolve('machines', like)}.toml"
    return tomllib.loads(read_text(path))


def machine_name(path: Path) -> str:
    """A machine's name from a file's: lower case, with what no name may have replaced by hyphens."""
    return _LETTERS.sub("-", path.stem.lower()).strip("-.")[:LONGEST_NAME].strip("-.") or "imported"


def imported(
    name: str,
    source: Path,
    like: Mapping[str, Any],
    fabric: dict[str, Any],
    chips: int,
    unit: int,
    notes: tuple[str, ...],
) -> Imported:
    """The machine ``name``: ``fabric`` of ``chips`` chips, of which a scheduler hands out ``unit``, else as ``like``.

    Raises
    ------
    InputError : the reader of machines refuses it
    """
    table: dict[str, Any] = {"name": name, "title": f"{like['title'][:200]}, wired as in {source.name[:200]}"}
    table |= {key: like[key] for key in _TAKEN if key in like}
    table |= {"chips": chips, "note": " ".join(notes)[:2000], "fabric": fabric}
    ratio, of = chips / like["chips"], f"{like['name']} ({like['chips']} chips)"
    table["power"] = like["power"] | {"full": _scaled(like["power"]["full"], ratio, of)}
    table["prices"] = like["prices"] | {"capital": _scaled(like["prices"]["capital"], ratio, of)}
    table["allocation"] = like["allocation"] if chips == like["chips"] else {"unit": "node", "chips": unit}
    if SOURCE in json.dumps(fabric):
        own = {SOURCE: {"title": f"{source.name[:200]}, imported; whose figures these are is not known"}}
        table["sources"] = table.get("sources", {}) | own
    head = f"# Made from {source.name!r}; all but the fabric as {like['name']}. See docs/your-own-machine.md.\n"
    text = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in head) + toml(table)
    _check(name, text)
    return Imported(name, text, str(fabric["builder"]), chips, notes)


def stated(value: float, unit: str, locator: str) -> dict[str, Any]:
    """A figure that the imported file states."""
    ends = {"low": value, "high": value}
    return {"value": value, "unit": unit, **ends, "kind": "estimated", "source": SOURCE, "locator": locator}


def link_table(like: Mapping[str, Any], bandwidth_bytes_per_s: float, latency_s: float) -> dict[str, Any]:
    """A link of this bandwidth [B/s] and latency [s]: figures of ``like`` that equal them stay, with their sources."""
    from simulator import units

    link = dict(like["fabric"]["link"])
    for name, value, unit, dimension in (
        ("bandwidth", bandwidth_bytes_per_s, "B/s", "bytes_per_s"),
        ("latency", latency_s, "s", "s"),
    ):
        figure = link[name]
        if not is_close(figure["value"] * units.factor(figure["unit"], dimension), value):
            link[name] = stated(value, unit, f"{name} of the edges")
            link["family"] = "imported" if name == "bandwidth" else link["family"]
    return link


def is_close(a: float, b: float) -> bool:
    """Whether two numbers differ by rounding alone."""
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def _scaled(figure: dict[str, Any], ratio: float, of: str) -> dict[str, Any]:
    if ratio == 1:
        return figure
    numbers = {part: figure[part] * ratio for part in ("value", "low", "high")}
    note = f"That of {of}, by chips."
    return {"unit": figure["unit"], **numbers, "kind": "assumed", "note": note}


def _check(name: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        try:
            topologies.machine(str(path))
        except InputError as error:
            message = str(error).replace(str(path), f"{name}.toml (as it would be written)")
            raise InputError(message.partition("\n  ")[0], remedy=error.remedy or "use another --like") from None
