"""What does not fit a cluster is an answer; what makes no sense is one message that names the field."""

from __future__ import annotations

import dataclasses
import math

import pytest

from simulator.cluster import Job, JobClass, Service, draw_jobs, simulate
from simulator.cluster.engine import Cluster
from simulator.errors import InputError, InternalError
from tests.support_cluster import CRAFTED, FOUR_UNITS


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
