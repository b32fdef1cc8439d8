"""Operator times on any chip: closed forms, tiles and waves, roofs, and the same from plain and compiled functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

import topologies
from simulator.compute import kernels
from simulator.compute.chip import chip_row
from simulator.figures import Draw

NAMES = sorted(name for name in topologies.names("chips") if topologies.undisclosed(name) is None)
NVIDIA = ("a100-80gb", "h100-sxm", "h200-sxm", "l40s", "b200", "gb200", "gb300")
SIZES = st.integers(1, 65536)
TOKENS = st.integers(1, 32768)
HEADS = st.integers(1, 128)

matmul_fast = njit(kernels.matmul_seconds)
grouped_fast = njit(kernels.grouped_seconds)
forward_fast = njit(kernels.attention_forward_seconds)
backward_fast = njit(kernels.attention_backward_seconds)
decode_fast = njit(kernels.decode_attention_seconds)
cross_entropy_fast = njit(kernels.cross_entropy_seconds)
quantise_fast = njit(kernels.quantise_seconds)


def row(name="h100-sxm", dtype="bf16", **options):
    return chip_row(topologies.chip(name), dtype, Draw(), **options)


@st.composite
def rows(draw):
    chip = topologies.chip(draw(st.sampled_from(NAMES)))
    options = {"attention": draw(st.sampled_from(["bf16", "fp8"])), "is_sustained": draw(st.booleans())}
    return chip_row(chip, draw(st.sampled_from(sorted(chip.peak))), Draw(), **options)


@given(rows(), SIZES, SIZES, SIZES)
def test_a_product_is_never_faster_than_its_roofs(chip, m, n, k):
    seconds = kernels.matmul_seconds(m, n, k, chip)
    assert seconds >= 2 * m * n * k / chip[kernels.RATE] * (1 - 1e-12)
    assert seconds >= (chip[kernels.WIDTH] * (m * k + k * n) + 2 * m * n) / chip[kernels.HBM] * (1 - 1e-12)


@given(rows(), st.tuples(SIZES, SIZES, SIZES), st.integers(0, 2), st.integers(1, 4096))
def test_a_larger_product_never_takes_less_time(chip, sizes, side, more):
    larger = [size + more * (place == side) for place, size in enumerate(sizes)]
    assert kernels.matmul_seconds(*larger, chip) >= kernels.matmul_seconds(*sizes, chip) * (1 - 1e-12)


@given(st.sampled_from(NVIDIA), st.integers(1, 40), st.integers(1, 40))
def test_time_steps_up_right_after_whole_tiles_and_waves(name, down, across):
    chip = row(name)
    engines, high, wide = int(chip[kernels.ENGINES]), int(chip[kernels.TILE_M]), int(chip[kernels.TILE_N])
    m, n, k = down * high, across * wide, 1 << 20
    tiles = down * across
    waves = math.ceil(tiles / engines) if tiles >= engines else 1 / (engines // tiles)

    def depth(seconds):
        return seconds * chip[kernels.RATE] / (2 * high * wide * engines) - max(waves, 1) * chip[kernels.FILL]

    assert depth(kernels.tiles_seconds(tiles, k, chip)) == pytest.approx(waves * k, rel=1e-9)
    assert kernels.matmul_seconds(m, n, k, chip) == kernels.matmul_seconds(m - high + 1, n - wide + 1, k, chip) or (
        kernels.matmul_seconds(m, n, k, chip) > kernels.tiles_seconds(tiles, k, chip)  # memory bounds it
    )
    assert kernels.tiles_seconds(tiles + 1, k, chip) >= kernels.tiles_seconds(tiles, k, chip)


def test_one_tile_more_than_the_engines_takes_another_wave():
    chip = row()
    engines = int(chip[kernels.ENGINES])
    full, more = (kernels.tiles_seconds(tiles, 4096, chip) for tiles in (engines, engines + 1))
    assert more == pytest.approx(2 * full)
    half = kernels.tiles_seconds(engines // 2, 4096, chip)
    assert half == pytest.approx(full * (2048 + chip[kernels.FILL]) / (4096 + chip[kernels.FILL]))


def test_a_large_product_reaches_the_achieved_rate():
    """8,192 cubed on H100: 64 x 64 tiles fill 132 engines 124.1 times, 125 waves, each with its fill."""
    chip, cube = row(is_sustained=False), 8192
    waves = math.ceil(128 * 128 / 132)
    expected = waves * (cube + chip[kernels.FILL]) * 2 * 64 * 64 * 132 / chip[kernels.RATE]
    assert kernels.matmul_seconds(cube, cube, cube, chip) == pytest.approx(expected, rel=1e-12)
    # stas00/ml-engineering: the best bf16 product of H100 SXM reaches 794.5 TFLOP/s
    assert 2 * cube**3 / expected == pytest.approx(794.5e12, rel=0.07)


def test_few_rows_are_bound_by_streaming_the_weights():
    chip = row(dtype="fp8")
    assert kernels.matmul_seconds(1, 8192, 8192, chip) == pytest.approx(8192 * 8192 / chip[kernels.STREAM], rel=1e-3)


@given(rows(), st.integers(1, 256), SIZES, SIZES, SIZES)
def test_groups_in_one_kernel_take_no_longer_than_one_after_the_other(chip, groups, n, k, m):
    chip[kernels.STREAM] = chip[kernels.HBM]
    together, alone = kernels.grouped_seconds(groups, m, n, k, chip), kernels.matmul_seconds(m, n, k, chip)
    assert alone * (1 - 1e-12) <= together
    tiles = math.ceil(m / chip[kernels.TILE_M]) * math.ceil(n / chip[kernels.TILE_N])
    if tiles >= chip[kernels.ENGINES]:  # fewer are split in depth, which many groups need not be
        assert together <= groups * alone * (1 + 1e-12)
    assert kernels.grouped_seconds(1, m, n, k, chip) == pytest.approx(alone, rel=1e-12)


@given(rows(), st.integers(1, 64), TOKENS, HEADS, st.sampled_from([64, 128, 192, 256]))
def test_attention_is_never_faster_than_its_products_and_its_bytes(chip, batch, tokens, heads, size):
    arguments = (batch, tokens, tokens / 2, heads, size, size, 2 * size)
    flops = 2 * batch * tokens * tokens / 2 * heads * 2 * size
    moved = 2 * batch * tokens * (2 * heads * size + 2 * size)
    forward = kernels.attention_forward_seconds(*arguments, chip)
    backward = kernels.attention_backward_seconds(*arguments, chip)
    assert forward >= max(flops / chip[kernels.FORWARD_RATE], moved / chip[kernels.HBM]) * (1 - 1e-12)
    assert backward >= 2.5 * max(flops / chip[kernels.BACKWARD_RATE], moved / chip[kernels.HBM]) * (1 - 1e-12)
    assert backward <= 2.5 * forward * chip[kernels.FORWARD_RATE] / chip[kernels.BACKWARD_RATE] * (1 + 1e-12)


@given(st.sampled_from(NAMES), st.sampled_from(["bf16", "fp8"]))
def test_heads_of_128_go_backward_at_the_stated_share_of_their_rate_and_smaller_ones_lose_less(name, dtype):
    """The products of a backward pass are 2.5 times those of a forward pass, its exponentials as many."""
    flash, chip = topologies.chip(name).attention, row(name, attention=dtype)
    chip[kernels.HBM], chip[kernels.LEAST_HEAD] = math.inf, 0

    def share(head):
        arguments = (8, 4096, 2048, 32, head, head, 0)
        return (
            2.5
            * kernels.attention_forward_seconds(*arguments, chip)
            / kernels.attention_backward_seconds(*arguments, chip)
        )

    assert share(128) == pytest.approx(flash.backward.si)
    assert share(64) > share(128) > share(256)


@given(rows(), TOKENS, HEADS, st.integers(1, 4096))
def test_longer_prompts_more_heads_and_more_keys_never_take_less_time(chip, tokens, heads, more):
    def seconds(tokens, context, heads):
        return kernels.attention_forward_seconds(2, tokens, context, heads, 128, 128, 1024, chip)

    first = seconds(tokens, tokens / 2, heads)
    larger = (
        seconds(tokens + more, tokens / 2, heads),
        seconds(tokens, tokens / 2 + more, heads),
        seconds(tokens, tokens / 2, heads + more),
    )
    assert all(each >= first * (1 - 1e-12) for each in larger)


def test_small_heads_reach_less_of_the_rate_as_their_softmax_is_as_long():
    """Per score 2 x (head + head) FLOPs and a softmax worth 128 more elements: 1/2, 2/3 and 4/5 of the rate."""
    chip = row()
    chip[kernels.KEYS] = 0

    def share(size):
        seconds = kernels.attention_forward_seconds(132, 4096, 2048, 32, size, size, 0, chip)
        return 132 * 4096 * 2048 * 32 * 4 * size / seconds / chip[kernels.FORWARD_RATE]

    assert [share(size) for size in (64, 128, 256)] == pytest.approx([1 / 2, 2 / 3, 4 / 5], rel=1e-9)


@pytest.mark.parametrize(("least", "ratio"), [(0, 256 / 384), (128, 1.0), (96, 320 / 384)])
def test_heads_that_leave_part_of_an_array_empty_take_as_long_as_those_that_fill_it(least, ratio):
    chip = row()
    chip[kernels.LEAST_HEAD] = least
    small, large = (kernels.attention_forward_seconds(132, 4096, 2048, 32, size, size, 0, chip) for size in (64, 128))
    assert small / large == pytest.approx(ratio, rel=1e-9)


def test_heads_of_64_lose_against_128_what_flash_attention_3_loses():
    """Shah et al., arXiv 2407.08608, figure 5: 497 against 648 TFLOP/s over 16,384 keys on H100.

    Of the rates themselves the serving library of the kernel tables reaches less than the authors' own kernels.
    """
    chip = row(is_sustained=False)

    def rate(size, heads):
        seconds = kernels.attention_forward_seconds(1, 16384, 16384, heads, size, size, 2 * size * heads, chip)
        return 4 * 16384 * 16384 * heads * size / seconds

    assert rate(64, 32) / rate(128, 16) == pytest.approx(497 / 648, rel=0.05)
    assert 0.8 * 648e12 < rate(128, 16) < 648e12


@given(rows(), st.integers(1, 2048), st.integers(1, 131072))
def test_decoding_reads_the_cache_once(chip, batch, context):
    seconds = kernels.decode_attention_seconds(batch, context, 8, 128, 128, 4096, chip)
    flops = 2 * batch * context * 8 * 256
    expected = max(batch * context * 4096 / chip[kernels.HBM], flops / chip[kernels.FORWARD_RATE])
    assert seconds == pytest.approx(expected, rel=1e-12)


def test_memory_bound_operators_take_their_bytes_and_one_answer_of_the_memory():
    chip = row(dtype="fp8")
    start, rate = chip[kernels.DELAY], chip[kernels.HBM]
    assert kernels.traffic_seconds(0, chip) == start > 0
    assert kernels.cross_entropy_seconds(4096, 128256, 4, chip) == pytest.approx(start + 2 * 4 * 4096 * 128256 / rate)
    assert kernels.quantise_seconds(1e6, chip) == pytest.approx(start + 4e6 / rate)
    assert kernels.quantise_seconds(1e6, row(dtype="bf16")) == 0


@given(rows(), SIZES, SIZES, SIZES, st.integers(1, 64))
def test_plain_and_compiled_agree_to_the_bit(chip, m, n, k, groups):
    pairs = (
        (kernels.matmul_seconds, matmul_fast, (m, n, k)),
        (kernels.grouped_seconds, grouped_fast, (groups, m, n, k)),
        (kernels.attention_forward_seconds, forward_fast, (groups, m, m / 2, 32, 192, 128, k)),
        (kernels.attention_backward_seconds, backward_fast, (groups, m, m / 2, 32, 192, 128, k)),
        (kernels.decode_attention_seconds, decode_fast, (m, n, 32, 576, 512, 1152)),
        (kernels.cross_entropy_seconds, cross_entropy_fast, (m, n, 2)),
        (kernels.quantise_seconds, quantise_fast, (n,)),
    )
    for plain, fast, sizes in pairs:
        floats = [float(size) for size in sizes]
        assert plain(*floats, chip) == fast(*floats, chip), plain.__name__


@pytest.mark.parametrize("name", NAMES)
def test_every_chip_is_an_array_of_sound_numbers(name):
    chip = topologies.chip(name)
    for dtype in chip.peak:
        short, long = row(name, dtype, is_sustained=False), row(name, dtype)
        assert len(short) == kernels.CHIP_COLUMNS
        assert np.isfinite(short).all()
        assert (np.delete(short, [kernels.FILL, kernels.DELAY, kernels.HOST, kernels.LEAST_HEAD]) > 0).all()
        assert long[kernels.RATE] <= short[kernels.RATE] < short[kernels.PEAK]
        assert short[kernels.STREAM] <= short[kernels.HBM] <= chip.hbm.bandwidth.si


def test_narrow_numbers_fill_as_many_bytes_and_cost_a_softmax_of_the_same_time():
    wide, narrow = row(), row(dtype="fp8", attention="fp8")
    assert narrow[kernels.FILL] == 2 * wide[kernels.FILL]
    assert narrow[kernels.TILE_K] == 2 * wide[kernels.TILE_K]
    peaks = topologies.chip("h100-sxm").peak
    assert narrow[kernels.SOFTMAX] / wide[kernels.SOFTMAX] == pytest.approx(peaks["fp8"].si / peaks["bf16"].si)
