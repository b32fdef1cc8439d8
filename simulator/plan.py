"""How a model is spread over chips: every degree and every choice of a training plan.

Ranks are laid out with ``tensor`` fastest, then ``context``, ``data`` and ``pipeline``. Experts share ranks with data:
``expert`` x ``expert_tensor`` consecutive ranks of tensor x context x data hold one copy of the routed experts, each
expert split over ``expert_tensor`` of them; attention and dense layers on the same ranks are spread by tensor, context
and data as if there were no experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from simulator.machine import Dtype

Recompute = Literal["none", "selective", "full"]
Schedule = Literal["gpipe", "1f1b", "zb-h1", "zb-h2", "zb-v", "v-half", "v-min", "dualpipe"]
"""``1f1b`` with more than one virtual stage is its interleaved form."""
VirtualStages = Literal["none", "even", "uneven"]
"""Which virtual stages software has: none, those that divide the layers, or any."""
ContextMode = Literal["ring", "ulysses", "all-gather"]
Offload = Literal["none", "optimizer", "activations", "both"]

RECOMPUTES: tuple[Recompute, ...] = get_args(Recompute)
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
CONTEXT_MODES: tuple[ContextMode, ...] = get_args(ContextMode)
OFFLOADS: tuple[Offload, ...] = get_args(Offload)


@dataclass(frozen=True)
class Plan:
    """How a model is spread over chips; the defaults are one chip.

    Parameters
    ----------
    tensor, context, pipeline, expert, expert_tensor, data : degrees of TP, CP, PP, EP, ETP, DP [1]
    virtual_stages : model chunks per pipeline rank [1]
    schedule : order of forward and backward passes on the pipeline
    first_layers, last_layers : layers of the first and the last pipeline rank; 0: as even as it goes [1]
    zero : 0 (all whole on every data rank), 1 (optimizer state split over data ranks), 2 (gradients too), 3 (parameters
        too: FSDP)
    shard : ranks over which ZeRO splits, copies of which all-reduce (HSDP); 0: all of context x data [1]
    micro_batch : sequences per micro-batch [1]
    recompute : activations recomputed in the backward pass
    recompute_layers : layers of a pipeline rank that are recomputed; 0: all [1]
    offload : what is kept in host memory and moved over the host link
    context_mode : how ranks of a context group exchange keys and values
    sequence_parallel : norms and residuals split over tensor ranks too
    overlap_tensor, overlap_data, overlap_expert : whether that communication may hide behind compute
    dtype : of the matrix products
    attention_dtype : of the attention core
    gather_dtype : of parameters as they are gathered
    reduce_dtype : of gradients as they are reduced and kept
    state_dtype : of the optimizer's moments
    axes : order in which ranks fill the axes of a torus, by their numbers; (): as they are numbered
    adapters : weights are frozen and low-rank adapters beside them trained (LoRA), whose own cost is neglected
    """

    tensor: int = 1
    context: int = 1
    pipeline: int = 1
    expert: int = 1
    expert_tensor: int = 1
    data: int = 1
    virtual_stages: int = 1
    schedule: Schedule = "1f1b"
    first_layers: int = 0
    last_layers: int = 0
    zero: int = 1
    shard: int = 0
    micro_batch: int = 1
    recompute: Recompute = "none"
    recompute_layers: int = 0
    offload: Offload = "none"
    context_mode: ContextMode = "ring"
    sequence_parallel: bool = True
    overlap_tensor: bool = True
    overlap_data: bool = True
    overlap_expert: bool = True
    dtype: Dtype = "bf16"
    attention_dtype: Dtype = "bf16"
    gather_dtype: Dtype = "bf16"
    reduce_dtype: Dtype = "fp32"
    state_dtype: Dtype = "fp32"
    adapters: bool = False
    axes: tuple[int, ...] = ()

    @property
    def chips(self) -> int:
        """Chips that the plan uses."""
        return self.tensor * self.context * self.pipeline * self.data

    def __str__(self) -> str:
        """The plan as people write it; :func:`simulator.plan_text.read_plan` reads it back."""
        from simulator.plan_text import plan_text

        return plan_text(self)
