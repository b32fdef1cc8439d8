"""Power, energy and cost of a machine at work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.figures import Draw
    from simulator.machine import Machine

TOKENS_PER_PRICE = 1e6


@dataclass(frozen=True)
class Economics:
    """What work costs on ``chips`` chips that yield ``tokens_per_s``.

    ``cost_usd_per_s`` is what owning costs: capital spread evenly over the machine's life, and energy.
    ``rent_usd_per_s`` is what renting the same chips costs. Prices per million tokens follow from either.
    """

    power_w: float
    facility_power_w: float
    energy_usd_per_s: float
    capital_usd_per_s: float
    cost_usd_per_s: float
    rent_usd_per_s: float
    tokens_per_j: float
    usd_per_million_tokens: float
    rent_usd_per_million_tokens: float


def power_w(machine: Machine, chips: float, utilisation: float, draw: Draw) -> float:
    """IT power of ``chips`` chips and their share of hosts and switches [W].

    Linear in utilisation between idle and full power, as in Fan, Weber and Barroso (ISCA 2007, section 4).
    """
    full = draw(machine.power.full) * chips / machine.chips
    idle = draw(machine.power.idle)
    return full * (idle + (1 - idle) * utilisation)


def price_work(machine: Machine, chips: float, tokens_per_s: float, utilisation: float, draw: Draw) -> Economics:
    """Cost of a steady stream of tokens.

    Parameters
    ----------
    machine : its power, prices and site
    chips : chips in use, of one or several such machines [1]
    tokens_per_s : what they yield, all together; above 0
    utilisation : share of full power above idle [1]
    draw : values of uncertain figures
    """
    machines = chips / machine.chips
    used_w = power_w(machine, chips, utilisation, draw)
    used_w += chips * draw(machine.network.power_per_chip)
    facility_w = used_w * draw(machine.site.pue)
    energy = facility_w * draw(machine.site.energy_price)
    network = chips * draw(machine.network.price_per_chip)
    capital = (machines * draw(machine.prices.capital) + network) / draw(machine.prices.life)
    rent = chips * draw(machine.prices.rent_per_chip)
    return Economics(
        power_w=used_w,
        facility_power_w=facility_w,
        energy_usd_per_s=energy,
        capital_usd_per_s=capital,
        cost_usd_per_s=energy + capital,
        rent_usd_per_s=rent,
        tokens_per_j=tokens_per_s / facility_w,
        usd_per_million_tokens=(energy + capital) / tokens_per_s * TOKENS_PER_PRICE,
        rent_usd_per_million_tokens=rent / tokens_per_s * TOKENS_PER_PRICE,
    )
