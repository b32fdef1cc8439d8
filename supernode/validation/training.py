"""Predicts a measured training row: architecture and plan from its columns, the unknown as a set of possibilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.figures import Draw
from simulator.training.arrays import training_arrays
from simulator.training.plans import plan_rows
from supernode.validation.answers import Predicted, Refused, predicted
from supernode.validation.architecture import architecture
from supernode.validation.parts import draws, part_of
from supernode.validation.possibilities import Possibility, possibilities, remark
from supernode.validation.rates import RATES, per_second
from workloads.program import program

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.program import Program
    from supernode.validation.cases import Case

TUNED = 1.25
"""Who publishes a result has tuned it: of what a row leaves open, that counts which comes this near to the fastest."""
COUNTED = 1.3
"""How far our count of memory may lie above what a chip offers before a plan is taken not to have run there."""
_GIGABYTE = 1e9


def measured(case: Case) -> tuple[float, str]:
    """What was measured, in SI units: the step time [s], else ``value`` under its unit."""
    if seconds := case.measured.get("step_time_s"):
        return seconds, "s"
    unit, value = case.text("unit"), case.measured.get("value")
    if unit in RATES and value:
        return value * RATES[unit].factor, RATES[unit].unit
    text = f"{unit} {case.text('metric')}".lower()
    if "mfu" in text or "hfu" in text:
        raise Refused("unsupported", "MFU alone: every source defines it differently")
    if "hour" in text:
        raise Refused("unsupported", "GPU-hours: they hold restarts, evaluation and idle chips")
    if "min" in text or "time-to-train" in text:
        raise Refused("unsupported", "time to train: it holds evaluation and a number of steps that is not stated")
    if not value:
        raise Refused("unsupported", "neither a step time nor a value was measured")
    raise Refused("unsupported", f"unit {unit or 'empty'} is not converted")


def described(case: Case) -> str:
    """What ran, in a few words."""
    degrees = ((name.upper(), case.count(name) or 0) for name in ("tp", "cp", "pp", "vp", "ep"))
    shown = [f"{name}{size}" for name, size in degrees if size > 1]
    return " ".join([case.title, case.text("precision"), *shown]).strip()


def predict(case: Case, unit: str, seed: int) -> Predicted:
    """Predict the step time of a row [s], or the rate in its unit."""
    import numpy as np

    if unit != "s" and not any(rate.unit == unit for rate in RATES.values()):
        raise Refused("unsupported", f"unit {unit} is not converted")
    part = part_of(case)
    model = architecture(case)
    sequence = case.count("seq_len")
    if sequence is None:
        raise Refused("unsupported", "seq_len is empty")
    found = possibilities(case, model, part)
    work = program(model)
    stated = Draw()
    seconds, needed, available = _priced(work, found, part, sequence, stated)
    batches = np.array([each.batch for each in found], dtype=np.float64)
    keep, note = _plausible(found, seconds / batches, needed, available)
    if not keep:
        raise Refused("infeasible", f"no plan of the row can be laid out on {part.chips} chips")
    found = [found[index] for index in keep]
    times = [_priced(work, found, part, sequence, draw)[0] for draw in draws(stated.touched, seed)]
    said = "; ".join(filter(None, (remark(case, part.chips), note)))
    return predicted(
        _in_unit(times, case, unit, work, found, part),
        stack=" or ".join(dict.fromkeys(each.stack.name for each in found)),
        note=said,
    )


def _in_unit(
    times: list[NDArray[np.float64]], case: Case, unit: str, work: Program, found: list[Possibility], part: Slice
) -> NDArray[np.float64]:
    """Step times as the quantity that was measured: (draws, possibilities); each definition is a possibility."""
    import numpy as np

    seconds = np.array(times)
    if unit == "s":
        return seconds
    rate = next(rate for rate in RATES.values() if rate.unit == unit)
    amounts = per_second(rate, case, work, [(each.plan.recompute, each.batch) for each in found], part.chips)
    return np.concatenate([amount / seconds for amount in amounts], axis=1)


def _priced(
    work: Program, found: list[Possibility], part: Slice, sequence: int, draw: Draw
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Step time [s], memory needed and memory that a chip offers [B] of each possibility."""
    import numpy as np

    from simulator.compute.kernels import CAPACITY
    from simulator.training import kernels
    from simulator.training.rows.kernels import RESERVE

    seconds, needed, available = np.empty(len(found)), np.empty(len(found)), np.empty(len(found))
    groups: dict[tuple[int, Dtype, str], list[int]] = {}
    for index, each in enumerate(found):
        groups.setdefault((each.batch, each.plan.dtype, each.stack.name), []).append(index)
    for (batch, dtype, _), members in groups.items():
        stack = found[members[0]].stack
        arrays = training_arrays(work, part, stack, sequence=sequence, batch=batch, dtype=dtype, draw=draw)
        group_seconds, group_needed = np.empty(len(members)), np.empty(len(members))
        rows = plan_rows([found[index].plan for index in members])
        kernels.search_fast(*arrays, rows, False, group_seconds, group_needed)  # noqa: FBT003 - a kernel takes no keywords
        assert stack.training
        spread = stack.training.moe_spread if work.moe_layers else stack.training.dense_spread
        seconds[members], needed[members] = group_seconds * draw(spread), group_needed
        available[members] = arrays.chip[CAPACITY] * (1 - arrays.stack[RESERVE])
    return seconds, needed, available


def _plausible(
    found: list[Possibility],
    seconds: NDArray[np.float64],
    needed: NDArray[np.float64],
    available: NDArray[np.float64],
) -> tuple[list[int], str]:
    """Indices of the possibilities that can have run and were worth running, and a note on memory.

    ``seconds`` are per sequence, ``needed`` and ``available`` bytes of a chip. Of those of one stack that fit in
    memory, as far as our count of it can tell, the fastest few count; the leanest where none fits.
    """
    import numpy as np

    placed = np.isfinite(seconds)
    if not placed.any():
        return [], ""
    least = needed[placed].min()
    note = ""
    if not (placed & (needed <= available)).any():
        note = (
            f"our count of memory is {least / _GIGABYTE:.0f} GB of {available.max() / _GIGABYTE:.0f} GB a chip; priced "
            "all the same"
        )
    fits = placed & (needed <= np.maximum(COUNTED * available, least))
    for name in {each.stack.name for each in found}:
        own = np.array([each.stack.name == name for each in found])
        if (fits & own).any():
            fits &= ~own | (seconds <= TUNED * seconds[fits & own].min())
    return [int(index) for index in np.flatnonzero(fits)], note
