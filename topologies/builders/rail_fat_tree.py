"""The network between machines: port r of every node on rail r, a rail being a fat tree of as few tiers as reach.

Two tiers of switches of k ports join k^2 / 2 nodes, three join k^3 / 4 (Al-Fares, Loukissas and Vahdat, SIGCOMM 2008,
section 3); more where the upper tiers are oversubscribed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simulator.errors import InputError
from simulator.fabric import chips_of
from simulator.figures import Draw
from simulator.machine import Reach
from topologies.builders.clos_plane import ratios, spread
from topologies.builders.common import edge
from topologies.builders.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import RailFatTree

T = TypeVar("T")


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

    chips = [name for name, data in machine_graph.nodes.items() if data["kind"] == "chip"]
    nodes = [chips[i : i + fabric.node_chips] for i in range(0, len(chips), fabric.node_chips)]
    tree = _joined(machines, len(nodes), fabric)
    built: nx.Graph[str] = nx.Graph(**machine_graph.graph)
    built.graph.update(name=f"{machines} x {machine_graph.graph['name']}", builder="rail-fat-tree", machines=machines)
    port, bus = _edges(fabric, draw or Draw())
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
    built.graph["cuts"] = {
        name: half
        + [f"leaf{rail}-{i}" for rail in range(fabric.ports) for i in range(leaves)]
        + [f"spine{rail}-{i}" for rail in range(fabric.ports) for i in range(spines)]
        for name, (leaves, spines) in _sides(machines // 2 * len(nodes), tree).items()
    }
    built.graph["vertex_transitive"] &= _looks_alike(fabric, len(nodes), tree)
    return built


def join_arrays(machine: Fabric, machines: int, fabric: RailFatTree, draw: Draw | None = None) -> Fabric:
    """What :func:`join` makes, in arrays and of arrays, or the same error."""
    chips = np.flatnonzero(chips_of(machine)).tolist()
    nodes = [chips[i : i + fabric.node_chips] for i in range(0, len(chips), fabric.node_chips)]
    tree, ports = _joined(machines, len(nodes), fabric), range(fabric.ports)
    wiring = Wiring(f"{machines} x {machine.name}")
    port, bus = _edges(fabric, draw or Draw())
    served = [
        (chip, node * fabric.ports + rail)
        for node, members in enumerate(nodes)
        for rail in ports
        for chip in _served(rail, fabric, members)
    ]
    users, used = np.array(served).T
    inside, nics = [], []
    for each in range(machines):
        inside.append(wiring.add_like(machine, [f"{each}/{name}" for name in machine.nodes]))
        nics.append(wiring.add("nic", [f"{each}/nic{node}-{rail}" for node in range(len(nodes)) for rail in ports]))
    within, between = np.array(inside), np.array(nics)
    wiring.join_like(machine, within)
    wiring.join(within[:, users], between[:, used], bus)
    by_rail = between.reshape(-1, fabric.ports).T
    to_spines, to_cores = (np.array(rows, dtype=np.int64).reshape(-1, 3).T for rows in _ups(tree))
    leaves, spines = [], []
    for rail in ports:
        spine = wiring.add("switch", [f"spine{rail}-{i}" for i in range(tree.pods * tree.spines)], tier=2)
        core = wiring.add("switch", [f"core{rail}-{i}" for i in range(tree.spines * tree.cores)], tier=3)
        leaf = wiring.add("switch", [f"leaf{rail}-{i}" for i in range(tree.leaves)], tier=1)
        wiring.join(leaf[np.arange(by_rail.shape[1]) // tree.down], by_rail[rail], port)
        for lows, tops, (low, top, links) in ((leaf, spine, to_spines), (spine, core, to_cores)):
            wiring.join(lows[low], tops[top], port, links)
        leaves.append(leaf)
        spines.append(spine)
    half = within[: machines // 2], between[: machines // 2]
    for name, (near, far) in _sides(machines // 2 * len(nodes), tree).items():
        wiring.cut(name, *half, *(each[:near] for each in leaves), *(each[:far] for each in spines))
    is_alike = machine.is_vertex_transitive and _looks_alike(fabric, len(nodes), tree)
    return wiring.fabric(is_vertex_transitive=is_alike)


def _joined(machines: int, nodes: int, fabric: RailFatTree) -> Rail:
    """A rail of so many machines of so many nodes, or the error of :func:`join`."""
    if machines < 2:
        raise InputError(f"{machines} machine needs no network", remedy="join 2 or more machines")
    return rail_of(fabric, nodes * machines)


def _edges(fabric: RailFatTree, draw: Draw) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes of the edges from a port to its leaf, and from a chip to its port."""
    port = edge(fabric.link, draw, medium="optic") | {"domain": "scale_out"}
    return port, port | {"latency_s": 0.0, "medium": "pcie"}


def _looks_alike(fabric: RailFatTree, nodes: int, tree: Rail) -> bool:
    """Whether the network looks the same from every chip of machines of so many nodes."""
    is_even = fabric.ports % fabric.node_chips == 0 or fabric.node_chips % fabric.ports == 0
    return is_even and tree.tiers == 1 and nodes == 1


def _served(rail: int, fabric: RailFatTree, members: Sequence[T]) -> list[T]:
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
    leaves = [f"leaf{rail}-{i}" for i in range(tree.leaves)]
    built.add_nodes_from(leaves, kind="switch", tier=1, plane=rail)
    built.add_edges_from((leaves[i // tree.down], name, port) for i, name in enumerate(names))
    for lows, tops, rows in zip((leaves, spines), (spines, cores), _ups(tree), strict=True):
        built.add_edges_from((lows[low], tops[top], {**port, "links": links}) for low, top, links in rows)


def _ups(tree: Rail) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """The edges of a rail from leaves to spines, and from spines to cores: the two ends and how many links each has."""
    to_spines, to_cores = [], []
    if tree.spines:
        for leaf in range(tree.leaves):
            pod, place = divmod(leaf, tree.pod_leaves)
            counts = spread(tree.up, place, tree.spines)
            to_spines += [(leaf, pod * tree.spines + top, links) for top, links in enumerate(counts) if links]
    if tree.cores:
        for spine in range(tree.pods * tree.spines):
            pod, place = divmod(spine, tree.spines)
            counts = spread(tree.spine_up, pod, tree.cores)
            to_cores += [(spine, place * tree.cores + top, links) for top, links in enumerate(counts) if links]
    return to_spines, to_cores


def _sides(nodes: int, tree: Rail) -> dict[str, tuple[int, int]]:
    """Cuts that half of the machines make, ``nodes`` nodes, and the leaves and spines of every rail on their side.

    None of them, the leaves that are mostly theirs, and all of the pods that are.
    """
    sides = {"half of the machines": (0, 0)}
    near = min(tree.leaves, round(nodes / tree.down))
    if tree.tiers > 1:
        sides["half of the machines with their leaves"] = near, 0
    if tree.cores:
        pods = min(tree.pods, round(near / tree.pod_leaves))
        sides["half of the machines with their pods"] = min(tree.leaves, pods * tree.pod_leaves), pods * tree.spines
    return sides
