"""HammingMesh: boards that are small meshes, whose edge chips join those of the other boards in their row or column.

Hoefler et al., "HammingMesh: a network topology for large-scale deep learning", SC22. A chip has four ports.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from simulator.figures import Draw
from simulator.machine import Level
from topologies.builders.common import add_links, edge, new_graph, not_legal
from topologies.builders.wiring import Wiring, half_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from topologies.fabrics import HammingMesh

Pair = tuple[int, int]
_LINES = ("row", "column")


def graph(fabric: HammingMesh, draw: Draw | None = None) -> nx.Graph[str]:
    """Boards as meshes; one switch for each row and each column of chips, which stands for its fat tree.

    Both end chips of a board's row reach the switch of the row, a chip that is both by two links. Along a direction
    with a single board there is no switch, and the ports at its ends are joined. Chips are numbered board by board.
    """
    draw = draw or Draw()
    (wide, high), (across, down) = fabric.board, fabric.boards
    built = new_graph("hamming-mesh", _title(fabric), fabric.link)
    places = [
        (bx * wide + x, by * high + y)
        for by, bx, y, x in itertools.product(range(down), range(across), range(high), range(wide))
    ]
    chip = {place: f"chip{i}" for i, place in enumerate(places)}
    built.add_nodes_from(
        (name, {"kind": "chip", "coord": (x, y), "node": y // high * across + x // wide})
        for (x, y), name in chip.items()
    )
    for axis in (0, 1):
        side, boards = fabric.board[axis], fabric.boards[axis]
        other = (wide * across, high * down)[1 - axis]
        pcb = edge(fabric.link, draw, medium="pcb", plane=axis)
        out = edge(fabric.link, draw, medium="optic", plane=axis)
        for line in range(other):
            switch = f"{_LINES[axis]}{line}"
            if boards > 1:
                built.add_node(switch, kind="switch", tier=1, plane=axis)
            for board in range(boards):
                row = [chip[_turned(board * side + at, line, axis)] for at in range(side)]
                for one, two in itertools.pairwise(row):
                    add_links(built, one, two, pcb)
                if boards > 1:
                    add_links(built, row[0], switch, out)
                    add_links(built, row[-1], switch, out)
                elif side > 1:
                    add_links(built, row[-1], row[0], pcb)
    built.graph["cuts"]["half of the chips"] = list(chip.values())[: len(chip) // 2]
    for axis, name in enumerate("xy"):
        length = fabric.board[axis] * fabric.boards[axis]
        if length % 2 == 0:
            # the switches of the lines that run across the cut stay behind it; those of lines before it go with them
            lines = range(length // 2 if fabric.boards[1 - axis] > 1 else 0)
            built.graph["cuts"][f"axis {name}"] = [
                *(each for place, each in chip.items() if place[axis] < length // 2),
                *(f"{_LINES[1 - axis]}{line}" for line in lines),
            ]
    built.graph["vertex_transitive"] = _looks_alike(fabric)
    return built


def arrays(fabric: HammingMesh, draw: Draw | None = None) -> Fabric:
    """What :func:`graph` makes, in arrays."""
    draw = draw or Draw()
    (wide, high), (across, down) = fabric.board, fabric.boards
    wiring = Wiring(_title(fabric))
    chips = wiring.add("chip", [f"chip{i}" for i in range(wide * high * across * down)])
    places = chips.reshape(down, across, high, wide)
    lines = []
    for axis in (0, 1):
        side, boards = fabric.board[axis], fabric.boards[axis]
        rows = (places.transpose(0, 2, 1, 3) if axis == 0 else places.transpose(1, 3, 0, 2)).reshape(-1, boards, side)
        pcb = edge(fabric.link, draw, medium="pcb", plane=axis)
        closes = boards == 1 and side == 2  # the two chips of a row have both their links with each other
        wiring.join(rows[..., :-1], rows[..., 1:], pcb | {"links": 2 if closes else 1})
        if boards == 1 and side > 2:
            wiring.join(rows[..., -1], rows[..., 0], pcb)
        lines.append(
            wiring.add("switch", [f"{_LINES[axis]}{i}" for i in range(len(rows) if boards > 1 else 0)], tier=1)
        )
        if boards > 1:
            out = edge(fabric.link, draw, links=2 if side == 1 else 1, medium="optic", plane=axis)
            for end in (0, -1) if side > 1 else (0,):
                wiring.join(rows[..., end], lines[axis][:, None], out)
    wiring.cut("half of the chips", half_of(chips))
    at = places.transpose(1, 3, 0, 2).reshape(wide * across, -1), places.transpose(0, 2, 1, 3).reshape(high * down, -1)
    for axis, name in enumerate("xy"):
        length = len(at[axis])
        if length % 2 == 0:
            wiring.cut(f"axis {name}", at[axis][: length // 2], lines[1 - axis][: length // 2])
    coordinates = np.empty((len(chips), 2), dtype=np.int64)
    for axis in (0, 1):
        coordinates[at[axis], axis] = np.arange(len(at[axis]))[:, None]
    has_switches = max(fabric.boards) > 1
    return wiring.fabric(is_vertex_transitive=_looks_alike(fabric), coordinates=None if has_switches else coordinates)


def _title(fabric: HammingMesh) -> str:
    (wide, high), (across, down) = fabric.board, fabric.boards
    return f"HammingMesh of {across}x{down} boards of {wide}x{high} chips"


def _looks_alike(fabric: HammingMesh) -> bool:
    """Whether it looks the same from every chip."""
    return all(side <= 2 or boards == 1 for side, boards in zip(fabric.board, fabric.boards, strict=True))


def _turned(along: int, line: int, axis: int) -> Pair:
    return (along, line) if axis == 0 else (line, along)


@lru_cache(maxsize=64)
def _by_chips(board: Pair, boards: Pair) -> dict[int, Pair]:
    """Legal numbers of chips, ascending, and the most square rectangle of boards for each."""
    best: dict[int, Pair] = {}
    for shape in itertools.product(range(1, boards[0] + 1), range(1, boards[1] + 1)):
        chips = math.prod(board) * math.prod(shape)
        if chips not in best or sum(shape) < sum(best[chips]):
            best[chips] = shape
    return {chips: best[chips] for chips in sorted(best)}


def boards_of(fabric: HammingMesh, chips: int) -> Pair:
    """Boards along x and y of a slice of ``chips`` chips: the most square rectangle of as many.

    Raises
    ------
    InputError : no rectangle of whole boards has this many chips
    """
    known = _by_chips(fabric.board, fabric.boards)
    if chips not in known:
        raise not_legal(chips, legal_chips(fabric), f"boards of {fabric.board[0]}x{fabric.board[1]} chips")
    return known[chips]


def legal_chips(fabric: HammingMesh) -> tuple[int, ...]:
    """One chip, then every number of whole boards that makes a rectangle: the switches join any rows and columns."""
    return tuple(sorted({1, *_by_chips(fabric.board, fabric.boards)}))


def levels(fabric: HammingMesh, chips: int) -> tuple[Level, ...]:
    """Two axes that close to rings through boards and switches: the torus that a HammingMesh contains.

    Rings of all rows and columns use every port, so all-reduce is priced as it is; all-to-all is not given the ways
    through the switches that pass boards by, which is conservative. A hop counts two edges, those of the way over a
    switch, also inside a board.
    """
    if chips == 1:
        return ()
    boards, found = boards_of(fabric, chips), []
    for axis, name in enumerate("xy"):
        side = fabric.board[axis]
        size = side * boards[axis]
        hops = 2 if fabric.boards[axis] > 1 else 1
        if size > 1:
            level_name = f"{fabric.link.family}-{name}"
            found.append(Level(level_name, "axis", size, fabric.link, links=1, hops=hops, wraps=True, block=side))
    return tuple(found)
