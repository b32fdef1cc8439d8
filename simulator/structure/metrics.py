"""What takes more than a look at the links of a fabric: the all-to-all bound, path diversity, what a failure costs.

See :mod:`simulator.fabric` for the arrays, and for injection, bisection and distances.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.fabric import (
    bisection,
    capacities,
    chips_of,
    degree,
    distances,
    hops_from,
    injection_bytes_per_s,
    row_sums,
    sources,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.fabric import Fabric

_MOST_UNCOMPILED = 2_000_000
"""Chips times entries up to which arrays answer before a kernel is loaded: a quarter of a second."""
_MOST_QUICK = 1_000_000_000
"""Chips times entries that a kernel sweeps in some seconds."""


@dataclass(frozen=True)
class Loss:
    """What a failure takes at worst: share of the injection of a chip [1], and share of the bisection [1]."""

    injection: float
    bisection: float


@dataclass(frozen=True)
class Structure:
    """What the graph says about a fabric; each is described at the function of its name."""

    degree: int
    diameter: int
    mean_distance: float
    injection_bytes_per_s: float
    bisection_bytes_per_s: float
    cut: str
    all_to_all_bytes_per_s: float
    path_diversity: int
    switch_loss: Loss
    link_loss: Loss


def structure(fabric: Fabric) -> Structure:
    """All metrics of a fabric at once."""
    found = distances(fabric)
    rate, cut = bisection(fabric)
    sweep = _swept(fabric)
    return Structure(
        degree=degree(fabric),
        diameter=found.diameter,
        mean_distance=found.mean,
        injection_bytes_per_s=injection_bytes_per_s(fabric),
        bisection_bytes_per_s=rate,
        cut=cut,
        all_to_all_bytes_per_s=_rate(fabric, sweep),
        path_diversity=_ways(fabric, sweep),
        switch_loss=loss_of_switch(fabric),
        link_loss=loss_of_link(fabric),
    )


def all_to_all_bytes_per_s(fabric: Fabric) -> float:
    """What every chip can send at once, the same to each other chip, before the busiest link is full [B/s].

    Traffic takes shortest ways; where there are several it splits at every hop in proportion to the bandwidth of the
    links, evenly among equal ones. It is followed back from where it arrives, which is the same in sum, as every chip
    sends and receives alike (the accumulation is that of Brandes, Journal of Mathematical Sociology 25, 2001, 163-177).
    From one chip, averaged over the edges of a class, where the fabric looks the same from all; summed elsewhere.
    """
    return _rate(fabric, _swept(fabric))


def is_quick(fabric: Fabric) -> bool:
    """Whether the all-to-all bound and the path diversity take seconds rather than minutes."""
    return fabric.is_vertex_transitive or fabric.chips * len(fabric.indices) <= _MOST_QUICK


def path_diversity(fabric: Fabric) -> int:
    """Shortest ways without a common link between two chips that are farthest apart [1].

    The two are the first chip from which another is as far as the diameter, and the first such other. Parallel links
    count as ways of their own. A maximum flow over the edges that lie on shortest ways.
    """
    return _ways(fabric, _swept(fabric))


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Uniform traffic between all chips: load of every entry [1], and edges from each chip asked to the farthest [1].

    The chips asked are the first of the fabric: one where it looks the same from all, all of them elsewhere.
    """

    loads: NDArray[np.float64]
    farthest: NDArray[np.int64]


def _swept(fabric: Fabric) -> _Sweep:
    is_chip = chips_of(fabric)
    chips = np.flatnonzero(is_chip)
    if not fabric.is_vertex_transitive:
        return _Sweep(*_loads(fabric, chips, is_chip))
    one, farthest = _loads(fabric, chips[:1], is_chip)
    # both directions of an edge are of its class, and carry the same in sum over all chips
    totals = np.bincount(fabric.classes, weights=one) * len(chips) / np.bincount(fabric.classes)
    return _Sweep(totals[fabric.classes], farthest)


