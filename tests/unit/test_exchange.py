"""Dispatch and combine of experts: bytes of every level, bounds, and what published kernels took."""

from __future__ import annotations

import dataclasses
import functools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from simulator.collectives import price
from simulator.collectives.exchange import MODES, Kernels, Library, Reached, Tokens, balanced, combine, dispatch, zipf
from simulator.errors import InputError
from simulator.exchange import Phases
from simulator.figures import Draw, Figure, figures_of
from simulator.machine import slice_of

PHASES = (dispatch, combine)
MICROSECOND = 1e-6
DEEPSEEK = Tokens(128, 7168, 1, 224)


def figure(value, dimension, key):
    unit = {"s": "s", "1": "1"}[dimension]
    return Figure(value=value, unit=unit, low=value, high=value, kind="assumed", key=key, dimension=dimension)


def phases(seconds, key):
    return Phases(dispatch=figure(seconds, "s", f"{key}.dispatch"), combine=figure(seconds, "s", f"{key}.combine"))


def reached(inside, outside, key):
    return Reached(inside=figure(inside, "1", f"{key}.inside"), outside=figure(outside, "1", f"{key}.outside"))


def kernels(floor_s=0.0, inside=1.0, outside=1.0, call=0.0, signal=0.0, back=0.0, **more):
    return Kernels(
        call=phases(call, "call") if call else None,
        signal=phases(signal, "signal") if signal else None,
        combine_fraction=reached(back, back, "combine_fraction") if back else None,
        dispatch=figure(floor_s, "s", "dispatch"),
        combine=figure(floor_s, "s", "combine"),
        fraction=reached(inside, outside, "fraction"),
        **{name: figure(value, "s", name) for name, value in more.items()},
    )


def library(**values):
    """Kernels that reach all of a link and start at once, but for what is given."""
    return Library(title="ours", normal=kernels(**values), low_latency=kernels(**values))


@functools.cache
def part(name, chips):
    return slice_of(topologies.machine(name), chips)


def passing_s(found):
    """What is left of a time without its floor."""
    return found.seconds - found.floor_s


@pytest.mark.parametrize("phase", PHASES)
def test_every_byte_of_a_copy_goes_over_one_level_or_stays_on_its_rank(phase):
    found = phase(part("hgx-h800", 64), balanced(256, 8), DEEPSEEK, library(), "low-latency")
    total = 128 * 7392 * 8
    assert found.sent_bytes == pytest.approx(total)
    assert sum(found.level_bytes.values()) + total / 64 == pytest.approx(total)
    assert found.level_bytes["ib-ndr-8x400"] == pytest.approx(total * 56 / 64)


@pytest.mark.parametrize("phase", PHASES)
def test_a_token_crosses_the_network_once_for_each_distinct_node_and_is_fanned_out_there(phase):
    routing = balanced(256, 8, groups=8, top_groups=4)
    found = phase(part("hgx-h800", 64), routing, DEEPSEEK, library(), "normal")
    each = 128 * 7392
    assert found.level_bytes["ib-ndr-8x400"] == pytest.approx(each * found.distinct_nodes * 7 / 8)
    assert found.level_bytes["nvlink4"] == pytest.approx(each * found.distinct_ranks * 7 / 8)
    straight = phase(part("hgx-h800", 64), routing, DEEPSEEK, library(), "low-latency")
    assert found.level_bytes["ib-ndr-8x400"] < straight.level_bytes["ib-ndr-8x400"]


@pytest.mark.parametrize(("name", "chips"), [("gb300-nvl72", 72), ("cloudmatrix384", 128), ("mi355x-8", 8)])
def test_on_ports_that_all_levels_share_every_byte_leaves_through_them(name, chips):
    experts = balanced(4 * chips, 8)
    for mode in MODES:
        found = dispatch(part(name, chips), experts, DEEPSEEK, library(), mode)
        copies = found.copies if mode == "low-latency" else found.distinct_ranks
        ports = max(found.level_bytes.values())
        assert ports == pytest.approx(128 * 7392 * copies * (chips - 1) / chips)


@pytest.mark.parametrize(
    ("name", "chips"),
    [("gb300-nvl72", 72), ("hgx-h800", 64), ("mi355x-8", 8), ("ironwood-9216", 64), ("tpu-v5e", 32)],
)
@pytest.mark.parametrize("mode", MODES)
def test_one_expert_a_token_and_no_skew_are_an_all_to_all(name, chips, mode):
    """Its bound is that of the links without latency, and kernels that reach all of a link meet it."""
    tokens = Tokens(4096, 7168, 2)
    found = dispatch(part(name, chips), balanced(chips, 1), tokens, library(), mode)
    bounds = price("all-to-all", 4096 * 14336, part(name, chips), algorithm="direct").bounds
    assert passing_s(found) == pytest.approx(max(bounds.injection_s, bounds.link_s, bounds.bisection_s), rel=1e-9)


