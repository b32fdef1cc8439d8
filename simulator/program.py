"""The work as plain data: a model's architecture, its operators, a software stack; no machine and no plan.

:class:`Transformer` is what a model file holds. :class:`Program` is the same as a table of operator templates, one row
per kind of operator, that the engine scales by the plan: compiled once per model, priced for millions of plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

from simulator.figures import Day, Figure, Ratio, Seconds
from simulator.machine import Dtype, Entry, Line, Name, Said
from simulator.plan import Schedule, VirtualStages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Some = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
MOST_MTP_LAYERS = 8
Loss = Literal["fused", "plain", "chunked"]
AttentionKernels = Literal["own", "portable"]
LOSSES: tuple[Loss, ...] = get_args(Loss)


class LatentAttention(Entry, frozen=True):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): ranks and head sizes."""

    q_rank: Some
    kv_rank: Size
    nope_head: Size
    rope_head: Size
    value_head: Size


class Experts(Entry, frozen=True):
    """Mixture of experts: ``count`` routed experts of width ``ffn``, ``active`` per token, ``shared`` always on.

    The first ``dense_layers`` layers have a dense MLP instead, and after them every layer but each ``every``-th;
    ``router_bias``: the router adds a number per expert.
    """

    count: Size
    active: Size
    ffn: Size
    shared: Some = 0
    dense_layers: Some = 0
    every: Size = 1
    router_bias: bool = False


class Published(Entry, frozen=True):
    """What the authors state: parameters in all and active per token [1], with the source.

    ``active_has_embedding``: whether their active count includes the input embedding (a lookup, not a product).
    """

    parameters: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    active: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    source: str
    locator: str = ""
    active_has_embedding: bool = True


class Transformer(Entry, frozen=True):
    """A decoder-only transformer's architecture; every count is per layer where that makes sense.

    Parameters
    ----------
    context : longest sequence [1]
    published : what the authors state; only a model of one's own does without
    gated : the MLP has a gate beside its input matrix (SwiGLU, GeGLU)
    tied : the output matrix is the input embedding
    learned_positions : a table of positions is added to the embedding; rotation and ALiBi hold no parameters
    biases : which matrices have them
    norms_per_layer, norm_biases : how many norms a layer has, and whether they shift as well as scale
    qk_norm : a norm of one head's size on queries and one on keys
    parallel : attention and MLP read the same norm and their outputs are added up at once (PaLM, section 2)
    window, windowed_layers : most keys that a query sees in so many of the layers [1]; 0: all
    chunked : those layers cut the sequence into chunks of ``window`` tokens rather than slide
    attention_sinks : a learned number per head joins the softmax
    mtp_layers : multi-token prediction modules that are trained along (DeepSeek-V3, section 2.2); published counts
        leave them out [1]
    """

    name: Name
    title: Said
    layers: Size
    hidden: Size
    heads: Size
    kv_heads: Size
    head_dim: Size
    ffn: Size
    vocab: Size
    context: Size
    published: Published | None = None
    gated: bool = True
    tied: bool = False
    learned_positions: bool = False
    biases: Literal["none", "attention", "qkv", "all"] = "none"
    norms_per_layer: Some = 2
    norm_biases: bool = False
    qk_norm: bool = False
    parallel: bool = False
    window: Some = 0
    windowed_layers: Some = 0
    chunked: bool = False
    attention_sinks: bool = False
    mtp_layers: Annotated[int, msgspec.Meta(ge=0, le=MOST_MTP_LAYERS)] = 0
    latent: LatentAttention | None = None
    experts: Experts | None = None
    aliases: tuple[Name, ...] = ()
    note: Line = ""


# Columns of Program.rows; each row is one operator of one layer kind.
KIND, N, K, SHARD, LAYERS, SCOPE, WINDOW, ACTIVE = range(8)
MATMUL, EXPERT_MATMUL, ATTENTION, TRAFFIC = range(4)
"""KIND: what N and K mean. Matmul: tokens x K times K x N. Attention: N = heads x (key size), K = heads x (value size).
Traffic: memory-bound work, N vectors of ``hidden`` per token whole and K vectors split over tensor ranks."""
WHOLE, COLUMNS, ROWS = range(3)
"""SHARD: how tensor parallelism splits a matmul: not at all, N / tp, or K / tp."""
EVERY_LAYER, DENSE_LAYER, MOE_LAYER, HEAD = range(4)
"""SCOPE: which layers run the operator; HEAD is the logits on the last stage."""
# WINDOW: most of the last keys that a query sees (0: all), negative: size of the chunks that do not see each other;
# of traffic: rows that each token looks up by their number.


