"""Results as people read them: a value, its range in the same scale, and one unit; shares in percent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from simulator.units import UNITS
from supernode.metrics import METRICS, metric

if TYPE_CHECKING:
    from supernode.comparison import Case, MachineResult, Outcome, Pair, Quantity

SHARES = frozenset({"mfu", "utilisation", "goodput"})
"""Dimensionless metrics that are read in percent; ledger shares are too."""

COUNTS = frozenset({"batch", "interruptions", "failures", "jobs_completed", "jobs_submitted", "jobs_infeasible"})
"""Dimensionless metrics that count things, shown to the last one."""

HEADS = {
    "tokens_per_s": "tokens/s",
    "tokens_per_s_per_chip": "per chip",
    "output_tokens_per_s": "tokens/s",
    "output_tokens_per_s_per_chip": "per chip",
    "usd_per_million_tokens": "USD/M tokens",
    "tokens_per_joule": "tokens/J",
    "utilisation": "utilisation",
    "goodput": "goodput",
    "queueing_delay_p95": "queueing p95",
    "jobs_completed": "jobs done",
    "interruptions": "interrupted",
}
"""Metric -> head of a narrow table column, where the title is too long."""

MAIN = {
    "training": ("tokens_per_s", "tokens_per_s_per_chip", "mfu", "step_time", "usd_per_million_tokens"),
    "serving": ("output_tokens_per_s", "output_tokens_per_s_per_chip", "ttft", "tpot", "usd_per_million_tokens"),
    "cluster": ("utilisation", "goodput", "queueing_delay_p95", "jobs_completed", "interruptions"),
}
"""Kind of task -> the metrics that a short table shows."""

DECISIVE = frozenset(
    {
        *("tokens_per_s", "tokens_per_s_per_chip", "output_tokens_per_s", "output_tokens_per_s_per_chip"),
        *("usd_per_million_tokens", "tokens_per_joule", "goodput", "queueing_delay_p95"),
    }
)
"""Metrics in which machines are told apart first; the others stand in the full tables."""

_DIGITS = 3
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
_BELOW_MEGA = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_BANKNOTES = ((1e9, "billion "), (1e6, "million "))
_HOUR_S, _DAY_S, _YEAR_S = (UNITS["s"][name] for name in ("h", "days", "years"))
_LONG = ((2 * _YEAR_S, _YEAR_S, "years"), (2 * _DAY_S, _DAY_S, "days"), (2 * _HOUR_S, _HOUR_S, "h"), (120, 60.0, "min"))
_PER = {
    "USD/s": (UNITS["usd_per_s"]["USD/h"], "USD/h"),
    "USD/J": (UNITS["usd_per_j"]["USD/kWh"], "USD/kWh"),
    "kg/J": (UNITS["kg_per_j"]["kg/kWh"], "kg/kWh"),
    "1/s": (1 / _YEAR_S, "1/year"),
}


class Shown(NamedTuple):
    """A quantity in words; ``unit`` holds for all three and may be empty."""

    value: str
    low: str
    high: str
    unit: str

    @property
    def range(self) -> str:
        """The range without the unit, e.g. ``5.93–10.4``."""
        return f"{self.low}–{self.high}"

    def __str__(self) -> str:
        """Value, range and unit in one line, e.g. ``8.12 (5.93–10.4) M tokens/s``."""
        return f"{self.value} ({self.range}) {self.unit}".rstrip()


def shown(name: str, quantity: Quantity) -> Shown:
    """A result of the metric ``name`` with its range, all three in the scale that suits the value."""
    if name in COUNTS:
        return Shown(count(quantity.value), count(quantity.low), count(quantity.high), "")
    factor, unit = (0.01, "%") if is_share(name) else scale(quantity.value, quantity.unit)
    return Shown(number(quantity.value / factor), number(quantity.low / factor), number(quantity.high / factor), unit)


def shown_figure(value: float, low: float, high: float, unit: str) -> Shown:
    """A catalogue figure in SI base units with its range, in the scale that suits the value."""
    factor, name = scale(value, unit)
    return Shown(number(value / factor), number(low / factor), number(high / factor), name)


def is_share(name: str) -> bool:
    """Whether a metric is a share, to be read in percent."""
    return name in SHARES or name.startswith("ledger_")


def title(name: str) -> str:
    """A metric's title with a capital, for the start of a line; a name without an entry speaks for itself."""
    known = name in METRICS or name.startswith("ledger_")
    text = metric(name).title if known else name.replace("_", " ")
    return text[:1].upper() + text[1:]


