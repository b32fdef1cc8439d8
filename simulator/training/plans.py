"""Legal parallel plans for a model on a number of chips, as arrays for the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.program import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype
    from simulator.program import Program, Recompute

RECOMPUTES: tuple[Recompute, ...] = ("none", "selective", "full")
MOST_TENSOR = 64
MOST_CONTEXT = 64
MOST_MICRO_BATCH = 8
TOKENS_PER_CONTEXT_RANK = 2048


def divisors(number: int) -> list[int]:
    """All divisors, ascending.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [d for d in range(1, number + 1) if number % d == 0]


def candidate_plans(program: Program, chips: int, sequence: int, batch: int, dtype: Dtype = "bf16") -> list[Plan]:
    """Every plan that divides the model and the chips: exhaustive over TP, PP, CP, EP, DP, VP, ZeRO, MBS, recompute.

    Tensor ranks divide the heads (key-value heads may be repeated on ranks), virtual stages and pipeline ranks need a
    layer each, expert ranks divide the experts and lie inside one pipeline stage, ZeRO-3 goes without pipelining.
    A data rank may get fewer sequences than another, as long as each gets some.

    Parameters
    ----------
    program : the model
    chips : chips that the plan must use exactly [1]
    sequence : tokens of one sequence [1]
    batch : sequences of one step [1]
    dtype : of the matrix products
    """
    return list(_plans(program, chips, sequence, batch, dtype))


def _plans(program: Program, chips: int, sequence: int, batch: int, dtype: Dtype) -> Iterator[Plan]:
    model = program.model
    experts = model.experts.count if model.experts else 1
    tensors = [t for t in divisors(chips) if t <= MOST_TENSOR and model.heads % t == 0]
    for tensor in tensors:
        for pipeline in (p for p in divisors(chips // tensor) if p <= model.layers):
            left = chips // tensor // pipeline
            for context in (
                c for c in divisors(left) if c <= max(1, min(MOST_CONTEXT, sequence // TOKENS_PER_CONTEXT_RANK))
            ):
                data = left // context
                if data > batch:
                    continue
                for expert in (e for e in divisors(experts) if (tensor * left) % e == 0):
                    yield from _shaped(model.layers, tensor, context, pipeline, expert, data, batch, dtype)


def _shaped(
    layers: int, tensor: int, context: int, pipeline: int, expert: int, data: int, batch: int, dtype: Dtype
) -> Iterator[Plan]:
    """Spread one choice of degrees over micro-batch, virtual stages, sharding and recompute."""
    micro_batch = 1
    while micro_batch <= min(MOST_MICRO_BATCH, -(-batch // data)):
        for virtual in (1,) if pipeline == 1 else (1, 2, 4, 8):
            if pipeline * virtual > layers:
                break
            for zero in (1, 3) if pipeline == 1 and data * context > 1 else (1,):
                for recompute in ("none", "full"):
                    yield Plan(
                        tensor=tensor,
                        context=context,
                        pipeline=pipeline,
                        expert=expert,
                        data=data,
                        virtual_stages=virtual,
                        zero=zero,
                        micro_batch=micro_batch,
                        recompute="none" if recompute == "none" else "full",
                        dtype=dtype,
                    )
        micro_batch *= 2


def plan_rows(plans: list[Plan]) -> NDArray[np.float64]:
    """Plans as the array that the kernel takes: (plans, 9)."""
    import numpy as np

    return np.array(
        [
            (
                plan.tensor,
                plan.context,
                plan.pipeline,
                plan.virtual_stages,
                plan.expert,
                plan.data,
                plan.zero,
                plan.micro_batch,
                RECOMPUTES.index(plan.recompute),
            )
            for plan in plans
        ],
        dtype=np.float64,
    ).reshape(len(plans), 9)
