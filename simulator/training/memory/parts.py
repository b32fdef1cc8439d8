"""The parts of a chip's memory in a training step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepMemory:
    """Memory of the fullest chip [B]; ``needed_bytes`` is the sum of the parts."""

    weights_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    logits_bytes: float
    needed_bytes: float
    available_bytes: float

    @property
    def fits(self) -> bool:
        """Whether the chip has room."""
        return self.needed_bytes <= self.available_bytes

    @property
    def largest(self) -> str:
        """Name of the largest part."""
        parts = {
            "weights": self.weights_bytes,
            "gradients": self.gradients_bytes,
            "optimizer state": self.optimizer_bytes,
            "activations": self.activations_bytes,
            "logits": self.logits_bytes,
        }
        return max(parts, key=lambda name: parts[name])
