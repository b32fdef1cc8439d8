"""Bounds on what goes in, with one message for each thing that is wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulator.cluster.policies import POLICIES
from simulator.errors import InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simulator.cluster.types import Job, JobClass, Service, Settings

_LONGEST_S = 1e9
_MOST = 1_048_576
_MOST_EVENTS = 10_000_000
_MOST_TOKENS_PER_S = 1e18


def _within(where: str, name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    """Refuse a value outside ``low`` to ``high`` (``above``: or equal to ``low``), and NaN."""
    if not (low < value if above else low <= value) or not value <= high:
        bounds = f"more than {low:g}" if above else f"at least {low:g}"
        raise InputError(f"{name} = {value!r} is out of bounds", where=where, remedy=f"use {bounds}, at most {high:g}")


def _unique(kind: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise InputError(f"two of the {kind} names are {name[:80]!r}", remedy="give each its own name")
        seen.add(name)


def check(settings: Settings, jobs: Sequence[Job], services: Sequence[Service]) -> None:
    """Refuse what cannot be simulated.

    Raises
    ------
    InputError : names the field, its value and its bounds
    """
    _check_settings(settings)
    _unique("job", (job.id for job in jobs))
    _unique("service", (service.name for service in services))
    for job in jobs:
        if not (
            1 <= job.chips < math.inf
            and 0 <= job.submit_s <= _LONGEST_S
            and 0 < job.work_s <= _LONGEST_S
            and 0 <= job.checkpoint_s <= _LONGEST_S
            and 0 <= job.tokens_per_s <= _MOST_TOKENS_PER_S
            and (job.requested_s is None or 0 < job.requested_s <= _LONGEST_S)
        ):
            _explain(job)
    for service in services:
        where = f"service {service.name[:80]!r}"
        _within(where, "chips", service.chips, 1, math.inf)
        _within(where, "capacity_tokens_per_s", service.capacity_tokens_per_s, 0, _MOST_TOKENS_PER_S, above=True)
        _within(where, "mean_tokens_per_s", service.mean_tokens_per_s, 0, _MOST_TOKENS_PER_S)
        _within(where, "peak_to_trough", service.peak_to_trough, 1, 1e6)
        _within(where, "peak_s", service.peak_s, -_LONGEST_S, _LONGEST_S)
        _within(where, "period_s", service.period_s, 1, _LONGEST_S)


def _explain(job: Job) -> None:
    """Raise for the field of a job that is out of bounds."""
    where = f"job {job.id[:80]!r}"
    _within(where, "chips", job.chips, 1, math.inf)
    _within(where, "submit_s", job.submit_s, 0, _LONGEST_S)
    _within(where, "work_s", job.work_s, 0, _LONGEST_S, above=True)
    _within(where, "checkpoint_s", job.checkpoint_s, 0, _LONGEST_S)
    _within(where, "tokens_per_s", job.tokens_per_s, 0, _MOST_TOKENS_PER_S)
    if job.requested_s is not None:
        _within(where, "requested_s", job.requested_s, 0, _LONGEST_S, above=True)


def _check_settings(settings: Settings) -> None:
    where = "cluster"
    _within(where, "units", settings.units, 1, _MOST)
    _within(where, "unit_chips", settings.unit_chips, 1, _MOST)
    _within(where, "horizon_s", settings.horizon_s, 1e-6, _LONGEST_S)
    _within(where, "repair_s", settings.repair_s, 0, _LONGEST_S)
    _within(where, "restart_s", settings.restart_s, 0, _LONGEST_S)
    if settings.repair_sigma is not None:
        _within(where, "repair_sigma", settings.repair_sigma, 0, 10)
    if isinstance(settings.checkpoint_interval, str):
        if settings.checkpoint_interval != "young-daly":
            raise unknown_name("checkpoint interval", settings.checkpoint_interval, ["young-daly"], where=where)
    else:
        _within(where, "checkpoint_interval", settings.checkpoint_interval, 0, _LONGEST_S, above=True)
    most = _MOST_EVENTS / (settings.chips * settings.horizon_s)
    _within(where, "failures_per_chip_s", settings.failures_per_chip_s, 0, most)
    if settings.policy not in POLICIES:
        raise unknown_name("policy", settings.policy, POLICIES, where=where)


def check_classes(classes: Sequence[JobClass], load: float, capacity_chips: int, horizon_s: float) -> None:
    """Refuse classes of jobs that cannot be drawn.

    Raises
    ------
    InputError : names the field, its value and its bounds
    """
    if not classes:
        raise InputError("no classes of jobs to draw", remedy="give at least one")
    _unique("job class", (each.name for each in classes))
    for each in classes:
        where = f"job class {each.name[:80]!r}"
        _within(where, "weight", each.weight, 0, 1e9)
        _within(where, "chips", each.chips, 1, _MOST**2)
        _within(where, "work_s", each.work_s, 0, _LONGEST_S, above=True)
        _within(where, "work_sigma", each.work_sigma, 0, 4)
    _within("job classes", "sum of weights", sum(each.weight for each in classes), 0, math.inf, above=True)
    _within("arrivals", "load", load, 0, 1e3)
    _within("arrivals", "capacity_chips", capacity_chips, 1, _MOST**2)
    _within("arrivals", "horizon_s", horizon_s, 1e-6, _LONGEST_S)
    mean_chip_s = sum(each.weight * each.chips * each.work_s for each in classes) / sum(each.weight for each in classes)
    expected = load * capacity_chips * horizon_s / mean_chip_s
    _within("arrivals", "expected number of jobs", expected, 0, _MOST_EVENTS)