@dataclass(frozen=True)
class Program:
    """One model as a table of operator templates and the counts that memory and communication need.

    Parameters
    ----------
    rows : (operators, 8) float64, columns KIND, N, K, SHARD, LAYERS, SCOPE, WINDOW, ACTIVE as above; ACTIVE is how
        many experts a token visits (1 for the rest), LAYERS how many layers hold the operator
    layers, moe_layers : of the model and its multi-token prediction modules; those of them with experts [1]
    parameters, active_parameters : in all and per token [1]
    embedding_parameters : of the input embedding and, if untied, the output matrix [1]
    split_parameters_per_layer : attention and dense-MLP parameters that tensor parallelism splits, mean of a layer [1]
    whole_parameters_per_layer : parameters that every tensor rank holds (norms, routers, latent down-projections) [1]
    expert_parameters_per_layer : routed experts of one MoE layer [1]
    kv_values_per_token : values kept per token of context, all layers, before tensor splitting [1]
    kv_window_values_per_token : the part of them in layers with a sliding window [1]
    """

    model: Transformer
    rows: NDArray[np.float64]
    layers: int
    moe_layers: int
    parameters: float
    active_parameters: float
    embedding_parameters: float
    split_parameters_per_layer: float
    whole_parameters_per_layer: float
    expert_parameters_per_layer: float
    kv_values_per_token: float
    kv_window_values_per_token: float

    def counts(self) -> tuple[float, ...]:
        """What kernels need to know of the model beside the rows, in the order of :mod:`simulator.training.kernels`."""
        model, experts = self.model, self.model.experts
        return (
            model.hidden,
            self.layers,
            self.moe_layers,
            experts.count if experts else 1,
            experts.active if experts else 1,
            experts.shared if experts else 0,
            self.split_parameters_per_layer,
            self.whole_parameters_per_layer,
            self.expert_parameters_per_layer,
            self.embedding_parameters,
            self.kv_values_per_token,
            model.vocab,
            model.heads,
            experts.dense_layers if experts else 0,
            model.parallel,
        )


class FusedExperts(Entry, frozen=True):
    """What experts cost in ``dtypes`` in which a stack fuses their products, activation and casts; figures as there."""

    dtypes: Annotated[tuple[Dtype, ...], msgspec.Meta(min_length=1, max_length=8)]
    expert_exposed: Ratio
    expert_matmul_factor: Ratio
    expert_launch: Seconds
    expert_traffic_factor: Ratio | None = None
    expert_casts: Ratio | None = None


