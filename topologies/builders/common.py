"""What every builder shares: its interface, the attributes of nodes and edges, and the error for an illegal slice.

Conventions of the graphs (all builders, all machines):

* nodes are named ``chip0``, ``cpu3``, ``nic1``, ``leaf2`` …; ``kind`` is ``chip``, ``cpu``, ``nic`` or ``switch``;
  a switch has its ``tier`` (1 is next to the chips) and ``plane``; a chip has its ``node`` and whatever larger unit the
  machine is made of (``cube``, ``rack``, ``group``).
* edges have ``bandwidth_bytes_per_s`` (one direction of one physical link), ``links`` (how many in parallel),
  ``latency_s`` (one hop), ``medium``, ``domain`` (``scale_up`` or ``scale_out``) and ``plane``.
* ``graph.graph["cuts"]`` maps the name of each declared cut to the nodes on its one side; every cut has half of the
  chips on each side (the smaller half where they are odd), so the least of them bounds the bisection from above.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.figures import Draw
    from simulator.machine import Level, Link, Reach


@dataclass(frozen=True)
class Builder:
    """How a machine of one kind is wired and cut.

    Parameters
    ----------
    graph : ``graph(fabric, draw=None)`` -> the whole machine as a graph
    arrays : ``arrays(fabric, draw=None)`` -> what :meth:`simulator.fabric.Fabric.from_graph` makes of that graph,
        without making one
    levels : ``levels(fabric, chips)`` -> the levels of a legal slice, innermost first; an illegal number of chips is an
        :class:`simulator.errors.InputError` that names the nearest legal ones
    legal_chips : ``legal_chips(fabric)`` -> every legal number of chips, ascending
    """

    graph: Callable[..., nx.Graph[str]]
    arrays: Callable[..., Fabric]
    levels: Callable[..., tuple[Level, ...]]
    legal_chips: Callable[..., tuple[int, ...]]


@dataclass(frozen=True)
class NetworkBuilder:
    """How a network of one kind joins several machines.

    Parameters
    ----------
    reaches : ``reaches(fabric)`` -> how many nodes each further tier of switches reaches, and at what cost, ascending
    join : ``join(machine_graph, machines, fabric, draw=None)`` -> one graph of all machines, their ports and switches
    join_arrays : the same of the arrays of a machine, as :meth:`simulator.fabric.Fabric.from_graph` makes them
    """

    reaches: Callable[..., tuple[Reach, ...]]
    join: Callable[..., nx.Graph[str]]
    join_arrays: Callable[..., Fabric]


def new_graph(builder: str, title: str, link: Link) -> nx.Graph[str]:
    """An empty graph that says who builds it, its title, and how sure its link bandwidth [B/s] and latency are."""
    import networkx as nx

    return nx.Graph(
        name=title,
        builder=builder,
        family=link.family,
        bandwidth_low=link.bandwidth.si_low,
        bandwidth_value=link.bandwidth.si,
        bandwidth_high=link.bandwidth.si_high,
        bandwidth_kind=link.bandwidth.kind,
        latency_kind=link.latency.kind,
        cuts={},
        vertex_transitive=True,
    )


def edge(link: Link, draw: Draw, *, links: int = 1, medium: str, plane: int = 0, share: float = 1.0) -> dict[str, Any]:
    """Attributes of an edge of ``links`` physical links, each with ``share`` of the bandwidth of ``link``."""
    return {
        "bandwidth_bytes_per_s": draw(link.bandwidth) * share,
        "links": links,
        "latency_s": draw(link.latency),
        "medium": medium,
        "domain": "scale_up",
        "plane": plane,
    }


def add_links(built: nx.Graph[str], one: str, other: str, attributes: dict[str, Any]) -> None:
    """Join two nodes by more physical links; those that lie there already add up, and look like the last."""
    links = built.edges[one, other]["links"] if built.has_edge(one, other) else 0
    built.add_edge(one, other, **{**attributes, "links": links + attributes["links"]})


def not_legal(chips: int, legal: Sequence[int], what: str) -> InputError:
    """The error for a number of chips that no slice has, with the nearest legal numbers on both sides."""
    at = bisect.bisect_left(legal, chips)
    nearest = [str(count) for count in legal[max(0, at - 1) : at + 1]]
    return InputError(f"{chips} chips are no legal slice of {what}", remedy=f"try {' or '.join(nearest)}")


def nested_legal(sizes: Sequence[int]) -> tuple[int, ...]:
    """Legal numbers of chips where units nest, ``sizes[0]`` chips in the innermost: parts of one, then whole ones."""
    units = itertools.accumulate(sizes, operator.mul, initial=1)
    found = {unit * count for unit, size in zip(units, sizes, strict=False) for count in range(1, size + 1)}
    return tuple(sorted(found))


def nested_members(chips: int, sizes: Sequence[int], what: str) -> tuple[int, ...]:
    """How many members of each of the nested units a slice of ``chips`` chips has, innermost first.

    Raises
    ------
    InputError : no slice of ``what`` has this many chips
    """
    members = []
    left = chips
    for size in sizes:
        whole, rest = divmod(left, size)
        if left > size and rest:
            break
        members.append(min(left, size))
        left = max(whole, 1)
    if chips < 1 or len(members) < len(sizes) or math.prod(members) != chips:
        raise not_legal(chips, nested_legal(sizes), what)
    return tuple(members)


def mostly_inside(chips: int, units: int) -> int:
    """How many of the equal ``units`` that ``chips`` chips are made of have more than half of theirs in the first half.

    >>> mostly_inside(48, 4), mostly_inside(48, 3), mostly_inside(3, 3)
    (2, 1, 1)
    """
    whole, rest = divmod(chips // 2, chips // units)
    return whole + (2 * rest > chips // units)
