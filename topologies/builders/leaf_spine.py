"""Groups of chips on leaf switches under spine switches, which may carry less than the chips send."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.clos import mostly_inside
from topologies.builders.common import edge, new_graph, not_legal

if TYPE_CHECKING:
    import networkx as nx

    from topologies.fabrics import LeafSpine

_PARTS = 64


def graph(fabric: LeafSpine, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on every leaf of their group, every leaf on every spine.

    A leaf has as much bandwidth up as down, divided by the oversubscription. Where its chips do not divide by the
    spines, the links up are the largest equal parts of a chip's link that do: 40 chips under 16 spines need 2.5 links
    to each, which is five halves. Where less than one is needed, it is one narrower link.
    """
    draw = draw or Draw()
    title = f"{fabric.groups} groups x {fabric.chips_per_group} chips, leaves and spines"
    built = new_graph("leaf-spine", title, fabric.link)
    per_group = fabric.chips_per_group
    ratio = Fraction(per_group, fabric.spines) / Fraction(fabric.oversubscription).limit_denominator(_PARTS)
    up_links = ratio.numerator if ratio > 1 else 1
    up_share = per_group / fabric.spines / fabric.oversubscription / up_links
    spines = [f"spine{i}" for i in range(fabric.spines)]
    built.add_nodes_from((s, {"kind": "switch", "tier": 2, "plane": i}) for i, s in enumerate(spines))
    near: list[list[str]] = []
    chips_in_order: list[str] = []
    downs = [edge(fabric.link, draw, medium="pcb", plane=leaf) for leaf in range(fabric.leaves)]
    ups = [
        edge(fabric.link, draw, medium="copper", plane=leaf, links=up_links, share=up_share)
        for leaf in range(fabric.leaves)
    ]
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


def legal_chips(fabric: LeafSpine) -> tuple[int, ...]:
    """Any number of chips of one group, then whole groups."""
    per_group = fabric.chips_per_group
    return (*range(1, per_group), *(per_group * n for n in range(1, fabric.groups + 1)))


def levels(fabric: LeafSpine, chips: int) -> tuple[Level, ...]:
    """The leaves of a group, then the spines between groups, which have what the oversubscription leaves a chip."""
    groups, rest = divmod(chips, fabric.chips_per_group)
    if not 1 <= chips <= fabric.groups * fabric.chips_per_group or (groups > 0 and rest > 0):
        raise not_legal(chips, legal_chips(fabric), f"groups of {fabric.chips_per_group} chips")
    if chips == 1:
        return ()
    family = fabric.link.family
    group_size = min(chips, fabric.chips_per_group)
    found = []
    if group_size > 1:
        found.append(Level(f"{family}-group", "switch", group_size, fabric.link, links=fabric.leaves, hops=2))
    if groups > 1:
        links = fabric.leaves / fabric.oversubscription
        found.append(Level(family, "switch", groups, fabric.link, links=links, hops=4))
    return tuple(found)
