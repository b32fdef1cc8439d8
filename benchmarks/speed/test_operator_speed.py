"""How fast single operators are priced inside a kernel: each is to stay below 50 ns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numba import njit

import topologies
from simulator.compute import kernels
from simulator.compute.chip import chip_row
from simulator.figures import Draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

CALLS = 1_000_000
SIZES = 1024
matmul_seconds = kernels.matmul_seconds
grouped_seconds = kernels.grouped_seconds
attention_forward_seconds = kernels.attention_forward_seconds
attention_backward_seconds = kernels.attention_backward_seconds
decode_attention_seconds = kernels.decode_attention_seconds
cross_entropy_seconds = kernels.cross_entropy_seconds


@njit
def products(sizes, chip, calls):  # noqa: ANN001 - arrays of the kernel
    """Many products of different sizes; the sum keeps the calls from being left out."""
    total = 0.0
    for call in range(calls):
        size = sizes[call % SIZES]
        total += matmul_seconds(size, 4096.0, size, chip)
    return total


@njit
def groups(sizes, chip, calls):  # noqa: ANN001 - arrays of the kernel
    """Many groups of products."""
    total = 0.0
    for call in range(calls):
        size = sizes[call % SIZES]
        total += grouped_seconds(8.0, size, 4096.0, size, chip)
    return total


@njit
def attention(sizes, chip, calls):  # noqa: ANN001 - arrays of the kernel
    """Attention of many prompts, forward and backward: two operators a call."""
    total = 0.0
    for call in range(calls // 2):
        size = sizes[call % SIZES]
        total += attention_forward_seconds(4.0, size, size / 2, 32.0, 128.0, 128.0, 2048.0, chip)
        total += attention_backward_seconds(4.0, size, size / 2, 32.0, 128.0, 128.0, 2048.0, chip)
    return total


@njit
def memory_bound(sizes, chip, calls):  # noqa: ANN001 - arrays of the kernel
    """Many decoded tokens and losses: two operators a call."""
    total = 0.0
    for call in range(calls // 2):
        size = sizes[call % SIZES]
        total += decode_attention_seconds(64.0, size, 32.0, 128.0, 128.0, 4096.0, chip)
        total += cross_entropy_seconds(size, 128256.0, 4.0, chip)
    return total


@pytest.mark.parametrize("many", [products, groups, attention, memory_bound], ids=lambda many: many.__name__)
def test_operators_in_a_kernel(many: Callable[..., Any], benchmark: BenchmarkFixture) -> None:
    """A million operators on H100; divide by a million for one."""
    chip = chip_row(topologies.chip("h100-sxm"), "bf16", Draw())
    sizes = np.random.default_rng(0).integers(1, 8192, SIZES).astype(np.float64)
    many(sizes, chip, 10)
    assert benchmark(many, sizes, chip, CALLS) > 0
