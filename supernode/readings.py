"""A machine under each of its readings, on the network that was asked for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import topologies

if TYPE_CHECKING:
    from simulator.machine import Machine


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
