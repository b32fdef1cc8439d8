"""``supernode plan``: search parallel plans for a model on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supernode.cli.common import machine_names, model_names, progress_bar, stack_names, warm_kernels

if TYPE_CHECKING:
    from simulator.machine import Dtype
    from simulator.plan import Schedule
    from supernode.plan_search import Planned, PlanRequest


def _schedules(incomplete: str) -> list[str]:
    """Complete the name of a schedule."""
    from simulator.plan import SCHEDULES

    return [name for name in SCHEDULES if name.startswith(incomplete)]


def plan(
    model: Annotated[
        str, typer.Argument(help="A model of the catalogue, a TOML file or a config.json.", autocompletion=model_names)
    ],
    machine: Annotated[
        str, typer.Argument(help="A machine of the catalogue, or a TOML file.", autocompletion=machine_names)
    ],
    chips: Annotated[
        str, typer.Option(help="Chips to use: 512, several as 256,512 or all doublings 256:2048.  [default: all]")
    ] = "",
    per_machine: Annotated[
        int,
        typer.Option(
            help="Chips that each machine gives where several are joined, such as 64 of a rack of 72.  [default: all]",
            min=0,
            max=10_000_000,
            show_default=False,
        ),
    ] = 0,
    network: Annotated[str, typer.Option(help="Network that joins several machines.")] = "",
    batch: Annotated[
        int | None, typer.Option(help="Sequences of one step.  [default: the model's task]", min=1, max=10_000_000)
    ] = None,
    seq: Annotated[
        int | None, typer.Option(help="Tokens of one sequence.  [default: the model's task]", min=1, max=10_000_000)
    ] = None,
    stack: Annotated[
        str, typer.Option(help="Software stack.  [default: the machine's]", autocompletion=stack_names)
    ] = "",
    dtype: Annotated[str, typer.Option(help="Dtype of matrix products.  [default: the task's]")] = "",
    schedule: Annotated[
        str, typer.Option(help="Only this pipeline schedule.  [default: the stack's]", autocompletion=_schedules)
    ] = "",
    only: Annotated[str, typer.Option("--plan", help='Only this plan, such as "TP8 PP4 VP2 ZeRO-1 MBS1".')] = "",
    hypothesis: Annotated[str, typer.Option(help="Reading of an undisclosed machine.")] = "",
    top: Annotated[int, typer.Option(help="How many plans to show.", min=1, max=1000)] = 5,
    samples: Annotated[
        int, typer.Option(help="Draws of the uncertain figures for the range.", min=8, max=100_000)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0, max=2**63 - 1)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write time against memory (and chips) to this .png or .svg.")
    ] = None,
    schedule_plot: Annotated[
        Path | None, typer.Option(help="Write the best plan's pipeline over time to this .png or .svg.")
    ] = None,
    perfetto: Annotated[
        Path | None, typer.Option(help="Write the best plan's step as a trace for ui.perfetto.dev.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price every legal plan (TP, PP, CP, EP, DP, ZeRO, micro-batch, recompute) and print the fastest that fit.

    Every degree that divides is tried, with virtual stages, expert-tensor ranks, HSDP, the stack's schedules and the
    order in which ranks fill the axes of a torus.

    Example: supernode plan llama3-405b ironwood-9216 --chips 1024 --top 3

    Example: supernode plan deepseek-v3 gb200-nvl72 --chips 256 --per-machine 64
    """
    import time

    from supernode.cli.plan_print import print_plans, print_plans_json

    for picture in (plot, schedule_plot):
        _check_picture(picture)
    request = _request(
        model,
        machine,
        chips,
        per_machine,
        network,
        hypothesis,
        stack,
        seq,
        batch,
        dtype,
        schedule,
        only,
        top,
        samples,
        seed,
    )
    with progress_bar(is_quiet=as_json) as tell:
        warm_kernels(tell)
        from supernode.plan_search import best_plans, chips_asked

        tell("searching plans", 0, 1)
        begun = time.perf_counter()
        counts = chips_asked(request.chips, machine, hypothesis, per_machine)
        planned = [best_plans(request, count, tell) for count in counts]
        seconds = time.perf_counter() - begun
    _write(request, planned, plot, schedule_plot, perfetto)
    if as_json:
        print_plans_json(request, planned, seconds)
    else:
        print_plans(request, planned)
    if not any(each.found.steps for each in planned):
        raise typer.Exit(3)


