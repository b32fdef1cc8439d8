"""Two binary trees at once, each for half of the data; no rank has more than two children in both together.

Sanders, Speck and Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", Parallel Computing
35, 2009, 581-594. The data go through in chunks, up and down at once, so that every link is busy in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.rounds import Layout, Maker, Round, Schedule, holding, same

if TYPE_CHECKING:
    from simulator.collectives.schedules.rounds import Whole

NONE = -1


@dataclass(frozen=True, eq=False)
class Tree:
    """(ranks,) parent, NONE at the root; steps down from the root; edges of the longest way up to each rank."""

    parent: Whole
    depth: Whole
    height: Whole


def tree_of(parent: Whole) -> Tree:
    """A tree from the parent of every rank."""
    ranks = len(parent)
    depth = np.zeros(ranks, dtype=np.int64)
    for rank in range(ranks):
        above = int(parent[rank])
        while above != NONE:
            depth[rank] += 1
            above = int(parent[above])
    height = np.zeros(ranks, dtype=np.int64)
    for rank in np.argsort(-depth, kind="stable"):
        if parent[rank] != NONE:
            height[parent[rank]] = max(height[parent[rank]], height[rank] + 1)
    return Tree(parent, depth, height)


def first_parents(ranks: int) -> Whole:
    """Parents in a binary tree in order: rank 0 at the root with one child, odd ranks at the leaves."""
    parent = np.full(ranks, NONE)
    for rank in range(1, ranks):
        bit = rank & -rank
        above = (rank ^ bit) | (bit << 1)
        parent[rank] = above if above < ranks else rank ^ bit
    return parent


def two_trees(ranks: int) -> tuple[Tree, Tree]:
    """The tree of :func:`first_parents`, and its mirror image, or shifted by one where the ranks are odd in number."""
    first = first_parents(ranks)
    role = np.arange(ranks)
    named = (role + 1) % ranks if ranks % 2 else ranks - 1 - role
    second = np.full(ranks, NONE)
    inner = first != NONE
    second[named[inner]] = named[first[inner]]
    return tree_of(first), tree_of(second)


def _round(rows: list[tuple[Whole, Whole, Whole, bool]], chunks: int) -> Round:
    """A round of (sources, targets, pieces, whether they are added)."""
    source, target, held = (np.concatenate([row[column] for row in rows]) for column in range(3))
    reduces = np.concatenate([np.full(len(row[0]), row[3]) for row in rows])
    return Round(source, target, same(1 / (2 * chunks), len(source)), reduces, holding(held[:, None]))


def all_reduce(layout: Layout) -> Schedule:
    """Up both trees and down again, each chunk as soon as it has come.

    Chunk k leaves rank r upwards in round k + height(r), and the parent of r downwards in round k + height(root) +
    depth(r) - 1.
    """
    ranks, chunks = layout.ranks, layout.chunks
    trees = two_trees(ranks)

    def rounds() -> Iterator[Round]:
        last = chunks + max(int(2 * tree.height.max()) for tree in trees) - 1
        for step in range(last):
            rows = []
            for number, tree in enumerate(trees):
                below = np.flatnonzero(tree.parent != NONE)
                for start, is_up in ((tree.height[below], True), (tree.height.max() + tree.depth[below] - 1, False)):
                    chunk = step - start
                    runs = (chunk >= 0) & (chunk < chunks)
                    ends = (below[runs], tree.parent[below[runs]])
                    source, target = ends if is_up else ends[::-1]
                    rows.append((source, target, number * chunks + chunk[runs], is_up))
            yield _round(rows, chunks)

    return Schedule("all-reduce", "double-binary-tree", ranks, 2 * chunks, rounds)


def broadcast(layout: Layout) -> Schedule:
    """Rank 0 gives the roots of two trees over all others their halves, chunk by chunk, and they pass them down."""
    ranks, chunks = layout.ranks, layout.chunks
    trees = two_trees(ranks - 1) if ranks > 2 else (tree_of(np.array([NONE])),) * 2

    def rounds() -> Iterator[Round]:
        last = chunks + max(int(tree.height.max()) for tree in trees)
        for step in range(last):
            rows = []
            for number, tree in enumerate(trees):
                chunk = step - tree.depth
                runs = (chunk >= 0) & (chunk < chunks)
                rows.append((tree.parent[runs] + 1, np.flatnonzero(runs) + 1, number * chunks + chunk[runs], False))
            yield _round(rows, chunks)

    return Schedule("broadcast", "double-binary-tree", ranks, 2 * chunks, rounds)


DOUBLE_BINARY_TREE: dict[str, Maker] = {"all-reduce": all_reduce, "broadcast": broadcast}
