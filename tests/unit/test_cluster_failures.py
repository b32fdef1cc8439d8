"""Checkpoints and failures: closed forms, nanosecond by nanosecond, and time that adds up."""

from __future__ import annotations

import dataclasses
import math

import pytest

from simulator.cluster import Job, Settings, simulate, young_daly_seconds
from simulator.cluster.checkpoints import split_ns, wall_ns
from tests.support_cluster import busy_day


def test_young_daly_interval_matches_daly_2006():
    # MTBF 30 h and 10 min to write: sqrt(2 x 600 s x 108,000 s) = 11,384 s, by hand.
    assert young_daly_seconds(600.0, 108_000.0) == pytest.approx(11_384.2, abs=0.05)
    assert young_daly_seconds(600.0, math.inf) == math.inf


@pytest.mark.parametrize("write_ns", [0, 3])
@pytest.mark.parametrize("work_ns", [1, 9, 10, 11, 30, 35])
def test_splitting_an_attempt_agrees_with_playing_it_nanosecond_by_nanosecond(work_ns, write_ns):
    interval_ns = 10
    total_ns = wall_ns(work_ns, interval_ns, write_ns)
    saved = unsaved = writing = written = 0
    for elapsed_ns in range(total_ns + 1):
        assert split_ns(elapsed_ns, work_ns, interval_ns, write_ns) == (saved, unsaved, writing), elapsed_ns
        is_segment_full = unsaved == interval_ns or saved + unsaved == work_ns
        if is_segment_full and written < write_ns:
            writing, written = writing + 1, written + 1
        else:
            unsaved += 1
        if (unsaved == interval_ns or saved + unsaved == work_ns) and written == write_ns:
            saved, unsaved, written = saved + unsaved, 0, 0


def test_one_failure_costs_what_was_not_written_and_a_restart():
    # One unit; the first failure is looked up, then everything is arithmetic.
    settings = Settings(
        units=1,
        unit_chips=2,
        horizon_s=1e5,
        failures_per_chip_s=1e-5,
        repair_s=50.0,
        repair_sigma=0.0,
        restart_s=7.0,
        checkpoint_interval=100.0,
    )
    job = Job(id="a", chips=1, work_s=1e6, checkpoint_s=10.0)
    log = [entry for entry in simulate(settings, [job], [], 2).events if entry[1] == "fail"]
    first_s = log[0][0] / 1e9
    until = dataclasses.replace(settings, horizon_s=first_s + 50.0 + 7.0 + 30.0)
    assert log[1][0] / 1e9 > until.horizon_s
    ledger = simulate(until, [job], [], 2).ledger
    cycles, rest_s = divmod(first_s, 110.0)
    lost_s = min(rest_s, 100.0)
    assert ledger["productive"] == pytest.approx(cycles * 100.0 + 30.0, abs=1e-6)
    assert ledger["checkpoint"] == pytest.approx(cycles * 10.0 + rest_s - lost_s, abs=1e-6)
    assert ledger["lost"] == pytest.approx(lost_s, abs=1e-6)
    assert ledger["restart"] == pytest.approx(7.0, abs=1e-6)
    assert ledger["down"] == pytest.approx(2 * 50.0, abs=1e-6)
    assert ledger["fragmented"] == pytest.approx(first_s + 37.0, abs=1e-6)
    assert ledger["idle"] == 0.0


def test_the_machine_is_not_busy_while_its_only_unit_is_down_or_its_job_restarts():
    settings = Settings(
        units=1,
        unit_chips=2,
        horizon_s=1e5,
        failures_per_chip_s=1e-5,
        repair_s=2_000.0,
        repair_sigma=0.0,
        restart_s=2_000.0,
    )
    report = simulate(settings, [Job(id="a", chips=1, work_s=1e6, checkpoint_s=10.0)], [], 2)
    down_s = next(entry[0] for entry in report.events if entry[1] == "fail") / 1e9
    starts_s, ends_s = report.edges_s[:-1], report.edges_s[1:]
    is_off = (starts_s >= down_s) & (ends_s <= down_s + 4_000.0)
    assert is_off.sum() > 5
    assert report.busy_chip_s[is_off].max() == pytest.approx(0.0, abs=1e-6)
    assert report.busy_chip_s[starts_s >= down_s + 4_000.0][0] > 300.0


def test_without_failures_nothing_is_lost_down_or_restarted():
    settings, jobs, services = busy_day(failures_per_chip_s=0.0)
    report = simulate(settings, jobs, services, 5)
    assert [report.ledger[name] for name in ("lost", "down", "restart")] == [0.0, 0.0, 0.0]
    assert (report.failures, report.interruptions) == (0, 0)


def test_a_struck_job_returns_to_the_head_of_the_queue():
    settings = Settings(units=1, unit_chips=1, horizon_s=1e6, failures_per_chip_s=1e-5, repair_s=10.0, repair_sigma=0.0)
    jobs = [Job(id=str(index), chips=1, work_s=3e5) for index in range(3)]
    report = simulate(settings, jobs, [], 1)
    assert report.jobs[0].interruptions > 0
    begun = [entry[2] for entry in report.events if entry[1] == "start"]
    assert begun == sorted(begun)


def test_a_unit_that_is_down_does_not_fail_again():
    settings = Settings(units=3, unit_chips=1, horizon_s=1e6, failures_per_chip_s=1e-3, repair_s=1e9, repair_sigma=0.0)
    report = simulate(settings, [], [], 1)
    assert report.failures == 3
    assert {span.outcome for span in report.timeline} == {"repairing"}


def test_the_time_down_per_failure_is_the_repair_time():
    # 40,000 failures expected; the mean of a lognormal with sigma 1 has a relative error of 1.31 / sqrt(40,000).
    for sigma, spread in ((None, 1.0), (1.0, math.sqrt(math.e - 1.0))):
        settings = Settings(
            units=64, unit_chips=1, horizon_s=1e6, failures_per_chip_s=6.25e-4, repair_s=10.0, repair_sigma=sigma
        )
        report = simulate(settings, [], [], 1)
        tolerance = 4 * spread / math.sqrt(report.failures)
        assert report.ledger["down"] / report.failures == pytest.approx(10.0, rel=tolerance)
