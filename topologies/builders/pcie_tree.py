"""Chips under PCIe switches under hosts, the hosts of a machine joined to each other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, nested_legal, nested_members, new_graph
from topologies.builders.wiring import Wiring, half_of, pairs

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import PcieTree


def graph(fabric: PcieTree, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips on their switch, switches on their host, an edge between every two hosts; a host is one ``cpu`` node."""
    draw = draw or Draw()
    per_switch, per_host = fabric.chips_per_switch, fabric.chips_per_switch * fabric.switches
    built = new_graph("pcie-tree", _title(fabric), fabric.link)
    down, up, across = _edges(fabric, draw)
    hosts = [f"cpu{host}" for host in range(fabric.hosts)]
    sides: list[list[str]] = []
    for host, cpu in enumerate(hosts):
        chips = [f"chip{host * per_host + i}" for i in range(per_host)]
        switches = [f"switch{host * fabric.switches + i}" for i in range(fabric.switches)]
        built.add_node(cpu, kind="cpu", node=host)
        built.add_nodes_from(chips, kind="chip", node=host)
        built.add_nodes_from(switches, kind="switch", tier=1, plane=0, node=host)
        built.add_edges_from((chip, switches[i // per_switch], down) for i, chip in enumerate(chips))
        built.add_edges_from((switch, cpu, up) for switch in switches)
        sides.append([*chips, *switches, cpu])
    built.add_edges_from((a, b, across) for a, b in itertools.combinations(hosts, 2))
    in_order = list(itertools.chain.from_iterable(names[:per_host] for names in sides))
    built.graph["cuts"]["half of the chips"] = in_order[: len(in_order) // 2]
    if fabric.hosts % 2 == 0:
        built.graph["cuts"]["half of the hosts"] = list(itertools.chain.from_iterable(sides[: fabric.hosts // 2]))
    if fabric.switches % 2 == 0:
        built.graph["cuts"]["half of the switches"] = [
            name
            for names in sides
            for name in (*names[: per_host // 2], *names[per_host : per_host + fabric.switches // 2])
        ]
    return built


def arrays(fabric: PcieTree, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    wiring = Wiring(_title(fabric))
    hosts, switches = fabric.hosts, fabric.hosts * fabric.switches
    cpus, chips, switch = wiring.add_units(
        hosts,
        ("cpu", 0, [f"cpu{i}" for i in range(hosts)]),
        ("chip", 0, [f"chip{i}" for i in range(switches * fabric.chips_per_switch)]),
        ("switch", 1, [f"switch{i}" for i in range(switches)]),
    )
    down, up, across = _edges(fabric, draw or Draw())
    wiring.join(chips.reshape(switches, -1), switch.reshape(switches, 1), down)
    wiring.join(switch, cpus, up)
    lower, higher = pairs(hosts)
    wiring.join(cpus[lower], cpus[higher], across)
    wiring.cut("half of the chips", half_of(chips))
    if hosts % 2 == 0:
        wiring.cut("half of the hosts", *(numbers[: hosts // 2] for numbers in (cpus, chips, switch)))
    if fabric.switches % 2 == 0:
        wiring.cut("half of the switches", *(numbers[:, : numbers.shape[1] // 2] for numbers in (chips, switch)))
    return wiring.fabric()


def _title(fabric: PcieTree) -> str:
    return f"{fabric.hosts} hosts of {fabric.switches} PCIe switches of {fabric.chips_per_switch} chips"


def _edges(fabric: PcieTree, draw: Draw) -> tuple[dict[str, Any], ...]:
    """Attributes of the edges from a chip to its switch, from there to the host, and between hosts."""
    counts = (1, fabric.uplinks, fabric.host_links)
    return tuple(edge(fabric.link, draw, links=links, medium="pcb") for links in counts)


def sizes(fabric: PcieTree) -> tuple[int, ...]:
    """Chips of a switch, switches of a host, hosts [1]."""
    return fabric.chips_per_switch, fabric.switches, fabric.hosts


def legal_chips(fabric: PcieTree) -> tuple[int, ...]:
    """Any number of chips of one switch, then whole switches, then whole hosts."""
    return nested_legal(sizes(fabric))


def levels(fabric: PcieTree, chips: int) -> tuple[Level, ...]:
    """The switch, the host, then the links between hosts; each leaves a chip its share of what leads out.

    Between hosts that is its share of the links of one pair of hosts, as if it sent to one host alone: conservative
    where there are more than two.
    """
    inside, switches, hosts = nested_members(chips, sizes(fabric), f"switches of {fabric.chips_per_switch} chips")
    family, link = fabric.link.family, fabric.link
    out_of_switch = min(1.0, fabric.uplinks / inside)
    out_of_host = min(out_of_switch, fabric.host_links / (inside * switches))
    found = []
    if inside > 1:
        found.append(Level(f"{family}-switch", "switch", inside, link, links=1.0, hops=2))
    if switches > 1:
        found.append(Level(f"{family}-host", "switch", switches, link, links=out_of_switch, hops=4))
    if hosts > 1:
        found.append(Level(family, "switch", hosts, link, links=out_of_host, hops=5))
    return tuple(found)
