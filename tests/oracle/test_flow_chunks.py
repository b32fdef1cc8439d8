"""Prices of schedules on the flow level against a simulation chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.collectives.flow import Job, flow_price
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.schedules import Layout, expanded, schedule
from simulator.fabric import Fabric, capacities
from simulator.routing import routes
from tests.oracle.chunks import chunked_seconds
from tests.support_fabrics import torus
from tests.support_flows import MIB, railed, star

CHUNKED = [
    ("ring", "all-reduce", (8,), star(8), ""),
    ("ring", "all-reduce", (6,), torus(6), ""),
    ("bidirectional-ring", "all-gather", (7,), torus(7), ""),
    ("halving-doubling", "all-reduce", (8,), star(8), ""),
    ("pat", "reduce-scatter", (6,), star(6), ""),
    ("one-shot", "all-reduce", (5,), star(5), ""),
    ("two-shot", "all-reduce", (8,), star(8), ""),
    ("direct", "all-to-all", (8,), star(8), ""),
    ("direct", "all-to-all", (5,), torus(5), ""),
    ("direct", "all-to-all", (3, 3), torus(3, 3), ""),
    ("direct", "all-to-all", (4, 4), torus(4, 4), ""),
    ("ring-per-dimension", "all-reduce", (4, 4), torus(4, 4), ""),
    ("bucket", "all-reduce", (4, 4), torus(4, 4), ""),
    ("bucket", "all-reduce", (3, 5), torus(3, 5), ""),
    ("bucket", "all-gather", (2, 2, 3), torus(2, 2, 3), ""),
    ("swing", "all-reduce", (16,), torus(16), ""),
    ("swing", "all-reduce", (4, 4), torus(4, 4), ""),
    ("halving-doubling", "reduce-scatter", (64,), star(64), ""),
    ("ring-per-dimension", "reduce-scatter", (4, 4, 4), torus(4, 4, 4), ""),
    ("hierarchical", "all-reduce", (4, 3), railed(4, 3), ""),
    ("nvls", "all-reduce", (8,), star(8), ""),
    ("double-binary-tree", "all-reduce", (8,), star(8), ""),
]


@pytest.mark.parametrize(
    ("algorithm", "kind", "shape", "fabric", "routing"),
    CHUNKED,
    ids=[
        f"{algorithm}-{kind}-{'x'.join(map(str, shape))}-{fabric.chips}"
        for algorithm, kind, shape, fabric, _ in CHUNKED
    ],
)
def test_a_simulation_chunk_by_chunk_comes_to_the_flow_price_as_chunks_get_small(
    algorithm, kind, shape, fabric, routing
):
    """In each round a transfer is late by at most one chunk at each hop for each transfer that it meets there.

    Where transfers meet, the simulation may be early by the latency of the way: the last chunk through the busiest
    link need not be the one that has farthest to go.
    """
    size = 4 * MIB
    found = schedule(algorithm, kind, Layout(shape, chunks=4))
    nodes = list(range(found.ranks + found.switches))
    (free,) = priced_over_time([Job(found, nodes, size)], fabric, None, routing, 0.0)
    smallest = min(float(each.share.max()) for each in found.rounds()) * size
    late, early = slack(found, fabric, nodes)
    gaps = []
    for parts in (2, 8):
        gap = chunked_seconds(found, fabric, nodes, size, smallest / parts) - free.seconds
        assert -early - 1e-9 * free.seconds <= gap <= late * smallest / parts + 1e-9 * free.seconds
        gaps.append(max(gap, 0.0))
    assert gaps[1] <= gaps[0] / 2 + early + 1e-9 * free.seconds


def slack(found, fabric: Fabric, nodes: list[int]) -> tuple[float, float]:
    """Sums over rounds: most hops x most transfers on a link, per rate [s/B]; longest latency where transfers meet."""
    late = early = 0.0
    for each in map(expanded, found.rounds()):
        ways = routes(fabric, np.array(nodes)[each.source], np.array(nodes)[each.target])
        most = np.bincount(ways.link).max()
        late += np.diff(ways.first).max() * most / capacities(fabric).min()
        early += float(ways.delay_s.max()) if most > 1 else 0.0
    return late, early


@pytest.mark.parametrize("level", ["flow", "chunks"])
def test_algorithms_are_ordered_as_theory_says_on_both_levels(level):
    def takes(algorithm: str, size: float, fabric: Fabric, shape: tuple[int, ...]) -> float:
        found = schedule(algorithm, "all-reduce", Layout(shape))
        ranks = list(range(found.ranks))
        if level == "flow":
            return flow_price(found, fabric, ranks, size).seconds
        return chunked_seconds(found, fabric, ranks, size, size / 256)

    switch, grid = star(8), torus(4, 4)
    assert takes("one-shot", 1024, switch, (8,)) < takes("two-shot", 1024, switch, (8,))
    assert takes("two-shot", 1024, switch, (8,)) < takes("halving-doubling", 1024, switch, (8,))
    assert takes("halving-doubling", 1024, switch, (8,)) < takes("ring", 1024, switch, (8,))
    assert takes("two-shot", 8 * MIB, switch, (8,)) < takes("one-shot", 8 * MIB, switch, (8,))
    assert takes("swing-latency", 1024, grid, (4, 4)) < takes("swing", 1024, grid, (4, 4))
    assert takes("swing", 1024, grid, (4, 4)) < takes("bucket", 1024, grid, (4, 4))
    assert takes("bucket", 8 * MIB, grid, (4, 4)) < takes("ring-per-dimension", 8 * MIB, grid, (4, 4)) / 3
