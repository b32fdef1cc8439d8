"""A comparison made by hand, rich enough to show everything a report has to show; its numbers are invented."""

from __future__ import annotations

from dataclasses import replace

from simulator.cluster import JobClass, Report, Service, Settings, draw_jobs, simulate
from supernode.comparison import (
    Case,
    Comparison,
    Curve,
    Influence,
    MachineResult,
    Outcome,
    Pair,
    Quantity,
    SourceEntry,
    UsedFigure,
)
from supernode.metrics import metric

IRONWOOD, SCALEX = "ironwood-9216", "scalex640"
TRAIN, MOE, SERVE, DAY = "train-llama3-405b", "train-deepseek-v3", "serve-deepseek-r1", "cluster-day"
TITLES = {
    IRONWOOD: "Google Ironwood (TPU7x) pod of 9,216 chips",
    SCALEX: "Sugon scaleX640 supernode, two racks side by side in one immersion-cooled cabinet",
    TRAIN: "Pre-training of Llama 3.1 405B",
    MOE: "Pre-training of DeepSeek-V3",
    SERVE: "Serving of DeepSeek-R1",
    DAY: "A day of training jobs and inference services",
}
SOURCES = ("google-2025-ironwood", "sugon-2025-scalex640")
HOSTILE = "<script>alert(1)</script>&\"'`{{7*7}}[red]$x_1$"
"""A name that HTML, a template, rich markup and a formula setter would each like to read their own way."""
DRAWS = 64


def quantity(name: str, value: float, spread: float = 0.25) -> Quantity:
    """A result with a range of ``spread`` around it, in the unit of its metric."""
    unit = metric(name).unit
    return Quantity(value, value * (1 - spread), value * (1 + 1.4 * spread), unit, "plausible", SOURCES)


def quantities(values: dict[str, float], spread: float = 0.25) -> dict[str, Quantity]:
    return {name: quantity(name, value, spread) for name, value in values.items()}


def training(workload: str, chips: int, step_s: float, tokens: float, spread: float) -> Outcome:
    shares = {"compute": 0.61, "exposed_communication": 0.2, "bubble": 0.1, "optimizer": 0.015, "overhead": 0.075}
    rate = tokens / step_s
    values = {
        "tokens_per_s": rate,
        "tokens_per_s_per_chip": rate / chips,
        "mfu": 0.43,
        "step_time": step_s,
        **{f"step_{part}": share * step_s for part, share in shares.items()},
        "memory_per_chip": 71.3e9,
        "usd_per_million_tokens": 0.231 * step_s / 3,
        "tokens_per_joule": 0.094,
        "usd_per_run": 4.1e6 * step_s / 3,
        "run_time": 15.6e12 / rate,
    }
    plan = f"tensor 8 × pipeline 4 × data {chips // 32}, sequence-parallel, micro-batch 1, 1F1B with 2 virtual stages"
    return Outcome(
        workload,
        TITLES[workload],
        "training",
        "ok",
        "",
        quantities(values, spread),
        plan,
        "maxtext-2025-10",
        0.97 if chips < 1000 else 1.0,
        "the chip computes in bf16 for want of fp8" if chips < 1000 else "",
    )


def serving(chips: int, spread: float) -> Outcome:
    rate = 1510.0 * chips
    values = {
        "output_tokens_per_s": rate,
        "output_tokens_per_s_per_chip": rate / chips,
        "prefill_tokens_per_s": 9.1 * rate,
        "decode_tokens_per_s": 1.9 * rate,
        "ttft": 0.84,
        "tpot": 0.0413,
        "batch": 256,
        "usd_per_million_tokens": 1.36,
        "tokens_per_joule": 1.21,
    }
    plan = "instances of 64 chips: tensor 1 × expert 64 × data 64"
    return Outcome(SERVE, TITLES[SERVE], "serving", "ok", "", quantities(values, spread), plan, "vllm-0.15", 1.0)