def _check_picture(path: Path | None) -> None:
    """Refuse a picture in a format that we do not write before anything is searched."""
    from simulator.errors import InputError

    if path and path.suffix.lower() not in {".png", ".svg"}:
        raise InputError("a picture is a .png or an .svg file", where=str(path), remedy="end the path in .png or .svg")


def _request(
    model: str,
    machine: str,
    chips: str,
    per_machine: int,
    network: str,
    hypothesis: str,
    stack: str,
    seq: int | None,
    batch: int | None,
    dtype: str,
    schedule: str,
    only: str,
    top: int,
    samples: int,
    seed: int,
) -> PlanRequest:
    """Read names before anything is computed.

    Raises
    ------
    InputError : a name that nobody knows, a dtype that the chip lacks
    """
    import topologies
    import workloads
    from simulator.errors import InputError, unknown_name
    from simulator.plan import SCHEDULES
    from supernode.readings import stack_of

    transformer = workloads.model(model)
    chip = topologies.machine(machine, hypothesis).chip
    task = workloads.training_task(transformer)
    used = workloads.stack(stack) if stack else stack_of(machine, "training")
    if schedule and schedule not in SCHEDULES:
        raise unknown_name("schedule", schedule, SCHEDULES, where="--schedule")
    if dtype and dtype not in chip.peak:
        raise InputError(f"{chip.name} has no {dtype!r}", where="--dtype", remedy=f"it has {', '.join(chip.peak)}")
    from supernode.plan_search import PlanRequest

    wanted: Dtype = dtype or task.dtype
    asked: Schedule | None = schedule or None
    return PlanRequest(
        transformer,
        machine,
        chips,
        per_machine,
        network,
        hypothesis,
        used,
        seq or task.sequence,
        batch or task.batch,
        wanted,
        asked,
        only,
        top,
        samples,
        seed,
    )


def _write(
    request: PlanRequest,
    planned: list[Planned],
    plot: Path | None,
    schedule_plot: Path | None,
    perfetto: Path | None,
) -> None:
    """Write the files that were asked for, of the largest number of chips that has a plan, or say why there are none.

    A plan that was asked for and does not fit is drawn as if it did.
    """
    from supernode.plan_search import timeline_of

    fitting = [each for each in planned if each.found.steps]
    title = f"{request.model.name} on {planned[0].part.machine.name}, {request.stack.name}"
    if plot and fitting:
        from supernode.plots.pareto import write_pareto

        batch = f"{request.batch:,} x {request.sequence:,} tokens a step"
        chips = f" on {fitting[0].part.chips:,} chips" if len(fitting) == 1 else ""
        write_pareto([(each.part.chips, each.found) for each in fitting], plot, f"{title}{chips}: {batch}")
    drawn = [(each, each.best) for each in fitting or planned if each.best]
    missing = [plot if not fitting else None, *([schedule_plot, perfetto] if not drawn else [])]
    for path in filter(None, missing):
        typer.echo(f"supernode: {path} is not written: no plan fits", err=True)
    if not drawn or (schedule_plot is None and perfetto is None):
        return
    best, step = drawn[-1]
    timeline = timeline_of(request, step, best.part)
    name = f"{title}, {best.part.chips:,} chips: {step.plan}{'' if step.memory.fits else ' (does not fit)'}"
    if schedule_plot:
        from supernode.plots.pipeline import write_schedule

        write_schedule(timeline, schedule_plot, request.model.name)
    if perfetto:
        from supernode.perfetto import Phase, write_perfetto

        phases = [
            Phase("gradients and parameters of data ranks, what shows", step.data_s, "communication"),
            Phase("optimizer", step.optimizer_s, "compute"),
            Phase("host, and waiting for the slowest rank", step.overhead_s, "compute"),
        ]
        write_perfetto(timeline, perfetto, name=name, after=phases)
