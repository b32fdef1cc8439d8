"""One training step: time, its parts, memory, and the search for the plan that takes the least."""

from __future__ import annotations

from simulator.training.plans import candidate_plans
from simulator.training.search import Found, search
from simulator.training.step import Step, StepMemory, step, training_arrays

__all__ = ["Found", "Step", "StepMemory", "candidate_plans", "search", "step", "training_arrays"]