def infeasible(workload: str) -> Outcome:
    reason = "needs 148 GB per chip, of which optimizer 92 GB; 64 GB are there"
    return Outcome(workload, TITLES[workload], "training", "infeasible", reason, {}, "", "megatron-bridge-26.06", 0.0)


def day(units: int, unit_chips: int) -> Report:
    """A simulated day on so many units."""
    capacity = units * unit_chips
    mix = (
        ("tune-8b", 0.6, 32, 5400.0, 1.0),
        ("train-70b", 0.25, 8, 10800.0, 0.8),
        ("train-moe", 0.12, 4, 14400.0, 0.6),
        ("train-405b", 0.03, 2, 21600.0, 0.4),
    )
    classes = [
        JobClass(
            name=name,
            weight=weight,
            chips=capacity // part,
            work_s=work_s,
            work_sigma=sigma,
            tokens_per_s=1e4,
            checkpoint_s=40.0,
        )
        for name, weight, part, work_s, sigma in mix
    ]
    services = [
        Service(
            name=name,
            chips=capacity // part,
            capacity_tokens_per_s=1e6,
            mean_tokens_per_s=mean,
            peak_to_trough=swing,
            peak_s=50400.0,
        )
        for name, part, mean, swing in (("chat", 16, 5e5, 4.0), ("reasoning", 8, 6e5, 2.5))
    ]
    settings = Settings(
        units=units,
        unit_chips=unit_chips,
        horizon_s=86400.0,
        failures_per_chip_s=12.0 / capacity / 86400.0,
        repair_s=7200.0,
        restart_s=300.0,
        policy="easy",
    )
    jobs = draw_jobs(classes, load=0.9, capacity_chips=int(0.8 * capacity), horizon_s=86400.0, seed=7)
    return simulate(settings, jobs, services, seed=7)


