"""How machines are made comparable: as built, or scaled to equal chips, power, cost or peak FLOP/s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from simulator.errors import InputError, unknown_name
from simulator.figures import Draw

if TYPE_CHECKING:
    from simulator.machine import Machine

Basis = Literal["as-built", "chips", "power", "cost", "flops"]
BASES: tuple[str, ...] = get_args(Basis)
_SLACK = 1e-9


@dataclass(frozen=True)
class Contender:
    """A machine at the size at which it is compared; ``residual`` is its size over the target, minus one [1]."""

    machine: Machine
    chips: int
    machines: int
    residual: float


def size_of(machine: Machine, basis: str) -> float:
    """Size of one whole machine on a basis, by its stated figures: chips, site power [W], capital [USD], FLOP/s."""
    draw = Draw()
    if basis == "power":
        return draw(machine.power.full) * draw(machine.site.pue)
    if basis == "cost":
        return draw(machine.prices.capital) + machine.chips * draw(machine.network.price_per_chip)
    if basis == "flops":
        return machine.chips * draw(machine.chip.peak["bf16"])
    return float(machine.chips)


def contenders(machines: list[Machine], basis: str) -> list[Contender]:
    """Scale the second and later machines to the first.

    Where more than one machine is needed: the nearest whole number of machines. Where less: the largest legal slice
    that is not above the target. The residual says by how much the target is missed.

    Raises
    ------
    InputError : unknown basis, or a machine whose smallest slice is above the target
    """
    if basis not in BASES:
        raise unknown_name("basis", basis, BASES)
    first = machines[0]
    found = [Contender(first, first.chips, 1, 0.0)]
    if basis == "as-built":
        return found + [Contender(machine, machine.chips, 1, 0.0) for machine in machines[1:]]
    target = size_of(first, basis)
    return found + [scaled(machine, target, basis) for machine in machines[1:]]


def scaled(machine: Machine, target: float, basis: str) -> Contender:
    """A machine at the size nearest to ``target``; see :func:`contenders`."""
    whole = size_of(machine, basis)
    if target > whole * (1 + _SLACK):
        count = max(1, round(target / whole))
        return Contender(machine, count * machine.chips, count, count * whole / target - 1)
    per_chip = whole / machine.chips
    fitting = [chips for chips in machine.legal_chips if chips * per_chip <= target * (1 + _SLACK)]
    if not fitting:
        raise InputError(
            f"the smallest slice of {machine.name} is above the target on the basis of {basis}",
            remedy="put the smaller machine second, or compare as built",
        )
    return Contender(machine, fitting[-1], 1, fitting[-1] * per_chip / target - 1)


def matched(machines: list[Machine]) -> list[Contender]:
    """All machines cut to the chips of the smallest: equal chips without joining machines by a network."""
    target = float(min(machine.chips for machine in machines))
    return [scaled(machine, target, "chips") for machine in machines]
