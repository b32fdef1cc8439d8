from __future__ import annotations

import pytest

from simulator.errors import InternalError
from simulator.ledger import BINS, FREE, Ledger


def test_ledger_closes_when_every_chip_nanosecond_is_booked_once():
    ledger = Ledger(4, 10, seed=1)
    ledger.add("productive", 3, 10)
    ledger.add("idle", 1, 9)
    ledger.add("down", 1, 1)
    assert ledger.close() == dict.fromkeys(BINS, 0) | {"productive": 30, "idle": 9, "down": 1}


@pytest.mark.parametrize("idle_ns", [9, 11])
def test_ledger_that_is_one_chip_nanosecond_off_raises_with_the_seed(idle_ns):
    ledger = Ledger(1, 10, seed=4711)
    ledger.add("idle", 1, idle_ns)
    with pytest.raises(InternalError, match="4711"):
        ledger.close()


def test_ledger_is_exact_where_float64_is_not():
    # 2**53 + 1 is the first integer that float64 cannot hold.
    ledger = Ledger(1, 2**53 + 1, seed=1)
    ledger.add("productive", 1, 2**53)
    with pytest.raises(InternalError):
        ledger.close()
    ledger.add("idle", 1, 1)
    assert sum(ledger.close().values()) == 2**53 + 1


@pytest.mark.parametrize(("name", "chips", "duration_ns"), [("idle", -1, 5), ("idle", 1, -5), ("holiday", 1, 5)])
def test_ledger_refuses_negative_time_and_unknown_bins(name, chips, duration_ns):
    with pytest.raises(InternalError):
        Ledger(1, 10, seed=1).add(name, chips, duration_ns)


def test_free_bins_are_bins():
    assert set(FREE) < set(BINS)


def test_chip_seconds_are_chip_nanoseconds_over_a_billion():
    ledger = Ledger(2, 10**9, seed=1)
    ledger.add("idle", 2, 10**9)
    assert ledger.chip_seconds()["idle"] == 2.0
