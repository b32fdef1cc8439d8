"""Failures and repairs: one clock for the whole machine, and the victim drawn when it rings.

The minimum of independent exponential clocks is exponential with the sum of their rates, and which one rang first is
independent of when. So one live process stands for a hundred thousand chips, under the same law.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from simulator.clock import to_ns
from simulator.streams import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.cluster.types import Settings

_BATCH = 64


class Failure(NamedTuple):
    """A unit that fails ``gap_ns`` after the failure before it, and what its repair takes [ns]."""

    gap_ns: int
    unit: int
    repair_ns: int


def failures(settings: Settings, seed: int) -> Iterator[Failure]:
    """Draw failures without end (none where the rate is zero).

    Gaps, victims and repairs come from their own streams and are scaled from the same standard draws, so that twice
    the rate is the same failures in half the time. A chip under repair does not fail: the caller ignores a victim
    that is down, which thins the process to the chips that run.
    """
    rate_per_s = settings.failures_per_chip_s * settings.chips
    if rate_per_s == 0:
        return
    gaps, victims, repairs = (stream(seed, "cluster", name) for name in ("failures", "victims", "repairs"))
    sigma = settings.repair_sigma
    while True:
        gaps_s = (gaps.standard_exponential(_BATCH) / rate_per_s).tolist()
        units = victims.integers(settings.units, size=_BATCH).tolist()
        if sigma is None:
            repairs_s = (repairs.standard_exponential(_BATCH) * settings.repair_s).tolist()
        else:
            factors = repairs.standard_normal(_BATCH) * sigma - sigma**2 / 2
            repairs_s = [settings.repair_s * math.exp(factor) for factor in factors.tolist()]
        for gap_s, unit, repair_s in zip(gaps_s, units, repairs_s, strict=True):
            yield Failure(max(1, to_ns(gap_s)), unit, max(1, to_ns(repair_s)))
