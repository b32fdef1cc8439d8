"""What training kernels take beside the plans: a model, its work, a chip, levels and a stack as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simulator.collectives import level_rows
from simulator.compute.chip import WIDTH_BYTES, chip_row
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.program import LOSSES
from simulator.training.placement import placed_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Dtype, Slice
    from simulator.plan import Plan
    from simulator.program import Program, Stack, TrainingStack


class Arrays(NamedTuple):
    """What the training kernel takes, but for the plans; ``levels`` has one slice for each placement of the ranks.

    Kernels leave the spread of the stack (``stack[SPREAD]``) to their callers: all times of a step are so many times
    as long.
    """

    program: NDArray[np.float64]
    counts: NDArray[np.float64]
    work: NDArray[np.float64]
    chip: NDArray[np.float64]
    levels: NDArray[np.float64]
    library: NDArray[np.float64]
    stack: NDArray[np.float64]


def training_arrays(
    program: Program,
    part: Slice,
    stack: Stack,
    *,
    sequence: int,
    batch: int,
    dtype: Dtype,
    draw: Draw,
    attention: Dtype = "bf16",
    skew: float = 1.0,
) -> Arrays:
    """Unpack everything that one step needs into the kernel's arrays.

    Tokens go to their experts over a library of no more than a launch: once to each node that holds some of them, at
    the rate that collectives reach.

    Parameters
    ----------
    program, part, stack, sequence, batch, draw : as in :func:`simulator.training.step.step`
    dtype, attention : of matrix products and of the attention core
    skew : picks of the busiest expert rank over the mean [1]

    Raises
    ------
    InputError : the stack has no training part
    """
    import numpy as np

    from simulator.collectives.exchange.kernels import (
        COMBINE_INSIDE,
        COMBINE_OUTSIDE,
        COMBINE_START,
        CONSTANTS,
        DISPATCH_START,
        NETWORK_LINE,
    )

    if stack.training is None:
        raise InputError(f"stack {stack.name!r} does not train", remedy="name a stack with a [training] table")
    shares = stack.training
    counts = np.array(program.counts(), dtype=np.float64)
    row = _stack_row(shares, program, part, dtype, draw)
    work = np.array([sequence, batch, skew], dtype=np.float64)
    rows = level_rows(part.levels, part.machine.software, draw)
    levels = placed_rows(rows, part)
    library = np.zeros(CONSTANTS)
    library[[DISPATCH_START, COMBINE_START]] = draw(part.machine.software.collective_launch)
    library[[COMBINE_INSIDE, COMBINE_OUTSIDE]] = 1.0
    library[NETWORK_LINE] = len(part.levels) - 1 if part.machines > 1 else -1
    kinds = (dtype, max(dtype, shares.logits_dtype or dtype, key=WIDTH_BYTES.__getitem__))
    chip = np.concatenate([chip_row(part.chip, each, draw, attention=attention) for each in kinds])
    return Arrays(program.rows, counts, work, chip, levels, library, row)


def plan_arrays(
    program: Program,
    plan: Plan,
    part: Slice,
    stack: Stack,
    *,
    sequence: int,
    batch: int,
    draw: Draw | None = None,
    skew: float = 1.0,
) -> Arrays:
    """The arrays of one plan, in its dtypes; arguments as in :func:`simulator.training.step.step`."""
    return training_arrays(
        program,
        part,
        stack,
        sequence=sequence,
        batch=batch,
        dtype=plan.dtype,
        draw=draw or Draw(),
        attention=plan.attention_dtype,
        skew=skew,
    )


def _stack_row(shares: TrainingStack, program: Program, part: Slice, dtype: Dtype, draw: Draw) -> NDArray[np.float64]:
    """A stack under one draw as the kernels take it, for products in one dtype; what it does not state is neutral."""
    import numpy as np

    experts = shares.experts(dtype)
    older = part.chip.attention.portable if shares.attention == "portable" else None
    portable = draw(older) if older else 1.0
    traffic = draw(shares.traffic_factor)
    return np.array(
        [
            draw(shares.tensor_exposed),
            draw(shares.context_exposed),
            draw(experts.expert_exposed),
            draw(shares.data_exposed),
            draw(shares.parameter_gather_exposed),
            draw(shares.contention),
            traffic,
            draw(shares.attention_factor) * portable,
            draw(shares.score_passes),
            draw(shares.launch),
            draw(experts.expert_matmul_factor),
            draw(experts.expert_launch),
            draw(shares.step_overhead),
            draw(shares.jitter),
            draw(shares.memory_reserve),
            draw(part.machine.software.collective_launch),
            LOSSES.index(shares.loss),
            shares.is_whole_program,
            shares.keeps_master,
            draw(shares.context_score_passes),
            draw(shares.spread(has_experts=program.moe_layers > 0)),
            draw(experts.expert_traffic_factor) if experts.expert_traffic_factor else traffic,
            draw(experts.expert_casts) if experts.expert_casts else 0.0,
            shares.recompute_stops_early,
            shares.shards_layers,
            draw(shares.expert_padding) * part.chip.devices if shares.expert_padding else 0.0,
            draw(shares.routing) / part.chip.devices if shares.routing else 0.0,
            draw(shares.copies_exposed) if shares.copies_exposed else 0.0,
        ]
    )
