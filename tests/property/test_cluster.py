from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from simulator.cluster import POLICIES, Job, Service, Settings, simulate
from simulator.cluster.allocation import FreeUnits
from simulator.ledger import BINS, FREE

HORIZON_S = 1_000.0
seconds = st.one_of(st.integers(0, 1_200).map(float), st.floats(0, 1_200))
some_seconds = st.one_of(st.integers(1, 400).map(float), st.floats(1e-9, 400))


@st.composite
def clusters(draw, *, with_failures=True, with_services=True, exact=False, policies=tuple(POLICIES)):
    """Settings, jobs and services: small, so that everything collides with everything."""
    unit_chips = draw(st.integers(1, 4))
    settings = Settings(
        units=draw(st.integers(1, 12)),
        unit_chips=unit_chips,
        horizon_s=HORIZON_S,
        failures_per_chip_s=draw(st.sampled_from([0.0, 1e-5, 1e-3, 1e-2])) if with_failures else 0.0,
        repair_s=draw(st.sampled_from([0.0, 5.0, 300.0])),
        repair_sigma=draw(st.sampled_from([None, 0.0, 1.0])),
        restart_s=draw(st.sampled_from([0.0, 1.0, 40.0])),
        checkpoint_interval=draw(st.one_of(st.just("young-daly"), st.floats(0.01, 2_000))),
        policy=draw(st.sampled_from(policies)),
    )
    jobs = [
        Job(
            id=f"job-{index}",
            submit_s=draw(seconds),
            chips=draw(st.integers(1, 14 * unit_chips)),
            work_s=draw(some_seconds),
            priority=0 if exact else draw(st.integers(0, 1)),
            tokens_per_s=1.0,
            checkpoint_s=draw(st.sampled_from([0.0, 1.0, 30.0])),
            requested_s=None if exact else draw(st.one_of(st.none(), some_seconds)),
        )
        for index in range(draw(st.integers(0, 12)))
    ]
    services = [
        Service(
            name=f"service-{index}",
            chips=draw(st.integers(1, 6)),
            capacity_tokens_per_s=100.0,
            mean_tokens_per_s=draw(st.sampled_from([0.0, 50.0, 99.0, 300.0])),
            peak_to_trough=draw(st.floats(1, 50)),
            peak_s=draw(seconds),
            period_s=draw(st.floats(10, 5_000)),
        )
        for index in range(draw(st.integers(0, 3)) if with_services else 0)
    ]
    return settings, jobs, services


@given(clusters(), st.integers(0, 2**32))
def test_every_chip_nanosecond_goes_to_exactly_one_bin(cluster, seed):
    report = simulate(*cluster, seed)
    settings = cluster[0]
    assert set(report.ledger_chip_ns) == set(BINS)
    assert all(amount >= 0 for amount in report.ledger_chip_ns.values())
    assert sum(report.ledger_chip_ns.values()) == settings.chips * round(HORIZON_S * 1e9)


@given(clusters(), st.integers(0, 2**32))
def test_no_unit_is_ever_in_two_places(cluster, seed):
    report = simulate(*cluster, seed)
    for unit in range(cluster[0].units):
        spans = sorted((span.start_s, span.end_s) for span in report.timeline if unit in span.units)
        for (_, end_s), (start_s, _) in itertools.pairwise(spans):
            assert end_s <= start_s


@given(clusters(), st.integers(0, 2**32))
def test_the_timeline_holds_what_the_ledger_says_was_allocated_and_down(cluster, seed):
    settings = cluster[0]
    report = simulate(*cluster, seed)

    def chip_s(*what):
        spans = [span for span in report.timeline if span.what in what]
        return sum((span.end_s - span.start_s) * len(span.units) * settings.unit_chips for span in spans)

    allocated = sum(amount for name, amount in report.ledger.items() if name not in FREE)
    assert chip_s("job", "service") == pytest.approx(allocated, rel=1e-9, abs=1e-6)
    assert chip_s("down") == pytest.approx(report.ledger["down"], rel=1e-9, abs=1e-6)
    assert report.utilisation == pytest.approx(allocated / (settings.chips * HORIZON_S), abs=1e-12)


@given(clusters(), st.integers(0, 2**32))
def test_the_time_bins_add_up_to_the_ledger(cluster, seed):
    report = simulate(*cluster, seed)
    busy = sum(report.ledger[name] for name in ("productive", "lost", "service_busy"))
    assert len(report.busy_chip_s) <= 288
    assert report.busy_chip_s.sum() == pytest.approx(busy, rel=1e-6, abs=1e-4)
    assert report.down_chip_s.sum() == pytest.approx(report.ledger["down"], rel=1e-6, abs=1e-4)
    most = cluster[0].chips * np.diff(report.edges_s)
    assert (report.busy_chip_s + report.down_chip_s <= most * (1 + 1e-6)).all()


