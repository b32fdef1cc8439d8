"""Pictures of switched machines: parallel stars, planes of two tiers, leaves under spines."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from simulator.units import humanise
from supernode.plots import sheet

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


# --- parallel stars ---------------------------------------------------------------------------------------------------


def draw_stars(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Chips in a row by node, switches in a row above, one colour for each plane."""
    chips, switches = sheet.named(graph, "chip"), sheet.named(graph, "switch")
    if len(chips) + len(switches) > 2 * sheet.MOST_IN_FULL:
        return _many_stars(ax, graph)
    low, high = 1.9, 7.0
    nodes = [graph.nodes[chip]["node"] for chip in chips]
    gap = 0.8 if len(set(nodes)) > 1 else 0.0
    places = dict(zip(chips, sheet.row([i + gap * node for i, node in enumerate(nodes)], 0.7, 15.3), strict=True))
    tops = dict(zip(switches, sheet.row(range(len(switches)), 1.6, 14.4), strict=True))
    for plane, switch in enumerate(switches):
        colour = sheet.plane_colour(plane, len(switches))
        widths = [0.5 * graph.edges[chip, switch]["links"] for chip in chips]
        segments = [((places[chip], low), (tops[switch], high)) for chip in chips]
        sheet.lines(ax, segments, colour, widths, alpha=0.75 if len(chips) <= 16 else 0.2)
        links = {graph.edges[chip, switch]["links"] for chip in chips}
        if len(switches) <= 8:
            ax.text(
                tops[switch],
                high + 0.3,
                f"{switch}\n{sheet.counted(max(links), 'link')} a chip",
                ha="center",
                fontsize=9,
            )
        sheet.dots(ax, [(tops[switch], high)], colour, "s", 150 if len(switches) <= 8 else 60)
    if len(switches) > 8:
        ax.text(
            8, high + 0.25, f"{len(switches)} switch planes, one link of each chip to each", ha="center", fontsize=9
        )
    sheet.dots(ax, [(x, low) for x in places.values()], sheet.CHIP, "o", 150 if len(chips) <= 16 else 30)
    by_node: dict[int, list[float]] = {}
    for chip, node in zip(chips, nodes, strict=True):
        by_node.setdefault(node, []).append(places[chip])
    for node, xs in by_node.items():
        half = 0.12 if len(chips) > 16 else 0.4
        sheet.box(ax, xs[0] - half, low - 0.25, xs[-1] - xs[0] + 2 * half, 0.5)
        ax.text(
            sum(xs) / len(xs), low - 0.5, f"node {node}" if len(by_node) < 8 else f"{node}", ha="center", fontsize=8
        )
    if len(by_node) >= 8:
        ax.text(
            0.1, low - 0.8, f"{len(by_node)} nodes of {len(by_node[0])} chips, numbered", fontsize=8, color=sheet.GREY
        )
    edge = next(iter(graph.edges.data()))[2]
    handles = [sheet.mark("chip", "chip"), sheet.mark("switch", "switch chip, coloured by plane", sheet.GREY)]
    if len(chips) > 16:
        sheet.lines(
            ax, [((places[chips[0]], low), (tops[switch], high)) for switch in switches], sheet.TOP, 1.6, above=5
        )
        wires = [graph.edges[chips[0], switch] for switch in switches]
        total = humanise(sum(each["links"] * each["bandwidth_bytes_per_s"] for each in wires), "B/s")
        count = sum(each["links"] for each in wires)
        handles.append(sheet.stroke(sheet.TOP, f"the links of one chip: {count} x {sheet.rate(edge)} = {total}"))
    return [
        *handles,
        sheet.stroke(
            sheet.GREY, f"any other link: {sheet.rate(edge)}" if len(chips) > 16 else f"link: {sheet.rate(edge)}"
        ),
    ]


