"""Where every chip-second went: each goes to exactly one bin, and the bins add up to the capacity to the nanosecond.

The bins follow the split of wall time into goodput and kinds of badput that operators of large training fleets use.
Times are integer nanoseconds, so the sums are exact Python integers and closing needs no tolerance.
"""

from __future__ import annotations

from simulator.clock import to_s
from simulator.errors import InternalError

BINS = {
    "productive": "training work that was kept",
    "checkpoint": "writing checkpoints",
    "restart": "starting again after a failure",
    "lost": "training work since the last checkpoint when a failure struck",
    "service_busy": "serving requests",
    "service_idle": "held by a service whose load is below its capacity",
    "fragmented": "allocated beyond what was asked for, because units are handed out whole",
    "down": "failed and under repair",
    "idle": "free",
}
"""Bin -> what a chip was doing."""

FREE = ("down", "idle")
"""The bins of chips that nobody held; all others are allocated."""


class Ledger:
    """Chip-time of a machine of ``capacity_chips`` chips over ``horizon_ns`` [ns], by bin.

    Whoever uses chips adds what they used. Nothing is filled in as a remainder, so that :meth:`close` checks the run.

    >>> ledger = Ledger(2, 10, seed=1)
    >>> ledger.add("productive", 2, 7)
    >>> ledger.add("idle", 2, 3)
    >>> ledger.close()["productive"]
    14
    """

    def __init__(self, capacity_chips: int, horizon_ns: int, *, seed: int) -> None:
        self.capacity_chips = capacity_chips
        self.horizon_ns = horizon_ns
        self.seed = seed
        self.chip_ns = dict.fromkeys(BINS, 0)

    def add(self, name: str, chips: int, duration_ns: int) -> None:
        """Book ``chips`` chips for ``duration_ns`` [ns] under the bin ``name``.

        Raises
        ------
        InternalError : no such bin, or a negative amount
        """
        if chips < 0 or duration_ns < 0 or name not in self.chip_ns:
            raise InternalError(f"ledger: {chips} chips x {duration_ns} ns as {name!r} (seed {self.seed})")
        self.chip_ns[name] += chips * duration_ns

    def close(self) -> dict[str, int]:
        """Check that the bins add up to capacity times horizon, and return them [chip-ns].

        Raises
        ------
        InternalError : they do not; the message holds the seed and the difference
        """
        total = self.capacity_chips * self.horizon_ns
        booked = sum(self.chip_ns.values())
        if booked != total:
            raise InternalError(
                f"ledger does not close: {booked} of {total} chip-ns booked, difference {booked - total}, "
                f"bins {self.chip_ns} (seed {self.seed})"
            )
        return dict(self.chip_ns)

    def chip_seconds(self) -> dict[str, float]:
        """Return the bins in chip-seconds (float64: rounded, so their sum is exact to about 1e-15 only)."""
        return {name: to_s(amount) for name, amount in self.chip_ns.items()}
