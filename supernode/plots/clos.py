"""Picture of a Clos: one of its planes by pod and group, tier above tier, with what every tier has downwards and up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from simulator.units import humanise
from supernode.plots import sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_PODS, _MOST_GROUPS, _MOST_CHIPS, _MOST_LEAVES, _MOST_ABOVE = 4, 8, 64, 64, 32
"""Pods, groups and chips of all of these, leaves, and switches of a higher tier, that one sheet has room for."""
_HEIGHTS = {2: (2.2, 4.2, 6.9), 3: (2.2, 3.7, 5.5, 7.4)}
"""Heights of chips and tiers on the sheet, by how many tiers there are."""
_LEFT, _RIGHT = 0.5, 10.2


def draw_clos(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """The first plane: chips under the leaves of their rails, these under spines and cores; beside it, the counts."""
    tiers = [[name for name, tier in sheet.marked(graph, "tier") if tier == each] for each in (1, 2, 3)]
    planes = len({graph.nodes[leaf]["plane"] for leaf in tiers[0]})
    plane = [[name for name in names if graph.nodes[name]["plane"] == 0] for names in tiers]
    rails = 1 + max(graph.nodes[leaf]["rail"] for leaf in plane[0])
    groups = _shown(graph, plane[0])
    by_group = [[chip for chip in sheet.named(graph, "chip") if graph.nodes[chip]["group"] == each] for each in groups]
    most = max(1, _MOST_CHIPS // len(groups))
    chips = [chip for members in by_group for chip in members[:most]]
    pods = {graph.nodes[chip]["pod"] for chip in chips}
    leaves = [leaf for leaf in plane[0] if graph.nodes[leaf]["group"] in groups]
    spines = [spine for spine in plane[1] if graph.nodes[spine]["pod"] in pods]
    drawn = [chips, _some(graph, leaves, _MOST_LEAVES)]
    drawn += [_some(graph, names, _MOST_ABOVE) for names in (spines, plane[2]) if names]
    heights = _HEIGHTS[len(drawn) - 1]
    places: dict[str, tuple[float, float]] = {}
    for names, height in zip(drawn, heights, strict=True):
        places |= _placed(graph, names, height)
    joined = [(u, v) for u, v in graph.subgraph(places).edges]
    for rail in range(rails):
        own = [(u, v) for u, v in joined if {graph.nodes[u].get("rail"), graph.nodes[v].get("rail")} >= {rail}]
        down = [(places[u], places[v]) for u, v in own if "chip" in (graph.nodes[u]["kind"], graph.nodes[v]["kind"])]
        up = [(places[u], places[v]) for u, v in own if "chip" not in (graph.nodes[u]["kind"], graph.nodes[v]["kind"])]
        colour = sheet.plane_colour(rail, rails)
        sheet.lines(ax, down, colour, 1.1, alpha=0.8)
        sheet.lines(ax, up, colour, 0.7, alpha=_faint(len(joined)))
    higher = [(places[u], places[v]) for u, v in joined if min(graph.nodes[n].get("tier", 0) for n in (u, v)) > 1]
    sheet.lines(ax, higher, sheet.GREY, 0.7, alpha=_faint(len(higher)))
    sheet.dots(ax, [places[chip] for chip in drawn[0]], sheet.CHIP, "o", 90 if len(chips) <= 32 else 22)
    for leaf in drawn[1]:
        sheet.dots(
            ax,
            [places[leaf]],
            sheet.plane_colour(graph.nodes[leaf]["rail"], rails),
            "s",
            90 if len(drawn[1]) <= _MOST_ABOVE else 45,
        )
    for names, colour in zip(drawn[2:], (sheet.TOP, sheet.GREY), strict=False):
        sheet.dots(ax, [places[name] for name in names], colour, "s", 90)
    for members in by_group:
        xs = [places[chip][0] for chip in members[:most]]
        sheet.box(ax, xs[0] - 0.12, heights[0] - 0.25, xs[-1] - xs[0] + 0.24, 0.5)
    _captions(ax, [sheet.named(graph, "chip"), *plane], drawn, heights)
    _counts(ax, graph, plane, planes, rails)
    handles = [sheet.mark("chip", "chip"), sheet.mark("switch", "leaf, coloured by rail", sheet.plane_colour(0, rails))]
    handles.append(sheet.mark("switch", "spine", sheet.TOP))
    return [*handles, *([sheet.mark("switch", "core", sheet.GREY)] if plane[2] else [])]


def _shown(graph: nx.Graph[str], leaves: list[str]) -> list[int]:
    """The groups that are drawn: the first of each of the first pods."""
    pods: dict[int, list[int]] = {}
    for leaf in leaves:
        own = pods.setdefault(graph.nodes[leaf]["pod"], [])
        if graph.nodes[leaf]["group"] not in own:
            own.append(graph.nodes[leaf]["group"])
    first = list(pods.values())[:_MOST_PODS]
    return [group for own in first for group in own[: max(1, _MOST_GROUPS // len(first))]]


def _some(graph: nx.Graph[str], names: list[str], most: int) -> list[str]:
    """At most so many switches of a tier, as many of each pod or group as of the others."""
    units: dict[object, list[str]] = {}
    for name in names:
        data = graph.nodes[name]
        units.setdefault((data.get("pod"), data.get("group")), []).append(name)
    each = max(1, most // len(units))
    return [name for own in units.values() for name in own[:each]]


def _placed(graph: nx.Graph[str], names: list[str], height: float) -> dict[str, tuple[float, float]]:
    """Places in a row, with gaps between groups and wider ones between pods."""
    at, last = [0.0], graph.nodes[names[0]]
    for name in names[1:]:
        data = graph.nodes[name]
        gap = 1.0 + (data.get("group") != last.get("group")) + (data.get("pod") != last.get("pod"))
        at.append(at[-1] + gap)
        last = data
    return dict(zip(names, [(x, height) for x in sheet.row(at, _LEFT + 0.4, _RIGHT - 0.4)], strict=True))


def _faint(count: int) -> float:
    """How opaque so many lines may be."""
    return min(0.7, 0.15 + 40 / max(count, 1))


def _captions(ax: Axes, tiers: list[list[str]], drawn: list[list[str]], heights: Sequence[float]) -> None:
    """Of chips and of each tier, how many are drawn where not all are."""
    for noun, names, shown, height in zip(("chip", "leaf", "spine", "core"), tiers, drawn, heights, strict=False):
        total = f"{len(names):,} {_plural(noun, len(names))}"
        text = total if len(shown) == len(names) else f"{len(shown)} of {total}"
        at = height - 0.55 if noun == "chip" else height + 0.3
        white = {"fc": "white", "ec": "none", "pad": 1}
        ax.text(_LEFT - 0.1, at, text, ha="left", fontsize=9, weight="bold", zorder=60, bbox=white)


def _counts(ax: Axes, graph: nx.Graph[str], plane: list[list[str]], planes: int, rails: int) -> None:
    """What one of each has: a chip, a leaf, a spine and a core."""
    chips = sheet.named(graph, "chip")
    nodes = len({graph.nodes[chip]["node"] for chip in chips})
    groups, pods = (len({graph.nodes[chip][unit] for chip in chips}) for unit in ("group", "pod"))
    sheet.box(ax, 10.6, 1.3, 5.2, 6.7)
    title = "One plane" if planes == 1 else f"One of {planes} planes, all alike"
    ax.text(13.2, 7.6, title, ha="center", fontsize=11, weight="bold")
    lines = [f"{nodes:,} nodes of {len(chips) // nodes} chips on {sheet.counted(rails, 'rail')}"]
    lines += [f"{sheet.counted(groups, 'group')} of {nodes // groups:,} nodes"]
    lines += [f"{pods:,} pods of {sheet.counted(groups // pods, 'group')}"] if pods > 1 else []
    each = graph.edges[chips[0], plane[0][0]] if graph.has_edge(chips[0], plane[0][0]) else None
    for noun, names in zip(("chip", "leaf", "spine", "core"), (chips, *plane), strict=True):
        if not names:
            continue
        down, up = _sides(graph, names[0])
        lines.append(f"\n{noun}:")
        if down:
            lines.append(f"   down {_summed(down)}")
        if up:
            lines.append(f"   up {_summed(up)}" + (" in all planes" if noun == "chip" and planes > 1 else ""))
        if down and up:
            over = _rate(down) / _rate(up)
            lines.append(f"   oversubscribed {over:.3g} : 1" if over > 1 + 1e-9 else "   not oversubscribed")
    if each is not None:
        lines.append(f"\nlink: {sheet.rate(each)} in one direction")
    ax.text(10.9, 7.3, "\n".join(lines), ha="left", va="top", fontsize=9.5, linespacing=1.3)


Sides = Counter[tuple[int, float]]


def _sides(graph: nx.Graph[str], name: str) -> tuple[Sides, Sides]:
    """Edges of a node towards the chips and away from them, by their links and bandwidth."""
    tier = graph.nodes[name].get("tier", 0)
    down: Sides = Counter()
    up: Sides = Counter()
    for neighbour, data in graph.adj[name].items():
        side = up if graph.nodes[neighbour].get("tier", 0) > tier else down
        side[data["links"], data["bandwidth_bytes_per_s"]] += 1
    return down, up


def _rate(side: Sides) -> float:
    return sum(count * links * rate for (links, rate), count in side.items())


def _summed(side: Sides) -> str:
    """As in ``16 x 2 links = 3.2 TB/s``."""
    parts = [f"{count} x {sheet.counted(links, 'link')}" for (links, _), count in side.items()]
    return f"{' + '.join(parts)} = {humanise(_rate(side), 'B/s')}"


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return "leaves" if noun == "leaf" else f"{noun}s"
