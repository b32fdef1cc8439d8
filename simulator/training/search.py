"""Find the plan that takes the least time among those that fit in memory."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import Infeasible
from simulator.figures import Draw
from simulator.plan import Plan
from simulator.training.arrays import training_arrays
from simulator.training.candidates import Space, blocks_of, pairs_of, space_of
from simulator.training.memory import ITEMS, weigh_plan
from simulator.training.plans import plan_of
from simulator.training.rows.kernels import PLAN_COLUMNS, SPREAD
from simulator.training.step import Step, executed_seconds, price_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.program import Program, Stack
    from simulator.training.arrays import Arrays
    from simulator.training.candidates import Block

RERANKED = 48
"""Of the fastest plans by the closed form of their pipeline, how many are run pass by pass: in 13 spaces of 20,000 to 2
million plans, the five fastest of 600 that were run stood among the first nine by the closed form."""
MOST_DRAWN = 4000
"""Plans that fit and are kept for a picture, evenly through the search."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found: the best steps, ascending by time; ``infeasible`` says why where there is none.

    ``searched`` plans were weighed; of them ``unplaceable`` do not lie on the fabric and ``too_large`` do not fit in
    memory, by their ``largest`` items; the rest was priced. ``undivided`` combinations beside them divide neither the
    batch nor the ranks. ``front`` holds the plans that no other beats in both time and memory, ascending by time (none
    of a shortlist), and ``cloud`` (plans, 2) time [s] and memory [B] of some that fit. ``shortlist`` holds the plans
    worth pricing again when figures move a little: the fastest that fit, and the leanest of the rest.
    """

    steps: tuple[Step, ...]
    searched: int
    undivided: int
    unplaceable: int
    too_large: int
    largest: dict[str, int]
    infeasible: Infeasible | None
    front: tuple[Step, ...]
    cloud: NDArray[np.float64]
    shortlist: NDArray[np.float64]


def search(
    program: Program,
    part: Slice,
    stack: Stack,
    *,
    sequence: int,
    batch: int,
    dtype: Dtype = "bf16",
    top: int = 1,
    shortlist: int = 0,
    reranked: int = RERANKED,
    draw: Draw | None = None,
    space: Space | None = None,
    plans: NDArray[np.float64] | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Found:
    """Price every legal plan on the slice and return the ``top`` fastest that fit.

    Plans use all chips of the slice or the largest power of two in them (a rack of 72 is often run as 64); rates are
    per chip of the whole slice either way. All are priced with the closed form of their pipeline, and the ``reranked``
    fastest again with the schedule run pass by pass. Of plans that take the same time the first listed is the better:
    fewer tensor ranks, then fewer context ranks, the axes as they are numbered, fewer expert ranks.

    Parameters
    ----------
    program, part, stack, sequence, batch, dtype, draw : as in :func:`simulator.training.step.step`
    top : how many plans to return [1]
    shortlist : how many plans to list for another search [1]
    reranked : how many plans to run pass by pass [1]
    space : what is considered; all there is by default
    plans : consider only these rows, from the shortlist of a search on the same slice
    tell : is told how far the search is: so much done, of so much
    """
    import numpy as np

    used = part.chip.dtype(dtype)
    base = Plan(dtype=used, reduce_dtype=stack.training.reduce_dtype if stack.training else "fp32")
    arrays = training_arrays(program, part, stack, sequence=sequence, batch=batch, dtype=used, draw=draw or Draw())
    tally = _Tally(max(top, shortlist, reranked), max(1, shortlist // 4))
    if plans is not None:
        tally.add(arrays, plans, 0)
    else:
        asked = space or space_of(stack)
        for block in _blocks(program, part, sequence, batch, asked, base, tell or _silent):
            tally.add(arrays, block.rows, block.undivided)
    ranked = tally.fast.rows[: max(top, reranked)]
    rows = np.concatenate([ranked, tally.front_rows() if plans is None else ranked[:0]])
    listed = [plan_of(row, base, part) for row in rows]

    @functools.cache
    def priced(place: int) -> Step:
        return price_plan(program, listed[place], part, arrays)

    run = [executed_seconds(plan, part, arrays) for plan in listed[: len(ranked)]]
    steps = tuple(map(priced, np.argsort(run, kind="stable")[:top].tolist()))
    seconds = np.array([*run, *(priced(place).seconds for place in range(len(ranked), len(rows)))])
    unbeaten = _unbeaten(seconds, _closed_form(arrays, rows)[1]) if plans is None else seconds[:0].astype(int)
    front = tuple(map(priced, unbeaten.tolist()))
    why = None
    if not steps:
        why = Infeasible("no plan divides the model, the batch and the chips, and lies on the fabric")
        if len(tally.lean.rows):
            leanest = plan_of(tally.lean.rows[0], base, part)
            weighed = weigh_plan(leanest, arrays)
            reason = f"the leanest plan ({leanest}) needs more memory than a chip has; {weighed.largest_in_words}"
            why = Infeasible(reason, weighed.needed_bytes, weighed.available_bytes)
    again = np.unique(np.concatenate([tally.fast.rows[:shortlist], tally.lean.rows[: shortlist // 4]]), axis=0)
    return Found(
        steps,
        tally.searched,
        tally.undivided,
        tally.unplaceable,
        int(tally.items.sum()),
        {name: int(count) for name, count in zip(ITEMS, tally.items, strict=True) if count},
        why,
        front,
        tally.cloud(),
        again,
    )


def chip_counts(chips: int) -> list[int]:
    """Numbers of chips worth planning for on a slice of ``chips``: all of them, and the largest power of two.

    >>> chip_counts(72)
    [72, 64]
    """
    power = 1 << (chips.bit_length() - 1)
    return [chips] if power == chips else [chips, power]


def _unbeaten(seconds: NDArray[np.float64], needed: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places of plans that no other beats in both time and memory, ascending by time."""
    import numpy as np

    order = np.lexsort((needed, seconds))
    least = np.minimum.accumulate(needed[order])
    found: NDArray[np.intp] = order[:1]
    return np.concatenate([found, order[1:][needed[order[1:]] < least[:-1]]])


