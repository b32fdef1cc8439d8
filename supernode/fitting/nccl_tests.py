"""Reads what nccl-tests and rccl-tests print: their tables line by line, in every layout of the last years.

Columns are taken from the line that names them, so that older tables (no root, no reduction) and wider ones (times of
every iteration, algorithm and protocol, a timestamp) are read alike. What else stands in a log is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.collectives import KINDS, bus_factor, kind_id
from simulator.errors import InputError
from supernode.fitting.rows import Row, row_of

LABEL = re.compile(r"\s*(?:\[\d+,\d+\](?:<\w+>)?:?|\d+:(?=\s))\s?")
"""What mpirun --tag-output and srun -l put before a line."""
_TEST = re.compile(r"(\w+?)_perf\b")
_RANK = re.compile(r"#\s+Rank\s+(\d+)\s+(?:Group\s+(\d+)\s+)?Pid\b")
_SETTINGS = re.compile(r"#\s*nThread\s+\d+\s+nGpus\s+\d+")
_TITLES = re.compile(r"#\s*size\s+count\s")
_ROW = re.compile(r"\d+\s+\d+\s+[a-z]")
_LAYOUTS = {
    13: ("size", "count", "type", "redop", "root", *("time", "algbw", "busbw", "#wrong") * 2),
    12: ("size", "count", "type", "redop", *("time", "algbw", "busbw", "#wrong") * 2),
    11: ("size", "count", "type", *("time", "algbw", "busbw", "#wrong") * 2),
}
"""Columns of a table that was pasted without the line that names them, by their number."""
_RESULT = ("time", "algbw", "busbw", "#wrong")
_CLOSE = 0.02
"""Share by which numbers that are printed with few digits may disagree."""
_DIGIT = 0.006
"""Half of the last printed digit of a bandwidth [GB/s], and a little."""
_GIGABYTE = 1e9


@dataclass
class _Output:
    """What was read so far of one run of a test: its kind, how many ranks of each group, its columns."""

    kind: str = ""
    ranks: Counter[str] = field(default_factory=Counter)
    titles: tuple[str, ...] = ()
    has_rows: bool = False


@dataclass(frozen=True)
class _Printed:
    """One printed result: size [B], time [us], rates [GB/s], reduction; ``line`` where it stands."""

    size: float
    time_us: float
    algbw: float
    busbw: float
    redop: str
    line: int


def rows_of(text: str, name: str, kind: str, chips: int | None) -> Iterator[Row]:
    """The results of one or several outputs; see :func:`supernode.fitting.rows.read_rows`."""
    for output, results in _outputs(text, name):
        if not results:
            continue
        count = chips or _ranks(output, f"{name}: line {results[0].line}")
        found = kind or output.kind or _deduced(results, count, f"{name}: line {results[0].line}")
        _check_ranks(results, found, count, name)
        for each in results:
            yield row_of(found, count, each.size, each.time_us, f"{name}: line {each.line}")


def kind_in(text: str) -> str:
    """The collective that a test's name in a text stands for; empty where there is none that is priced."""
    for test in _TEST.findall(text):
        try:
            return KINDS[kind_id(test)]
        except InputError:
            continue
    return ""


def unknown_kind(where: str) -> InputError:
    """The complaint that nothing says which collective was timed."""
    return InputError(
        "does not say which collective was timed", where=where, remedy=f"say it with --kind {'|'.join(KINDS)}"
    )


def unknown_chips(where: str) -> InputError:
    """The complaint that nothing says how many chips took part."""
    return InputError("does not list its ranks", where=where, remedy="say how many chips took part with --chips N")


def _outputs(text: str, name: str) -> Iterator[tuple[_Output, list[_Printed]]]:
    """Runs in a text, each with its results; a run ends where the head of the next begins."""
    output = _Output()
    results: list[_Printed] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw[label.end() :] if (label := LABEL.match(raw)) else raw
        line = line.strip()
        if _ROW.match(line):
            output.has_rows = True
            found = _result(line.split(), output, f"{name}: line {number}", number)
            results += [found] if found else []
            continue
        is_head = "Collective test starting" in line or _SETTINGS.match(line) or _is_command(line)
        if is_head and output.has_rows:
            yield output, results
            output, results = _Output(), []
        if is_head and (test := _TEST.search(line)):
            output.kind = kind_in(line)
            if not output.kind:
                remedy = f"leave that run out; priced are {', '.join(KINDS)}"
                raise InputError(f"{test.group(0)} is not priced", where=f"{name}: line {number}", remedy=remedy)
        elif rank := _RANK.match(line):
            if output.has_rows and rank.group(1) == "0":
                yield output, results
                output, results = _Output(), []
            output.ranks[rank.group(2) or "0"] += 1
        elif _TITLES.match(line):
            output.titles = tuple(line.lstrip("#").split())
    yield output, results


