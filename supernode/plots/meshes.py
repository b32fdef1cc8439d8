"""Pictures of machines whose chips reach each other directly: full meshes, meshed racks, dragonflies, HammingMesh."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from simulator.units import humanise
from supernode.plots import sheet
from topologies.builders import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_FEW = 16
_MOST_ON_A_RING = 64
_MOST_BOARDS = 16
_COLUMNS = ((32, 8), (256, 16), (math.inf, 48))
"""Up to how many racks stand in how many columns."""
_AXES = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours of the axes of a rack: none looks like the chip that stands out."""


def draw_full_mesh(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Chips on a circle with a line between every two; the links of one of them stand out."""
    chips = sheet.named(graph, "chip")
    spots = dict(zip(chips, sheet.ring(len(chips), (8, 4.65), 3.0), strict=True))
    faint = 0.75 if len(chips) <= _FEW else 0.15
    sheet.lines(
        ax, [(spots[u], spots[v]) for u, v in graph.edges if u in spots and v in spots], sheet.GREY, 1.2, alpha=faint
    )
    near = graph.adj[chips[0]]
    sheet.lines(ax, [(spots[chips[0]], spots[name]) for name in near if name in spots], sheet.TOP, 2.4, above=5)
    sheet.dots(ax, list(spots.values()), sheet.CHIP, "o", 260 if len(chips) <= _FEW else 60)
    if len(chips) <= _FEW:
        for index, (x, y) in enumerate(sheet.ring(len(chips), (8, 4.65), 3.4)):
            ax.text(x, y, f"{index}", ha="center", va="center", fontsize=10)
    if not near:
        return [sheet.mark("chip", "chip")]
    edge = next(iter(near.values()))
    total = humanise(sum(data["links"] * data["bandwidth_bytes_per_s"] for data in near.values()), "B/s")
    own = f"the links of one chip: {len(near)} x {sheet.times(edge)} = {total}"
    return [
        sheet.mark("chip", "chip"),
        sheet.stroke(sheet.TOP, own),
        sheet.stroke(sheet.GREY, f"any other pair: {sheet.times(edge)}"),
    ]


# --- racks that are meshes, under planes of switches ------------------------------------------------------------------


def draw_meshed_racks(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Racks and planes on the left; on the right one rack, with the links of one chip along each axis."""
    racks, _ = sheet.units_of(graph, ("rack", "group"))
    tops = [name for name, tier in sheet.marked(graph, "tier") if tier == 2]
    firsts = [name for name, tier in sheet.marked(graph, "tier") if tier == 1]
    planes = sorted({graph.nodes[name]["plane"] for name in (tops or firsts)})
    columns = min(len(racks), next(most for many, most in _COLUMNS if len(racks) <= many))
    xs = sheet.row(range(columns), 1.2, 8.6)
    lowest = math.ceil(len(racks) / columns)
    ys = sheet.row(range(lowest), 3.6, 1.7) if lowest > 1 else [2.7]
    wide = min(1.6, 0.8 * (xs[1] - xs[0])) if columns > 1 else 1.6
    tall = 0.75 * (ys[0] - ys[1]) if lowest > 1 else 1.2
    for index in range(len(racks)):
        x, y = xs[index % columns], ys[index // columns]
        sheet.box(ax, x - wide / 2, y - tall / 2, wide, tall, face=sheet.FILLS[0])
    tx = sheet.row(range(len(planes)), 1.4, 8.4)
    for plane, x in zip(planes, tx, strict=True):
        colour = sheet.plane_colour(plane, len(planes))
        sheet.lines(ax, [((rack, ys[0] + tall / 2), (x, 6.1)) for rack in xs], colour, 1.0, alpha=0.75)
        sheet.box(ax, x - 0.6, 6.1, 1.2, 0.9, face="white", edge=colour)
        spines = sum(graph.nodes[top]["plane"] == plane for top in tops)
        text = f"plane {plane}\n{spines} L2" if tops else f"plane {plane}"
        ax.text(x, 6.55, text, ha="center", va="center", fontsize=8.5, zorder=30)
    own = next(iter(racks.values()))
    if tops:
        up = next(data for name, data in graph.adj[firsts[0]].items() if name in set(tops))
        each = sum(graph.nodes[top]["plane"] == planes[0] for top in tops)
        line = f"each rack to each plane: {each} L2 x {sheet.times(up)}"
        ax.text(4.9, 4.95, line, ha="center", fontsize=9.5, zorder=40, bbox={"fc": "white", "ec": sheet.GREY, "pad": 3})
        ax.text(4.9, 7.3, f"{len(tops)} second-tier switches (L2)", ha="center", fontsize=10, weight="bold")
    text = f"{sheet.counted(len(racks), 'rack')} of {len(own)} chips"
    text += f" and {len(firsts) // len(racks)} first-tier switches (L1)"
    ax.text(4.9, 1.15, text, ha="center", va="top", fontsize=10, weight="bold")
    return [sheet.mark("chip", "chip"), *_rack_inset(ax, graph, own)]


def _rack_inset(ax: Axes, graph: nx.Graph[str], chips: list[str]) -> list[Line2D]:
    """The chips of one rack as a grid, the links of one of them as arcs; the legend of links."""
    near = graph.adj[chips[0]]
    axes: dict[int, list[dict[str, Any]]] = {}
    for name, data in near.items():
        if graph.nodes[name]["kind"] == "chip":
            axes.setdefault(data["plane"], []).append(data)
    dims = [len(axes[axis]) + 1 for axis in sorted(axes)] or [len(chips)]
    sheet.box(ax, 9.9, 1.3, 6.0, 6.7)
    title = f"One rack: {' x '.join(map(str, dims))} chips"
    ax.text(12.9, 7.6, title, ha="center", fontsize=11, weight="bold")
    wide, tall = dims[0], math.prod(dims[1:])
    step = min(4.4 / max(1, wide - 1), 4.2 / max(1, tall - 1), 0.8)
    left, high = 12.9 - step * (wide - 1) / 2, 4.75 + step * (tall - 1) / 2
    spots = [(left + step * (i % wide), high - step * (i // wide)) for i in range(len(chips))]
    strides = [math.prod(dims[:axis]) for axis in range(len(dims))]
    one = sum(stride * (side // 3) for stride, side in zip(strides, dims, strict=True))
    for axis, (stride, side) in enumerate(zip(strides, dims, strict=True)):
        colour = _AXES[axis % len(_AXES)]
        firsts = [i for i in range(len(chips)) if i // stride % side == 0]
        sheet.lines(ax, [(spots[i], spots[i + stride * (side - 1)]) for i in firsts], colour, 1.0, alpha=0.35)
        for other in range(side):
            if other != side // 3:
                bend = -0.4 if (other > side // 3) == (axis == 0) else 0.4
                _curve(ax, spots[one], spots[one + stride * (other - side // 3)], colour, bend)
    sheet.dots(ax, spots, sheet.CHIP, "o", 60 if len(chips) <= 2 * _MOST_ON_A_RING else 12)
    sheet.dots(ax, [spots[one]], sheet.TOP, "o", 90)
    upward = [data for name, data in near.items() if graph.nodes[name]["kind"] != "chip"]
    inside = [data for part in axes.values() for data in part]
    mesh, up = (sum(d["links"] * d["bandwidth_bytes_per_s"] for d in part) for part in (inside, upward))
    says = f"arcs: the links of one chip inside its rack, {humanise(mesh, 'B/s')}"
    ax.text(12.9, 1.5, f"{says}\nout of the rack: {humanise(up, 'B/s')} a chip", ha="center", fontsize=9)
    handles = [
        sheet.stroke(
            _AXES[place % len(_AXES)],
            f"axis {AXES[axis]}: {len(axes[axis])} chips, {sheet.times(axes[axis][0])} each",
        )
        for place, axis in enumerate(sorted(axes))
    ]
    return (
        [*handles, sheet.stroke(sheet.GREY, f"chip to L1 of each plane: {sheet.times(upward[0])}")]
        if upward
        else handles
    )


def _curve(ax: Axes, start: sheet.Point, end: sheet.Point, colour: str, bend: float) -> None:
    """A bent line without a head."""
    from matplotlib.patches import FancyArrowPatch

    style = f"arc3,rad={bend}"
    ax.add_patch(FancyArrowPatch(start, end, connectionstyle=style, arrowstyle="-", color=colour, lw=1.8, zorder=30))


# --- groups joined to all other groups --------------------------------------------------------------------------------


def draw_dragonfly(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Groups on a circle, every two of them joined; one group beside them with its nodes and chips."""
    groups, key = sheet.units_of(graph, ("group", "rack"))
    place = {name: data[key] for name, data in graph.nodes.items() if key in data}
    spots = dict(zip(groups, sheet.ring(len(groups), (4.9, 4.4), 2.7), strict=True))
    between: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for u, v, data in graph.edges.data():
        ends = place[u], place[v]
        if ends[0] != ends[1]:
            between.setdefault((min(ends), max(ends)), []).append(data)
    sheet.lines(
        ax,
        [(spots[a], spots[b]) for a, b in between],
        sheet.COLOURS[5],
        1.4,
        alpha=0.8 if len(groups) <= _FEW else 0.35,
    )
    small = min(0.42, 6 / len(groups))
    for group, (x, y) in spots.items():
        sheet.box(ax, x - small, y - small, 2 * small, 2 * small, face=sheet.FILLS[0])
        if len(groups) <= _MOST_ON_A_RING // 2:
            ax.text(x, y, f"{group}", ha="center", va="center", fontsize=9, zorder=40)
    own = next(iter(groups.values()))
    ax.text(
        4.9, 1.0, f"{sheet.counted(len(groups), 'group')} of {len(own)} chips", ha="center", fontsize=10, weight="bold"
    )
    handles = [sheet.mark("chip", "chip"), *_nodes_inset(ax, graph, own)]
    if between:
        some = next(iter(between.values()))
        handles.append(sheet.stroke(sheet.COLOURS[5], f"between two groups: {_sum_of(some)}"))
    return handles


def _nodes_inset(ax: Axes, graph: nx.Graph[str], chips: list[str]) -> list[Line2D]:
    """One group: its nodes on a circle, the chips of each on a smaller one; the legend of the links inside."""
    sheet.box(ax, 9.9, 1.3, 6.0, 6.7)
    ax.text(12.9, 7.6, f"One group: {len(chips)} chips", ha="center", fontsize=11, weight="bold")
    nodes: dict[Any, list[str]] = {}
    for chip in chips:
        nodes.setdefault(graph.nodes[chip].get("node", 0), []).append(chip)
    centres = sheet.ring(len(nodes), (12.9, 4.7), 1.85) if len(nodes) > 1 else [(12.9, 4.7)]
    radius = min(0.62, 4.2 / len(nodes)) if len(nodes) > 1 else 2.0
    spots: dict[str, sheet.Point] = {}
    for centre, members in zip(centres, nodes.values(), strict=True):
        spots |= dict(zip(members, sheet.ring(len(members), centre, radius), strict=True))
    inside = [(u, v, d) for u, v, d in graph.edges.data() if u in spots and v in spots]
    same = [(u, v, d) for u, v, d in inside if graph.nodes[u].get("node") == graph.nodes[v].get("node")]
    other = [(u, v, d) for u, v, d in inside if graph.nodes[u].get("node") != graph.nodes[v].get("node")]
    if other:
        sheet.lines(ax, [(spots[u], spots[v]) for u, v, _ in other], sheet.COLOURS[2], 0.9, alpha=0.6)
    sheet.lines(ax, [(spots[u], spots[v]) for u, v, _ in same], sheet.COLOURS[4], 0.9)
    sheet.dots(ax, list(spots.values()), sheet.CHIP, "o", 40 if len(chips) <= _MOST_ON_A_RING else 14)
    near = graph.adj[chips[0]]
    total = humanise(sum(d["links"] * d["bandwidth_bytes_per_s"] for d in near.values()), "B/s")
    of = len(next(iter(nodes.values())))
    ax.text(
        12.9, 1.5, f"{sheet.counted(len(nodes), 'node')} of {of} chips; chip 0 sends {total}", ha="center", fontsize=9
    )
    handles = [sheet.stroke(sheet.COLOURS[4], f"inside a node, a pair: {sheet.times(same[0][2])}")] if same else []
    if other:
        first, second = (graph.nodes[chip]["node"] for chip in other[0][:2])
        pair = [d for u, v, d in other if {graph.nodes[u]["node"], graph.nodes[v]["node"]} == {first, second}]
        handles.append(sheet.stroke(sheet.COLOURS[2], f"between two nodes of a group: {_sum_of(pair)}"))
    return handles


def _sum_of(edges: Sequence[dict[str, Any]]) -> str:
    """Links of several edges of one kind, as people write them."""
    return f"{sum(edge['links'] for edge in edges)} x {sheet.rate(edges[0])}"


# --- boards with switches at the ends of their rows and columns -------------------------------------------------------


def draw_hamming_mesh(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Boards in rows and columns with the switches at their ends; one board beside them with its chips."""
    boards, _ = sheet.units_of(graph, ("node",))
    first = next(iter(boards.values()))
    wide, tall = _sides(graph, first)
    across, down = (all_of // own for all_of, own in zip(_sides(graph, list(graph)), (wide, tall), strict=True))
    rows, columns = min(down, _MOST_BOARDS), min(across, _MOST_BOARDS)
    step = min(5.2 / rows, 7.2 / columns)
    left, high = 4.9 - step * columns / 2, 6.5
    half = 0.36 * step
    for r, c in itertools.product(range(rows), range(columns)):
        x, y = left + step * (c + 0.5), high - step * (r + 0.5)
        sheet.box(ax, x - half, y - half, 2 * half, 2 * half, face=sheet.FILLS[0])
        spots = [
            (u, v)
            for v in sheet.row(range(tall), y + half * 0.6, y - half * 0.6)
            for u in sheet.row(range(wide), x - half * 0.6, x + half * 0.6)
        ]
        sheet.dots(ax, spots, sheet.CHIP, "o", 10)
    right, top = left + step * columns + 0.35, high + 0.35
    for r in range(rows):
        y = high - step * (r + 0.5)
        sheet.lines(ax, [((left, y), (right, y))], sheet.COLOURS[1], 2.0)
        sheet.dots(ax, [(right, y)], sheet.SWITCH, "s", 110)
    for c in range(columns):
        x = left + step * (c + 0.5)
        sheet.lines(ax, [((x, high - step * rows), (x, top))], sheet.COLOURS[5], 2.0)
        sheet.dots(ax, [(x, top)], sheet.TOP, "s", 110)
    text = f"{down} x {across} boards of {tall} x {wide} chips"
    if (rows, columns) != (down, across):
        text += f"; {rows} x {columns} of them drawn"
    ax.text(4.9, 1.0, text, ha="center", fontsize=10, weight="bold")
    ax.text(0.15, 7.25, "the switches of every row of chips, and of every column", fontsize=9, color=sheet.GREY)
    return [
        sheet.mark("chip", "chip"),
        sheet.mark("switch", "row switches"),
        sheet.mark("switch", "column switches", sheet.TOP),
        *_board_inset(ax, graph, first, (tall, wide)),
    ]


def _board_inset(ax: Axes, graph: nx.Graph[str], chips: list[str], sides: tuple[int, int]) -> list[Line2D]:
    sheet.box(ax, 9.9, 1.3, 6.0, 6.7)
    ax.text(12.9, 7.6, f"One board: {sides[0]} x {sides[1]} chips", ha="center", fontsize=11, weight="bold")
    tall, wide = sides
    step = 3.4 / max(tall, wide)
    left, high = 12.9 - step * (wide - 1) / 2, 4.75 + step * (tall - 1) / 2
    spots = {chip: (left + step * (i % wide), high - step * (i // wide)) for i, chip in enumerate(chips[: tall * wide])}
    inner = [(spots[u], spots[v]) for u, v in graph.edges if u in spots and v in spots]
    sheet.lines(ax, inner, sheet.COLOURS[0], 2.2)
    for index, (x, y) in enumerate(spots.values()):
        if index % wide in {0, wide - 1}:
            for sign in [-1] * (index % wide == 0) + [1] * (index % wide == wide - 1):
                sheet.lines(ax, [((x, y), (x + sign * 0.7 * step, y))], sheet.COLOURS[1], 2.0, style=":")
        if index // wide in {0, tall - 1}:
            for sign in [1] * (index // wide == 0) + [-1] * (index // wide == tall - 1):
                sheet.lines(ax, [((x, y), (x, y + sign * 0.7 * step))], sheet.COLOURS[5], 2.0, style=":")
    sheet.dots(ax, list(spots.values()), sheet.CHIP, "o", 200)
    ax.text(12.9, 1.5, "dotted: to the switches of the row and of the column", ha="center", fontsize=9)
    found = [data for name, data in graph.adj[chips[0]].items() if graph.nodes[name]["kind"] == "chip"]
    upward = [
        d for chip in chips for n, d in graph.adj[chip].items() if n in sheet.of_kind(graph, graph.adj[chip], "switch")
    ]
    handles = [sheet.stroke(sheet.COLOURS[0], f"on the board: {sheet.times(found[0])}")] if found else []
    return (
        [*handles, sheet.stroke(sheet.COLOURS[1], f"to a row's or column's switches: {sheet.times(upward[0])}")]
        if upward
        else handles
    )


def _sides(graph: nx.Graph[str], names: Sequence[str]) -> tuple[int, int]:
    """How far some chips reach along x and y."""
    coordinates = [graph.nodes[name]["coord"] for name in names if "coord" in graph.nodes[name]]
    return max(x for x, _ in coordinates) + 1, max(y for _, y in coordinates) + 1
