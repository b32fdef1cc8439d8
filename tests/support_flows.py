"""Fabrics and prices that tests of the flow level share."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np

from simulator.collectives.flow import flow_price
from simulator.collectives.schedules import Layout, schedule
from simulator.fabric import Fabric
from tests.support_fabrics import fabric_of

US = 1e-6
A, B = 1e-6, 100e9
"""Latency of a hop [s] and bandwidth of a link [B/s], as in the tables below."""
MIB, GIB = 2.0**20, 2.0**30


def star(ranks: int, planes: int = 1) -> Fabric:
    """Ranks on switches side by side, 1 us from rank to rank."""
    graph = nx.Graph()
    graph.add_nodes_from(range(ranks), kind="chip")
    graph.add_nodes_from(range(ranks, ranks + planes), kind="switch")
    graph.add_edges_from(itertools.product(range(ranks), range(ranks, ranks + planes)))
    return fabric_of(graph, B, A / 2)


def seconds(algorithm: str, kind: str, layout: Layout, fabric: Fabric, size: float = 64 * MIB, **more) -> float:
    found = schedule(algorithm, kind, layout)
    return flow_price(found, fabric, np.arange(found.ranks + found.switches), size, **more).seconds


def railed(inside: int, nodes: int) -> Fabric:
    """Nodes of ranks on a fast switch each, and a slow switch for each rail: rank r of every node."""
    graph = nx.Graph()
    ranks = inside * nodes
    graph.add_nodes_from(range(ranks), kind="chip")
    graph.add_nodes_from(range(ranks, ranks + nodes + inside), kind="switch")
    for rank in range(ranks):
        graph.add_edge(rank, ranks + rank // inside, bandwidth_bytes_per_s=4 * B, latency_s=A / 2)
        graph.add_edge(rank, ranks + nodes + rank % inside, bandwidth_bytes_per_s=B, latency_s=2 * A)
    return fabric_of(graph)
