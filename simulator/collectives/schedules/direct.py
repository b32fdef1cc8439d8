"""Everyone to everyone at once: one round for each step, which loads links most and waits least."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.collectives.schedules.rounds import (
    Layout,
    Maker,
    Round,
    Schedule,
    all_pairs,
    gathering,
    overwrites,
    same,
)


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


def star(layout: Layout) -> Schedule:
    """Broadcast in one round: rank 0 sends to every other."""
    ranks = layout.ranks

    def rounds() -> Iterator[Round]:
        target = np.arange(1, ranks)
        count = ranks - 1
        yield Round(
            np.zeros_like(target),
            target,
            same(1.0, count),
            overwrites(count),
            lambda source, _: np.zeros((len(source), 1), dtype=np.int64),
        )

    return Schedule("broadcast", "direct", ranks, 1, rounds)


_STEPS = gathering("direct", direct)
DIRECT: dict[str, Maker] = {
    "reduce-scatter": _STEPS["reduce-scatter"],
    "all-gather": _STEPS["all-gather"],
    "all-to-all": all_to_all,
    "broadcast": star,
}
ONE_SHOT: dict[str, Maker] = {"all-reduce": one_shot}
TWO_SHOT: dict[str, Maker] = {"all-reduce": gathering("two-shot", direct)["all-reduce"]}
