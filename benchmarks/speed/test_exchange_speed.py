"""What an exchange of experts costs: inside a kernel, where plans are priced, and from Python."""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

import topologies
from simulator.collectives.exchange import Tokens, balanced, dispatch, packed
from simulator.collectives.exchange.kernels import exchange_seconds_fast
from simulator.machine import slice_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 100_000
GROUPS = {
    "eight nodes of eight": ("hgx-h800", 64, "deepep-v1"),
    "one switch of 72": ("gb200-nvl72", 72, "deepep-v2"),
    "torus of 256": ("ironwood-9216", 256, "generic-ep"),
    "three levels of 1,024": ("atlas-950-1024", 1024, "deepep-ascend"),
}


@njit
def many(ranks: float, levels: NDArray[np.float64], library: NDArray[np.float64], calls: int) -> float:
    """Price a dispatch and a combine of so many batches; the sum keeps the calls from being left out."""
    total = 0.0
    scratch = np.empty((levels.shape[0] + 1, levels.shape[1]))
    for call in range(calls):
        out, back = exchange_seconds_fast(
            1.0 + call, 7168.0, 8.0, 8.0 * ranks, ranks, 1.0, 1.03125, 2.0, 1.2, levels, library, scratch
        )
        total += out + back
    return total


def clocked(work: Callable[[], object]) -> float:
    """Shortest of five runs [s]."""
    times = []
    for _ in range(5):
        begun = perf_counter()
        work()
        times.append(perf_counter() - begun)
    return min(times)


def test_exchange_on_four_fabrics(benchmark: BenchmarkFixture):
    """Target: dispatch and combine together below a microsecond inside a kernel, and below 0.2 ms from Python."""

    def slowest() -> tuple[tuple[float, str], tuple[float, str]]:
        inside, plain = [], []
        for what, (name, chips, named) in GROUPS.items():
            part = slice_of(topologies.machine(name), chips)
            library = topologies.shared("exchange", named)
            rows = packed(part, library, "normal")
            within = functools.partial(many, float(chips), rows.levels, rows.library, CALLS)
            batch = (balanced(8 * chips, 8), Tokens(4096, 7168, 1), library, "normal")
            alone = functools.partial(dispatch, part, *batch)  # type: ignore[arg-type]
            inside.append((clocked(within) / CALLS, what))
            plain.append((clocked(alone), what))
        return max(inside), max(plain)

    (kernel_s, where), (python_s, there) = benchmark.pedantic(slowest, rounds=1, warmup_rounds=1)
    benchmark.extra_info.update(kernel_s=kernel_s, python_s=python_s)
    print(f"\nexchange inside a kernel, slowest: {where}, {kernel_s * 1e6:.2f} us (bar 1 us)")
    print(f"dispatch from Python, slowest: {there}, {python_s * 1e6:.0f} us (bar 200 us)")
