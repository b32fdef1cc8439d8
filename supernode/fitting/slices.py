"""The slices that measured rows ran on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.machine import Slice, slice_of
from supernode.validation.answers import Refused
from supernode.validation.cases import Case
from supernode.validation.parts import part_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.machine import Machine
    from supernode.fitting.rows import Row


def slices_named(rows: Iterable[Row]) -> dict[tuple[str, str, int], Slice]:
    """The slice of each machine, network and number of chips that rows name; those that do not exist are left out."""
    found: dict[tuple[str, str, int], Slice] = {}
    for key in sorted({(row.machine, row.network, row.chips) for row in rows}):
        machine, network, chips = key
        given: dict[str, float | str] = {"machine": machine, "network": network, "chips": float(chips)}
        try:
            found[key] = part_of(Case("collective", "", machine, "", "", "", given, {}))
        except (Refused, InputError):
            continue
    return found


def slices_of(machine: Machine, rows: Iterable[Row]) -> dict[int, Slice]:
    """The slice of one machine for each number of chips that rows have.

    Raises
    ------
    InputError : rows on a number of chips that the machine cannot give; names the first of them
    """
    found: dict[int, Slice] = {}
    for row in rows:
        if row.chips not in found:
            try:
                found[row.chips] = slice_of(machine, row.chips)
            except InputError as error:
                message, _, remedy = str(error).partition("\n  ")
                raise InputError(message, where=row.where, remedy=remedy) from None
    return found
