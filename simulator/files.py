"""Files that people write (TOML, decoded strictly) and files that we write (whole or not at all)."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from simulator.errors import InputError

T = TypeVar("T")
LARGEST_BYTES = 1 << 20
DEEPEST = 12
MOST_DOTS = 12
LONGEST_NAME = 120
_HEAD = re.compile(r"^\s*\[{0,2}\s*([^=#\n]*)", re.MULTILINE)
_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read_text(path: Path) -> str:
    """Read a small UTF-8 file.

    Raises
    ------
    InputError : missing, a folder, unreadable, larger than 1 MiB or not UTF-8
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), remedy="check the path") from None
    except IsADirectoryError:
        raise InputError("is a folder", where=str(path), remedy="name a file") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(raw) > LARGEST_BYTES:
        raise InputError(f"is larger than {LARGEST_BYTES} bytes", where=str(path), remedy="split it")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 at byte {error.start}", where=str(path), remedy="save it as UTF-8") from None


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a strict struct: an unknown key, a wrong type or a number out of bounds is an error.

    Raises
    ------
    InputError : names the file, the field, what is wrong and what would be right
    """
    return parse_toml(read_text(path), kind, str(path))


def read_head(path: Path, kind: type[T]) -> T:
    """Read only what stands before the first table of a TOML file, into a struct that passes over unknown keys.

    For lists of many files: the tables, which hold most of the text, are neither parsed nor checked.

    Raises
    ------
    InputError : as :func:`read_toml`
    """
    text = read_text(path)
    first = re.search(r"^\s*\[", text, re.MULTILINE)
    return parse_toml(text[: first.start()] if first else text, kind, str(path))


def parse_toml(text: str, kind: type[T], where: str) -> T:
    """Parse TOML text into a strict struct; see :func:`read_toml`."""
    _refuse_depth(text, where)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", where=where, remedy="mend that line") from None
    except RecursionError:
        raise InputError("is nested too deeply", where=where, remedy=f"at most {DEEPEST} levels") from None
    return convert(tree, kind, where)


def convert(tree: Any, kind: type[T], where: str) -> T:
    """Convert decoded data into a strict struct; see :func:`read_toml`."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), tree, kind, where) from None


def _refuse_depth(text: str, where: str) -> None:
    """Refuse keys with many dots and deep brackets before the parser sees them (its cost grows with their square)."""
    for match in _HEAD.finditer(text):
        if match.group(1).count(".") > MOST_DOTS:
            line = text.count("\n", 0, match.start()) + 1
            raise InputError(f"line {line} has a key with more than {MOST_DOTS} dots", where=where, remedy="shorten it")
    depth = 0
    for character in text:
        if character in "[{":
            depth += 1
            if depth > 64 * DEEPEST:
                raise InputError("is nested too deeply", where=where, remedy=f"at most {DEEPEST} levels")
        elif character in "]}":
            depth = max(0, depth - 1)


def _explained(message: str, tree: Any, kind: Any, where: str) -> InputError:
    """Turn msgspec's message into one that names file, field, value and remedy."""
    found = _PATH.search(message)
    path = found.group(1) if found else ""
    said = _PATH.sub("", message)
    place = f"{where}: {path}" if path else where
    if unknown := _UNKNOWN.search(said):
        name = unknown.group(1)
        return InputError(f"unknown key {name[:80]!r}", where=place, remedy=_nearest_key(name, kind))
    value = _value_at(tree, path)
    shown = "" if value is None or isinstance(value, dict | list) else f" (is {str(value)[:80]!r})"
    return InputError(f"{said[0].lower()}{said[1:]}{shown}", where=place, remedy="see the format in CONTRIBUTING.md")


def _value_at(tree: Any, path: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return None
    return tree


def _nearest_key(name: str, kind: Any) -> str:
    known = sorted(_keys(kind, set()))
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(nearest)}?" if nearest else f"known keys: {', '.join(known)}"


def _keys(kind: Any, seen: set[Any]) -> set[str]:
    """Every key that a struct type or the structs inside it know, but for those that only the reader sets."""
    keys: set[str] = set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
        seen.add(kind)
        for field in msgspec.structs.fields(kind):
            keys.add(field.encode_name)
            keys |= _keys(field.type, seen)
    for argument in getattr(kind, "__args__", ()):
        keys |= _keys(argument, seen)
    if origin := getattr(kind, "__origin__", None):
        keys |= _keys(origin, seen)
    return keys - {"key", "dimension"}


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none.

    Raises
    ------
    InputError : it cannot be made or written to
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(path, os.W_OK | os.X_OK)
    except FileExistsError:
        raise InputError("is a file", where=_short(path), remedy="name a folder") from None
    except OSError as error:
        raise InputError(
            f"cannot be made: {error.strerror}", where=_short(path), remedy="name another folder"
        ) from None
    if not is_writable:
        raise InputError("cannot be written to", where=_short(path), remedy="name another folder")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees all of it or none: temporary file, fsync, rename.

    Raises
    ------
    InputError : the file or its folder cannot be written
    """
    make_folder(path.parent)
    try:
        _write(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", where=_short(path), remedy="name another file"
        ) from None


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
