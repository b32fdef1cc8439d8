"""Predicts a measured kernel on one chip: a matrix product, attention, or a layer of experts, timed alone.

A row's time is that of the operator (see :mod:`simulator.compute.kernels`) at the rate that kernels reach rather than
long runs sustain, and what its library adds: a start, and passes over its activations.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import topologies
from simulator.errors import InputError
from simulator.figures import Draw, figures_of
from supernode.validation.answers import Predicted, Refused, predicted
from supernode.validation.experts import loads
from supernode.validation.parts import draws

if TYPE_CHECKING:
    from simulator.machine import Chip, Dtype
    from supernode.validation.cases import Case

CHIPS = {
    "a100": "a100-80gb",
    "a100_sxm": "a100-80gb",
    "h100": "h100-sxm",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200",
    "b300_sxm": "b300",
}
"""Systems as kernel tables name them -> chips of the catalogue; other names are the catalogue's own."""

DTYPES: dict[str, Dtype] = {"bfloat16": "bf16", "float16": "bf16", "fp8_block": "fp8", "nvfp4": "fp4"}
"""Types of numbers as kernel tables name them -> ours; those not named here are ours already."""

LATENT = (192, 128, 512, 64)
"""Sizes of a latent head in the tables: query and key, value, latent, rotated part (DeepSeek-V2 and later)."""

OWN_CASTS = "vllm"
"""A library whose quantised products are a kind of their own: it casts activations in other kernels than the rest."""

_MILLISECOND = 1e-3
_ACTIVATION_BYTES = 2.0


class Kernel(NamedTuple):
    """What a row runs: kind of kernel, dtypes of products and of the attention core, bytes of its activations."""

    kind: str
    dtype: Dtype
    core: Dtype
    activation_bytes: float


def measured(case: Case) -> tuple[float, str]:
    """What was measured: the time [s]."""
    if latency := case.measured.get("latency_ms"):
        return latency * _MILLISECOND, "s"
    raise Refused("unsupported", "no time was measured")


def described(case: Case) -> str:
    """What ran, in a few words."""
    numbers = " ".join(f"{name}={value:g}" for name, value in case.given.items() if not isinstance(value, str))
    return f"{case.title} {numbers}".strip()


def predict(case: Case, unit: str, seed: int) -> Predicted:
    """Predict the time of a row [s]."""
    import numpy as np

    if unit != "s":
        raise Refused("unsupported", f"unit {unit} is not converted")
    chip = chip_of(case)
    kernel = kernel_of(case, chip)
    times = [[seconds_of(case, kernel, chip, draw)] for draw in _draws(chip.name, seed)]
    note = "" if kernel.kind in chip.kernels else f"start and passes of {kernel.kind} are not known on {chip.name}"
    return predicted(np.array(times), note=note)


@functools.lru_cache(maxsize=128)
def _draws(chip: str, seed: int) -> tuple[Draw, ...]:
    """The stated figures of a chip and draws of them, the same for all its rows."""
    return tuple(draws({figure.key: figure for figure in figures_of(topologies.chip(chip))}, seed))


def chip_of(case: Case) -> Chip:
    """The chip that a row was timed on.

    Raises
    ------
    Refused : it is not in the catalogue
    """
    name = case.text("system")
    try:
        return topologies.chip(topologies.resolve("chips", CHIPS.get(name.lower(), name.lower())))
    except InputError:
        raise Refused("unsupported", f"chip {name or 'without a name'} is not in the catalogue") from None


def kernel_of(case: Case, chip: Chip) -> Kernel:
    """What kind of kernel a row is, and in which types of numbers.

    Raises
    ------
    Refused : types that the chip lacks, or of which the row does not say which one is computed in
    """
    if "moe_dtype" in case.given:
        return _experts_kernel(case, chip)
    if "mla_dtype" in case.given:
        heads, (query, value, *_) = case.count("num_heads") or 1, LATENT
        cache = _name(case.text("kv_cache_dtype"))
        kind = "latent-decode" if _is_decode(case) else "latent"
        moved = _tokens(case) * heads * 2 * (query + value)
        return Kernel(f"{kind}-{cache}", "bf16", "bf16", _ACTIVATION_BYTES * moved)
    if "attn_dtype" in case.given:
        return _attention_kernel(case, chip)
    name = _name(case.text("dtype"))
    dtype = _known(case.text("dtype"), chip)
    library = f"-{OWN_CASTS}" if dtype != "bf16" and case.text("framework").lower() == OWN_CASTS else ""
    moved = _ACTIVATION_BYTES * _number(case, "m") * _number(case, "k")
    return Kernel(f"product-{name}{library}", dtype, "bf16", moved)


def seconds_of(case: Case, kernel: Kernel, chip: Chip, draw: Draw) -> float:
    """Time of a row on a chip under a draw [s]."""
    return seconds_on(case, kernel, chip, row_of(kernel, chip, draw), draw)


def row_of(kernel: Kernel, chip: Chip, draw: Draw) -> Any:
    """The chip as an array, in the types of numbers of a kernel."""
    from simulator.compute.chip import chip_row

    return chip_row(chip, kernel.dtype, draw, attention=kernel.core, is_sustained=False)


