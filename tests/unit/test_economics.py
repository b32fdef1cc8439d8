"""Power and cost against hand-made sums."""

from __future__ import annotations

import pytest

import topologies
from simulator.economics import power_w, price_work
from simulator.figures import Draw


@pytest.fixture
def pod():
    return topologies.machine("ironwood-9216")


def test_idle_and_full_power_are_the_ends_of_a_line(pod):
    full, idle = pod.power.full.si, pod.power.idle.si
    assert power_w(pod, 9216, 1.0, Draw()) == pytest.approx(full)
    assert power_w(pod, 9216, 0.0, Draw()) == pytest.approx(full * idle)
    assert power_w(pod, 4608, 0.5, Draw()) == pytest.approx(full * (1 + idle) / 4)


def test_cost_is_capital_over_life_plus_energy(pod):
    cost = price_work(pod, 9216, 1e6, 1.0, Draw())
    network_w = 9216 * pod.network.power_per_chip.si
    energy = (pod.power.full.si + network_w) * pod.site.pue.si * pod.site.energy_price.si
    capital = (pod.prices.capital.si + 9216 * pod.network.price_per_chip.si) / pod.prices.life.si
    assert cost.energy_usd_per_s == pytest.approx(energy)
    assert cost.capital_usd_per_s == pytest.approx(capital)
    assert cost.usd_per_million_tokens == pytest.approx(energy + capital)
    assert cost.tokens_per_j == pytest.approx(1e6 / cost.facility_power_w)


def test_a_megawatt_hour_at_eleven_cents_costs_110_dollars(pod):
    draw = Draw({pod.power.full.key: 1e6, pod.site.pue.key: 1.0, pod.network.power_per_chip.key: 0.0})
    assert price_work(pod, 9216, 1.0, 1.0, draw).energy_usd_per_s * 3600 == pytest.approx(110.0)


def test_rent_counts_every_chip(pod):
    cost = price_work(pod, 100, 50.0, 1.0, Draw())
    assert cost.rent_usd_per_s == pytest.approx(100 * pod.prices.rent_per_chip.si)
    assert cost.rent_usd_per_million_tokens == pytest.approx(cost.rent_usd_per_s / 50 * 1e6)
