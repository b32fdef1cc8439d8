"""A graph that no other builder makes, listed edge by edge; what is computed on it is one conservative switch level.

The level gives each chip the least that any chip can inject, and no more than twice its share of the narrowest cut that
was found: with all chips sending to random others, half of the bytes cross each cut that halves the chips.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.fabric import bisection, distances, injection_bytes_per_s
from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, new_graph, not_legal
from topologies.builders.wiring import Wiring

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray

    from simulator.fabric import Fabric
    from topologies.fabrics import Bundle, EdgeList

MOST_FOR_ALL_CUTS = 12
MOST_FOR_SPECTRUM = 512


def graph(fabric: EdgeList, draw: Draw | None = None) -> nx.Graph[str]:
    """Chips first, then switches, CPUs and NICs, numbered through as the pairs of ``bundles`` number them."""
    draw = draw or Draw()
    built = new_graph("edge-list", _title(fabric), fabric.link)
    built.graph["vertex_transitive"] = False
    names = []
    for kind, count in _counts(fabric):
        own = [f"{kind}{i}" for i in range(count)]
        built.add_nodes_from(own, kind=kind, node=0, **({"tier": 1, "plane": 0} if kind == "switch" else {}))
        names += own
    for bundle in fabric.bundles:
        attributes = _edge(fabric, bundle, draw)
        built.add_edges_from((names[a], names[b], attributes) for a, b in bundle.pairs)
    for index, side in enumerate(_cuts(fabric)):
        built.graph["cuts"][f"half {index + 1}"] = [names[i] for i in side]
    return built


def arrays(fabric: EdgeList, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    wiring = Wiring(_title(fabric))
    looks = []
    for look, (kind, count) in enumerate(_counts(fabric)):
        looks += [look] * len(wiring.add(kind, [f"{kind}{i}" for i in range(count)], tier=int(kind == "switch")))
    kinds = np.array(looks)
    for bundle in fabric.bundles:
        ends = np.array(bundle.pairs, dtype=np.int64)
        attributes = _edge(fabric, bundle, draw or Draw())
        pairs = kinds[ends] @ (len(_counts(fabric)), 1)
        for pair in np.unique(pairs):
            one, other = ends[pairs == pair].T
            wiring.join(one, other, attributes)
    for index, side in enumerate(_cuts(fabric)):
        wiring.cut(f"half {index + 1}", np.array(side, dtype=np.int64))
    return wiring.fabric(is_vertex_transitive=False)


def _title(fabric: EdgeList) -> str:
    return f"{fabric.chips} chips, edge by edge"


def _counts(fabric: EdgeList) -> tuple[tuple[str, int], ...]:
    """How many nodes there are of each kind, in the order in which they are numbered."""
    return ("chip", fabric.chips), ("switch", fabric.switches), ("cpu", fabric.cpus), ("nic", fabric.nics)


def _edge(fabric: EdgeList, bundle: Bundle, draw: Draw) -> dict[str, Any]:
    """Attributes of the edges of a bundle."""
    attributes = edge(fabric.link, draw, links=bundle.links, medium="copper", share=bundle.share)
    return attributes | {"latency_s": attributes["latency_s"] * bundle.delay}


def legal_chips(fabric: EdgeList) -> tuple[int, ...]:
    """Any number of chips: a part is given no more than its share of the whole."""
    return tuple(range(1, fabric.chips + 1))


def levels(fabric: EdgeList, chips: int) -> tuple[Level, ...]:
    """One switch level whose hops are the diameter and whose links are injection or bisection, whichever is less."""
    if not 1 <= chips <= fabric.chips:
        raise not_legal(chips, legal_chips(fabric), f"{fabric.chips} listed chips")
    if chips == 1:
        return ()
    links, hops = _measured(fabric)
    return (Level(fabric.link.family, "switch", chips, fabric.link, links=links, hops=hops),)


@lru_cache(maxsize=64)
def _measured(fabric: EdgeList) -> tuple[float, int]:
    """Links of a chip [1] and hops [1] of the level."""
    frozen = arrays(fabric)
    rate = min(injection_bytes_per_s(frozen), 2 * bisection(frozen)[0] / fabric.chips)
    return rate / fabric.link.bandwidth.si, distances(frozen).diameter


@lru_cache(maxsize=64)
def _cuts(fabric: EdgeList) -> tuple[tuple[int, ...], ...]:
    """The narrowest cut found: all halves of few chips, else halves by number, by parity and by the Fiedler vector."""
    size = fabric.chips + fabric.switches + fabric.cpus + fabric.nics
    rows = [(a, b, bundle.links * bundle.share) for bundle in fabric.bundles for a, b in bundle.pairs]
    ends = np.array([row[:2] for row in rows], dtype=np.int64)
    weights = np.array([row[2] for row in rows])
    best: tuple[float, tuple[int, ...]] | None = None
    for half in _halves(fabric.chips, size, ends, weights):
        side = _settled(half, fabric.chips, size, ends, weights)
        width = float(weights[side[ends[:, 0]] != side[ends[:, 1]]].sum())
        if best is None or width < best[0]:
            best = width, tuple(np.flatnonzero(side).tolist())
    return (best[1],) if best else ()


def _halves(
    chips: int,
    size: int,
    ends: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Iterator[list[int]]:
    half = chips // 2
    if chips <= MOST_FOR_ALL_CUTS:
        yield from (list(chosen) for chosen in itertools.combinations(range(chips), half))
        return
    yield list(range(half))
    yield list(range(0, chips, 2))[:half]
    if size <= MOST_FOR_SPECTRUM:
        laplacian = np.zeros((size, size))
        np.add.at(laplacian, (ends[:, 0], ends[:, 1]), -weights)
        np.add.at(laplacian, (ends[:, 1], ends[:, 0]), -weights)
        np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
        second = np.linalg.eigh(laplacian)[1][:, 1]
        yield np.argsort(np.round(second[:chips], 9), kind="stable")[:half].tolist()


def _settled(
    half: list[int],
    chips: int,
    size: int,
    ends: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> NDArray[np.bool_]:
    """A half of the chips with every other node on the side to which more of its links lead, until none moves."""
    side = np.zeros(size, dtype=np.bool_)
    side[half] = True
    pull = np.where(np.arange(size) < chips, np.where(side, 1.0, -1.0), 0.0)
    for _ in range(size - chips + 1):
        drawn = np.bincount(ends[:, 0], weights * pull[ends[:, 1]], size)
        drawn += np.bincount(ends[:, 1], weights * pull[ends[:, 0]], size)
        moved = pull.copy()
        moved[chips:] = np.sign(drawn[chips:])
        if np.array_equal(moved, pull):
            break
        pull = moved
    side[chips:] = pull[chips:] > 0
    return side
