"""Which job starts when and on which units: policies on an example that is scheduled by hand, and allocation."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import pytest

from simulator.cluster import POLICIES, Job, Settings, simulate
from simulator.cluster.allocation import FreeUnits, as_runs, without
from simulator.cluster.work import Work
from simulator.errors import InternalError
from tests.support_cluster import CRAFTED, FOUR_UNITS, starts

# Policies, on an example small enough to schedule by hand -------------------------------------------------------------


def test_fifo_lets_nobody_overtake():
    assert starts(simulate(FOUR_UNITS, CRAFTED, [], 1)) == {"first": 0.0, "wide": 10.0, "long": 20.0, "short": 20.0}


def test_easy_backfills_what_does_not_delay_the_head():
    settings = dataclasses.replace(FOUR_UNITS, policy="easy")
    report = simulate(settings, CRAFTED, [], 1)
    assert starts(report) == {"first": 0.0, "wide": 10.0, "long": 20.0, "short": 3.0}
    assert (2_000_000_000, "reserve", "wide", 10_000_000_000) in report.events


def test_easy_backfills_a_long_job_onto_units_that_the_head_will_not_need():
    settings = dataclasses.replace(FOUR_UNITS, policy="easy")
    jobs = [dataclasses.replace(job, chips=3) if job.id == "wide" else job for job in CRAFTED]
    assert starts(simulate(settings, jobs, [], 1)) == {"first": 0.0, "wide": 10.0, "long": 2.0, "short": 20.0}


def test_easy_uses_more_of_the_machine_than_fifo_by_the_hole_that_it_fills():
    horizon = {"horizon_s": 20.0}
    fifo = simulate(dataclasses.replace(FOUR_UNITS, **horizon), CRAFTED, [], 1)
    easy = simulate(dataclasses.replace(FOUR_UNITS, policy="easy", **horizon), CRAFTED, [], 1)
    # 3 chips x 10 s + 4 chips x 10 s of 80 chip-seconds; EASY adds 1 chip x 5 s.
    assert (fifo.utilisation, easy.utilisation) == (70 / 80, 75 / 80)


def test_shortest_first_starts_the_shortest_that_waits():
    jobs = [Job(id=name, chips=4, work_s=work_s) for name, work_s in [("a", 9.0), ("b", 5.0), ("c", 7.0)]]
    report = simulate(dataclasses.replace(FOUR_UNITS, policy="shortest-first"), jobs, [], 1)
    assert starts(report) == {"a": 12.0, "b": 0.0, "c": 5.0}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_higher_priority_goes_first_among_equals(policy):
    jobs = [Job(id=str(priority), chips=4, work_s=5.0, priority=priority) for priority in (0, 2, 1)]
    report = simulate(dataclasses.replace(FOUR_UNITS, policy=policy), jobs, [], 1)
    times = starts(report)
    assert sorted(times, key=lambda name: times[name]) == ["2", "1", "0"]


def test_a_requested_time_that_is_too_long_spoils_the_backfill():
    settings = dataclasses.replace(FOUR_UNITS, policy="easy")
    jobs = [dataclasses.replace(job, requested_s=30.0) if job.id == "short" else job for job in CRAFTED]
    assert starts(simulate(settings, jobs, [], 1))["short"] == 20.0


class Asked(NamedTuple):
    units: int
    estimate_ns: int


def test_easy_gives_the_spare_units_to_one_job_only():
    # Five of nine units are free; the head needs six at time 10, when four come back and three are to spare.
    queue = [Asked(6, 1), Asked(2, 99), Asked(2, 99), Asked(1, 99)]
    decision = POLICIES["easy"](0, queue, 5, lambda: [(10, 4)])
    assert decision == ([1, 3], 10)


def test_easy_counts_all_that_comes_back_at_the_promised_time_as_spare():
    queue = [Asked(3, 1), Asked(2, 99)]
    assert POLICIES["easy"](0, queue, 2, lambda: [(10, 1), (10, 1)]).start == []
    assert POLICIES["easy"](0, queue, 2, lambda: [(10, 1), (10, 2)]).start == [1]
    assert POLICIES["easy"](0, queue, 2, lambda: [(10, 1), (11, 2)]).start == []


def test_easy_refuses_to_promise_what_never_comes():
    with pytest.raises(InternalError):
        POLICIES["easy"](0, [Asked(3, 1), Asked(2, 99)], 2, list)


def test_easy_expects_a_failed_unit_back_after_the_mean_repair_time():
    settings = Settings(
        units=2, unit_chips=1, horizon_s=1e5, failures_per_chip_s=1e-4, repair_s=50.0, repair_sigma=0.0, policy="easy"
    )
    jobs = [Job(id=str(index), chips=2, work_s=3e4) for index in range(3)]
    events = simulate(settings, jobs, [], 1).events
    failed_ns = [entry[0] for entry in events if entry[1] == "fail"]
    promised_ns = [entry[3] for entry in events if entry[1] == "reserve"]
    assert promised_ns
    assert set(promised_ns) <= {time_ns + 50_000_000_000 for time_ns in failed_ns}


def test_a_struck_job_stands_before_those_that_never_ran_and_after_higher_priorities():
    works = [Work(Job(id=str(i), chips=1, work_s=9.0, priority=i // 2), i, FOUR_UNITS) for i in range(4)]
    works[1].interrupt(0)
    works[3].interrupt(0)
    assert [work.job.id for work in sorted(works, key=lambda work: work.key)] == ["3", "2", "1", "0"]


def test_what_is_requested_for_a_struck_job_shrinks_with_the_work_that_is_left():
    work = Work(Job(id="a", chips=1, work_s=8.0, requested_s=12.0), 0, FOUR_UNITS)
    assert work.estimate_ns == 12_000_000_000
    work.remaining_ns //= 4
    work.interrupt(5_000_000_000)
    assert work.estimate_ns == 8_000_000_000


# Allocation -----------------------------------------------------------------------------------------------------------


def test_units_come_from_the_shortest_run_that_holds_them_and_else_from_the_longest_runs():
    units = FreeUnits(20)
    units.take(20, 0)
    units.give([(0, 5), (8, 11), (14, 18)], 0)
    assert units.take(3, 0) == ((8, 11),)
    assert units.take(4, 0) == ((14, 18),)
    units.give([(14, 18), (9, 10)], 0)
    assert units.take(7, 0) == ((0, 5), (14, 16))
    units.give([(3, 5)], 0)
    assert units.take(3, 0) == ((3, 5), (9, 10))


def test_a_unit_given_back_twice_is_an_internal_error():
    units = FreeUnits(4)
    units.take(2, 0)
    units.give([(0, 2)], 0)
    with pytest.raises(InternalError):
        units.give([(1, 2)], 0)
    with pytest.raises(InternalError):
        units.take(5, 0)
    units.remove(2, 0)
    with pytest.raises(InternalError):
        units.remove(2, 0)
    assert (units.free, units.holds(2), units.holds(3)) == (3, False, True)


def test_runs_are_sets_of_units():
    for removed in (2, 3, 5, 9):
        units = [2, 3, 4, 5, 9]
        left = without(as_runs(units), removed)
        assert [unit for first, stop in left for unit in range(first, stop)] == [u for u in units if u != removed]
