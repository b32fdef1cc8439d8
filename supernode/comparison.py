"""The answer of ``supernode compare`` as plain data: what every table, plot, file and page is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from simulator.cluster import Report

Maturity = Literal["validated", "verified", "plausible"]
Status = Literal["ok", "infeasible", "unsupported"]
TaskKind = Literal["training", "serving", "cluster"]


@dataclass(frozen=True)
class Quantity:
    """A result: the value under the stated figures, the range over the draws, and what it rests on.

    ``low`` and ``high`` are the 5th and 95th percentile of the draws in which there is an answer, widened to hold
    ``value``. ``unit`` is SI (``tokens/s``, ``s``, ``1``, ``W``, ``USD``, …). ``sources`` are ids.
    """

    value: float
    low: float
    high: float
    unit: str
    maturity: Maturity
    sources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The six keys of the published format."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "maturity": self.maturity,
            "sources": list(self.sources),
        }


@dataclass(frozen=True)
class Outcome:
    """One workload on one machine.

    Parameters
    ----------
    workload, title, kind : name of the task, for people, and what it is
    status, reason : ``ok``, or why there is no answer
    metrics : by name; empty where the status is not ``ok``
    plan : the plan or layout chosen under the stated figures, in words
    stack : name of the software stack
    answered : share of the draws in which there is an answer [1]
    note : what a reader must know, e.g. that the chip computes in bf16 for want of fp8
    """

    workload: str
    title: str
    kind: TaskKind
    status: Status
    reason: str
    metrics: dict[str, Quantity]
    plan: str
    stack: str
    answered: float
    note: str = ""


@dataclass(frozen=True)
class MachineResult:
    """One machine of the comparison.

    Parameters
    ----------
    name, title : in the catalogue, and for people
    chips, machines : chips in use, and of how many machines (1 also where it is a slice of one)
    residual : chips (or watts, dollars, FLOP/s: the basis) in use over the target, minus one [1]; 0 for the first
    reading : which reading of the disclosures the values rest on; empty where there is only one
    hypotheses : weight by name of the readings that the draws choose from; empty where there is only one
    workloads, economics, cluster : results by workload and metric
    timeline : the simulated day under the stated figures, None where no cluster task was asked for or it has no answer
    """

    name: str
    title: str
    chips: int
    machines: int
    residual: float
    reading: str
    hypotheses: dict[str, float]
    workloads: dict[str, Outcome]
    economics: dict[str, Quantity]
    cluster: dict[str, Quantity]
    timeline: Report | None


@dataclass(frozen=True)
class Influence:
    """How strongly one figure moves a comparison: its rank correlation with the ratio of a to b over the draws [1]."""

    figure: str
    correlation: float


@dataclass(frozen=True)
class Pair:
    """Machine a against machine b in one metric of one workload.

    ``probability_a_better`` is the share of draws in which a is better (ties count half), over draws in which both
    have an answer; ``ratio`` is a over b: value, low, high. ``verdict`` says it in words, also where the range holds
    "no difference". ``influences`` are the figures that decide it, strongest first.
    """

    a: str
    b: str
    workload: str
    metric: str
    probability_a_better: float
    ratio: tuple[float, float, float]
    verdict: str
    influences: tuple[Influence, ...]


@dataclass(frozen=True)
class Curve:
    """Bus bandwidth of one collective against size on one machine of a case, with the range over the draws."""

    machine: str
    kind: str
    chips: int
    size_bytes: tuple[float, ...]
    busbw_bytes_per_s: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    algorithms: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One way to set the machines side by side: on the ``basis`` asked for, or ``matched`` (equal chips)."""

    name: str
    basis: str
    title: str
    machines: dict[str, MachineResult]
    pairs: tuple[Pair, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class UsedFigure:
    """One catalogue figure that touched the answer, in SI base units."""

    key: str
    value: float
    low: float
    high: float
    unit: str
    kind: str
    source: str
    locator: str
    note: str


@dataclass(frozen=True)
class SourceEntry:
    """Where figures come from."""

    id: str
    title: str
    url: str
    date: str


@dataclass(frozen=True)
class Comparison:
    """The whole answer: ``case`` as asked, ``matched`` with equal chips beside it (None where it is the same)."""

    case: Case
    matched: Case | None
    samples: int
    seed: int
    figures: tuple[UsedFigure, ...]
    sources_list: tuple[SourceEntry, ...]
    provenance: dict[str, str]
    draws: dict[str, list[Any]] = field(repr=False)

    def sources(self) -> pd.DataFrame:
        """Every figure that touched the answer, with its source: one row a figure."""
        from supernode.frames import figures_frame

        return figures_frame(self)

    def frame(self) -> pd.DataFrame:
        """One row for every case, machine, workload and metric: value, low, high, unit, maturity, sources."""
        from supernode.frames import results_frame

        return results_frame(self)

    def plot(self, metric: str, *, ax: Axes | None = None) -> Axes:
        """Bars of one metric over workloads and machines, with ranges.

        Raises
        ------
        simulator.errors.InputError : no workload has this metric
        """
        from supernode.plots.metrics import plot_metric

        return plot_metric(self.case, metric, ax=ax)

    def to_json(self) -> dict[str, Any]:
        """The published summary; see design of ``summary.json``."""
        from supernode.summary import summary

        return summary(self)
