"""The plans and stacks that a measured training row can have had: what it leaves open is every legal possibility.

Some tools count devices where a chip has two of them; then the degrees multiply to a multiple of the chips, and the
innermost ranks, which are neighbours on a chip, become one.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.plan import SCHEDULES, Plan
from simulator.training.legal import has_stages
from simulator.training.schedules.legal import refusal
from supernode.validation.answers import Refused
from supernode.validation.stacks import stacks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.machine import Dtype, Slice
    from simulator.plan import Offload, Recompute, Schedule
    from simulator.program import Stack, Transformer
    from supernode.validation.cases import Case

MICRO_BATCHES = (1, 2, 4, 8)
VIRTUAL_STAGES = (1, 2, 4, 8)
TENSORS = (1, 2, 4, 8)
PIPELINES = (1, 2, 4, 8)
FULLY_SHARDED = 3
ACCUMULATIONS = (1, 4, 16)
"""Micro-batches per pipeline stage and data rank where the global batch is unknown."""
RECOMPUTES: tuple[Recompute, ...] = ("none", "selective", "full")
NAMED_RECOMPUTES: dict[str, Recompute] = {"minimal": "selective"}
"""Modes that stacks call otherwise: MaxText's ``minimal`` keeps all products, so that the attention core runs again."""
PARTS = (0.25, 0.5, 0.75)
"""Shares of the layers that are recomputed under a policy of the stack's own, which keeps some tensors of each."""

PRECISIONS: tuple[tuple[str, Dtype], ...] = (
    ("nvfp4", "fp4"),
    ("fp4", "fp4"),
    ("fp8", "fp8"),
    ("int8", "int8"),
    ("bf16", "bf16"),
    ("fp16", "fp16"),
    ("tf32", "tf32"),
    ("fp32", "fp32"),
)
"""Part of a precision's name in lower case -> dtype of the matrix products; the narrowest that is named counts."""


@dataclass(frozen=True)
class Possibility:
    """A plan, the sequences of one step [1], and the stack that ran it."""

    plan: Plan
    batch: int
    stack: Stack


@dataclass(frozen=True)
class Degrees:
    """Ranks per chip count: tensor, context, pipeline, data; and sequences per micro-batch and data rank, if known.

    ``is_mesh``: they are axes of a device mesh, as are those of experts.
    """

    tensor: int
    context: int
    pipeline: int
    data: int
    micro_batch: int | None
    is_mesh: bool


def possibilities(case: Case, model: Transformer, part: Slice) -> list[Possibility]:
    """Every plan and stack that a row allows.

    Raises
    ------
    Refused : there is none
    """
    wanted = [part.chip.dtype(dtype) for dtype in dtypes(case.text("precision"))]
    stacks = stacks_of(case, part.machine)
    is_mesh = all(stack.training.has_device_mesh for stack in stacks if stack.training)
    can_offload = part.chip.host_link is not None
    found: list[Possibility] = []
    refused = Refused("infeasible", f"global_batch = {case.count('global_batch')} leaves data ranks without a sequence")
    for tensor, context, pipeline in itertools.product(*_open_degrees(case, model)):
        try:
            degrees = _settled(case, part.chips, tensor, context, pipeline, is_mesh=is_mesh)
            for dtype in wanted:
                found.extend(_spread(case, model, degrees, dtype, stacks, can_offload=can_offload))
        except Refused as why:
            refused = why
    if not found:
        raise refused
    able = list(filter(_runs, found))
    if case.text("schedule") and not able:
        raise Refused("infeasible", f"schedule {case.text('schedule')} cannot run these stages and micro-batches")
    is_stated = case.count("vp") and case.number("micro_batch") and not case.text("schedule")
    if able and not is_stated:  # what was not stated was such that it could run
        found = able
    return list(dict.fromkeys(found))


