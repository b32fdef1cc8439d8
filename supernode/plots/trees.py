"""Pictures of trees: chips under PCIe switches under hosts, and sleds on switches of their own in racks of sleds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from simulator.units import humanise
from supernode.plots.sheet import (
    CHIP,
    COLOURS,
    CPU,
    GREY,
    SWITCH,
    TOP,
    arc,
    box,
    counted,
    dots,
    lines,
    mark,
    marked,
    named,
    row,
    stroke,
    times,
    units_of,
)

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_CHIPS_DRAWN = 160
_MOST_HOSTS_DRAWN = 12


def draw_pcie_tree(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Hosts above, their switches below them, chips at the bottom; the first hosts where there are many."""
    chips = named(graph, "chip")
    switch_of = {chip: next(n for n in graph.adj[chip] if graph.nodes[n]["kind"] == "switch") for chip in chips}
    host_of = {switch: _host(graph, switch) for switch in dict.fromkeys(switch_of.values())}
    hosts = list(dict.fromkeys(host_of.values()))
    shown = hosts[:_MOST_HOSTS_DRAWN]
    drawn = [chip for chip in chips if host_of[switch_of[chip]] in shown][:_MOST_CHIPS_DRAWN]
    order = list(dict.fromkeys(switch_of[chip] for chip in drawn))
    at = [i + 0.8 * order.index(switch_of[chip]) for i, chip in enumerate(drawn)]
    xs = dict(zip(drawn, row(at, 0.7, 15.3), strict=True))
    sx = {s: _middle([xs[c] for c in drawn if switch_of[c] == s]) for s in order}
    hx = {h: _middle([sx[s] for s in order if host_of[s] == h]) for h in shown if any(host_of[s] == h for s in order)}
    lines(ax, [((xs[c], 2.0), (sx[switch_of[c]], 4.2)) for c in drawn], COLOURS[0], 1.4)
    lines(ax, [((sx[s], 4.2), (hx[host_of[s]], 6.2)) for s in order], COLOURS[4], 2.2)
    dots(ax, [(x, 2.0) for x in xs.values()], CHIP, "o", 150 if len(drawn) <= 32 else 30)
    dots(ax, [(x, 4.2) for x in sx.values()], SWITCH, "s", 150)
    kind = graph.nodes[shown[0]]["kind"]
    dots(ax, [(x, 6.2) for x in hx.values()], CPU if kind == "cpu" else TOP, "^" if kind == "cpu" else "s", 190)
    between = [(u, v, d) for u, v, d in graph.edges.data() if u in hx and v in hx]
    for u, v, _ in between[:40]:
        arc(ax, (hx[u], 6.35), (hx[v], 6.35), GREY, -0.3 if hx[u] < hx[v] else 0.3)
    down, up = graph.edges[drawn[0], order[0]], graph.edges[order[0], host_of[order[0]]]
    per_switch, per_host = Counter(switch_of.values())[order[0]], Counter(host_of.values())[shown[0]]
    text = f"{counted(len(hosts), 'host')} of {counted(per_host, 'PCIe switch')}"
    text += f" with {counted(per_switch, 'chip')} each"
    if len(drawn) < len(chips):
        text += f"; the first {len(drawn)} of {len(chips):,} chips are drawn"
    ax.text(8, 1.25, text, ha="center", fontsize=10, weight="bold")
    host = mark("cpu", "host") if kind == "cpu" else mark("switch", "host", TOP)
    handles = [mark("chip", "chip"), mark("switch", "PCIe switch"), host]
    handles += [
        stroke(COLOURS[0], f"chip to switch: {times(down)}"),
        stroke(COLOURS[4], f"switch to host: {times(up)}"),
    ]
    if between:
        handles.append(stroke(GREY, f"between hosts: {times(between[0][2])}"))
    return handles


def _host(graph: nx.Graph[str], switch: str) -> str:
    """What a PCIe switch hangs under: anything that is not a chip."""
    return next(name for name in graph.adj[switch] if graph.nodes[name]["kind"] != "chip")


