"""When to write a checkpoint, and what is left of the work when a failure strikes."""

from __future__ import annotations

import math


def young_daly_seconds(checkpoint_s: float, mtbf_s: float) -> float:
    r"""Productive time between checkpoints that wastes least, to first order.

    .. math:: \tau = \sqrt{2 \delta M}

    Parameters
    ----------
    checkpoint_s : time to write one checkpoint, :math:`\delta` [s]
    mtbf_s : mean time between failures of the chips that the job holds, :math:`M` [s]

    Holds for :math:`\delta \ll M` and exponential failures; infinite where nothing fails.

    References: Young, Commun. ACM 17(9), 1974, 530-531; Daly, Future Gener. Comput. Syst. 22(3), 2006, 303-312.

    >>> round(young_daly_seconds(60.0, 6480.0), 3)
    881.816
    """
    return math.sqrt(2.0 * checkpoint_s * mtbf_s)


def daly_seconds(work_s: float, interval_s: float, checkpoint_s: float, restart_s: float, mtbf_s: float) -> float:
    r"""Expected wall time of ``work_s`` seconds of work under exponential failures, exactly.

    .. math:: T = \frac{W}{\tau} \, M \, e^{R/M} \left( e^{(\tau + \delta)/M} - 1 \right)

    Parameters
    ----------
    work_s : productive time, :math:`W` [s]
    interval_s : productive time between checkpoints, :math:`\tau` [s]
    checkpoint_s : time to write one, :math:`\delta` [s]
    restart_s : time to start again after a failure, :math:`R` [s]
    mtbf_s : mean time between failures, :math:`M` [s]

    Failures may strike work, writes and restarts; a job starts again at once; its last segment ends with a write too.

    Reference: Daly, Future Gener. Comput. Syst. 22(3), 2006, 303-312.

    >>> round(3600.0 / daly_seconds(3600.0, 842.278, 60.0, 300.0, 6480.0), 6)
    0.830658
    """
    segment_s = mtbf_s * math.exp(restart_s / mtbf_s) * math.expm1((interval_s + checkpoint_s) / mtbf_s)
    return work_s / interval_s * segment_s


def wall_ns(work_ns: int, interval_ns: int, write_ns: int) -> int:
    """Time without failures: the work plus one write per interval begun, the last of which saves the result [ns].

    >>> wall_ns(25, 10, 2)
    31
    """
    return work_ns + -(-work_ns // interval_ns) * write_ns


def split_ns(elapsed_ns: int, work_ns: int, interval_ns: int, write_ns: int) -> tuple[int, int, int]:
    """Split the first ``elapsed_ns`` of :func:`wall_ns` into work saved, work not yet saved, and writing [ns].

    A write that is cut short saves nothing.

    >>> split_ns(13, 25, 10, 2), split_ns(31, 25, 10, 2)
    ((10, 1, 2), (25, 0, 6))
    """
    cycles, rest_ns = divmod(elapsed_ns, interval_ns + write_ns)
    saved_ns = cycles * interval_ns
    if elapsed_ns >= wall_ns(work_ns, interval_ns, write_ns):
        return work_ns, 0, elapsed_ns - work_ns
    unsaved_ns = min(rest_ns, interval_ns, work_ns - saved_ns)
    return saved_ns, unsaved_ns, elapsed_ns - saved_ns - unsaved_ns
