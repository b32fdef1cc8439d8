"""A collective on the flow level: the graph of its slice at the rates that software reaches, its ranks laid out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives import KINDS, Bounds, Priced, kind_id, price_in
from simulator.collectives.flow import FlowPriced, Job, Reducing, in_step, priced_in_step
from simulator.collectives.flow_bounds import flow_bounds
from simulator.collectives.group import group_of
from simulator.collectives.laid import NESTED, Laid, algorithms_laid, laid, levels_that_reduce, nest_of, rows_of
from simulator.collectives.over_time import priced_over_time
from simulator.collectives.patterns import default_routing
from simulator.collectives.rows.kernels import REDUCE_START
from simulator.errors import InputError, InternalError
from simulator.fabric import Fabric, capacities, chips_of, hops_from, sources
from simulator.faults import check_joined, damaged, read_fault
from simulator.figures import Draw
from simulator.routing.routes import machines

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import networkx as nx
    from numpy.typing import NDArray

    from simulator.collectives.group import Group
    from simulator.collectives.steps import Steps
    from simulator.machine import Link, Slice
    from topologies.schema import MachineEntry, NetworkEntry

    Real = NDArray[np.float64]
    Whole = NDArray[np.int64]

MOST_CHIPS = 16_384
"""Chips of a graph that is priced flow by flow at most; beyond, building it takes minutes."""
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Wired:
    """A slice as a graph, and what has been solved on it: for all sizes of a sweep.

    Parameters
    ----------
    part : the slice
    group : its chips under the stated figures
    whole : its graph; links carry what software reaches of them, and have their latency
    fabric : the same as it is, without what fails
    reach : share of the bandwidth that software reaches of links inside a machine, and between machines [1]
    reduces : how many times that is what switches that reduce reach of it [1]
    chips : node of each chip in the order in which ranks fill them
    start_s : software time at the start of every transfer [s]
    routing : name of the way of routing; empty for the fabric's own
    solved : schedules whose ranks keep step, solved once; None for those where they cannot
    """

    part: Slice
    group: Group
    whole: Fabric
    fabric: Fabric
    reach: tuple[float, float]
    reduces: tuple[float, float]
    chips: Whole
    start_s: float
    routing: str
    solved: dict[Hashable, Steps | None] = field(default_factory=dict)


@dataclass(frozen=True)
class FlowAnswer:
    """A collective priced on the flow level.

    Parameters
    ----------
    seconds : as its caller measures it, launch included [s]
    algorithm : that was run
    bottleneck : the busiest link, or ``latency`` where that takes longer
    bounds : of the graph as it is
    found : what the flow level says, without launch
    closed_s : what the closed form says of this algorithm [s]
    differs : why that is another time by design; empty where both are the same on an idle fabric
    whole_s : time on the fabric without faults [s]
    """

    seconds: float
    algorithm: str
    bottleneck: str
    bounds: Bounds
    found: FlowPriced
    closed_s: float
    differs: str
    whole_s: float


def graph_of_part(
    entry: MachineEntry, network: NetworkEntry, part: Slice, shape: tuple[int, ...], draw: Draw
) -> nx.Graph[str]:
    """The graph of a slice: of the whole machine, of a part of it, or of several that a network joins."""
    from topologies.builders import (
        builder_of,
        graph_of,
        legal_slice,
        legal_slice_of_chips,
        network_builder_of,
        part_of,
    )
    from topologies.fabrics import FixedTorus, Torus

    fabric = entry.fabric
    if isinstance(fabric, Torus | FixedTorus) and part.machines == 1:
        box = legal_slice(fabric, shape) if shape else legal_slice_of_chips(fabric, part.chips)
        return graph_of(fabric, box, draw)
    if part.machines == 1 and part.chips < part.machine.chips:
        fabric = part_of(fabric, part.chips)
    one = builder_of(fabric).graph(fabric, draw)
    if part.machines == 1:
        return one
    return network_builder_of(network.fabric).join(one, part.machines, network.fabric, draw)


def wire(
    name: str,
    part: Slice,
    *,
    hypothesis: str = "",
    shape: tuple[int, ...] = (),
    fails: Sequence[str] = (),
    routing: str = "",
) -> Wired:
    """The graph of a slice of a machine, a name or a file, at the rates that software reaches.

    Parameters
    ----------
    shape : of a slice of a torus; empty for the most cubic
    fails : links and switches that are dead or slow, see :func:`simulator.faults.read_fault`

    Raises
    ------
    InputError : a slice without a graph of its own, or of more than :data:`MOST_CHIPS` chips; chips that cannot reach
        each other, or cannot because of what fails
    """
    import topologies

    if part.chips > MOST_CHIPS:
        raise InputError(
            f"{part.chips:,} chips are too many for the flow level",
            where="--fidelity flow",
            remedy=f"ask for at most {MOST_CHIPS:,} chips, or the closed form",
        )
    entry, stated = topologies.entry(name, hypothesis), Draw()
    inner, outer = part.levels[0].link, part.machine.network.link
    values = {link.bandwidth.key: stated(link.bandwidth) * stated(link.fraction) for link in (entry.fabric.link, outer)}
    network = topologies.network_entry(part.machine.network.name)
    graph = graph_of_part(entry, network, part, shape, Draw(values))
    whole = Fabric.from_graph(graph)
    start_s = stated(inner.start)
    if part.machines > 1:
        whole = _with_start(whole, max(0.0, stated(outer.start) - start_s))
    chips = in_order(graph, whole)
    check_joined(whole, chips)
    fabric = damaged(whole, [read_fault(whole, text) for text in fails])
    check_joined(fabric, chips, where=f"--fail {' '.join(fails)}")
    return Wired(
        part=part,
        group=group_of(part),
        whole=whole,
        fabric=fabric,
        reach=(stated(entry.fabric.link.fraction), stated(outer.fraction)),
        reduces=(_reduces(entry.fabric.link, stated), _reduces(outer, stated)),
        chips=chips,
        start_s=start_s,
        routing=routing,
    )


def _reduces(link: Link, draw: Draw) -> float:
    return draw(link.reduction.fraction) / draw(link.fraction) if link.reduction else 1.0


def _with_start(fabric: Fabric, more_s: float) -> Fabric:
    """Transfers over the network start later: half of that on the way into its port, half on the way out of one."""
    from simulator.fabric import sources

    is_port = np.array([kind == "nic" for kind in fabric.kinds])
    is_chip = chips_of(fabric)
    head, tail = sources(fabric), fabric.indices
    bus = (is_port[head] & is_chip[tail]) | (is_chip[head] & is_port[tail])
    return dataclasses.replace(fabric, latency_s=fabric.latency_s + np.where(bus, more_s / 2, 0.0))


def in_order(graph: nx.Graph[str], fabric: Fabric) -> Whole:
    """Chips machine by machine; in it by coordinate, whose last axis runs fastest, or as the graph numbers them."""
    chips = np.flatnonzero(chips_of(fabric)).tolist()

    def place(node: int) -> tuple[int, tuple[int, ...]]:
        data = graph.nodes[fabric.nodes[node]]
        return int(data.get("machine", 0)), tuple(data.get("coord", ()))

    return np.array(sorted(chips, key=place), dtype=np.int64)


def chosen(kind: str, stated: Priced, *, is_named: bool) -> str:
    """The algorithm that the closed form chose, or the fastest of those with a schedule where that has none."""
    able = algorithms_laid(kind)
    if is_named or stated.algorithm in able:
        return stated.algorithm
    times = {name: seconds for name, seconds in stated.by_algorithm.items() if name in able}
    if not times:
        raise InputError(
            f"the flow level has no schedule of {kind} on these {stated.ranks} chips",
            where="--fidelity flow",
            remedy="ask the closed form",
        )
    return min(times, key=lambda name: times[name])


def switches_of(fabric: Fabric, ranks: Whole, *, is_network: bool) -> Whole:
    """The switches nearest to all ranks alike, each as often as a rank has links to it where these lead straight there.

    Those of the network between machines reduce only where ``is_network`` says so.

    Raises
    ------
    InputError : there is none
    """
    common: dict[int, int] = {}
    for number, rank in enumerate(ranks.tolist()):
        own = slice(fabric.indptr[rank], fabric.indptr[rank + 1])
        near = dict(zip(fabric.indices[own].tolist(), fabric.links[own].tolist(), strict=True))
        common = near if number == 0 else {node: min(n, near[node]) for node, n in common.items() if node in near}
    is_switch = np.array([kind == "switch" for kind in fabric.kinds])
    if (machines(fabric)[ranks] == machines(fabric)[ranks[0]]).all() or not is_network:
        is_switch &= np.bincount(sources(fabric)[fabric.scale_out], minlength=len(is_switch)) == 0
    found = [node for node, links in common.items() if is_switch[node] for _ in range(links)]
    if found:
        return np.array(found, dtype=np.int64)
    hops = np.array([hops_from(fabric, rank) for rank in ranks.tolist()])
    alike = np.flatnonzero(is_switch & (hops >= 0).all(axis=0) & (hops == hops[0]).all(axis=0))
    if not len(alike):
        raise InputError(
            "no switch is left that all chips reach, to reduce in", where="--algorithm", remedy="name another one"
        )
    return np.asarray(alike[hops[0, alike] == hops[0, alike].min()])


def job_of(wired: Wired, kind: str, algorithm: str, size_bytes: float, fabric: Fabric) -> tuple[Job, Laid]:
    """A collective laid out on a graph of :class:`Wired`, the whole one or that which is left."""
    switches: dict[int, list[Whole]] = {}
    if algorithm in NESTED:
        nest = nest_of(wired.part.levels)
        is_network = wired.part.machine.network.link.reduction is not None
        for level in levels_that_reduce(kind, algorithm, nest, wired.group, size_bytes):
            switches[level] = [
                switches_of(fabric, wired.chips[ranks], is_network=is_network) for ranks in nest.groups(level)
            ]
    planes = {level: [len(each) for each in found] for level, found in switches.items()}
    lay = laid(kind, algorithm, wired.part.levels, wired.group, size_bytes, planes)
    members = np.concatenate((wired.chips[lay.order], *(each for found in switches.values() for each in found)))
    reducing = _reducing(wired, fabric, list(switches)) if switches else None
    return Job(
        lay.schedule, members, size_bytes, wired.start_s, ramps=lay.ramps, reducing=reducing, trees=lay.trees
    ), lay


def _reducing(wired: Wired, fabric: Fabric, levels: Sequence[int]) -> Reducing:
    """The graph at the rates of switches that reduce, whose start holds the latency of both ways."""
    rate = fabric.bandwidth_bytes_per_s * np.where(fabric.scale_out, wired.reduces[1], wired.reduces[0])
    used = dataclasses.replace(fabric, bandwidth_bytes_per_s=rate, latency_s=np.zeros_like(rate))
    starts = rows_of(nest_of(wired.part.levels), wired.group)[:, REDUCE_START]
    return Reducing(used, {level: float(starts[level]) for level in levels})


def run(wired: Wired, kind: str, algorithm: str, size_bytes: float, fabric: Fabric) -> tuple[FlowPriced, Laid]:
    """Run one algorithm on a graph of :class:`Wired`, the whole one or that which is left; without launch."""
    job, lay = job_of(wired, kind, algorithm, size_bytes, fabric)
    key = (fabric is wired.whole, kind, algorithm, lay.chunks, job.schedule.reduces)
    if key not in wired.solved:
        wired.solved[key] = in_step(job, fabric, routing=wired.routing)
    steps = wired.solved[key]
    if steps is not None:
        return priced_in_step(steps, job, fabric), lay
    return priced_over_time([job], fabric, None, wired.routing or default_routing(fabric), 0.0)[0], lay


def priced_by_flow(kind: str, size_bytes: float, wired: Wired, *, algorithm: str = "") -> FlowAnswer:
    """Price one collective on the graph of its slice.

    Raises
    ------
    InputError : see :func:`simulator.collectives.laid.laid`
    InternalError : the result is below a lower bound
    """
    kind = KINDS[kind_id(kind)]
    stated = price_in(wired.group, kind, size_bytes, algorithm=algorithm)
    taken = chosen(kind, stated, is_named=bool(algorithm))
    whole, lay = run(wired, kind, taken, size_bytes, wired.whole)
    found = whole if wired.fabric is wired.whole else run(wired, kind, taken, size_bytes, wired.fabric)[0]
    bounds = bounds_here(wired, kind, taken, size_bytes, found)
    return FlowAnswer(
        seconds=checked(wired, kind, taken, found.seconds, bounds),
        algorithm=taken,
        bottleneck=found.busiest if found.link_s > bounds.latency_s else "latency",
        bounds=bounds,
        found=found,
        closed_s=stated.by_algorithm[taken],
        differs=lay.differs,
        whole_s=as_called(wired, whole.seconds),
    )


def bounds_here(wired: Wired, kind: str, algorithm: str, size_bytes: float, found: FlowPriced) -> Bounds:
    """The bounds of a collective on a graph whose links have all that the hardware gives."""
    fabric = wired.fabric
    reach = np.where(fabric.scale_out, wired.reach[1], wired.reach[0])
    capacity = capacities(fabric) / reach
    bounds = flow_bounds(kind_id(kind), size_bytes, algorithm, fabric, wired.chips, capacity, found.loads)
    return dataclasses.replace(bounds, latency_s=bounds.latency_s + wired.group.launch_s)


def as_called(wired: Wired, seconds: float) -> float:
    """The time that a caller sees, launch included [s]."""
    return max(wired.group.call_s, wired.group.launch_s + seconds)


def checked(wired: Wired, kind: str, algorithm: str, seconds: float, bounds: Bounds) -> float:
    """The time that a caller sees, which is above every bound [s].

    Raises
    ------
    InternalError : it is not
    """
    taken = as_called(wired, seconds)
    if taken < bounds.least_s * (1 - _ROUNDING):
        raise InternalError(
            f"{kind} by {algorithm} takes {taken:g} s on the flow level, below its bound of {bounds.least_s:g} s"
        )
    return taken
