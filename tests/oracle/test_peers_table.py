"""A cross-check that simulators of this field have been put to: 100 GB/s a link and direction, 1 us from chip to chip.

Every row of the table that has a formula, or exact loads of links behind it, to the digits that it is printed with:
all-reduces as rings (on a torus along one axis after the other, one way round), all-to-alls without latency. Machines
are files as a user writes them, priced through the public functions on both levels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import topologies
from simulator.collectives import Group, Priced, group_of, price_in
from simulator.collectives.flow import FlowPriced, flow_price
from simulator.collectives.rows.kernels import BANDWIDTH
from simulator.collectives.schedules import Layout, schedule
from simulator.errors import InternalError
from simulator.fabric import Fabric
from simulator.machine import slice_of
from topologies.builders import builder_of

US, MIB, GIB = 1e-6, 2.0**20, 2.0**30

MACHINE = """
name = "peer"
title = "A fabric of round numbers"
vendor = "nobody"
chip = "h100-sxm"
chips = {chips}
network = "ib-ndr-8x400"
site = "us-air"
reliability = "gpu-h100-class"
software = {{ collective_launch = {nothing} }}
stacks = {{ training = "megatron-bridge-26.06", serving = "vllm-0.15" }}
allocation = {{ unit = "chip", chips = 1 }}

[fabric]
{fabric}

[fabric.link]
family = "wire"
bandwidth = {{ value = 100, unit = "GB/s", low = 100, high = 100, kind = "assumed", note = "As in the table." }}
latency = {{ value = {hop_us}, unit = "us", low = 0, high = 10, kind = "assumed", note = "As in the table." }}
fraction = {{ value = 1, unit = "1", low = 1, high = 1, kind = "assumed", note = "All of it." }}
start = {nothing}

[power]
full = {{ value = 1, unit = "kW", low = 1, high = 1, kind = "assumed", note = "Any." }}
idle = {{ value = 0.3, unit = "1", low = 0.2, high = 0.5, kind = "assumed", note = "Any." }}

[prices]
capital = {{ value = 1, unit = "kUSD", low = 1, high = 1, kind = "assumed", note = "Any." }}
life = {{ value = 4, unit = "years", low = 3, high = 6, kind = "assumed", note = "Any." }}
rent_per_chip = {{ value = 1, unit = "USD/h", low = 1, high = 1, kind = "assumed", note = "Any." }}
"""
NOTHING = '{ value = 0, unit = "us", low = 0, high = 0, kind = "assumed", note = "The table counts wires alone." }'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The group and the graph of one of the table's machines: (8,) on a switch, or the axes of a torus."""
    folder = tmp_path_factory.mktemp("machines")
    known: dict[tuple[tuple[int, ...], float], tuple[Group, Fabric]] = {}

    def make(shape: tuple[int, ...], latency_us: float = 1.0) -> tuple[Group, Fabric]:
        if (shape, latency_us) not in known:
            chips = math.prod(shape)
            star = f'builder = "star-planes"\nchips = {chips}\nchips_per_node = {chips}\nlinks = [1]'
            cube = f'builder = "torus"\ndims = {list(shape)}\ncube = {[1] * len(shape)}'
            is_star = len(shape) == 1
            text = MACHINE.format(
                chips=chips,
                nothing=NOTHING,
                fabric=star if is_star else cube,
                hop_us=latency_us / 2 if is_star else latency_us,
            )
            path = folder / f"{'x'.join(map(str, shape))}-{latency_us:g}.toml"
            path.write_text(text, encoding="utf-8")
            fabric = topologies.entry(str(path)).fabric
            graph = builder_of(fabric).graph(fabric)
            group = group_of(slice_of(topologies.machine(str(path)), chips))
            known[shape, latency_us] = (group, Fabric.from_graph(graph))
        return known[shape, latency_us]

    return make


def both(
    made, shape: tuple[int, ...], kind: str, algorithm: str, size: float, latency_us: float
) -> tuple[Priced, FlowPriced]:
    """One collective in closed form and on the flow level."""
    group, fabric = made(shape, latency_us)
    found = schedule(algorithm, kind, Layout(shape))
    return price_in(group, kind, size, algorithm=algorithm), flow_price(found, fabric, np.arange(found.ranks), size)


