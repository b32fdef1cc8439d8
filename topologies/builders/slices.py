"""Slices of tori by their shape: which are legal, what is nearest to one that is not, their graphs and levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Draw
from topologies.builders import fixed_torus, torus
from topologies.builders.lattice import Shape, kind_of, written
from topologies.fabrics import FixedTorus, Torus

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
    if isinstance(fabric, Torus):
        cubes = math.prod(fabric.dims) // math.prod(fabric.cube)
        if cubes > MOST_LISTED:
            raise InputError(
                f"the slices of {cubes:,} cubes are too many to list", remedy=f"list those of up to {MOST_LISTED:,}"
            )
        return [_of_cubes(fabric, shape) for shape in torus.legal_shapes(fabric)]
    if isinstance(fabric, FixedTorus):
        return [_of_box(fabric, shape) for shape in fixed_torus.legal_shapes(fabric)]
    return []


def _of_cubes(fabric: Torus, shape: Shape) -> LegalSlice:
    closes, count = torus.closes(fabric, shape), len(shape)
    is_twistable = fabric.is_twistable and closes and bool(torus.twist_of(shape))
    return LegalSlice(shape, (closes,) * count, (1.0,) * count, fabric.link, is_twistable)


def _of_box(fabric: FixedTorus, shape: Shape) -> LegalSlice:
    wraps, shares = fixed_torus.wraps(fabric, shape), fixed_torus.shares(fabric)
    return LegalSlice(shape, wraps, shares, fabric.link, is_twistable=False)


def legal_slice(fabric: MachineFabric, shape: Shape, *, where: str = "") -> LegalSlice:
    """The legal slice of this shape, whichever way round its sides are named where that makes no difference.

    Raises
    ------
    InputError : the fabric is no torus or has other axes; no slice has this shape: names the largest legal one inside
        it and the smallest around it
    """
    name = written(shape)
    if not isinstance(fabric, Torus | FixedTorus):
        tag = str(fabric.__struct_config__.tag)
        raise InputError(
            f"{name} is a shape, and slices of a {tag} fabric have none", where=where, remedy="write a number of chips"
        )
    axes = len(fabric.dims)
    if len(shape) != axes:
        raise InputError(
            f"{name} has {len(shape)} sides, slices of this machine have {axes}",
            where=where,
            remedy=f"write {axes} sides, as in {written(fabric.dims)}",
        )
    chips = math.prod(shape)
    wanted = _named(fabric, shape)
    same = torus.shapes(fabric, chips) if isinstance(fabric, Torus) else fixed_torus.shapes(fabric, chips)
    found = next((each for each in same if _named(fabric, each) == wanted), None)
    if found is None:
        cut_from = torus.what(fabric) if isinstance(fabric, Torus) else fixed_torus.what(fabric)
        nearest = _neighbours([each.shape for each in legal_slices(fabric)], shape)
        raise InputError(f"{name} is no legal slice of {cut_from}", where=where, remedy=f"try {' or '.join(nearest)}")
    return _of_cubes(fabric, found) if isinstance(fabric, Torus) else _of_box(fabric, found)


def legal_slice_of_chips(fabric: Torus | FixedTorus, chips: int, *, where: str = "") -> LegalSlice:
    """The most cubic legal slice of this many chips.

    Raises
    ------
    InputError : no slice has this many: names the nearest numbers, with their most cubic shapes
    """

    def of(count: int) -> list[Shape]:
        return torus.shapes(fabric, count) if isinstance(fabric, Torus) else fixed_torus.shapes(fabric, count)

    if not of(chips):
        legal = torus.legal_chips(fabric) if isinstance(fabric, Torus) else fixed_torus.legal_chips(fabric)
        counts = [*[each for each in legal if each < chips][-1:], *[each for each in legal if each > chips][:1]]
        nearest = [f"{count} ({written(of(count)[0])})" for count in counts]
        raise InputError(f"{chips} chips are no legal slice", where=where, remedy=f"try {' or '.join(nearest)}")
    return legal_slice(fabric, of(chips)[0])


def levels_of_shape(fabric: MachineFabric, shape: Shape) -> tuple[Level, ...]:
    """The levels of the legal slice of this shape, innermost first; see :func:`legal_slice`."""
    named = legal_slice(fabric, shape).shape
    if isinstance(fabric, Torus):
        return torus.levels_of_shape(fabric, named)
    if isinstance(fabric, FixedTorus):
        return fixed_torus.levels_of_shape(fabric, named)
    return ()


def graph_of(fabric: Torus | FixedTorus, part: LegalSlice, draw: Draw | None = None) -> nx.Graph[str]:
    """The graph of a legal slice."""
    if isinstance(fabric, Torus):
        return torus.slice_graph(fabric, part.shape, wraps=all(part.wraps), draw=draw)
    return fixed_torus.slice_graph(fabric, part.shape, draw=draw)


def arrays_of(fabric: Torus | FixedTorus, part: LegalSlice, draw: Draw | None = None) -> Fabric:
    """The graph of a legal slice in arrays."""
    if isinstance(fabric, Torus):
        return torus.slice_arrays(fabric, part.shape, wraps=all(part.wraps), draw=draw)
    return fixed_torus.slice_arrays(fabric, part.shape, draw=draw)


def _named(fabric: MachineFabric, shape: Shape) -> Shape:
    """One name for all rotations of a shape that are the same slice: sides ascend among axes that are alike."""
    if isinstance(fabric, Torus):
        return torus.ascending(shape, fabric.cube)
    if isinstance(fabric, FixedTorus):
        wraps = fabric.wraps or (True,) * len(fabric.dims)
        alike = list(zip(fabric.dims, wraps, fixed_torus.shares(fabric), strict=True))
        return torus.ascending(shape, tuple(alike.index(axis) for axis in alike))
    return shape


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