def _closed_form(
    arrays: Arrays, rows: NDArray[np.float64], *, is_filtered: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time [s] and memory [B] of plans with the closed form of their pipeline, as the kernel says them."""
    import numpy as np

    from simulator.training import kernels

    seconds, needed = np.empty(len(rows)), np.empty(len(rows))
    kernels.search_fast(*arrays, rows, is_filtered, seconds, needed)
    return seconds, needed


def _silent(_done: int, _of: int) -> None:
    """Tell nobody."""


def _blocks(
    program: Program,
    part: Slice,
    sequence: int,
    batch: int,
    space: Space,
    base: Plan,
    tell: Callable[[int, int], None],
) -> Iterator[Block]:
    pairs = [(chips, pair) for chips in chip_counts(part.chips) for pair in pairs_of(program, chips, sequence, space)]
    for done, (chips, (tensor, context)) in enumerate(pairs):
        tell(done, len(pairs))
        yield from blocks_of(
            program, part, (chips, tensor, context), sequence=sequence, batch=batch, space=space, base=base
        )
    tell(len(pairs), len(pairs))


class _Best:
    """The rows with the least values so far; of equal ones the first that came."""

    def __init__(self, most: int) -> None:
        import numpy as np

        self.most = most
        self.values = np.empty(0)
        self.rows = np.empty((0, PLAN_COLUMNS))

    def add(self, values: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
        import numpy as np

        if len(self.values) == self.most:
            is_better = values < self.values[-1]
            values, rows = values[is_better], rows[is_better]
        if not len(values):
            return
        if len(values) > self.most:  # sort no more than can be kept
            is_kept = values <= np.partition(values, self.most - 1)[self.most - 1]
            values, rows = values[is_kept], rows[is_kept]
        all_values = np.concatenate([self.values, values])
        order = np.argsort(all_values, kind="stable")[: self.most]
        self.values, self.rows = all_values[order], np.concatenate([self.rows, rows])[order]


class _Tally:
    """What is kept of a search while its blocks go by."""

    def __init__(self, fast: int, lean: int) -> None:
        import numpy as np

        self.searched, self.undivided, self.unplaceable = 0, 0, 0
        self.items = np.zeros(len(ITEMS), dtype=np.int64)
        self.fast, self.lean = _Best(fast), _Best(lean)
        self._front = np.empty((0, 2)), np.empty((0, PLAN_COLUMNS))
        self._cloud: list[NDArray[np.float64]] = []

    def add(self, arrays: Arrays, rows: NDArray[np.float64], undivided: int) -> None:
        """Price a block of plans and keep the best of it."""
        import numpy as np

        seconds, needed = _closed_form(arrays, rows, is_filtered=True)
        self.searched += len(rows)
        self.undivided += undivided
        too_large, is_lost = seconds < 0, np.isinf(seconds)
        seconds[~too_large] *= arrays.stack[SPREAD]
        self.unplaceable += int(is_lost.sum())
        self.items += np.bincount((-1 - seconds[too_large]).astype(np.int64), minlength=len(self.items))
        self.lean.add(needed[~is_lost], rows[~is_lost])
        fits = ~too_large & ~is_lost
        if not fits.any():
            return
        seconds, needed, rows = seconds[fits], needed[fits], rows[fits]
        self.fast.add(seconds, rows)
        points = np.stack([seconds, needed], axis=1)
        self._cloud.append(points[:: max(1, len(points) // 50)])
        both, both_rows = np.concatenate([self._front[0], points]), np.concatenate([self._front[1], rows])
        unbeaten = _unbeaten(*both.T)
        self._front = both[unbeaten], both_rows[unbeaten]

    def front_rows(self) -> NDArray[np.float64]:
        """Plans that no other beats in both time and memory, ascending by time."""
        return self._front[1]

    def cloud(self) -> NDArray[np.float64]:
        """Time [s] and memory [B] of plans that fit, (plans, 2)."""
        import numpy as np

        points = np.concatenate([np.empty((0, 2)), *self._cloud])
        return points[:: max(1, -(-len(points) // MOST_DRAWN))]
