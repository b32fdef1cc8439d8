"""Memory of the fullest chip in a training step."""

from simulator.training.memory.parts import StepMemory

__all__ = ["StepMemory"]