def test_time_is_floor_and_bytes_and_no_less_than_a_call():
    slow = dispatch(part("hgx-h800", 8), balanced(256, 8), DEEPSEEK, library(floor_s=28e-6), "low-latency")
    quick = dispatch(part("hgx-h800", 8), balanced(256, 8), DEEPSEEK, library(), "low-latency")
    assert slow.seconds - quick.seconds == pytest.approx(28e-6)
    called = dispatch(part("hgx-h800", 8), balanced(256, 8), DEEPSEEK, library(call=1e-3), "low-latency")
    assert (called.seconds, called.bottleneck) == (1e-3, "calls")
    scanned = dispatch(part("hgx-h800", 8), balanced(256, 8), DEEPSEEK, library(scan=1e-9), "low-latency")
    assert scanned.seconds - quick.seconds == pytest.approx(128 * 8 * 1e-9)
    signalled = dispatch(part("hgx-h800", 8), balanced(256, 8), DEEPSEEK, library(signal=1e-8), "low-latency")
    assert signalled.seconds - quick.seconds == pytest.approx(256 * 1e-8)
    for chips, extra_s in ((8, 0.0), (16, 10e-6)):
        plain, far = (
            dispatch(part("hgx-h800", chips), balanced(256, 8), DEEPSEEK, library(**more), "low-latency").seconds
            for more in ({}, {"network": 10e-6})
        )
        assert far - plain == pytest.approx(extra_s, abs=1e-12)


@pytest.mark.parametrize("chips", [8, 32])
@pytest.mark.parametrize("mode", MODES)
def test_combine_may_reach_another_share_of_the_links_than_dispatch(chips, mode):
    own = library(back=0.5)
    there, back = (phase(part("hgx-h800", chips), balanced(256, 8), DEEPSEEK, own, mode) for phase in PHASES)
    assert passing_s(back) == pytest.approx(2 * passing_s(there))


def test_bottleneck_is_named_where_it_is():
    few, many = Tokens(1, 7168, 1, 224), Tokens(4096, 7168, 1, 224)
    known = topologies.shared("exchange", "deepep-v1")
    limited = balanced(256, 8, groups=4, top_groups=4)
    assert dispatch(part("hgx-h800", 32), balanced(256, 8), few, known, "low-latency").bottleneck == "floor"
    assert dispatch(part("hgx-h800", 32), limited, many, known, "normal").bottleneck == "ib-ndr-8x400 links"
    # Two nodes: 6.5 ranks over 200 GB/s take longer than one other node over 50 GB/s.
    assert dispatch(part("hgx-h800", 16), balanced(256, 8), many, known, "normal").bottleneck == "nvlink4 links"


@pytest.mark.parametrize(
    ("phase", "tokens", "published_us"),
    [
        (dispatch, Tokens(128, 7168, 1, 224), {8: 77, 16: 118, 32: 155, 64: 173, 128: 192, 256: 194}),
        (combine, Tokens(128, 7168, 2), {16: 195, 32: 273, 64: 314, 256: 360}),
    ],
)
def test_low_latency_kernels_of_deepep_take_what_their_documentation_says(phase, tokens, published_us):
    """DeepEP docs/legacy.md, H800: dispatch was used to fit two constants; combine follows but for its floor."""
    known = topologies.shared("exchange", "deepep-v1")
    for ranks, time_us in published_us.items():
        found = phase(part("hgx-h800", ranks), balanced(256, 8), tokens, known, "low-latency")
        assert found.seconds == pytest.approx(time_us * MICROSECOND, rel=0.05)


@pytest.mark.parametrize(
    ("phase", "published"),
    [
        (dispatch, {8: 224.3e9, 16: 76.7e9, 32: 53.6e9, 64: 48.8e9}),
        (combine, {8: 185.2e9, 16: 73.0e9, 32: 50.0e9, 64: 43.8e9}),
    ],
)
def test_low_latency_kernels_of_nccl_ep_reach_the_bandwidth_of_their_documentation(phase, published):
    """NCCL EP README, H100, BF16: eight rows, from which five constants were taken."""
    tokens = Tokens(128, 7168, 2)
    for ranks, rate in published.items():
        known = topologies.shared("exchange", "nccl-ep")
        found = phase(part("hgx-h100", ranks), balanced(256, 8), tokens, known, "low-latency")
        assert 128 * 14336 * 8 / found.seconds == pytest.approx(rate, rel=0.04)


