"""Tori of cubes whose faces are joined through optical circuit switches.

The switches are patch panels, not packet hops: they decide which cube faces meet, so any set of cubes makes a torus.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import edge, new_graph, not_legal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx

    from topologies.fabrics import Torus

Shape = tuple[int, ...]
_AXES = "xyzuvw"


def graph(fabric: Torus, draw: Draw | None = None) -> nx.Graph[str]:
    """The whole torus: one node a chip, one edge to each neighbour, every axis closed to a ring."""
    return slice_graph(fabric, fabric.dims, draw=draw)


def slice_graph(fabric: Torus, shape: Shape, *, wraps: bool = True, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips as a torus, or as a mesh where ``wraps`` is false.

    An axis of two chips that wraps has two parallel links where longer ones have two neighbours. Cuts lie across the
    axes of even length, which halve the chips; across all where none is even.
    """
    draw = draw or Draw()
    title = f"{'torus' if wraps else 'mesh'} {'x'.join(map(str, shape))}"
    built = new_graph("torus", title, fabric.link)
    built.graph.update(dims=shape, cube=fabric.cube, vertex_transitive=wraps)
    coordinates = list(itertools.product(*map(range, shape)))
    cubes = tuple(math.ceil(side / cube) for side, cube in zip(shape, fabric.cube, strict=True))
    cube_strides, strides = _strides(cubes), _strides(shape)
    names = [f"chip{i}" for i in range(len(coordinates))]

    def cube_of(coord: Shape) -> int:
        return sum(c // k * s for c, k, s in zip(coord, fabric.cube, cube_strides, strict=True))

    built.add_nodes_from(
        (name, {"kind": "chip", "coord": coord, "cube": cube_of(coord)})
        for name, coord in zip(names, coordinates, strict=True)
    )
    for axis, (side, inside, stride) in enumerate(zip(shape, fabric.cube, strides, strict=True)):
        if side == 1:
            continue
        copper, optical, double = (
            edge(fabric.link, draw, medium="copper", plane=axis),
            edge(fabric.link, draw, medium="ocs", plane=axis),
            edge(fabric.link, draw, medium="ocs", plane=axis, links=2),
        )
        for index, coord in enumerate(coordinates):
            at = coord[axis]
            if at + 1 < side:
                crosses = (at + 1) % inside == 0
                attributes = double if wraps and side == 2 else optical if crosses else copper
                built.add_edge(names[index], names[index + stride], **attributes)
            elif wraps and side > 2:
                built.add_edge(names[index], names[index - (side - 1) * stride], **optical)
        if side % 2 == 0 or not any(other % 2 == 0 for other in shape):
            built.graph["cuts"][f"axis {_AXES[axis]}"] = [
                name for name, coord in zip(names, coordinates, strict=True) if coord[axis] < side // 2
            ]
    return built


def _strides(shape: Shape) -> Shape:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def shapes(fabric: Torus, chips: int) -> list[Shape]:
    """The legal shapes of a slice of ``chips`` chips, sides ascending, most cubic first; empty where there is none.

    Whole cubes in any arrangement, as the optical switches join any of them. Below one cube: a single chip, and the
    most cubic box of each power of two with sides that are powers of two and at most one of them 1.
    """
    return list(_shapes(fabric.dims, fabric.cube, chips))


@lru_cache(maxsize=4096)
def _shapes(dims: Shape, cube: Shape, chips: int) -> tuple[Shape, ...]:
    cubes, rest = divmod(chips, math.prod(cube))
    if chips >= 1 and rest == 0 and cubes <= math.prod(dims) // math.prod(cube):
        found = {
            tuple(sorted(m * side for m, side in zip(factors, cube, strict=True)))
            for factors in _factorisations(cubes, len(cube))
        }
        return tuple(sorted(found, key=_cubic))
    return tuple(shape for shape in _below_cube(cube) if math.prod(shape) == chips)


def _cubic(shape: Shape) -> tuple[int, Shape]:
    return sum(shape), shape


def _factorisations(number: int, parts: int) -> Iterator[Shape]:
    if parts == 1:
        yield (number,)
        return
    for first in range(1, number + 1):
        if number % first == 0:
            yield from ((first, *rest) for rest in _factorisations(number // first, parts - 1))


@lru_cache(maxsize=64)
def _below_cube(cube: Shape) -> tuple[Shape, ...]:
    """The published slices smaller than a cube, ascending: 1, then for a 4x4x4 cube 1x2x2, 2x2x2, 2x2x4, 2x4x4."""
    powers = [[2**i for i in range(side.bit_length()) if 2**i <= side] for side in cube]
    best: dict[int, Shape] = {}
    for sides in itertools.product(*powers):
        shape, chips = tuple(sorted(sides)), math.prod(sides)
        is_legal = chips == 1 or shape.count(1) <= 1
        if is_legal and chips < math.prod(cube) and (chips not in best or _cubic(shape) < _cubic(best[chips])):
            best[chips] = shape
    return tuple(best[chips] for chips in sorted(best))


def legal_chips(fabric: Torus) -> tuple[int, ...]:
    """The published slices below a cube, then every number of whole cubes."""
    cube = math.prod(fabric.cube)
    below = (math.prod(shape) for shape in _below_cube(fabric.cube))
    return (*below, *(cube * n for n in range(1, math.prod(fabric.dims) // cube + 1)))


def levels(fabric: Torus, chips: int) -> tuple[Level, ...]:
    """One level for each axis longer than one chip, shortest axis innermost, of the most cubic legal shape."""
    candidates = _shapes(fabric.dims, fabric.cube, chips)
    if not candidates:
        raise not_legal(chips, legal_chips(fabric), f"a torus of {'x'.join(map(str, fabric.cube))} cubes")
    wraps = chips % math.prod(fabric.cube) == 0
    sides = [(side, cube) for side, cube in zip(candidates[0], fabric.cube, strict=True) if side > 1]
    return tuple(
        Level(
            f"{fabric.link.family}-{_AXES[axis]}", "axis", side, fabric.link, 1, 1, wraps=wraps, block=min(cube, side)
        )
        for axis, (side, cube) in enumerate(sides)
    )