def _many_stars(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Too many chips for a line each: nodes as boxes, switches above, and what one chip has to every switch."""
    chips, switches = sheet.named(graph, "chip"), sheet.named(graph, "switch")
    nodes, _ = sheet.units_of(graph, ("node",))
    size = len(next(iter(nodes.values())))
    columns = min(len(nodes), max(16, math.isqrt(4 * len(nodes))))
    deep = math.ceil(len(nodes) / columns)
    xs = sheet.row(range(columns), 0.9, 15.1)
    ys = sheet.row(range(deep), 4.0, 1.8) if deep > 1 else [2.6]
    wide, tall = 0.8 * (xs[1] - xs[0]) if columns > 1 else 1.0, 0.75 * (ys[0] - ys[1]) if deep > 1 else 0.9
    for index, members in enumerate(nodes.values()):
        x, y = xs[index % columns], ys[index // columns]
        sheet.box(ax, x - wide / 2, y - tall / 2, wide, tall, face="white")
        sheet.dots(
            ax, [(u, y) for u in sheet.row(range(len(members)), x - wide * 0.3, x + wide * 0.3)], sheet.CHIP, "o", 7
        )
    tops = dict(zip(switches, sheet.row(range(len(switches)), 1.0, 15.0), strict=True))
    for plane, (switch, x) in enumerate(tops.items()):
        colour = sheet.plane_colour(plane, len(switches))
        sheet.lines(
            ax, [((at, ys[0] + tall / 2), (x, 7.0)) for at in xs[:: max(1, columns // 24)]], colour, 0.5, alpha=0.3
        )
        sheet.dots(ax, [(tops[switch], 7.0)], colour, "s", 60 if len(switches) <= 2 * sheet.MOST_BOXES else 14)
    sheet.lines(ax, [((xs[0], ys[0]), (x, 7.0)) for x in tops.values()], sheet.TOP, min(1.4, 24 / len(tops)), above=15)
    ax.text(8, 7.3, f"{len(switches)} switch planes; every chip has links to each", ha="center", fontsize=9)
    text = f"{len(nodes)} nodes of {size} chips" if size > 1 else f"{len(nodes)} chips"
    ax.text(8, 1.1, text, ha="center", fontsize=10, weight="bold")
    wires = list(graph.adj[chips[0]].values())
    total = humanise(sum(each["links"] * each["bandwidth_bytes_per_s"] for each in wires), "B/s")
    count = sum(each["links"] for each in wires)
    handles = [sheet.mark("chip", "chip"), sheet.mark("switch", "switch chip, coloured by plane", sheet.GREY)]
    return [*handles, sheet.stroke(sheet.TOP, f"the links of one chip: {count} x {sheet.rate(wires[0])} = {total}")]


# --- two-tier planes --------------------------------------------------------------------------------------------------


def draw_planes(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Racks below, planes above, and one node in full beside them."""
    tops = [name for name, tier in sheet.marked(graph, "tier") if tier == 2]
    planes = sorted({graph.nodes[top]["plane"] for top in tops})
    racks: dict[int, set[int]] = {}
    for chip in sheet.named(graph, "chip"):
        racks.setdefault(graph.nodes[chip]["rack"], set()).add(graph.nodes[chip]["node"])
    top_racks = Counter(graph.nodes[top]["rack"] for top in tops)
    nodes = [name for name, place in sheet.marked(graph, "node") if place == 0]
    chips, cpus, leaves = (sheet.of_kind(graph, nodes, kind) for kind in ("chip", "cpu", "switch"))
    down, up = graph.edges[chips[0], leaves[0]], graph.edges[leaves[0], tops[0]]
    xs, tx = sheet.row(range(len(racks)), 0.6, 9.2), sheet.row(planes, 0.9, 8.9)
    wide = min(0.62, 0.8 * (xs[1] - xs[0])) if len(xs) > 1 else 0.62
    per_plane, per_rack = len(tops) // len(planes), len(racks[0])
    for plane, x in zip(planes, tx, strict=True):
        colour = sheet.plane_colour(plane, len(planes))
        sheet.lines(ax, [((rack, 2.85), (x, 6.0)) for rack in xs], colour, 1.1, alpha=0.75)
        sheet.box(ax, x - 0.5, 6.0, 1.0, 0.85, face="white", edge=colour)
        ax.text(x, 6.42, f"plane {plane}\n{per_plane} L2", ha="center", va="center", fontsize=8, zorder=30)
    sheet.box(ax, 0.25, 5.8, 9.3, 1.75)
    where = f"{len(tops)} second-tier switches (L2)"
    if len(top_racks) > 1:
        where = f"{len(top_racks)} communication racks, {max(top_racks.values())} second-tier switches (L2) each"
    ax.text(4.9, 7.2, where, ha="center", va="center", fontsize=10, weight="bold")
    for (rack, members), x in zip(sorted(racks.items()), xs, strict=True):
        sheet.box(ax, x - wide / 2, 1.75, wide, 1.1, face="white")
        for i in range(len(members)):
            tall = 0.9 / len(members)
            sheet.box(ax, x - wide * 0.38, 1.85 + i * tall, wide * 0.76, tall * 0.75, face=sheet.CHIP, edge=sheet.CHIP)
        if len(racks) <= sheet.MOST_BOXES:
            ax.text(x, 1.6, f"{rack}", ha="center", va="top", fontsize=8)
    unit = f"{sheet.counted(len(racks), 'compute rack')} of {per_rack} nodes" if per_rack > 1 else f"{len(racks)} nodes"
    ax.text(4.9, 1.25, f"{unit} with {len(chips)} chips each", ha="center", va="top", fontsize=10, weight="bold")
    line = f"each line: {per_rack} x {per_plane} links of {sheet.rate(up)}"
    ax.text(4.9, 4.45, line, ha="center", fontsize=9.5, zorder=40, bbox={"fc": "white", "ec": sheet.GREY, "pad": 3})
    _node_inset(ax, graph, (chips, cpus, leaves), per_plane)
    handles = [
        sheet.mark("chip", "chip (left: a node of them)"),
        sheet.mark("switch", "first-tier switch (L1), coloured by plane", sheet.GREY),
    ]
    if cpus:
        cpu = graph.edges[cpus[0], leaves[0]]
        handles += [sheet.mark("cpu", f"CPU, {sheet.rate(cpu)} to each L1")]
    return [*handles, sheet.stroke(sheet.GREY, f"chip to L1: {down['links']} x {sheet.rate(down)}")]


def _node_inset(ax: Axes, graph: nx.Graph[str], inside: tuple[list[str], list[str], list[str]], spines: int) -> None:
    """One node: chips and CPUs below, the first-tier switch of each plane above them, their links upwards."""
    chips, cpus, leaves = inside
    sheet.box(ax, 9.9, 1.3, 6.0, 6.7)
    ax.text(12.9, 7.6, "One node", ha="center", fontsize=11, weight="bold")
    xs = sheet.row([*range(len(chips)), *(len(chips) + 0.6 + i for i in range(len(cpus)))], 10.3, 15.5)
    lx = sheet.row(range(len(leaves)), 10.7, 15.1)
    up = 0.0
    for plane, (leaf, x) in enumerate(zip(leaves, lx, strict=True)):
        colour = sheet.plane_colour(plane, len(leaves))
        sheet.lines(ax, [((a, 2.6), (x, 5.2)) for a in xs[: len(chips)]], colour, 1.3)
        sheet.lines(ax, [((a, 2.6), (x, 5.2)) for a in xs[len(chips) :]], colour, 0.6, alpha=0.7)
        sheet.lines(ax, [((x, 5.2), (x + 0.03 * (i - (spines - 1) / 2), 6.3)) for i in range(spines)], colour, 0.5)
        sheet.dots(ax, [(x, 5.2)], colour, "s", 110)
        ax.text(x, 6.4, f"{spines} x", ha="center", fontsize=8)
        up = max(
            up, sum(d["bandwidth_bytes_per_s"] * d["links"] for n, d in graph.adj[leaf].items() if n[:5] == "spine")
        )
    ax.text(12.9, 6.9, f"to {spines} L2 of the same plane: {humanise(up, 'B/s')} a switch", ha="center", fontsize=9)
    sheet.dots(ax, [(x, 2.6) for x in xs[: len(chips)]], sheet.CHIP, "o", 110)
    sheet.dots(ax, [(x, 2.6) for x in xs[len(chips) :]], sheet.CPU, "^", 110)
    edge = graph.edges[chips[0], leaves[0]]
    each = edge["links"] * edge["bandwidth_bytes_per_s"]
    says = [f"{len(chips)} chips, {len(cpus)} CPUs, {len(leaves)} switches (one a plane)"]
    says += [f"chip: {len(leaves)} x {humanise(each, 'B/s')} = {humanise(len(leaves) * each, 'B/s')}"]
    ax.text(12.9, 1.5, "\n".join(says), ha="center", fontsize=9)


# --- leaves and spines ------------------------------------------------------------------------------------------------


def draw_leaves(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Groups below, spines above, and one group in full beside them."""
    spines = [name for name, tier in sheet.marked(graph, "tier") if tier == 2]
    groups = sorted({group for _, group in sheet.marked(graph, "group")})
    own = [name for name, group in sheet.marked(graph, "group") if group == 0]
    chips, leaves = sheet.of_kind(graph, own, "chip"), sheet.of_kind(graph, own, "switch")
    down, up = graph.edges[chips[0], leaves[0]], graph.edges[leaves[0], spines[0]]
    xs, sx = sheet.row(groups, 0.5, 9.3), sheet.row(range(len(spines)), 0.5, 9.3)
    wide = min(0.5, 0.85 * (xs[1] - xs[0])) if len(xs) > 1 else 0.5
    faint = min(0.5, 120 / (len(groups) * len(spines)) + 0.06)
    sheet.lines(ax, [((x, 2.75), (s, 6.4)) for x in xs for s in sx], sheet.GREY, 0.5, alpha=faint)
    sheet.dots(ax, [(s, 6.4) for s in sx], sheet.TOP, "s", 90)
    ax.text(4.9, 6.85, f"{len(spines)} spine switches", ha="center", fontsize=10, weight="bold")
    for group, x in zip(groups, xs, strict=True):
        sheet.box(ax, x - wide / 2, 1.75, wide, 1.0, face="white")
        sheet.dots(
            ax,
            [(v, 2.55) for v in sheet.row(range(len(leaves)), x - wide * 0.35, x + wide * 0.35)],
            sheet.SWITCH,
            "s",
            9,
        )
        grid = [
            (u, v)
            for u in sheet.row(range(4), x - wide * 0.33, x + wide * 0.33)
            for v in sheet.row(range(10), 1.85, 2.35)
        ]
        sheet.dots(ax, grid[: len(chips)], sheet.CHIP, "o", 2.5)
        if len(groups) <= sheet.MOST_BOXES:
            ax.text(x, 1.6, f"{group}", ha="center", va="top", fontsize=8)
    text = (
        f"{sheet.counted(len(groups), 'group')} of {len(chips)} chips and {sheet.counted(len(leaves), 'leaf switch')}"
    )
    ax.text(4.9, 1.25, text, ha="center", va="top", fontsize=10, weight="bold")
    total = len(leaves) * up["links"] * up["bandwidth_bytes_per_s"]
    line = f"each line: {len(leaves)} leaves x {up['links']} x {sheet.rate(up)} = {humanise(total, 'B/s')}"
    ax.text(4.9, 4.5, line, ha="center", fontsize=9.5, zorder=40, bbox={"fc": "white", "ec": sheet.GREY, "pad": 3})
    _group_inset(ax, graph, chips, leaves)
    return [
        sheet.mark("chip", "chip"),
        sheet.mark("switch", "leaf switch (right: each its colour)"),
        sheet.mark("switch", "spine switch", sheet.TOP),
        sheet.stroke(sheet.GREY, f"chip to each leaf: {down['links']} x {sheet.rate(down)}"),
    ]


_MOST_IN_GROUP = 48
"""Chips of a group that are drawn; more would only blacken the sheet."""


def _group_inset(ax: Axes, graph: nx.Graph[str], chips: list[str], leaves: list[str]) -> None:
    """One group: its chips by node below, its leaves above them, their links upwards."""
    sheet.box(ax, 9.9, 1.3, 6.0, 6.7)
    ax.text(12.9, 7.6, "One group", ha="center", fontsize=11, weight="bold")
    nodes = [graph.nodes[chip]["node"] for chip in chips]
    xs = sheet.row([i + 0.8 * node for i, node in enumerate(nodes)][:_MOST_IN_GROUP], 10.15, 15.65)
    lx = sheet.row(range(len(leaves)), 11.2, 14.6)
    rates = {"chip": 0.0, "switch": 0.0}
    for neighbour, data in graph.adj[leaves[0]].items():
        rates[graph.nodes[neighbour]["kind"]] += data["links"] * data["bandwidth_bytes_per_s"]
    spines = sum(graph.nodes[name]["kind"] == "switch" for name in graph.adj[leaves[0]])
    for plane, x in enumerate(lx):
        colour = sheet.plane_colour(plane, len(leaves))
        sheet.lines(ax, [((a, 2.6), (x, 5.2)) for a in xs], colour, 0.7, alpha=0.8)
        sheet.lines(ax, [((x, 5.2), (x + 0.05 * (i - (spines - 1) / 2), 6.3)) for i in range(spines)], colour, 0.6)
        sheet.dots(ax, [(x, 5.2)], colour, "s", 120)
    text = f"each leaf to {spines} spines: {humanise(rates['switch'], 'B/s')} up, {humanise(rates['chip'], 'B/s')} down"
    ax.text(12.9, 6.6, text, ha="center", fontsize=9)
    over = rates["chip"] / rates["switch"] if rates["switch"] else 1.0
    said = f"oversubscribed {over:.3g} : 1" if over > 1 + 1e-9 else "not oversubscribed"
    ax.text(
        12.9, 7.0, said, ha="center", fontsize=10, weight="bold", color=sheet.TOP if over > 1 + 1e-9 else sheet.GREY
    )
    sheet.dots(ax, [(x, 2.6) for x in xs], sheet.CHIP, "o", 26)
    if len(xs) < len(chips):
        ax.text(12.9, 2.25, f"the first {len(xs)} of {len(chips)} chips", ha="center", fontsize=8, color=sheet.GREY)
    edge = graph.edges[chips[0], leaves[0]]
    each = edge["links"] * edge["bandwidth_bytes_per_s"]
    says = [f"{len(chips)} chips in {sheet.counted(len(set(nodes)), 'node')}, {len(leaves)} leaves"]
    says += [f"chip: {len(leaves)} x {humanise(each, 'B/s')} = {humanise(len(leaves) * each, 'B/s')}"]
    ax.text(12.9, 1.6, "\n".join(says), ha="center", fontsize=9)