@pytest.mark.parametrize(
    ("shape", "size", "algorithm", "printed"),
    [
        ((8,), 64 * MIB, "ring", "1188.4"),
        ((8,), GIB, "ring", "18804.5"),
        ((64,), 64 * MIB, "ring", "1447.2"),
        ((64,), GIB, "ring", "21265"),
        ((4, 4, 4), 64 * MIB, "ring-per-dimension", "1339.2"),
        ((4, 4, 4), GIB, "ring-per-dimension", "21157"),
        ((8, 8, 16), 64 * MIB, "ring-per-dimension", "1398.9"),
        ((8, 8, 16), GIB, "ring-per-dimension", "21512"),
        ((16, 24, 24), 64 * MIB, "ring-per-dimension", "1464.0"),
        (
            (16, 24, 24),
            GIB,
            "ring-per-dimension",
            "21594.5",
        ),  # printed without its tenths in the formula's column, with them in a peer's
    ],
)
def test_all_reduces_take_what_their_formulas_say(made, shape, size, algorithm, printed):
    closed, flow = both(made, shape, "all-reduce", algorithm, size, 1.0)
    digits = len(printed.partition(".")[2])
    assert f"{closed.seconds / US:.{digits}f}" == printed
    assert closed.algorithm == algorithm
    assert flow.seconds == pytest.approx(closed.seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("shape", "printed"),
    [
        ((8,), "587.2"),
        ((64,), "660.6"),
        ((4, 4, 4), "335.5"),
        ((8, 8, 16), "1342.2"),
        ((16, 24, 24), "2013.3"),
        ((16, 24, 24), "2013.27"),
    ],
)
def test_all_to_alls_need_what_their_busiest_links_need(made, shape, printed):
    """Without latency the bound itself; with 1 us a hop no more than the longest way beyond it, stated apart."""
    digits = len(printed.partition(".")[2])
    closed, flow = both(made, shape, "all-to-all", "direct", 64 * MIB, 0.0)
    assert f"{closed.seconds / US:.{digits}f}" == printed
    assert f"{closed.bounds.least_s / US:.{digits}f}" == printed
    assert f"{flow.link_s / US:.{digits}f}" == printed
    assert flow.seconds == pytest.approx(closed.seconds, rel=1e-9)
    longest_s = US * (1 if len(shape) == 1 else sum(side // 2 for side in shape))
    late, late_flow = both(made, shape, "all-to-all", "direct", 64 * MIB, 1.0)
    assert closed.seconds < late.seconds <= (closed.seconds + longest_s) * (1 + 1e-12)
    assert late_flow.seconds == pytest.approx(late.seconds, rel=1e-9)
    assert late_flow.link_s == pytest.approx(closed.seconds, rel=1e-9)
    assert late.bounds.latency_s == pytest.approx(longest_s)


def test_the_all_to_all_of_the_whole_pod_takes_its_bound_and_32_hops(made):
    closed, _ = both(made, (16, 24, 24), "all-to-all", "direct", 64 * MIB, 1.0)
    assert f"{closed.seconds / US:.1f}" == "2045.3"


@pytest.mark.parametrize(
    ("shape", "kind", "published_us"),
    [
        ((8,), "all-to-all", 91.9),
        ((64,), "all-to-all", 18.5),
        ((4, 4, 4), "all-to-all", 263.7),
        ((8, 8, 16), "all-to-all", 143.4),
        ((16, 24, 24), "all-to-all", 113.4),
    ],
)
def test_times_that_other_simulators_give_below_what_links_need_would_be_errors_here(made, shape, kind, published_us):
    """What a simulator without exact loads answers for the same all-to-alls of 64 MiB."""
    group, _ = made(shape)
    honest = price_in(group, kind, 64 * MIB)
    assert published_us * US < honest.bounds.least_s
    # links as wide as that answer takes them to be, on a machine whose links are not
    rows = group.rows.copy()
    rows[:, BANDWIDTH] *= honest.seconds / (published_us * US)
    with pytest.raises(InternalError, match="below its bound"):
        price_in(dataclasses.replace(group, rows=rows), kind, 64 * MIB)


@pytest.mark.parametrize(("size", "printed"), [(64 * MIB, "224"), (GIB, "3579")])
def test_all_links_at_once_are_several_times_faster_than_one_axis_and_one_way_at_a_time(made, size, printed):
    """The injection bound of an all-reduce on any torus of six links a chip, and what buckets make of it."""
    group, _ = made((16, 24, 24))
    rings = price_in(group, "all-reduce", size, algorithm="ring-per-dimension")
    buckets = price_in(group, "all-reduce", size, algorithm="bucket")
    assert f"{rings.bounds.injection_s / US:.0f}" == printed
    assert 5 < rings.seconds / rings.bounds.injection_s < 7
    assert rings.bounds.injection_s <= buckets.seconds < rings.seconds / 3
