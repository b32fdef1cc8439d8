"""Find the plan that takes the least time among those that fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import Infeasible
from simulator.figures import Draw
from simulator.training.arrays import training_arrays
from simulator.training.memory import weigh_plan
from simulator.training.plans import candidate_plans, plan_of
from simulator.training.step import Step, price_plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.program import Program, Stack


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found: the best steps, ascending by time; ``infeasible`` says why where there is none.

    ``searched`` plans were priced; of them ``unplaceable`` do not lie on the fabric and ``too_large`` do not fit in
    memory. ``shortlist`` holds the plans worth pricing again when figures move a little: the fastest that fit, and the
    leanest of the rest.
    """

    steps: tuple[Step, ...]
    searched: int
    unplaceable: int
    too_large: int
    infeasible: Infeasible | None
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
    draw: Draw | None = None,
    plans: NDArray[np.float64] | None = None,
) -> Found:
    """Price every legal plan on the slice and return the ``top`` fastest that fit.

    Plans use all chips of the slice or, where that is more, the largest number with only the primes 2 and 3 in it
    (a rack of 72 is often run as 64); rates are per chip of the whole slice either way.

    Parameters
    ----------
    program, part, stack, sequence, batch, dtype, draw : as in :func:`simulator.training.step.step`
    top : how many plans to return [1]
    shortlist : how many plans to list for another search [1]
    plans : consider only these rows (see :func:`simulator.training.plans.candidate_plans`)
    """
    import numpy as np

    from simulator.training import kernels

    used_dtype = part.chip.dtype(dtype)
    if plans is None:
        counts = chip_counts(part.chips)
        plans = np.concatenate([candidate_plans(program.model, chips, sequence, batch) for chips in counts])
    arrays = training_arrays(program, part, stack, sequence=sequence, batch=batch, dtype=dtype, draw=draw or Draw())
    seconds, needed = np.empty(len(plans)), np.empty(len(plans))
    kernels.search_fast(*arrays, plans, True, seconds, needed)  # noqa: FBT003 - a kernel takes no keywords
    too_large, unplaceable = seconds < 0, np.isinf(seconds)
    fits = np.flatnonzero(np.isfinite(seconds) & ~too_large)
    order = fits[np.argsort(seconds[fits], kind="stable")]
    lean = np.flatnonzero(~unplaceable)
    lean = lean[np.argsort(needed[lean], kind="stable")]
    chosen = dict.fromkeys([*order[:shortlist].tolist(), *lean[: shortlist // 4].tolist()])
    listed = plans[list(chosen)]
    totals = (len(plans), int(unplaceable.sum()), int(too_large.sum()))
    if not order.size:
        why = Infeasible("no plan divides the model and the chips")
        if lean.size:
            leanest = plan_of(plans[lean[0]], used_dtype)
            weighed = weigh_plan(leanest, arrays)
            reason = f"the leanest plan ({leanest}) needs more memory than a chip has; {weighed.largest_in_words}"
            why = Infeasible(reason, float(needed[lean[0]]), weighed.available_bytes)
        return Found((), *totals, why, listed)
    steps = tuple(price_plan(program, plan_of(plans[i], used_dtype), part, arrays) for i in order[:top])
    return Found(steps, *totals, None, listed)


def chip_counts(chips: int) -> list[int]:
    """Numbers of chips worth planning for on a slice of ``chips``: all of them, and the largest power of two.

    >>> chip_counts(72)
    [72, 64]
    """
    power = 1 << (chips.bit_length() - 1)
    return [chips] if power == chips else [chips, power]
