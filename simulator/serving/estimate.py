"""The throughput that a service reaches at a limit on the time per output token, and the plan that reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from simulator.collectives import level_rows
from simulator.compute.chip import chip_row
from simulator.errors import Infeasible, InputError
from simulator.figures import Draw
from simulator.machine import slice_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from simulator.machine import Chip, Dtype, Machine
    from simulator.program import Program, Stack

MOST_INSTANCE_CHIPS = 512
MOST_TENSOR = 64


@dataclass(frozen=True)
class ServingPlan:
    """How an instance is laid out: attention in ``copies`` data-parallel copies of ``tensor`` chips, experts on all."""

    tensor: int
    copies: int
    dtype: Dtype

    @property
    def chips(self) -> int:
        """Chips of one instance."""
        return self.tensor * self.copies

    def __str__(self) -> str:
        """The plan as people write it."""
        parts = [f"TP{self.tensor}"] if self.tensor > 1 else []
        if self.copies > 1:
            parts.append(f"DP-attention {self.copies}")
        return " ".join([*parts, f"{self.chips} chips an instance", self.dtype])


@dataclass(frozen=True)
class Serving:
    """A service at its limit.

    Parameters
    ----------
    plan : layout of one instance
    instances : how many of them
    batch : sequences decoded at once by one instance [1]
    ttft_s : time to first token of a request that finds a free slot: prefill and one iteration [s]
    tpot_s : mean time per output token with the prefills of other requests in between [s]
    iteration_s : one decode iteration [s], of it compute, attention, communication and overhead
    output_tokens_per_s : of the whole service
    decode_tokens_per_s : the same if prefill ran elsewhere
    prefill_tokens_per_s : prompt tokens of a service that only prefills
    """

    plan: ServingPlan
    instances: int
    batch: int
    chips: int
    ttft_s: float
    tpot_s: float
    iteration_s: float
    compute_s: float
    attention_s: float
    communication_s: float
    overhead_s: float
    output_tokens_per_s: float
    decode_tokens_per_s: float
    prefill_tokens_per_s: float


@dataclass(frozen=True)
class ServingFound:
    """What a search found: ``best`` or the reason why there is none, and how many layouts were tried."""

    best: Serving | None
    searched: int
    infeasible: Infeasible | None


def serving_dtype(chip: Chip, wanted: Dtype) -> Dtype:
    """Dtype of weights and products: as wanted, else int8 for an 8-bit wish on a chip that has it, else bf16."""
    if wanted not in chip.peak and wanted == "fp8" and "int8" in chip.peak:
        return "int8"
    return chip.dtype(wanted)


def estimate(
    program: Program,
    machine: Machine,
    chips: int,
    stack: Stack,
    *,
    input_tokens: int,
    output_tokens: int,
    tpot_s: float,
    ttft_s: float,
    dtype: Dtype = "bf16",
    draw: Draw | None = None,
) -> ServingFound:
    """Find the layout with the highest output throughput of ``chips`` chips within the limits.

    Steady state of continuous batching at full load: no queue, prompts of equal length, prefill interleaved with
    decoding on the same chips. Instances are legal slices of up to 512 chips; chips that do not make up a whole
    instance stay idle and count in every rate per chip.

    Parameters
    ----------
    program, machine, chips, stack : the model, where it runs, how many chips, a stack with a serving part
    input_tokens, output_tokens : of a request [1]
    tpot_s, ttft_s : limits on time per output token and time to first token [s]
    dtype : wanted for weights and products
    draw : values of uncertain figures; the stated ones by default

    Raises
    ------
    InputError : the stack does not serve
    """
    import numpy as np

    from simulator.serving import kernels

    draw = draw or Draw()
    arrays = _Arrays(program, machine, stack, input_tokens, output_tokens, serving_dtype(machine.chip, dtype), draw)
    parts, out = np.empty(4), np.zeros(6)
    # a server brings kernels of its own (one-shot, two-shot) beside those of the machine's library
    software = msgspec.structs.replace(machine.software, algorithms=())
    best: Serving | None = None
    searched = 0
    least, available, over_limit = float("inf"), 0.0, False
    for size, tensor in _layouts(program, machine, chips):
        copies = size // tensor
        levels = level_rows(slice_of(machine, size).levels, software, draw)
        scratch = np.empty((levels.shape[0] + 1, levels.shape[1]))
        arguments = (program.rows, arrays.counts, arrays.work, arrays.chip, levels, arrays.stack)
        searched += 1
        batch = kernels.best_batch_fast(*arguments, float(tensor), float(copies), tpot_s, scratch, parts, out)
        if out[4] < least:
            least, available = float(out[4]), float(out[5])
        over_limit = over_limit or out[4] <= out[5]
        first_token_s = out[2] + out[3]
        if batch < 1 or first_token_s > ttft_s:
            continue
        instances = chips // size
        whole = batch * copies * instances
        found = Serving(
            plan=ServingPlan(tensor, copies, arrays.dtype),
            instances=instances,
            batch=int(batch * copies),
            chips=chips,
            ttft_s=float(first_token_s),
            tpot_s=float(out[1]),
            iteration_s=float(out[3]),
            compute_s=float(parts[0]),
            attention_s=float(parts[1]),
            communication_s=float(parts[2]),
            overhead_s=float(parts[3]),
            output_tokens_per_s=float(whole / out[1]),
            decode_tokens_per_s=float(whole / out[3]),
            prefill_tokens_per_s=float(input_tokens * copies * instances / out[2]),
        )
        if best is None or found.output_tokens_per_s > best.output_tokens_per_s:
            best = found
    if best is not None:
        return ServingFound(best, searched, None)
    if over_limit:
        return ServingFound(
            None, searched, Infeasible(f"no layout keeps TPOT within {tpot_s:g} s and TTFT within {ttft_s:g} s")
        )
    return ServingFound(
        None, searched, Infeasible("weights and one sequence do not fit in the memory of any layout", least, available)
    )


class _Arrays:
    """Kernel arrays that do not depend on the layout."""

    def __init__(
        self, program: Program, machine: Machine, stack: Stack, inputs: int, outputs: int, dtype: Dtype, draw: Draw
    ) -> None:
        import numpy as np

        if stack.serving is None:
            raise InputError(f"stack {stack.name!r} does not serve", remedy="name a stack with a [serving] table")
        model, figures = program.model, stack.serving
        heads = 1 if model.latent else model.kv_heads
        absorbed = (0, 0)
        if model.latent:
            rank = model.latent.kv_rank
            absorbed = (model.heads * (rank + model.latent.rope_head), model.heads * rank)
        self.dtype = dtype
        self.chip: NDArray[np.float64] = chip_row(machine.chip, dtype, draw)
        self.counts: NDArray[np.float64] = np.array(
            [
                *program.counts(),
                heads,
                program.kv_window_values_per_token,
                model.window,
                *absorbed,
            ],
            dtype=np.float64,
        )
        self.stack: NDArray[np.float64] = np.array(
            [
                draw(figures.iteration_overhead),
                draw(figures.launch),
                draw(figures.memory_fraction),
                draw(figures.communication_exposed),
                draw(figures.expert_imbalance),
                draw(figures.traffic_factor),
                draw(machine.software.collective_launch),
            ]
        )
        self.work: NDArray[np.float64] = np.array([inputs, outputs], dtype=np.float64)


def _layouts(program: Program, machine: Machine, chips: int) -> Iterator[tuple[int, int]]:
    """(instance chips, tensor ranks): legal slices that are powers of two or whole machines, TP dividing the heads."""
    experts = program.model.experts.count if program.model.experts else 0
    for size in _instance_sizes(machine, min(chips, MOST_INSTANCE_CHIPS)):
        tensor = 1
        while tensor <= min(size, MOST_TENSOR):
            copies = size // tensor
            if size % tensor == 0 and program.model.heads % tensor == 0 and (copies == 1 or experts > 0):
                yield size, tensor
            tensor *= 2


def _instance_sizes(machine: Machine, most: int) -> Iterator[int]:
    """Legal slices that are a power of two of chips or of allocation units, then joined machines by powers of two."""
    for size in machine.legal_chips:
        units, rest = divmod(size, machine.allocation.chips)
        if size <= most and (
            _is_power_of_two(size) or (rest == 0 and _is_power_of_two(units)) or size == machine.chips
        ):
            yield size
    joined = 2 * machine.chips
    while joined <= most:
        yield joined
        joined *= 2


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
