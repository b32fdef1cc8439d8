"""The fields of a ``config.json``, each checked as it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 100_000_000
"""No width, vocabulary or context is larger: what is, is a slip."""
MOST_LAYERS = 10_000
SHOWN = 60


@dataclass(frozen=True)
class Config:
    """A decoded ``config.json``, or a table in it; ``where`` names the file, and the table, to people."""

    tree: Mapping[str, Any]
    where: str

    def count(self, *names: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        """The whole number under the first of ``names``; ``default`` where it is missing or null.

        Raises
        ------
        InputError : no such number, out of bounds, or two of the names with different ones
        """
        name, value = self._only(names)
        if value is None:
            if default is None:
                raise InputError(f"the key {names[0]!r} is missing", where=self.where, remedy="state it")
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"is {_shown(value)}", f"a whole number from {least:,} to {most:,}")
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """Whether something holds; ``default`` where the file does not say."""
        name, value = self._only(names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, f"is {_shown(value)}", "true or false")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A text; ``default`` where the file does not say."""
        value = self.tree.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, f"is {_shown(value)}", "a text")
        return value

    def per_layer(self, name: str, layers: int) -> list[Any] | None:
        """A list with one entry for each layer; None where the file has none.

        Raises
        ------
        InputError : not a list, or of another length
        """
        value = self.tree.get(name)
        if value is None or value == []:
            return None
        if not isinstance(value, list):
            raise self.wrong(name, f"is {_shown(value)}", "a list with an entry for each layer")
        if len(value) != layers:
            raise self.wrong(name, f"has {len(value):,} entries for {layers:,} layers", "an entry for each layer")
        return value

    def table(self, name: str) -> Config:
        """A table in the file; empty where there is none."""
        value = self.tree.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.wrong(name, f"is {_shown(value)}", "a table")
        return Config(value, f"{self.where}: {name}")

    def wrong(self, name: str, fault: str, right: str) -> InputError:
        """What is wrong with the value of a key, and what would be right."""
        return InputError(fault, where=f"{self.where}: {name}", remedy=right)

    def _only(self, names: tuple[str, ...]) -> tuple[str, Any]:
        """The name that has a value, and the value; names of one thing must not contradict each other."""
        given = [(name, self.tree[name]) for name in names if self.tree.get(name) is not None]
        for name, value in given[1:]:
            if value != given[0][1]:
                fault = f"is {_shown(value)}, but {given[0][0]} is {_shown(given[0][1])}"
                raise self.wrong(name, fault, "the two are one thing: state it once")
        return given[0] if given else (names[0], None)


def _shown(value: Any) -> str:
    """A value as a message shows it: short, and harmless to a terminal."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > SHOWN:
        return f"a whole number of {value.bit_length():,} bits"
    text = repr(value[:SHOWN]) if isinstance(value, str) else repr(value)
    return text if text.isprintable() else ascii(text)
