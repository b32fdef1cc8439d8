"""The network over time: flows that share links max-min fairly."""

from __future__ import annotations

from simulator.network.flows import Drained, drained, link_loads, max_min_rates

__all__ = ["Drained", "drained", "link_loads", "max_min_rates"]
