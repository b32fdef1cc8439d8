"""Chips of one node that are all joined to each other directly, without a switch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, new_graph, not_legal
from topologies.builders.wiring import Wiring, half_of, pairs

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import FullMesh


def graph(fabric: FullMesh, draw: Draw | None = None) -> nx.Graph[str]:
    """An edge of ``links_per_pair`` links between every two chips."""
    built = new_graph("full-mesh", _title(fabric), fabric.link)
    chips = [f"chip{i}" for i in range(fabric.chips)]
    built.add_nodes_from(chips, kind="chip", node=0)
    attributes = edge(fabric.link, draw or Draw(), links=fabric.links_per_pair, medium="pcb")
    built.add_edges_from((a, b, attributes) for a, b in itertools.combinations(chips, 2))
    built.graph["cuts"]["half of the chips"] = chips[: fabric.chips // 2]
    return built


def arrays(fabric: FullMesh, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    wiring = Wiring(_title(fabric))
    chips = wiring.add("chip", [f"chip{i}" for i in range(fabric.chips)])
    wiring.join(*pairs(fabric.chips), edge(fabric.link, draw or Draw(), links=fabric.links_per_pair, medium="pcb"))
    wiring.cut("half of the chips", half_of(chips))
    return wiring.fabric()


def _title(fabric: FullMesh) -> str:
    return f"full mesh of {fabric.chips} chips"


def legal_chips(fabric: FullMesh) -> tuple[int, ...]:
    """Any number of chips: part of a full mesh is one again, with fewer links in use."""
    return tuple(range(1, fabric.chips + 1))


def levels(fabric: FullMesh, chips: int) -> tuple[Level, ...]:
    """One mesh level; two chips use the links of one pair alone."""
    if not 1 <= chips <= fabric.chips:
        raise not_legal(chips, legal_chips(fabric), f"{fabric.chips} chips that are all joined")
    if chips == 1:
        return ()
    return (Level(fabric.link.family, "mesh", chips, fabric.link, links=fabric.links_per_pair, hops=1),)
