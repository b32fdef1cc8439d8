"""``supernode plan``: search parallel plans for a model on a machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supernode.cli.common import console, machine_names, model_names, print_json, progress_bar, quantity, warm_kernels

if TYPE_CHECKING:
    from simulator.machine import Slice
    from simulator.training import Found
    from supernode.plan_search import Ranged


def plan(
    model: Annotated[
        str, typer.Argument(help="A model of the catalogue, a TOML file or a config.json.", autocompletion=model_names)
    ],
    machine: Annotated[
        str, typer.Argument(help="A machine of the catalogue, or a TOML file.", autocompletion=machine_names)
    ],
    chips: Annotated[int | None, typer.Option(help="Chips to use.  [default: the whole machine]")] = None,
    network: Annotated[str, typer.Option(help="Network that joins several machines.")] = "",
    batch: Annotated[
        int | None, typer.Option(help="Sequences of one step.  [default: the model's task]", min=1, max=10_000_000)
    ] = None,
    seq: Annotated[
        int | None, typer.Option(help="Tokens of one sequence.  [default: the model's task]", min=1, max=10_000_000)
    ] = None,
    stack: Annotated[str, typer.Option(help="Software stack.  [default: the machine's]")] = "",
    hypothesis: Annotated[str, typer.Option(help="Reading of an undisclosed machine.")] = "",
    top: Annotated[int, typer.Option(help="How many plans to show.", min=1, max=1000)] = 5,
    samples: Annotated[
        int, typer.Option(help="Draws of the uncertain figures for the range.", min=8, max=100_000)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0, max=2**63 - 1)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price every legal plan (TP, PP, CP, EP, DP, ZeRO, micro-batch, recompute) and print the fastest that fit.

    Example: supernode plan llama3-405b ironwood-9216 --chips 1024 --top 3
    """
    import time

    import topologies
    import workloads
    from supernode.readings import stack_of

    transformer = workloads.model(model)
    topologies.machine(machine, hypothesis)
    task = workloads.training_task(transformer)
    used = workloads.stack(stack) if stack else stack_of(machine, "training")
    with progress_bar(is_quiet=as_json) as tell:
        warm_kernels(tell)
        from supernode.plan_search import PlanRequest, best_plans

        tell("searching plans", 0, 1)
        begun = time.perf_counter()
        request = PlanRequest(
            transformer,
            machine,
            chips,
            network,
            hypothesis,
            used,
            seq or task.sequence,
            batch or task.batch,
            task.dtype,
            top,
            samples,
            seed,
        )
        part, found, ranged, sources = best_plans(request)
        seconds = time.perf_counter() - begun
    if as_json:
        print_json(_object(found, ranged, part, used.name, sources, seconds))
    else:
        title = f"{transformer.name} on {part.chips:,} chips of {part.machine.name}"
        title += f", {request.batch:,} x {request.sequence:,} tokens a step, {used.name}"
        _print(found, ranged, part, transformer.name, title)
    if found.infeasible is not None:
        raise typer.Exit(3)


def _object(
    found: Found, ranged: list[Ranged], part: Slice, stack: str, sources: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    reason = dataclasses.asdict(found.infeasible) if found.infeasible else None
    return {
        "schema": 1,
        "machine": part.machine.name,
        "chips": part.chips,
        "reading": part.machine.reading,
        "stack": stack,
        "plans": [_plan(each, sources) for each in ranged],
        "searched": found.searched,
        "infeasible": found.too_large + found.unplaceable,
        "too_large": found.too_large,
        "unplaceable": found.unplaceable,
        "reason": reason,
        "seconds": seconds,
    }


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
        "plan": dataclasses.asdict(step.plan),
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


def _print(found: Found, ranged: list[Ranged], part: Slice, model: str, title: str) -> None:
    from rich.table import Table

    from simulator.units import humanise

    out = console()
    if found.infeasible is not None:
        why = found.infeasible
        out.print(f"{model} fits on no plan on {part.chips:,} chips of {part.machine.name}: {why.reason}")
        if why.needed_bytes:
            needed, available = humanise(why.needed_bytes, "B"), humanise(why.available_bytes, "B")
            out.print(f"  {needed} needed, {available} available per chip; use more chips")
    else:
        table = Table(title=title, title_justify="left")
        columns = (
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
        for name in columns:
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
                f"{humanise(step.memory.needed_bytes, 'B', 3)} ({step.memory.largest})",
            )
        out.print(table)
    out.print(
        f"{found.searched:,} plans priced; {found.too_large:,} do not fit in memory, "
        f"{found.unplaceable:,} do not lie on the fabric."
    )
    if part.machine.reading:
        out.print(f"Reading: {part.machine.reading}", soft_wrap=True)
