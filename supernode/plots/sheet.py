"""Strokes that the pictures of fabrics are made of: lines, dots and boxes on a sheet of 16 x 9 units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from simulator.units import humanise

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Point = tuple[float, float]

# Okabe and Ito's colours, which differ for all kinds of colour vision, without the yellow that vanishes on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
CHIP, SWITCH, TOP, CPU, NIC = "#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73"
MARKS = {"chip": ("o", CHIP), "cpu": ("^", CPU), "nic": ("D", NIC), "switch": ("s", SWITCH)}
GREY, PALE = "#555555", "#F2F2F2"
FILLS = ("#C9D9E5", "#9DB8CC", "#7F9FB8")
MOST_IN_FULL = 100
MOST_BOXES = 24


def named(graph: nx.Graph[str], kind: str) -> list[str]:
    """Nodes of one kind, in the order of the graph."""
    return of_kind(graph, graph, kind)


def marked(graph: nx.Graph[str], key: str) -> list[tuple[str, Any]]:
    """Nodes that have an attribute, each with its value."""
    return [(name, data[key]) for name, data in graph.nodes.items() if key in data]


def of_kind(graph: nx.Graph[str], names: Iterable[str], kind: str) -> list[str]:
    """Those of ``names`` that are of one kind."""
    return [name for name in names if graph.nodes[name]["kind"] == kind]


def three(sides: Sequence[int]) -> tuple[int, int, int]:
    """Sides as three axes, the missing ones of length 1."""
    x, y, z = (*sides, 1, 1)[:3]
    return x, y, z


def row(at: Iterable[float], left: float, right: float) -> list[float]:
    """Positions scaled to lie between left and right; one alone stands in the middle."""
    found = list(at)
    first, last = found[0], found[-1]
    if first == last:
        return [(left + right) / 2] * len(found)
    return [left + (right - left) * (value - first) / (last - first) for value in found]


def plane_colour(plane: int, planes: int) -> str:
    """A colour for a plane: distinct ones for a few, a ramp that grows lighter for many."""
    if planes <= len(COLOURS):
        return COLOURS[plane]
    from matplotlib import colormaps, colors

    return colors.to_hex(colormaps["cividis"](0.85 * plane / (planes - 1)))


def rate(edge: dict[str, Any]) -> str:
    """Bandwidth of one link of an edge, as people write it."""
    return humanise(edge["bandwidth_bytes_per_s"], "B/s")


def times(edge: dict[str, Any]) -> str:
    """The links of an edge and what each of them has, as people write it: ``2 x 56 GB/s``."""
    return f"{edge['links']} x {rate(edge)}"


def ring(count: int, centre: Point, radius: float) -> list[Point]:
    """Places on a circle, the first of them on top."""
    turns = [math.pi / 2 - 2 * math.pi * i / count for i in range(count)]
    return [(centre[0] + radius * math.cos(turn), centre[1] + radius * math.sin(turn)) for turn in turns]


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 switch``, ``2 switches``."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{plural}"


def lines(
    ax: Axes,
    segments: Sequence[tuple[Point, Point]],
    colour: str,
    width: float | Sequence[float],
    *,
    alpha: float = 1.0,
    style: str = "-",
    above: float = 0.0,
) -> None:
    """Draw line segments of one colour."""
    from matplotlib.collections import LineCollection

    ax.add_collection(
        LineCollection(segments, colors=colour, linewidths=width, alpha=alpha, linestyles=style, zorder=10 + above)
    )


def dots(ax: Axes, points: Sequence[Point], colour: str, marker: str, size: float) -> None:
    """Draw markers of one colour above the lines."""
    xs, ys = zip(*points, strict=True)
    edge = "white" if size > 20 else "none"
    ax.scatter(xs, ys, s=size, c=colour, marker=marker, zorder=50, edgecolors=edge, linewidths=0.6)


def box(ax: Axes, x: float, y: float, wide: float, tall: float, *, face: str = PALE, edge: str = "#BBBBBB") -> None:
    """Draw a rounded box: a pale one behind everything, any other above the lines."""
    from matplotlib.patches import FancyBboxPatch

    layer = 1 if face == PALE else 20
    style = "round,pad=0,rounding_size=0.05"
    ax.add_patch(FancyBboxPatch((x, y), wide, tall, boxstyle=style, fc=face, ec=edge, lw=1.2, zorder=layer))


def arc(ax: Axes, start: Point, end: Point, colour: str, bend: float) -> None:
    """Draw a bent arrow; positive ``bend`` bulges to the right of its direction."""
    from matplotlib.patches import FancyArrowPatch

    style = f"arc3,rad={bend}"
    ax.add_patch(
        FancyArrowPatch(
            start, end, connectionstyle=style, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.8, zorder=55
        )
    )


def mark(kind: str, label: str, colour: str = "") -> Line2D:
    """A marker for the legend."""
    from matplotlib.lines import Line2D

    marker, own = MARKS[kind]
    return Line2D([], [], marker=marker, color=colour or own, linestyle="none", markersize=8, label=label)


def stroke(colour: str, label: str) -> Line2D:
    """A line for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=2, label=label)


def units_of(graph: nx.Graph[str], keys: Sequence[str]) -> tuple[dict[Any, list[str]], str]:
    """Chips by the unit that the first known of ``keys`` numbers, and that key; one unit of all where none is known."""
    chips = named(graph, "chip")
    for key in keys:
        if key in graph.nodes[chips[0]]:
            found: dict[Any, list[str]] = {}
            for chip in chips:
                found.setdefault(graph.nodes[chip][key], []).append(chip)
            return found, key
    return {0: chips}, keys[0]
