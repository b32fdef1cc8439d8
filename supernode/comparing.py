"""The main job: run workloads on machines, over draws of every uncertain figure, and say who is ahead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import topologies
import workloads
from simulator.collectives import group_of, price_in
from simulator.errors import InputError, unknown_name
from simulator.figures import Draw, source_ids
from simulator.machine import slice_of
from simulator.units import DISPLAY
from supernode.basis import Contender, contenders, matched
from supernode.comparison import (
    Case,
    Comparison,
    Curve,
    MachineResult,
    Outcome,
    Quantity,
    SourceEntry,
    UsedFigure,
)
from supernode.draws import draw_number, drawn_hypotheses, drawn_values
from supernode.evaluate import STATED, Answer, Evaluator
from supernode.metrics import metric
from supernode.pairs import all_pairs
from supernode.provenance import provenance
from supernode.readings import check_stacks, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from simulator.figures import Figure
    from simulator.machine import Machine
    from supernode.comparison import TaskKind
    from workloads.tasks import Task

DEFAULT_WORKLOADS = ("train-llama3-405b", "train-deepseek-v3", "serve-deepseek-r1", "cluster-day")
DEFAULT_SAMPLES = 64
QUICK_SAMPLES = 16
FEWEST_SAMPLES = 8
MOST_SAMPLES = 100_000
CURVE_KINDS = ("all-reduce", "all-to-all")
CURVE_SIZES = tuple(float(2**power) for power in range(10, 35, 2))
CURVE_DRAWS = 32
LOW, HIGH = 5.0, 95.0
ECONOMICS = "economics"
"""Where the metrics of a machine that does whatever it does stand among its workloads."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


