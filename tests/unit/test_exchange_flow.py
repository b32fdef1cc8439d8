"""Exchanges of experts on the flow level: the closed form on idle symmetric fabrics, never below bounds elsewhere."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

import topologies
from simulator.collectives.exchange import balanced, zipf
from simulator.collectives.exchange.domains import domains_of
from simulator.collectives.exchange.experts import spread
from simulator.collectives.exchange.traffic import fanned_traffic, straight_traffic
from simulator.errors import InputError, InternalError
from simulator.figures import Draw
from simulator.machine import slice_of
from supernode import exchange_flow
from supernode.exchange_request import Request
from supernode.exchange_sweep import sweep
from supernode.exchange_vector import VectorRequest, price_vector

SAME = [
    ("hgx-h100", 8),
    ("gb200-nvl72", 64),
    ("mi300x-8", 8),
    ("cloudmatrix384", 64),
    ("scalex640", 80),
    ("ironwood-9216", 64),
    ("tpu-v5e", 16),
]


@functools.cache
def asked(kind, machine, chips, tokens="4096", **more):
    """The answer of a request at its first number of tokens."""
    experts = more.pop("experts", 4 * chips)
    return sweep(Request(kind, machine, tokens, chips=chips, experts=experts, samples=8, **more)).answers[0]


@pytest.mark.parametrize("mode", ["normal", "low-latency"])
@pytest.mark.parametrize("kind", ["dispatch", "combine"])
@pytest.mark.parametrize(("machine", "chips"), SAME)
def test_flows_on_an_idle_symmetric_fabric_take_what_the_closed_form_says(machine, chips, kind, mode):
    closed, flows = (
        asked(kind, machine, chips, mode=mode, library="generic-ep", fidelity=level)
        for level in ("closed-form", "flow")
    )
    if machine == "tpu-v5e":  # the busiest link of an open axis is not busy all the time
        assert flows.seconds <= closed.seconds * (1 + 1e-9)
    else:
        assert flows.seconds == pytest.approx(closed.seconds, rel=1e-9)
    assert flows.seconds >= flows.bounds.least_s


@pytest.mark.parametrize("kind", ["dispatch", "combine"])
@pytest.mark.parametrize("mode", ["normal", "low-latency"])
def test_nodes_and_rails_are_the_closed_form_but_for_the_latency_between_peers(kind, mode):
    closed, flows = (asked(kind, "hgx-h100", 32, mode=mode, fidelity=level) for level in ("closed-form", "flow"))
    assert closed.found.machines == 4
    assert flows.seconds == pytest.approx(closed.seconds, abs=2e-6)


@pytest.mark.parametrize(("machine", "chips"), [("hgx-h800", 64), ("cloudmatrix384", 64), ("ironwood-9216", 64)])
def test_traffic_has_every_copy_once_and_fanned_out_once_for_each_member_reached(machine, chips):
    part = slice_of(topologies.machine(machine), chips)
    for routing in (balanced(256, 8), zipf(256, 8, 0.7, chips)):
        straight = straight_traffic(routing, chips, 1.0)
        assert straight.size_bytes.sum() == pytest.approx(chips * 8 - 8)  # the share that is at home stays there
        kernels = topologies.shared("exchange", "generic-ep").normal
        domains = domains_of(part, kernels.fraction, Draw())
        fanned = fanned_traffic(domains, routing, chips, 1.0)
        for number, domain in enumerate(domains):
            moved = fanned.size_bytes[fanned.domain == number].sum()
            distinct = spread(routing, chips // domain.inside).distinct
            even = chips * distinct * (1 - 1 / domain.size)
            assert moved == pytest.approx(even) if not routing.odds else moved < even * (1 + 1e-9)
        back = fanned.turned()
        assert (back.source == fanned.target).all()


def test_a_dead_switch_costs_what_its_links_carried():
    """NVSwitch 0 of HGX H100 has 5 of the 18 links of every GPU, and bytes take all but the floor."""
    hurt = asked("dispatch", "hgx-h100", 8, tokens="1e7", mode="normal", fails=("switch0",)).flow
    assert hurt.seconds / hurt.whole_s == pytest.approx(18 / 13, rel=1e-3)
    worse = asked("dispatch", "hgx-h100", 8, tokens="1e7", mode="normal", fails=("switch0", "chip3-switch1")).flow
    assert worse.seconds > hurt.seconds


def test_skew_is_slower_in_flows_too():
    even, hot = (asked("dispatch", "hgx-h100", 8, skew=skew, fidelity="flow") for skew in ("balanced", "zipf:1"))
    assert hot.seconds > even.seconds
    assert "-> chip0" in hot.flow.busiest  # rank 0 has the first choice of everybody


def test_flows_of_random_exchanges_are_above_their_bounds():
    """An answer below a bound would be an InternalError; what cannot be answered is refused in words."""
    rng = np.random.default_rng(5)
    names = topologies.names("machines")
    answered = 0
    for _ in range(60):
        name = names[rng.integers(len(names))]
        legal = [chips for chips in topologies.machine(name).legal_chips if 2 <= chips <= 64]
        if not legal:
            continue
        kind = ("dispatch", "combine")[rng.integers(2)]
        skew = ("balanced", "zipf:0.9")[rng.integers(2)]
        tokens = f"{2.0 ** rng.uniform(0, 14):.0f}"
        mode = ("normal", "low-latency")[rng.integers(2)]
        found = asked(
            kind, name, int(rng.choice(legal)), tokens, mode=mode, library="generic-ep", skew=skew, fidelity="flow"
        )
        assert found.seconds >= found.bounds.least_s > 0
        answered += 1
    assert answered > 40


def test_an_answer_below_a_bound_is_our_error(monkeypatch):
    honest = exchange_flow.passed

    def wrong(*given):
        found = honest(*given)
        return dataclasses.replace(found, bounds=dataclasses.replace(found.bounds, bisection_s=1.0))

    monkeypatch.setattr(exchange_flow, "passed", wrong)
    with pytest.raises(InternalError, match="below their bound"):
        sweep(Request("dispatch", "hgx-h100", "77", samples=8, fidelity="flow"))


def test_failures_that_cut_a_chip_off_are_refused():
    with pytest.raises(InputError, match="chip3 is cut off from the other 7 chips"):
        asked("dispatch", "hgx-h100", 8, fails=tuple(f"chip3-switch{i}" for i in range(4)))


@pytest.mark.parametrize(("machine", "chips"), [("hgx-h100", 8), ("mi300x-8", 8), ("ironwood-9216", 64)])
def test_parts_that_are_all_alike_take_as_flows_what_the_closed_form_says(tmp_path, machine, chips):
    """But for the ramp, which no flow knows."""
    path = tmp_path / "alike.csv"
    np.savetxt(path, np.full((chips, chips), 1e9), delimiter=",")
    closed = price_vector(VectorRequest(machine, path, samples=8))
    flows = price_vector(VectorRequest(machine, path, samples=8, fidelity="flow"))
    assert flows.seconds == pytest.approx(closed.seconds, rel=0.02)
    assert flows.seconds <= closed.seconds * (1 + 1e-9)
    assert flows.seconds >= flows.flow.bounds.least_s


def test_the_one_large_part_of_a_matrix_is_what_takes_time(tmp_path):
    """1 GB over one of the links of a full mesh, while all others carry nothing to speak of."""
    sizes = np.full((8, 8), 1.0)
    sizes[2, 5] = 1e9
    path = tmp_path / "one.csv"
    np.savetxt(path, sizes)
    found = price_vector(VectorRequest("mi300x-8", path, samples=8, fidelity="flow"))
    assert found.flow.busiest == "chip2 -> chip5"
    link = slice_of(topologies.machine("mi300x-8"), 8).levels[0]
    stated = Draw()
    rate = link.links * stated(link.link.bandwidth) * stated(link.link.fraction)
    assert found.seconds == pytest.approx(1e9 / rate, rel=0.01)
