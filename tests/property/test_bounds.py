"""No price is below its bounds, on 10,000 draws of a machine, a group, a collective, a size and figures.

A price below a bound raises, in users' runs too; so what is held here is that none raises, that each is at least its
bounds, and that more bytes never take less time.
"""

from __future__ import annotations

import functools
import math
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

import topologies
from simulator.collectives import ALGORITHMS, KINDS, Group, group_of, price_in
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import Machine, slice_of
from simulator.streams import stream
from topologies.load import entry

if TYPE_CHECKING:
    import numpy as np

DRAWS = 10_000
GROUPS = 20
"""Groups of a machine under the stated figures; each further one is under figures of its own."""
LARGEST_BYTES = 2.0**40
JOINED = (2, 3, 8, 64)
"""Machines that networks join."""


@functools.cache
def readings(name: str) -> tuple[Machine, ...]:
    """A machine under its own reading and under each of its hypotheses."""
    return tuple(topologies.machine(name, each) for each in ("", *(one.name for one in entry(name).hypotheses)))


def drawn_group(name: str, rng: np.random.Generator) -> Group:
    """Some chips of a machine, or of several that its network joins, under the stated figures or any within ranges."""
    machine = readings(name)[rng.integers(len(readings(name)))]
    chips = int(rng.choice([each for each in machine.legal_chips if each > 1]))
    if rng.random() < 0.25:
        chips = machine.chips * int(rng.choice(JOINED))
    try:
        part = slice_of(machine, chips)
    except InputError:  # more than the network joins
        part = slice_of(machine, machine.chips)
    draw = Draw()
    group = group_of(part, draw)
    if rng.random() < 0.5:
        return group
    ends = {key: (figure.si_low, figure.si_high) for key, figure in draw.touched.items()}
    return group_of(part, Draw({key: low + (high - low) * rng.random() for key, (low, high) in ends.items()}))


@pytest.fixture(scope="module")
def draws() -> list[tuple[Group, str, float, float]]:
    """A group, a kind, bytes, and a number from 0 to 1 to choose an algorithm by."""
    rng = stream(0, "bounds")
    machines = topologies.names("machines")
    names = sorted(machines[i] for i in rng.integers(len(machines), size=DRAWS))
    found = []
    for name, each in groupby(names):
        groups = [drawn_group(name, rng) for _ in range(GROUPS)]
        for _ in each:
            size = LARGEST_BYTES ** rng.random()
            found.append((groups[rng.integers(GROUPS)], KINDS[rng.integers(len(KINDS))], size, rng.random()))
    return found


def test_no_price_is_below_its_bounds_and_more_bytes_never_take_less_time(draws):
    assert len(draws) == DRAWS
    for group, kind, size, _ in draws:
        found = price_in(group, kind, size)
        assert math.isfinite(found.seconds)
        bounds = found.bounds
        assert min(bounds.injection_s, bounds.link_s, bounds.bisection_s) >= 0 < bounds.latency_s
        assert found.seconds >= bounds.least_s * (1 - 1e-9)
        assert price_in(group, kind, 2 * size).seconds >= found.seconds


def test_no_algorithm_is_below_its_bounds_either(draws):
    """Also those that the library of the machine lacks."""
    seen = set()
    for group, kind, size, chance in draws:
        legal = list(price_in(group, kind, size).by_algorithm)
        name = legal[int(chance * len(legal))]
        found = price_in(group, kind, size, algorithm=name)
        assert found.seconds >= found.bounds.least_s * (1 - 1e-9)
        seen.add(name)
    assert seen == set(ALGORITHMS)


def test_the_draws_are_of_the_whole_catalogue(draws):
    assert {group.name for group, _, _, _ in draws} == set(topologies.names("machines"))
    assert {kind for _, kind, _, _ in draws} == set(KINDS)
    assert min(size for _, _, size, _ in draws) < 2 < LARGEST_BYTES / 2 < max(size for _, _, size, _ in draws)
    ranks = [group.ranks for group, _, _, _ in draws]
    assert min(ranks) == 2
    assert max(ranks) > 100_000
