"""A machine under each of its readings, on the network that was asked for, with the stacks that it names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import topologies
import workloads
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.machine import Machine
    from simulator.program import Stack
    from topologies.schema import Phase


def weights_of(machine: str) -> dict[str, float]:
    """Weights of a machine's hypotheses by name, the stated reading first; empty where it has none."""
    return {hypothesis.name: hypothesis.weight for hypothesis in topologies.entry(machine).hypotheses}


def machine_under(name: str, hypothesis: str, network: str = "") -> Machine:
    """A machine under one reading; ``network`` names what joins several of them instead of its own.

    Raises
    ------
    simulator.errors.InputError : unknown names
    """
    machine = topologies.machine(name, hypothesis)
    return dataclasses.replace(machine, network=topologies.network(network)) if network else machine


def check_stacks(machine: str) -> None:
    """Refuse a machine that names a stack for what it cannot do, or one that there is not; see :func:`stack_of`."""
    for phase in topologies.entry(machine).stacks:
        stack_of(machine, phase)


def stack_of(machine: str, phase: Phase) -> Stack:
    """The stack with which a machine, by name or file, trains or serves.

    Raises
    ------
    simulator.errors.InputError : there is no such machine or stack, or the stack does not do this
    """
    name = topologies.entry(machine).stacks[phase]
    where = f"{machine}: stacks.{phase}"
    try:
        stack = workloads.stack(name)
    except InputError as error:
        if error.where:
            raise
        message, _, remedy = str(error).partition("\n  ")
        raise InputError(message, where=where, remedy=remedy) from None
    if getattr(stack, phase) is None:
        able = [other for other in workloads.names("stacks") if getattr(workloads.stack(other), phase) is not None]
        raise InputError(f"stack {name!r} has no [{phase}]", where=where, remedy=f"name one of {', '.join(able)}")
    return stack
