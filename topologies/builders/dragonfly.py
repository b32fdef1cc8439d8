"""Dragonflies: full meshes of chips in nodes, of nodes in groups, and of groups, by direct links.

After Kim, Dally, Scott and Abts, ISCA 2008, with a node in the place of a router.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import add_links, edge, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of, pairs

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.builders.wiring import Numbers
    from topologies.fabrics import Dragonfly


def graph(fabric: Dragonfly, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips of a node joined to each other; links between nodes, and between groups, spread evenly over their chips.

    The links of a node to the others of its group go from its chips by turns, those of a group from its nodes by turns
    and from the chips of each by turns.
    """
    draw = draw or Draw()
    inside, nodes, groups = fabric.chips_per_node, fabric.nodes, fabric.groups
    size = inside * nodes
    built = new_graph("dragonfly", _title(fabric), fabric.link)
    chips = [f"chip{i}" for i in range(size * groups)]
    built.add_nodes_from((c, {"kind": "chip", "node": i // inside, "group": i // size}) for i, c in enumerate(chips))
    pcb, local, far = _edges(fabric, draw)
    for node in range(nodes * groups):
        members = chips[node * inside : (node + 1) * inside]
        built.add_edges_from((a, b, pcb) for a, b in itertools.combinations(members, 2))

    for group in range(groups):
        for one, other, slot, back in _rows(nodes, fabric.local_links):
            first, second = (group * nodes + node for node in (one, other))
            add_links(built, chips[first * inside + slot % inside], chips[second * inside + back % inside], local)
    for one, other, slot, back in _rows(groups, fabric.global_links):
        ends = ((one, slot), (other, back))
        a, b = (chips[group * size + at % nodes * inside + at // nodes % inside] for group, at in ends)
        add_links(built, a, b, far)
    built.graph["vertex_transitive"] = nodes == groups == 1
    built.graph["cuts"]["half of the chips"] = chips[: len(chips) // 2]
    for unit, name in ((inside, "every node"), (size, "every group")):
        if unit % 2 == 0:
            built.graph["cuts"][f"half of {name}"] = [c for i, c in enumerate(chips) if i % unit < unit // 2]
    return built


def arrays(fabric: Dragonfly, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    inside, nodes, groups = fabric.chips_per_node, fabric.nodes, fabric.groups
    wiring = Wiring(_title(fabric))
    chips = wiring.add("chip", [f"chip{i}" for i in range(inside * nodes * groups)]).reshape(groups, nodes, inside)
    pcb, local, far = _edges(fabric, draw or Draw())
    lower, higher = pairs(inside)
    wiring.join(chips[..., lower], chips[..., higher], pcb)
    one, other, slot, back = _slots(nodes, fabric.local_links)
    ends = np.array((one * inside + slot % inside, other * inside + back % inside))
    (first, second), links = np.unique(ends, axis=1, return_counts=True)
    in_group = chips.reshape(groups, -1)
    wiring.join(in_group[:, first], in_group[:, second], local, np.tile(links, groups))
    one, other, slot, back = _slots(groups, fabric.global_links)
    out = [chips[group, at % nodes, at // nodes % inside] for group, at in ((one, slot), (other, back))]
    (first, second), links = np.unique(np.array(out), axis=1, return_counts=True)
    wiring.join(first, second, far, links)
    wiring.cut("half of the chips", half_of(chips))
    if inside % 2 == 0:
        wiring.cut("half of every node", chips[..., : inside // 2])
    if inside * nodes % 2 == 0:
        wiring.cut("half of every group", in_group[:, : inside * nodes // 2])
    return wiring.fabric(is_vertex_transitive=nodes == groups == 1)


def _title(fabric: Dragonfly) -> str:
    return f"dragonfly of {fabric.groups} groups of {fabric.nodes} nodes of {fabric.chips_per_node} chips"


def _edges(fabric: Dragonfly, draw: Draw) -> tuple[dict[str, Any], ...]:
    """Attributes of the edges inside a node, inside a group and between groups."""
    media = ("pcb", "copper", "optic")
    return tuple(edge(fabric.link, draw, medium=medium, plane=i) for i, medium in enumerate(media))


def _slots(members: int, links: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Every link of a full mesh: its two members, and which of its member's outgoing links it is at either end.

    The links of two members are counted alike at both ends, so that where all chips have one they join equal places.
    """
    one, other = (np.repeat(ends, links) for ends in pairs(members))
    at = np.arange(len(one)) % links
    return one, other, (other - one - 1) * links + at, (members - 1 - (other - one)) * links + at


def _rows(members: int, links: int) -> Iterator[list[int]]:
    """The links of :func:`_slots` one by one."""
    yield from np.transpose(_slots(members, links)).tolist()


def sizes(fabric: Dragonfly) -> tuple[int, ...]:
    """Chips of a node, nodes of a group, groups [1]."""
    return fabric.chips_per_node, fabric.nodes, fabric.groups


def legal_chips(fabric: Dragonfly) -> tuple[int, ...]:
    """Any number of chips of one node, then whole nodes, then whole groups."""
    return nested_legal(sizes(fabric))


def levels(fabric: Dragonfly, chips: int) -> tuple[Level, ...]:
    """Three meshes: the chips of a node, the nodes of a group, the groups.

    All chips of a node share its links to another node, and all of a group those to another group. Where all have
    equally many, these join equal places, in one hop. Hops are else those of the longest shortest way there may be:
    inside the node to the chip that has the link, over it, and inside again.
    """
    inside, nodes, groups = nested_members(chips, sizes(fabric), f"nodes of {fabric.chips_per_node} chips")
    family, link = fabric.link.family, fabric.link
    in_node = min(1, inside - 1)
    to_node = 1 if fabric.local_links % inside == 0 else 1 + 2 * in_node
    in_group = to_node if nodes > 1 else in_node
    to_group = 1 if fabric.global_links % (inside * nodes) == 0 else 1 + 2 * in_group
    found = []
    if inside > 1:
        found.append(Level(f"{family}-node", "mesh", inside, link, links=1, hops=1))
    if nodes > 1:
        found.append(Level(f"{family}-group", "mesh", nodes, link, links=fabric.local_links / inside, hops=to_node))
    if groups > 1:
        share = fabric.global_links / math.prod((inside, nodes))
        found.append(Level(family, "mesh", groups, link, links=share, hops=to_group))
    return tuple(found)
