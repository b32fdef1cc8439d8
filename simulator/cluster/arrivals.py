"""Jobs that arrive: Poisson in time, a class by weight, lognormal durations; each from its own random stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.cluster.checks import check_classes
from simulator.cluster.types import Job
from simulator.streams import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.cluster.types import JobClass


def draw(
    classes: Sequence[JobClass], *, load: float, capacity_chips: int, horizon_s: float, seed: int
) -> tuple[Job, ...]:
    r"""Draw the jobs that arrive in ``horizon_s`` seconds.

    The rate is chosen so that the chips asked for, times their productive time, are on average ``load`` times the
    capacity: with class probabilities :math:`p_i`, :math:`\lambda = \rho C / \sum_i p_i c_i w_i`.

    Parameters
    ----------
    classes : the kinds of jobs
    load : :math:`\rho`, offered share of the machine [1]
    capacity_chips : :math:`C` [1]
    horizon_s : last arrival at the latest [s]
    seed : of the streams

    Raises
    ------
    simulator.errors.InputError : no classes, a weight, size or duration outside its bounds
    """
    check_classes(classes, load, capacity_chips, horizon_s)
    weights = np.array([each.weight for each in classes])
    shares = weights / weights.sum()
    job_chip_s = float(shares @ np.array([each.chips * each.work_s for each in classes]))
    arrivals_per_s = load * capacity_chips / job_chip_s
    submit_s = _arrival_times(arrivals_per_s, horizon_s, seed)
    count = len(submit_s)
    which = np.searchsorted(np.cumsum(shares)[:-1], stream(seed, "cluster", "classes").random(count), side="right")
    sigma = np.array([each.work_sigma for each in classes])[which]
    mean_s = np.array([each.work_s for each in classes])[which]
    work_s = mean_s * np.exp(sigma * stream(seed, "cluster", "durations").standard_normal(count) - sigma**2 / 2)
    return tuple(
        Job(
            id=f"{classes[kind].name}-{index}",
            kind=classes[kind].name,
            submit_s=submit,
            chips=classes[kind].chips,
            work_s=work,
            priority=classes[kind].priority,
            tokens_per_s=classes[kind].tokens_per_s,
            checkpoint_s=classes[kind].checkpoint_s,
        )
        for index, (kind, submit, work) in enumerate(
            zip(which.tolist(), submit_s.tolist(), work_s.tolist(), strict=True)
        )
    )


def _arrival_times(arrivals_per_s: float, horizon_s: float, seed: int) -> NDArray[np.float64]:
    """Draw the times of a Poisson process before ``horizon_s`` [s]."""
    if arrivals_per_s == 0:
        return np.zeros(0)
    generator = stream(seed, "cluster", "arrivals")
    gaps = np.zeros(0)
    while gaps.sum() <= arrivals_per_s * horizon_s:
        gaps = np.concatenate([gaps, generator.standard_exponential(256)])
    times_s = np.cumsum(gaps) / arrivals_per_s
    return times_s[times_s < horizon_s]
