"""A number of rounds that grows with the logarithm of the ranks: halving and doubling, and PAT."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Pieces,
    Round,
    Schedule,
    gathering,
    overwrites,
    power_of_two,
    same,
)


def doubling(layout: Layout, sense: int) -> Schedule:
    """All-gather in which pairs exchange all they have, 1, 2, 4, … ranks apart; powers of two.

    Its reverse is the reduce-scatter by halving; Thakur, Rabenseifner and Gropp, "Optimization of collective
    communication operations in MPICH", Int. J. High Perform. Comput. Appl. 19, 2005, 49-66.
    """
    ranks = layout.ranks
    steps = power_of_two(ranks, "the number of ranks for halving and doubling")

    def rounds() -> Iterator[Round]:
        source = np.arange(ranks)
        for step in range(steps):
            apart = 1 << step

            def held(source: np.ndarray, _: np.ndarray, apart: int = apart) -> np.ndarray:
                return np.asarray((source // apart * apart)[:, None] + np.arange(apart))

            yield Round(source, source ^ apart, same(apart / ranks, ranks), overwrites(ranks), held)

    return Schedule("all-gather", "halving-doubling", ranks, ranks, rounds)


def pat(layout: Layout, sense: int) -> Schedule:
    """All-gather over one binomial tree for each rank, far steps first, all trees alike and merged; any ranks.

    In the step of distance 2^k a rank passes on the pieces that came to it from a multiple of 2^(k + 1) ranks away.
    Few pieces go far and many go near, the other way than in Bruck's algorithm (Jeaugey, "PAT: a new algorithm for
    all-gather and reduce-scatter operations at scale", arXiv 2506.20252, with buffers for all pieces of a step).
    """
    ranks = layout.ranks
    steps = (ranks - 1).bit_length()

    def rounds() -> Iterator[Round]:
        source = np.arange(ranks)
        for step in reversed(range(steps)):
            apart = 1 << step
            passed = np.arange(0, ranks - apart, 2 * apart)
            target = (source + sense * apart) % ranks
            share = same(len(passed) / ranks, ranks)
            yield Round(source, target, share, overwrites(ranks), _passed_on(passed, sense, ranks))

    return Schedule("all-gather", "pat", ranks, ranks, rounds)


def _passed_on(passed: np.ndarray, sense: int, ranks: int) -> Pieces:
    return lambda source, _: (source[:, None] - sense * passed) % ranks


HALVING_DOUBLING: dict[str, Maker] = gathering("halving-doubling", doubling)
_PAT = gathering("pat", pat)
PAT: dict[str, Maker] = {kind: _PAT[kind] for kind in ("reduce-scatter", "all-gather")}
