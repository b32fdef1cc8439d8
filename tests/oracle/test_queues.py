"""The cluster against queueing theory, checkpoint theory, and a second scheduler."""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cluster import Job, JobClass, Settings, daly_seconds, draw_jobs, simulate
from simulator.streams import stream


def erlang_c(servers, offered):
    """Probability of waiting in M/M/c (Erlang 1917), by the stable recursion over Erlang B."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def batch_error(values, batches=30):
    """Standard error of the mean of a correlated series, by batch means."""
    means = [chunk.mean() for chunk in np.array_split(np.array(values), batches)]
    return float(np.std(means, ddof=1) / math.sqrt(batches))


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 0.5), (4, 0.7)])
def test_mean_wait_of_single_unit_jobs_matches_erlang_c(servers, load):
    count, mean_s = 40_000, 100.0
    gaps = stream(1, "mmc", "gaps").exponential(mean_s / (servers * load), count)
    work = stream(1, "mmc", "work").exponential(mean_s, count)
    times_s = np.cumsum(gaps)
    jobs = [
        Job(id=str(index), submit_s=time_s, chips=1, work_s=work_s)
        for index, (time_s, work_s) in enumerate(zip(times_s.tolist(), work.tolist(), strict=True))
    ]
    report = simulate(Settings(units=servers, unit_chips=1, horizon_s=float(times_s[-1]) + 1e5), jobs, [], 1)
    waits_s = [record.first_start_s - record.submit_s for record in report.jobs][2_000:]
    expected_s = erlang_c(servers, servers * load) * mean_s / (servers * (1 - load))
    assert np.mean(waits_s) == pytest.approx(expected_s, abs=4 * batch_error(waits_s))
    assert batch_error(waits_s) < 0.06 * expected_s


def test_mean_wait_of_drawn_jobs_matches_pollaczek_and_khinchine():
    load, mean_s, sigma, horizon_s = 0.6, 100.0, 0.8, 5e6
    classes = [JobClass(name="a", weight=1, chips=8, work_s=mean_s, work_sigma=sigma)]
    jobs = draw_jobs(classes, load=load, capacity_chips=8, horizon_s=horizon_s, seed=2)
    report = simulate(Settings(units=1, unit_chips=8, horizon_s=horizon_s + 1e5), jobs, [], 1)
    waits_s = [record.first_start_s - record.submit_s for record in report.jobs]
    expected_s = load * mean_s * math.exp(sigma**2) / (2 * (1 - load))
    assert np.mean(waits_s) == pytest.approx(expected_s, abs=4 * batch_error(waits_s))
    assert batch_error(waits_s) < 0.06 * expected_s


# The exact formula of Daly 2006, tabulated for the optimal interval and for an hour:
# mtbf, write, restart, interval [s], efficiency.
CHECKPOINTS = [
    (6_480.0, 10.0, 60.0, 353.364, 0.936755),
    (6_480.0, 10.0, 60.0, 3_600.0, 0.738244),
    (6_480.0, 60.0, 300.0, 842.278, 0.830658),
    (6_480.0, 300.0, 600.0, 1_777.08, 0.661576),
    (28_440.0, 300.0, 600.0, 3_600.0, 0.843253),
]


@pytest.mark.parametrize(("mtbf_s", "write_s", "restart_s", "interval_s", "efficiency"), CHECKPOINTS)
def test_closed_form_of_checkpointing_matches_the_tabulated_efficiencies(
    mtbf_s, write_s, restart_s, interval_s, efficiency
):
    assert 1 / daly_seconds(1.0, interval_s, write_s, restart_s, mtbf_s) == pytest.approx(efficiency, abs=1e-6)


@pytest.mark.parametrize("chips", [1, 64])
@pytest.mark.parametrize(("mtbf_s", "write_s", "restart_s", "interval_s", "efficiency"), CHECKPOINTS)
def test_goodput_under_failures_matches_daly(mtbf_s, write_s, restart_s, interval_s, efficiency, chips):
    # One endless job on the whole machine, repairs that take no time: the renewal process of the formula.
    failures = 4_000
    settings = Settings(
        units=chips,
        unit_chips=1,
        horizon_s=failures * mtbf_s,
        failures_per_chip_s=1 / (mtbf_s * chips),
        restart_s=restart_s,
        checkpoint_interval=interval_s,
    )
    report = simulate(settings, [Job(id="a", chips=chips, work_s=1e9, checkpoint_s=write_s)], [], 7)
    assert report.failures == pytest.approx(failures, rel=4 / math.sqrt(failures))
    # Work kept per failure varies at most like the exponential time between failures.
    assert report.goodput_share == pytest.approx(efficiency, abs=4 * 0.5 * efficiency / math.sqrt(failures))
    assert report.goodput_share == pytest.approx(1 - sum(lost_shares(report)), abs=1e-6)


def lost_shares(report):
    total = report.settings.chips * report.settings.horizon_s
    return [report.ledger[name] / total for name in ("checkpoint", "restart", "lost", "idle", "down")]


def test_young_daly_interval_wastes_least_among_fixed_ones():
    mtbf_s, write_s = 20_000.0, 50.0
    shares = {}
    for interval in ("young-daly", 200.0, 6_000.0):
        settings = Settings(
            units=16,
            unit_chips=4,
            horizon_s=2_000 * mtbf_s,
            failures_per_chip_s=1 / (mtbf_s * 64),
            restart_s=100.0,
            checkpoint_interval=interval,
        )
        report = simulate(settings, [Job(id="a", chips=64, work_s=1e9, checkpoint_s=write_s)], [], 7)
        shares[interval] = report.goodput_share
    assert max(shares, key=lambda interval: shares[interval]) == "young-daly"


def test_failures_are_poisson_and_strike_all_units_alike():
    settings = Settings(units=20, unit_chips=4, horizon_s=1e6, failures_per_chip_s=2.5e-4)
    events = simulate(settings, [], [], 3).events
    times_s = [entry[0] / 1e9 for entry in events if entry[1] == "fail"]
    gaps_s = np.diff(times_s)
    assert len(times_s) == pytest.approx(20_000, abs=4 * math.sqrt(20_000))
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(1.0, abs=4 / math.sqrt(len(gaps_s)))
    counts = np.bincount([entry[3] for entry in events if entry[1] == "fail"], minlength=20)
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_square < 19 + 4 * math.sqrt(2 * 19)


def slow_fifo(units, jobs):
    """Start times of first in, first out by a walk through the jobs: ``(submit_ns, units, wall_ns)`` -> start [ns]."""
    free, ends, now_ns, starts_ns = units, [], 0, []
    for submit_ns, wanted, wall_ns in jobs:
        now_ns = max(now_ns, submit_ns)
        while ends and ends[0][0] <= now_ns:
            free += heapq.heappop(ends)[1]
        while free < wanted:
            now_ns, released = heapq.heappop(ends)
            free += released
            while ends and ends[0][0] <= now_ns:
                free += heapq.heappop(ends)[1]
        free -= wanted
        heapq.heappush(ends, (now_ns + wall_ns, wanted))
        starts_ns.append(now_ns)
    return starts_ns


ticks = st.integers(0, 30)


@given(
    st.integers(1, 8),
    st.lists(st.tuples(ticks, st.integers(1, 8), st.integers(1, 30)), max_size=25),
    st.sampled_from([1.0, 0.1, 1e-9]),
)
def test_fifo_gives_the_same_start_times_as_a_second_scheduler(units, rows, tick_s):
    rows = [(gap, min(wanted, units), wall) for gap, wanted, wall in rows]
    submits = list(itertools.accumulate(gap for gap, _, _ in rows))
    jobs = [
        Job(id=str(index), submit_s=submit * tick_s, chips=wanted, work_s=wall * tick_s)
        for index, (submit, (_, wanted, wall)) in enumerate(zip(submits, rows, strict=True))
    ]
    report = simulate(Settings(units=units, unit_chips=1, horizon_s=1e4), jobs, [], 1)
    in_ns = [(round(job.submit_s * 1e9), job.chips, round(job.work_s * 1e9)) for job in jobs]
    expected_s = [start_ns / 1e9 for start_ns in slow_fifo(units, in_ns)]
    assert [record.first_start_s for record in report.jobs] == expected_s