def _loads(
    fabric: Fabric, chips: NDArray[np.int64], is_chip: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Loads of the entries and the farthest of each chip, by whichever way answers sooner."""
    if len(chips) * len(fabric.indices) > _MOST_UNCOMPILED:
        from simulator.structure import kernels

        indices = fabric.indices.astype(np.int32)
        loads, farthest = kernels.uniform_loads_fast(chips, is_chip, fabric.indptr, indices, capacities(fabric))
        return loads, farthest
    found = [_loads_from(fabric, int(chip), is_chip) for chip in chips]
    return np.sum([loads for loads, _ in found], axis=0), np.array([farthest for _, farthest in found])


def _rate(fabric: Fabric, sweep: _Sweep) -> float:
    """Share of its traffic that every chip can send, times all of it [B/s]."""
    used = sweep.loads > 0
    if not used.any():
        return 0.0
    rates = capacities(fabric)[used]
    return float((rates / sweep.loads[used]).min() * (fabric.chips - 1))


def _ways(fabric: Fabric, sweep: _Sweep) -> int:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    chips = np.flatnonzero(chips_of(fabric))
    if len(chips) == 1:
        return 0
    first = int(sweep.farthest.argmax())
    hops = hops_from(fabric, int(chips[first]))
    last = chips[hops[chips] == sweep.farthest[first]][0]
    source, forward = _forward(fabric, hops)
    count = len(fabric.nodes)
    ways = csr_array(
        (fabric.links[forward].astype(np.int32), (source[forward], fabric.indices[forward])), (count, count)
    )
    return int(maximum_flow(ways, int(chips[first]), int(last)).flow_value)


def loss_of_link(fabric: Fabric) -> Loss:
    """What the loss of one physical link takes, at the chip and across the declared cut that it hurts most."""
    return _loss(fabric, fabric.bandwidth_bytes_per_s, by_switch=False)


def loss_of_switch(fabric: Fabric) -> Loss:
    """What the loss of one switch with all its links takes; nothing where there is none."""
    return _loss(fabric, capacities(fabric), by_switch=True)


def _loss(fabric: Fabric, lost: NDArray[np.float64], *, by_switch: bool) -> Loss:
    chips, count = chips_of(fabric), len(fabric.nodes)
    switches = np.array([kind == "switch" for kind in fabric.kinds])
    source, rates = sources(fabric), capacities(fabric) * ~fabric.scale_out
    at_chip = chips[source] & ~fabric.scale_out & (switches[fabric.indices] | (not by_switch))
    share = (lost / np.maximum(row_sums(fabric, rates)[source], 1.0))[at_chip]
    whole = left = np.inf
    for side in fabric.cuts.values():
        crosses = side[source] & ~side[fabric.indices]
        total = float(capacities(fabric)[crosses].sum())
        if by_switch:
            taken = sum(np.bincount(ends[crosses], lost[crosses], count) for ends in (source, fabric.indices))
            worst = float(np.max(taken * switches))
        else:
            worst = float(lost[crosses].max(initial=0.0))
        whole, left = min(whole, total), min(left, total - worst)
    return Loss(float(share.max(initial=0.0)), 1 - left / whole if 0 < whole < np.inf else 0.0)


def _forward(fabric: Fabric, hops: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The node that each entry leads from, and the entries that lead one edge farther out, nearest first."""
    source = sources(fabric)
    forward = np.flatnonzero(hops[fabric.indices] == hops[source] + 1)
    return source, forward[np.argsort(hops[source[forward]], kind="stable")]


def _loads_from(fabric: Fabric, chip: int, is_chip: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Load of every entry when ``chip`` sends 1 to every other, and edges to the farthest of them."""
    hops, count = hops_from(fabric, chip), len(fabric.nodes)
    source, forward = _forward(fabric, hops)
    bounds = np.searchsorted(hops[source[forward]], np.arange(hops.max() + 1))
    steps = [forward[a:b] for a, b in itertools.pairwise(bounds)]
    rates = capacities(fabric)
    arriving = np.bincount(fabric.indices[forward], rates[forward], count)
    loads = np.zeros(len(fabric.indices))
    passed = np.zeros(count)
    for step in reversed(steps):
        ends = fabric.indices[step]
        loads[step] = rates[step] / arriving[ends] * (is_chip[ends] + passed[ends])
        passed += np.bincount(source[step], loads[step], count)
    return loads, int(hops[is_chip].max())
