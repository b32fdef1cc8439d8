"""Everyone to everyone at once: one round for each step, which loads links most and waits least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Round,
    Schedule,
    all_pairs,
    gathering,
    holding,
    one_after_the_other,
    overwrites,
    same,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.collectives.schedules.rounds import Whole


def direct(layout: Layout, sense: int) -> Schedule:
    """All-gather in one round: every rank sends its piece to every other."""
    ranks = layout.ranks
    return Schedule(
        "all-gather", "direct", ranks, ranks, lambda: [all_pairs(ranks, 1 / ranks, lambda source, _: source[:, None])]
    )


def all_to_all(layout: Layout) -> Schedule:
    """Every rank sends every other its piece, in one round."""
    ranks = layout.ranks
    return Schedule(
        "all-to-all",
        "direct",
        ranks,
        ranks * ranks,
        lambda: [all_pairs(ranks, 1 / ranks, lambda source, target: (source * ranks + target)[:, None])],
    )


def one_shot(layout: Layout) -> Schedule:
    """All-reduce in one round: every rank sends its whole buffer to every other, and each adds up by itself."""
    ranks = layout.ranks
    return Schedule(
        "all-reduce",
        "one-shot",
        ranks,
        1,
        lambda: [all_pairs(ranks, 1.0, lambda source, _: np.zeros((len(source), 1), dtype=np.int64), reduces=True)],
    )


def broadcast(layout: Layout) -> Schedule:
    """Rank 0 sends every other a piece of its own, and then each sends its piece to all that lack it."""
    ranks = layout.ranks
    others = np.arange(1, ranks)

    def sent(source: Whole, target: Whole, piece: Whole) -> list[Round]:
        count = len(piece)
        return [Round(source, target, same(1 / ranks, count), overwrites(count), holding(piece[:, None]))]

    def rounds() -> Iterator[Round]:
        source, target = np.repeat(np.arange(ranks), ranks - 1), np.tile(others, ranks)
        lacks = source != target
        return one_after_the_other(
            sent(np.zeros_like(others), others, others), sent(source[lacks], target[lacks], source[lacks])
        )

    return Schedule("broadcast", "direct", ranks, ranks, rounds)


_STEPS = gathering("direct", direct)
DIRECT: dict[str, Maker] = {
    "reduce-scatter": _STEPS["reduce-scatter"],
    "all-gather": _STEPS["all-gather"],
    "all-to-all": all_to_all,
    "broadcast": broadcast,
}
ONE_SHOT: dict[str, Maker] = {"all-reduce": one_shot}
TWO_SHOT: dict[str, Maker] = {"all-reduce": gathering("two-shot", direct)["all-reduce"]}
