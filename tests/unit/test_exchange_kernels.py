"""The exchange for kernels: equal to the readable form, plain and compiled alike, monotone, above its bounds."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from simulator.collectives.exchange import MODES, Tokens, balanced, combine, dispatch, kernels, packed
from simulator.collectives.exchange.experts import spread
from simulator.errors import InputError
from simulator.machine import slice_of

FP8 = 1 + 4 / 128
BF16 = 2.0
PARTS = [
    ("hgx-h800", 8),
    ("hgx-h800", 64),
    ("gb300-nvl72", 72),
    ("gb300-nvl72", 144),
    ("cloudmatrix384", 64),
    ("mi355x-8", 8),
    ("mi355x-8", 16),
    ("ironwood-9216", 64),
    ("ironwood-9216", 256),
    ("tpu-v5e", 32),
    ("scalex640", 640),
    ("atlas-950-superpod", 256),
    ("metax-dragonfly-64", 64),
]
LIBRARIES = ("deepep-v1", "deepep-v2", "deepep-ascend", "deepep-sglang", "flashinfer-ep", "generic-ep")


@functools.cache
def part(name, chips):
    return slice_of(topologies.machine(name), chips)


@functools.cache
def pack(name, chips, library, mode, is_captured=False):
    return packed(part(name, chips), topologies.shared("exchange", library), mode, is_captured=is_captured)


def modes(library):
    own = topologies.shared("exchange", library)
    return [mode for mode in MODES if (own.normal if mode == "normal" else own.low_latency)]


def room_for(rows):
    """Scratch of the kernel."""
    return np.empty((rows.levels.shape[0] + 1, rows.levels.shape[1]))


def seconds(rows, *, tokens=128.0, hidden=7168, top_k=8, experts=256, ranks=8, stride=1, skew=1.0):
    """Dispatch in FP8 and combine in BF16 [s]."""
    return kernels.exchange_seconds_fast(
        tokens, hidden, top_k, experts, ranks, stride, FP8, BF16, skew, rows.levels, rows.library, room_for(rows)
    )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("name", "chips"), PARTS)
def test_kernels_say_what_the_readable_form_says(name, chips, library):
    own = topologies.shared("exchange", library)
    for mode in modes(library):
        for each, top_k, count in ((1, 1, 4096.0), (4, 8, 1.0), (4, 6, 8192.0)):
            routing = balanced(each * chips, top_k)
            found = seconds(
                pack(name, chips, library, mode), tokens=count, top_k=top_k, experts=each * chips, ranks=chips
            )
            for one, phase, size in zip(found, (dispatch, combine), (FP8, BF16), strict=True):
                tokens = Tokens(count, 7168, size)
                assert one == pytest.approx(phase(part(name, chips), routing, tokens, own, mode).seconds, rel=1e-9)


DRAWN = st.fixed_dictionaries(
    {
        "tokens": st.floats(0.01, 1e5),
        "hidden": st.integers(64, 20_000),
        "top_k": st.integers(1, 12),
        "experts": st.integers(16, 1024),
        "skew": st.floats(1.0, 16.0),
    }
)


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(PARTS), library=st.sampled_from(LIBRARIES), at=DRAWN, more=st.floats(1.0, 3.0))
def test_more_of_anything_never_takes_less_time(where, library, at, more):
    for mode in modes(library):
        rows = pack(*where, library, mode)
        base = seconds(rows, ranks=where[1], **at)
        changed = {
            "tokens": at["tokens"] * more,
            "hidden": at["hidden"] * more,
            "top_k": min(at["top_k"] + 1, at["experts"]),
            "skew": at["skew"] * more,
        }
        for name, value in changed.items():
            after = seconds(rows, ranks=where[1], **(at | {name: value}))
            assert all(new >= old * (1 - 1e-12) for new, old in zip(after, base, strict=True)), name


@settings(max_examples=100, deadline=None)
@given(where=st.sampled_from(PARTS), library=st.sampled_from(LIBRARIES), each=st.integers(1, 4), at=DRAWN)
def test_nothing_is_below_the_bounds_of_the_readable_form(where, library, each, at):
    name, chips = where
    experts = each * chips
    top_k = min(at["top_k"], experts)
    for mode in modes(library):
        found = seconds(pack(name, chips, library, mode), ranks=chips, **(at | {"experts": experts, "top_k": top_k}))
        tokens = Tokens(at["tokens"], at["hidden"], FP8)
        own = topologies.shared("exchange", library)
        bounds = dispatch(part(name, chips), balanced(experts, top_k), tokens, own, mode).bounds
        assert found[0] >= bounds.least_s * (1 - 1e-9)
        assert found[1] >= bounds.least_s * (1 - 1e-9)  # BF16 back is more than FP8 out


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(PARTS),
    library=st.sampled_from(LIBRARIES),
    at=DRAWN,
    stride=st.sampled_from([1, 2, 4, 8]),
    ranks=st.sampled_from([1, 2, 4, 8, 16, 64]),
)
def test_plain_and_compiled_agree_to_the_byte(where, library, at, stride, ranks):
    if stride * ranks > where[1]:
        return
    for mode in modes(library):
        rows = pack(*where, library, mode)
        words = (at["tokens"], at["hidden"], at["top_k"], at["experts"], ranks, stride, FP8, BF16, at["skew"])
        room = room_for(rows)
        plain = kernels.exchange_seconds(*words, rows.levels, rows.library, room)
        fast = kernels.exchange_seconds_fast(*words, rows.levels, rows.library, room)
        assert np.array(plain).tobytes() == np.array(fast).tobytes()


def test_a_group_inside_a_node_pays_no_network_and_one_across_nodes_does():
    rows = pack("hgx-h800", 64, "deepep-v1", "low-latency")
    alone = pack("hgx-h800", 8, "deepep-v1", "low-latency")
    assert seconds(rows, ranks=8) == pytest.approx(seconds(alone, ranks=8), rel=1e-12)
    across = seconds(rows, ranks=8, stride=8)
    assert across[0] > 2 * seconds(rows, ranks=8)[0]


def test_strided_ranks_have_each_a_node_of_their_own_and_save_nothing():
    """Eight ranks, one in each node: a token crosses the network once for each distinct rank."""
    rows = pack("hgx-h800", 64, "deepep-v1", "normal", is_captured=True)
    found = seconds(rows, tokens=4096.0, ranks=8, stride=8)[0]
    distinct = spread(balanced(256, 8), 8).distinct
    port = 50e9 * 0.88  # InfiniBand NDR at the share that DeepEP V1 reaches
    assert found == pytest.approx(4096 * 7168 * FP8 * distinct * 7 / 8 / port, rel=0.02)


def test_a_captured_graph_pays_no_calls():
    called, captured = (
        seconds(pack("gb300-nvl72", 8, "flashinfer-ep", "normal", is_captured), tokens=1.0)
        for is_captured in (False, True)
    )
    assert called == pytest.approx((128.5e-6, 86e-6))
    assert max(captured) < 25e-6


def test_one_rank_needs_no_exchange_and_a_group_that_is_none_never_ends():
    rows = pack("ironwood-9216", 64, "generic-ep", "normal")
    assert seconds(rows, ranks=1) == (0.0, 0.0)
    assert seconds(rows, ranks=3, experts=3, top_k=1) == (math.inf, math.inf)


def test_the_busiest_rank_decides_how_long_copies_take_that_go_straight():
    rows = pack("hgx-h800", 8, "deepep-v1", "low-latency")
    even, hot = (seconds(rows, tokens=1e5, skew=skew)[0] for skew in (1.0, 3.0))
    assert hot == pytest.approx(3 * even, rel=0.01)
    most = seconds(rows, tokens=1e5, skew=1e9)[0]  # all eight picks of every token lie on one rank
    assert most == pytest.approx(8 * even, rel=0.01)


def test_a_mode_that_a_library_lacks_is_not_packed():
    with pytest.raises(InputError, match="no kernels for mode low-latency"):
        packed(part("hgx-h800", 8), topologies.shared("exchange", "deepep-v2"), "low-latency")
