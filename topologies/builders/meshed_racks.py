"""Racks whose chips form an n-dimensional full mesh, under planes of two switch tiers (UB-Mesh, Atlas 950)."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, nested_legal, nested_members, new_graph
from topologies.builders.lattice import AXES, written
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import MeshedRacks


def graph(fabric: MeshedRacks, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips joined along every axis of their rack and to its first-tier switches, these to the spines of their plane.

    Chips of a row along the first axis follow each other. A single rack has no spines.
    """
    draw = draw or Draw()
    size = math.prod(fabric.dims)
    built = new_graph("meshed-racks", _title(fabric), fabric.link)
    pairs = _mesh_pairs(fabric.dims)
    meshes, ups, tops = _edges(fabric, draw)
    spines = range(fabric.spines if fabric.racks > 1 else 0)
    built.add_nodes_from(
        (f"spine{plane}-{i}", {"kind": "switch", "tier": 2, "plane": plane})
        for plane in range(fabric.planes)
        for i in spines
    )
    sides: list[list[str]] = []
    for rack in range(fabric.racks):
        chips = [f"chip{rack * size + i}" for i in range(size)]
        leaves = [f"leaf{rack}-{plane}" for plane in range(fabric.planes)]
        built.add_nodes_from(
            (chip, {"kind": "chip", "rack": rack, "node": (rack * size + i) // fabric.dims[0]})
            for i, chip in enumerate(chips)
        )
        built.add_nodes_from(
            (leaf, {"kind": "switch", "tier": 1, "plane": p, "rack": rack}) for p, leaf in enumerate(leaves)
        )
        for axis, ends in enumerate(pairs):
            built.add_edges_from((chips[a], chips[b], meshes[axis]) for a, b in ends)
        for plane, leaf in enumerate(leaves):
            built.add_edges_from((chip, leaf, ups[plane]) for chip in chips)
            built.add_edges_from((leaf, f"spine{plane}-{i}", tops[plane]) for i in spines)
        sides.append([*chips, *leaves])
    _declare_cuts(built.graph["cuts"], fabric, sides)
    return built


def _declare_cuts(cuts: dict[str, Any], fabric: MeshedRacks, sides: list[list[str]]) -> None:
    """Half of the racks with their switches; half of the chips in their order; half of every axis of every rack."""
    size = math.prod(fabric.dims)
    chips = [names[:size] for names in sides]
    if fabric.racks > 1 and fabric.racks % 2 == 0:
        cuts["half of the racks"] = list(itertools.chain.from_iterable(sides[: fabric.racks // 2]))
    in_order = list(itertools.chain.from_iterable(chips))
    cuts["half of the chips"] = in_order[: len(in_order) // 2]
    step = 1
    for axis, side in enumerate(fabric.dims):
        if side % 2 == 0:
            lower = [i for i in range(size) if i // step % side < side // 2]
            cuts[f"axis {AXES[axis]}"] = [names[i] for names in chips for i in lower]
        step *= side


def arrays(fabric: MeshedRacks, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    wiring = Wiring(_title(fabric))
    size, planes, racks = math.prod(fabric.dims), range(fabric.planes), range(fabric.racks)
    each = range(fabric.spines if fabric.racks > 1 else 0)
    names = [f"spine{plane}-{i}" for plane in planes for i in each]
    spines = wiring.add("switch", names, tier=2).reshape(fabric.planes, -1)
    chips, leaves = wiring.add_units(
        fabric.racks,
        ("chip", 0, [f"chip{i}" for i in range(fabric.racks * size)]),
        ("switch", 1, [f"leaf{rack}-{plane}" for rack in racks for plane in planes]),
    )
    meshes, ups, tops = _edges(fabric, draw or Draw())
    for ends, mesh in zip(_mesh_pairs(fabric.dims), meshes, strict=True):
        lower, higher = np.array(ends, dtype=np.int64).reshape(-1, 2).T
        wiring.join(chips[:, lower], chips[:, higher], mesh)
    for plane in planes:
        wiring.join(chips, leaves[:, plane, None], ups[plane])
        wiring.join(leaves[:, plane, None], spines[plane], tops[plane])
    if fabric.racks > 1 and fabric.racks % 2 == 0:
        wiring.cut("half of the racks", chips[: fabric.racks // 2], leaves[: fabric.racks // 2])
    wiring.cut("half of the chips", half_of(chips))
    step = 1
    for axis, side in enumerate(fabric.dims):
        if side % 2 == 0:
            wiring.cut(f"axis {AXES[axis]}", chips[:, np.arange(size) // step % side < side // 2])
        step *= side
    return wiring.fabric()


def _title(fabric: MeshedRacks) -> str:
    return f"{fabric.racks} racks of {written(fabric.dims)} chips, full mesh on every axis"


def _edges(fabric: MeshedRacks, draw: Draw) -> tuple[list[dict[str, Any]], ...]:
    """Attributes of the edges along each axis of a rack, of those up to its switches, and to the spines of a plane."""
    link, planes = fabric.link, range(fabric.planes)
    return (
        [edge(link, draw, links=n, medium="copper", plane=axis) for axis, n in enumerate(_links(fabric))],
        [edge(link, draw, links=fabric.up_links, medium="copper", plane=plane) for plane in planes],
        [edge(link, draw, medium="optic", plane=plane) for plane in planes],
    )


def _links(fabric: MeshedRacks) -> tuple[int, ...]:
    return fabric.mesh_links or (1,) * len(fabric.dims)


def _mesh_pairs(dims: tuple[int, ...]) -> list[list[tuple[int, int]]]:
    """For each axis the pairs of chips of one rack that differ in that coordinate alone."""
    found = []
    size, step = math.prod(dims), 1
    for side in dims:
        starts = [i for i in range(size) if i // step % side == 0]
        found.append(
            [(at + a * step, at + b * step) for at in starts for a, b in itertools.combinations(range(side), 2)]
        )
        step *= side
    return found


def sizes(fabric: MeshedRacks) -> tuple[int, ...]:
    """Chips along each axis of a rack, racks [1]."""
    return *fabric.dims, fabric.racks


def legal_chips(fabric: MeshedRacks) -> tuple[int, ...]:
    """Any number of chips of one row, then whole rows along each further axis, then whole racks."""
    return nested_legal(sizes(fabric))


def levels(fabric: MeshedRacks, chips: int) -> tuple[Level, ...]:
    """A mesh for each axis of the rack, then the switches between racks.

    Inside a rack the ports to its first-tier switches carry nothing: levels nest, and these stand beside the mesh.
    That is the conservative side (224 of 1,008 GB/s of an Atlas 950 in one rack are left out). Between racks a chip
    has what the spines leave it of its ports up.
    """
    *axes, racks = nested_members(chips, sizes(fabric), f"racks of {written(fabric.dims)} chips")
    family, link = fabric.link.family, fabric.link
    found = [
        Level(f"{family}-{AXES[axis]}", "mesh", side, link, links=_links(fabric)[axis], hops=1)
        for axis, side in enumerate(axes)
        if side > 1
    ]
    if racks > 1:
        down = math.prod(fabric.dims) * fabric.up_links
        up = fabric.planes * fabric.up_links * min(1.0, fabric.spines / down)
        found.append(Level(family, "switch", racks, link, links=up, hops=4))
    return tuple(found)
