"""Nested levels of which the outermost is crossed by two binary trees, as NCCL crosses nodes (NVLSTree)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.axes import HIERARCHICAL
from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Round,
    Schedule,
    expanded,
    holding,
    one_after_the_other,
    same,
)
from simulator.collectives.schedules.trees import DOUBLE_BINARY_TREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulator.collectives.schedules.rounds import Whole


def all_reduce(layout: Layout) -> Schedule:
    """Rings that reduce and scatter inside units, trees over units for the part of each place, rings that gather."""
    sides = tuple(side for side in layout.shape if side > 1)
    units, inside = sides[-1], math.prod(sides[:-1])
    if inside == 1:
        return dataclasses.replace(DOUBLE_BINARY_TREE["all-reduce"](layout), algorithm="hierarchical-tree")
    within = Layout(sides[:-1], ways=("ring",) * (len(sides) - 1))
    across = DOUBLE_BINARY_TREE["all-reduce"](Layout((units,), chunks=layout.chunks))
    cut = across.pieces  # each part of a unit's reduce-scatter is cut into these

    def in_units(rounds: Iterable[Round]) -> Iterator[Round]:
        first = np.arange(units)[:, None] * inside
        for each in map(expanded, rounds):
            pieces = each.pieces(each.source, each.target)
            finer = (pieces[:, :, None] * cut + np.arange(cut)).reshape(len(pieces), -1)
            ends = ((each.source + first).ravel(), (each.target + first).ravel())
            yield _again(each, *ends, np.tile(finer, (units, 1)), units, 1.0)

    def over_units(rounds: Iterable[Round]) -> Iterator[Round]:
        place = np.arange(inside)[:, None]
        for each in rounds:
            pieces = each.pieces(each.source, each.target)
            ends = ((each.source * inside + place).ravel(), (each.target * inside + place).ravel())
            held = (pieces.ravel() + place * cut).ravel()[:, None]
            yield _again(each, *ends, held, inside, 1 / inside)

    def rounds() -> Iterable[Round]:
        scatter, gather = (HIERARCHICAL[kind](within).rounds() for kind in ("reduce-scatter", "all-gather"))
        return one_after_the_other(in_units(scatter), over_units(across.rounds()), in_units(gather))

    return Schedule("all-reduce", "hierarchical-tree", layout.ranks, inside * cut, rounds)


def _again(each: Round, source: Whole, target: Whole, pieces: Whole, times: int, part: float) -> Round:
    """A round ``times`` over side by side, each transfer of ``part`` of what it moved."""
    share = same(float(each.share[0]) * part, len(source))
    return Round(source, target, share, np.tile(each.reduces, times), holding(pieces), each.lane, each.phase)


HIERARCHICAL_TREE: dict[str, Maker] = {"all-reduce": all_reduce}
