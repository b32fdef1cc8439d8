"""Pictures of tori: cubes in space with the optical links between them, and the chips inside one of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from supernode.plots.sheet import (
    CHIP,
    COLOURS,
    GREY,
    MOST_IN_FULL,
    Point,
    arc,
    box,
    dots,
    lines,
    mark,
    rate,
    stroke,
    three,
)

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


def draw_torus(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Cubes in space with their optical links, and one cube beside them with its chips; a small torus by its chips."""
    dims, cube = three(graph.graph["dims"]), three(graph.graph["cube"])
    edge = next(iter(graph.edges.data()))[2]
    optical = [data for _, _, data in graph.edges.data() if data["medium"] == "ocs"]
    axes = [stroke(COLOURS[a], f"axis {name}: {dims[a]} chips") for a, name in enumerate("xyz") if dims[a] > 1]
    if len(graph) <= MOST_IN_FULL:
        _lattice(ax, dims, (8, 4.6), 6.0, stubs=bool(optical))
        return [*axes, mark("chip", "chip"), stroke(GREY, f"link: {rate(edge)}")]
    blocks = tuple(d // c for d, c in zip(dims, cube, strict=True))
    _cubes(ax, blocks, dims, (4.6, 4.75), 6.4)
    box(ax, 9.9, 1.3, 6.0, 6.7)
    title = f"One cube: {'x'.join(map(str, cube))} = {math.prod(cube)} chips"
    ax.text(12.9, 7.6, title, ha="center", fontsize=11, weight="bold")
    _lattice(ax, cube, (12.9, 4.75), 5.2, stubs=True)
    each = 2 * len(optical) // math.prod(blocks)
    leave = f"dotted: {each} optical links leave it, {each // 6} from each face"
    ax.text(12.9, 1.5, f"solid: {rate(edge)} in copper inside the cube\n{leave}", ha="center", fontsize=9)
    note = f"{math.prod(blocks)} cubes as {'x'.join(map(str, blocks))}. "
    note += "Optical circuit switches join their faces, so that any cubes make a slice."
    ax.text(0.15, 0.95, note, fontsize=9, color=GREY)
    return [*axes, mark("chip", "chip"), stroke(GREY, f"link: {rate(edge)}")]


_NEAR = ((-0.27, -0.22), (0.95, -0.18), (0.0, 1.0))
"""How far one step along x, y, z goes on the sheet: seen from above the corner where all axes end, so far from the
right that no chip of a small block hides another."""

_FAR = ((-0.5, -0.42), (0.92, -0.24), (0.0, 1.0))
"""The same from more to the middle, for boxes, which hide each other anyway."""

_Steps = tuple[Point, Point, Point]


def _fitted(steps: _Steps, dims: Sequence[int], centre: Point, size: float) -> Callable[[Sequence[float]], Point]:
    """The projection, scaled so that a block of ``dims`` unit cells fits ``size`` around ``centre``."""

    def project(point: Sequence[float]) -> Point:
        across = sum(c * step[0] for c, step in zip(point, steps, strict=True))
        return across, sum(c * step[1] for c, step in zip(point, steps, strict=True))

    corners = [project(c) for c in itertools.product(*((-0.5, d - 0.5) for d in dims))]
    (left, right), (low, high) = ((min(c), max(c)) for c in zip(*corners, strict=True))
    scale = size / max(right - left, high - low)

    def place(point: Sequence[float]) -> Point:
        x, y = project(point)
        return centre[0] + (x - (left + right) / 2) * scale, centre[1] + (y - (low + high) / 2) * scale

    return place


def _moved(point: Sequence[float], axis: int, by: float) -> tuple[float, ...]:
    return tuple(c + by if i == axis else c for i, c in enumerate(point))


def _lattice(ax: Axes, dims: Sequence[int], centre: Point, size: float, *, stubs: bool) -> None:
    """Chips as dots, links as lines; where ``stubs``, the dotted beginnings of the links that close or leave."""
    place = _fitted(_NEAR, dims, centre, size)
    points = list(itertools.product(*map(range, dims)))
    for axis, side in enumerate(dims):
        if side == 1:
            continue
        inner = [(place(p), place(_moved(p, axis, 1))) for p in points if p[axis] + 1 < side]
        lines(ax, inner, COLOURS[axis], 1.4)
        ends = [(p, -1 if p[axis] == 0 else 1) for p in points if p[axis] in {0, side - 1}]
        if stubs:
            outer = [(place(p), place(_moved(p, axis, 0.45 * sign))) for p, sign in ends]
            lines(ax, outer, COLOURS[axis], 1.4, style=":")
    dots(ax, [place(p) for p in points], CHIP, "o", 42)


def _cubes(ax: Axes, blocks: Sequence[int], dims: Sequence[int], centre: Point, size: float) -> None:
    """Cubes as boxes, nearer ones over farther ones; their links by axis; how each axis closes, at the rim."""
    from matplotlib.collections import PolyCollection

    place = _fitted(_FAR, blocks, centre, size)
    half = 0.2
    points = sorted(itertools.product(*map(range, blocks)), key=sum)
    for depth, group in itertools.groupby(points, key=sum):
        cells = list(group)
        for axis, side in enumerate(blocks):
            inner = [(place(p), place(_moved(p, axis, 1))) for p in cells if p[axis] + 1 < side]
            ends = [(place(_moved(p, axis, half)), place(_moved(p, axis, 0.65))) for p in cells if p[axis] + 1 == side]
            starts = [(place(p), place(_moved(p, axis, -0.65))) for p in cells if p[axis] == 0]
            lines(ax, inner, COLOURS[axis], 1.2, above=depth)
            lines(ax, ends, COLOURS[axis], 1.2, style=":", above=depth + 0.6)
            lines(ax, starts, COLOURS[axis], 1.2, style=":", above=depth - 0.6)
        faces = [
            [place(_corner(p, axis, half, u, v)) for u, v in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
            for p in cells
            for axis in range(3)
        ]
        shades = ["#9DB8CC", "#7F9FB8", "#C9D9E5"] * len(cells)
        ax.add_collection(
            PolyCollection(faces, facecolors=shades, edgecolors="white", linewidths=0.5, zorder=10 + depth + 0.5)
        )
    last = [b - 1 for b in blocks]
    rims = ((0, (0, last[1], 0), 0.35), (1, (last[0], 0, 0), -0.35), (2, (0, last[1], 0), -0.35))
    for axis, start, bend in rims:
        if blocks[axis] > 1:
            first, end = place(_moved(start, axis, -0.65)), place(_moved(start, axis, last[axis] + 0.65))
            arc(ax, end, first, COLOURS[axis], bend)
            (x0, y0), (x1, y1) = first, end
            across = math.hypot(x1 - x0, y1 - y0)
            out = 0.5 * abs(bend) * across + 0.3
            sign = -1 if bend > 0 else 1
            at = ((x0 + x1) / 2 + sign * out * (y1 - y0) / across, (y0 + y1) / 2 - sign * out * (x1 - x0) / across)
            align = "right" if at[0] < centre[0] else "left"
            text = f"{'xyz'[axis]} closes:\n{blocks[axis]} cubes, {dims[axis]} chips"
            ax.text(*at, text, color=COLOURS[axis], fontsize=9, ha=align, va="center", zorder=60)


def _corner(point: Sequence[float], axis: int, half: float, u: int, v: int) -> tuple[float, ...]:
    """A corner of the face of a box that looks along +axis."""
    others = iter((u, v))
    return tuple(c + half * (1 if i == axis else next(others)) for i, c in enumerate(point))
