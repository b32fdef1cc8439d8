"""Optical circuit switches as rewrites of edges: which cube faces may be joined, and the graph that a choice makes.

For each axis, and each place on the face of a cube, a patch panel holds the fibres of both faces of every cube at that
place, and joins the upper face of one to the lower face of another. All panels of an axis turn alike, so that a circuit
is a triple ``(axis, cube above whose upper face it begins, cube at whose lower face it ends)``; it stands for as many
links as a face has chips. Cubes need not be neighbours: any set of them makes a slice, and a bad one is swapped out.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Draw
from topologies.builders.common import add_links
from topologies.builders.lattice import AXES, Shape, strides, written

if TYPE_CHECKING:
    import networkx as nx

    from topologies.fabrics import Torus

Circuit = tuple[int, int, int]


@dataclass(frozen=True)
class CubeFaces:
    """What the optical switches of a machine can join: any upper face with any lower one of the same axis.

    Parameters
    ----------
    cubes : cubes of the machine [1]
    links : links that a circuit of each axis stands for [1]
    """

    cubes: int
    links: Shape

    def __contains__(self, circuit: Circuit) -> bool:
        """Whether the switches can make this circuit; a cube may be joined to itself."""
        axis, above, below = circuit
        return 0 <= axis < len(self.links) and 0 <= above < self.cubes and 0 <= below < self.cubes

    def __len__(self) -> int:
        """How many different circuits there are."""
        return len(self.links) * self.cubes**2

    def check(self, circuits: Iterable[Circuit]) -> None:
        """Check that these circuits can all be made at once.

        Raises
        ------
        InputError : a circuit that the machine does not have, or two that use the same face
        """
        known = list(circuits)
        for axis, above, below in known:
            if (axis, above, below) not in self:
                raise InputError(
                    f"no circuit joins cubes {above} and {below} along axis {axis}",
                    remedy=f"name axes 0 to {len(self.links) - 1} and cubes 0 to {self.cubes - 1}",
                )
        for face, which in (("upper", 1), ("lower", 2)):
            (axis, cube), times = Counter((each[0], each[which]) for each in known).most_common(1)[0]
            if times > 1:
                raise InputError(
                    f"{times} circuits use the {face} {AXES[axis]} face of cube {cube}", remedy="join each face once"
                )


def cube_faces(fabric: Torus) -> CubeFaces:
    """The legal pairings of the cube faces of a machine."""
    size = math.prod(fabric.cube)
    return CubeFaces(math.prod(fabric.dims) // size, tuple(size // side for side in fabric.cube))


def circuits_of(fabric: Torus, cubes: Sequence[int], shape: Shape) -> frozenset[Circuit]:
    """The circuits that make a torus of ``shape`` chips of these cubes, laid row by row.

    Raises
    ------
    InputError : the shape is not made of this many different cubes of the machine
    """
    grid = tuple(side // inside for side, inside in zip(shape, fabric.cube, strict=True))
    are_whole = all(side % inside == 0 for side, inside in zip(shape, fabric.cube, strict=True))
    if not are_whole or math.prod(grid) != len(cubes) or len(set(cubes)) != len(cubes):
        raise InputError(
            f"{len(cubes)} cubes make no torus of {written(shape)} chips", remedy="name each cube of the shape once"
        )
    steps = strides(grid)
    found = set()
    for place, at in enumerate(itertools.product(*map(range, grid))):
        for axis, step in enumerate(steps):
            ahead = place + step * (1 if at[axis] + 1 < grid[axis] else 1 - grid[axis])
            found.add((axis, cubes[place], cubes[ahead]))
    circuits = frozenset(found)
    cube_faces(fabric).check(circuits)
    return circuits


def rewire(graph: nx.Graph[str], fabric: Torus, circuits: Iterable[Circuit]) -> nx.Graph[str]:
    """The cubes that ``circuits`` join, cut out of the graph of the whole machine and joined by them alone.

    Links inside cubes stay as they are. The result declares one cut, half of its chips in their order.

    Raises
    ------
    InputError : circuits that cannot be made, or none
    """
    import networkx as nx

    wanted = sorted(circuits)
    if not wanted:
        raise InputError("no circuits make no slice", remedy="name one or more")
    cube_faces(fabric).check(wanted)
    used = {cube for _, *ends in wanted for cube in ends}
    at: dict[tuple[int, Shape], str] = {}
    built: nx.Graph[str] = nx.Graph(**graph.graph)
    for name, data in graph.nodes.items():
        if data["cube"] in used:
            built.add_node(name, **data)
            at[data["cube"], tuple(c % side for c, side in zip(data["coord"], fabric.cube, strict=True))] = name
    attributes = next(iter(graph.edges.values()))

    def join(one: str, other: str, medium: str, axis: int) -> None:
        if one != other:
            add_links(built, one, other, {**attributes, "medium": medium, "plane": axis, "links": 1})

    for (cube, place), name in at.items():
        for axis, side in enumerate(fabric.cube):
            if place[axis] + 1 < side:
                join(name, at[cube, _moved(place, axis, place[axis] + 1)], "copper", axis)
    for axis, above, below in wanted:
        side = fabric.cube[axis]
        for place in itertools.product(*map(range, fabric.cube)):
            if place[axis] == side - 1:
                join(at[above, place], at[below, _moved(place, axis, 0)], "ocs", axis)
    names = list(built)
    built.graph.update(name=f"{len(used)} cubes", cuts={"half of the chips": names[: len(names) // 2]})
    built.graph["vertex_transitive"] = False
    return built


def slice_of_cubes(graph: nx.Graph[str], fabric: Torus, cubes: Sequence[int], shape: Shape) -> nx.Graph[str]:
    """A torus of ``shape`` chips of these cubes of the machine, laid row by row; see :func:`rewire`.

    Chips keep their names and the number of their cube; ``coord`` is their place in the slice, and the cuts are those
    across its axes, as in the slice of the same shape that :func:`topologies.builders.torus.slice_graph` makes.

    Raises
    ------
    InputError : the shape is not made of this many different cubes of the machine
    """
    from topologies.builders.torus import slice_graph

    built = rewire(graph, fabric, circuits_of(fabric, cubes, shape))
    grid = [range(side // inside) for side, inside in zip(shape, fabric.cube, strict=True)]
    corner = dict(zip(cubes, itertools.product(*grid), strict=True))
    at = {}
    for name, data in built.nodes.items():
        sides = zip(corner[data["cube"]], data["coord"], fabric.cube, strict=True)
        data["coord"] = tuple(c * side + x % side for c, x, side in sides)
        at[data["coord"]] = name
    plain = slice_graph(fabric, shape)
    where = plain.nodes(data="coord")
    cuts = {cut: [at[where[name]] for name in side] for cut, side in plain.graph["cuts"].items()}
    built.graph.update(name=f"{plain.graph['name']} of {len(cubes)} cubes", dims=shape, cuts=cuts)
    built.graph["vertex_transitive"] = plain.graph["vertex_transitive"]
    return built


def reconfiguration_s(
    fabric: Torus, before: Iterable[Circuit], after: Iterable[Circuit], draw: Draw | None = None
) -> float:
    """Time to go from one set of circuits to another [s]: all switches turn at once, and none where nothing changes.

    Raises
    ------
    InputError : circuits that cannot be made; a machine that does not say how long its switches take
    """
    old, new = frozenset(before), frozenset(after)
    for circuits in (old, new):
        if circuits:
            cube_faces(fabric).check(circuits)
    if old == new:
        return 0.0
    if fabric.reconfiguration is None:
        raise InputError(
            "the machine does not say how long its optical switches take",
            remedy="give [fabric.reconfiguration] in its file",
        )
    return (draw or Draw())(fabric.reconfiguration)


def _moved(place: Shape, axis: int, to: int) -> Shape:
    return (*place[:axis], to, *place[axis + 1 :])
