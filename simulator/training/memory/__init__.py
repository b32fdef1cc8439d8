"""Memory of the fullest chip in a training step."""

from simulator.training.memory.weigh import StepMemory, memory, weigh_plan

__all__ = ["StepMemory", "memory", "weigh_plan"]
