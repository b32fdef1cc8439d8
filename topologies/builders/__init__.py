"""Builders: from the ``[fabric]`` table of a machine to its graph, its arrays, its levels and its slices.

Adding a topology: a strict struct in ``topologies.fabrics``, one module here, one line in :data:`BUILDERS`.
``networkx`` is imported inside the functions that make graphs, so that all else costs nothing to ask for.
"""

from __future__ import annotations

from simulator.errors import unknown_name
from topologies.builders import (
    clos,
    dragonfly,
    edge_list,
    fixed_torus,
    full_mesh,
    hamming_mesh,
    leaf_spine,
    meshed_racks,
    pcie_tree,
    rail_fat_tree,
    star_planes,
    switched_sleds,
    torus,
    two_tier_planes,
)
from topologies.builders.common import Builder, NetworkBuilder
from topologies.builders.lattice import AXES, Lattice, Shape, grid, lattice_graph, written
from topologies.builders.optical_cubes import (
    CubeFaces,
    circuits_of,
    cube_faces,
    reconfiguration_s,
    rewire,
    slice_of_cubes,
)
from topologies.builders.parts import PARTS, part_of
from topologies.builders.rail_fat_tree import join, reaches
from topologies.builders.slices import (
    LegalSlice,
    arrays_of,
    graph_of,
    legal_slice,
    legal_slice_of_chips,
    legal_slices,
    levels_of_shape,
)
from topologies.builders.torus import check_twist, shapes, slice_graph, twist_of, twistable, twisted, twisted_arrays
from topologies.fabrics import MachineFabric, NetworkFabric, tag_of

BUILDERS: dict[str, Builder] = {
    "torus": Builder(torus.graph, torus.arrays, torus.levels, torus.legal_chips),
    "star-planes": Builder(star_planes.graph, star_planes.arrays, star_planes.levels, star_planes.legal_chips),
    "two-tier-planes": Builder(
        two_tier_planes.graph, two_tier_planes.arrays, two_tier_planes.levels, two_tier_planes.legal_chips
    ),
    "leaf-spine": Builder(leaf_spine.graph, leaf_spine.arrays, leaf_spine.levels, leaf_spine.legal_chips),
    "clos": Builder(clos.graph, clos.arrays, clos.levels, clos.legal_chips),
    "fixed-torus": Builder(fixed_torus.graph, fixed_torus.arrays, fixed_torus.levels, fixed_torus.legal_chips),
    "full-mesh": Builder(full_mesh.graph, full_mesh.arrays, full_mesh.levels, full_mesh.legal_chips),
    "meshed-racks": Builder(meshed_racks.graph, meshed_racks.arrays, meshed_racks.levels, meshed_racks.legal_chips),
    "dragonfly": Builder(dragonfly.graph, dragonfly.arrays, dragonfly.levels, dragonfly.legal_chips),
    "pcie-tree": Builder(pcie_tree.graph, pcie_tree.arrays, pcie_tree.levels, pcie_tree.legal_chips),
    "hamming-mesh": Builder(hamming_mesh.graph, hamming_mesh.arrays, hamming_mesh.levels, hamming_mesh.legal_chips),
    "switched-sleds": Builder(
        switched_sleds.graph, switched_sleds.arrays, switched_sleds.levels, switched_sleds.legal_chips
    ),
    "edge-list": Builder(edge_list.graph, edge_list.arrays, edge_list.levels, edge_list.legal_chips),
}
"""Tag of the fabric struct -> how a machine of that kind is wired and cut."""

NETWORK_BUILDERS: dict[str, NetworkBuilder] = {
    "rail-fat-tree": NetworkBuilder(rail_fat_tree.reaches, rail_fat_tree.join, rail_fat_tree.join_arrays),
}
"""Tag of the fabric struct -> how a network of that kind joins several machines."""


def builder_of(fabric: MachineFabric) -> Builder:
    """The builder of a machine's fabric."""
    return BUILDERS[_known(fabric, BUILDERS)]


def network_builder_of(fabric: NetworkFabric) -> NetworkBuilder:
    """The builder of a network's fabric."""
    return NETWORK_BUILDERS[_known(fabric, NETWORK_BUILDERS)]


def _known(fabric: MachineFabric | NetworkFabric, known: dict[str, Builder] | dict[str, NetworkBuilder]) -> str:
    tag = tag_of(fabric)
    if tag not in known:
        raise unknown_name("builder", tag, known)
    return tag


__all__ = [
    "AXES",
    "BUILDERS",
    "NETWORK_BUILDERS",
    "PARTS",
    "Builder",
    "CubeFaces",
    "Lattice",
    "LegalSlice",
    "NetworkBuilder",
    "Shape",
    "arrays_of",
    "builder_of",
    "check_twist",
    "circuits_of",
    "cube_faces",
    "graph_of",
    "grid",
    "join",
    "lattice_graph",
    "legal_slice",
    "legal_slice_of_chips",
    "legal_slices",
    "levels_of_shape",
    "network_builder_of",
    "part_of",
    "reaches",
    "reconfiguration_s",
    "rewire",
    "shapes",
    "slice_graph",
    "slice_of_cubes",
    "twist_of",
    "twistable",
    "twisted",
    "twisted_arrays",
    "written",
]
