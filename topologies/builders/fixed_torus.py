"""Tori and meshes that are soldered or cabled once: a slice is a box of them, open along axes that it does not span."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from simulator.machine import Level
from topologies.builders.common import not_legal
from topologies.builders.lattice import (
    AXES,
    Lattice,
    Shape,
    kind_of,
    lattice_arrays,
    lattice_graph,
    most_cubic,
    written,
)

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.figures import Draw
    from topologies.fabrics import FixedTorus


def graph(fabric: FixedTorus, draw: Draw | None = None) -> nx.Graph[str]:
    """The whole machine: one node a chip, one edge to each neighbour; ``node`` counts lines of the last axis."""
    return slice_graph(fabric, fabric.dims, draw=draw)


def slice_graph(fabric: FixedTorus, shape: Shape, *, draw: Draw | None = None) -> nx.Graph[str]:
    """A slice of ``shape`` chips, closed along those axes that wrap and that it spans."""
    lattice = _lattice(fabric, shape)
    return lattice_graph(
        lattice, fabric.link, builder="fixed-torus", title=_title(lattice), block_name="node", draw=draw
    )


def arrays(fabric: FixedTorus, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    return slice_arrays(fabric, fabric.dims, draw=draw)


def slice_arrays(fabric: FixedTorus, shape: Shape, *, draw: Draw | None = None) -> Fabric:
    """What :func:`slice_graph` makes, in arrays."""
    lattice = _lattice(fabric, shape)
    return lattice_arrays(lattice, fabric.link, title=_title(lattice), draw=draw)


def _lattice(fabric: FixedTorus, shape: Shape) -> Lattice:
    return Lattice(shape, (*(1,) * (len(shape) - 1), shape[-1]), wraps(fabric, shape), shares(fabric))


def _title(lattice: Lattice) -> str:
    return f"{kind_of(lattice.shape, lattice.wraps)} {written(lattice.shape)}"


def shares(fabric: FixedTorus) -> tuple[float, ...]:
    """Share of the bandwidth of the link that links along each axis have [1]."""
    return fabric.share or (1.0,) * len(fabric.dims)


def wraps(fabric: FixedTorus, shape: Shape) -> tuple[bool, ...]:
    """Which axes of a slice close to a ring: those that wrap in the machine and that the slice spans."""
    whole_wraps = fabric.wraps or (True,) * len(fabric.dims)
    return tuple(wrap and side == whole for wrap, side, whole in zip(whole_wraps, shape, fabric.dims, strict=True))


def shapes(fabric: FixedTorus, chips: int) -> list[Shape]:
    """The legal shapes of a slice of ``chips`` chips, axis by axis, the most cubic first; empty where there is none."""
    return list(_by_chips(fabric.dims, fabric.slices).get(chips, ()))


@lru_cache(maxsize=256)
def _by_chips(dims: Shape, slices: tuple[Shape, ...]) -> dict[int, tuple[Shape, ...]]:
    """Legal shapes by their number of chips, ascending: one chip, the listed ones, the whole."""
    found: dict[int, set[Shape]] = {}
    for shape in ((1,) * len(dims), *slices, dims):
        found.setdefault(math.prod(shape), set()).add(shape)
    return {chips: tuple(sorted(found[chips], key=most_cubic)) for chips in sorted(found)}


def legal_chips(fabric: FixedTorus) -> tuple[int, ...]:
    """One chip, the listed shapes, the whole machine."""
    return tuple(_by_chips(fabric.dims, fabric.slices))


def legal_shapes(fabric: FixedTorus) -> list[Shape]:
    """The shape of every legal slice, chips ascending, the most cubic first among equals."""
    return [shape for known in _by_chips(fabric.dims, fabric.slices).values() for shape in known]


def levels(fabric: FixedTorus, chips: int) -> tuple[Level, ...]:
    """The levels of the most cubic legal shape of ``chips`` chips; see :func:`levels_of_shape`."""
    candidates = shapes(fabric, chips)
    if not candidates:
        raise not_legal(chips, legal_chips(fabric), what(fabric))
    return levels_of_shape(fabric, candidates[0])


def levels_of_shape(fabric: FixedTorus, shape: Shape) -> tuple[Level, ...]:
    """One level for each axis longer than one chip, in the order of ``dims``.

    A link of an axis with a share of the bandwidth counts as that share of a link.
    """
    return tuple(
        Level(f"{fabric.link.family}-{AXES[axis]}", "axis", side, fabric.link, share, 1, wraps=closed)
        for axis, (side, share, closed) in enumerate(zip(shape, shares(fabric), wraps(fabric, shape), strict=True))
        if side > 1
    )


def what(fabric: FixedTorus) -> str:
    """What a slice is cut from, as error messages name it."""
    return f"a fixed torus of {written(fabric.dims)} chips"
