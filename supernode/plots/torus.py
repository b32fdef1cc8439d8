"""Pictures of tori: cubes in space with the optical links between them, and the chips inside one of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from supernode.plots.sheet import (
    CHIP,
    COLOURS,
    FILLS,
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
from topologies.builders import AXES, written

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


def draw_torus(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Cubes in space with their optical links, and one cube beside them with its chips; a small torus by its chips."""
    dims, cube = three(graph.graph["dims"]), three(graph.graph["cube"])
    edge = next(iter(graph.edges.data()))[2]
    optical = [data for _, _, data in graph.edges.data() if data["medium"] == "ocs"]
    axes = [stroke(COLOURS[a], f"axis {name}: {dims[a]} chips") for a, name in enumerate(AXES[:3]) if dims[a] > 1]
    if len(graph) <= MOST_IN_FULL:
        _lattice(ax, dims, (8, 4.6), 6.0, stubs=[bool(optical)] * 3)
        return [*axes, mark("chip", "chip"), stroke(GREY, f"link: {rate(edge)}")]
    blocks = tuple(d // c for d, c in zip(dims, cube, strict=True))
    _cubes(ax, blocks, dims, (4.6, 4.75), 6.4)
    box(ax, 9.9, 1.3, 6.0, 6.7)
    title = f"One cube: {written(cube)} = {math.prod(cube)} chips"
    ax.text(12.9, 7.6, title, ha="center", fontsize=11, weight="bold")
    _lattice(ax, cube, (12.9, 4.75), 5.2, stubs=[True] * 3)
    each = 2 * len(optical) // math.prod(blocks)
    leave = f"dotted: {each} optical links leave it, {each // 6} from each face"
    ax.text(12.9, 1.5, f"solid: {rate(edge)} in copper inside the cube\n{leave}", ha="center", fontsize=9)
    note = f"{math.prod(blocks)} cubes as {written(blocks)}. "
    note += "Optical circuit switches join their faces, so that any cubes make a slice."
    ax.text(0.15, 0.95, note, fontsize=9, color=GREY)
    return [*axes, mark("chip", "chip"), stroke(GREY, f"link: {rate(edge)}")]


def draw_fixed_torus(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """A soldered torus or mesh by its chips: a grid for two axes, a block for three; the legend tells the axes."""
    sides = [side for side in graph.graph["dims"] if side > 1]
    rates, closes = _by_axis(graph)
    axes = [axis for axis, side in enumerate(graph.graph["dims"]) if side > 1]
    if len(sides) <= 2:
        grid = (*sides, 1, 1)[:2]
        _grid(ax, (grid[0], grid[1]), [closes[axis] for axis in axes])
    else:
        _lattice(ax, _folded(sides), (8, 4.75), 6.2, stubs=[closes[axis] for axis in axes][:3])
    handles = []
    for place, axis in enumerate(axes):
        how = "closed" if closes[axis] else "open"
        label = f"axis {AXES[axis]}: {graph.graph['dims'][axis]} chips, {how}, {rates[axis]}"
        handles.append(stroke(COLOURS[min(place, 2)], label))
    if any(closes[axis] for axis in axes):
        ax.text(0.15, 0.95, "Dotted: links that close an axis to a ring.", fontsize=9, color=GREY)
    return [mark("chip", "chip"), *handles]


def _by_axis(graph: nx.Graph[str]) -> tuple[list[str], list[bool]]:
    """What a link of each axis has, as people write it, and whether the axis closes."""
    dims = graph.graph["dims"]
    rates, closes = [""] * len(dims), [False] * len(dims)
    coordinates = {name: data["coord"] for name, data in graph.nodes.items()}
    for u, v, data in graph.edges.data():
        axis = data["plane"]
        rates[axis] = rate(data)
        apart = abs(coordinates[u][axis] - coordinates[v][axis])
        closes[axis] |= apart > 1 or (dims[axis] == 2 and data["links"] > 1)
    return rates, closes


def _folded(sides: Sequence[int]) -> tuple[int, int, int]:
    """Three axes of which the last stands for all beyond the second."""
    return sides[0], sides[1], math.prod(sides[2:])


def _grid(ax: Axes, sides: tuple[int, int], closes: Sequence[bool]) -> None:
    """Chips on a grid; dotted beginnings of the links that close its rows and columns, and an arrow for each way."""
    tall, wide = sides
    step = min(6.0 / max(1, tall - 1 + 1.2), 11.0 / max(1, wide - 1 + 1.2), 1.2)
    left, low = 8 - step * (wide - 1) / 2, 4.75 - step * (tall - 1) / 2

    def place(y: float, x: float) -> Point:
        return left + step * x, low + step * (tall - 1 - y)

    across = [(place(y, x), place(y, x + 1)) for y in range(tall) for x in range(wide - 1)]
    down = [(place(y, x), place(y + 1, x)) for y in range(tall - 1) for x in range(wide)]
    lines(ax, down, COLOURS[0], 1.6)
    lines(ax, across, COLOURS[1], 1.6)
    if closes[0]:
        stubs = [(place(y, x), place(y + by, x)) for x in range(wide) for y, by in ((0, -0.55), (tall - 1, 0.55))]
        lines(ax, stubs, COLOURS[0], 1.6, style=":")
        arc(ax, place(-0.6, wide - 1), place(tall - 0.4, wide - 1), COLOURS[0], -0.25)
    if len(closes) > 1 and closes[1]:
        stubs = [(place(y, x), place(y, x + by)) for y in range(tall) for x, by in ((0, -0.55), (wide - 1, 0.55))]
        lines(ax, stubs, COLOURS[1], 1.6, style=":")
        arc(ax, place(0, wide - 0.4), place(0, -0.6), COLOURS[1], 0.12)
    dots(ax, [place(y, x) for y in range(tall) for x in range(wide)], CHIP, "o", min(130.0, 9000 * step / 70))


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


def _lattice(ax: Axes, dims: Sequence[int], centre: Point, size: float, *, stubs: Sequence[bool]) -> None:
    """Chips as dots, links as lines; dotted beginnings of the links that close or leave along the axes of ``stubs``."""
    place = _fitted(_NEAR, dims, centre, size)
    points = list(itertools.product(*map(range, dims)))
    for axis, side in enumerate(dims):
        if side == 1:
            continue
        inner = [(place(p), place(_moved(p, axis, 1))) for p in points if p[axis] + 1 < side]
        lines(ax, inner, COLOURS[axis], 1.4)
        ends = [(p, -1 if p[axis] == 0 else 1) for p in points if p[axis] in {0, side - 1}]
        if stubs[axis]:
            outer = [(place(p), place(_moved(p, axis, 0.45 * sign))) for p, sign in ends]
            lines(ax, outer, COLOURS[axis], 1.4, style=":")
    dots(ax, [place(p) for p in points], CHIP, "o", 42 if len(points) <= 2 * MOST_IN_FULL else 10)


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
        shades = [FILLS[1], FILLS[2], FILLS[0]] * len(cells)
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
