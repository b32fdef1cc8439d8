"""A model's architecture as a table of operators and counts: what the engine prices, with no machine in it.

:func:`program` gives one row per kind of operator and layer kind. Tokens scale every row; the plan splits it.

=======================  =============  =========================  ====================  =======  ====================
row                      KIND           N                          K                     SHARD    SCOPE
=======================  =============  =========================  ====================  =======  ====================
query, key, value        matmul         (heads + 2 kv_heads) head  hidden                columns  every layer
latent query down, up    matmul         q_rank; heads (nope+rope)  hidden; q_rank        whole,   every layer
                                                                                         columns
latent key-value down,   matmul         kv_rank + rope;            hidden; kv_rank       whole,   every layer
up                                      heads (nope + value)                             columns
attention core           attention      heads x query size         heads x value size    columns  every layer: one row
                                                                                                  for each window
attention output         matmul         hidden                     heads x value size    rows     every layer
dense MLP in             matmul         2 ffn (ffn if not gated)   hidden                columns  dense layers
dense MLP out            matmul         hidden                     ffn                   rows     dense layers
router                   matmul         experts                    hidden                whole    MoE layers
shared experts in, out   matmul         a dense MLP of width shared x expert ffn         columns, MoE layers
                                                                                         rows
routed experts in, out   expert matmul  a dense MLP, for one expert; ACTIVE = experts    columns, MoE layers
                                        that a token visits                              rows
logits                   matmul         vocab                      hidden                columns  head (LAYERS = 1)
prediction module        matmul         hidden                     2 hidden              columns  head (LAYERS = 1)
norms and residuals      traffic        2 norms_per_layer          0                     whole    every layer
activation, dispatch     traffic        0                          see below             whole    dense; MoE layers
final norm, loss         traffic        2                          4 vocab / hidden      whole    head (LAYERS = 1)
norms of a module        traffic        4                          0                     whole    head (LAYERS = 1)
=======================  =============  =========================  ====================  =======  ====================

A token costs 2 N K FLOPs in a matmul, 2 N K ACTIVE in an expert matmul, and in the attention core 2 (N + K) for each
position that it sees (at most WINDOW, where that is not 0; half the sequence on average under a causal mask; where
WINDOW is negative, half a chunk of that size).

A multi-token prediction module is one more layer like the last (so LAYERS counts it), with a product that joins the
layer's input with the next token's embedding, two norms before it, and the logits once more; embedding and output
matrix are those of the model (DeepSeek-V3, arXiv 2412.19437, section 2.2).

Traffic is memory-bound work beside the matmuls, forward only, in reads or writes of one vector of ``hidden`` two-byte
values per token. The rule counts what a stack with the usual fusions moves: each norm site reads the residual stream
and writes its normed copy (2 a norm, the residual addition rides along); an activation function writes its output and
the next matmul's prologue reads it (2 x width / hidden); an expert layer also copies each token to its experts' order
and back (2 x active); rotation, masks and biases ride on the matmuls, except that what experts with biases make is
read and written once more, since products of groups do not add them (2 x active x (inner width / hidden + 1)). A dense
Llama layer comes to about 10, and with twice that in the backward pass to about 30, which is what step times published
for GPU stacks ask for; a stack's ``traffic_factor`` scales it. The loss reads and writes the logits in four bytes a
value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from simulator.program import (
    ATTENTION,
    COLUMNS,
    DENSE_LAYER,
    EVERY_LAYER,
    EXPERT_MATMUL,
    HEAD,
    MATMUL,
    MOE_LAYER,
    ROWS,
    TRAFFIC,
    WHOLE,
    Program,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.program import Transformer

PASSES = 2
"""Vectors moved by an operator that is fused with its neighbours: one read, one write."""
LOGIT_VECTORS = 4
"""Two-byte values moved per logit by the loss: one read and one write of four bytes."""
MTP_NORMS = 3
"""Norms of a multi-token prediction module beside those of its layer: of either input, and before the logits."""


class Row(NamedTuple):
    """One operator template; the order of the fields is that of the columns in :mod:`simulator.program`."""

    kind: int
    n: float
    k: float
    shard: int
    layers: int
    scope: int
    window: int = 0
    active: int = 1


class Counts(NamedTuple):
    """Where a model's parameters are [1]; :attr:`parameters` is their sum, every tensor of the model once.

    ``split`` and ``whole`` are sums over all layers (those of prediction modules included) of what tensor parallelism
    splits and does not split, without the routed experts; ``idle`` is the part of ``experts`` that a token does not
    visit; ``rest`` is the final norm.
    """

    embedding: int
    head: int
    positions: int
    split: int
    whole: int
    experts: int
    idle: int
    rest: int

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.embedding + self.head + self.positions + self.split + self.whole + self.experts + self.rest


def program(model: Transformer) -> Program:
    """Compile a model into the table of operators and counts that the engine prices.

    ``active_parameters`` are those that a token multiplies: all but the experts it does not visit and but the input
    embedding and learned positions, which are looked up (a tied embedding counts, as the output matrix).
    """
    import numpy as np  # here, so that listing models does not wait for it

    counts = count(model)
    layers, moe = all_layers(model), moe_layers(model)
    kv = kv_values(model)
    return Program(
        model=model,
        rows=np.array(list(rows(model)), dtype=np.float64),
        layers=layers,
        moe_layers=moe,
        parameters=float(counts.parameters),
        active_parameters=float(counts.parameters - counts.idle - looked_up(model)),
        embedding_parameters=float(counts.embedding + counts.head),
        split_parameters_per_layer=counts.split / layers,
        whole_parameters_per_layer=counts.whole / layers,
        expert_parameters_per_layer=counts.experts / moe if moe else 0.0,
        kv_values_per_token=float(layers * kv),
        kv_window_values_per_token=float(model.windowed_layers * kv if model.window else 0),
    )


def looked_up(model: Transformer) -> int:
    """Parameters that a token looks up rather than multiplies: learned positions, and an embedding of its own [1]."""
    positions = model.context * model.hidden if model.learned_positions else 0
    return positions + (0 if model.tied else model.vocab * model.hidden)


def all_layers(model: Transformer) -> int:
    """Layers of the model and of its multi-token prediction modules [1]."""
    return model.layers + model.mtp_layers


def moe_layers(model: Transformer) -> int:
    """Those of them with a mixture of experts [1]; a prediction module has one where the model has."""
    if model.experts is None:
        return 0
    return (model.layers - model.experts.dense_layers) // model.experts.every + model.mtp_layers


def kv_values(model: Transformer) -> int:
    """Values that one layer keeps of one token: keys and values, or the latent that stands for both [1]."""
    if model.latent:
        return model.latent.kv_rank + model.latent.rope_head
    return 2 * model.kv_heads * model.head_dim


def head_sizes(model: Transformer) -> tuple[int, int]:
    """Size of a head's query and key, and of its value [1]."""
    if model.latent:
        return model.latent.nope_head + model.latent.rope_head, model.latent.value_head
    return model.head_dim, model.head_dim


