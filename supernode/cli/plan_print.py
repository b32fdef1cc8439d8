"""What ``supernode plan`` prints: a table for people, one object for machines."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from supernode.cli.common import console, print_json, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from simulator.machine import Slice
    from simulator.training import Found, Step
    from supernode.plan_search import Planned, PlanRequest, Ranged

_COLUMNS = (
    "plan",
    "step",
    "5-95 %",
    "compute",
    "exposed comm",
    "bubble",
    "rest",
    "MFU",
    "tokens/s/chip",
    "memory",
)


def print_plans(request: PlanRequest, planned: list[Planned]) -> None:
    """A table for each number of chips, and one over all of them where there are several."""
    out = console()
    for each in planned:
        _print_one(out, request, each)
    if len(planned) > 1:
        _print_scaling(out, request, planned)
    if planned[0].part.machine.reading:
        out.print(f"Reading: {planned[0].part.machine.reading}", soft_wrap=True)


def print_plans_json(request: PlanRequest, planned: list[Planned], seconds: float) -> None:
    """One object: the plans of the largest number of chips, and the best one of each where there are several."""
    last = planned[-1]
    found = last.found
    print_json(
        {
            "schema": 1,
            "machine": last.part.machine.name,
            "chips": last.part.chips,
            "machines": last.part.machines,
            "reading": last.part.machine.reading,
            "stack": request.stack.name,
            "plans": [_plan(ranged, last.sources) for ranged in last.ranged],
            "unfit": _plan(last.unfit, last.sources) if last.unfit else None,
            "searched": found.searched,
            "infeasible": found.too_large + found.unplaceable,
            "too_large": found.too_large,
            "too_large_by_item": found.largest,
            "unplaceable": found.unplaceable,
            "undivided": found.undivided,
            "front": [_point(step, last.sources) for step in found.front],
            "scaling": [
                {"chips": each.part.chips, "searched": each.found.searched}
                | ({"best": _plan(each.ranged[0], each.sources)} if each.ranged else {"best": None})
                for each in planned
            ],
            "reason": dataclasses.asdict(found.infeasible) if found.infeasible else None,
            "seconds": seconds,
        }
    )


def _plan(ranged: Ranged, sources: tuple[str, ...]) -> dict[str, Any]:
    """One plan; the ranges of rates are that of the time, turned round. Parts of a step have no range of their own."""
    step = ranged.step
    slow, fast = step.seconds / ranged.high_s, step.seconds / ranged.low_s

    def rate(value: float, unit: str) -> dict[str, Any]:
        return quantity(value, unit, low=value * slow, high=value * fast, sources=sources)

    parts = {
        name.removesuffix("_s"): quantity(value, "s", sources=sources)
        for name, value in dataclasses.asdict(step).items()
        if name.endswith("_s") and name != "tokens_per_s"
    }
    return {
        "plan": dataclasses.asdict(step.plan) | {"text": str(step.plan)},
        "step": parts
        | {
            "time": quantity(step.seconds, "s", low=ranged.low_s, high=ranged.high_s, sources=sources),
            "tokens_per_s": rate(step.tokens_per_s, "tokens/s"),
            "mfu": rate(step.mfu, "1"),
        },
        "memory": {
            name.removesuffix("_bytes"): quantity(value, "B" if name.endswith("_bytes") else "1", sources=sources)
            for name, value in dataclasses.asdict(step.memory).items()
        },
    }


def _point(step: Step, sources: tuple[str, ...]) -> dict[str, Any]:
    """A plan that no other beats in both time and memory."""
    return {
        "plan": str(step.plan),
        "time": quantity(step.seconds, "s", sources=sources),
        "memory": quantity(step.memory.needed_bytes, "B", sources=sources),
    }


def _print_one(out: Console, request: PlanRequest, planned: Planned) -> None:
    from simulator.units import humanise

    part, found = planned.part, planned.found
    place = f"{part.chips:,} chips of {part.machine.name}{_joined(part)}"
    title = f"{request.model.name} on {place}, {request.batch:,} x {request.sequence:,} tokens a step"
    title += f", {request.stack.name}"
    if planned.ranged:
        out.print(_table(title, part, planned.ranged))
    if planned.unfit is not None:
        out.print(_table(f"Does not fit: {title}", part, [planned.unfit]))
    if found.infeasible is not None:
        why = found.infeasible
        said = "does not fit in this plan" if planned.unfit else "fits on no plan"
        out.print(f"{request.model.name} {said} on {place}: {why.reason}")
        if why.needed_bytes:
            needed, available = humanise(why.needed_bytes, "B"), humanise(why.available_bytes, "B")
            remedy = "the time is what it would take with more memory" if planned.unfit else "use more chips"
            out.print(f"  {needed} needed, {available} available per chip; {remedy}")
    for line in _reasons(found):
        out.print(line)
    if request.plan and found.front and (idle := part.chips - found.front[0].plan.chips):
        out.print(f"The plan leaves {idle:,} chips idle; MFU and tokens are shared out over all {part.chips:,}.")


def _table(title: str, part: Slice, ranged: Sequence[Ranged]) -> Table:
    """Plans with their parts."""
    from rich.table import Table

    from simulator.units import humanise

    table = Table(title=title, title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "plan" else "right")
    for each in ranged:
        step = each.step
        table.add_row(
            str(step.plan),
            humanise(step.seconds, "s"),
            f"{humanise(each.low_s, 's', 3)} to {humanise(each.high_s, 's', 3)}",
            humanise(step.compute_s, "s"),
            humanise(step.exposed_communication_s, "s"),
            humanise(step.bubble_s, "s"),
            humanise(step.optimizer_s + step.overhead_s, "s"),
            f"{step.mfu:.1%}",
            f"{step.tokens_per_s / part.chips:,.0f}",
            f"{_memory(step)} ({step.memory.largest})",
        )
    return table


def _memory(step: Step) -> str:
    """What a plan needs on a chip, and what there is where that is less."""
    from simulator.units import humanise

    memory = step.memory
    needed = humanise(memory.needed_bytes, "B", 3)
    return needed if memory.fits else f"{needed} of {humanise(memory.available_bytes, 'B', 3)}"


def _joined(part: Slice) -> str:
    """How many chips each machine gives, where they are not all that it has."""
    each = part.chips // part.machines
    return f" ({each} of each of {part.machines:,})" if part.machines > 1 and each < part.machine.chips else ""


def _reasons(found: Found) -> list[str]:
    """How many plans were weighed, and why the others are none, most frequent reasons first."""
    fit = found.searched - found.too_large - found.unplaceable
    if found.searched == 1:
        return [f"One legal plan, which {'fits' if fit else 'does not fit'}."]
    lines = [f"{found.searched:,} legal plans, {fit:,} of them fit."]
    if found.too_large:
        items = sorted(found.largest.items(), key=lambda item: (-item[1], item[0]))
        said = ", ".join(f"{name} {count:,}" for name, count in items)
        lines.append(f"  {found.too_large:,} need more memory than a chip has; largest item: {said}")
    if found.unplaceable:
        lines.append(f"  {found.unplaceable:,} do not lie on the fabric: a group does not divide an axis")
    if found.undivided:
        lines.append(
            f"  {found.undivided:,} more combinations do not divide: batch by data ranks x micro-batch, ranks by "
            "expert ranks, or micro-batches by what the schedule asks for"
        )
    return lines


def _print_scaling(out: Console, request: PlanRequest, planned: list[Planned]) -> None:
    from rich.table import Table

    from simulator.units import humanise

    table = Table(title=f"{request.model.name} on {planned[0].part.machine.name} by chips", title_justify="left")
    for name in ("chips", "step", "MFU", "tokens/s/chip", "memory", "plan"):
        table.add_column(name, justify="left" if name == "plan" else "right")
    for each in planned:
        step = each.best
        if step is None:
            table.add_row(f"{each.part.chips:,}", "–", "–", "–", "–", "fits on no plan")
            continue
        table.add_row(
            f"{each.part.chips:,}",
            humanise(step.seconds, "s"),
            f"{step.mfu:.1%}",
            f"{step.tokens_per_s / each.part.chips:,.0f}",
            _memory(step),
            str(step.plan),
        )
    out.print(table)