@given(clusters(), st.integers(0, 2**32))
def test_no_work_is_made_and_none_is_lost_from_the_books(cluster, seed):
    settings, jobs, services = cluster
    report = simulate(settings, jobs, services, seed)
    by_id = {job.id: job for job in jobs}
    assert report.ledger["productive"] == pytest.approx(
        sum(by_id[record.id].chips * record.productive_s for record in report.jobs), rel=1e-9, abs=1e-6
    )
    assert report.tokens_trained == pytest.approx(sum(record.productive_s for record in report.jobs), abs=1e-6)
    for record in report.jobs:
        work_s = by_id[record.id].work_s
        assert record.productive_s <= work_s + 1e-9
        assert (record.outcome == "completed") == (record.end_s is not None)
        if record.outcome == "completed":
            assert record.productive_s == pytest.approx(work_s, abs=1e-9)
            assert record.end_s - record.first_start_s >= work_s - 1e-9
    assert report.tokens_served <= report.tokens_demanded * (1 + 1e-9) + 1e-6
    assert len(report.jobs) == sum(job.submit_s < HORIZON_S for job in jobs)


@given(clusters(), st.integers(0, 2**32))
def test_every_job_that_fits_waits_only_for_a_reason(cluster, seed):
    settings, jobs, services = cluster
    report = simulate(settings, jobs, services, seed)
    waiting = [record for record in report.jobs if record.outcome == "waiting"]
    length = len(waiting)
    assert report.queue[-1][1] == length
    if settings.policy == "fifo" and waiting:
        by_id = {job.id: job for job in jobs}
        held = sum(len(span.units) for span in report.timeline if span.end_s == HORIZON_S and span.start_s < HORIZON_S)
        smallest = min(-(-by_id[record.id].chips // settings.unit_chips) for record in waiting)
        largest = max(-(-by_id[record.id].chips // settings.unit_chips) for record in waiting)
        assert settings.units - held < largest
        assert smallest >= 1


@given(clusters(with_failures=False, with_services=False, policies=("fifo",), exact=True))
def test_fifo_starts_jobs_in_the_order_of_arrival(cluster):
    report = simulate(*cluster, 1)
    started = [record for record in report.jobs if record.outcome != "rejected"]
    submitted = [record.submit_s for record in started]
    times = [np.inf if record.first_start_s is None else record.first_start_s for record in started]
    assert submitted == sorted(submitted)
    assert times == sorted(times)


@given(clusters(with_failures=False, policies=("easy",), exact=True))
def test_easy_keeps_every_promise_when_requests_are_exact(cluster):
    settings, jobs, services = cluster
    horizon_s = 1e6
    report = simulate(dataclasses.replace(settings, horizon_s=horizon_s), jobs, services, 1)
    start_s = {record.id: record.first_start_s for record in report.jobs}
    for _, what, who, promise_ns in report.events:
        if what == "reserve" and promise_ns < horizon_s * 1e9:
            assert start_s[who] is not None
            assert start_s[who] <= promise_ns / 1e9


@given(clusters(), st.integers(0, 2**32))
def test_failures_of_another_seed_move_no_submission(cluster, seed):
    def submissions(report):
        return [entry for entry in report.events if entry[1] == "submit"]

    assert submissions(simulate(*cluster, seed)) == submissions(simulate(*cluster, seed + 1))


@given(st.data())
@examples(max_examples=200)
def test_the_allocator_agrees_with_a_set_of_free_units(data):
    count = data.draw(st.integers(1, 20))
    units, free, held, now_ns, idle = FreeUnits(count), set(range(count)), [], 0, 0
    for _ in range(data.draw(st.integers(1, 30))):
        step_ns = data.draw(st.integers(0, 5))
        now_ns, idle = now_ns + step_ns, idle + step_ns * len(free)
        if free and data.draw(st.booleans()):
            wanted = data.draw(st.integers(1, len(free)))
            runs = units.take(wanted, now_ns)
            taken = {unit for first, stop in runs for unit in range(first, stop)}
            assert len(taken) == wanted
            assert taken <= free
            longest = max((len(list(group)) for group in runs_of(free)), default=0)
            assert (len(runs) == 1) == (longest >= wanted)
            free -= taken
            held.append(runs)
        elif held:
            runs = held.pop(data.draw(st.integers(0, len(held) - 1)))
            units.give(runs, now_ns)
            free |= {unit for first, stop in runs for unit in range(first, stop)}
        elif free:
            unit = data.draw(st.sampled_from(sorted(free)))
            units.remove(unit, now_ns)
            free.discard(unit)
        assert units.free == len(free)
        assert [units.holds(unit) for unit in range(count)] == [unit in free for unit in range(count)]
    units.book(now_ns)
    assert units.idle_unit_ns == idle


def runs_of(units):
    """Groups of neighbours."""
    return [
        [unit for _, unit in group]
        for _, group in itertools.groupby(enumerate(sorted(units)), key=lambda pair: pair[1] - pair[0])
    ]
