"""One workload on one contender under one draw of the figures: numbers by metric, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import workloads
from simulator.cluster import Job, JobClass, Report, Service, Settings, draw_jobs, simulate
from simulator.economics import power_w, price_work
from simulator.errors import Infeasible, InputError
from simulator.machine import Slice, slice_of
from simulator.serving import estimate
from simulator.serving.estimate import serving_dtype
from simulator.training import USUAL, Found, search, space_of
from workloads.program import program
from workloads.tasks import ClusterTask, ServingTask, Task, TrainingTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Draw, Figure
    from simulator.machine import Machine
    from simulator.program import Program
    from simulator.serving import Serving
    from supernode.basis import Contender

T = TypeVar("T", TrainingTask, ServingTask)
STATED = -1
"""Index of the draw in which every figure has its stated value."""
SHORTLIST = 160
"""Plans that a draw prices again: the best and the leanest under the stated figures."""
RERANKED = 8
"""Of those, how many have their pipelines run pass by pass."""
CHECKPOINT_BYTES_PER_PARAMETER = 14.0
"""Two-byte weights, float32 master copy and two moments (Adam)."""


@dataclass(frozen=True)
class Answer:
    """Metrics by name, the plan in words and a note; or, with ``infeasible``, the reason why there are none."""

    metrics: dict[str, float]
    plan: str = ""
    note: str = ""
    infeasible: Infeasible | None = None
    report: Report | None = None


@dataclass
class Evaluator:
    """Evaluates workloads on one machine under one hypothesis; remembers the plans worth pricing in every draw."""

    contender: Contender
    machine: Machine
    seed: int
    _shortlists: dict[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)
    _programs: dict[str, Program] = field(default_factory=dict)
    _answers: dict[tuple[str, int | None], tuple[Answer, dict[str, Figure]]] = field(default_factory=dict)

    def answer(self, task: Task, draw: Draw, index: int | None = None) -> Answer:
        """Evaluate one task under one draw; with its ``index`` the answer is remembered for another case."""
        key = (task.name, index)
        if index is None:
            return self._fresh(task, draw)
        if key not in self._answers:
            self._answers[key] = (self._fresh(task, draw), dict(draw.touched))
        answer, touched = self._answers[key]
        draw.touched |= touched
        return answer

    def _fresh(self, task: Task, draw: Draw) -> Answer:
        if isinstance(task, TrainingTask):
            return self._training(task, draw)
        if isinstance(task, ServingTask):
            return self._serving(task, draw)
        return self._cluster(task, draw)

    def economics(self, draw: Draw) -> dict[str, float]:
        """What the contender costs and draws at full load, whatever it does."""
        chips = self.contender.chips
        full = price_work(self.machine, chips, 1.0, 1.0, draw)
        return {
            "power": full.power_w,
            "facility_power": full.facility_power_w,
            "capital": full.capital_usd_per_s * draw(self.machine.prices.life),
            "usd_per_chip_hour": full.cost_usd_per_s / chips * 3600,
            "rent_usd_per_chip_hour": full.rent_usd_per_s / chips * 3600,
            "peak_flops": draw(self.machine.chip.peak["bf16"]) * chips,
        }

    def _program(self, model: str) -> Program:
        if model not in self._programs:
            self._programs[model] = program(workloads.model(model))
        return self._programs[model]

    def _found(self, task: TrainingTask, part: Slice, draw: Draw) -> Found:
        """Search all plans the first time, afterwards those that the first search listed."""
        key = (task.name, part.chips)
        listed = self._shortlists.get(key)
        stack = workloads.stack(self.machine.stacks["training"])
        found = search(
            self._program(task.model),
            part,
            stack,
            sequence=task.sequence,
            batch=task.batch,
            dtype=task.dtype,
            shortlist=SHORTLIST if listed is None else 0,
            reranked=RERANKED,
            draw=draw,
            space=space_of(stack, USUAL),
            plans=listed,
        )
        if listed is None:
            self._shortlists[key] = found.shortlist
        return found

    def _training(self, task: TrainingTask, draw: Draw) -> Answer:
        part = slice_of(self.machine, self.contender.chips)
        found = self._found(task, part, draw)
        if found.infeasible is not None:
            return Answer({}, infeasible=found.infeasible)
        best = found.steps[0]
        cost = price_work(self.machine, part.chips, best.tokens_per_s, 1.0, draw)
        run_s = task.tokens / best.tokens_per_s
        dtype = self.machine.chip.dtype(task.dtype)
        return Answer(
            {
                "tokens_per_s": best.tokens_per_s,
                "tokens_per_s_per_chip": best.tokens_per_s / part.chips,
                "mfu": best.mfu,
                "step_time": best.seconds,
                "step_compute": best.compute_s,
                "step_exposed_communication": best.exposed_communication_s,
                "step_bubble": best.bubble_s,
                "step_optimizer": best.optimizer_s,
                "step_overhead": best.overhead_s,
                "memory_per_chip": best.memory.needed_bytes,
                "run_time": run_s,
                "usd_per_run": cost.cost_usd_per_s * run_s,
                "usd_per_million_tokens": cost.usd_per_million_tokens,
                "rent_usd_per_million_tokens": cost.rent_usd_per_million_tokens,
                "tokens_per_joule": cost.tokens_per_j,
            },
            plan=str(best.plan),
            note="" if dtype == task.dtype else f"computes in {dtype}: the chip has no {task.dtype}",
        )

    def _serving(self, task: ServingTask, draw: Draw) -> Answer:
        chips = self.contender.chips
        found = self._served(task, chips, draw)
        if isinstance(found, Infeasible):
            return Answer({}, infeasible=found)
        best, dtype = found, serving_dtype(self.machine.chip, task.dtype)
        cost = price_work(self.machine, chips, best.output_tokens_per_s, 1.0, draw)
        return Answer(
            {
                "output_tokens_per_s": best.output_tokens_per_s,
                "output_tokens_per_s_per_chip": best.output_tokens_per_s / chips,
                "prefill_tokens_per_s": best.prefill_tokens_per_s,
                "decode_tokens_per_s": best.decode_tokens_per_s,
                "ttft": best.ttft_s,
                "tpot": best.tpot_s,
                "batch": float(best.batch),
                "usd_per_million_tokens": cost.usd_per_million_tokens,
                "rent_usd_per_million_tokens": cost.rent_usd_per_million_tokens,
                "tokens_per_joule": cost.tokens_per_j,
            },
            plan=str(best.plan),
            note="" if dtype == task.dtype else f"computes in {dtype}: the chip has no {task.dtype}",
        )

    def _served(self, task: ServingTask, chips: int, draw: Draw) -> Serving | Infeasible:
        """The best layout of a service on some chips, or why there is none."""
        found = estimate(
            self._program(task.model),
            self.machine,
            chips,
            workloads.stack(self.machine.stacks["serving"]),
            input_tokens=task.input_tokens,
            output_tokens=task.output_tokens,
            tpot_s=task.tpot_s,
            ttft_s=task.ttft_s,
            dtype=task.dtype,
            draw=draw,
        )
        return found.best or found.infeasible or Infeasible("no layout was tried")

    def _share_chips(self, share: float) -> int:
        """Chips of the largest legal slice of whole allocation units that is not above a share of the contender."""
        unit = self.machine.allocation.chips
        wanted = max(unit, int(share * self.contender.chips + 1e-9))
        if wanted >= self.machine.chips:
            return wanted // self.machine.chips * self.machine.chips
        return max((c for c in self.machine.legal_chips if c <= wanted and c % unit == 0), default=unit)

    def _cluster(self, task: ClusterTask, draw: Draw) -> Answer:
        machine, chips = self.machine, self.contender.chips
        unit = machine.allocation.chips
        if chips < unit:
            why = f"{chips} chips are less than one {machine.allocation.unit} of {unit}, which the scheduler hands out"
            return Answer({}, infeasible=Infeasible(why))
        reliability = machine.reliability
        services, missing = self._services(task, draw)
        held = sum(-(-service.chips // unit) * unit for service in services)
        classes = []
        for job in task.jobs:
            training = _task_of(TrainingTask, f"train-{job.model}")
            size = self._share_chips(job.share)
            found = self._found(training, slice_of(machine, size), draw)
            if found.infeasible is not None:
                missing.append(job.name)
                continue
            parameters = self._program(job.model).parameters
            written = parameters * CHECKPOINT_BYTES_PER_PARAMETER / size
            classes.append(
                JobClass(
                    name=job.name,
                    weight=job.weight,
                    chips=size,
                    work_s=job.duration_s,
                    work_sigma=job.sigma,
                    tokens_per_s=found.steps[0].tokens_per_s,
                    checkpoint_s=written / draw(reliability.checkpoint_bandwidth),
                )
            )
        if not classes and not services:
            return Answer({}, infeasible=Infeasible("none of the day's jobs and services fits on any plan"))
        jobs: tuple[Job, ...] = ()
        if classes:
            jobs = draw_jobs(
                classes,
                load=task.load,
                capacity_chips=max(unit, chips - held),
                horizon_s=task.duration_s,
                seed=self.seed,
            )
        settings = Settings(
            units=chips // unit,
            unit_chips=unit,
            horizon_s=task.duration_s,
            failures_per_chip_s=draw(reliability.interruptions_per_chip),
            repair_s=draw(reliability.repair),
            restart_s=draw(reliability.restart),
            policy=task.policy,
        )
        report = simulate(settings, jobs, services, self.seed)
        plan = f"{len(jobs)} jobs of {len(classes)} classes, {len(services)} services"
        note = f"fits on no plan here: {', '.join(missing)}" if missing else ""
        return Answer(self._day(report, len(missing), draw), plan=plan, note=note, report=report)

    def _services(self, task: ClusterTask, draw: Draw) -> tuple[list[Service], list[str]]:
        services, missing = [], []
        for i, service in enumerate(task.services):
            size = self._share_chips(service.share)
            found = self._served(_task_of(ServingTask, f"serve-{service.model}"), size, draw)
            if isinstance(found, Infeasible):
                missing.append(service.name)
                continue
            capacity = found.output_tokens_per_s
            services.append(
                Service(
                    name=service.name,
                    chips=size,
                    capacity_tokens_per_s=capacity,
                    mean_tokens_per_s=capacity * service.utilisation,
                    peak_to_trough=service.peak_to_trough,
                    peak_s=task.duration_s * (0.5 + i / (4 * len(task.services))),
                )
            )
        return services, missing

    def _day(self, report: Report, missing: int, draw: Draw) -> dict[str, float]:
        """Metrics of a simulated day, with its energy from the busy chip-seconds of every time bin."""
        chips, horizon_s = self.contender.chips, report.settings.horizon_s
        busy = float(report.busy_chip_s.sum()) / (chips * horizon_s)
        # power is linear in utilisation, so the mean over time is the power at the mean utilisation
        used_w = power_w(self.machine, chips, busy, draw) + chips * draw(self.machine.network.power_per_chip)
        energy_j = used_w * draw(self.machine.site.pue) * horizon_s
        cost = price_work(self.machine, chips, 1.0, busy, draw).cost_usd_per_s * horizon_s
        tokens = report.tokens_trained + report.tokens_served
        metrics = {
            "utilisation": report.utilisation,
            "goodput": report.useful_share,
            "queueing_delay_mean": report.delay_s_mean or 0.0,
            "queueing_delay_p95": report.delay_s_p95 or 0.0,
            "jobs_submitted": float(report.jobs_submitted),
            "jobs_completed": float(report.jobs_completed),
            "jobs_infeasible": float(missing),
            "interruptions": float(report.interruptions),
            "failures": float(report.failures),
            "tokens_trained": report.tokens_trained,
            "tokens_served": report.tokens_served,
            "tokens_demanded": report.tokens_demanded,
            "energy": energy_j,
            "tokens_per_joule": tokens / energy_j if energy_j > 0 else 0.0,  # at rest all day, and it draws nothing
        }
        if tokens > 0:
            metrics["usd_per_million_tokens"] = cost / tokens * 1e6
        capacity = chips * horizon_s
        return metrics | {f"ledger_{name}": value / capacity for name, value in report.ledger.items()}


def _task_of(kind: type[T], name: str) -> T:
    """A task that a day on the cluster names, which must be of one kind.

    Raises
    ------
    InputError : there is no such task, or it is of another kind
    """
    found = workloads.task(name)
    if not isinstance(found, kind):
        raise InputError(f"{name} is no {kind.__name__}", where="cluster", remedy="name a model that has such a task")
    return found
