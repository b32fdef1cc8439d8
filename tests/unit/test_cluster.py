from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from simulator.cluster import POLICIES, Job, JobClass, Service, Settings, draw_jobs, simulate, young_daly_seconds
from simulator.cluster.allocation import FreeUnits, as_runs, without
from simulator.cluster.checkpoints import split_ns, wall_ns
from simulator.cluster.engine import Cluster
from simulator.cluster.load import tokens_until
from simulator.cluster.work import Work
from simulator.errors import InputError, InternalError

FOUR_UNITS = Settings(units=4, unit_chips=1, horizon_s=100.0)
CRAFTED = [
    Job(id="first", submit_s=0.0, chips=3, work_s=10.0),
    Job(id="wide", submit_s=1.0, chips=4, work_s=10.0),
    Job(id="long", submit_s=2.0, chips=1, work_s=50.0),
    Job(id="short", submit_s=3.0, chips=1, work_s=5.0),
]
"""On four units: `short` fits into the hole beside `first`; `long` fits too, but would make `wide` wait."""


def starts(report):
    return {job.id: job.first_start_s for job in report.jobs}


def busy_day(**changes):
    """A day on a machine of 32 units of 8 chips, with failures and one service."""
    settings = Settings(
        units=32,
        unit_chips=8,
        horizon_s=86_400.0,
        failures_per_chip_s=1e-6,
        repair_s=7_200.0,
        restart_s=120.0,
        policy="easy",
    )
    classes = [
        JobClass(name="small", weight=8, chips=12, work_s=1_800.0, work_sigma=1.0, checkpoint_s=10.0, tokens_per_s=5.0),
        JobClass(name="large", weight=1, chips=128, work_s=7_200.0, work_sigma=0.5, checkpoint_s=60.0),
    ]
    jobs = draw_jobs(classes, load=0.9, capacity_chips=settings.chips, horizon_s=settings.horizon_s, seed=3)
    service = Service(
        name="chat",
        chips=30,
        capacity_tokens_per_s=1e5,
        mean_tokens_per_s=7e4,
        peak_to_trough=4.0,
        peak_s=50_400.0,
    )
    return dataclasses.replace(settings, **changes), list(jobs), [service]


# Policies, on an example small enough to schedule by hand ----------------------------------------------------------


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


# What does not fit, and bad input ----------------------------------------------------------------------------------


def test_a_job_larger_than_the_machine_is_rejected_and_the_others_run():
    jobs = [Job(id="huge", chips=5, work_s=1.0), Job(id="fits", chips=4, work_s=1.0)]
    report = simulate(FOUR_UNITS, jobs, [], 1)
    assert report.rejected == ("huge",)
    assert [(job.outcome, job.first_start_s) for job in report.jobs] == [("rejected", None), ("completed", 0.0)]


def test_a_job_larger_than_what_services_leave_is_rejected():
    service = Service(name="chat", chips=2, capacity_tokens_per_s=1.0, mean_tokens_per_s=1.0)
    report = simulate(FOUR_UNITS, [Job(id="wide", chips=3, work_s=1.0)], [service], 1)
    assert report.rejected == ("wide",)


def test_a_service_larger_than_the_machine_is_rejected_and_its_demand_counts():
    service = Service(name="chat", chips=5, capacity_tokens_per_s=1.0, mean_tokens_per_s=2.0)
    report = simulate(FOUR_UNITS, [], [service], 1)
    assert (report.rejected, report.tokens_served, report.tokens_demanded) == (("chat",), 0.0, 200.0)


