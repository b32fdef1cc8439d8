"""A day on a cluster: the same seed gives the same bytes, jobs come as drawn, and the horizon cuts cleanly."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import subprocess
import sys

import pytest

from simulator.cluster import Job, JobClass, draw_jobs, simulate
from tests.support_cluster import FOUR_UNITS, busy_day, starts

# Determinism and what moves what --------------------------------------------------------------------------------------


def test_same_inputs_and_seed_give_the_same_bytes():
    settings, jobs, services = busy_day()
    first, second = (simulate(settings, jobs, services, 5) for _ in range(2))
    assert first == second
    assert pickle.dumps(first) == pickle.dumps(second)
    assert first.failures > 10


def test_another_seed_gives_other_failures():
    settings, jobs, services = busy_day()
    assert simulate(settings, jobs, services, 5).events != simulate(settings, jobs, services, 6).events


def test_moving_one_arrival_changes_the_event_log():
    settings, jobs, services = busy_day()
    moved = [dataclasses.replace(jobs[0], submit_s=jobs[0].submit_s + 1.0), *jobs[1:]]
    assert simulate(settings, jobs, services, 5).events != simulate(settings, moved, services, 5).events


def test_doubling_the_failure_rate_halves_the_times_of_failures_and_moves_no_arrival():
    settings, jobs, services = busy_day(repair_s=0.0, repair_sigma=0.0)
    doubled = dataclasses.replace(settings, failures_per_chip_s=2 * settings.failures_per_chip_s)
    once, twice = (simulate(each, jobs, services, 5) for each in (settings, doubled))

    def log(report, what):
        return [(entry[0], entry[2]) for entry in report.events if entry[1] == what]

    assert log(once, "submit") == log(twice, "submit")
    assert len(log(twice, "fail")) > len(log(once, "fail")) > 10
    for (slow_ns, slow_unit), (fast_ns, fast_unit) in zip(log(once, "fail"), log(twice, "fail"), strict=False):
        assert slow_unit == fast_unit
        assert fast_ns == pytest.approx(slow_ns / 2, rel=1e-9)


def test_an_arrival_later_in_the_list_but_earlier_in_time_goes_first():
    jobs = [Job(id=str(submit_s), submit_s=submit_s, chips=4, work_s=10.0) for submit_s in (5.0, 4.0, 3.0)]
    assert starts(simulate(FOUR_UNITS, jobs, [], 1)) == {"3.0": 3.0, "4.0": 13.0, "5.0": 23.0}


# The horizon ----------------------------------------------------------------------------------------------------------


def test_work_in_progress_at_the_horizon_counts_as_productive_and_not_as_completed():
    report = simulate(FOUR_UNITS, [Job(id="a", chips=4, work_s=150.0, tokens_per_s=3.0)], [], 1)
    assert (report.goodput_share, report.jobs_completed, report.tokens_trained) == (1.0, 0, 300.0)
    assert report.jobs[0].outcome == "running"


def test_a_job_that_ends_at_the_horizon_is_complete():
    report = simulate(FOUR_UNITS, [Job(id="a", chips=4, work_s=100.0)], [], 1)
    assert (report.jobs[0].outcome, report.jobs[0].end_s) == ("completed", 100.0)


def test_a_job_that_arrives_at_the_horizon_was_never_submitted():
    assert simulate(FOUR_UNITS, [Job(id="a", submit_s=100.0, chips=4, work_s=1.0)], [], 1).jobs == ()


def test_a_job_still_waiting_counts_with_its_wait_so_far():
    jobs = [Job(id="a", chips=4, work_s=200.0), Job(id="b", submit_s=40.0, chips=4, work_s=1.0)]
    report = simulate(FOUR_UNITS, jobs, [], 1)
    assert (report.delay_s_mean, report.jobs[1].outcome) == (30.0, "waiting")


def test_slowdown_is_turnaround_over_work():
    jobs = [Job(id="a", chips=4, work_s=10.0), Job(id="b", chips=4, work_s=10.0)]
    assert simulate(FOUR_UNITS, jobs, [], 1).slowdown_mean == 1.5


def test_delays_are_summed_up_by_mean_median_and_95th_percentile():
    # Job k of 0 to 20 waits k seconds, so the 95th percentile is 19 s.
    jobs = [Job(id=str(index), chips=4, work_s=1.0) for index in range(21)]
    report = simulate(FOUR_UNITS, jobs, [], 1)
    assert (report.delay_s_mean, report.delay_s_median, report.delay_s_p95) == pytest.approx((10.0, 10.0, 19.0))


# Arrivals -------------------------------------------------------------------------------------------------------------


def test_drawn_jobs_offer_the_load_that_was_asked_for():
    classes = [
        JobClass(name="a", weight=3, chips=4, work_s=100.0, work_sigma=1.0),
        JobClass(name="b", weight=1, chips=64, work_s=900.0, work_sigma=0.3),
    ]
    jobs = draw_jobs(classes, load=0.7, capacity_chips=256, horizon_s=4e6, seed=1)
    offered = sum(job.chips * job.work_s for job in jobs) / (256 * 4e6)
    # The sum over a Poisson number of jobs of x has the standard deviation sqrt(n E[x^2]).
    error = math.sqrt(sum((job.chips * job.work_s) ** 2 for job in jobs)) / (256 * 4e6)
    assert offered == pytest.approx(0.7, abs=4 * error)
    assert sum(job.kind == "a" for job in jobs) / len(jobs) == pytest.approx(0.75, abs=4 * 0.44 / math.sqrt(len(jobs)))
    assert all(early.submit_s <= late.submit_s for early, late in itertools.pairwise(jobs))


def test_a_longer_day_begins_with_the_same_jobs():
    classes = [JobClass(name="a", weight=1, chips=4, work_s=100.0)]
    short, long = (draw_jobs(classes, load=0.7, capacity_chips=64, horizon_s=h, seed=1) for h in (1e4, 3e4))
    assert long[: len(short)] == short
    assert len(long) > len(short) > 10


def test_no_load_draws_no_jobs():
    assert (
        draw_jobs([JobClass(name="a", weight=1, chips=4, work_s=9.0)], load=0, capacity_chips=4, horizon_s=9, seed=1)
        == ()
    )


# Imports --------------------------------------------------------------------------------------------------------------


def test_importing_the_package_imports_neither_simpy_nor_numpy():
    code = "import sys, simulator.cluster; print([name for name in ('simpy', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