def _runs(found: Possibility) -> bool:
    """Whether the schedule of a possibility can run its stages and micro-batches."""
    plan = found.plan
    micro_batches = -(-found.batch // plan.data) // plan.micro_batch
    return refusal(plan.schedule, plan.pipeline, plan.virtual_stages, micro_batches) is None


def remark(case: Case, chips: int) -> str:
    """What to know where the stated degrees do not multiply to the chips."""
    degrees = [case.count(name) for name in ("tp", "cp", "pp", "dp")]
    if None in degrees or (product := math.prod(size or 1 for size in degrees)) == chips:
        return ""
    if product % chips == 0:
        return f"{product // chips} devices a chip, which the plan counts as one"
    return f"tp x cp x pp x dp = {product}, not {chips} chips: dp taken as what fills them"


def dtypes(precision: str) -> list[Dtype]:
    """The dtypes of the matrix products that a precision's name can mean; an empty one can mean bf16 or fp8."""
    if not precision:
        return ["bf16", "fp8"]
    name = precision.lower().replace("bfloat16", "bf16").replace("float16", "fp16")
    for part, dtype in PRECISIONS:
        if part in name:
            return [dtype]
    raise Refused("unsupported", f"precision {precision} is not known")


def _open_degrees(case: Case, model: Transformer) -> tuple[list[int], list[int], list[int]]:
    tensor, context, pipeline = case.count("tp"), case.count("cp"), case.count("pp")
    return (
        [tensor] if tensor else [size for size in TENSORS if model.heads % size == 0],
        [context or 1],  # splitting sequences is rare and said where it is done
        [pipeline] if pipeline else [size for size in PIPELINES if size <= model.layers],
    )


def _settled(case: Case, chips: int, tensor: int, context: int, pipeline: int, *, is_mesh: bool) -> Degrees:
    """Degrees in chips rather than devices, with the data ranks that fill the chips.

    A micro-batch is that of a data rank, or of a device of a mesh, of which some share their sequences.

    Raises
    ------
    Refused : they cannot be laid on the chips
    """
    devices = _devices(case, chips, tensor, context, pipeline)
    micro_batch = case.number("micro_batch")
    if micro_batch is not None and is_mesh:
        micro_batch *= tensor * context
    if micro_batch is not None and abs(micro_batch - round(micro_batch)) > 1e-6:
        raise Refused("infeasible", f"micro_batch {case.number('micro_batch'):g} is no whole number of sequences")
    data = case.count("dp")
    if devices > 1 and data:
        if tensor % devices == 0:
            tensor //= devices
        elif context % devices == 0:
            context //= devices
        elif data % devices == 0:
            data //= devices
            micro_batch = micro_batch and micro_batch * devices
        else:
            raise Refused("infeasible", f"{devices} devices of a chip share no degree of the plan")
    if chips % (tensor * context * pipeline):
        raise Refused("infeasible", f"tp x cp x pp = {tensor * context * pipeline} does not divide {chips} chips")
    return Degrees(
        tensor,
        context,
        pipeline,
        chips // (tensor * context * pipeline),
        round(micro_batch) if micro_batch else None,
        is_mesh,
    )


def _devices(case: Case, chips: int, tensor: int, context: int, pipeline: int) -> int:
    """Devices of one chip, where the stated degrees multiply to a multiple of the chips; else 1."""
    whole, rest = divmod(tensor * context * pipeline * (case.count("dp") or 1), chips)
    return 1 if rest or not case.count("dp") else max(whole, 1)


def _spread(
    case: Case, model: Transformer, degrees: Degrees, dtype: Dtype, stacks: tuple[Stack, ...], *, can_offload: bool
) -> Iterator[Possibility]:
    """Spread one choice of degrees over what else the row leaves open."""
    if model.heads % degrees.tensor:
        raise Refused("infeasible", f"tp = {degrees.tensor} does not divide {model.heads} heads")
    if degrees.pipeline > model.layers:
        raise Refused("infeasible", f"pp = {degrees.pipeline} is more than the {model.layers} layers")
    layers = model.layers // degrees.pipeline
    schedule = _schedule(case)
    for micro_batch, expert, virtual, (recompute, share, offload), (stack, zero) in itertools.product(
        [degrees.micro_batch] if degrees.micro_batch else MICRO_BATCHES,
        _experts(case, model, degrees),
        _virtual_stages(case, degrees.pipeline),
        savings(case.text("recompute"), can_offload=can_offload),
        [(each, zero) for each in stacks for zero in _shardings(case.text("zero_or_fsdp"), each)],
    ):
        for batch in _batches(case, degrees, micro_batch):
            most = -(-batch // degrees.data)
            if degrees.data > batch or (micro_batch > most and not degrees.micro_batch):
                continue
            if not case.count("vp") and not _has_stages(stack, model, degrees.pipeline, virtual):
                continue
            plan = Plan(
                tensor=degrees.tensor,
                context=degrees.context,
                pipeline=degrees.pipeline,
                expert=expert,
                expert_tensor=degrees.tensor if degrees.is_mesh and model.experts else 1,
                data=degrees.data,
                virtual_stages=virtual,
                schedule=schedule,
                zero=zero,
                shard=_shard(case.text("zero_or_fsdp"), degrees) if zero == FULLY_SHARDED else 0,
                micro_batch=min(micro_batch, most),
                recompute=recompute,
                recompute_layers=max(round(share * layers), 1) if share < 1 else 0,
                sequence_parallel=case.count("sp") != 0,
                adapters=has_adapters(case),
                offload=offload,
                gather_dtype=dtype if dtype == "fp8" else "bf16",  # as the recipes of fp8 training have it
                reduce_dtype=stack.training.reduce_dtype if stack.training else "fp32",
                dtype=dtype,
            )
            yield Possibility(plan, batch, stack)


def _schedule(case: Case) -> Schedule:
    """The order of passes that the row names, or that of most stacks."""
    named = case.text("schedule").lower()
    if named and named not in SCHEDULES:
        raise Refused("unsupported", f"schedule {named} is none of {', '.join(SCHEDULES)}")
    return next((each for each in SCHEDULES if each == named), Plan().schedule)


def _batches(case: Case, degrees: Degrees, micro_batch: int) -> list[int]:
    stated = case.count("global_batch")
    if stated:
        return [stated]
    return [degrees.data * micro_batch * degrees.pipeline * times for times in ACCUMULATIONS]


def _experts(case: Case, model: Transformer, degrees: Degrees) -> list[int]:
    """Expert ranks; on a mesh they have an axis of their own, for which stated axes that fill the chips leave none.

    Tensor ranks of a mesh split each expert.
    """
    if model.experts is None:
        return [1]
    ranks = degrees.context * degrees.data * (1 if degrees.is_mesh else degrees.tensor)
    stated = case.count("ep")
    if degrees.is_mesh and not stated and case.count("dp"):
        return [1]
    sizes = [stated] if stated else [1 << power for power in range(model.experts.count.bit_length())]
    found = [size for size in sizes if ranks % size == 0 and model.experts.count % size == 0]
    if not found:
        raise Refused("infeasible", f"ep = {stated} does not divide {model.experts.count} experts and {ranks} ranks")
    return found


def _shardings(named: str, stack: Stack) -> list[int]:
    """ZeRO stages under the name that the row gives, or that its stack is used with."""
    name = named.lower()
    if "zero-2" in name or "zero2" in name:
        return [2]
    if "fsdp" in name or "zero-3" in name or "zero3" in name:
        return [FULLY_SHARDED]
    if "optimizer" in name or "zero-1" in name or "zero1" in name:
        return [1]
    assert stack.training
    return [stack.training.zero]


def _shard(named: str, degrees: Degrees) -> int:
    """Ranks that share one copy of the parameters, where the name says fewer than all (``FSDP64 x 2 DCN-DP``), or 0."""
    stated = re.match(r"fsdp(\d+)", named.lower())
    ranks = degrees.data * degrees.context
    size = int(stated.group(1)) if stated else 0
    return size if size and size < ranks and ranks % size == 0 else 0


def has_adapters(case: Case) -> bool:
    """Whether the row's model is said to be trained by low-rank adapters: the one word of its name that is read."""
    return "lora" in case.text("model").lower()


def _virtual_stages(case: Case, pipeline: int) -> list[int]:
    if pipeline == 1:
        return [1]
    stated = case.count("vp")
    return [stated] if stated else list(VIRTUAL_STAGES)


def _has_stages(stack: Stack, model: Transformer, pipeline: int, virtual_stages: int) -> bool:
    """Whether a stack can have run so many virtual stages of a model."""
    assert stack.training
    return has_stages(stack.training.virtual_stages, model.layers + model.mtp_layers, pipeline, virtual_stages)


def savings(named: str, *, can_offload: bool) -> list[tuple[Recompute, float, Offload]]:
    """How activations can have been saved: recomputed, in that share of the layers, or kept in host memory.

    A mode that is not stated can be any; a policy of the stack's own recomputes part of each layer, which counts as so
    many layers.
    """
    modes: list[tuple[Recompute, float]] = [(mode, 1.0) for mode in recomputes(named)]
    if is_policy(named):
        modes.extend(("full", share) for share in PARTS)
    if "offload" in named.lower():
        return [(*mode, "activations") for mode in modes]
    found: list[tuple[Recompute, float, Offload]] = [(*mode, "none") for mode in modes]
    if len(modes) > 1 and can_offload:
        found.append(("none", 1.0, "activations"))
        if is_policy(named):
            found.extend(("full", share, "activations") for share in PARTS)
    return found


def is_policy(named: str) -> bool:
    """Whether a recompute mode is a word of the stack's own for what it keeps."""
    return named.lower() not in ("", "unspecified") and len(recomputes(named)) > 1


def recomputes(named: str) -> tuple[Recompute, ...]:
    """What a recompute mode can mean: itself, or everything where it is unknown or a stack's own."""
    name = named.lower()
    for mode in RECOMPUTES:
        if name.startswith(mode):
            return (mode,)
    return (NAMED_RECOMPUTES[name],) if name in NAMED_RECOMPUTES else RECOMPUTES
