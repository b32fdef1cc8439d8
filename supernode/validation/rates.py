"""Rates in which training is published, and how a step time becomes each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simulator.program import ACTIVE, ATTENTION, KIND, LAYERS, TRAFFIC, WINDOW, K, N

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.plan import Recompute
    from simulator.program import Program
    from supernode.validation.cases import Case

_TERA = 1e12
_MILLI = 1e-3


@dataclass(frozen=True)
class Rate:
    """A published unit: what it counts, our unit, and the factor to it."""

    counts: Literal["time", "tokens", "sequences", "flops"]
    unit: str
    factor: float = 1.0

    @property
    def is_per_chip(self) -> bool:
        """Whether it is the rate of one chip rather than of all."""
        return self.unit.endswith("/chip")


RATES: dict[str, Rate] = {
    "s/step": Rate("time", "s"),
    "s": Rate("time", "s"),
    "ms/step": Rate("time", "s", _MILLI),
    "ms": Rate("time", "s", _MILLI),
    "tokens/s": Rate("tokens", "tokens/s"),
    "tokens/s/chip": Rate("tokens", "tokens/s/chip"),
    "samples/s": Rate("sequences", "sequences/s"),
    "seq/s": Rate("sequences", "sequences/s"),
    "samples/s/chip": Rate("sequences", "sequences/s/chip"),
    "seq/s/chip": Rate("sequences", "sequences/s/chip"),
    "TFLOP/s/chip": Rate("flops", "FLOP/s/chip", _TERA),
}
"""Unit as sources write it -> what it is."""


def per_second(
    rate: Rate, case: Case, work: Program, steps: Sequence[tuple[Recompute, int]], chips: int
) -> list[NDArray[np.float64]]:
    """What one step amounts to in a rate's unit times seconds: (steps,), once for each reading of the definition."""
    import numpy as np

    sequence = case.count("seq_len") or 0
    sequences = np.array([batch for _, batch in steps], dtype=np.float64)
    share = 1.0 / chips if rate.is_per_chip else 1.0
    if rate.counts == "sequences":
        return [sequences * share]
    tokens = sequences * sequence * share
    if rate.counts == "tokens":
        return [tokens]
    metric = case.text("metric").lower()
    is_hardware = "hardware" in metric or "recompute" in metric
    passes = np.array([4.0 if is_hardware and recompute == "full" else 3.0 for recompute, _ in steps])
    readings = [False] if is_hardware else [True, False]
    return [tokens * passes * flops_per_token(work, sequence, causal=causal) for causal in readings]


def flops_per_token(work: Program, sequence: int, *, causal: bool) -> float:
    """FLOPs of the forward pass per token, attention counted over the keys it sees or over the whole sequence."""
    from simulator.compute.kernels import causal_context

    total = 0.0
    for row in work.rows:
        if row[KIND] == ATTENTION:
            window = float(row[WINDOW])
            seen = causal_context(sequence, window) if causal else min(window or sequence, sequence)
            total += float(row[LAYERS]) * 2 * seen * float(row[N] + row[K])
        elif row[KIND] != TRAFFIC:
            total += float(row[LAYERS] * row[ACTIVE]) * 2 * float(row[N] * row[K])
    return total
