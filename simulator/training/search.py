"""Find the plan that takes the least time among those that fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import Infeasible
from simulator.figures import Draw
from simulator.training.plans import candidate_plans, plan_rows
from simulator.training.step import Step, price_plan, training_arrays

if TYPE_CHECKING:
    from simulator.machine import Dtype, Slice
    from simulator.program import Plan, Program, Stack


@dataclass(frozen=True)
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
    shortlist: tuple[Plan, ...] = ()


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
    plans: list[Plan] | None = None,
) -> Found:
    """Price every legal plan on the slice and return the ``top`` fastest that fit.

    Plans use all chips of the slice or, where that is more, the largest number with only the primes 2 and 3 in it
    (a rack of 72 is often run as 64); rates are per chip of the whole slice either way.

    Parameters
    ----------
    program, part, stack, sequence, batch, dtype, draw : as in :func:`simulator.training.step.step`
    top : how many plans to return [1]
    shortlist : how many plans to list for another search [1]
    plans : consider only these
    """
    import numpy as np

    from simulator.training import kernels

    if plans is None:
        plans = []
        for chips in chip_counts(part.chips):
            plans.extend(candidate_plans(program, chips, sequence, batch, part.chip.dtype(dtype)))
    arrays = training_arrays(program, part, stack, sequence=sequence, batch=batch, dtype=dtype, draw=draw or Draw())
    rows = plan_rows(plans)
    seconds = np.empty(len(plans))
    needed = np.empty(len(plans))
    kernels.search_fast(*arrays, rows, seconds, needed)
    available = float(arrays.chip[6] * (1 - arrays.stack[10]))
    placed = np.isfinite(seconds)
    fits = placed & (needed <= available)
    unplaceable, too_large = int((~placed).sum()), int((placed & ~fits).sum())
    order = np.flatnonzero(fits)[np.argsort(seconds[fits], kind="stable")]
    lean = np.flatnonzero(placed)[np.argsort(needed[placed], kind="stable")]
    chosen = dict.fromkeys([*order[:shortlist].tolist(), *lean[: shortlist // 4].tolist()])
    listed = tuple(plans[i] for i in chosen)
    if not order.size:
        why = _why(plans, needed, placed, available)
        return Found((), len(plans), unplaceable, too_large, why, listed)
    steps = tuple(price_plan(program, plans[i], part, arrays, kernels.step_fast) for i in order[:top])
    return Found(steps, len(plans), unplaceable, too_large, None, listed)


def chip_counts(chips: int) -> list[int]:
    """Numbers of chips worth planning for on a slice of ``chips``: all of them, and the largest power of two.

    >>> chip_counts(72)
    [72, 64]
    """
    power = 1 << (chips.bit_length() - 1)
    return [chips] if power == chips else [chips, power]


def _why(plans: list[Plan], needed: object, placed: object, available: float) -> Infeasible:
    import numpy as np

    wanted = np.where(placed, needed, np.inf)  # type: ignore[call-overload]
    if not len(plans) or not np.isfinite(wanted).any():
        return Infeasible("no plan divides the model and the chips")
    least = int(np.argmin(wanted))
    return Infeasible(
        f"the leanest plan ({plans[least]}) needs more memory than a chip has", float(wanted[least]), available
    )
