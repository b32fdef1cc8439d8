"""How every chart looks: colours and hatches that survive greyscale and colour-blind eyes, ticks, notes, safe text."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from matplotlib import font_manager
from matplotlib.patches import Patch

from simulator.figures import Kind
from supernode.wording import number, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from supernode.comparison import Comparison, MachineResult

STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "supernode",
}
"""Set for as long as our figures are made and saved, never for the rest of a program."""

INK, GREY, PALE = "#222222", "#707070", "#DDDDDD"


class Look(NamedTuple):
    """Colour of an area and the hatch that tells it apart without colour."""

    colour: str
    hatch: str


# Okabe and Ito's colours, which differ for all kinds of colour vision; the hatches tell them apart in grey.
LOOKS = (
    Look("#0072B2", ""),
    Look("#E69F00", "///"),
    Look("#56B4E9", "..."),
    Look("#D55E00", "\\\\\\"),
    Look("#009E73", "xxx"),
    Look("#CC79A7", "---"),
)
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^", "v", "P")

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_NOTE_SIZE = 7.5
_MOST_ROOM = 0.6
_NOTE_LETTERS_PER_INCH = 16


def look(index: int) -> Look:
    """The look of the ``index``-th thing of a chart; after six they come again."""
    return LOOKS[index % len(LOOKS)]


def swatch(style: Look, label: str) -> Patch:
    """An area for the legend."""
    return Patch(facecolor=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.5, label=plain(label))


def axes(ax: Axes | None) -> Axes:
    """The axes given, or new ones that a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1]


def plain(text: str) -> str:
    """Text as it stands: no formula in it is set, and what the font cannot draw becomes a box."""
    return _drawable(text).replace("$", r"\$")


def wrapped(text: str, letters: int) -> str:
    """Text as it stands, broken into lines."""
    return "\n".join(textwrap.wrap(_drawable(text), letters)).replace("$", r"\$") or " "


def _drawable(text: str) -> str:
    known = _charmap()
    return "".join(letter if ord(letter) in known else "□" for letter in text.replace("\n", " "))


@cache
def _charmap() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def tick(value: float, _position: int = 0) -> str:
    """A tick of an axis whose label names the unit: ``5 M``."""
    factor, prefix = next(((factor, prefix) for factor, prefix in _PREFIXES if abs(value) >= factor), (1.0, ""))
    return f"{number(value / factor)} {prefix}".rstrip()


def byte_tick(value: float, _position: int = 0) -> str:
    """A tick of an axis of message sizes: ``64 KiB``."""
    factor, unit = next(((factor, unit) for factor, unit in _BINARY if value >= factor), (1.0, "B"))
    return f"{number(value / factor)} {unit}"


def room(ax: Axes, inches: float) -> float:
    """Share of the width of some axes that text of so many inches takes, to be left free on the right [1]."""
    return min(_MOST_ROOM, inches * ax.figure.dpi / ax.bbox.width)


def notes(comparison: Comparison, machines: Iterable[MachineResult], *, ranges: bool = True) -> Iterator[str]:
    """What a reader of a chart must know: ranges, readings, and what kind of figures it rests on."""
    if ranges:
        yield f"Values: stated figures; ranges: 5–95 % of {comparison.samples} draws."
    for machine in machines:
        if said := reading(machine):
            yield said
    total = len(comparison.figures)
    kinds = {kind: sum(figure.kind == kind for figure in comparison.figures) for kind in get_args(Kind)}
    yield f"Rests on {total} figures: {', '.join(f'{count} {kind}' for kind, count in kinds.items() if count)}."


def annotate(
    figure: Figure, comparison: Comparison, machines: Iterable[MachineResult], *, ranges: bool = True, lead: str = ""
) -> None:
    """Put the notes under a figure."""
    letters = int(figure.get_figwidth() * _NOTE_LETTERS_PER_INCH)
    text = " ".join(part for part in (lead, *notes(comparison, machines, ranges=ranges)) if part)
    figure.supxlabel(wrapped(text, letters), fontsize=_NOTE_SIZE, color=INK, x=0.01, ha="left")
