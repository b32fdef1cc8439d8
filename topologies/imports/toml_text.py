"""Plain values as TOML: whole files, and values on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(table: Mapping[str, Any], path: str = "") -> str:
    """Plain tables as TOML: values first, then the tables inside, by their full path."""
    text = "".join(f"{_key(key)} = {inline(value)}\n" for key, value in table.items() if not _is_table(value))
    for key, value in table.items():
        inner = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, Mapping):
            has_values = not value or not all(map(_is_table, value.values()))
            text += (f"\n[{inner}]\n" if has_values else "") + toml(value, inner)
        elif _is_table(value):
            text += "".join(f"\n[[{inner}]]\n{toml(each, inner)}" for each in value)
    return text


def inline(value: Any) -> str:
    """A value on one line; tables inside it stay inside it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, Mapping):
        parts = ", ".join(f"{_key(key)} = {inline(each)}" for key, each in value.items())
        return f"{{ {parts} }}" if parts else "{}"
    return repr(value)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else inline(key)
