"""One training step: time, its parts, memory, and the search for the plan that takes the least."""

from __future__ import annotations

from simulator.training.arrays import training_arrays
from simulator.training.candidates import USUAL, Space, space_of
from simulator.training.legal import check_plan
from simulator.training.memory import StepMemory
from simulator.training.search import Found, search
from simulator.training.step import Step, step, step_timeline

__all__ = [
    "USUAL",
    "Found",
    "Space",
    "Step",
    "StepMemory",
    "check_plan",
    "search",
    "space_of",
    "step",
    "step_timeline",
    "training_arrays",
]
