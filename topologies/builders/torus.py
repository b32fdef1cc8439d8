"""Tori of cubes whose faces are joined through optical circuit switches.

The switches are patch panels, not packet hops: they decide which cube faces meet, so any set of cubes makes a torus.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.machine import Level
from topologies.builders.common import not_legal
from topologies.builders.lattice import AXES, Lattice, Shape, lattice_graph, most_cubic

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx

    from simulator.figures import Draw
    from topologies.fabrics import Torus


def graph(fabric: Torus, draw: Draw | None = None) -> nx.Graph[str]:
    """The whole torus: one node a chip, one edge to each neighbour, every axis closed to a ring."""
    return slice_graph(fabric, fabric.dims, draw=draw)


def slice_graph(fabric: Torus, shape: Shape, *, wraps: bool = True, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips as a torus, or as a mesh where ``wraps`` is false.

    An axis of two chips that wraps has two parallel links where longer ones have two neighbours. Cuts lie across the
    axes of even length, which halve the chips; across all where none is even.
    """
    lattice = Lattice(shape, fabric.cube, (wraps,) * len(shape), (1.0,) * len(shape))
    return _cubes_graph(fabric, lattice, "torus" if wraps else "mesh", draw)


def twist_of(shape: Shape) -> dict[int, Shape]:
    """What each axis adds to the others where it closes, in the twisted torus of this shape; empty if it has none.

    k x k x 2k: closing x or y adds k to z, a face-centred cubic lattice. k x 2k x 2k: closing x adds k to y and z, a
    body-centred one (Camarero, Martinez and Beivide, "Lattice graphs for high-scale interconnection topologies",
    IEEE TPDS 26, 2015).
    """
    if len(shape) != 3:
        return {}
    k, middle, longest = shape
    if k > 1 and longest == 2 * k:
        if middle == k:
            return {0: (0, 0, k), 1: (0, 0, k)}
        if middle == 2 * k:
            return {0: (0, k, k)}
    return {}


def twistable(fabric: Torus, chips: int) -> list[Shape]:
    """The legal shapes of a slice of ``chips`` chips that may also be wired as twisted tori."""
    is_whole_cubes = chips % math.prod(fabric.cube) == 0
    return [shape for shape in shapes(fabric, chips) if fabric.is_twistable and is_whole_cubes and twist_of(shape)]


def twisted(fabric: Torus, shape: Shape, *, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips wired as a twisted torus.

    Raises
    ------
    InputError : the machine has no twisted slices, or none of this shape
    """
    name = "x".join(map(str, shape))
    if not fabric.is_twistable:
        raise InputError(f"{name} cannot be twisted on this machine", remedy="set is_twistable in its [fabric] table")
    if shape not in twistable(fabric, math.prod(shape)):
        raise InputError(f"{name} is no twisted torus of whole cubes", remedy="ask for k x k x 2k or k x 2k x 2k")
    count = len(shape)
    lattice = Lattice(shape, fabric.cube, (True,) * count, (1.0,) * count, twist_of(shape))
    return _cubes_graph(fabric, lattice, "twisted torus", draw)


def _cubes_graph(fabric: Torus, lattice: Lattice, kind: str, draw: Draw | None) -> nx.Graph[str]:
    title = f"{kind} {'x'.join(map(str, lattice.shape))}"
    media = ("copper", "ocs")
    built = lattice_graph(lattice, fabric.link, builder="torus", title=title, block_name="cube", media=media, draw=draw)
    built.graph["cube"] = fabric.cube
    return built


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
        return tuple(sorted(found, key=most_cubic))
    return tuple(shape for shape in _below_cube(cube) if math.prod(shape) == chips)


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
        if is_legal and chips < math.prod(cube) and (chips not in best or most_cubic(shape) < most_cubic(best[chips])):
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
        Level(f"{fabric.link.family}-{AXES[axis]}", "axis", side, fabric.link, 1, 1, wraps=wraps, block=min(cube, side))
        for axis, (side, cube) in enumerate(sides)
    )
