"""The columns of the arrays that training kernels take; numbers only.

``program`` (operators, 8): one operator of one kind of layer, see :mod:`simulator.program`. ``counts``: a model.
``work``: tokens of a sequence, sequences of a step, picks of the busiest expert rank over the mean. ``plan`` (27): the
fields of :class:`simulator.plan.Plan`; a choice is a number by its place in the list of choices, a width is bytes of an
element, a placement one of the arrays of levels. ``stack``: the figures of a training stack. ``parts`` (11,): the parts
of a step, and beside them a message between ranks of the pipeline (HOP) [s]. ``memory``: the parts of a chip's memory
[B].
"""

from __future__ import annotations

# program
KIND, N, K, SHARD, LAYERS, SCOPE, WINDOW, ACTIVE = range(8)
MATMUL, EXPERT_MATMUL, ATTENTION, TRAFFIC = range(4)  # of KIND
LOOKED_UP = WINDOW  # of traffic
WHOLE, COLUMNS, ROWS = range(3)  # of SHARD
EVERY_LAYER, DENSE_LAYER, MOE_LAYER, HEAD = range(4)  # of SCOPE

# counts
HIDDEN, MODEL_LAYERS, MOE_LAYERS, EXPERTS, TOP_K, SHARED, SPLIT, WHOLE_PARAMETERS, EXPERT_PARAMETERS = range(9)
EMBEDDING, KV_VALUES, VOCAB, HEADS, FIRST_DENSE, PARALLEL = range(9, 15)

# work
SEQUENCE, BATCH, SKEW = range(3)

# plan
TENSOR, CONTEXT, PIPELINE, VIRTUAL, EXPERT, DATA, ZERO, MICRO_BATCH, RECOMPUTE = range(9)
EXPERT_TENSOR, SCHEDULE, FIRST_LAYERS, LAST_LAYERS, SHARD_RANKS, RECOMPUTE_LAYERS, OFFLOAD = range(9, 16)
CONTEXT_MODE, SEQUENCE_PARALLEL, OVERLAP_TENSOR, OVERLAP_DATA, OVERLAP_EXPERT = range(16, 21)
ATTENTION_WIDTH, GATHER_WIDTH, REDUCE_WIDTH, STATE_WIDTH = range(21, 25)
ADAPTERS, PLACEMENT = range(25, 27)
PLAN_COLUMNS = 27
GRADIENTS_SPLIT, FULLY_SHARDED = 2, 3  # of ZERO
RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL = range(3)
GPIPE, ONE_F_ONE_B, ZB_H1, ZB_H2, ZB_V, V_HALF, V_MIN, DUALPIPE = range(8)  # of SCHEDULE
RING, ULYSSES, ALL_GATHERED = range(3)  # of CONTEXT_MODE
OFFLOAD_NONE, OFFLOAD_OPTIMIZER, OFFLOAD_ACTIVATIONS, OFFLOAD_BOTH = range(4)

# stack
TENSOR_EXPOSED, CONTEXT_EXPOSED, EXPERT_EXPOSED, DATA_EXPOSED, GATHER_EXPOSED, CONTENTION = range(6)
TRAFFIC_FACTOR, ATTENTION_FACTOR, SCORE_PASSES, LAUNCH, EXPERT_FACTOR, EXPERT_LAUNCH = range(6, 12)
STEP_OVERHEAD, JITTER, RESERVE, COLLECTIVE_LAUNCH, LOSS, WHOLE_PROGRAM, KEEPS_MASTER = range(12, 19)
CONTEXT_SCORE_PASSES, SPREAD, EXPERT_TRAFFIC, EXPERT_CASTS, STOPS_EARLY, SHARDS_LAYERS = range(19, 25)
EXPERT_PADDING, ROUTING, COPIES_EXPOSED = range(25, 28)
LOSS_FUSED, LOSS_PLAIN, LOSS_CHUNKED = range(3)

# parts
COMPUTE, TENSOR_COMM, CONTEXT_COMM, EXPERT_COMM, DATA_COMM, PIPELINE_COMM, BUBBLE, OPTIMIZER, OVERHEAD = range(9)
TOTAL, HOP = range(9, 11)
PART_COLUMNS = 11

# memory
WEIGHTS, COPIES, GATHERED, GRADIENTS, STATES, ACTIVATIONS, WORKING, LOGITS, BUFFERS = range(9)
NEEDED, AVAILABLE, STAGE = range(9, 12)
MEMORY_COLUMNS = 12
