"""Pictures of fabrics: small machines in full, large ones by cube, rack or group with one of these drawn in full.

Everything is drawn on one sheet of 16 x 9 units, so that the parts of a picture can point at each other.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from simulator.units import humanise
from supernode.plots.clos import draw_clos
from supernode.plots.meshes import draw_dragonfly, draw_full_mesh, draw_hamming_mesh, draw_meshed_racks
from supernode.plots.sheet import (
    GREY,
    MARKS,
    MOST_BOXES,
    box,
    counted,
    dots,
    lines,
    mark,
    marked,
    named,
    plane_colour,
    rate,
    row,
    stroke,
)
from supernode.plots.switched import draw_leaves, draw_planes, draw_stars
from supernode.plots.torus import draw_fixed_torus, draw_torus
from supernode.plots.trees import draw_pcie_tree, draw_switched_sleds

if TYPE_CHECKING:
    from collections.abc import Callable

    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


SHEET_INCHES = (13, 7.3)
"""Size of a figure that holds one picture."""


def rendered(graph: nx.Graph[str], ending: str, *, dots_per_inch: int = 150) -> bytes:
    """The picture of a fabric as a file of type ``png``, ``svg`` or ``pdf``: the same graph, the same bytes."""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    from supernode.plots.theme import STYLE

    picture = io.BytesIO()
    with styles.context(["default", STYLE]):
        sheet = Figure(figsize=SHEET_INCHES)
        plot_topology(graph, ax=sheet.add_axes((0.01, 0.01, 0.98, 0.98)))
        sheet.savefig(picture, format=ending, dpi=dots_per_inch, metadata=UNDATED[ending])
    return picture.getvalue()


UNDATED: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What would change from day to day or from version to version, left out."""


def plot_topology(machine: str | nx.Graph[str], *, ax: Axes | None = None) -> Axes:
    """Draw the fabric of a machine, by its name in the catalogue or as the graph that a builder made.

    Says how many of what there are, the bandwidth of every kind of link [B/s, one direction] and whether that is
    announced, assumed or otherwise known.
    """
    graph = graph_of(machine) if isinstance(machine, str) else machine
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=SHEET_INCHES).add_axes((0.01, 0.01, 0.98, 0.98))
    ax.set(xlim=(0, 16), ylim=(0, 9), aspect="equal")
    ax.axis("off")
    handles = _DRAWERS.get(graph.graph.get("builder", ""), _draw_plain)(ax, graph)
    title = textwrap.shorten(graph.graph.get("title", graph.graph.get("name", "")), 100, placeholder=" ...")
    ax.text(0.1, 8.65, title, fontsize=14, weight="bold", parse_math=False)
    ax.text(0.1, 8.5, _facts(graph), fontsize=9, color=GREY, va="top", linespacing=1.4)
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0.035), ncols=6, frameon=False, fontsize=9)
    if reading := graph.graph.get("reading", ""):
        said = textwrap.fill(f"Reading: {reading}", 220, max_lines=2, placeholder=" ...")
        ax.text(0.1, 0.36, said, fontsize=8, color=GREY, va="top", style="italic", parse_math=False)
    return ax


def graph_of(name: str) -> nx.Graph[str]:
    """The graph of a machine of the catalogue, with what its picture says about it."""
    import topologies
    from topologies.builders import builder_of

    entry = topologies.entry(name)
    graph = builder_of(entry.fabric).graph(entry.fabric)
    path = "fabric.link.bandwidth"
    rates = [entry.fabric.link.bandwidth, *(each.figures[path] for each in entry.hypotheses if path in each.figures)]
    low, high = min(rate.si_low for rate in rates), max(rate.si_high for rate in rates)
    graph.graph.update(title=entry.title, reading=entry.reading, bandwidth_low=low, bandwidth_high=high)
    return graph


def _facts(graph: nx.Graph[str]) -> str:
    """How many of what there are, and how sure the figures of the links are."""
    about = graph.graph
    kinds = Counter(kind for _, kind in marked(graph, "kind"))
    nouns = {"chip": "chip", "cpu": "CPU", "nic": "network port", "switch": "switch chip"}
    counts = ", ".join(counted(kinds[kind], noun) for kind, noun in nouns.items() if kinds[kind])
    links = sum(data["links"] for _, _, data in graph.edges.data())
    first = f"{about.get('name', 'graph')}: {counts}; {links:,} physical links"
    if "bandwidth_low" not in about:
        return first
    low, value, high = (humanise(about[f"bandwidth_{part}"], "B/s") for part in ("low", "value", "high"))
    spread = "" if low == high else f", between {low} and {high}"
    where = " inside a machine" if "machines" in about else ""
    sure = f"link{where} {value} in one direction ({about['bandwidth_kind']}{spread})"
    return f"{first}\n{sure}; its latency is {about['latency_kind']}"


