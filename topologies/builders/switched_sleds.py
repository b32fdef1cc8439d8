"""Sleds of chips on a switch of their own, racks of sleds on rack switches, twins across racks (Trn3 Gen2)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of, pairs

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import SwitchedSleds


def graph(fabric: SwitchedSleds, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on the switch of their sled and on every switch of their rack, and joined to their twins.

    The links of a chip to the rack are spread as evenly as they go: of 5 to two switches, 3 go to one and 2 to the
    other, by turns.
    """
    draw = draw or Draw()
    per_sled, per_rack = fabric.chips_per_sled, fabric.chips_per_sled * fabric.sleds_per_rack
    built = new_graph("switched-sleds", _title(fabric), fabric.link)
    sled_edge = edge(fabric.link, draw, links=fabric.sled_links, medium="pcb")
    least, more = divmod(fabric.rack_links, fabric.rack_switches)
    sides: list[list[str]] = []
    for rack in range(fabric.racks):
        chips = [f"chip{rack * per_rack + i}" for i in range(per_rack)]
        sleds = [f"sled{rack * fabric.sleds_per_rack + i}" for i in range(fabric.sleds_per_rack)]
        tops = [f"rack{rack}-{i}" for i in range(fabric.rack_switches)]
        built.add_nodes_from(
            (chip, {"kind": "chip", "rack": rack, "node": rack * fabric.sleds_per_rack + i // per_sled})
            for i, chip in enumerate(chips)
        )
        built.add_nodes_from(sleds, kind="switch", tier=1, plane=0, rack=rack)
        built.add_nodes_from(
            (top, {"kind": "switch", "tier": 2, "plane": 1 + i, "rack": rack}) for i, top in enumerate(tops)
        )
        built.add_edges_from((chip, sleds[i // per_sled], sled_edge) for i, chip in enumerate(chips))
        for plane, top in enumerate(tops):
            for i, chip in enumerate(chips):
                links = least + ((plane - i) % fabric.rack_switches < more)
                if links:
                    attributes = edge(fabric.link, draw, links=links, medium="copper", plane=1 + plane)
                    built.add_edge(chip, top, **attributes)
        sides.append([*chips, *sleds, *tops])
    if fabric.twin_links:
        twin = edge(fabric.link, draw, links=fabric.twin_links, medium="copper", plane=1 + fabric.rack_switches)
        for one, other in itertools.combinations(sides, 2):
            built.add_edges_from((a, b, twin) for a, b in zip(one[:per_rack], other[:per_rack], strict=True))
    in_order = list(itertools.chain.from_iterable(names[:per_rack] for names in sides))
    built.graph["cuts"]["half of the chips"] = in_order[: len(in_order) // 2]
    if fabric.racks % 2 == 0:
        built.graph["cuts"]["half of the racks"] = list(itertools.chain.from_iterable(sides[: fabric.racks // 2]))
    if fabric.sleds_per_rack % 2 == 0:
        half = per_rack // 2
        built.graph["cuts"]["half of every rack"] = [
            name
            for names in sides
            for name in (*names[:half], *names[per_rack : per_rack + fabric.sleds_per_rack // 2])
        ]
    built.graph["vertex_transitive"] = more == 0
    return built


def arrays(fabric: SwitchedSleds, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    draw = draw or Draw()
    wiring = Wiring(_title(fabric))
    racks, sleds, switches = fabric.racks, fabric.racks * fabric.sleds_per_rack, fabric.rack_switches
    chips, sled, tops = wiring.add_units(
        racks,
        ("chip", 0, [f"chip{i}" for i in range(sleds * fabric.chips_per_sled)]),
        ("switch", 1, [f"sled{i}" for i in range(sleds)]),
        ("switch", 2, [f"rack{rack}-{i}" for rack in range(racks) for i in range(switches)]),
    )
    down = edge(fabric.link, draw, links=fabric.sled_links, medium="pcb")
    wiring.join(chips.reshape(sleds, -1), sled.reshape(sleds, 1), down)
    least, more = divmod(fabric.rack_links, switches)
    for plane in range(switches):
        links = least + ((plane - np.arange(chips.shape[1])) % switches < more)
        for count in {least, least + 1} - {0}:
            own = edge(fabric.link, draw, links=count, medium="copper", plane=1 + plane)
            wiring.join(chips[:, links == count], tops[:, plane, None], own)
    if fabric.twin_links:
        lower, higher = pairs(racks)
        twin = edge(fabric.link, draw, links=fabric.twin_links, medium="copper", plane=1 + switches)
        wiring.join(chips[lower], chips[higher], twin)
    wiring.cut("half of the chips", half_of(chips))
    if racks % 2 == 0:
        wiring.cut("half of the racks", *(numbers[: racks // 2] for numbers in (chips, sled, tops)))
    if fabric.sleds_per_rack % 2 == 0:
        wiring.cut("half of every rack", *(numbers[:, : numbers.shape[1] // 2] for numbers in (chips, sled)))
    return wiring.fabric(is_vertex_transitive=more == 0)


def _title(fabric: SwitchedSleds) -> str:
    return f"{fabric.racks} racks of {fabric.sleds_per_rack} sleds of {fabric.chips_per_sled} chips"


def sizes(fabric: SwitchedSleds) -> tuple[int, ...]:
    """Chips of a sled, sleds of a rack, racks [1]."""
    return fabric.chips_per_sled, fabric.sleds_per_rack, fabric.racks


def legal_chips(fabric: SwitchedSleds) -> tuple[int, ...]:
    """Any number of chips of one sled, then whole sleds, then whole racks."""
    return nested_legal(sizes(fabric))


def levels(fabric: SwitchedSleds, chips: int) -> tuple[Level, ...]:
    """The switch of a sled, those of a rack, then the twins in the other racks.

    Every chip has links of its own for each level. Where a slice has more than one sled, that of the sled is a mesh,
    in which the links of a chip are divided among its peers: its bandwidth adds to that of the rack, which the
    bandwidth of nested switches does not. That is exact where a chip sends to all its peers at once, and conservative
    where it sends to one.
    """
    inside, sleds, racks = nested_members(chips, sizes(fabric), f"sleds of {fabric.chips_per_sled} chips")
    family, link = fabric.link.family, fabric.link
    found = []
    if chips == inside > 1:
        return (Level(f"{family}-sled", "switch", inside, link, links=fabric.sled_links, hops=2),)
    if inside > 1:
        share = fabric.sled_links / (inside - 1)
        found.append(Level(f"{family}-sled", "mesh", inside, link, links=share, hops=2))
    if sleds > 1:
        found.append(Level(f"{family}-rack", "switch", sleds, link, links=fabric.rack_links, hops=2))
    if racks > 1:
        found.append(Level(f"{family}-twin", "mesh", racks, link, links=fabric.twin_links, hops=1))
    return tuple(found)
