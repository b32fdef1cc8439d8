"""Planes of a two-tier Clos: in each, one first-tier switch a node under the second-tier switches of the plane."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, mostly_inside, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import TwoTierPlanes


def graph(fabric: TwoTierPlanes, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips and CPUs on their node's switches (tier 1), these on the switches of their plane (tier 2)."""
    draw = draw or Draw()
    nodes, planes, spines = range(fabric.nodes), range(fabric.planes), range(fabric.spines)
    built = new_graph("two-tier-planes", _title(fabric), fabric.link)
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
        down, cpu, up = _edges(fabric, draw, plane)
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


def arrays(fabric: TwoTierPlanes, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    draw = draw or Draw()
    wiring = Wiring(_title(fabric))
    nodes, planes = range(fabric.nodes), range(fabric.planes)
    chips, cpus, leaves = wiring.add_units(
        fabric.nodes,
        ("chip", 0, [f"chip{i}" for i in range(fabric.nodes * fabric.chips_per_node)]),
        ("cpu", 0, [f"cpu{i}" for i in range(fabric.nodes * fabric.cpus_per_node)]),
        ("switch", 1, [f"leaf{node}-{plane}" for node in nodes for plane in planes]),
    )
    for plane in planes:
        spines = wiring.add("switch", [f"spine{plane}-{i}" for i in range(fabric.spines)], tier=2)
        down, cpu, up = _edges(fabric, draw, plane)
        leaf = leaves[:, plane, None]
        wiring.join(chips, leaf, down)
        wiring.join(cpus, leaf, cpu)
        wiring.join(leaf, spines, up)
    half, inside = half_of(chips), mostly_inside(chips.size, fabric.nodes)
    wiring.cut("half of the chips", half)
    if fabric.nodes > 1:
        wiring.cut("half of the nodes", half, cpus[:inside], leaves[:inside])
    return wiring.fabric()


def _title(fabric: TwoTierPlanes) -> str:
    return f"{fabric.nodes} nodes x {fabric.chips_per_node} chips on {fabric.planes} two-tier planes"


def _edges(fabric: TwoTierPlanes, draw: Draw, plane: int) -> tuple[dict[str, Any], ...]:
    """Attributes of the edges of a plane from a chip and from a CPU to the switch of the node, and from there up."""
    down = edge(fabric.link, draw, links=fabric.chip_links, medium="pcb", plane=plane)
    cpu = down | {"links": 1, "bandwidth_bytes_per_s": draw(fabric.cpu_bandwidth) / fabric.planes}
    return down, cpu, edge(fabric.link, draw, medium="optic", plane=plane)


def sizes(fabric: TwoTierPlanes) -> tuple[int, ...]:
    """Chips of a node, nodes [1]."""
    return fabric.chips_per_node, fabric.nodes


def legal_chips(fabric: TwoTierPlanes) -> tuple[int, ...]:
    """Any number of chips of one node, then whole nodes."""
    return nested_legal(sizes(fabric))


def levels(fabric: TwoTierPlanes, chips: int) -> tuple[Level, ...]:
    """The switches of a node, then those between nodes; the outer level has what the second-tier links leave a chip."""
    inside, nodes = nested_members(chips, sizes(fabric), f"nodes of {fabric.chips_per_node} chips")
    family, links = fabric.link.family, fabric.planes * fabric.chip_links
    down, up = fabric.chips_per_node * fabric.chip_links, fabric.spines
    found = []
    if inside > 1:
        found.append(Level(f"{family}-node", "switch", inside, fabric.link, links=links, hops=2))
    if nodes > 1:
        found.append(Level(family, "switch", nodes, fabric.link, links=links * min(1.0, up / down), hops=4))
    return tuple(found)
