"""What a model costs wherever it runs, as the catalogue shows it: parameters, FLOPs per token, bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from simulator.compute.chip import WIDTH_BYTES

if TYPE_CHECKING:
    from simulator.program import Transformer
    from workloads.costs import Flops

DTYPES = ("fp32", "bf16", "fp8", "fp4")
KV_DTYPES = ("bf16", "fp8")


@dataclass(frozen=True)
class ModelCosts:
    """Our own counts of a model.

    Parameters
    ----------
    parameters : total; active, those that a token multiplies; embedding and output matrices; routed experts [1]
    flops_per_token : by length of the sequence
    weight_bytes : dtype -> all parameters in it [B]
    kv_bytes_per_token : dtype -> cache of one token in all layers [B]
    kv_bytes_per_sequence : dtype -> cache of one sequence of the lengths of ``flops_per_token`` [B]
    """

    parameters: dict[str, int]
    flops_per_token: tuple[Flops, ...]
    weight_bytes: dict[str, float]
    kv_bytes_per_token: dict[str, float]
    kv_bytes_per_sequence: dict[str, tuple[float, ...]]


def model_costs(model: Transformer) -> ModelCosts:
    """Count a model's parameters, FLOPs and bytes."""
    from workloads.costs import flops_per_token, kv_values_per_sequence, lengths
    from workloads.program import count, looked_up

    counts, sequences = count(model), lengths(model)
    kept = [kv_values_per_sequence(model, tokens) for tokens in sequences]
    return ModelCosts(
        parameters={
            "total": counts.parameters,
            "active": counts.parameters - counts.idle - looked_up(model),
            "embedding": counts.embedding + counts.head,
            "experts": counts.experts,
        },
        flops_per_token=tuple(flops_per_token(model, tokens) for tokens in sequences),
        weight_bytes={dtype: counts.parameters * WIDTH_BYTES[dtype] for dtype in DTYPES},
        kv_bytes_per_token={dtype: kv_values_per_sequence(model, 1) * WIDTH_BYTES[dtype] for dtype in KV_DTYPES},
        kv_bytes_per_sequence={dtype: tuple(values * WIDTH_BYTES[dtype] for values in kept) for dtype in KV_DTYPES},
    )


def costs_json(costs: ModelCosts) -> dict[str, Any]:
    """The same as plain tables and lists."""
    return asdict(costs) | {"flops_per_token": [each._asdict() for each in costs.flops_per_token]}
