"""How rows are grouped in reports: by what they state, and by the stack they were predicted under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supernode.validation.selection import is_mixture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from supernode.validation.answers import Row

DENSE, MIXTURE = "dense", "mixture of experts"


def grouped(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    """Rows by one of :data:`KEYS`, in alphabetical order; rows that it says nothing about are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if name := KEYS[key](row):
            groups.setdefault(name, []).append(row)
    return dict(sorted(groups.items()))


def _architecture(row: Row) -> str:
    if row.case.kind != "training":
        return ""
    return MIXTURE if is_mixture(row.case) else DENSE


def _set(row: Row) -> str:
    named = _architecture(row)
    return named and ", ".join([named, row.case.split or "none", "clean" if row.case.is_clean else "not clean"])


KEYS: dict[str, Callable[[Row], str]] = {
    "family": lambda row: row.case.family,
    "split": lambda row: row.case.split or "none",
    "stack": lambda row: row.stack,
    "architecture": _architecture,
    "set": _set,
}
"""Name of a grouping -> what a row is filed under, empty where it says nothing."""
