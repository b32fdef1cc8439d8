"""Planes of a two-tier Clos: in each, one first-tier switch a node under the second-tier switches of the plane."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.clos import mostly_inside
from topologies.builders.common import edge, new_graph, not_legal

if TYPE_CHECKING:
    import networkx as nx

    from topologies.fabrics import TwoTierPlanes


def graph(fabric: TwoTierPlanes, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips and CPUs on their node's switches (tier 1), these on the switches of their plane (tier 2)."""
    draw = draw or Draw()
    nodes, planes, spines = range(fabric.nodes), range(fabric.planes), range(fabric.spines)
    title = f"{fabric.nodes} nodes x {fabric.chips_per_node} chips on {fabric.planes} two-tier planes"
    built = new_graph("two-tier-planes", title, fabric.link)
    inside: list[list[str]] = []
    for node in nodes:
        place = {"node": node, "rack": node // fabric.nodes_per_rack}
        chips = [f"chip{node * fabric.chips_per_node + i}" for i in range(fabric.chips_per_node)]
        cpus = [f"cpu{node * fabric.cpus_per_node + i}" for i in range(fabric.cpus_per_node)]
        leaves = [f"leaf{node}-{plane}" for plane in planes]
        built.add_nodes_from(chips, kind="chip", **place)
        built.add_nodes_from(cpus, kind="cpu", **place)
        built.add_nodes_from(
            (leaf, {"kind": "switch", "tier": 1, "plane": p, **place}) for p, leaf in enumerate(leaves)
        )
        inside.append([*chips, *cpus, *leaves])
    for plane in planes:
        down = edge(fabric.link, draw, links=fabric.chip_links, medium="pcb", plane=plane)
        cpu = down | {"links": 1, "bandwidth_bytes_per_s": draw(fabric.cpu_bandwidth) / fabric.planes}
        up = edge(fabric.link, draw, medium="optic", plane=plane)
        tops = [f"spine{plane}-{spine}" for spine in spines]
        racks = math.ceil(fabric.nodes / fabric.nodes_per_rack)
        built.add_nodes_from(
            (
                top,
                {"kind": "switch", "tier": 2, "plane": plane, "rack": racks + i * fabric.spine_racks // fabric.spines},
            )
            for i, top in enumerate(tops)
        )
        for node in nodes:
            leaf = f"leaf{node}-{plane}"
            own = inside[node][: fabric.chips_per_node + fabric.cpus_per_node]
            built.add_edges_from((name, leaf, down) for name in own[: fabric.chips_per_node])
            built.add_edges_from((name, leaf, cpu) for name in own[fabric.chips_per_node :])
            built.add_edges_from((leaf, top, up) for top in tops)
    chips_in_order = list(itertools.chain.from_iterable(names[: fabric.chips_per_node] for names in inside))
    half = chips_in_order[: len(chips_in_order) // 2]
    built.graph["cuts"]["half of the chips"] = half
    if fabric.nodes > 1:
        others = (
            names[fabric.chips_per_node :] for names in inside[: mostly_inside(len(chips_in_order), fabric.nodes)]
        )
        built.graph["cuts"]["half of the nodes"] = [*half, *itertools.chain.from_iterable(others)]
    return built


def legal_chips(fabric: TwoTierPlanes) -> tuple[int, ...]:
    """Any number of chips of one node, then whole nodes."""
    per_node = fabric.chips_per_node
    return (*range(1, per_node), *(per_node * n for n in range(1, fabric.nodes + 1)))


def levels(fabric: TwoTierPlanes, chips: int) -> tuple[Level, ...]:
    """The switches of a node, then those between nodes; the outer level has what the second-tier links leave a chip."""
    nodes, rest = divmod(chips, fabric.chips_per_node)
    if not 1 <= chips <= fabric.nodes * fabric.chips_per_node or (nodes > 0 and rest > 0):
        raise not_legal(chips, legal_chips(fabric), f"nodes of {fabric.chips_per_node} chips")
    if chips == 1:
        return ()
    family, links = fabric.link.family, fabric.planes * fabric.chip_links
    node_size = min(chips, fabric.chips_per_node)
    down, up = fabric.chips_per_node * fabric.chip_links, fabric.spines
    found = []
    if node_size > 1:
        found.append(Level(f"{family}-node", "switch", node_size, fabric.link, links=links, hops=2))
    if nodes > 1:
        found.append(Level(family, "switch", nodes, fabric.link, links=links * min(1.0, up / down), hops=4))
    return tuple(found)
