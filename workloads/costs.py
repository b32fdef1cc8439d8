"""What a model costs wherever it runs: FLOPs and bytes per token by phase, in closed form from its operator table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from simulator.program import ATTENTION, HEAD, TRAFFIC
from workloads.program import kv_values, rows

if TYPE_CHECKING:
    from simulator.program import Transformer
    from workloads.program import Row

LENGTHS = (4096, 32_768)
"""Lengths of a sequence at which costs are shown, beside the model's context [tokens]."""
BACKWARD = 2
"""FLOPs of the backward pass over those of the forward pass: a product for the inputs and one for the weights."""


class Flops(NamedTuple):
    """FLOPs of one token where a sequence is ``tokens`` long [1].

    Parameters
    ----------
    tokens : of a sequence, under a causal mask [1]
    forward : mean of a training sequence, with the logits of every token; prediction modules included
    backward : twice the forward pass; nothing is computed again
    training_step : both
    prefill : mean of a prompt, with the logits of its last token only
    decode : of the token that follows, over everything cached; latent attention on the cached latents themselves
    """

    tokens: int
    forward: float
    backward: float
    training_step: float
    prefill: float
    decode: float


def flops_per_token(model: Transformer, tokens: int) -> Flops:
    r"""FLOPs of a token in the phases of training and serving.

    .. math:: F(s) = \sum_{matmuls} 2 N K L A + \sum_{attention} 2 (N + K) L c(s)

    with :math:`N, K, L, A` of a row as in :mod:`workloads.program` and :math:`c(s)` the mean number of keys that a
    token sees: :math:`s / 2`, in a window :math:`w (1 - w / 2 s)`, in a chunk :math:`w / 2`.
    """
    forward = sum(_row_flops(row, mean_keys(tokens, row.window)) for row in rows(model))
    served = list(rows(msgspec.structs.replace(model, mtp_layers=0)))
    logits = sum(_row_flops(row, 0) for row in served if row.scope == HEAD)
    prefill = sum(_row_flops(row, mean_keys(tokens, row.window)) for row in served) - logits * (1 - 1 / tokens)
    decode = sum(_row_flops(_on_latents(row, model), last_keys(tokens, row.window)) for row in served)
    return Flops(tokens, forward, BACKWARD * forward, (1 + BACKWARD) * forward, prefill, decode)


def kv_values_per_sequence(model: Transformer, tokens: int) -> float:
    """Values that serving keeps for a sequence of ``tokens`` [1]; a layer with a window keeps no more than that."""
    kept = model.layers * tokens - model.windowed_layers * max(0, tokens - model.window)
    return float(kv_values(model) * kept)


def lengths(model: Transformer) -> tuple[int, ...]:
    """Lengths at which a model's costs are shown: the usual ones that it takes, and its context [tokens]."""
    return (*(each for each in LENGTHS if each < model.context), model.context)


def mean_keys(tokens: int, window: int) -> float:
    """Mean number of keys that a causal query sees; ``window`` as in the column WINDOW [1].

    >>> mean_keys(4096, 0), mean_keys(4096, 1024), mean_keys(4096, -1024)
    (2048.0, 896.0, 512.0)
    """
    if window < 0 and -window < tokens:
        whole, rest = divmod(tokens, -window)
        return (whole * window**2 + rest**2) / (2 * tokens)
    if window <= 0 or window >= tokens:
        return tokens / 2
    return window * (1 - window / (2 * tokens))


def last_keys(tokens: int, window: int) -> float:
    """Number of keys that the token after ``tokens`` others sees, in chunks its mean [1]; see :func:`mean_keys`."""
    if window < 0 and -window < tokens:
        return -window / 2
    return tokens if window <= 0 else min(tokens, window)


def _row_flops(row: Row, keys: float) -> float:
    if row.kind == TRAFFIC:
        return 0.0
    if row.kind == ATTENTION:
        return 2 * (row.n + row.k) * keys * row.layers
    return 2 * row.n * row.k * row.layers * row.active


def _on_latents(row: Row, model: Transformer) -> Row:
    """An attention row as decoding runs it: on the cached latents, where the model has them."""
    if row.kind != ATTENTION or model.latent is None:
        return row
    rank = model.latent.kv_rank
    return row._replace(n=model.heads * (rank + model.latent.rope_head), k=model.heads * rank)
