"""Memory of the fullest chip in a training step."""

from simulator.training.memory.weigh import ITEMS, StepMemory, memory, weigh_plan

__all__ = ["ITEMS", "StepMemory", "memory", "weigh_plan"]