def draw_switched_sleds(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Racks of sleds under their switches; one sled in full beside them, with the links to the twin chips."""
    racks, key = units_of(graph, ("rack", "group"))
    sleds, sled_key = units_of(graph, ("sled", "node"))
    tops = [name for name, tier in marked(graph, "tier") if tier == 2]
    xs = row(range(len(racks)), 2.6, 7.2) if len(racks) > 1 else [4.9]
    wide = 4.2 if len(racks) <= 2 else 8.8 / len(racks) - 0.3
    for (rack, members), x in zip(racks.items(), xs, strict=True):
        own = list(dict.fromkeys(graph.nodes[chip][sled_key] for chip in members))
        mine = [top for top in tops if graph.nodes[top].get(key, rack) == rack]
        box(ax, x - wide / 2, 1.7, wide, 5.9)
        ax.text(x, 7.25, f"rack {rack}", ha="center", fontsize=10, weight="bold")
        px, tx = row(range(len(own)), x - wide * 0.44, x + wide * 0.44), row(range(len(mine)), x - 0.9, x + 0.9)
        lines(ax, [((s, 3.7), (t, 6.4)) for s in px for t in tx], COLOURS[5], 0.8, alpha=0.8)
        dots(ax, [(t, 6.4) for t in tx], TOP, "s", 130)
        dots(ax, [(s, 2.4) for s in px], SWITCH, "s", 30)
        each = Counter(graph.nodes[chip][sled_key] for chip in members)[own[0]]
        for s in px:
            heights = row(range(each), 2.8, 3.7)
            lines(ax, [((s, 2.4), (s, heights[-1]))], COLOURS[0], 0.9)
            dots(ax, [(s, y) for y in heights], CHIP, "o", 16)
        ax.text(x, 1.85, f"{len(own)} sleds of {each} chips", ha="center", fontsize=9)
    chip = next(iter(next(iter(sleds.values()))))
    twins = [data for name, data in graph.adj[chip].items() if _is_twin(graph, chip, name, sled_key)]
    if twins and len(xs) > 1:
        arc(ax, (xs[0] + wide * 0.25, 1.7), (xs[1] - wide * 0.25, 1.7), COLOURS[2], 0.25)
        ax.text(4.9, 1.05, f"each chip to its twin: {times(twins[0])}", ha="center", fontsize=9, color=COLOURS[2])
    marks = [mark("chip", "chip"), mark("switch", "sled switch"), mark("switch", "rack switch", TOP)]
    return [*marks, *_sled_inset(ax, graph, next(iter(sleds.values())), sled_key)]


def _is_twin(graph: nx.Graph[str], chip: str, other: str, key: str) -> bool:
    ours, theirs = graph.nodes[chip], graph.nodes[other]
    return theirs["kind"] == "chip" and theirs.get(key) != ours.get(key)


def _sled_inset(ax: Axes, graph: nx.Graph[str], chips: list[str], key: str) -> list[Line2D]:
    """One sled: its chips, its switch, and the beginnings of what leads out of it; the legend of its links."""
    box(ax, 9.9, 1.3, 6.0, 6.7)
    ax.text(12.9, 7.6, "One sled", ha="center", fontsize=11, weight="bold")
    xs = row(range(len(chips)), 10.7, 15.1)
    near = graph.adj[chips[0]]
    switches = [name for name in near if graph.nodes[name]["kind"] == "switch"]
    inner = [name for name in switches if graph.nodes[name].get("tier") == 1]
    outer = [name for name in switches if name not in inner]
    twins = [name for name in near if _is_twin(graph, chips[0], name, key)]
    tx = row(range(len(outer)), 11.8, 14.0) if outer else []
    lines(ax, [((x, 4.0), (12.9, 2.7)) for x in xs], COLOURS[0], 2.0)
    lines(ax, [((x, 4.0), (t, 6.6)) for x in xs for t in tx], COLOURS[5], 0.9)
    dots(ax, [(x, 4.0) for x in xs], CHIP, "o", 150)
    dots(ax, [(12.9, 2.7)], SWITCH, "s", 150)
    if tx:
        dots(ax, [(t, 6.6) for t in tx], TOP, "s", 150)
        ax.text(12.9, 6.95, counted(len(outer), "rack switch"), ha="center", fontsize=9)
    if twins:
        lines(ax, [((x, 4.0), (x, 5.0)) for x in xs], COLOURS[2], 1.8, style=":")
        ax.text(12.9, 2.05, "dotted: to the twin chips in the other racks", ha="center", fontsize=9, color=COLOURS[2])
    total = humanise(sum(d["links"] * d["bandwidth_bytes_per_s"] for d in near.values()), "B/s")
    ax.text(12.9, 1.5, f"all links of a chip: {total}", ha="center", fontsize=9)
    handles = [stroke(COLOURS[0], f"to the sled's switch: {times(near[inner[0]])}")] if inner else []
    if outer:
        some = {"links": sum(near[top]["links"] for top in outer)}
        handles.append(stroke(COLOURS[5], f"to the rack switches: {times({**near[outer[0]], **some})}"))
    if twins:
        handles.append(stroke(COLOURS[2], f"to the twin: {times(near[twins[0]])}"))
    return handles


def _middle(xs: list[float]) -> float:
    return sum(xs) / len(xs)
