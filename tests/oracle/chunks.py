"""A slow second implementation: schedules chunk by chunk, stored and forwarded over links that queue (SimPy).

Nothing of the routing or the network of the simulator is used: ways are found here, every link is a server that takes
one chunk at a time in the order of arrival, and a chunk goes on when it has come as a whole. Against the flow level a
transfer is late by one chunk at each hop but the last, for each transfer that shares the link.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import networkx as nx
import simpy

from simulator.collectives.schedules import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.collectives.schedules import Schedule
    from simulator.fabric import Fabric


def chunked_seconds(
    schedule: Schedule, fabric: Fabric, members: list[int], size_bytes: float, chunk_bytes: float, start_s: float = 0.0
) -> float:
    """When the last transfer has arrived [s]."""
    env = simpy.Environment()
    graph = _graph(fabric, env)
    done = dict.fromkeys(range(len(members)), env.event().succeed())
    lanes: dict[int, dict[int, simpy.Event]] = {}
    phase = 0
    for each in map(expanded, schedule.rounds()):
        if each.phase != phase:
            phase = each.phase
            done = {rank: env.all_of([lane[rank] for lane in lanes.values()]) for rank in done}
            lanes = {}
        gates = lanes.get(each.lane, done)
        touched: dict[int, list[simpy.Event]] = {}
        rows = zip(each.source.tolist(), each.target.tolist(), each.share.tolist(), strict=True)
        for source, target, share in rows:
            ways = _ways(fabric, graph, members[source], members[target])
            before = env.all_of([gates[source], gates[target]])
            sent = env.process(_transfer(env, graph, ways, share * size_bytes, chunk_bytes, before, start_s))
            for rank in (source, target):
                touched.setdefault(rank, []).append(sent)
        lanes[each.lane] = gates | {rank: env.all_of(events) for rank, events in touched.items()}
    env.run(env.all_of([event for lane in lanes.values() for event in lane.values()]))
    return float(env.now)


def _transfer(env, graph, ways, size_bytes, chunk_bytes, before, start_s) -> Iterator[simpy.Event]:
    """Send chunk after chunk, each when the one before has left, over the ways by turns."""
    yield before
    yield env.timeout(start_s)
    count = max(1, math.ceil(size_bytes / chunk_bytes))
    arrivals = []
    for number in range(count):
        left = env.event()
        arrivals.append(env.process(_chunk(env, graph, ways[number % len(ways)], size_bytes / count, left)))
        yield left
    yield env.all_of(arrivals)


def _chunk(env, graph, way, size_bytes, left) -> Iterator[simpy.Event]:
    """Queue for each link of the way, pass it as a whole, and travel on."""
    for ends in itertools.pairwise(way):
        link = graph.edges[ends]
        with link["queue"].request() as turn:
            yield turn
            yield env.timeout(size_bytes / link["rate"])
        if not left.triggered:
            left.succeed()
        yield env.timeout(link["latency"])


def _graph(fabric: Fabric, env: simpy.Environment) -> nx.DiGraph:
    graph = nx.DiGraph()
    for node in range(len(fabric.nodes)):
        for entry in range(fabric.indptr[node], fabric.indptr[node + 1]):
            graph.add_edge(
                node,
                int(fabric.indices[entry]),
                rate=float(fabric.bandwidth_bytes_per_s[entry] * fabric.links[entry]),
                latency=float(fabric.latency_s[entry]),
                queue=simpy.Resource(env),
            )
    return graph


def _ways(fabric: Fabric, graph: nx.DiGraph, source: int, target: int) -> list[list[int]]:
    """On tori axis by axis, both ways round where they are as long; elsewhere all shortest."""
    if fabric.coordinates is None:
        return list(nx.all_shortest_paths(graph, source, target))
    places = {tuple(place): node for node, place in enumerate(fabric.coordinates.tolist())}
    ways = [[source]]
    for axis in range(fabric.coordinates.shape[1]):
        longer = []
        for way in ways:
            place = fabric.coordinates[way[-1]].tolist()
            place[axis] = int(fabric.coordinates[target, axis])
            corner = places[tuple(place)]
            line = [node for node in graph if _is_in_line(fabric, node, corner, axis)]
            longer += [way + more[1:] for more in nx.all_shortest_paths(graph.subgraph(line), way[-1], corner)]
        ways = longer
    return ways


def _is_in_line(fabric: Fabric, node: int, other: int, axis: int) -> bool:
    differs = fabric.coordinates[node] != fabric.coordinates[other]
    differs[axis] = False
    return not differs.any()
