"""What a service is asked for through the day, and what it serves of it, in closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.cluster.types import Service


def tokens_until(service: Service, time_s: NDArray[np.float64], capacity_tokens_per_s: float) -> NDArray[np.float64]:
    r"""Tokens served from a fixed origin until each of ``time_s`` [s], by a constant capacity [1/s].

    .. math:: \int_0^t \min(m (1 + a \cos\theta(u)), c) \, du, \qquad \theta(u) = 2 \pi (u - u_0) / P

    with the mean load m, the amplitude a = (r - 1) / (r + 1) of a ratio r of peak to trough, and the capacity c. In
    each period the load is clipped where :math:`|\theta|` is below :math:`\arccos((c / m - 1) / a)`. Only differences
    between two times mean anything. An infinite capacity gives the demand.
    """
    mean = service.mean_tokens_per_s
    amplitude = (service.peak_to_trough - 1.0) / (service.peak_to_trough + 1.0)
    angle = 2.0 * math.pi * (time_s - service.peak_s) / service.period_s
    capacity = min(capacity_tokens_per_s, 2.0 * mean)  # the load never exceeds mean * (1 + amplitude) < 2 * mean
    if mean == 0.0 or capacity <= mean * (1.0 - amplitude):
        return capacity * time_s
    edge = math.acos((capacity / mean - 1.0) / amplitude) if capacity < mean * (1.0 + amplitude) else 0.0

    def served(phase: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the peak to a phase of 0 to pi [tokens x rad / s]."""
        beyond = np.maximum(phase, edge)
        return capacity * np.minimum(phase, edge) + mean * (
            beyond - edge + amplitude * (np.sin(beyond) - math.sin(edge))
        )

    periods = np.round(angle / (2.0 * math.pi))
    phase = angle - 2.0 * math.pi * periods
    whole = 2.0 * served(np.array(math.pi))
    total = periods * whole + np.sign(phase) * served(np.abs(phase))
    result: NDArray[np.float64] = total * service.period_s / (2.0 * math.pi)
    return result