def _is_command(line: str) -> bool:
    """Whether a line looks like the one that a test was started with."""
    found = _TEST.search(line)
    return found is not None and not line.startswith("#") and " -" in line[found.end() :]


def _result(cells: list[str], output: _Output, where: str, line: int) -> _Printed | None:
    """One line of a table; None for a size of 0, which sends nothing."""
    titles = output.titles or _LAYOUTS.get(len(cells), ())
    if not titles:
        remedy = "copy the table with the line that names its columns (# size count type ...)"
        raise InputError(f"has {len(cells)} cells under no line of columns", where=where, remedy=remedy)
    if "cputime" in titles:
        remedy = "run the test again without -C 1"
        raise InputError("is time of the processor, not of the collective", where=where, remedy=remedy)
    plain = tuple("#wrong" if title in {"error", "errors"} else title for title in titles)
    first = plain.index("time") if "time" in plain else len(plain)
    if plain[first : first + 4] != _RESULT:
        remedy = "a table of nccl-tests has time, algbw, busbw and #wrong"
        raise InputError("stands under columns that are none of nccl-tests", where=where, remedy=remedy)
    half = len(plain) - first - plain[first + 1 :].index("time") - 1 if plain.count("time") > 1 else 0
    if len(cells) < len(plain) - half or len(cells) > len(plain) + 1:
        wanted = f"the columns are {len(plain)}"
        raise InputError(f"has {len(cells)} cells where {wanted}", where=where, remedy="copy whole lines")
    wrong = cells[first + 3]
    if "error" not in titles and wrong != "N/A" and _float(wrong, "#wrong", where) > 0:
        raise InputError(f"#wrong is {wrong}: the results were wrong", where=where, remedy="leave the row out")
    size = _float(cells[0], "size", where)
    if size == 0 or cells[first] in {"SKIP", "N/A"}:
        return None
    time, algbw, busbw = (
        _float(cells[first + step], title, where) for step, title in enumerate(("time", "algbw", "busbw"))
    )
    if time <= 0:
        raise InputError(f"a time of {time:g} us", where=where, remedy="a time is above 0; leave the row out")
    rate = size / (time * 1e-6) / _GIGABYTE
    if abs(rate - algbw) > max(_CLOSE * rate, _DIGIT):
        said = f"algbw is {algbw:g} GB/s where {size:.0f} bytes in {time:g} us are {rate:.3g}"
        raise InputError(said, where=where, remedy="check that sizes are bytes, times us and rates GB/s")
    redop = cells[plain.index("redop")] if "redop" in plain else ""
    return _Printed(size, time, algbw, busbw, redop, line)


def _float(text: str, title: str, where: str) -> float:
    try:
        return float(text[:40])
    except ValueError:
        shown = text[:40]
        raise InputError(f"{title} is {shown!r}, no number", where=where, remedy="copy the table as printed") from None


def _ranks(output: _Output, where: str) -> int:
    """Ranks of a run: those that its head lists; of one group where they were split into equal ones."""
    sizes = set(output.ranks.values())
    if not sizes:
        raise unknown_chips(where)
    if len(sizes) > 1:
        remedy = "time groups of one size, or say --chips"
        raise InputError(f"ran on groups of {', '.join(map(str, sorted(sizes)))} ranks", where=where, remedy=remedy)
    return sizes.pop()


def _deduced(results: list[_Printed], count: int, where: str) -> str:
    """The kind of a table that does not name it: by its reduction and by bus over algorithm bandwidth."""
    widest = max(results, key=lambda each: each.algbw)
    if not widest.algbw or widest.redop in {"", "none"}:
        raise unknown_kind(where)
    near = {
        kind: abs(widest.busbw / widest.algbw - bus_factor(kind_id(kind), count))
        for kind in ("all-reduce", "reduce-scatter")
    }
    return min(near, key=lambda kind: near[kind])


def _check_ranks(results: list[_Printed], kind: str, count: int, name: str) -> None:
    """Bus over algorithm bandwidth is that of the kind and the ranks; else one of them is not what was timed."""
    widest = max(results, key=lambda each: each.algbw)
    wanted = bus_factor(kind_id(kind), count)
    if abs(widest.busbw - widest.algbw * wanted) > max(_CLOSE * widest.busbw, 2 * _DIGIT):
        raise InputError(
            f"busbw / algbw is {widest.busbw / widest.algbw:.3f} where {kind} of {count} ranks has {wanted:.3f}",
            where=f"{name}: line {widest.line}",
            remedy="check --kind and --chips, and that the table follows the head of its own run",
        )
