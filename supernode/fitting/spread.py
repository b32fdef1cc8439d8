"""How far measured times lie from predicted ones, as a range and by class of sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from topologies.spreads import SIZES, size_class

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDS = (5.0, 95.0)
"""Percentiles between which a range lies."""


@dataclass(frozen=True)
class Spread:
    """Measured over predicted time [1] of ``rows`` rows: 5 % and 95 %, around 1."""

    rows: int
    low: float
    high: float


def spread(errors: Sequence[float]) -> Spread:
    """Of relative errors, (predicted - measured) / measured [1]; at least one."""
    import numpy as np

    low, high = (float(each) for each in np.percentile(1 / (1 + np.asarray(errors)), ENDS))
    return Spread(len(errors), min(1.0, low), max(1.0, high))


def spreads_by_size(sizes_bytes: Sequence[float], errors: Sequence[float]) -> dict[str, Spread]:
    """The spread of the rows of each class of sizes that has any."""
    pairs = list(zip(sizes_bytes, errors, strict=True))
    classes = {name: [error for size, error in pairs if size_class(size) == name] for name in SIZES}
    return {name: spread(found) for name, found in classes.items() if found}