@pytest.mark.parametrize(("ranks", "published"), [(16, 43e9), (32, 58e9), (64, 51e9)])
def test_normal_kernels_of_deepep_reach_the_logical_bandwidth_of_their_documentation(ranks, published):
    """It counts a token once for each distinct node, its own included, and is above the rate of the port: 50 GB/s."""
    nodes = ranks // 8
    routing = balanced(256, 8, groups=nodes, top_groups=min(4, nodes))
    tokens = Tokens(4096, 7168, 1, 224)
    found = dispatch(part("hgx-h800", ranks), routing, tokens, topologies.shared("exchange", "deepep-v1"), "normal")
    assert 4096 * 7392 * found.distinct_nodes / found.seconds == pytest.approx(published, rel=0.11)


DRAWN = st.sampled_from(
    [
        ("hgx-h800", 8),
        ("hgx-h800", 32),
        ("gb300-nvl72", 8),
        ("gb300-nvl72", 144),
        ("cloudmatrix384", 64),
        ("mi355x-8", 8),
        ("mi355x-8", 16),
        ("ironwood-9216", 128),
        ("tpu-v5e", 32),
        ("scalex640", 640),
        ("atlas-950-superpod", 256),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    where=DRAWN,
    each=st.sampled_from([1, 2, 4]),
    top_k=st.integers(1, 8),
    count=st.floats(0.01, 1e6),
    exponent=st.floats(0.0, 2.0),
    phase=st.sampled_from(PHASES),
    mode=st.sampled_from(MODES),
)
def test_laws_of_any_exchange(where, each, top_k, count, exponent, phase, mode):
    """At full links and no floor nothing is below its bounds (it would raise); skew and copies only add."""
    used = part(*where)
    tokens = Tokens(count, 7168, 1, 224)
    even = phase(used, balanced(each * used.chips, top_k), tokens, library(), mode)
    assert even.seconds >= even.bounds.least_s
    skewed = phase(used, zipf(each * used.chips, top_k, exponent, used.chips), tokens, library(), mode)
    assert skewed.seconds >= even.seconds * (1 - 1e-9)
    straight = phase(used, balanced(each * used.chips, top_k), tokens, library(), "low-latency")
    assert even.sent_bytes <= straight.sent_bytes * (1 + 1e-9)
    more = phase(
        used, balanced(each * used.chips, top_k), dataclasses.replace(tokens, count=2 * count), library(), mode
    )
    assert passing_s(more) == pytest.approx(2 * passing_s(even), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", topologies.names("exchange"))
def test_every_figure_of_every_library_moves_an_exchange_the_right_way(name):
    known = topologies.shared("exchange", name)
    for mode, own in (("normal", known.normal), ("low-latency", known.low_latency)):
        if own is None:
            continue

        def times(draw, mode=mode):
            return [
                phase(part("hgx-h800", ranks), balanced(256, 8), Tokens(count, 7168, 1), known, mode, draw=draw).seconds
                for phase in PHASES
                for ranks in (8, 64)
                for count in (1, 4096)
            ]

        stated = times(Draw())
        for each in figures_of(own):
            moved = times(Draw({each.key: each.si * 1.05}))
            changes = [after - before for after, before in zip(moved, stated, strict=True)]
            direction = -1 if "fraction" in each.key else 1
            assert all(direction * change >= 0 for change in changes), each.key
            is_hidden = own.call is not None and "call" not in each.key
            assert is_hidden or any(changes), each.key


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: dispatch(part("hgx-h800", 8), balanced(250, 8), DEEPSEEK, library(), "normal"), "250 experts do not"),
        (lambda: dispatch(part("hgx-h800", 8), balanced(8, 2), DEEPSEEK, library(), "norm"), "norm"),
        (lambda: dispatch(part("hgx-h800", 1), balanced(8, 2), DEEPSEEK, library(), "normal"), "at least 2 ranks"),
        (lambda: Tokens(0, 7168, 1), "0 tokens are no batch"),
        (lambda: Tokens(-5, 7168, 1), "-5 tokens are no batch"),
        (lambda: Tokens(float("nan"), 7168, 1), "nan tokens"),
        (lambda: Tokens(1, 0, 1), "hidden = 0"),
        (lambda: Tokens(1, 7168, -1), "bytes_per_value = -1"),
        (lambda: Tokens(1, 7168, 1, -4), "scale_bytes = -4"),
    ],
)
def test_an_exchange_that_cannot_be_is_refused(run, message):
    with pytest.raises(InputError, match=message) as error:
        run()
    assert "\n  " in str(error.value), "a remedy stands below the message"


def test_a_mode_that_a_library_lacks_is_refused_with_the_one_that_it_has():
    only = msgspec.structs.replace(library(), normal=None)
    with pytest.raises(InputError, match="ours has no kernels for mode normal\n  ask for low-latency"):
        dispatch(part("hgx-h800", 8), balanced(8, 2), DEEPSEEK, only, "normal")
