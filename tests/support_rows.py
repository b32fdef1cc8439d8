"""Groups of chips as rows for the kernels of collectives, with round numbers and a library that has every algorithm."""

from __future__ import annotations

import numpy as np

from simulator.collectives import ALGORITHMS, KINDS, kernels
from simulator.collectives.rows.kernels import COLUMNS, LIBRARY

GB = 1e9
ALL = float((1 << 2 * len(ALGORITHMS)) - 1)


def rows_of(rows):
    """Rows of the first columns, filled up with zeros, of a library that has everything."""
    found = np.zeros((len(rows), COLUMNS))
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
        found[at, LIBRARY] = ALL
    return found


def torus(*sides, bandwidth=100 * GB, latency_s=0.0, start_s=0.0, wraps=1.0):
    """Axes of a torus or mesh."""
    return rows_of([(0, side, bandwidth, latency_s, start_s, wraps, 1, side, i) for i, side in enumerate(sides)])


def switches(*levels, start_s=0.0):
    """Switches of (size, bandwidth, latency), innermost first."""
    return rows_of([(1, size, bandwidth, latency_s, start_s) for size, bandwidth, latency_s in levels])


def meshes(*levels, start_s=0.0):
    """Full meshes of (size, bandwidth of one link, latency)."""
    return rows_of([(2, size, bandwidth, latency_s, start_s) for size, bandwidth, latency_s in levels])


def seconds(kind, algorithm, size_bytes, rows):
    """Time of one collective by one algorithm, from the plain function [s]."""
    return kernels.algorithm_seconds(KINDS.index(kind), ALGORITHMS.index(algorithm), size_bytes, rows)