def machine(name: str, chips: int, *, uncertain: bool, residual: float = 0.0, cut: bool = False) -> MachineResult:
    spread = 0.45 if uncertain else 0.2
    report = day(16, chips // 16) if uncertain else day(max(1, chips // 64), 64)
    total = sum(report.ledger.values())
    cluster = {
        "utilisation": report.utilisation,
        "goodput": report.goodput_share,
        "queueing_delay_mean": report.delay_s_mean or 0.0,
        "queueing_delay_p95": report.delay_s_p95 or 0.0,
        "jobs_completed": float(report.jobs_completed),
        "interruptions": float(report.interruptions),
        "tokens_trained": report.tokens_trained,
        "tokens_served": report.tokens_served,
        **{f"ledger_{bin_}": amount / total for bin_, amount in report.ledger.items()},
    }
    economics = {
        "power": 940.0 * chips,
        "facility_power": 1034.0 * chips,
        "capital": 3.1e4 * chips,
        "usd_per_chip_hour": 1.31,
        "rent_usd_per_chip_hour": 4.2,
        "usd_per_million_tokens": 0.231,
        "tokens_per_joule": 0.094,
    }
    workloads = {
        TRAIN: training(TRAIN, chips, 27648 / chips if not uncertain else 63000 / chips, 2048 * 8192.0, spread),
        MOE: infeasible(MOE) if uncertain else training(MOE, chips, 13000 / chips, 15360 * 4096.0, spread),
        SERVE: serving(chips, spread),
        DAY: Outcome(DAY, TITLES[DAY], "cluster", "ok", "", quantities(cluster, 0.05), "", "maxtext-2025-10", 1.0),
    }
    return MachineResult(
        name=name,
        title=TITLES[name],
        chips=chips,
        machines=1,
        residual=residual,
        reading="400 GB/s per card is the sum of both directions" if uncertain else "",
        hypotheses={"both-directions": 0.7, "one-direction": 0.3} if uncertain else {},
        workloads=workloads,
        economics=quantities(economics, spread),
        cluster=quantities(cluster, 0.05),
        timeline=None if cut else report,
    )


def curve(name: str, kind: str, chips: int, peak: float) -> Curve:
    sizes = tuple(float(2**exponent) for exponent in range(10, 33))
    rate = tuple(peak * size / (size + 3e7) for size in sizes)
    algorithms = tuple(
        "halving-doubling" if size < 2**17 else "double-binary-tree" if size < 2**24 else "hierarchical(torus-3d, ring)"
        for size in sizes
    )
    return Curve(
        name, kind, chips, sizes, rate, tuple(r * 0.7 for r in rate), tuple(r * 1.25 for r in rate), algorithms
    )


def pair(workload: str, name: str, share: float, ratio: tuple[float, float, float]) -> Pair:
    spread = f"{IRONWOOD} over {SCALEX}: {ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g})"
    verdict = f"{metric(name).title}: {IRONWOOD} is ahead in {share:.0%} of draws; {spread}"
    influences = (
        Influence("chips/bw1000/matmul.fraction.bf16", -0.71),
        Influence("machines/scalex640/links.switch.bandwidth@both-directions", -0.42),
        Influence("chips/ironwood/matmul.fraction.bf16", 0.33),
    )
    return Pair(IRONWOOD, SCALEX, workload, name, share, ratio, verdict, influences)


def case(name: str, chips: tuple[int, int]) -> Case:
    cut = name == "matched"
    machines = {
        IRONWOOD: machine(IRONWOOD, chips[0], uncertain=False, residual=-0.2 if cut else 0.0, cut=cut),
        SCALEX: machine(SCALEX, chips[1], uncertain=True, cut=cut),
    }
    pairs = (
        pair(TRAIN, "tokens_per_s", 1.0, (32.8, 21.4, 51.0)),
        pair(TRAIN, "tokens_per_s_per_chip", 0.94, (2.28, 1.49, 3.54)),
        pair(TRAIN, "usd_per_million_tokens", 0.61, (0.94, 0.55, 1.62)),
        pair(SERVE, "output_tokens_per_s", 1.0, (14.4, 9.0, 21.0)),
        pair(SERVE, "output_tokens_per_s_per_chip", 0.52, (1.0, 0.62, 1.6)),
        pair(DAY, "goodput", 0.48, (0.99, 0.93, 1.05)),
    )
    curves = tuple(
        curve(machine_name, kind, count, peak)
        for kind, factor in (("all-reduce", 1.0), ("all-to-all", 0.3))
        for machine_name, count, peak in ((IRONWOOD, chips[0], 9e11 * factor), (SCALEX, chips[1], 3.1e11 * factor))
    )
    title = "As built: one of each" if name == "basis" else "Equal chips: cut to the chips of the smallest machine"
    return Case(name, "chips" if cut else "as-built", title, machines, pairs, curves)


def draws(*cases: Case) -> dict[str, list]:
    """Draws that lie evenly in the range of every metric of every workload; the first has no answer."""
    columns: dict[str, list] = {name: [] for name in ("case", "draw", "machine", "workload", "metric", "value")}
    for one in cases:
        for result in one.machines.values():
            for workload, outcome in result.workloads.items():
                for name, q in outcome.metrics.items():
                    for index in range(DRAWS):
                        value = float("nan") if index == 0 else q.low + (q.high - q.low) * index / (DRAWS - 1)
                        row = (one.name, index, result.name, workload, name, value)
                        for column, cell in zip(columns.values(), row, strict=True):
                            column.append(cell)
    return columns


def comparison() -> Comparison:
    """Two machines, three workloads and a day, one outcome that does not fit, hypotheses, and equal chips."""
    asked, equal = case("basis", (9216, 640)), case("matched", (512, 640))
    figures = (
        UsedFigure(
            "chips/ironwood/peak.bf16", 2.307e15, 2.307e15, 2.307e15, "FLOP/s", "announced", SOURCES[0], "p. 3", ""
        ),
        UsedFigure(
            "chips/ironwood/hbm.bandwidth", 7.37e12, 7.0e12, 7.37e12, "B/s", "announced", SOURCES[0], "p. 3", ""
        ),
        UsedFigure("chips/ironwood/matmul.fraction.bf16", 0.72, 0.6, 0.82, "1", "estimated", SOURCES[0], "fig. 2", ""),
        UsedFigure(
            "machines/scalex640/links.switch.bandwidth@both-directions",
            2e11,
            1.6e11,
            2e11,
            "B/s",
            "derived",
            SOURCES[1],
            "slide 14",
            "half of the stated sum",
        ),
        UsedFigure(
            "machines/scalex640/links.switch.start", 4e-6, 1e-6, 9e-6, "s", "assumed", "", "", "like NCCL's, wide"
        ),
        UsedFigure("machines/scalex640/prices.life", 1.2e8, 9e7, 1.6e8, "s", "assumed", "", "", "three to five years"),
        UsedFigure("machines/scalex640/site.energy_price", 2e-8, 1e-8, 4e-8, "USD/J", "assumed", "", "", "industry"),
        UsedFigure("machines/scalex640/failures.per_chip", 2e-9, 1e-9, 8e-9, "1/s", "measured", SOURCES[1], "", ""),
    )
    sources = (
        SourceEntry(
            SOURCES[0], "Ironwood: the first Google TPU for the age of inference", "https://example.org/i", "2025-04"
        ),
        SourceEntry(
            SOURCES[1], "scaleX640 at the world internet conference", "https://example.org/s?a=1&b=2", "2025-11"
        ),
    )
    provenance = {"version": "0.1.0", "seed": "1", "catalogue": "sha256:5f2c", "command": "supernode compare …"}
    return Comparison(asked, equal, DRAWS, 1, figures, sources, provenance, draws(asked, equal))


def hostile() -> Comparison:
    """The same, with every text that a file or a user could have written replaced by :data:`HOSTILE`."""
    base = comparison()
    asked = base.case
    machines = {
        f"{name}{HOSTILE}": replace(
            machine_,
            name=f"{name}{HOSTILE}",
            title=HOSTILE,
            reading=HOSTILE and machine_.reading + HOSTILE,
            hypotheses={f"{label}{HOSTILE}": weight for label, weight in machine_.hypotheses.items()},
            workloads={
                f"{workload}{HOSTILE}": replace(
                    outcome, workload=f"{workload}{HOSTILE}", title=HOSTILE, plan=HOSTILE, stack=HOSTILE, note=HOSTILE
                )
                for workload, outcome in machine_.workloads.items()
            },
        )
        for name, machine_ in asked.machines.items()
    }
    pairs = tuple(
        replace(
            one,
            a=f"{one.a}{HOSTILE}",
            b=f"{one.b}{HOSTILE}",
            workload=f"{one.workload}{HOSTILE}",
            verdict=HOSTILE,
            influences=tuple(replace(item, figure=HOSTILE) for item in one.influences),
        )
        for one in asked.pairs
    )
    curves = tuple(
        replace(one, machine=f"{one.machine}{HOSTILE}", algorithms=(HOSTILE,) * len(one.algorithms))
        for one in asked.curves
    )
    figures = tuple(replace(one, key=one.key + HOSTILE, note=HOSTILE, locator=HOSTILE) for one in base.figures)
    sources = (
        *(replace(one, title=HOSTILE) for one in base.sources_list),
        SourceEntry("bad", "a link that runs", "javascript:alert(1)", HOSTILE),
    )
    return replace(
        base,
        case=replace(asked, title=HOSTILE, machines=machines, pairs=pairs, curves=curves),
        matched=None,
        figures=figures,
        sources_list=sources,
        provenance={HOSTILE: HOSTILE},
        draws={},
    )
