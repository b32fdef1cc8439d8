"""Every legal plan of a model on a number of chips, as blocks of rows for the kernel.

The same plans as :func:`simulator.training.legal.check_plan` lets through (a test compares both), made block by block
so that millions never lie in memory at once. Plans with the same layers follow each other: the kernel prices them once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from simulator.plan import CONTEXT_MODES, RECOMPUTES, SCHEDULES, Plan
from simulator.training.legal import ENDS, context_parts, fills_stages, has_stages
from simulator.training.placement import axis_orders
from simulator.training.plans import plan_rows
from simulator.training.rows import kernels as columns
from simulator.training.schedules import refusal
from simulator.training.schedules.legal import V_SHAPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Slice
    from simulator.plan import ContextMode, Recompute, Schedule, VirtualStages
    from simulator.program import Program, Stack

WITHIN = (
    columns.EXPERT,
    columns.EXPERT_TENSOR,
    columns.MICRO_BATCH,
    columns.RECOMPUTE,
    columns.CONTEXT_MODE,
    columns.PLACEMENT,
)
AROUND = (columns.PIPELINE, columns.DATA, columns.VIRTUAL, columns.SCHEDULE, columns.ZERO, columns.SHARD_RANKS)
MOST_PAIRS = 400_000
"""Combinations that are looked at in one go; what they take in memory is some hundred bytes each."""


@dataclass(frozen=True)
class Space:
    """What a search considers of each choice of a plan; degrees are all that divide.

    Parameters
    ----------
    least_tokens : of a sequence on a context rank [1]
    micro_batches : sequences of a micro-batch [1]
    recomputes, zeros, schedules, context_modes : choices of these fields
    virtual_stages : which of them are considered; schedules in a V have their two all the same
    splits_experts : whether experts are split over the ranks that divide the tensor ranks, or kept whole
    shards : whether ZeRO may split over the machine, rack or cube around a rank, rather than over all ranks
    places : whether every order of the axes of a torus is considered
    """

    least_tokens: int = 1024
    micro_batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    recomputes: tuple[Recompute, ...] = RECOMPUTES
    zeros: tuple[int, ...] = (0, 1, 2, 3)
    schedules: tuple[Schedule, ...] = ("1f1b",)
    virtual_stages: VirtualStages = "uneven"
    context_modes: tuple[ContextMode, ...] = ("ring", "ulysses")
    splits_experts: bool = True
    shards: bool = True
    places: bool = True


USUAL = Space(
    least_tokens=2048,
    micro_batches=(1, 2, 4, 8),
    recomputes=("none", "full"),
    zeros=(1, 3),
    context_modes=("ring",),
    splits_experts=False,
    shards=False,
)
"""What is worth pricing where a search is one of many."""


def space_of(stack: Stack, base: Space | None = None) -> Space:
    """A space (all there is by default) with what a stack has, without what cannot save anything under it.

    A stack has schedules and virtual stages. Selective recompute makes attention scores again; where attention is fused
    none are stored.
    """
    from dataclasses import replace

    wide = base or Space()
    shares = stack.training
    if shares is None:
        return wide
    recomputes = tuple(mode for mode in wide.recomputes if mode != "selective" or shares.score_passes.si > 0)
    return replace(wide, schedules=shares.schedules, virtual_stages=shares.virtual_stages, recomputes=recomputes)


class Block(NamedTuple):
    """Legal plans (plans, 27), and how many combinations beside them do not divide [1]."""

    rows: NDArray[np.float64]
    undivided: int


def divisors(number: int) -> list[int]:
    """All divisors, ascending.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def pairs_of(program: Program, chips: int, sequence: int, space: Space) -> list[tuple[int, int]]:
    """Tensor and context degrees that divide the heads, the chips and the sequence."""
    return [
        (tensor, context)
        for tensor in divisors(chips)
        if program.model.heads % tensor == 0
        for context in divisors(chips // tensor)
        if (context == 1 or sequence // context >= space.least_tokens)
        and _context_modes(program, tensor, context, sequence, space)
    ]


def candidate_blocks(
    program: Program, part: Slice, chips: int, *, sequence: int, batch: int, space: Space, base: Plan
) -> Iterator[Block]:
    """Every legal plan that uses exactly ``chips`` chips of a slice, in blocks; see :func:`blocks_of`."""
    for tensor, context in pairs_of(program, chips, sequence, space):
        degrees = (chips, tensor, context)
        yield from blocks_of(program, part, degrees, sequence=sequence, batch=batch, space=space, base=base)


def blocks_of(
    program: Program,
    part: Slice,
    degrees: tuple[int, int, int],
    *,
    sequence: int,
    batch: int,
    space: Space,
    base: Plan,
) -> Iterator[Block]:
    """Plans of one tensor and context degree: ways to run a layer times ways to put layers together.

    Parameters
    ----------
    program, part : the model and the slice
    degrees : chips that a plan uses, tensor and context ranks [1]
    sequence, batch : tokens of a sequence, sequences of a step [1]
    space : what is considered
    base : what plans have that is not searched: dtypes, overlap
    """
    import numpy as np

    _, tensor, context = degrees
    modes = _context_modes(program, tensor, context, sequence, space)
    within = np.array(_layer_choices(program, part, tensor, modes, space), dtype=np.int64)
    around = np.array(_stage_choices(program, part, degrees, space), dtype=np.int64)
    if not around.size or not within.size:
        return
    runs = {size: _runs(around, batch, size) for size in space.micro_batches}
    whole = plan_rows([base])
    whole[0, columns.TENSOR], whole[0, columns.CONTEXT] = tensor, context
    ranks = tensor * context * around[:, 1]
    at_once = max(1, MOST_PAIRS // len(around))
    for first in range(0, len(within), at_once):
        some = within[first : first + at_once]
        is_legal = ranks % (some[:, 0] * some[:, 1])[:, None] == 0
        is_legal &= np.stack([runs[size] for size in some[:, 2].tolist()])
        i, j = np.nonzero(is_legal)
        rows = np.repeat(whole, len(i), axis=0)
        for place, column in enumerate(WITHIN):
            rows[:, column] = some[i, place]
        for place, column in enumerate(AROUND):
            rows[:, column] = around[j, place]
        yield Block(rows, is_legal.size - len(i))


def _runs(around: NDArray[np.int64], batch: int, micro_batch: int) -> NDArray[np.bool_]:
    """Whether the batch divides into such micro-batches, so many that the schedule can run them."""
    import numpy as np

    def can(pipeline: int, data: int, virtual: int, schedule: int) -> bool:
        micro_batches, rest = divmod(batch, data * micro_batch)
        if rest or not micro_batches:
            return False
        return pipeline == 1 or refusal(SCHEDULES[schedule], pipeline, virtual, micro_batches) is None

    return np.array([can(*row) for row in around[:, :4].tolist()], dtype=np.bool_)


def _context_modes(program: Program, tensor: int, context: int, sequence: int, space: Space) -> list[int]:
    if context == 1:
        return [CONTEXT_MODES.index(Plan().context_mode)]
    heads = program.model.heads // tensor
    return [
        CONTEXT_MODES.index(mode)
        for mode in space.context_modes
        if sequence % context_parts(mode, context) == 0 and (mode != "ulysses" or heads % context == 0)
    ]


def _layer_choices(program: Program, part: Slice, tensor: int, modes: list[int], space: Space) -> list[tuple[int, ...]]:
    """(EP, ETP, micro-batch, recompute, context mode, placement)."""
    experts = program.model.experts
    splits = divisors(tensor) if experts and space.splits_experts else [1]
    return [
        (expert, split, micro_batch, RECOMPUTES.index(recompute), mode, placement)
        for placement in range(len(axis_orders(part)) if space.places else 1)
        for expert in divisors(experts.count if experts else 1)
        for split in splits
        if experts is None or experts.ffn % split == 0
        for mode in modes
        for micro_batch in space.micro_batches
        for recompute in space.recomputes
    ]


def _stage_choices(program: Program, part: Slice, degrees: tuple[int, int, int], space: Space) -> list[tuple[int, ...]]:
    """(PP, DP, VP, schedule, ZeRO, shard); behind a pipeline, which adds gradients up, ZeRO-2 is ZeRO-1."""
    chips, tensor, context = degrees
    found: list[tuple[int, ...]] = []
    for pipeline in (p for p in divisors(chips // tensor // context) if p <= program.layers):
        data = chips // tensor // context // pipeline
        shards = _shards(part, tensor, context * data) if space.shards else []
        zeros = [
            zero for zero in space.zeros if zero != columns.GRADIENTS_SPLIT or pipeline == 1 or 1 not in space.zeros
        ]
        for schedule, virtual in _orders(program.layers, pipeline, space):
            for zero in zeros:
                order = (pipeline, data, virtual, SCHEDULES.index(schedule), zero)
                found += [(*order, shard) for shard in ([0, *shards] if zero else [0])]
    return found


def _orders(layers: int, pipeline: int, space: Space) -> Iterator[tuple[Schedule, int]]:
    """Schedules with the virtual stages that they can have on a pipeline, whatever its micro-batches."""
    if pipeline == 1:
        yield Plan().schedule, 1
        return
    for schedule in space.schedules:
        folded = [2] if fills_stages(layers, pipeline, 2) else []
        for virtual in folded if schedule in V_SHAPED else virtual_choices(layers, pipeline, space.virtual_stages):
            enough = 2 * pipeline * virtual  # micro-batches that every schedule can run
            if refusal(schedule, pipeline, virtual, enough) is None:
                yield schedule, virtual


def virtual_choices(layers: int, pipeline: int, how: VirtualStages = "uneven") -> list[int]:
    """Virtual stages worth a look: every number that the software has and that makes the longest chunk shorter.

    More chunks of the same longest length wait as long for each other and send more messages.

    >>> virtual_choices(61, 4)
    [1, 2, 3, 4, 6, 8]
    >>> virtual_choices(60, 4, "even")
    [1, 3, 5, 15]
    """
    legal = [n for n in range(1, layers + ENDS + 1) if has_stages(how, layers, pipeline, n)]
    longest = [math.ceil(layers / (pipeline * n)) for n in legal]
    return [n for i, n in enumerate(legal) if i == 0 or longest[i] < longest[i - 1]]


def _shards(part: Slice, tensor: int, ranks: int) -> list[int]:
    """Ranks of context x data inside a machine, rack or cube, where they are fewer than all and divide them [1]."""
    cube = 1
    for level in part.levels:
        cube *= level.block if level.kind == "axis" else 1
    inside, found = 1, {cube}
    for level in part.levels[:-1]:
        inside *= level.size
        if level.kind != "axis":
            found.add(inside)
    axes = [level.size for level in part.levels if level.kind == "axis"]
    if axes and len(axes) < len(part.levels):
        inside = 1
        for size in axes:
            inside *= size
        found.add(inside)
    shards = {chips // tensor for chips in found if chips % tensor == 0}
    return sorted(n for n in shards if 1 < n < ranks and ranks % n == 0)
