"""Inference at a latency limit: a static estimate of continuous batching."""

from __future__ import annotations

from simulator.serving.estimate import Serving, ServingFound, ServingPlan, estimate

__all__ = ["Serving", "ServingFound", "ServingPlan", "estimate"]