def compare(
    machines: Sequence[str],
    workloads: Sequence[str] = DEFAULT_WORKLOADS,
    *,
    basis: str = "as-built",
    hypothesis: str = "",
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Run workloads on machines side by side.

    Parameters
    ----------
    machines : names of the catalogue or TOML files; the first sets the target of a basis other than ``as-built``
    workloads : names of tasks or TOML files
    basis : ``as-built``, ``chips``, ``power``, ``cost`` or ``flops``
    hypothesis : one reading for every machine that has it, instead of drawing among readings by weight
    samples : draws of the uncertain figures [1]
    seed : of all random streams
    progress : told what is being done

    Raises
    ------
    simulator.errors.InputError : unknown names, too few or too many samples, the same machine twice
    """
    return _Run(list(machines), list(workloads), basis, hypothesis, samples, seed, progress or _silent).comparison()


def _silent(_what: str, _done: int, _of: int) -> None:
    """Tell nobody."""


Values = dict[tuple[str, str], dict[str, "NDArray[np.float64]"]]
"""Drawn values by (machine, workload) and metric, (samples,) each, not a number where a draw has no answer."""


@dataclass(frozen=True)
class Entrant:
    """A contender of a case, its readings by name with their weights, and an evaluator for each."""

    name: str
    contender: Contender
    weights: dict[str, float]
    evaluators: dict[str, Evaluator]

    @property
    def stated(self) -> Evaluator:
        """The evaluator of the stated reading."""
        return next(iter(self.evaluators.values()))


@dataclass
class _Run:
    machines: list[str]
    tasks: list[str]
    basis: str
    hypothesis: str
    samples: int
    seed: int
    progress: Progress
    touched: dict[str, Figure] = field(default_factory=dict)
    evaluators: dict[tuple[str, str, int], Evaluator] = field(default_factory=dict)

    def comparison(self) -> Comparison:
        """Check the request, run every case, collect figures and sources."""
        tasks = [workloads.task(name) for name in self.tasks]
        if not FEWEST_SAMPLES <= self.samples <= MOST_SAMPLES:
            raise InputError(
                f"{self.samples} samples are out of bounds", remedy=f"draw from {FEWEST_SAMPLES} to {MOST_SAMPLES}"
            )
        readings = {topologies.entry(name).name: self._readings(name) for name in self.machines}
        if len(readings) < len(self.machines):
            raise InputError("a machine is named twice", remedy="name every machine once")
        if len({task.name for task in tasks}) < len(tasks):
            raise InputError("a workload is named twice", remedy="name every workload once")
        if self.hypothesis and not any(self.hypothesis in known for known in readings.values()):
            known = {name for machine in self.machines for name in weights_of(machine)}
            raise unknown_name("hypothesis", self.hypothesis, known or {"(none of these machines has any)"})
        for name in self.machines:
            check_stacks(name)
        stated = [next(iter(known.values())) for known in readings.values()]
        cases = [("basis", self.basis, contenders(stated, self.basis))]
        if self.basis != "chips" and len({machine.chips for machine in stated}) > 1:
            cases.append(("matched", "chips", matched(stated)))
        draws: dict[str, list[Any]] = {key: [] for key in ("case", "draw", "machine", "workload", "metric", "value")}
        built = [self._case(name, basis, field_, readings, tasks, draws) for name, basis, field_ in cases]
        return Comparison(
            case=built[0],
            matched=built[1] if len(built) > 1 else None,
            samples=self.samples,
            seed=self.seed,
            figures=tuple(_used(figure) for _, figure in sorted(self.touched.items())),
            sources_list=tuple(_sources(self.touched.values(), self.machines)),
            provenance=provenance(self.seed, self.samples),
            draws=draws,
        )

    def _readings(self, name: str) -> dict[str, Machine]:
        """The machine under each of its hypotheses, the stated reading first; one of them where the user chose."""
        known = list(weights_of(name))
        if self.hypothesis in known:
            return {self.hypothesis: topologies.machine(name, self.hypothesis)}
        return {reading: topologies.machine(name, reading) for reading in known or [""]}

    def _case(
        self,
        name: str,
        basis: str,
        field_: list[Contender],
        readings: dict[str, dict[str, Machine]],
        tasks: list[Task],
        draws: dict[str, list[Any]],
    ) -> Case:
        entrants = [
            Entrant(
                name=machine,
                contender=contender,
                weights={} if len(known) == 1 else weights_of(contender.machine.name),
                evaluators={reading: self._evaluator(contender, read) for reading, read in known.items()},
            )
            for contender, (machine, known) in zip(field_, readings.items(), strict=True)
        ]
        stated, used = self._stated(name, entrants, tasks)
        figures = drawn_values(self.touched.values(), self.samples, self.seed)
        picks = {e.name: drawn_hypotheses(e.weights, self.samples, self.seed, e.name) for e in entrants}
        values = self._drawn(name, entrants, tasks, figures, picks)
        _record(draws, name, stated, values)
        results = {
            e.name: _result(
                e, tasks, stated, values, {task: source_ids(used[e.name, task].values()) for task in _subjects(tasks)}
            )
            for e in entrants
        }
        self.progress(f"{name}: collective curves", 0, 1)
        curves = tuple(curve for e in entrants for curve in _curves(e, figures, picks[e.name], self.samples))
        return Case(
            name=name,
            basis=basis,
            title=_title(name, basis, entrants),
            machines=results,
            pairs=all_pairs(list(results.values()), values, figures, used, picks),
            curves=curves,
        )

    def _evaluator(self, contender: Contender, machine: Machine) -> Evaluator:
        """The evaluator of a machine under one reading at one size, the same one in every case."""
        key = (machine.name, machine.hypothesis, contender.chips)
        return self.evaluators.setdefault(key, Evaluator(contender, machine, self.seed))

    def _stated(
        self, case: str, entrants: list[Entrant], tasks: list[Task]
    ) -> tuple[dict[tuple[str, str], Answer], dict[tuple[str, str], dict[str, Figure]]]:
        """Answers under the stated figures, by (machine, workload), with the figures that they rest on.

        Other readings are run too: it finds their plans and the figures that the draws must move.
        """
        answers: dict[tuple[str, str], Answer] = {}
        used: dict[tuple[str, str], dict[str, Figure]] = {}
        total = len(entrants) * len(tasks)
        for i, entrant in enumerate(entrants):
            for evaluator in entrant.evaluators.values():
                for j, task in enumerate(tasks):
                    self.progress(f"{case}: {task.name} on {entrant.name}", i * len(tasks) + j, total)
                    draw = Draw()
                    answer = evaluator.answer(task, draw, STATED)
                    self._note(entrant, task.name, answer, draw, answers, used)
                draw = Draw()
                economics = Answer(evaluator.economics(draw))
                self._note(entrant, ECONOMICS, economics, draw, answers, used)
        return answers, used

    def _note(
        self,
        entrant: Entrant,
        subject: str,
        answer: Answer,
        draw: Draw,
        answers: dict[tuple[str, str], Answer],
        used: dict[tuple[str, str], dict[str, Figure]],
    ) -> None:
        """Keep the answer of the stated reading, and the figures of every reading."""
        self.touched |= draw.touched
        answers.setdefault((entrant.name, subject), answer)
        used[entrant.name, subject] = used.get((entrant.name, subject), {}) | draw.touched

    def _drawn(
        self,
        case: str,
        entrants: list[Entrant],
        tasks: list[Task],
        figures: dict[str, NDArray[np.float64]],
        picks: dict[str, list[str]],
    ) -> Values:
        """Metrics of every draw."""
        rows: dict[tuple[str, str], list[dict[str, float]]] = {}
        for i in range(self.samples):
            self.progress(f"{case}: draws of uncertain figures", i, self.samples)
            for entrant in entrants:
                evaluator = entrant.evaluators[picks[entrant.name][i]] if entrant.weights else entrant.stated
                draw = draw_number(figures, i)
                for task in tasks:
                    rows.setdefault((entrant.name, task.name), []).append(evaluator.answer(task, draw, i).metrics)
                rows.setdefault((entrant.name, ECONOMICS), []).append(evaluator.economics(draw))
        return {
            key: {
                name: np.array([answer.get(name, math.nan) for answer in answers])
                for name in dict.fromkeys(name for answer in answers for name in answer)
            }
            for key, answers in rows.items()
        }


def _subjects(tasks: list[Task]) -> list[str]:
    return [*(task.name for task in tasks), ECONOMICS]


def _title(case: str, basis: str, entrants: list[Entrant]) -> str:
    sizes = ", ".join(f"{e.name} with {e.contender.chips:,} chips" for e in entrants)
    words = {"as-built": "As built", "chips": "Equal chips", "power": "Equal site power", "cost": "Equal capital"}
    kind = words.get(basis, "Equal peak FLOP/s")
    return f"{'Matched case, equal chips' if case == 'matched' else kind}: {sizes}"


def _kind(task: Task) -> TaskKind:
    return {"TrainingTask": "training", "ServingTask": "serving", "ClusterTask": "cluster"}[type(task).__name__]  # type: ignore[return-value]


def _quantities(
    stated: dict[str, float], drawn: dict[str, NDArray[np.float64]], sources: tuple[str, ...]
) -> dict[str, Quantity]:
    found = {}
    for name, value in stated.items():
        answered = drawn[name][np.isfinite(drawn[name])] if name in drawn else np.array([])
        low, high = np.percentile(answered, [LOW, HIGH]) if answered.size else (value, value)
        found[name] = Quantity(
            value=float(value),
            low=min(float(low), float(value)),
            high=max(float(high), float(value)),
            unit=metric(name).unit,
            maturity="plausible",
            sources=sources,
        )
    return found


def _result(
    entrant: Entrant,
    tasks: list[Task],
    stated: dict[tuple[str, str], Answer],
    values: Values,
    sources: dict[str, tuple[str, ...]],
) -> MachineResult:
    machine = entrant.stated.machine
    outcomes: dict[str, Outcome] = {}
    cluster: dict[str, Quantity] = {}
    timeline = None
    for task in tasks:
        answer, drawn = stated[entrant.name, task.name], values[entrant.name, task.name]
        metrics = _quantities(answer.metrics, drawn, sources[task.name])
        answered = float(np.mean(np.isfinite(next(iter(drawn.values()))))) if drawn else 0.0
        serves = _kind(task) == "serving"
        outcomes[task.name] = Outcome(
            workload=task.name,
            title=task.title,
            kind=_kind(task),
            status="infeasible" if answer.infeasible else "ok",
            reason=_reason(answer),
            metrics=metrics,
            plan=answer.plan,
            stack=machine.stacks["serving" if serves else "training"],
            answered=answered,
            note=answer.note,
        )
        if _kind(task) == "cluster":
            cluster |= metrics
            timeline = answer.report or timeline
    economics = _quantities(
        stated[entrant.name, ECONOMICS].metrics, values[entrant.name, ECONOMICS], sources[ECONOMICS]
    )
    for name in ("usd_per_million_tokens", "tokens_per_joule"):
        whole = [part for part in (cluster, *(outcome.metrics for outcome in outcomes.values())) if name in part]
        if whole:
            economics[name] = whole[0][name]
    return MachineResult(
        name=entrant.name,
        title=machine.title,
        chips=entrant.contender.chips,
        machines=entrant.contender.machines,
        residual=entrant.contender.residual,
        reading=machine.reading,
        hypotheses=entrant.weights,
        workloads=outcomes,
        economics=economics,
        cluster=cluster,
        timeline=timeline,
    )


def _reason(answer: Answer) -> str:
    why = answer.infeasible
    if why is None:
        return ""
    if not why.needed_bytes:
        return why.reason
    return (
        f"{why.reason}: {why.needed_bytes / 1e9:,.1f} GB needed, {why.available_bytes / 1e9:,.1f} GB available per chip"
    )


def _curves(
    entrant: Entrant, figures: dict[str, NDArray[np.float64]], picks: list[str], samples: int
) -> Iterable[Curve]:
    """Bus bandwidth against size over the whole contender, with the range over the first draws."""
    chips = entrant.contender.chips
    if chips < 2:
        return
    drawn = [
        group_of(
            slice_of(entrant.evaluators[picks[i]].machine if entrant.weights else entrant.stated.machine, chips),
            draw_number(figures, i),
        )
        for i in range(min(samples, CURVE_DRAWS))
    ]
    group = group_of(slice_of(entrant.stated.machine, chips))
    for kind in CURVE_KINDS:
        stated = [price_in(group, kind, size) for size in CURVE_SIZES]
        busbw = [each.busbw_bytes_per_s for each in stated]
        table = np.array([[price_in(other, kind, size).busbw_bytes_per_s for size in CURVE_SIZES] for other in drawn])
        low, high = np.percentile(table, [LOW, HIGH], axis=0)
        yield Curve(
            machine=entrant.name,
            kind=kind,
            chips=chips,
            size_bytes=CURVE_SIZES,
            busbw_bytes_per_s=tuple(busbw),
            low=tuple(np.minimum(low, busbw).tolist()),
            high=tuple(np.maximum(high, busbw).tolist()),
            algorithms=tuple(each.algorithm for each in stated),
        )


def _record(draws: dict[str, list[Any]], case: str, stated: dict[tuple[str, str], Answer], values: Values) -> None:
    """Append every value as a row: draw -1 holds the stated figures."""
    for (machine, workload), drawn in values.items():
        for name, column in drawn.items():
            first = stated[machine, workload].metrics.get(name, math.nan)
            for i, value in enumerate((first, *column.tolist())):
                for key, cell in zip(draws, (case, i - 1, machine, workload, name, value), strict=True):
                    draws[key].append(cell)


def _used(figure: Figure) -> UsedFigure:
    return UsedFigure(
        key=figure.key,
        value=figure.si,
        low=figure.si_low,
        high=figure.si_high,
        unit=DISPLAY[figure.dimension],
        kind=figure.kind,
        source=figure.source,
        locator=figure.locator,
        note=figure.note,
    )


def _sources(figures: Iterable[Figure], machines: list[str]) -> Iterable[SourceEntry]:
    known = dict(workloads.sources())
    for machine in machines:
        known |= topologies.sources_of(machine)
        for stack in topologies.entry(machine).stacks.values():
            known |= workloads.sources_of(stack)
    for name in source_ids(figures):
        source = known[name]
        yield SourceEntry(name, source.title, source.url, source.date)
