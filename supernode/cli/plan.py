"""``supernode plan``: search parallel plans for a model on a machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supernode.cli.common import console, machine_names, model_names, print_json, progress_bar, quantity, warm_kernels

if TYPE_CHECKING:
    from simulator.machine import Slice
    from simulator.training import Found, Step


def plan(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or a TOML file.", autocompletion=model_names)],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price every legal plan (TP, PP, CP, EP, DP, ZeRO, micro-batch, recompute) and print the fastest that fit.

    Example: supernode plan llama3-405b ironwood-9216 --chips 1024 --top 3
    """
    import time

    import topologies
    import workloads
    from simulator.machine import slice_of
    from workloads.program import program
    from workloads.tasks import TrainingTask

    transformer = workloads.model(model)
    found_machine = topologies.machine(machine, hypothesis)
    if network:
        found_machine = dataclasses.replace(found_machine, network=topologies.network(network))
    default = f"train-{transformer.name}"
    task = workloads.task(default if default in workloads.names("tasks") else "train-llama3-405b")
    if not isinstance(task, TrainingTask):
        raise TypeError(task)
    part = slice_of(found_machine, chips if chips is not None else found_machine.chips)
    used = workloads.stack(stack or found_machine.stacks["training"])
    with progress_bar(is_quiet=as_json) as tell:
        warm_kernels(tell)
        from simulator.training import search

        tell("searching plans", 0, 1)
        begun = time.perf_counter()
        found = search(
            program(transformer),
            part,
            used,
            sequence=seq or task.sequence,
            batch=batch or task.batch,
            dtype=task.dtype,
            top=top,
        )
        seconds = time.perf_counter() - begun
    if as_json:
        print_json(_object(found, part, used.name, seconds))
    else:
        _print(found, part, transformer.name, used.name, seq or task.sequence, batch or task.batch)
    if found.infeasible is not None:
        raise typer.Exit(3)


def _object(found: Found, part: Slice, stack: str, seconds: float) -> dict[str, Any]:
    reason = dataclasses.asdict(found.infeasible) if found.infeasible else None
    return {
        "schema": 1,
        "machine": part.machine.name,
        "chips": part.chips,
        "reading": part.machine.reading,
        "stack": stack,
        "plans": [_plan(step) for step in found.steps],
        "searched": found.searched,
        "infeasible": found.too_large + found.unplaceable,
        "too_large": found.too_large,
        "unplaceable": found.unplaceable,
        "reason": reason,
        "seconds": seconds,
    }


def _plan(step: Step) -> dict[str, Any]:
    parts = {
        name.removesuffix("_s"): quantity(value, "s")
        for name, value in dataclasses.asdict(step).items()
        if name.endswith("_s") and name != "tokens_per_s"
    }
    return {
        "plan": dataclasses.asdict(step.plan),
        "step": parts
        | {
            "time": quantity(step.seconds, "s"),
            "tokens_per_s": quantity(step.tokens_per_s, "tokens/s"),
            "mfu": quantity(step.mfu, "1"),
        },
        "memory": {
            name.removesuffix("_bytes"): quantity(value, "B") for name, value in dataclasses.asdict(step.memory).items()
        },
    }


def _print(found: Found, part: Slice, model: str, stack: str, sequence: int, batch: int) -> None:
    from rich.table import Table

    from simulator.units import humanise

    out = console()
    if found.infeasible is not None:
        why = found.infeasible
        out.print(
            f"{model} fits on no plan on {part.chips:,} chips of {part.machine.name}: {why.reason}", highlight=False
        )
        if why.needed_bytes:
            needed, available = humanise(why.needed_bytes, "B"), humanise(why.available_bytes, "B")
            out.print(f"  {needed} needed, {available} available per chip; use more chips", highlight=False)
    else:
        title = (
            f"{model} on {part.chips:,} chips of {part.machine.name}, {batch:,} x {sequence:,} tokens a step, {stack}"
        )
        table = Table(title=title, title_justify="left")
        for name in ("plan", "step", "compute", "exposed comm", "bubble", "rest", "MFU", "tokens/s/chip", "memory"):
            table.add_column(name, justify="left" if name == "plan" else "right")
        for step in found.steps:
            table.add_row(
                str(step.plan),
                humanise(step.seconds, "s"),
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
        f"{found.unplaceable:,} do not lie on the fabric.",
        highlight=False,
    )
    if part.machine.reading:
        out.print(f"Reading: {part.machine.reading}", highlight=False, soft_wrap=True)
