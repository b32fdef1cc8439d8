"""The kinds of collectives: names, numbers in the kernels, and the convention of bus bandwidth."""

from __future__ import annotations

from simulator.errors import unknown_name

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv")
"""Collectives in the order of the kernels' ids. ``all_reduce``, ``allreduce`` and ``sendrecv`` are understood too."""
ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, ALL_TO_ALL, BROADCAST, SEND_RECV = range(6)


def kind_id(name: str) -> int:
    """Number of a collective in the kernels; spelling with ``-``, ``_`` or nothing is the same.

    Raises
    ------
    InputError : unknown collective, with the nearest known ones
    """
    plain = {kind.replace("-", ""): i for i, kind in enumerate(KINDS)}
    found = plain.get(name.lower().replace("-", "").replace("_", "").replace("/", ""))
    if found is None:
        raise unknown_name("collective", name, KINDS)
    return found


def bus_factor(kind: int, ranks: int) -> float:
    """Ratio of busbw to algbw, as in nccl-tests' PERFORMANCE.md."""
    scatter = (ranks - 1) / ranks
    return (2 * scatter, scatter, scatter, scatter, 1.0, 1.0)[kind]
