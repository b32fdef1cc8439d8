"""Parts of a machine that are a machine again: the fabric of the first chips of one, in whole units where it has some.

Fabrics that are told by counts have such parts, in just the sizes that their levels know. Tori have shapes instead
(:mod:`topologies.builders.slices`). A part of a Clos is not a Clos that fills its switches, and a fabric that is listed
edge by edge has no parts that anyone named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.errors import InputError
from topologies.builders import dragonfly, hamming_mesh, meshed_racks, pcie_tree, switched_sleds
from topologies.builders.common import nested_members
from topologies.fabrics import (
    Dragonfly,
    FullMesh,
    HammingMesh,
    LeafSpine,
    MeshedRacks,
    PcieTree,
    StarPlanes,
    SwitchedSleds,
    TwoTierPlanes,
    tag_of,
)

if TYPE_CHECKING:
    from topologies.fabrics import MachineFabric

_with = msgspec.structs.replace


def part_of(fabric: MachineFabric, chips: int) -> MachineFabric:
    """The fabric of a part of ``chips`` chips, a legal number of them; itself where that is all of them.

    Raises
    ------
    InputError : a kind of fabric without parts
    """
    tag = tag_of(fabric)
    if tag not in PARTS:
        raise InputError(
            f"{chips} chips of a fabric of kind {tag} have no graph of their own",
            remedy="ask for the whole machine; levels of any legal number of chips can still be priced",
        )
    return PARTS[tag](fabric, chips)


def _star(fabric: StarPlanes, chips: int) -> StarPlanes:
    return _with(fabric, chips=chips)


def _full_mesh(fabric: FullMesh, chips: int) -> FullMesh:
    return _with(fabric, chips=chips)


def _leaf_spine(fabric: LeafSpine, chips: int) -> LeafSpine | StarPlanes:
    """Whole groups; up to one group, its leaves alone."""
    if chips > fabric.chips_per_group:
        return _with(fabric, groups=chips // fabric.chips_per_group)
    links = (1,) * fabric.leaves
    return StarPlanes(chips=chips, chips_per_node=fabric.chips_per_node, links=links, link=fabric.link)


def _two_tier(fabric: TwoTierPlanes, chips: int) -> TwoTierPlanes | StarPlanes:
    """Whole nodes; up to one node, its first-tier switches alone."""
    if chips > fabric.chips_per_node:
        return _with(fabric, nodes=chips // fabric.chips_per_node)
    links = (fabric.chip_links,) * fabric.planes
    return StarPlanes(chips=chips, chips_per_node=fabric.chips_per_node, links=links, link=fabric.link)


def _meshed_racks(fabric: MeshedRacks, chips: int) -> MeshedRacks:
    *dims, racks = nested_members(chips, meshed_racks.sizes(fabric), "racks")
    return _with(fabric, dims=tuple(dims), racks=racks)


def _dragonfly(fabric: Dragonfly, chips: int) -> Dragonfly:
    inside, nodes, groups = nested_members(chips, dragonfly.sizes(fabric), "nodes")
    return _with(fabric, chips_per_node=inside, nodes=nodes, groups=groups)


def _pcie_tree(fabric: PcieTree, chips: int) -> PcieTree:
    inside, switches, hosts = nested_members(chips, pcie_tree.sizes(fabric), "switches")
    return _with(fabric, chips_per_switch=inside, switches=switches, hosts=hosts)


def _hamming_mesh(fabric: HammingMesh, chips: int) -> HammingMesh:
    """A rectangle of boards, which the switches join as they would the whole."""
    if chips == 1:
        return _with(fabric, board=(1, 1), boards=(1, 1))
    return _with(fabric, boards=hamming_mesh.boards_of(fabric, chips))


def _sleds(fabric: SwitchedSleds, chips: int) -> SwitchedSleds | StarPlanes:
    """Whole racks, or sleds of one; up to one sled, its switch alone."""
    if chips <= fabric.chips_per_sled:
        links = (fabric.sled_links,)
        return StarPlanes(chips=chips, chips_per_node=fabric.chips_per_sled, links=links, link=fabric.link)
    _, sleds, racks = nested_members(chips, switched_sleds.sizes(fabric), "sleds")
    return _with(fabric, sleds_per_rack=sleds, racks=racks, twin_links=fabric.twin_links if racks > 1 else 0)


PARTS: dict[str, Callable[[Any, int], MachineFabric]] = {
    "star-planes": _star,
    "full-mesh": _full_mesh,
    "leaf-spine": _leaf_spine,
    "two-tier-planes": _two_tier,
    "meshed-racks": _meshed_racks,
    "dragonfly": _dragonfly,
    "pcie-tree": _pcie_tree,
    "hamming-mesh": _hamming_mesh,
    "switched-sleds": _sleds,
}
"""Tag of the fabric struct -> the fabric of a part with a legal number of chips."""
