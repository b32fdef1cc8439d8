"""Which pipelines a schedule can run: ranks, virtual stages and micro-batches that go together."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from simulator.errors import InputError, unknown_name
from simulator.plan import SCHEDULES

if TYPE_CHECKING:
    from simulator.plan import Schedule

V_SHAPED: tuple[Schedule, ...] = ("zb-v", "v-half", "v-min")
"""Schedules whose stages go down the ranks and up again, so that each holds two."""


def check_schedule(
    schedule: str, pipeline: int, virtual_stages: int, micro_batches: int, *, where: str = "plan"
) -> None:
    """Refuse a pipeline that the schedule cannot run.

    Raises
    ------
    InputError : names the field, the value and the nearest legal ones
    """
    if schedule not in SCHEDULES:
        raise unknown_name("schedule", schedule, SCHEDULES, where=f"{where}.schedule")
    counts = {"pipeline": pipeline, "virtual_stages": virtual_stages, "micro_batches": micro_batches}
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{value} is not a count", where=f"{where}.{name}", remedy="at least 1")
    if found := refusal(schedule, pipeline, virtual_stages, micro_batches):
        field, message, remedy = found
        raise InputError(message, where=f"{where}.{field}", remedy=remedy)


@functools.cache
def refusal(schedule: str, pipeline: int, virtual_stages: int, micro_batches: int) -> tuple[str, str, str] | None:
    """Why a known schedule cannot run so many stages and micro-batches: field, message, remedy; None where it can."""
    if schedule in V_SHAPED and virtual_stages != 2:
        return (
            "virtual_stages",
            f"{schedule} folds the model once, with 2 virtual stages, not {virtual_stages}",
            "try 2",
        )
    if schedule not in {*V_SHAPED, "1f1b"} and virtual_stages > 1:
        remedy = "try 1, or schedule 1f1b, whose interleaved form has virtual stages"
        return "virtual_stages", f"{schedule} has one stage a rank, not {virtual_stages}", remedy
    if schedule == "dualpipe":
        return _refuse_dualpipe(pipeline, micro_batches)
    if schedule == "1f1b" and virtual_stages > 1:
        return _refuse_interleaved(pipeline, virtual_stages, micro_batches)
    return None


def _refuse_interleaved(pipeline: int, virtual_stages: int, micro_batches: int) -> tuple[str, str, str] | None:
    if pipeline == 1:
        return "virtual_stages", f"{virtual_stages} virtual stages need a pipeline of at least 2 ranks", "try 1"
    if micro_batches % pipeline == 0:
        return None
    message = f"interleaved 1f1b takes micro-batches in groups of {pipeline} (pipeline ranks), not {micro_batches}"
    return "micro_batches", message, _multiples(micro_batches, pipeline)


def _refuse_dualpipe(pipeline: int, micro_batches: int) -> tuple[str, str, str] | None:
    if pipeline % 2:
        message = f"dualpipe feeds the pipeline from both ends and needs an even number of ranks, not {pipeline}"
        return "pipeline", message, _multiples(pipeline, 2)
    if micro_batches % 2 == 0 and micro_batches >= 2 * pipeline:
        return None
    message = f"dualpipe needs an even number of micro-batches, at least {2 * pipeline}, not {micro_batches}"
    return "micro_batches", message, _multiples(micro_batches, 2, least=2 * pipeline)


def _multiples(value: int, of: int, *, least: int = 1) -> str:
    """The legal values on both sides of one that is not."""
    below = value // of * of
    above = max(below + of, least)
    return f"try {below} or {above}" if least <= below and below > 0 else f"try {above}"
