"""The lattice under every torus and mesh: chips at whole coordinates, edges to neighbours, axes that may close."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.figures import Draw
from topologies.builders.common import add_links, edge, new_graph
from topologies.builders.wiring import Wiring

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.machine import Link

Shape = tuple[int, ...]
AXES = "xyzuvw"
_PAIR = 2


@dataclass(frozen=True)
class Lattice:
    """A box of chips.

    Parameters
    ----------
    shape : chips along each axis
    block : chips along each axis of the unit whose number a chip carries
    wraps : whether each axis closes to a ring
    shares : share of a link's bandwidth that links along each axis have [1]
    twist : axis -> what a link that closes this axis adds to the coordinate along every axis (none: a plain torus)
    """

    shape: Shape
    block: Shape
    wraps: tuple[bool, ...]
    shares: tuple[float, ...]
    twist: Mapping[int, Shape] = field(default_factory=dict)

    @property
    def looks_alike(self) -> bool:
        """Whether it looks the same from every chip: each axis closes, or has no more than two chips."""
        return all(wraps or side <= 2 for wraps, side in zip(self.wraps, self.shape, strict=True))


def grid(
    shape: Shape,
    link: Link,
    *,
    wraps: tuple[bool, ...] = (),
    shares: tuple[float, ...] = (),
    draw: Draw | None = None,
) -> nx.Graph[str]:
    """An n-dimensional torus or mesh from plain parameters.

    Parameters
    ----------
    shape : chips along each axis, at least one axis [1]
    link : what joins two neighbours
    wraps : whether each axis closes to a ring (all do if empty)
    shares : share of a link's bandwidth that links along each axis have, above 0 to 1 (all 1 if empty) [1]
    draw : which values uncertain figures take (the stated ones if none)

    Raises
    ------
    InputError : no axis or too many, a side below one, a wrap or share for some axes only, a share out of bounds
    """
    count = len(shape)
    name = written(shape)
    if not 1 <= count <= len(AXES) or min(shape) < 1:
        raise InputError(f"{name or 'nothing'} is no shape", remedy=f"name 1 to {len(AXES)} sides of 1 chip or more")
    for given in (wraps, shares):
        if given and len(given) != count:
            raise InputError(f"{given} is not one for each axis of {name}", remedy=f"name {count}, or none")
    if not all(0 < share <= 1 for share in shares):
        raise InputError(f"{shares} are no shares of a link", remedy="name numbers above 0, up to 1")
    wraps, shares = wraps or (True,) * count, shares or (1.0,) * count
    lattice = Lattice(shape, (*(1,) * (count - 1), shape[-1]), wraps, shares)
    return lattice_graph(
        lattice, link, builder="fixed-torus", title=f"{kind_of(shape, wraps)} {name}", block_name="node", draw=draw
    )


def kind_of(shape: Shape, wraps: tuple[bool, ...]) -> str:
    """What a box of chips is called: a chip, a torus, a mesh, or a cylinder where only some of its axes close."""
    closed = [wrap for wrap, side in zip(wraps, shape, strict=True) if side > 1]
    if not closed:
        return "chip"
    return "torus" if all(closed) else "cylinder" if any(closed) else "mesh"


def written(shape: Sequence[int]) -> str:
    """A shape as people write it: ``4x4x8``."""
    return "x".join(map(str, shape))


def lattice_graph(
    lattice: Lattice,
    link: Link,
    *,
    builder: str,
    title: str,
    block_name: str,
    media: tuple[str, str] = ("copper", "copper"),
    draw: Draw | None = None,
) -> nx.Graph[str]:
    """The lattice as a graph; ``media`` of links inside a block and of those that leave it or close an axis.

    An axis of two chips that closes has two parallel links where longer ones have two neighbours. Cuts lie across the
    axes of even length, which halve the chips; across all where none is even.
    """
    draw = draw or Draw()
    shape = lattice.shape
    built = new_graph(builder, title, link)
    built.graph.update(dims=shape, vertex_transitive=lattice.looks_alike)
    coordinates = list(itertools.product(*map(range, shape)))
    blocks = tuple(math.ceil(side / block) for side, block in zip(shape, lattice.block, strict=True))
    block_strides, steps = strides(blocks), strides(shape)
    names = [f"chip{i}" for i in range(len(coordinates))]

    def block_of(coord: Shape) -> int:
        return sum(c // k * s for c, k, s in zip(coord, lattice.block, block_strides, strict=True))

    built.add_nodes_from(
        (name, {"kind": "chip", "coord": coord, block_name: block_of(coord)})
        for name, coord in zip(names, coordinates, strict=True)
    )
    for axis, side in enumerate(shape):
        if side == 1:
            continue
        inside, leaving = (edge(link, draw, medium=medium, plane=axis, share=lattice.shares[axis]) for medium in media)
        for index, coord in enumerate(coordinates):
            at = coord[axis]
            if at + 1 < side:
                crosses = (at + 1) % lattice.block[axis] == 0
                add_links(built, names[index], names[index + steps[axis]], leaving if crosses else inside)
            elif lattice.wraps[axis]:
                first = list(coord)
                first[axis] = 0
                for other, shift in enumerate(lattice.twist.get(axis, ())):
                    first[other] = (first[other] + shift) % shape[other]
                closing = sum(c * s for c, s in zip(first, steps, strict=True))
                add_links(built, names[index], names[closing], leaving)
    is_any_even = any(side % 2 == 0 for side in shape)
    for axis, side in enumerate(shape):
        if side > 1 and (side % 2 == 0 or not is_any_even):
            built.graph["cuts"][f"axis {AXES[axis]}"] = [
                name for name, coord in zip(names, coordinates, strict=True) if coord[axis] < side // 2
            ]
    if not built.graph["cuts"]:
        built.graph["cuts"]["no axis"] = []  # a single chip: nothing to cut
    return built


def lattice_arrays(lattice: Lattice, link: Link, *, title: str, draw: Draw | None = None) -> Fabric:
    """What :func:`lattice_graph` makes, in arrays."""
    draw = draw or Draw()
    shape = lattice.shape
    wiring = Wiring(title)
    chips = wiring.add("chip", [f"chip{i}" for i in range(math.prod(shape))])
    coordinates = np.indices(shape).reshape(len(shape), -1)
    steps = strides(shape)
    is_any_even, is_cut = any(side % 2 == 0 for side in shape), False
    for axis, side in enumerate(shape):
        if side == 1:
            continue
        one = edge(link, draw, medium="", plane=axis, share=lattice.shares[axis])
        shift = lattice.twist.get(axis, (0,) * len(shape))
        at, step = coordinates[axis], steps[axis]
        low, last = chips[at + 1 < side], chips[at + 1 == side]
        if lattice.wraps[axis] and side == _PAIR and not any(shift):
            wiring.join(low, low + step, one | {"links": 2})
        else:
            wiring.join(low, low + step, one)
            if lattice.wraps[axis]:
                first = coordinates[:, last]
                first[axis] = 0
                first = (first + np.array(shift)[:, None]) % np.array(shape)[:, None]
                wiring.join(last, np.array(steps) @ first, one)
        if side % 2 == 0 or not is_any_even:
            wiring.cut(f"axis {AXES[axis]}", chips[at < side // 2])
            is_cut = True
    if not is_cut:
        wiring.cut("no axis")  # a single chip: nothing to cut
    return wiring.fabric(is_vertex_transitive=lattice.looks_alike, coordinates=coordinates.T.copy())


def strides(shape: Shape) -> Shape:
    """How far apart in row-major order neighbours along each axis lie."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def most_cubic(shape: Shape) -> tuple[int, Shape]:
    """What to sort shapes of the same number of chips by, so that the most cubic comes first."""
    return sum(shape), shape