# --- several machines, and anything else ------------------------------------------------------------------------------


def _draw_rails(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Machines below, rails above; where there are many machines, the first and the last of them."""
    machines = graph.graph["machines"]
    own = [data["kind"] for _, data in graph.nodes.items() if data.get("machine") == 0]
    rails: dict[int, Counter[int]] = {}
    for data in graph.nodes.values():
        if data["kind"] == "switch" and "machine" not in data:
            rails.setdefault(data["plane"], Counter())[data["tier"]] += 1
    most = MOST_BOXES // 2
    shown = list(range(machines)) if machines <= most else [*range(most - 2), -1, machines - 1]
    xs, rx = row(range(len(shown)), 0.9, 15.1), row(range(len(rails)), 1.2, 14.8)
    edge = next(data for _, _, data in graph.edges.data() if data["domain"] == "scale_out")
    ports = own.count("nic") // len(rails)
    for (rail, tiers), x in zip(sorted(rails.items()), rx, strict=True):
        colour = plane_colour(rail, len(rails))
        lines(ax, [((m, 2.9), (x, 6.0)) for m, i in zip(xs, shown, strict=True) if i >= 0], colour, 1.1, alpha=0.7)
        box(ax, x - 0.7, 6.0, 1.4, 1.1, face="white", edge=colour)
        spines = f"\n{counted(tiers[2], 'spine')}" if tiers[2] else ""
        text = f"rail {rail}\n{tiers[1]} {'leaf' if tiers[1] == 1 else 'leaves'}{spines}"
        ax.text(x, 6.55, text, ha="center", va="center", fontsize=8.5, zorder=30)
    for index, x in zip(shown, xs, strict=True):
        if index < 0:
            ax.text(x, 2.3, "...", ha="center", va="center", fontsize=18)
            continue
        box(ax, x - 0.5, 1.6, 1.0, 1.3, face="white")
        text = f"machine\n{index}\n{own.count('chip'):,} chips\n{own.count('nic'):,} ports"
        ax.text(x, 2.3, text, ha="center", va="center", fontsize=8, zorder=30)
    line = f"each line: {ports:,} x {rate(edge)}"
    ax.text(8, 4.5, line, ha="center", fontsize=9.5, zorder=40, bbox={"fc": "white", "ec": GREY, "pad": 3})
    return [stroke(GREY, f"network port: {rate(edge)}, coloured by rail")]


def _draw_plain(ax: Axes, graph: nx.Graph[str]) -> list[Line2D]:
    """Any other graph: nodes on a circle by kind."""
    ordered = sorted(graph, key=lambda name: graph.nodes[name]["kind"])
    turn = 2 * math.pi / len(ordered)
    places = {name: (8 + 3.2 * math.cos(i * turn), 4.5 + 3.2 * math.sin(i * turn)) for i, name in enumerate(ordered)}
    lines(ax, [(places[u], places[v]) for u, v in graph.edges], GREY, 0.6, alpha=0.5)
    kinds = sorted({kind for _, kind in marked(graph, "kind")})
    for kind in kinds:
        dots(ax, [places[name] for name in named(graph, kind)], MARKS[kind][1], MARKS[kind][0], 40)
    rates = sorted({rate(data) for _, _, data in graph.edges.data()})
    return [*(mark(kind, kind) for kind in kinds), stroke(GREY, ", ".join(rates[:4]))]


_DRAWERS: dict[str, Callable[[Axes, nx.Graph[str]], list[Line2D]]] = {
    "star-planes": draw_stars,
    "torus": draw_torus,
    "fixed-torus": draw_fixed_torus,
    "full-mesh": draw_full_mesh,
    "meshed-racks": draw_meshed_racks,
    "dragonfly": draw_dragonfly,
    "hamming-mesh": draw_hamming_mesh,
    "pcie-tree": draw_pcie_tree,
    "switched-sleds": draw_switched_sleds,
    "two-tier-planes": draw_planes,
    "leaf-spine": draw_leaves,
    "clos": draw_clos,
    "rail-fat-tree": _draw_rails,
}