def rows(model: Transformer) -> Iterator[Row]:
    """The operator templates of a model; the module's table explains them."""
    layers, moe = all_layers(model), moe_layers(model)
    dense = layers - moe
    yield from _attention_rows(model)
    if dense:
        yield from _mlp_rows(model, model.ffn, MATMUL, dense, DENSE_LAYER)
        yield Row(TRAFFIC, 0, PASSES * model.ffn / model.hidden, WHOLE, dense, DENSE_LAYER)
    if model.experts and moe:
        experts = model.experts
        yield Row(MATMUL, experts.count, model.hidden, WHOLE, moe, MOE_LAYER)
        if experts.shared:
            yield from _mlp_rows(model, experts.shared * experts.ffn, MATMUL, moe, MOE_LAYER)
        yield from _mlp_rows(model, experts.ffn, EXPERT_MATMUL, moe, MOE_LAYER, experts.active)
        width = (experts.active + experts.shared) * experts.ffn
        moved = PASSES * (width / model.hidden + experts.active)
        yield Row(TRAFFIC, 0, moved, WHOLE, moe, MOE_LAYER, experts.active * _looked_up_rows(model))
        if model.biases == "all":
            inner = 2 * experts.ffn if model.gated else experts.ffn
            yield Row(TRAFFIC, 0, PASSES * experts.active * (inner / model.hidden + 1), WHOLE, moe, MOE_LAYER)
    yield Row(TRAFFIC, PASSES * model.norms_per_layer, 0, WHOLE, layers, EVERY_LAYER)
    for _ in range(model.mtp_layers):
        yield Row(MATMUL, model.hidden, 2 * model.hidden, COLUMNS, 1, HEAD)
        yield Row(TRAFFIC, 2 * PASSES, 0, WHOLE, 1, HEAD)
    for _ in range(1 + model.mtp_layers):
        yield Row(MATMUL, model.vocab, model.hidden, COLUMNS, 1, HEAD)
        yield Row(TRAFFIC, PASSES, LOGIT_VECTORS * model.vocab / model.hidden, WHOLE, 1, HEAD)