def seconds_on(case: Case, kernel: Kernel, chip: Chip, row: Any, draw: Draw) -> float:
    """The same with the chip as an array (see :func:`row_of`) that other rows may share [s]."""
    from simulator.compute import kernels

    cost = chip.kernels.get(kernel.kind)
    if cost is None:
        return float(row[kernels.DELAY] + _operator_seconds(case, row))
    if cost.rate:
        row = row.copy()
        row[kernels.RATE] *= draw(cost.rate)
    moved = draw(cost.passes) * kernel.activation_bytes / row[kernels.HBM] if cost.passes else 0.0
    return float(draw(cost.start) + moved + _operator_seconds(case, row))


def _operator_seconds(case: Case, row: Any) -> float:
    from simulator.compute import kernels

    if "moe_dtype" in case.given:
        return _experts_seconds(case, row)
    if "attn_dtype" in case.given or "mla_dtype" in case.given:
        return _attention_seconds(case, row)
    m, n, k = (_number(case, name) for name in "mnk")
    return float(kernels.matmul_seconds(m, n, k, row))


def _attention_seconds(case: Case, row: Any) -> float:
    """Attention of a prompt, or of one more token over a cache [s]."""
    from simulator.compute import kernels

    batch, heads, tokens = _number(case, "batch_size"), _number(case, "num_heads"), _number(case, "isl")
    if "mla_dtype" in case.given:
        query, value, latent, rotated = LATENT
        width, cached = heads * (query + value), float(latent + rotated)
        sizes, absorbed = (float(query), float(value)), (float(latent + rotated), float(latent))
    else:
        size = _number(case, "head_dim")
        width = cached = 2 * _number(case, "num_key_value_heads") * size
        sizes = absorbed = (size, size)
    if _is_decode(case):
        context = tokens + _number(case, "step")
        return float(
            kernels.decode_attention_seconds(batch, context, heads, *absorbed, cached * _cache_bytes(case), row)
        )
    return float(kernels.attention_forward_seconds(batch, tokens, tokens / 2, heads, *sizes, width, row))


def _attention_kernel(case: Case, chip: Chip) -> Kernel:
    core, cache = _name(case.text("attn_dtype")), _name(case.text("kv_cache_dtype"))
    heads = _number(case, "num_heads") + _number(case, "num_key_value_heads")
    moved = _ACTIVATION_BYTES * _tokens(case) * 2 * heads * _number(case, "head_dim")
    if _is_decode(case):
        return Kernel(f"decode-{cache}", "bf16", "bf16", moved)
    if core != cache:
        reason = f"queries in {core} over a cache in {cache}: which of the two is computed in differs by library"
        raise Refused("unsupported", reason)
    dtype = _known(case.text("attn_dtype"), chip)
    return Kernel(f"attention-{core}", "bf16", dtype, moved)


def _experts_kernel(case: Case, chip: Chip) -> Kernel:
    name = _name(case.text("moe_dtype"))
    if name.startswith("w"):
        raise Refused("unsupported", f"weights and products in types of their own ({name})")
    rows, hidden, inner = loads(case).sum(), _number(case, "hidden_size"), _inner(case)
    moved = rows * (2 * hidden + (1 + _gates(case)) * inner) + 2 * _number(case, "num_tokens") * hidden
    kind = f"experts-{name}" + ("-min-latency" if "min_latency" in case.text("kernel_source") else "")
    return Kernel(kind, _known(case.text("moe_dtype"), chip), "bf16", _ACTIVATION_BYTES * float(moved))


def _experts_seconds(case: Case, row: Any) -> float:
    """Both products of the experts of the busiest rank [s]."""
    from simulator.compute import kernels

    held = loads(case)
    busy = held[held > 0]
    hidden, inner = _number(case, "hidden_size"), _inner(case)
    rows = sum(math.ceil(each / row[kernels.TILE_M]) for each in busy)
    total = 0.0
    for n, k in ((_gates(case) * inner, hidden), (hidden, inner)):
        tiles = rows * math.ceil(n / row[kernels.TILE_N])
        total += kernels.grouped_tiles_seconds(tiles, len(busy), float(busy.sum()), n, k, row)
    return total


def _inner(case: Case) -> float:
    return _number(case, "inter_size") / _number(case, "moe_tp_size")


def _gates(case: Case) -> int:
    """Input matrices of an expert: with a gate two, unless the row names a kernel without."""
    return 1 if "nongated" in case.text("kernel_source") else 2


def _is_decode(case: Case) -> bool:
    return case.text("phase") == "generation" or (_number(case, "isl") == 1 and _number(case, "step") > 0)


def _tokens(case: Case) -> float:
    return _number(case, "batch_size") * (1 if _is_decode(case) else _number(case, "isl"))


def _cache_bytes(case: Case) -> float:
    from simulator.compute.chip import WIDTH_BYTES

    return WIDTH_BYTES["fp8" if _name(case.text("kv_cache_dtype")) == "fp8" else "bf16"]


def _name(text: str) -> str:
    """A type of numbers in the names of kernels: ours, but for the ways of scaling that we do not tell apart."""
    return "fp8-block" if text == "fp8_block" else DTYPES.get(text, text or "bf16")


def _known(text: str, chip: Chip) -> Dtype:
    dtype = DTYPES.get(text, text or "bf16")
    if dtype not in chip.peak:
        raise Refused("unsupported", f"{chip.name} has no {text}")
    return dtype


def _number(case: Case, column: str) -> float:
    found = case.number(column)
    if found is None:
        raise Refused("unsupported", f"{column} is empty")
    return found
