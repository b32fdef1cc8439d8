"""Files that people write (TOML and JSON, decoded strictly) and files that we write (whole or not at all)."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
import tempfile
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from simulator.errors import InputError

T = TypeVar("T")
LARGEST_BYTES = 1 << 20
DEEPEST = 12
MOST_DOTS = 12
LONGEST_NAME = 120
LONGEST_TEXT = 2000
NAMED_STEPS = 3
_QUOTED = re.compile(
    r"""
    \#[^\n]*+
    | \"{3} (?: [^"\\] | \\. | "(?!"") )*+ (?: "{3,5}+ | \Z )
    | '{3} (?: [^'] | '(?!'') )*+ (?: '{3,5}+ | \Z )
    | " (?: [^"\\\n] | \\[^\n] )*+ "?
    | ' [^'\n]*+ '?
    """,
    re.VERBOSE | re.DOTALL,
)
"""Comments and strings of a TOML text; also those that nobody closes, so that the search never looks back."""
_DOTTED = re.compile(rf"(?:\.[^.\[\]{{}}=,\n]*+){{{MOST_DOTS + 1}}}")
_DIGITS = re.compile(r"(?<![0-9_])[0-9_]{600}")
_BRACKET = re.compile(r"[\[\]{}]")
_PATH = re.compile(r" - at (?:`key` in )?`\$([^`]*)`")
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_AT_ONCE: int = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Open without waiting for a writer at the other end, which a named pipe may never get; and bytes as they are."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a reader does not see or that turn what he sees around: control, direction, line ends."""

_ENDLESS = (dict, list, str, int)
"""What may be out of all proportion, or hold what is, in decoded TOML."""
LARGEST_BITS = 1024
"""No float holds a whole number of more bits, and nobody can print one of very many."""


def read_text(path: Path, most_bytes: int = LARGEST_BYTES) -> str:
    """Read a small UTF-8 file.

    Pipes and devices are refused without waiting for them.

    Raises
    ------
    InputError : missing, a folder, no regular file, unreadable, larger than ``most_bytes`` or not UTF-8
    """
    where = _short(path)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _AT_ONCE), "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise InputError("is a pipe or a device", where=where, remedy="name a file")
            raw = handle.read(most_bytes + 1)
    except FileNotFoundError:
        raise InputError("no such file", where=where, remedy="check the path") from None
    except IsADirectoryError:
        raise InputError("is a folder", where=where, remedy="name a file") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "the name is not one of a file"
        raise InputError(f"cannot be read: {said}", where=where, remedy="name another file") from None
    if len(raw) > most_bytes:
        raise InputError(f"is larger than {most_bytes:,} bytes", where=where, remedy="split it, or name a part of it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 at byte {error.start}", where=where, remedy="save it as UTF-8") from None


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a strict struct: an unknown key, a wrong type or a number out of bounds is an error.

    Raises
    ------
    InputError : names the file, the field, what is wrong and what would be right
    """
    return parse_toml(read_text(path), kind, _short(path))


def read_head(path: Path, kind: type[T]) -> T:
    """Read only what stands before the first table of a TOML file, into a struct that passes over unknown keys.

    For lists of many files: the tables, which hold most of the text, are neither parsed nor checked.

    Raises
    ------
    InputError : as :func:`read_toml`
    """
    text = read_text(path)
    first = re.search(r"^\s*\[", text, re.MULTILINE)
    return parse_toml(text[: first.start()] if first else text, kind, _short(path))


def parse_toml(text: str, kind: type[T], where: str) -> T:
    """Parse TOML text into a strict struct, with texts that are short and can be seen; see :func:`read_toml`."""
    _refuse_slow(text, where)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {_cut(str(error))}", where=where, remedy="mend that line") from None
    _refuse_endless(tree, where)
    return convert(tree, kind, where)


def parse_json(text: str, where: str) -> Any:
    """Parse JSON text; strict where the parser of Python is not: no key twice, no deep nesting; NaN is its own name.

    Raises
    ------
    InputError : names the file, the place, what is wrong and what would be right
    """
    try:
        tree = json.loads(text, parse_constant=str, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"{where}: line {error.lineno}"
        raise InputError(f"is not JSON: {_cut(error.msg)}", where=place, remedy="mend that line") from None
    except (RecursionError, ValueError) as error:
        fault = str(error) if isinstance(error, _JsonError) else "is nested too deeply or has a huge number"
        raise InputError(fault, where=where, remedy="mend it") from None
    return tree


class _JsonError(ValueError):
    """What is wrong with a JSON text that Python would read."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _JsonError(f"the key {_shown(counts.most_common(1)[0][0])} stands twice")
    return tree


