"""Groups of chips on leaf switches under spine switches, which may carry less than the chips send."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.clos_plane import ratios
from topologies.builders.common import edge, mostly_inside, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import LeafSpine


def graph(fabric: LeafSpine, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on every leaf of their group, every leaf on every spine.

    A leaf has as much bandwidth up as down, divided by the oversubscription. Where its chips do not divide by the
    spines, the links up are the largest equal parts of a chip's link that do: 40 chips under 16 spines need 2.5 links
    to each, which is five halves. Where less than one is needed, it is one narrower link.
    """
    draw = draw or Draw()
    built = new_graph("leaf-spine", _title(fabric), fabric.link)
    per_group = fabric.chips_per_group
    spines = [f"spine{i}" for i in range(fabric.spines)]
    built.add_nodes_from((s, {"kind": "switch", "tier": 2, "plane": i}) for i, s in enumerate(spines))
    near: list[list[str]] = []
    chips_in_order: list[str] = []
    downs, ups = _edges(fabric, draw)
    for group in range(fabric.groups):
        first = group * per_group
        chips = [f"chip{first + i}" for i in range(per_group)]
        leaves = [f"leaf{group}-{leaf}" for leaf in range(fabric.leaves)]
        built.add_nodes_from(
            (c, {"kind": "chip", "node": (first + i) // fabric.chips_per_node, "group": group})
            for i, c in enumerate(chips)
        )
        built.add_nodes_from(
            (name, {"kind": "switch", "tier": 1, "plane": plane, "group": group}) for plane, name in enumerate(leaves)
        )
        for down, up, leaf in zip(downs, ups, leaves, strict=True):
            built.add_edges_from((chip, leaf, down) for chip in chips)
            built.add_edges_from((leaf, spine, up) for spine in spines)
        near.append(leaves)
        chips_in_order += chips
    half = chips_in_order[: len(chips_in_order) // 2]
    built.graph["cuts"]["half of the chips"] = half
    if fabric.groups > 1:
        inside = mostly_inside(len(chips_in_order), fabric.groups)
        built.graph["cuts"]["half of the groups"] = [*half, *itertools.chain.from_iterable(near[:inside])]
    return built


def arrays(fabric: LeafSpine, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    wiring = Wiring(_title(fabric))
    groups, planes = range(fabric.groups), range(fabric.leaves)
    spines = wiring.add("switch", [f"spine{i}" for i in range(fabric.spines)], tier=2)
    chips, leaves = wiring.add_units(
        fabric.groups,
        ("chip", 0, [f"chip{i}" for i in range(fabric.groups * fabric.chips_per_group)]),
        ("switch", 1, [f"leaf{group}-{leaf}" for group in groups for leaf in planes]),
    )
    for leaf, (down, up) in enumerate(zip(*_edges(fabric, draw or Draw()), strict=True)):
        wiring.join(chips, leaves[:, leaf, None], down)
        wiring.join(leaves[:, leaf, None], spines, up)
    half = half_of(chips)
    wiring.cut("half of the chips", half)
    if fabric.groups > 1:
        wiring.cut("half of the groups", half, leaves[: mostly_inside(chips.size, fabric.groups)])
    return wiring.fabric()


def _title(fabric: LeafSpine) -> str:
    return f"{fabric.groups} groups x {fabric.chips_per_group} chips, leaves and spines"


def _edges(fabric: LeafSpine, draw: Draw) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Attributes of the links of each leaf of a group, down to its chips and up to the spines."""
    ratio = Fraction(fabric.chips_per_group, fabric.spines) / ratios([fabric.oversubscription])[0]
    links = ratio.numerator if ratio > 1 else 1
    share = fabric.chips_per_group / fabric.spines / fabric.oversubscription / links
    planes = range(fabric.leaves)
    return (
        [edge(fabric.link, draw, medium="pcb", plane=plane) for plane in planes],
        [edge(fabric.link, draw, medium="copper", plane=plane, links=links, share=share) for plane in planes],
    )


def sizes(fabric: LeafSpine) -> tuple[int, ...]:
    """Chips of a group, groups [1]."""
    return fabric.chips_per_group, fabric.groups


def legal_chips(fabric: LeafSpine) -> tuple[int, ...]:
    """Any number of chips of one group, then whole groups."""
    return nested_legal(sizes(fabric))


def levels(fabric: LeafSpine, chips: int) -> tuple[Level, ...]:
    """The leaves of a group, then the spines between groups, which have what the oversubscription leaves a chip."""
    inside, groups = nested_members(chips, sizes(fabric), f"groups of {fabric.chips_per_group} chips")
    family = fabric.link.family
    found = []
    if inside > 1:
        found.append(Level(f"{family}-group", "switch", inside, fabric.link, links=fabric.leaves, hops=2))
    if groups > 1:
        links = fabric.leaves / fabric.oversubscription
        found.append(Level(family, "switch", groups, fabric.link, links=links, hops=4))
    return tuple(found)
