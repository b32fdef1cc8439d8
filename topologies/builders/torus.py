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
from topologies.builders.lattice import AXES, Lattice, Shape, lattice_arrays, lattice_graph, most_cubic, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.figures import Draw
    from topologies.fabrics import Torus


def graph(fabric: Torus, draw: Draw | None = None) -> nx.Graph[str]:
    """The whole torus: one node a chip, one edge to each neighbour, every axis closed to a ring."""
    return slice_graph(fabric, fabric.dims, draw=draw)


def slice_graph(fabric: Torus, shape: Shape, *, wraps: bool | None = None, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips, a torus where ``wraps`` is true, else a mesh; as :func:`closes` has it if not said.

    An axis of two chips that wraps has two parallel links where longer ones have two neighbours. Cuts lie across the
    axes of even length, which halve the chips; across all where none is even.
    """
    return _cubes_graph(fabric, _plain(fabric, shape, wraps=wraps), draw)


def arrays(fabric: Torus, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    return slice_arrays(fabric, fabric.dims, draw=draw)


def slice_arrays(fabric: Torus, shape: Shape, *, wraps: bool | None = None, draw: Draw | None = None) -> Fabric:
    """What :func:`slice_graph` makes, in arrays."""
    lattice = _plain(fabric, shape, wraps=wraps)
    return lattice_arrays(lattice, fabric.link, title=_title(lattice), draw=draw)


def _plain(fabric: Torus, shape: Shape, *, wraps: bool | None) -> Lattice:
    wraps = closes(fabric, shape) if wraps is None else wraps
    return Lattice(shape, fabric.cube, (wraps,) * len(shape), (1.0,) * len(shape))


def closes(fabric: Torus, shape: Shape) -> bool:
    """Whether a legal slice of this shape is made of whole cubes: its axes then close, all of them."""
    return math.prod(shape) % math.prod(fabric.cube) == 0


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
    if not fabric.is_twistable:
        return []
    return [shape for shape in shapes(fabric, chips) if closes(fabric, shape) and twist_of(shape)]


def twisted(fabric: Torus, shape: Shape, *, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips wired as a twisted torus.

    Raises
    ------
    InputError : the machine has no twisted slices, or none of this shape; names those near it
    """
    return _cubes_graph(fabric, _twisted(fabric, shape), draw)


def twisted_arrays(fabric: Torus, shape: Shape, *, draw: Draw | None = None) -> Fabric:
    """What :func:`twisted` makes, in arrays, or the same error."""
    lattice = _twisted(fabric, shape)
    return lattice_arrays(lattice, fabric.link, title=_title(lattice), draw=draw)


def _twisted(fabric: Torus, shape: Shape) -> Lattice:
    check_twist(fabric, shape)
    count = len(shape)
    return Lattice(shape, fabric.cube, (True,) * count, (1.0,) * count, twist_of(shape))


def check_twist(fabric: Torus, shape: Shape, *, where: str = "") -> None:
    """Check that a slice of this shape may be wired as a twisted torus; see :func:`twisted`."""
    name = written(shape)
    turned = [each for each in legal_shapes(fabric) if closes(fabric, each) and twist_of(each)]
    if not fabric.is_twistable:
        could = [name] if shape in turned else near(turned, shape)
        wiring = f"; {' and '.join(could)} could then be" if turned else ""
        raise InputError(
            f"{name} cannot be twisted on this machine, which is not known to wire twisted slices",
            where=where,
            remedy=f"set is_twistable in the [fabric] table of a machine file of your own{wiring}",
        )
    if shape not in turned:
        remedy = f"try {' or '.join(near(turned, shape))}" if turned else "this machine has none; leave the twist out"
        raise InputError(f"{name} is no twisted torus of whole cubes", where=where, remedy=remedy)


def near(known: Sequence[Shape], shape: Shape) -> list[str]:
    """Of shapes that ascend in chips, the last that has no more chips than ``shape`` and the first that has more."""
    chips = math.prod(shape)
    smaller = [each for each in known if math.prod(each) <= chips and each != shape]
    larger = [each for each in known if math.prod(each) > chips]
    return [written(each) for each in (*smaller[-1:], *larger[:1])]


def _title(lattice: Lattice) -> str:
    kind = "twisted torus" if lattice.twist else "torus" if all(lattice.wraps) else "mesh"
    return f"{kind} {written(lattice.shape)}"


def _cubes_graph(fabric: Torus, lattice: Lattice, draw: Draw | None) -> nx.Graph[str]:
    title = _title(lattice)
    media = ("copper", "ocs")
    built = lattice_graph(lattice, fabric.link, builder="torus", title=title, block_name="cube", media=media, draw=draw)
    built.graph["cube"] = fabric.cube
    return built


def shapes(fabric: Torus, chips: int) -> list[Shape]:
    """The legal shapes of a slice of ``chips`` chips, most cubic first; empty where there is none.

    Whole cubes in any arrangement, as the optical switches join any of them; a shape stands for all its rotations, and
    is named with its sides ascending where the sides of the cube are equal. Where the cubes of a slice are limited,
    the whole machine has its own shape alone. Below one cube: a single chip, and the most cubic box of each power of
    two with sides that are powers of two and at most one of them 1.
    """
    return list(_shapes(fabric.dims, fabric.cube, fabric.most_slice_cubes, chips))


@lru_cache(maxsize=4096)
def _shapes(dims: Shape, cube: Shape, most: int | None, chips: int) -> tuple[Shape, ...]:
    cubes, rest = divmod(chips, math.prod(cube))
    whole = math.prod(dims) // math.prod(cube)
    if chips >= 1 and rest == 0 and cubes <= (most or whole):
        found = {
            ascending(tuple(m * side for m, side in zip(factors, cube, strict=True)), cube)
            for factors in _factorisations(cubes, len(cube))
        }
        return tuple(sorted(found, key=most_cubic))
    if chips == math.prod(dims):
        return (ascending(dims, cube),)
    return tuple(shape for shape in _below_cube(cube) if math.prod(shape) == chips)


def ascending(shape: Shape, cube: Shape) -> Shape:
    """The rotation of a shape by which it is named: sides ascend among the axes along which a cube is equally long."""
    left = {side: sorted(s for s, c in zip(shape, cube, strict=True) if c == side) for side in cube}
    return tuple(left[side].pop(0) for side in cube)


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
        shape, chips = ascending(sides, cube), math.prod(sides)
        is_legal = chips == 1 or shape.count(1) <= 1
        if is_legal and chips < math.prod(cube) and (chips not in best or most_cubic(shape) < most_cubic(best[chips])):
            best[chips] = shape
    return tuple(best[chips] for chips in sorted(best))


def legal_chips(fabric: Torus) -> tuple[int, ...]:
    """The published slices below a cube, every number of whole cubes that a slice may have, the whole machine."""
    cube, whole = math.prod(fabric.cube), math.prod(fabric.dims)
    below = (math.prod(shape) for shape in _below_cube(fabric.cube))
    most = min(fabric.most_slice_cubes or whole // cube, whole // cube)
    return (*below, *(cube * n for n in range(1, most + 1)), *([whole] if most < whole // cube else []))


def legal_shapes(fabric: Torus) -> list[Shape]:
    """The shape of every legal slice, chips ascending, the most cubic first among equals."""
    return [shape for chips in legal_chips(fabric) for shape in shapes(fabric, chips)]


def levels(fabric: Torus, chips: int) -> tuple[Level, ...]:
    """The levels of the most cubic legal shape of ``chips`` chips; see :func:`levels_of_shape`."""
    candidates = shapes(fabric, chips)
    if not candidates:
        raise not_legal(chips, legal_chips(fabric), what(fabric))
    return levels_of_shape(fabric, candidates[0])


def levels_of_shape(fabric: Torus, shape: Shape) -> tuple[Level, ...]:
    """One level for each axis longer than one chip, shortest axis innermost."""
    sides = [(side, cube) for side, cube in zip(shape, fabric.cube, strict=True) if side > 1]
    wraps = closes(fabric, shape)
    return tuple(
        Level(f"{fabric.link.family}-{AXES[axis]}", "axis", side, fabric.link, 1, 1, wraps=wraps, block=min(cube, side))
        for axis, (side, cube) in enumerate(sides)
    )


def what(fabric: Torus) -> str:
    """What a slice is cut from, as error messages name it."""
    return f"a torus of {written(fabric.cube)} cubes"
