"""A cluster of four units with four jobs that are scheduled by hand, and a busy day on a larger one."""

from __future__ import annotations

import dataclasses

from simulator.cluster import Job, JobClass, Service, Settings, draw_jobs

FOUR_UNITS = Settings(units=4, unit_chips=1, horizon_s=100.0)
CRAFTED = [
    Job(id="first", submit_s=0.0, chips=3, work_s=10.0),
    Job(id="wide", submit_s=1.0, chips=4, work_s=10.0),
    Job(id="long", submit_s=2.0, chips=1, work_s=50.0),
    Job(id="short", submit_s=3.0, chips=1, work_s=5.0),
]
"""On four units: `short` fits into the hole beside `first`; `long` fits too, but would make `wide` wait."""


def starts(report):
    """When each job first started [s]."""
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
