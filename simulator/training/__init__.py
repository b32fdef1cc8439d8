"""One training step: time, its parts, memory, and the search for the plan that takes the least."""

from __future__ import annotations

from simulator.training.arrays import training_arrays
from simulator.training.memory import StepMemory
from simulator.training.plans import candidate_plans
from simulator.training.search import Found, search
from simulator.training.step import Step, step

__all__ = ["Found", "Step", "StepMemory", "candidate_plans", "search", "step", "training_arrays"]
