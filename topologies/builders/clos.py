"""Planes of a Clos of two or three tiers with rails and oversubscription; see :mod:`topologies.builders.clos_plane`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.clos_plane import Plane, plane
from topologies.builders.common import edge, mostly_inside, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import Clos


def graph(fabric: Clos, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on the leaf of their rail in every plane, leaves on the spines of their pod, spines on their cores.

    Raises
    ------
    InputError : see :func:`plane`
    """
    draw = draw or Draw()
    tree = plane(fabric)
    rails, pods, groups = fabric.rails, tree.pods, tree.pods * tree.groups
    built = new_graph("clos", _title(fabric), fabric.link)
    per_group = fabric.nodes // groups * fabric.chips_per_node
    chips = [f"chip{i}" for i in range(fabric.nodes * fabric.chips_per_node)]
    for i, chip in enumerate(chips):
        group = i // per_group
        built.add_node(chip, kind="chip", node=i // fabric.chips_per_node, group=group, pod=group // tree.groups)
    rail_of = [i * rails // fabric.chips_per_node for i in range(fabric.chips_per_node)]
    switches: list[tuple[list[str], list[str]]] = []
    for number in range(fabric.planes):
        down, up, core_up = _edges(fabric, tree, draw, number)
        leaves = [f"leaf{number}-{i}" for i in range(groups * rails)]
        spines = [f"spine{number}-{i}" for i in range(pods * tree.spines)]
        cores = [f"core{number}-{i}" for i in range(tree.spines * tree.cores)]
        for i, leaf in enumerate(leaves):
            place = {"group": i // rails, "pod": i // rails // tree.groups, "rail": i % rails}
            built.add_node(leaf, kind="switch", tier=1, plane=number, **place)
        for i, spine in enumerate(spines):
            built.add_node(spine, kind="switch", tier=2, plane=number, pod=i // tree.spines)
        built.add_nodes_from(cores, kind="switch", tier=3, plane=number)
        built.add_edges_from(
            (chip, leaves[i // per_group * rails + rail_of[i % fabric.chips_per_node]], down)
            for i, chip in enumerate(chips)
        )
        for i, leaf in enumerate(leaves):
            first = i // rails // tree.groups * tree.spines
            built.add_edges_from((leaf, spine, up) for spine in spines[first : first + tree.spines])
        for i, spine in enumerate(spines):
            first = i % tree.spines * tree.cores
            built.add_edges_from((spine, core, core_up) for core in cores[first : first + tree.cores])
        switches.append((leaves, spines))
    _declare_cuts(built, chips, switches, groups, pods)
    return built


def _declare_cuts(
    built: nx.Graph[str], chips: list[str], switches: list[tuple[list[str], list[str]]], groups: int, pods: int
) -> None:
    """Half of the chips, alone, with the leaves of the groups and with all of the pods that lie mostly in that half."""
    half = chips[: len(chips) // 2]
    inside = mostly_inside(len(chips), groups)
    leaves = [name for near, _ in switches for name in near[: len(near) // groups * inside]]
    built.graph["cuts"]["half of the chips"] = half
    if groups > 1:
        built.graph["cuts"]["half of the groups"] = half + leaves
    if pods > 1:
        inside = mostly_inside(len(chips), pods)
        near = [name for all_leaves, _ in switches for name in all_leaves[: len(all_leaves) // pods * inside]]
        far = [name for _, spines in switches for name in spines[: len(spines) // pods * inside]]
        built.graph["cuts"]["half of the pods"] = half + near + far


def arrays(fabric: Clos, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays, or the same error."""
    tree, wiring = plane(fabric), Wiring(_title(fabric))
    rails, pods, groups = fabric.rails, tree.pods, tree.pods * tree.groups
    chips = wiring.add("chip", [f"chip{i}" for i in range(fabric.nodes * fabric.chips_per_node)])
    by_rail = chips.reshape(groups, -1, rails, fabric.chips_per_node // rails)
    leaves, spines = [], []
    for number in range(fabric.planes):
        down, up, core_up = _edges(fabric, tree, draw or Draw(), number)
        counts = {"leaf": groups * rails, "spine": pods * tree.spines, "core": tree.spines * tree.cores}
        leaf, spine, core = (
            wiring.add("switch", [f"{name}{number}-{i}" for i in range(count)], tier=tier)
            for tier, (name, count) in enumerate(counts.items(), start=1)
        )
        wiring.join(by_rail, leaf.reshape(groups, 1, rails, 1), down)
        wiring.join(leaf.reshape(pods, -1, 1), spine.reshape(pods, 1, -1), up)
        wiring.join(spine.reshape(pods, -1, 1), core.reshape(tree.spines, -1), core_up)
        leaves.append(leaf)
        spines.append(spine)
    half = half_of(chips)
    wiring.cut("half of the chips", half)
    if groups > 1:
        wiring.cut("half of the groups", half, *(each[: mostly_inside(chips.size, groups) * rails] for each in leaves))
    if pods > 1:
        whole = [each.reshape(pods, -1)[: mostly_inside(chips.size, pods)] for each in (*leaves, *spines)]
        wiring.cut("half of the pods", half, *whole)
    return wiring.fabric()


def _title(fabric: Clos) -> str:
    planes = "1 plane" if fabric.planes == 1 else f"{fabric.planes} planes"
    return f"{fabric.nodes} nodes x {fabric.chips_per_node} chips, {planes} of {fabric.tiers} tiers"


def _edges(fabric: Clos, tree: Plane, draw: Draw, number: int) -> tuple[dict[str, Any], ...]:
    """Attributes of the edges of a plane from chips to leaves, from there to spines, and to cores."""
    down = edge(fabric.link, draw, links=fabric.chip_links, medium="copper", plane=number)
    up = edge(fabric.link, draw, links=tree.up, medium="optic", plane=number)
    return down, up, up | {"links": tree.core_up}


def legal_chips(fabric: Clos) -> tuple[int, ...]:
    """Parts of a rail of one node, whole rails of it, whole nodes of a group, whole groups of a pod, whole pods."""
    return nested_legal(sizes(fabric))


def levels(fabric: Clos, chips: int) -> tuple[Level, ...]:
    """From the chips of a node that share leaves outwards; every tier leaves a chip what its oversubscription says.

    Chips of one rail and group meet in their leaf after 2 edges, other rails and groups in a spine after 4, other pods
    in a core after 6.
    """
    members = nested_members(chips, sizes(fabric), f"nodes of {fabric.chips_per_node} chips on a Clos")
    tree, family = plane(fabric), fabric.link.family
    links = float(fabric.planes * fabric.chip_links)
    spine_links = links * tree.spines * tree.up / tree.down
    core_links = spine_links
    if tree.cores:
        core_links *= tree.cores * tree.core_up / (tree.groups * fabric.rails * tree.up)
    outermost = family if tree.pods == 1 else f"{family}-pod"
    rows = [
        (f"{family}-node", members[0], links, 2),
        (f"{family}-rails", members[1], spine_links, 4),
        (f"{family}-leaf", members[2], links, 2),
        (outermost, members[3], spine_links, 4),
        (family, members[4], core_links, 6),
    ]
    if fabric.rails == 1 and members[2] > 1:
        rows[:3] = [(f"{family}-leaf", members[0] * members[2], links, 2)]
    return tuple(
        Level(name, "switch", size, fabric.link, links=width, hops=hops) for name, size, width, hops in rows if size > 1
    )


def sizes(fabric: Clos) -> tuple[int, ...]:
    """Chips of a node on a rail, rails, nodes of a group, groups of a pod, pods."""
    tree = plane(fabric)
    nodes = fabric.nodes // (tree.pods * tree.groups)
    return fabric.chips_per_node // fabric.rails, fabric.rails, nodes, tree.groups, tree.pods
