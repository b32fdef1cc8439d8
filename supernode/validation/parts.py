"""From the machine, network and chips of a measured row to the slice that it ran on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import topologies
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import Slice, slice_of
from supernode.draws import draw_number, drawn_values
from supernode.validation.answers import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.figures import Figure
    from simulator.machine import Machine
    from supernode.validation.cases import Case

SAMPLES = 16
"""Draws of the uncertain figures behind a band."""


def part_of(case: Case) -> Slice:
    """The slice that a row ran on.

    More chips than one machine has are whole machines joined by the row's network (the machine's own where the row
    names none); where the chips are no whole number of machines, each machine gives the largest legal slice that
    divides them: 256 chips of a 72-chip rack are 64 of each of four racks. Slices of one machine that a row says are
    joined by a network (``FSDP64 x 2 DCN-DP``) are joined so, although the machine could give them as one.

    Raises
    ------
    Refused : the machine or network is unknown, or has no such slice
    """
    name, wanted, chips = case.text("machine"), case.text("network"), case.count("chips")
    if not name:
        raise Refused("unsupported", "the machine is not named")
    if chips is None:
        raise Refused("unsupported", "the number of chips is empty")
    try:
        machine = topologies.machine(topologies.resolve("machines", name))
    except InputError:
        raise Refused("unsupported", f"machine {name} is not in the catalogue") from None
    stated = re.search(r"x (\d+) dcn", case.text("zero_or_fsdp").lower())
    slices = int(stated.group(1)) if stated else 1
    if chips <= machine.chips and slices == 1:
        if chips not in machine.legal_chips:
            raise Refused("infeasible", f"{chips} chips are no legal slice of {name}")
        return slice_of(machine, chips)
    if wanted:
        try:
            machine = replace(machine, network=topologies.network(wanted))
        except InputError:
            raise Refused("unsupported", f"network {wanted} is not in the catalogue") from None
    try:
        return _joined(machine, chips, slices)
    except InputError as error:
        raise Refused("infeasible", str(error).splitlines()[0]) from None


def _joined(machine: Machine, chips: int, slices: int) -> Slice:
    """The largest legal slices that divide the chips, at least ``slices`` of them, joined by the machine's network."""
    fitting = (number for number in machine.legal_chips if chips % number == 0 and number * slices <= chips)
    each = max(fitting, default=0)
    if not each:
        raise Refused("infeasible", f"{chips} chips are no whole number of slices of {machine.name}")
    return slice_of(machine, chips, each)


def draws(touched: Mapping[str, Figure], seed: int) -> list[Draw]:
    """The stated figures, then :data:`SAMPLES` draws of those that are uncertain and were touched."""
    values = drawn_values(touched.values(), SAMPLES, seed)
    return [Draw(), *(draw_number(values, index) for index in range(SAMPLES))]
