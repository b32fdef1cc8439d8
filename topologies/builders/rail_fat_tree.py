"""The network between machines: port r of every node on rail r, a rail being a fat tree of as few tiers as reach.

Two tiers of switches of k ports join k^2 / 2 nodes, three join k^3 / 4 (Al-Fares, Loukissas and Vahdat, SIGCOMM 2008,
section 3); more where the upper tiers are oversubscribed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import Reach
from topologies.builders.clos import ratios, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx

    from topologies.fabrics import RailFatTree


@dataclass(frozen=True)
class Rail:
    """The switches of one rail.

    Parameters
    ----------
    tiers : of switches [1]
    leaves, down, up : leaves, ports of a leaf to nodes, and its links up [1]
    pods, pod_leaves, spines, spine_up : pods, leaves of a full one, spines of each, and links of a spine up [1]
    cores : of each place of a spine in its pod, so many as reach [1]
    share : of a port's bandwidth that oversubscription leaves it on the way through the highest tier [1]
    """

    tiers: int
    leaves: int
    down: int
    up: int = 0
    pods: int = 1
    pod_leaves: int = 1
    spines: int = 0
    spine_up: int = 0
    cores: int = 0
    share: float = 1.0


def reaches(fabric: RailFatTree) -> tuple[Reach, ...]:
    """Nodes that one, two and three tiers join, with the links of one chip [1] and the edges from port to port [1].

    Links are below one where chips share a port or switches are oversubscribed. Machines of a cluster stand where there
    is room, so a spine is counted on the way even where one leaf could take them all.
    """
    (down, _), (pod_leaves, _) = (_split(fabric.radix, over) for over in ratios(fabric.oversubscription))
    most = [fabric.radix, fabric.radix * down, fabric.radix * down * pod_leaves]
    trees = [(nodes, rail_of(fabric, nodes)) for nodes in sorted(set(most)) if nodes]
    links = fabric.ports / fabric.node_chips
    return tuple(Reach(nodes, links * tree.share, 2 * max(tree.tiers, 2)) for nodes, tree in trees)


def rail_of(fabric: RailFatTree, nodes: int) -> Rail:
    """The least tree that joins ``nodes`` ports; every leaf and pod that is begun has all its links upwards.

    Raises
    ------
    InputError : more nodes than three tiers of switches reach
    """
    radix = fabric.radix
    if nodes <= radix:
        return Rail(1, 1, radix)
    (down, up), (pod_leaves, spine_up) = (_split(radix, over) for over in ratios(fabric.oversubscription))
    leaves = math.ceil(nodes / down) if down else math.inf
    if leaves <= radix:
        leaves = int(leaves)
        return Rail(
            2, leaves, down, up, pod_leaves=leaves, spines=math.ceil(leaves * up / radix), share=min(1.0, up / down)
        )
    pods = math.ceil(leaves / pod_leaves) if down else math.inf
    if pods > radix:
        raise InputError(
            f"{nodes:,} nodes are more than three tiers of {radix}-port switches join ({radix * pod_leaves * down:,})",
            remedy="join fewer machines or name a network with larger switches",
        )
    return Rail(
        tiers=3,
        leaves=int(leaves),
        down=down,
        up=up,
        pods=int(pods),
        pod_leaves=pod_leaves,
        spines=up,
        spine_up=spine_up,
        cores=math.ceil(pods * spine_up / radix),
        share=min(1.0, up / down) * min(1.0, spine_up / pod_leaves),
    )


def _split(radix: int, over: Fraction) -> tuple[int, int]:
    """Ports of a switch downwards and upwards, as many down as the oversubscription allows."""
    down = math.floor(radix * over / (over + 1))
    return down, math.ceil(down / over)


def join(machine_graph: nx.Graph[str], machines: int, fabric: RailFatTree, draw: Draw | None = None) -> nx.Graph[str]:
    """Several equal machines, their network ports and the rails that join them, as one graph.

    Nodes of machine m are those of ``machine_graph`` with ``m/`` before their names. Chips are taken in their order,
    ``node_chips`` to a node; a port's edge to its chips has the port's bandwidth and no latency of its own (the host
    bus is part of the software's start-up time).

    Raises
    ------
    InputError : fewer than two machines, or more nodes than three tiers of switches reach
    """
    import networkx as nx

    draw = draw or Draw()
    if machines < 2:
        raise InputError(f"{machines} machine needs no network", remedy="join 2 or more machines")
    chips = [name for name, data in machine_graph.nodes.items() if data["kind"] == "chip"]
    nodes = [chips[i : i + fabric.node_chips] for i in range(0, len(chips), fabric.node_chips)]
    tree = rail_of(fabric, len(nodes) * machines)
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
        own = [f"{machine}/{name}" for name in machine_graph]
        for node, members in enumerate(nodes):
            for rail in range(fabric.ports):
                name = f"{machine}/nic{node}-{rail}"
                ports[rail].append(name)
                own.append(name)
                built.add_node(name, kind="nic", plane=rail, machine=machine)
                served = _served(rail, fabric, members)
                built.add_edges_from((f"{machine}/{chip}", name, {**bus, "plane": rail}) for chip in served)
        if machine < machines // 2:
            half += own
    for rail, names in enumerate(ports):
        _add_rail(built, names, tree, {**port, "plane": rail})
    is_even = fabric.ports % fabric.node_chips == 0 or fabric.node_chips % fabric.ports == 0
    built.graph["cuts"] = _cuts(half, machines // 2 * len(nodes), fabric.ports, tree)
    built.graph["vertex_transitive"] = (
        machine_graph.graph["vertex_transitive"] and is_even and tree.tiers == 1 and len(nodes) == 1
    )
    return built


def _served(rail: int, fabric: RailFatTree, members: Sequence[str]) -> list[str]:
    """The chips of a node that use port ``rail``: one where there are ports enough, else the chips that share it."""
    if fabric.ports >= fabric.node_chips:
        return list(members[rail * fabric.node_chips // fabric.ports :][:1])
    return [chip for i, chip in enumerate(members) if i * fabric.ports // fabric.node_chips == rail]


def _add_rail(built: nx.Graph[str], names: list[str], tree: Rail, port: dict[str, Any]) -> None:
    """Add the switches of the rail of ``port``; links up are spread over those above as evenly as they go."""
    rail = port["plane"]
    spines = [f"spine{rail}-{i}" for i in range(tree.pods * tree.spines)]
    cores = [f"core{rail}-{i}" for i in range(tree.spines * tree.cores)]
    built.add_nodes_from(spines, kind="switch", tier=2, plane=rail)
    built.add_nodes_from(cores, kind="switch", tier=3, plane=rail)
    for index in range(tree.leaves):
        leaf = f"leaf{rail}-{index}"
        built.add_node(leaf, kind="switch", tier=1, plane=rail)
        built.add_edges_from((leaf, name, port) for name in names[index * tree.down : (index + 1) * tree.down])
        if tree.spines:
            pod, place = divmod(index, tree.pod_leaves)
            tops = spines[pod * tree.spines : (pod + 1) * tree.spines]
            _add_links(built, leaf, tops, spread(tree.up, place, tree.spines), port)
    for index, spine in enumerate(spines if cores else ()):
        pod, place = divmod(index, tree.spines)
        tops = cores[place * tree.cores : (place + 1) * tree.cores]
        _add_links(built, spine, tops, spread(tree.spine_up, pod, tree.cores), port)


def _add_links(built: nx.Graph[str], low: str, tops: list[str], counts: list[int], port: dict[str, Any]) -> None:
    built.add_edges_from((low, top, {**port, "links": n}) for top, n in zip(tops, counts, strict=True) if n)


def _cuts(half: list[str], nodes: int, rails: int, tree: Rail) -> dict[str, list[str]]:
    """Half of the machines, ``nodes`` nodes, alone, with the leaves and with the pods that are mostly theirs."""
    cuts = {"half of the machines": half}
    near = min(tree.leaves, round(nodes / tree.down))
    leaves = [f"leaf{rail}-{i}" for rail in range(rails) for i in range(near)]
    if tree.tiers > 1:
        cuts["half of the machines with their leaves"] = half + leaves
    pods = min(tree.pods, round(near / tree.pod_leaves))
    if tree.cores:
        near = min(tree.leaves, pods * tree.pod_leaves)
        leaves = [f"leaf{rail}-{i}" for rail in range(rails) for i in range(near)]
        spines = [f"spine{rail}-{i}" for rail in range(rails) for i in range(pods * tree.spines)]
        cuts["half of the machines with their pods"] = half + leaves + spines
    return cuts
