"""The software stacks that a measured training row can have run: what it says, or what its configuration shows."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import workloads
from simulator.errors import InputError
from simulator.files import read_toml
from simulator.machine import Entry
from supernode.validation.answers import Refused

if TYPE_CHECKING:
    from simulator.machine import Machine
    from simulator.program import Stack
    from supernode.validation.cases import Case

HERE = Path(__file__).parent


class Rule(Entry, frozen=True):
    """Conditions on a row, and the stacks of rows that meet them; see the head of ``stacks.toml``."""

    machines: tuple[str, ...]
    stacks: tuple[str, ...]
    why: str
    precision: tuple[str, ...] = ()
    sharding: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ()
    is_flat: bool | None = None
    named: tuple[str, ...] = ()


class Rules(Entry, frozen=True):
    """All rules, in the order in which they are tried."""

    rule: tuple[Rule, ...]


def stacks_of(case: Case, machine: Machine) -> tuple[Stack, ...]:
    """The stacks that a row can have run, likeliest first; its own column ``stack`` counts before all rules.

    Raises
    ------
    Refused : the row names a stack that is unknown or does not train
    """
    if named := case.text("stack"):
        try:
            found = workloads.stack(named)
        except InputError as error:
            raise Refused("unsupported", str(error).splitlines()[0]) from None
        if found.training is None:
            raise Refused("unsupported", f"stack {named} does not train")
        return (found,)
    names = next((rule.stacks for rule in _rules() if _meets(case, machine, rule)), None)
    return tuple(workloads.stack(name) for name in names or (machine.stacks["training"],))


@functools.cache
def _rules() -> tuple[Rule, ...]:
    return read_toml(HERE / "stacks.toml", Rules).rule


def _meets(case: Case, machine: Machine, rule: Rule) -> bool:
    is_flat = all((case.count(column) or 1) == 1 for column in ("tp", "pp", "ep"))
    return (
        machine.name in rule.machines
        and rule.is_flat in (None, is_flat)
        and _begins(case.text("precision"), rule.precision)
        and _begins(case.text("zero_or_fsdp"), rule.sharding)
        and _begins(case.text("recompute"), rule.recompute)
        and (not rule.named or any(word in case.text("model").lower() for word in rule.named))
    )


def _begins(cell: str, words: tuple[str, ...]) -> bool:
    """Whether a cell begins with one of the words; the empty word means an empty cell; no words mean any cell."""
    text = cell.lower()
    return not words or any(text.startswith(word) if word else not text for word in words)
