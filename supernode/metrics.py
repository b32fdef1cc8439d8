"""Every metric that a comparison reports: its unit, which direction is better, and how people call it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Better = Literal["more", "less", "neither"]


class Metric(NamedTuple):
    """Unit in SI, which direction is better, and a title for tables and axes."""

    unit: str
    better: Better
    title: str


METRICS: dict[str, Metric] = {
    "tokens_per_s": Metric("tokens/s", "more", "training throughput"),
    "tokens_per_s_per_chip": Metric("tokens/s/chip", "more", "training throughput per chip"),
    "mfu": Metric("1", "more", "MFU"),
    "step_time": Metric("s", "less", "step time"),
    "step_compute": Metric("s", "neither", "compute"),
    "step_exposed_communication": Metric("s", "less", "exposed communication"),
    "step_bubble": Metric("s", "less", "pipeline bubble"),
    "step_optimizer": Metric("s", "less", "optimizer"),
    "step_overhead": Metric("s", "less", "host time and jitter"),
    "memory_per_chip": Metric("B", "neither", "memory needed per chip"),
    "run_time": Metric("s", "less", "time of the whole run, without failures"),
    "usd_per_run": Metric("USD", "less", "cost of the whole run, owned"),
    "output_tokens_per_s": Metric("tokens/s", "more", "output throughput"),
    "output_tokens_per_s_per_chip": Metric("tokens/s/chip", "more", "output throughput per chip"),
    "prefill_tokens_per_s": Metric("tokens/s", "more", "prefill throughput, prefill only"),
    "decode_tokens_per_s": Metric("tokens/s", "more", "decode throughput, decode only"),
    "ttft": Metric("s", "less", "TTFT"),
    "tpot": Metric("s", "less", "TPOT"),
    "batch": Metric("1", "neither", "sequences decoded at once per instance"),
    "usd_per_million_tokens": Metric("USD", "less", "cost per million tokens, owned"),
    "rent_usd_per_million_tokens": Metric("USD", "less", "cost per million tokens, rented"),
    "tokens_per_joule": Metric("tokens/J", "more", "tokens per joule"),
    "utilisation": Metric("1", "more", "utilisation (allocated share)"),
    "goodput": Metric("1", "more", "goodput (productive share)"),
    "queueing_delay_mean": Metric("s", "less", "queueing delay, mean"),
    "queueing_delay_p95": Metric("s", "less", "queueing delay, 95th percentile"),
    "jobs_completed": Metric("1", "more", "jobs completed"),
    "jobs_submitted": Metric("1", "neither", "jobs submitted"),
    "jobs_infeasible": Metric("1", "less", "job classes that fit on no plan"),
    "interruptions": Metric("1", "less", "jobs interrupted"),
    "failures": Metric("1", "less", "failures"),
    "tokens_trained": Metric("tokens", "more", "tokens trained"),
    "tokens_served": Metric("tokens", "more", "tokens served"),
    "tokens_demanded": Metric("tokens", "neither", "tokens asked for"),
    "energy": Metric("J", "less", "energy of the site"),
    "power": Metric("W", "less", "IT power at full load"),
    "facility_power": Metric("W", "less", "site power at full load"),
    "capital": Metric("USD", "less", "capital"),
    "usd_per_chip_hour": Metric("USD", "less", "cost per chip-hour, owned"),
    "rent_usd_per_chip_hour": Metric("USD", "less", "rent per chip-hour"),
    "peak_flops": Metric("FLOP/s", "more", "peak, bf16 dense"),
}
"""Metric -> unit, direction, title. Ledger shares are named ``ledger_BIN`` and are dimensionless."""


def metric(name: str) -> Metric:
    """Look a metric up; ledger shares need no entry of their own."""
    if name.startswith("ledger_"):
        return Metric("1", "neither", f"chip-seconds {name.removeprefix('ledger_').replace('_', ' ')}")
    return METRICS[name]