def head(name: str) -> str:
    """Head of a narrow column."""
    return HEADS.get(name, title(name))


def scale(value: float, unit: str) -> tuple[float, str]:
    """The factor to divide by, and the unit with its prefix, that make ``value`` [SI] easy to read."""
    if unit in {"1", ""}:
        return 1.0, ""
    if unit in _PER:
        return _PER[unit]
    size = abs(value) if math.isfinite(value) else 0.0
    return next(((factor, name) for least, factor, name in _steps(unit) if size >= least > 0), (1.0, unit))


def _steps(unit: str) -> list[tuple[float, float, str]]:
    """For a unit: from which size on [SI], which factor, under which name; the largest first."""
    if unit == "s":
        return [*_LONG, *((factor, factor, f"{prefix}s") for factor, prefix in _BELOW_MEGA[1:])]
    if unit == "USD":
        return [(factor, factor, f"{word}USD") for factor, word in _BANKNOTES]
    if unit.startswith("tokens"):
        return [*((factor, factor, f"{prefix} {unit}") for factor, prefix in _PREFIXES), (1e5, 1e3, f"k {unit}")]
    if unit in {"B", "B/s", "FLOP/s", "W", "J"}:
        return [(factor, factor, prefix + unit) for factor, prefix in (*_PREFIXES, *_BELOW_MEGA)]
    return []


def number(value: float) -> str:
    """Three significant digits with thousands separators; a dash where there is no number."""
    if not math.isfinite(value):
        return "–"
    rounded = float(f"{value:.{_DIGITS}g}")
    if abs(rounded) >= 10**_DIGITS:
        return f"{rounded:,.0f}"
    return f"{rounded:.{_DIGITS}g}"


def count(value: float) -> str:
    """A number of things: whole where it is, with thousands separators."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else number(value)


def percent(share: float) -> str:
    """A share in percent, never rounded to all or nothing where it is neither: ``97 %``, ``over 99 %``."""
    if not math.isfinite(share):
        return "–"
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def likelihood(share: float) -> str:
    """A share of draws in words; the steps are those in which climate reports speak."""
    steps = (
        (0.99, "virtually certain"),
        (0.9, "very likely"),
        (0.66, "likely"),
        (1 / 3, "about even"),
        (0.1, "unlikely"),
    )
    words = next((name for least, name in steps if share >= least), "very unlikely")
    return "ruled out in these draws" if share == 0 else words


def decisive(case: Case) -> list[Pair]:
    """The pairs of a case in the metrics in which machines are told apart first."""
    return [pair for pair in case.pairs if pair.metric in DECISIVE]


def ahead(pair: Pair) -> str:
    """Who is ahead in how many draws, and how likely that is; says so where the range holds 1."""
    share = max(pair.probability_a_better, 1 - pair.probability_a_better)
    leader = pair.a if pair.probability_a_better >= 0.5 else pair.b
    if pair.ratio[1] <= 1 <= pair.ratio[2]:
        return f"no clear difference; {leader} ahead in {percent(share)} of draws"
    return f"{leader} ahead in {percent(share)} of draws, {likelihood(share)}"


def ratio(pair: Pair) -> Shown:
    """Ratio of a to b with its range."""
    value, low, high = pair.ratio
    return Shown(number(value), number(low), number(high), "")


def chips(count_: int, machines: int) -> str:
    """Chips, and of how many machines: ``9,216 chips`` or ``8,960 chips of 14 machines``."""
    return f"{count_:,} chips" if machines == 1 else f"{count_:,} chips of {machines} machines"


def reading(machine: MachineResult) -> str:
    """On which reading of what is disclosed a machine's values rest, and from which its ranges draw; else empty."""
    if not machine.reading and not machine.hypotheses:
        return ""
    total = sum(machine.hypotheses.values()) or 1.0
    weights = ", ".join(f"{label} {percent(weight / total)}" for label, weight in machine.hypotheses.items())
    said = (
        f"{machine.name}: values rest on the reading “{machine.reading.rstrip('.')}”"
        if machine.reading
        else machine.name
    )
    return f"{said}; ranges draw from {weights}." if weights else f"{said}."


def status(outcome: Outcome) -> str:
    """Status in words, with the reason where there is no answer and the share of draws where not all have one."""
    if outcome.status != "ok":
        return f"{outcome.status}: {outcome.reason}" if outcome.reason else outcome.status
    return "ok" if outcome.answered >= 1 else f"ok in {percent(outcome.answered)} of the draws"
