"""The network between machines: port r of every node on rail r, a rail being one switch or a two-tier fat tree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.figures import Draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx

    from topologies.fabrics import RailFatTree

_HOPS = 4


def network_level(fabric: RailFatTree) -> tuple[float, int]:
    """Ports of one chip [1], below one where chips share one, and edges from port to port over a spine [1]."""
    return fabric.ports / fabric.node_chips, _HOPS


def join(machine_graph: nx.Graph[str], machines: int, fabric: RailFatTree, draw: Draw | None = None) -> nx.Graph[str]:
    """Several equal machines, their network ports and the rails that join them, as one graph.

    Nodes of machine m are those of ``machine_graph`` with ``m/`` before their names. Chips are taken in their order,
    ``node_chips`` to a node; a port's edge to its chips has the port's bandwidth and no latency of its own (the host
    bus is part of the software's start-up time).

    Raises
    ------
    InputError : fewer than two machines, or more nodes than two tiers of switches reach
    """
    import networkx as nx

    draw = draw or Draw()
    if machines < 2:
        raise InputError(f"{machines} machine needs no network", remedy="join 2 or more machines")
    chips = [name for name, data in machine_graph.nodes.items() if data["kind"] == "chip"]
    nodes = [chips[i : i + fabric.node_chips] for i in range(0, len(chips), fabric.node_chips)]
    leaves, _ = _rail_switches(len(nodes) * machines, fabric.radix)
    built: nx.Graph[str] = nx.Graph(**machine_graph.graph)
    built.graph.update(name=f"{machines} x {machine_graph.graph['name']}", builder="rail-fat-tree", machines=machines)
    port = {
        "bandwidth_bytes_per_s": draw(fabric.link.bandwidth),
        "links": 1,
        "latency_s": draw(fabric.link.latency),
        "medium": "optic",
        "domain": "scale_out",
    }
    bus = port | {"latency_s": 0.0, "medium": "pcie"}
    half: list[str] = []
    ports: list[list[str]] = [[] for _ in range(fabric.ports)]
    for machine in range(machines):
        built.add_nodes_from(
            (f"{machine}/{n}", {**data, "machine": machine}) for n, data in machine_graph.nodes.items()
        )
        built.add_edges_from((f"{machine}/{u}", f"{machine}/{v}", data) for u, v, data in machine_graph.edges.data())
        for node, members in enumerate(nodes):
            for rail in range(fabric.ports):
                name = f"{machine}/nic{node}-{rail}"
                ports[rail].append(name)
                built.add_node(name, kind="nic", plane=rail, machine=machine)
                served = _served(rail, fabric, members)
                built.add_edges_from((f"{machine}/{chip}", name, {**bus, "plane": rail}) for chip in served)
        if machine < machines // 2:
            half += [name for name, data in built.nodes.items() if data["machine"] == machine]
    for rail, names in enumerate(ports):
        _add_rail(built, names, fabric, {**port, "plane": rail})
    is_even = fabric.ports % fabric.node_chips == 0 or fabric.node_chips % fabric.ports == 0
    built.graph["cuts"] = {"half of the machines": half}
    built.graph["vertex_transitive"] = (
        machine_graph.graph["vertex_transitive"] and is_even and leaves == 1 and len(nodes) == 1
    )
    return built


def _served(rail: int, fabric: RailFatTree, members: Sequence[str]) -> list[str]:
    """The chips of a node that use port ``rail``: one where there are ports enough, else the chips that share it."""
    if fabric.ports >= fabric.node_chips:
        return list(members[rail * fabric.node_chips // fabric.ports :][:1])
    return [chip for i, chip in enumerate(members) if i * fabric.ports // fabric.node_chips == rail]


def _rail_switches(nodes: int, radix: int) -> tuple[int, int]:
    """Leaves and spines of one rail of ``nodes`` ports: one leaf if it has the ports, else half of each goes up."""
    if nodes <= radix:
        return 1, 0
    down = radix // 2
    leaves = math.ceil(nodes / down) if down else radix + 1
    if leaves > radix:
        raise InputError(
            f"{nodes} nodes are more than two tiers of {radix}-port switches join ({radix * down})",
            remedy="join fewer machines or name a network with larger switches",
        )
    return leaves, math.ceil(leaves * down / radix)


def _add_rail(built: nx.Graph[str], names: list[str], fabric: RailFatTree, port: dict[str, Any]) -> None:
    """Add the leaves and spines of the rail of ``port``; links up are spread over the spines as evenly as they go."""
    rail = port["plane"]
    leaves, spines = _rail_switches(len(names), fabric.radix)
    tops = [f"spine{rail}-{i}" for i in range(spines)]
    down = fabric.radix // 2 if spines else fabric.radix
    built.add_nodes_from(tops, kind="switch", tier=2, plane=rail)
    for index in range(leaves):
        leaf = f"leaf{rail}-{index}"
        built.add_node(leaf, kind="switch", tier=1, plane=rail)
        built.add_edges_from((leaf, name, port) for name in names[index * down : (index + 1) * down])
        for spine, top in enumerate(tops):
            up = (down + (spine + index) % spines) // spines
            if up:
                built.add_edge(leaf, top, **{**port, "links": up})
