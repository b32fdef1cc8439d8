"""Values as TOML writes them on one line: tables in braces, lists in brackets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from topologies.imports.machine_file import toml


def inline(value: Any) -> str:
    """A value on one line; tables inside it stay inside it."""
    if isinstance(value, Mapping):
        parts = ", ".join(f"{_key(key)} = {inline(each)}" for key, each in value.items())
        return f"{{ {parts} }}" if parts else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return toml({"x": value}).strip().removeprefix("x = ")


def _key(key: str) -> str:
    return toml({key: 0}).partition(" = 0")[0]