def _looked_up_rows(model: Transformer) -> int:
    """Rows found by their number for each expert of a token: its vector there and back, biases of its matrices [1]."""
    matrices = 3 if model.gated else 2
    return PASSES + (matrices if model.biases == "all" else 0)


def _attention_rows(model: Transformer) -> Iterator[Row]:
    hidden, layers, latent = model.hidden, all_layers(model), model.latent
    query, value = head_sizes(model)

    def every(n: int, k: int, shard: int) -> Row:
        return Row(MATMUL, n, k, shard, layers, EVERY_LAYER)

    if latent is None:
        yield every((model.heads + 2 * model.kv_heads) * model.head_dim, hidden, COLUMNS)
    else:
        if latent.q_rank:
            yield every(latent.q_rank, hidden, WHOLE)
        yield every(model.heads * query, latent.q_rank or hidden, COLUMNS)
        yield every(latent.kv_rank + latent.rope_head, hidden, WHOLE)
        yield every(model.heads * (latent.nope_head + value), latent.kv_rank, COLUMNS)
    windowed = model.windowed_layers if model.window else 0
    seen = -model.window if model.chunked else model.window
    for window, number in ((0, layers - windowed), (seen, windowed)):
        if number:
            yield Row(ATTENTION, model.heads * query, model.heads * value, COLUMNS, number, EVERY_LAYER, window)
    yield every(hidden, model.heads * value, ROWS)


def _mlp_rows(model: Transformer, width: int, kind: int, layers: int, scope: int, active: int = 1) -> tuple[Row, Row]:
    inner = 2 * width if model.gated else width
    return (
        Row(kind, inner, model.hidden, COLUMNS, layers, scope, 0, active),
        Row(kind, model.hidden, width, ROWS, layers, scope, 0, active),
    )


def count(model: Transformer) -> Counts:
    """Count every parameter of a model, tensor by tensor; independent of :func:`rows`."""
    norm = model.hidden * (2 if model.norm_biases else 1)
    split, whole = _attention_parameters(model)
    layers, moe = all_layers(model), moe_layers(model)
    split, whole = split * layers, (whole + model.norms_per_layer * norm) * layers
    split += model.mtp_layers * 2 * model.hidden * model.hidden
    whole += model.mtp_layers * MTP_NORMS * norm
    mlp_split, mlp_whole = _mlp_parameters(model, model.ffn)
    split += mlp_split * (layers - moe)
    whole += mlp_whole * (layers - moe)
    routed = idle = 0
    if model.experts:
        experts = model.experts
        whole += moe * experts.count * (model.hidden + (1 if experts.router_bias else 0))
        if experts.shared:
            shared_split, shared_whole = _mlp_parameters(model, experts.shared * experts.ffn)
            split += moe * shared_split
            whole += moe * shared_whole
        one = sum(_mlp_parameters(model, experts.ffn))
        routed, idle = moe * experts.count * one, moe * (experts.count - experts.active) * one
    embedding = model.vocab * model.hidden
    positions = model.context * model.hidden if model.learned_positions else 0
    return Counts(embedding, 0 if model.tied else embedding, positions, split, whole, routed, idle, norm)


def _attention_parameters(model: Transformer) -> tuple[int, int]:
    """Parameters of one layer's attention that tensor parallelism splits, and that every rank holds [1]."""
    hidden, heads, latent = model.hidden, model.heads, model.latent
    query, value = head_sizes(model)
    split, whole = heads * value * hidden, 0
    if latent is None:
        inputs = (heads + 2 * model.kv_heads) * model.head_dim
        split += hidden * inputs
        if model.biases != "none":
            split += inputs
    else:
        split += (latent.q_rank or hidden) * heads * query + latent.kv_rank * heads * (latent.nope_head + value)
        whole += latent.q_rank * (hidden + 1) + hidden * (latent.kv_rank + latent.rope_head) + latent.kv_rank
    if model.biases in {"attention", "all"}:
        whole += hidden
    if model.qk_norm:
        whole += 2 * model.head_dim
    if model.attention_sinks:
        split += heads
    return split, whole


def _mlp_parameters(model: Transformer, width: int) -> tuple[int, int]:
    """Parameters of one MLP of a width that tensor parallelism splits, and that every rank holds [1]."""
    inner = 2 * width if model.gated else width
    split, whole = model.hidden * (inner + width), 0
    if model.biases == "all":
        split += inner
        whole += model.hidden
    return split, whole
