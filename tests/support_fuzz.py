"""Damage to TOML files: every leaf and table of a tree replaced by what people and enemies write there instead."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUANTITY = re.compile(r"[0-9.]+ [A-Za-z/]+")
Steps = tuple[str | int, ...]
LONG = 100_000
DOTS = 20_000
DEEP = 5_000
DAY = dt.date(2025, 6, 30)


class Raw(str):
    """Text that stands in a TOML file as it is, as a key or as a value."""

    __slots__ = ()


TYPES: dict[str, Any] = {
    "a text": "x",
    "a number": 7,
    "a fraction": 0.5,
    "a truth value": True,
    "a list": [7],
    "a list of texts": ["x"],
    "a table": {"x": 7},
    "a date": DAY,
    "a nest": Raw("[" * DEEP + "]" * DEEP),
}
"""A value of each type of TOML, put where another type stands."""

NUMBERS: dict[str, Any] = {
    "zero": 0,
    "less than nothing": -1,
    "a little less than nothing": -1e-300,
    "next to nothing": 1e-300,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "not a number": math.nan,
    "1e23": 1e23,
    "1e308": 1e308,
    "10 ** 30": 10**30,
    "5,000 digits": Raw("9" * 5_000),
    "a hexadecimal of 20,000 digits": Raw("0x" + "f" * 20_000),
}
TEXTS: dict[str, Any] = {
    "nothing": "",
    "100,000 letters": "x" * LONG,
    "an escape sequence": "\x1b[31mred\x1b[0m",
    "a bell": "a\x07b",
    "a line end": "a\nb",
    "NUL": "a\0b",
    "letters turned around": "\u202egpj.oof",
    "a hidden mark": "a\u200bb",
    "a path upwards": "../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a word that nobody knows": "nobody-knows-this",
}
QUANTITIES: dict[str, Any] = {
    "no time": "0 s",
    "next to no time": "1e-300 s",
    "an age": "1e300 s",
    "an endless time": "inf s",
    "a quantity of another kind": "5 GB/s",
    "a number without a unit": "5",
}
"""What is written in place of a quantity: a number and its unit in one text."""
UNITS: dict[str, Any] = {"a unit that nobody knows": "GBps", "a unit of another kind": "kg/kWh"}
TABLES = (
    "no key at all",
    "a key that nobody knows",
    "a key of 40 kB",
    "a key of many letters",
    "a key of hidden marks",
)
FABRICS: dict[str, Any] = {
    "clos": {"nodes": 8, "chips_per_node": 8, "planes": 2, "chip_links": 1, "rails": 8, "tiers": 2, "radix": 16}
    | {"oversubscription": [2.0]},
    "clos counted": {"nodes": 64, "chips_per_node": 8, "tiers": 3, "switches": [16, 8, 8], "pods": 4}
    | {"oversubscription": [2.0, 2.0]},
    "edge-list": {
        "chips": 4,
        "switches": 1,
        "cpus": 1,
        "nics": 1,
        "bundles": [
            {"pairs": [[0, 4], [1, 4]], "links": 2},
            {"pairs": [[2, 4], [3, 4], [4, 5], [5, 6]], "links": 1, "share": 0.5, "delay": 0.5},
        ],
    },
    "hamming-mesh": {"board": [2, 2], "boards": [4, 2]},
    "meshed-racks": {"dims": [4, 2], "racks": 2, "planes": 1, "spines": 8, "mesh_links": [1, 2], "up_links": 1},
}
"""Fabrics with every field that one may have, of which the catalogue has no example; each takes a link besides."""

LISTS = ("no member", "20,000 members", "a member of another type")
GONE = "left out"
ITSELF = "its own name"


def places(tree: Any, path: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every table, list and leaf of a tree, with its path; the tree itself first."""
    yield path, tree
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def damages(path: Steps, value: Any) -> Iterator[str]:
    """What can be done to the value at a path, by name; see :func:`damaged`."""
    if path:
        yield GONE
        yield from (name for name, other in TYPES.items() if not _is_alike(value, other))
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield from NUMBERS
    elif isinstance(value, str):
        yield from TEXTS
        yield ITSELF
        if _QUANTITY.fullmatch(value):
            yield from QUANTITIES
        if path[-1] == "unit":
            yield from UNITS
    elif isinstance(value, dict):
        yield from TABLES
    elif isinstance(value, list):
        yield from LISTS


def _is_alike(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return isinstance(value, bool) and isinstance(other, bool)
    if isinstance(other, int | float):
        return isinstance(value, int | float)
    return not isinstance(other, Raw) and isinstance(value, type(other))


def damaged(tree: Any, path: Steps, what: str, itself: str) -> Any:
    """A tree with the value at a path damaged; ``itself`` is the name of the file that it comes from."""
    if len(path) > 1:
        first, *rest = path
        changed = damaged(tree[first], tuple(rest), what, itself)
        if isinstance(tree, dict):
            return {key: changed if key == first else child for key, child in tree.items()}
        return [changed if index == first else child for index, child in enumerate(tree)]
    if not path:
        return _replacement(tree, what, itself)
    last = path[0]
    children = tree.items() if isinstance(tree, dict) else enumerate(tree)
    changed = {
        key: child if key != last else _replacement(child, what, itself)
        for key, child in children
        if key != last or what != GONE
    }
    return changed if isinstance(tree, dict) else list(changed.values())


def _replacement(value: Any, what: str, itself: str) -> Any:  # noqa: PLR0911 - one return for each damage
    for table in (TYPES, NUMBERS, TEXTS, QUANTITIES, UNITS):
        if what in table:
            return table[what]
    match what:
        case "its own name":
            return itself
        case "no key at all":
            return {}
        case "a key that nobody knows":
            return {**value, "nobody-knows-this": 7}
        case "a key of 40 kB":
            return {**value, Raw("a." * DOTS + "b"): 7}
        case "a key of many letters":
            return {**value, "x" * LONG: 7}
        case "a key of hidden marks":
            return {**value, "a\u202eb\0": 7}
        case "no member":
            return []
        case "20,000 members":
            return (value or [7]) * (20_000 // max(1, len(value)))
        case "a member of another type":
            return [*value, {"x": 7}]
    raise KeyError(what)


def written(tree: dict[str, Any]) -> str:
    """A tree as TOML, one line a key of the uppermost table; what lies below stands inline."""
    return "".join(f"{_key(key)} = {_value(child)}\n" for key, child in tree.items())


def _key(key: str) -> str:
    return key if isinstance(key, Raw) or _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:  # noqa: PLR0911 - one return for each type
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(child) for child in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return repr(value)
    return str(value)
