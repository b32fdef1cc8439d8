"""Services on a cluster: tokens against quadrature, failed units, and who takes one that returns."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from simulator.cluster import Job, Service, simulate
from simulator.cluster.load import tokens_until
from tests.support_cluster import FOUR_UNITS


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
