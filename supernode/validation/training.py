"""Predicts a measured training row: architecture and plan from its columns, the unknown as a set of possibilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.plan import Plan
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


@dataclass(frozen=True)
class Run:
    """All that a prediction of a row needs: the model's work, the slice, and the plans and stacks that it leaves open.

    ``unit`` is that of what was measured, in SI; ``note`` what to know of the plans.
    """

    case: Case
    unit: str
    part: Slice
    work: Program
    sequence: int
    found: tuple[Possibility, ...]
    note: str = ""

    def values(self, draw: Draw) -> NDArray[np.float64]:
        """What was measured, in its unit, of every possibility; each definition of a rate is one more."""
        found: NDArray[np.float64] = _in_unit([_priced(self, draw)[0]], self)[0]
        return found


def run_of(case: Case, unit: str) -> Run:
    """Everything that a row's own columns say of it.

    Raises
    ------
    Refused : it cannot be predicted
    """
    if unit != "s" and not any(rate.unit == unit for rate in RATES.values()):
        raise Refused("unsupported", f"unit {unit} is not converted")
    part = part_of(case)
    model = architecture(case)
    sequence = case.count("seq_len")
    if sequence is None:
        raise Refused("unsupported", "seq_len is empty")
    found = possibilities(case, model, part)
    return Run(case, unit, part, program(model), sequence, tuple(found), remark(case, part.chips))


def plausible(run: Run, draw: Draw) -> Run:
    """The row with those possibilities only that can have run and were worth running, under a draw of the figures.

    Raises
    ------
    Refused : none can be laid out
    """
    import numpy as np

    seconds, needed, available = _priced(run, draw)
    batches = np.array([each.batch for each in run.found], dtype=np.float64)
    keep, note = _plausible(run.found, seconds / batches, needed, available)
    if not keep:
        raise Refused("infeasible", f"no plan of the row can be laid out on {run.part.chips} chips")
    said = "; ".join(filter(None, (run.note, note)))
    return replace(run, found=tuple(run.found[index] for index in keep), note=said)


def predict(case: Case, unit: str, seed: int) -> Predicted:
    """Predict the step time of a row [s], or the rate in its unit."""
    stated = Draw()
    run = plausible(run_of(case, unit), stated)
    times = [_priced(run, draw)[0] for draw in draws(stated.touched, seed)]
    return predicted(
        _in_unit(times, run),
        stack=" or ".join(dict.fromkeys(each.stack.name for each in run.found)),
        note=run.note,
    )


def _in_unit(times: list[NDArray[np.float64]], run: Run) -> NDArray[np.float64]:
    """Step times as the quantity that was measured: (draws, possibilities); each definition is a possibility."""
    import numpy as np

    seconds = np.array(times)
    if run.unit == "s":
        return seconds
    rate = next(rate for rate in RATES.values() if rate.unit == run.unit)
    steps = [(each.plan.recompute, each.batch) for each in run.found]
    amounts = per_second(rate, run.case, run.work, steps, run.part.chips)
    return np.concatenate([amount / seconds for amount in amounts], axis=1)


def _priced(run: Run, draw: Draw) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Step time [s], memory needed and memory that a chip offers [B] of each possibility."""
    import numpy as np

    from simulator.compute.kernels import CAPACITY
    from simulator.training import kernels
    from simulator.training.rows.kernels import RESERVE, SPREAD

    found = run.found
    seconds, needed, available = np.empty(len(found)), np.empty(len(found)), np.empty(len(found))
    groups: dict[tuple[int, Dtype, str], list[int]] = {}
    for index, each in enumerate(found):
        groups.setdefault((each.batch, each.plan.dtype, each.stack.name), []).append(index)
    for (batch, dtype, _), members in groups.items():
        stack = found[members[0]].stack
        arrays = training_arrays(run.work, run.part, stack, sequence=run.sequence, batch=batch, dtype=dtype, draw=draw)
        group_seconds, group_needed = np.empty(len(members)), np.empty(len(members))
        rows = plan_rows([found[index].plan for index in members])
        kernels.search_fast(*arrays, rows, False, group_seconds, group_needed)  # noqa: FBT003 - a kernel takes no keywords
        seconds[members], needed[members] = group_seconds * arrays.stack[SPREAD], group_needed
        available[members] = arrays.chip[CAPACITY] * (1 - arrays.stack[RESERVE])
    return seconds, needed, available


def _pointless(found: Sequence[Possibility], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which recompute part of their layers and still take longer than the same plan that recomputes them all."""
    import numpy as np

    kept = [replace(each.plan, recompute="full", recompute_layers=0, offload="none") for each in found]
    whole: dict[tuple[Plan, int, str], float] = {}
    for index, each in enumerate(found):
        if each.plan.recompute == "full" and not each.plan.recompute_layers:
            key = (kept[index], each.batch, each.stack.name)
            whole[key] = min(float(seconds[index]), whole.get(key, np.inf))
    return np.array(
        [
            each.plan.recompute_layers > 0
            and seconds[index] > whole.get((kept[index], each.batch, each.stack.name), np.inf)
            for index, each in enumerate(found)
        ]
    )


def _plausible(
    found: Sequence[Possibility],
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
    fits = placed & (needed <= np.maximum(COUNTED * available, least)) & ~_pointless(found, seconds)
    for name in {each.stack.name for each in found}:
        own = np.array([each.stack.name == name for each in found])
        if (fits & own).any():
            fits &= ~own | (seconds <= TUNED * seconds[fits & own].min())
    return [int(index) for index in np.flatnonzero(fits)], note
