"""Simulated time: integer nanoseconds inside SimPy, seconds everywhere else. This is the one place that rounds."""

from __future__ import annotations

NANOSECONDS_PER_SECOND = 1_000_000_000


def to_ns(seconds: float) -> int:
    """Round seconds to the nearest nanosecond (ties to even)."""
    return round(seconds * NANOSECONDS_PER_SECOND)


def to_s(nanoseconds: int) -> float:
    """Nanoseconds as seconds."""
    return nanoseconds / NANOSECONDS_PER_SECOND