def convert(tree: Any, kind: type[T], where: str) -> T:
    """Convert decoded data into a strict struct; see :func:`read_toml`."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), tree, kind, where) from None


def _refuse_slow(text: str, where: str) -> None:
    """Refuse what the parser takes long for, or cannot stand: keys of many dots, deep brackets, endless numbers."""
    bare = _QUOTED.sub(_line_ends, text)

    def refused(found: re.Match[str], message: str, remedy: str) -> InputError:
        return InputError(f"line {bare.count(chr(10), 0, found.start()) + 1} {message}", where=where, remedy=remedy)

    if found := _DOTTED.search(bare):
        raise refused(found, f"has a key with more than {MOST_DOTS} dots", "shorten it")
    if found := _DIGITS.search(bare):
        raise refused(found, "has a number of hundreds of digits", "write it as 1e9")
    depth = 0
    for found in _BRACKET.finditer(bare):
        depth = depth + 1 if found.group() in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            raise refused(found, "is nested too deeply", f"at most {DEEPEST} levels")


def _line_ends(found: re.Match[str]) -> str:
    """Nothing but the line ends of a comment or string, so that lines keep their numbers."""
    return "\n" * found.group().count("\n")


def _refuse_endless(tree: Any, where: str) -> None:
    """Refuse endless text and numbers, characters that nobody sees or that reorder what is seen, and deep nesting."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), tree)]
    while waiting:
        path, node = waiting.pop()
        if len(path) > DEEPEST:
            place = _place(where, path[:NAMED_STEPS])
            raise InputError("is nested too deeply", where=place, remedy=f"at most {DEEPEST} levels")
        if isinstance(node, dict):
            for key in node:
                if fault := _fault(key, LONGEST_NAME):
                    raise InputError(f"a key {fault[0]}", where=_place(where, path), remedy=fault[1])
            waiting.extend(((*path, key), child) for key, child in node.items() if isinstance(child, _ENDLESS))
        elif isinstance(node, list):
            waiting.extend(((*path, index), child) for index, child in enumerate(node) if isinstance(child, _ENDLESS))
        elif isinstance(node, int) and node.bit_length() > LARGEST_BITS:
            said = f"is a whole number of {node.bit_length():,} bits"
            raise InputError(said, where=_place(where, path), remedy="write it as 1e9")
        elif isinstance(node, str) and (fault := _fault(node, LONGEST_TEXT)):
            raise InputError(fault[0], where=_place(where, path), remedy=fault[1])


def _fault(text: str, most: int) -> tuple[str, str] | None:
    """What is wrong with a text, and what would be right."""
    if len(text) > most:
        return f"has {len(text):,} characters", f"write at most {most:,}"
    hidden = "" if text.isprintable() else next((each for each in text if unicodedata.category(each) in _HIDDEN), "")
    if not hidden:
        return None
    return (
        f"has the invisible character U+{ord(hidden):04X}",
        'take it out; inside """ a line that goes on ends with a backslash',
    )


def _explained(message: str, tree: Any, kind: Any, where: str) -> InputError:
    """Turn msgspec's message into one that names file, field, value and remedy."""
    found = _PATH.search(message)
    path = _steps(message, found.group(1), tree, kind) if found else ()
    said = _PATH.sub("", message)
    place = _place(where, path)
    if unknown := _UNKNOWN.search(said):
        name = unknown.group(1)
        return InputError(f"unknown key {name[:80]!r}", where=place, remedy=_nearest_key(name, kind))
    value = _value_at(tree, path)
    shown = "" if value is None or isinstance(value, dict | list) else f" (is {_shown(value)})"
    return InputError(f"{said[0].lower()}{said[1:]}{shown}", where=place, remedy="see the format in CONTRIBUTING.md")


def _steps(message: str, path: str, tree: Any, kind: Any) -> tuple[str | int, ...]:
    """The way to a fault, with the name of each key that msgspec leaves out: the one that alone is faulted the same."""
    steps: list[str | int] = []
    for part in _STEP.findall(path) + (["[...]"] if "`key` in" in message else []):
        if part != "[...]":
            steps.append(int(part[1:-1]) if part[0] == "[" else part)
            continue
        table = _value_at(tree, steps)
        for key in table if isinstance(table, dict) else ():
            try:
                msgspec.convert(_with(tree, steps, {key: table[key]}), kind)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    steps.append(key)
                    break
        else:
            return tuple(steps)
    return tuple(steps)


def _with(tree: Any, steps: Sequence[str | int], value: Any) -> Any:
    """The same data with another value at the end of a way into it."""
    if not steps:
        return value
    first, *rest = steps
    if isinstance(tree, list):
        return [_with(child, rest, value) if index == first else child for index, child in enumerate(tree)]
    return tree | {first: _with(tree[first], rest, value)}


def _value_at(tree: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def _place(where: str, steps: Sequence[str | int]) -> str:
    """A file and the dotted path of a field in it."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{_cut(step)}" for step in steps).removeprefix(".")
    return f"{where}: {path if path.isprintable() else ascii(path)}" if path else where


def _shown(value: Any) -> str:
    """A value of a file as a message shows it."""
    if isinstance(value, int) and value.bit_length() > LONGEST_NAME:
        return f"a whole number of {value.bit_length():,} bits"
    return repr(str(value)[:80])


def _cut(text: str) -> str:
    """The beginning and the end of a long text, where positions stand."""
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


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