class TrainingStack(Entry, frozen=True):
    """A dated training stack: which share of each communication shows, how lean its kernels and its host are.

    Parameters
    ----------
    tensor_exposed, context_exposed, expert_exposed, data_exposed, parameter_gather_exposed : share of a communication
        that cannot hide behind compute: what shows is share x time, or whatever is longer than what it hides behind [1]
    copies_exposed : the same of the all-reduce over copies of sharded parameters, where it is more [1]
    contention : share of the hidden communication by which the compute beside it slows down [1]
    traffic_factor : bytes of memory-bound operators over the program's count of them; below 1 where more is fused [1]
    attention_factor : rate of the stack's attention kernels over the best of the chip [1]
    score_passes, context_score_passes : reads and writes of each attention score in a forward pass on one rank, and
        where context ranks share a sequence; 0 where attention is fused [1]
    launch : time of the host for one operator of a layer's forward pass [s]
    expert_matmul_factor : rate of products of experts over that of a dense product of the same shape [1]
    expert_launch : time of one expert of a layer beside its products [s]
    expert_traffic_factor : ``traffic_factor`` of activations and copies of experts; without it, the same [1]
    expert_casts : share of the operands of experts' products that kernels of their own cast to a dtype narrower than
        two bytes; without it, casts ride on other operators [1]
    fused_experts : the figures of experts in other dtypes
    expert_padding : rows that a device's grouped product computes for each expert beyond its own: the tile in which
        its tokens begin is computed for the expert before it too; none where experts have tiles of their own [1]
    routing : time of a device to look up one row by its number, as each token of an expert is on its way there and
        back; none where permuting runs at the rate of memory [s]
    step_overhead : time of a step beside the passes, communication and optimizer [s]
    jitter : standard deviation of the logarithm of a rank's step time [1]
    memory_reserve : share of memory that tensors cannot use [1]
    dense_spread, moe_spread : measured over predicted step time of models without and with experts, 1 in the
        catalogue; what the other figures leave open [1]
    logits_dtype : of the products that make logits where others are narrower; without it, as those
    loss : how logits are held: in two bytes and their softmax in four (fused), in copies of four bytes for each step
        (plain), or a part of the tokens at a time (chunked)
    attention : kernels of fused attention: the best of the chip, or those that were written for the chips before it
    schedules : orders of passes on a pipeline that the stack has, the one it takes by itself first; ``1f1b`` is with
        and without virtual stages
    virtual_stages : whether the stack has virtual stages, and such as do not divide the layers
    zero : ZeRO stage of runs of which nothing else is known
    reduce_dtype : in which gradients are reduced where a plan does not say
    is_whole_program : a compiler sees the whole step: parameters are kept once, in four bytes, narrowed where they are
        used, gathered and reduced matrix by matrix, and the softmax of the logits is part of the products that need it
    recompute_stops_early : full recomputation ends with the last tensor that the backward pass needs, which leaves out
        the last product of a dense layer
    shards_layers : ZeRO-2 reduces and gathers layer by layer, as ZeRO-3 does everywhere; else in one piece
    has_device_mesh : ranks are a mesh of which experts have an axis of their own; a batch is given for a device of it,
        and those that share sequences (tensor and context ranks) work on theirs together
    keeps_master : the optimizer keeps a four-byte copy of narrower parameters; else it works on them as they are
    """

    tensor_exposed: Ratio
    context_exposed: Ratio
    expert_exposed: Ratio
    data_exposed: Ratio
    parameter_gather_exposed: Ratio
    contention: Ratio
    traffic_factor: Ratio
    attention_factor: Ratio
    score_passes: Ratio
    context_score_passes: Ratio
    launch: Seconds
    expert_matmul_factor: Ratio
    expert_launch: Seconds
    step_overhead: Seconds
    jitter: Ratio
    memory_reserve: Ratio
    dense_spread: Ratio
    moe_spread: Ratio
    expert_traffic_factor: Ratio | None = None
    expert_casts: Ratio | None = None
    fused_experts: FusedExperts | None = None
    expert_padding: Ratio | None = None
    routing: Seconds | None = None
    copies_exposed: Ratio | None = None
    logits_dtype: Dtype | None = None
    loss: Loss = "fused"
    is_whole_program: bool = False
    has_device_mesh: bool = False
    recompute_stops_early: bool = False
    shards_layers: bool = False
    keeps_master: bool = True
    attention: AttentionKernels = "own"
    schedules: Annotated[tuple[Schedule, ...], msgspec.Meta(min_length=1, max_length=8)] = ("1f1b",)
    virtual_stages: VirtualStages = "uneven"
    zero: Annotated[int, msgspec.Meta(ge=0, le=3)] = 1
    reduce_dtype: Dtype = "fp32"

    def experts(self, dtype: Dtype) -> TrainingStack | FusedExperts:
        """Where the figures of experts are whose products are in ``dtype``."""
        return self.fused_experts if self.fused_experts and dtype in self.fused_experts.dtypes else self

    def spread(self, *, has_experts: bool) -> Figure:
        """Measured over predicted step time of models with or without experts [1]."""
        found: Figure = self.moe_spread if has_experts else self.dense_spread
        return found


class ServingStack(Entry, frozen=True):
    """A dated serving stack: per-iteration host time, per-operator launch, share of memory for KV, EP balance."""

    iteration_overhead: Seconds
    launch: Seconds
    memory_fraction: Ratio
    communication_exposed: Ratio
    expert_imbalance: Ratio
    traffic_factor: Ratio


class Stack(Entry, frozen=True):
    """A dated software stack. No result is without one."""

    name: Name
    title: Said
    date: Annotated[Day, msgspec.Meta(min_length=1)]
    training: TrainingStack | None = None
    serving: ServingStack | None = None
    note: Line = ""
