"""How fast a cluster runs: jobs per CPU second of a long queue, and one day as the comparison simulates it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from simulator.cluster import POLICIES, JobClass, Report, Service, Settings, draw_jobs, simulate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from simulator.cluster import Job

JOBS = 10_000
DAY_S = 86_400.0


def _many_jobs(load: float) -> tuple[float, list[Job]]:
    """Time in which 10,000 jobs of one and ten units arrive at 144 units, and the jobs."""
    classes = [
        JobClass(name="one", weight=1, chips=64, work_s=3_600.0, work_sigma=1.0),
        JobClass(name="ten", weight=1, chips=640, work_s=3_600.0, work_sigma=1.0),
    ]
    horizon_s = JOBS * 352 * 3_600.0 / (load * 9_216)
    return horizon_s, list(draw_jobs(classes, load=load, capacity_chips=9_216, horizon_s=horizon_s, seed=1))


@pytest.mark.parametrize("load", [0.7, 1.2])
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_ten_thousand_jobs(benchmark: BenchmarkFixture, policy: str, load: float) -> None:
    """Jobs per CPU second; at a load of 1.2 the queue grows to thousands."""
    horizon_s, jobs = _many_jobs(load)
    settings = Settings(units=144, unit_chips=64, horizon_s=horizon_s, policy=policy)
    spent_s = []

    def run() -> Report:
        begun_s = time.process_time()
        report = simulate(settings, jobs, [], 1)
        spent_s.append(time.process_time() - begun_s)
        return report

    report = benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    rate = len(jobs) / min(spent_s)
    benchmark.extra_info["jobs_per_cpu_s"] = round(rate)
    print(f"\n{policy}, load {load}: {rate:,.0f} jobs per CPU s")
    assert report.jobs_submitted == len(jobs)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_one_day_of_a_pod(benchmark: BenchmarkFixture, policy: str) -> None:
    """A day of about 300 jobs and two services on 144 units of 64 chips, with failures."""
    classes = [
        JobClass(name="large", weight=1, chips=2_048, work_s=7_200.0, work_sigma=1.0, checkpoint_s=60.0),
        JobClass(name="small", weight=15, chips=128, work_s=7_200.0, work_sigma=1.0, checkpoint_s=20.0),
    ]
    settings = Settings(
        units=144,
        unit_chips=64,
        horizon_s=DAY_S,
        failures_per_chip_s=2e-8,
        repair_s=14_400.0,
        restart_s=300.0,
        policy=policy,
    )
    jobs = draw_jobs(classes, load=0.65, capacity_chips=settings.chips, horizon_s=DAY_S, seed=1)
    services = [
        Service(
            name=name,
            chips=1_000,
            capacity_tokens_per_s=1e6,
            mean_tokens_per_s=6e5,
            peak_to_trough=4.0,
            peak_s=50_000.0,
        )
        for name in ("chat", "batch")
    ]
    report = benchmark(simulate, settings, jobs, services, 1)
    print(f"\n{policy}: {len(jobs)} jobs, {report.failures} failures, {len(report.events)} events")
    assert report.failures > 0