def test_an_empty_day_is_idle_and_has_no_delays():
    report = simulate(FOUR_UNITS, [], [], 1)
    assert report.ledger["idle"] == 400.0
    assert report.delay_s_mean is None
    assert report.slowdown_mean is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("units", 0),
        ("unit_chips", 10**12),
        ("horizon_s", math.inf),
        ("horizon_s", math.nan),
        ("failures_per_chip_s", -1.0),
        ("failures_per_chip_s", 1e9),
        ("repair_s", -1.0),
        ("repair_sigma", math.nan),
        ("restart_s", math.inf),
        ("checkpoint_interval", 0.0),
    ],
)
def test_a_setting_out_of_bounds_is_named_with_its_bounds(field, value):
    with pytest.raises(InputError, match=field):
        simulate(dataclasses.replace(FOUR_UNITS, **{field: value}), [], [], 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chips", 0),
        ("work_s", 0.0),
        ("work_s", math.nan),
        ("submit_s", -1.0),
        ("checkpoint_s", -1.0),
        ("tokens_per_s", math.inf),
        ("requested_s", 0.0),
    ],
)
def test_a_job_out_of_bounds_is_named_with_its_field(field, value):
    job = dataclasses.replace(CRAFTED[0], **{field: value})
    with pytest.raises(InputError, match=f"'first'.*{field}"):
        simulate(FOUR_UNITS, [job], [], 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chips", 0),
        ("capacity_tokens_per_s", 0.0),
        ("mean_tokens_per_s", -1.0),
        ("peak_to_trough", 0.5),
        ("period_s", 0.0),
        ("peak_s", math.nan),
    ],
)
def test_a_service_out_of_bounds_is_named_with_its_field(field, value):
    service = Service(name="chat", chips=1, capacity_tokens_per_s=1.0, mean_tokens_per_s=1.0)
    with pytest.raises(InputError, match=f"'chat'.*{field}"):
        simulate(FOUR_UNITS, [], [dataclasses.replace(service, **{field: value})], 1)


def test_an_unknown_policy_gets_the_nearest_name():
    with pytest.raises(InputError, match="did you mean fifo"):
        simulate(dataclasses.replace(FOUR_UNITS, policy="fifi"), [], [], 1)


def test_an_unknown_checkpoint_rule_gets_the_known_one():
    with pytest.raises(InputError, match="young-daly"):
        simulate(dataclasses.replace(FOUR_UNITS, checkpoint_interval="young"), [], [], 1)


def test_two_jobs_of_one_name_are_refused():
    with pytest.raises(InputError, match="'first'"):
        simulate(FOUR_UNITS, [CRAFTED[0], CRAFTED[0]], [], 1)


@pytest.mark.parametrize("classes", [[], [JobClass(name="a", weight=0.0, chips=1, work_s=1.0)]])
def test_classes_from_which_nothing_can_be_drawn_are_refused(classes):
    with pytest.raises(InputError):
        draw_jobs(classes, load=0.5, capacity_chips=4, horizon_s=100.0, seed=1)


def test_a_day_of_more_jobs_than_anyone_can_wait_for_is_refused():
    with pytest.raises(InputError, match="expected number of jobs"):
        draw_jobs([JobClass(name="a", weight=1, chips=1, work_s=1e-6)], load=1, capacity_chips=4, horizon_s=1e5, seed=1)


def test_a_cluster_runs_once():
    cluster = Cluster(FOUR_UNITS, CRAFTED, [], 1)
    cluster.run()
    with pytest.raises(InternalError):
        cluster.run()


# Determinism and what moves what -----------------------------------------------------------------------------------


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


# The horizon -------------------------------------------------------------------------------------------------------


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


# Checkpoints and failures ------------------------------------------------------------------------------------------


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


# Services ----------------------------------------------------------------------------------------------------------


def quadrature(service, start_s, end_s, capacity):
    """Tokens by the midpoint rule on a million points."""
    edges = np.linspace(start_s, end_s, 1_000_001)
    middle = (edges[1:] + edges[:-1]) / 2
    ratio = service.peak_to_trough
    wave = np.cos(2 * np.pi * (middle - service.peak_s) / service.period_s)
    load = service.mean_tokens_per_s * (1 + (ratio - 1) / (ratio + 1) * wave)
    return np.minimum(load, capacity).mean() * (end_s - start_s)


