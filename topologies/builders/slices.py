"""Slices of tori by their shape: which are legal, what is nearest to one that is not, their graphs and levels."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Draw
from topologies.builders import fixed_torus, torus
from topologies.builders.lattice import Shape, kind_of, written
from topologies.fabrics import FixedTorus, Torus, tag_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.machine import Level, Link
    from topologies.fabrics import MachineFabric

MOST_LISTED = 512
"""Most cubes of a torus whose slices are listed shape by shape."""


@dataclass(frozen=True)
class LegalSlice:
    """One shape in which a user gets chips of a torus.

    Parameters
    ----------
    shape : chips along each axis
    wraps : whether each axis closes to a ring
    shares : share of a link's bandwidth that links along each axis have [1]
    link : the link to a neighbour
    is_twistable : whether the machine also wires it as a twisted torus
    """

    shape: Shape
    wraps: tuple[bool, ...]
    shares: tuple[float, ...]
    link: Link
    is_twistable: bool

    @property
    def chips(self) -> int:
        """Chips [1]."""
        return math.prod(self.shape)

    @property
    def kind(self) -> str:
        """``torus``, ``cylinder``, ``mesh`` or ``chip``."""
        return kind_of(self.shape, self.wraps)

    def bisection_per_chip_bytes_per_s(self, draw: Draw | None = None) -> float:
        r"""Bisection over all chips, one direction, as the declared cuts of the graph have it [B/s].

        .. math:: \min_a \frac{r_a s_a B}{d_a}

        over the axes of even length (all, where none is even) of :math:`d_a` chips, with :math:`r_a` 2 where the axis
        closes and 1 where it is open, and the share :math:`s_a` of the bandwidth :math:`B` of a link; 0 for one chip.
        A twist leaves it alone or raises it.

        References: Dally and Towles, Principles and Practices of Interconnection Networks, 2004, chapter 5.
        """
        axes = [axis for axis, side in enumerate(self.shape) if side > 1]
        axes = [axis for axis in axes if self.shape[axis] % 2 == 0] or axes
        rates = [(2 if self.wraps[axis] else 1) * self.shares[axis] / self.shape[axis] for axis in axes]
        return min(rates, default=0.0) * (draw or Draw())(self.link.bandwidth)


def legal_slices(fabric: MachineFabric) -> list[LegalSlice]:
    """Every legal slice of a torus by shape, chips ascending, the most cubic first; empty for other fabrics.

    Raises
    ------
    InputError : a torus of more cubes than are worth listing
    """
    shaped = SHAPED.get(tag_of(fabric))
    return [shaped.part(fabric, shape) for shape in shaped.legal_shapes(fabric)] if shaped else []


def legal_slice(fabric: MachineFabric, shape: Shape, *, where: str = "") -> LegalSlice:
    """The legal slice of this shape, whichever way round its sides are named where that makes no difference.

    Raises
    ------
    InputError : the fabric is no torus or has other axes; no slice has this shape: names the largest legal one inside
        it and the smallest around it
    """
    name = written(shape)
    if not isinstance(fabric, Torus | FixedTorus):
        raise InputError(
            f"{name} is a shape, and slices of a {tag_of(fabric)} fabric have none",
            where=where,
            remedy="write a number of chips",
        )
    axes = len(fabric.dims)
    if len(shape) != axes:
        raise InputError(
            f"{name} has {len(shape)} sides, slices of this machine have {axes}",
            where=where,
            remedy=f"write {axes} sides, as in {written(fabric.dims)}",
        )
    shaped = SHAPED[tag_of(fabric)]
    alike = shaped.alike(fabric)
    wanted = torus.ascending(shape, alike)
    same = shaped.shapes(fabric, math.prod(shape))
    found = next((each for each in same if torus.ascending(each, alike) == wanted), None)
    if found is None:
        nearest = _neighbours(shaped.legal_shapes(fabric), shape)
        raise InputError(
            f"{name} is no legal slice of {shaped.what(fabric)}", where=where, remedy=f"try {' or '.join(nearest)}"
        )
    return shaped.part(fabric, found)


def legal_slice_of_chips(fabric: Torus | FixedTorus, chips: int, *, where: str = "") -> LegalSlice:
    """The most cubic legal slice of this many chips.

    Raises
    ------
    InputError : no slice has this many: names the nearest numbers, with their most cubic shapes
    """
    shaped = SHAPED[tag_of(fabric)]
    found = shaped.shapes(fabric, chips)
    if not found:
        legal = shaped.legal_chips(fabric)
        counts = [*[each for each in legal if each < chips][-1:], *[each for each in legal if each > chips][:1]]
        nearest = [f"{count} ({written(shaped.shapes(fabric, count)[0])})" for count in counts]
        raise InputError(f"{chips} chips are no legal slice", where=where, remedy=f"try {' or '.join(nearest)}")
    return shaped.part(fabric, found[0])


def levels_of_shape(fabric: MachineFabric, shape: Shape) -> tuple[Level, ...]:
    """The levels of the legal slice of this shape, innermost first; see :func:`legal_slice`."""
    part = legal_slice(fabric, shape)
    return SHAPED[tag_of(fabric)].levels(fabric, part.shape)


def graph_of(fabric: Torus | FixedTorus, part: LegalSlice, draw: Draw | None = None) -> nx.Graph[str]:
    """The graph of a legal slice."""
    return SHAPED[tag_of(fabric)].graph(fabric, part.shape, draw=draw)


def arrays_of(fabric: Torus | FixedTorus, part: LegalSlice, draw: Draw | None = None) -> Fabric:
    """The graph of a legal slice in arrays."""
    return SHAPED[tag_of(fabric)].arrays(fabric, part.shape, draw=draw)


@dataclass(frozen=True)
class Shaped:
    """How slices of one kind of torus are told by their shape.

    Parameters
    ----------
    what : ``what(fabric)`` -> what slices are cut from, as error messages name it
    legal_chips : ``legal_chips(fabric)`` -> every legal number of chips, ascending
    legal_shapes : ``legal_shapes(fabric)`` -> every legal shape, chips ascending, the most cubic first
    shapes : ``shapes(fabric, chips)`` -> those of so many chips
    alike : ``alike(fabric)`` -> a number for each axis, the same for axes between which a shape may be turned
    part : ``part(fabric, shape)`` -> the slice of a legal shape
    levels : ``levels(fabric, shape)`` -> its levels, innermost first
    graph, arrays : ``graph(fabric, shape, draw=None)`` -> how it is wired
    """

    what: Callable[..., str]
    legal_chips: Callable[..., tuple[int, ...]]
    legal_shapes: Callable[..., list[Shape]]
    shapes: Callable[..., list[Shape]]
    alike: Callable[..., Shape]
    part: Callable[..., LegalSlice]
    levels: Callable[..., tuple[Level, ...]]
    graph: Callable[..., nx.Graph[str]]
    arrays: Callable[..., Fabric]


def _few_shapes(fabric: Torus) -> list[Shape]:
    cubes = math.prod(fabric.dims) // math.prod(fabric.cube)
    if cubes > MOST_LISTED:
        raise InputError(
            f"the slices of {cubes:,} cubes are too many to list", remedy=f"list those of up to {MOST_LISTED:,}"
        )
    return torus.legal_shapes(fabric)


def _of_cubes(fabric: Torus, shape: Shape) -> LegalSlice:
    closes, count = torus.closes(fabric, shape), len(shape)
    is_twistable = fabric.is_twistable and closes and bool(torus.twist_of(shape))
    return LegalSlice(shape, (closes,) * count, (1.0,) * count, fabric.link, is_twistable)


def _of_box(fabric: FixedTorus, shape: Shape) -> LegalSlice:
    wraps, shares = fixed_torus.wraps(fabric, shape), fixed_torus.shares(fabric)
    return LegalSlice(shape, wraps, shares, fabric.link, is_twistable=False)


def _alike(fabric: FixedTorus) -> Shape:
    """Axes are alike that are as long, close alike and have the same share of a link."""
    axes = list(zip(fabric.dims, fixed_torus.wraps(fabric, fabric.dims), fixed_torus.shares(fabric), strict=True))
    return tuple(axes.index(axis) for axis in axes)


SHAPED: dict[str, Shaped] = {
    "torus": Shaped(
        what=torus.what,
        legal_chips=torus.legal_chips,
        legal_shapes=_few_shapes,
        shapes=torus.shapes,
        alike=operator.attrgetter("cube"),
        part=_of_cubes,
        levels=torus.levels_of_shape,
        graph=torus.slice_graph,
        arrays=torus.slice_arrays,
    ),
    "fixed-torus": Shaped(
        what=fixed_torus.what,
        legal_chips=fixed_torus.legal_chips,
        legal_shapes=fixed_torus.legal_shapes,
        shapes=fixed_torus.shapes,
        alike=_alike,
        part=_of_box,
        levels=fixed_torus.levels_of_shape,
        graph=fixed_torus.slice_graph,
        arrays=fixed_torus.slice_arrays,
    ),
}
"""Tag of the fabric struct -> how its slices are told by shape; other fabrics have slices by number of chips alone."""


def _neighbours(known: list[Shape], shape: Shape) -> list[str]:
    """The largest of the known shapes inside this one (one chip always is) and the smallest around it, if there is one.

    Sides are compared in ascending order, so that it does not matter which way round a shape is named.
    """
    flat = sorted(shape)

    def fits(small: list[int], large: list[int]) -> bool:
        return all(a <= b for a, b in zip(small, large, strict=True))

    inside = [each for each in known if fits(sorted(each), flat)]
    around = [each for each in known if fits(flat, sorted(each))]
    largest = max(inside, key=math.prod, default=None)
    smallest = min(around, key=math.prod, default=None)
    return list(dict.fromkeys(written(each) for each in (largest, smallest) if each is not None))
