"""The answer as JSON: the published format of ``supernode compare --json`` and ``summary.json``.

Same input, same bytes: keys are sorted, floats are printed as Python does (the shortest text that reads back the
same), and what is not a finite number is null.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supernode.comparison import Case, Comparison, MachineResult, Outcome, Pair, Quantity

SCHEMA = 1


def summary(comparison: Comparison) -> dict[str, Any]:
    """The whole answer as dicts, lists, strings, numbers and None.

    ``machines``, ``pairs`` and ``basis`` are of the case as asked; ``matched`` holds the same three for equal chips,
    or None. ``workloads`` of a machine holds quantities only; what became of each workload, also where it has no
    answer, stands in ``outcomes``.
    """
    sources = [
        {"id": source.id, "title": source.title, "url": source.url, "date": source.date}
        for source in comparison.sources_list
    ]
    tree = {
        "schema": SCHEMA,
        **_case(comparison.case),
        "matched": None if comparison.matched is None else _case(comparison.matched),
        "samples": comparison.samples,
        "seed": comparison.seed,
        "sources": sources,
        "provenance": dict(comparison.provenance),
    }
    finite: dict[str, Any] = _finite(tree)
    return finite


def summary_text(comparison: Comparison) -> str:
    """:func:`summary` as JSON text, the content of ``summary.json``."""
    tree = summary(comparison)
    return json.dumps(tree, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _case(case: Case) -> dict[str, Any]:
    return {
        "basis": case.basis,
        "machines": {name: _machine(machine) for name, machine in case.machines.items()},
        "pairs": [_pair(pair) for pair in case.pairs],
    }


def _machine(machine: MachineResult) -> dict[str, Any]:
    return {
        "title": machine.title,
        "chips": machine.chips,
        "machines": machine.machines,
        "residual": machine.residual,
        "reading": machine.reading,
        "hypotheses": dict(machine.hypotheses),
        "workloads": {name: _quantities(outcome.metrics) for name, outcome in machine.workloads.items()},
        "outcomes": {name: _outcome(outcome) for name, outcome in machine.workloads.items()},
        "economics": _quantities(machine.economics),
        "cluster": _quantities(machine.cluster),
    }


def _quantities(metrics: dict[str, Quantity]) -> dict[str, Any]:
    return {name: quantity.to_json() for name, quantity in metrics.items()}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "title": outcome.title,
        "kind": outcome.kind,
        "status": outcome.status,
        "reason": outcome.reason,
        "plan": outcome.plan,
        "stack": outcome.stack,
        "answered": outcome.answered,
        "note": outcome.note,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    value, low, high = pair.ratio
    return {
        "a": pair.a,
        "b": pair.b,
        "workload": pair.workload,
        "metric": pair.metric,
        "probability_a_better": pair.probability_a_better,
        "ratio": {"value": value, "low": low, "high": high},
        "verdict": pair.verdict,
        "influences": [{"figure": one.figure, "correlation": one.correlation} for one in pair.influences],
    }


def _finite(node: Any) -> Any:
    """The tree with None in the place of what JSON has no word for."""
    if isinstance(node, dict):
        return {str(key): _finite(child) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(child) for child in node]
    if isinstance(node, float):
        return float(node) if math.isfinite(node) else None
    return node