@pytest.mark.parametrize("capacity", [0.0, 30.0, 80.0, 100.0, 130.0, 149.0, 1e6, math.inf])
@pytest.mark.parametrize("window", [(0.0, 86_400.0), (1_000.0, 2_000.0), (40_000.0, 300_000.0), (-90_000.0, 5.0)])
def test_served_tokens_in_closed_form_match_quadrature(capacity, window):
    service = Service(
        name="chat",
        chips=1,
        capacity_tokens_per_s=1.0,
        mean_tokens_per_s=100.0,
        peak_to_trough=3.0,
        peak_s=50_000.0,
    )
    served = np.diff(tokens_until(service, np.array(window), capacity))[0]
    assert served == pytest.approx(quadrature(service, *window, capacity), rel=1e-6, abs=1e-6)


def test_a_service_below_its_capacity_serves_all_and_is_idle_for_the_rest():
    service = Service(
        name="chat", chips=4, capacity_tokens_per_s=10.0, mean_tokens_per_s=4.0, peak_to_trough=2.0, period_s=100.0
    )
    report = simulate(FOUR_UNITS, [], [service], 1)
    assert report.tokens_served == pytest.approx(400.0)
    assert report.tokens_demanded == pytest.approx(400.0)
    assert report.ledger["service_busy"] == pytest.approx(0.4 * 400.0)
    assert report.ledger["service_idle"] == pytest.approx(0.6 * 400.0)
    assert report.utilisation == 1.0


def test_a_service_loses_the_share_of_a_failed_unit_until_the_repair_returns():
    service = Service(name="chat", chips=4, capacity_tokens_per_s=8.0, mean_tokens_per_s=100.0)
    horizon_s = 50_000.0
    settings = dataclasses.replace(
        FOUR_UNITS, failures_per_chip_s=1e-4, repair_s=5.0, repair_sigma=0.0, restart_s=2.0, horizon_s=horizon_s
    )
    report = simulate(settings, [], [service], 1)
    assert report.failures > 5
    assert report.ledger["down"] == 5.0 * report.failures
    assert report.ledger["restart"] == 2.0 * report.failures
    assert report.tokens_served == pytest.approx(2.0 * (4 * horizon_s - 7.0 * report.failures))


def test_a_spare_unit_takes_over_from_a_failed_one():
    service = Service(name="chat", chips=3, capacity_tokens_per_s=6.0, mean_tokens_per_s=100.0)
    settings = dataclasses.replace(
        FOUR_UNITS, failures_per_chip_s=1e-4, repair_s=50.0, repair_sigma=0.0, restart_s=2.0, horizon_s=5_000.0
    )
    report = simulate(settings, [], [service], 1)
    joins = [entry for entry in report.events if entry[1] == "join"]
    assert joins
    assert report.ledger["restart"] == 2.0 * len(joins)
    assert report.tokens_served == pytest.approx(2.0 * (3 * 5_000.0 - 2.0 * len(joins)))


def test_a_service_takes_a_returning_unit_before_a_waiting_job_does():
    service = Service(name="chat", chips=3, capacity_tokens_per_s=6.0, mean_tokens_per_s=100.0)
    settings = dataclasses.replace(
        FOUR_UNITS, failures_per_chip_s=1e-4, repair_s=50.0, repair_sigma=0.0, horizon_s=5_000.0
    )
    jobs = [Job(id=str(index), submit_s=float(index), chips=1, work_s=100.0) for index in range(200)]
    report = simulate(settings, jobs, [service], 1)
    repaired_ns = {entry[0] for entry in report.events if entry[1] == "repair"}
    joined_ns = [entry[0] for entry in report.events if entry[1] == "join"]
    assert joined_ns
    assert set(joined_ns) <= repaired_ns | {entry[0] for entry in report.events if entry[1] in {"complete", "fail"}}


# Allocation --------------------------------------------------------------------------------------------------------


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


# Arrivals ----------------------------------------------------------------------------------------------------------


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


# Imports -----------------------------------------------------------------------------------------------------------


def test_importing_the_package_imports_neither_simpy_nor_numpy():
    code = "import sys, simulator.cluster; print([name for name in ('simpy', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
