"""Dragonflies: full meshes of chips in nodes, of nodes in groups, and of groups, by direct links.

After Kim, Dally, Scott and Abts, ISCA 2008, with a node in the place of a router.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, nested_legal, nested_members, new_graph

if TYPE_CHECKING:
    import networkx as nx

    from topologies.fabrics import Dragonfly


def graph(fabric: Dragonfly, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips of a node joined to each other; links between nodes, and between groups, spread evenly over their chips.

    The links of a node to the others of its group go from its chips by turns, those of a group from its nodes by turns
    and from the chips of each by turns.
    """
    draw = draw or Draw()
    inside, nodes, groups = fabric.chips_per_node, fabric.nodes, fabric.groups
    size = inside * nodes
    title = f"dragonfly of {groups} groups of {nodes} nodes of {inside} chips"
    built = new_graph("dragonfly", title, fabric.link)
    chips = [f"chip{i}" for i in range(size * groups)]
    built.add_nodes_from((c, {"kind": "chip", "node": i // inside, "group": i // size}) for i, c in enumerate(chips))
    media = ("pcb", "copper", "optic")
    pcb, local, far = (edge(fabric.link, draw, medium=medium, plane=i) for i, medium in enumerate(media))
    for node in range(nodes * groups):
        members = chips[node * inside : (node + 1) * inside]
        built.add_edges_from((a, b, pcb) for a, b in itertools.combinations(members, 2))

    def join(one: str, other: str, attributes: dict[str, object]) -> None:
        links = built.edges[one, other]["links"] + 1 if built.has_edge(one, other) else 1
        built.add_edge(one, other, **{**attributes, "links": links})

    for group in range(groups):
        for one, other, slot, back in _slots(nodes, fabric.local_links):
            first, second = (group * nodes + node for node in (one, other))
            join(chips[first * inside + slot % inside], chips[second * inside + back % inside], local)
    for one, other, slot, back in _slots(groups, fabric.global_links):
        ends = ((one, slot), (other, back))
        a, b = (chips[group * size + at % nodes * inside + at // nodes % inside] for group, at in ends)
        join(a, b, far)
    built.graph["vertex_transitive"] = nodes == groups == 1
    built.graph["cuts"]["half of the chips"] = chips[: len(chips) // 2]
    for unit, name in ((inside, "every node"), (size, "every group")):
        if unit % 2 == 0:
            built.graph["cuts"][f"half of {name}"] = [c for i, c in enumerate(chips) if i % unit < unit // 2]
    return built


def _slots(members: int, links: int) -> Iterator[tuple[int, int, int, int]]:
    """Every link of a full mesh: its two members, and which of its member's outgoing links it is at either end."""
    last = (members - 1) * links - 1
    for one, other in itertools.combinations(range(members), 2):
        for link in range(links):
            slot = (other - one - 1) * links + link
            yield one, other, slot, last - slot


def legal_chips(fabric: Dragonfly) -> tuple[int, ...]:
    """Any number of chips of one node, then whole nodes, then whole groups."""
    return nested_legal((fabric.chips_per_node, fabric.nodes, fabric.groups))


def levels(fabric: Dragonfly, chips: int) -> tuple[Level, ...]:
    """Three meshes: the chips of a node, the nodes of a group, the groups.

    All chips of a node share its links to another node, and all of a group those to another group. Hops are those of
    the longest shortest way there may be: inside the node to the chip that has the link, over it, and inside again;
    conservative where a chip has a link of its own.
    """
    sizes = (fabric.chips_per_node, fabric.nodes, fabric.groups)
    inside, nodes, groups = nested_members(chips, sizes, f"nodes of {fabric.chips_per_node} chips")
    family, link = fabric.link.family, fabric.link
    in_node = min(1, inside - 1)
    in_group = 1 + 2 * in_node if nodes > 1 else in_node
    found = []
    if inside > 1:
        found.append(Level(f"{family}-node", "mesh", inside, link, links=1, hops=1))
    if nodes > 1:
        found.append(Level(f"{family}-group", "mesh", nodes, link, links=fabric.local_links / inside, hops=in_group))
    if groups > 1:
        share = fabric.global_links / math.prod((inside, nodes))
        found.append(Level(family, "mesh", groups, link, links=share, hops=1 + 2 * in_group))
    return tuple(found)
