"""Parallel stars: every chip reaches every switch chip, so each switch is a plane of its own.

Losing one switch costs its share of the bandwidth, and one flow that is not sprayed sees the links of one plane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, new_graph, not_legal
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import StarPlanes


def graph(fabric: StarPlanes, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on the switches of all planes."""
    draw = draw or Draw()
    built = new_graph("star-planes", _title(fabric), fabric.link)
    chips = [f"chip{i}" for i in range(fabric.chips)]
    built.add_nodes_from((c, {"kind": "chip", "node": i // fabric.chips_per_node}) for i, c in enumerate(chips))
    for plane, links in enumerate(fabric.links):
        switch = f"switch{plane}"
        attributes = edge(fabric.link, draw, links=links, medium="copper", plane=plane)
        built.add_node(switch, kind="switch", tier=1, plane=plane)
        built.add_edges_from((chip, switch, attributes) for chip in chips)
    built.graph["cuts"]["half of the chips"] = chips[: fabric.chips // 2]
    return built


def arrays(fabric: StarPlanes, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    draw = draw or Draw()
    wiring = Wiring(_title(fabric))
    chips = wiring.add("chip", [f"chip{i}" for i in range(fabric.chips)])
    switches = wiring.add("switch", [f"switch{plane}" for plane in range(len(fabric.links))], tier=1)
    for plane, links in enumerate(fabric.links):
        wiring.join(chips, switches[plane], edge(fabric.link, draw, links=links, medium="copper", plane=plane))
    wiring.cut("half of the chips", half_of(chips))
    return wiring.fabric()


def _title(fabric: StarPlanes) -> str:
    return f"{fabric.chips} chips on {len(fabric.links)} switch planes"


def legal_chips(fabric: StarPlanes) -> tuple[int, ...]:
    """Any number of chips: the switches join all of them alike."""
    return tuple(range(1, fabric.chips + 1))


def levels(fabric: StarPlanes, chips: int) -> tuple[Level, ...]:
    """One switch level that uses every plane; none for a single chip."""
    if not 1 <= chips <= fabric.chips:
        raise not_legal(chips, legal_chips(fabric), f"{fabric.chips} chips on switches")
    if chips == 1:
        return ()
    return (Level(fabric.link.family, "switch", chips, fabric.link, links=sum(fabric.links), hops=2),)
