"""Steps of the kernels against the equations of ``docs/models/training.md`` worked out in plain Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import topologies
import workloads
from simulator.figures import Draw
from simulator.machine import slice_of
from simulator.plan import Plan
from simulator.training import step, training_arrays
from simulator.training.step import price_plan
from tests.oracle.training_by_hand import Given, group, states, step_by_hand
from workloads.program import program

DOCUMENT = Path(__file__).parents[2] / "docs" / "models" / "training.md"
BRIDGE, OLD, TPU, EAGER, PLAIN, ASCEND = (
    "megatron-bridge-26.04",
    "megatron-lm-2022",
    "maxtext-2025-10",
    "eager-pytorch",
    "eager-pytorch-npu",
    "mindspeed-2025",
)
FUSED = "megatron-bridge-26.06"
FP8 = {"dtype": "fp8"}
CASES = {
    "one chip": ("llama3.2-1b", "hgx-h100", 1, BRIDGE, 8192, 4, {"micro_batch": 2}),
    "wide products": ("llama3.2-1b", "hgx-a100-80gb", 1, BRIDGE, 8192, 4, {"dtype": "fp32"}),
    "tensor ranks": ("gpt3-175b", "hgx-h100", 512, BRIDGE, 2048, 256, {"tensor": 8, "data": 64}),
    "no sequence parallelism": (
        "llama3-8b",
        "hgx-h100",
        8,
        BRIDGE,
        8192,
        8,
        {"tensor": 4, "data": 2, "sequence_parallel": False, "overlap_tensor": False},
    ),
    "ZeRO-0": ("llama3-8b", "hgx-h100", 64, BRIDGE, 8192, 128, {"data": 64, "zero": 0, "reduce_dtype": "bf16"}),
    "ZeRO-2 with a pipeline": (
        "llama3-70b",
        "hgx-h100",
        64,
        BRIDGE,
        8192,
        64,
        {"tensor": 8, "pipeline": 4, "data": 2, "zero": 2},
    ),
    "ZeRO-3": ("llama3-70b", "hgx-h100", 128, EAGER, 4096, 256, {"data": 128, "zero": 3, "recompute": "full"}),
    "ZeRO-2 layer by layer": (
        "llama3-8b",
        "hgx-h100",
        128,
        EAGER,
        4096,
        512,
        {"data": 128, "zero": 2, "recompute": "full", "micro_batch": 2},
    ),
    "no master copy": ("llama3-8b", "atlas-800-a2", 8, PLAIN, 2048, 8, {"tensor": 4, "data": 2, "zero": 0}),
    "HSDP": (
        "llama3-8b",
        "hgx-h100",
        128,
        EAGER,
        8192,
        256,
        {"data": 128, "zero": 3, "shard": 16, "reduce_dtype": "bf16", "overlap_data": False},
    ),
    "HSDP of slices": (
        "llama3-8b",
        "tpu-v5e",
        1024,
        TPU,
        8192,
        1024,
        {"data": 1024, "zero": 3, "shard": 256, "recompute": "full"},
    ),
    "HSDP of optimizer state": ("gpt3-6.7b", "hgx-h100", 64, BRIDGE, 2048, 256, {"data": 64, "shard": 8}),
    "experts in fp8, cast one by one": (
        "mixtral-8x7b",
        "hgx-h100",
        64,
        BRIDGE,
        4096,
        256,
        {"data": 64, "expert": 8, **FP8},
    ),
    "experts in fp8, fused": ("qwen3-30b-a3b", "gb200-nvl72", 64, FUSED, 4096, 256, {"data": 64, "expert": 16, **FP8}),
    "experts with biases": (
        "gpt-oss-120b",
        "gb200-nvl72",
        64,
        BRIDGE,
        4096,
        256,
        {"data": 64, "expert": 64, "micro_batch": 4},
    ),
    "experts of a fused stack in bf16": (
        "mixtral-8x7b",
        "gb200-nvl72",
        64,
        FUSED,
        4096,
        256,
        {"data": 64, "expert": 8},
    ),
    "interleaved pipeline": (
        "gpt3-175b",
        "hgx-h100",
        512,
        BRIDGE,
        2048,
        256,
        {"tensor": 8, "pipeline": 8, "data": 8, "virtual_stages": 3, "recompute": "selective"},
    ),
    "GPipe": (
        "llama2-70b",
        "hgx-h100",
        64,
        BRIDGE,
        4096,
        64,
        {"tensor": 2, "pipeline": 8, "data": 4, "schedule": "gpipe"},
    ),
    "zero-bubble pipeline": (
        "llama2-7b",
        "mi300x-8",
        64,
        "primus-2025",
        4096,
        256,
        {"pipeline": 8, "data": 8, "schedule": "zb-h1"},
    ),
    "pipeline there and back": (
        "llama2-7b",
        "mi300x-8",
        8,
        "primus-2025",
        4096,
        64,
        {"pipeline": 8, "schedule": "zb-v", "virtual_stages": 2},
    ),
    "pipeline at half the memory": (
        "mixtral-8x7b",
        "hgx-h100",
        32,
        BRIDGE,
        4096,
        128,
        {"pipeline": 4, "data": 8, "expert": 8, "schedule": "v-half", "virtual_stages": 2},
    ),
    "unequal stages": (
        "llama3-405b",
        "hgx-h100",
        1024,
        BRIDGE,
        8192,
        256,
        {"tensor": 8, "pipeline": 16, "data": 8, "first_layers": 7, "last_layers": 7},
    ),
    "chunks that differ": (
        "deepseek-v3",
        "hgx-h100",
        256,
        BRIDGE,
        4096,
        512,
        {"pipeline": 4, "virtual_stages": 4, "data": 64, "expert": 64, "recompute": "full"},
    ),
    "chunks without layers at the ends": (
        "llama3-405b",
        "hgx-h100",
        1024,
        BRIDGE,
        8192,
        256,
        {"tensor": 8, "pipeline": 16, "data": 8, "virtual_stages": 8},
    ),
    "chunks of unequal ranks": (
        "llama3-405b",
        "hgx-h100",
        1024,
        BRIDGE,
        8192,
        256,
        {"tensor": 8, "pipeline": 16, "data": 8, "virtual_stages": 3, "first_layers": 6},
    ),
    "unequal chunks there and back": (
        "deepseek-v3",
        "hgx-h100",
        64,
        BRIDGE,
        4096,
        64,
        {"pipeline": 8, "data": 8, "expert": 8, "schedule": "zb-v", "virtual_stages": 2},
    ),
    "ring of context ranks": (
        "llama3-70b",
        "hgx-h100",
        64,
        BRIDGE,
        131072,
        4,
        {"tensor": 8, "context": 8, "data": 1, "recompute": "full", "recompute_layers": 20},
    ),
    "gathered context": (
        "llama3-8b",
        "hgx-h100",
        16,
        BRIDGE,
        65536,
        4,
        {"tensor": 2, "context": 4, "data": 2, "context_mode": "all-gather"},
    ),
    "Ulysses": (
        "gpt3-6.7b",
        "hgx-h100",
        16,
        "deepspeed-2022",
        32768,
        4,
        {"tensor": 2, "context": 8, "context_mode": "ulysses", "micro_batch": 2},
    ),
    "stored scores": (
        "megatron-145.6b",
        "hgx-a100-80gb",
        1536,
        OLD,
        2048,
        2304,
        {"tensor": 8, "pipeline": 8, "data": 24, "sequence_parallel": False, "recompute": "full", "zero": 0},
    ),
    "experts whose rows are looked up": (
        "gpt-oss-120b",
        "ironwood-9216",
        64,
        TPU,
        8192,
        1280,
        {"data": 64, "micro_batch": 20, "zero": 3, "recompute": "full"},
    ),
    "experts split over tensor ranks of a mesh": (
        "llama4-maverick",
        "tpu-v5p",
        128,
        TPU,
        8192,
        512,
        {"tensor": 4, "expert_tensor": 4, "data": 32, "micro_batch": 16, "zero": 3, "recompute": "full"},
    ),
    "sliding windows": ("gemma3-27b", "ironwood-256", 256, TPU, 32768, 256, {"data": 256, "zero": 3}),
    "chunks of attention": (
        "llama4-scout",
        "gb200-nvl72",
        64,
        BRIDGE,
        16384,
        128,
        {"data": 64, "expert": 16, "micro_batch": 1},
    ),
    "a torus": ("llama3-405b", "tpu-v5p", 1024, TPU, 8192, 512, {"tensor": 16, "data": 64, "zero": 3}),
    "a torus in another order": (
        "llama3-70b",
        "tpu-v5p",
        128,
        TPU,
        8192,
        128,
        {"tensor": 4, "context": 2, "data": 16, "axes": (2, 0, 1)},
    ),
    "experts over a torus": (
        "mixtral-8x7b",
        "tpu-v5p",
        64,
        TPU,
        4096,
        256,
        {"tensor": 2, "data": 32, "expert": 8, "expert_tensor": 2, "zero": 1},
    ),
    "latent attention over racks": (
        "deepseek-v3",
        "gb200-nvl72",
        504,
        BRIDGE,
        4096,
        1008,
        {"pipeline": 7, "virtual_stages": 3, "data": 72, "expert": 8, **FP8},
    ),
    "unequal experts over nodes": (
        "qwen3-235b-a22b",
        "hgx-h100",
        128,
        BRIDGE,
        4096,
        256,
        {"tensor": 2, "pipeline": 4, "data": 16, "expert": 16, "expert_tensor": 2, "skew": 1.4},
    ),
    "experts fully sharded": (
        "deepseek-v2",
        "hgx-h100",
        256,
        BRIDGE,
        4096,
        512,
        {"data": 256, "expert": 32, "zero": 3, "shard": 64, "recompute": "full", "overlap_expert": False},
    ),
    "experts on a supernode": (
        "deepseek-v3",
        "cloudmatrix384",
        384,
        ASCEND,
        4096,
        1536,
        {"pipeline": 3, "data": 128, "expert": 64},
    ),
    "parallel blocks": ("palm-62b", "tpu-v4", 128, TPU, 2048, 256, {"tensor": 4, "data": 32, "zero": 3}),
    "adapters": ("llama3-70b", "hgx-h100", 8, BRIDGE, 4096, 32, {"tensor": 4, "pipeline": 2, "adapters": True}),
    "offloaded activations": (
        "llama3-8b",
        "hgx-h100",
        8,
        BRIDGE,
        8192,
        16,
        {"tensor": 2, "data": 4, "offload": "activations", "recompute": "full", "recompute_layers": 9},
    ),
    "offloaded optimizer": (
        "llama3-70b",
        "gb200-nvl72",
        4,
        BRIDGE,
        4096,
        16,
        {"tensor": 4, "offload": "optimizer", **FP8},
    ),
    "narrow numbers": (
        "llama3-8b",
        "gb200-nvl72",
        8,
        BRIDGE,
        8192,
        128,
        {"data": 8, "dtype": "fp4", "attention_dtype": "fp8", "gather_dtype": "fp8", "state_dtype": "bf16"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_what_the_documents_equations_give(name):
    model, machine, chips, stack, sequence, batch, degrees = CASES[name]
    degrees = dict(degrees)
    size = {"sequence": sequence, "batch": batch, "skew": degrees.pop("skew", 1.0)}
    given = (program(workloads.model(model)), Plan(**degrees), slice_of(topologies.machine(machine), chips))
    found = step(*given, workloads.stack(stack), **size)
    expected = step_by_hand(*given, workloads.stack(stack), **size)
    assert {part: getattr(found, part) for part in expected} == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", CASES)
def test_plain_and_compiled_steps_agree_to_the_last_bit(name):
    model, machine, chips, stack, sequence, batch, degrees = CASES[name]
    degrees = dict(degrees)
    skew = degrees.pop("skew", 1.0)
    work, plan, part = program(workloads.model(model)), Plan(**degrees), slice_of(topologies.machine(machine), chips)
    kinds = {"dtype": plan.dtype, "attention": plan.attention_dtype}
    arrays = training_arrays(
        work, part, workloads.stack(stack), sequence=sequence, batch=batch, draw=Draw(), skew=skew, **kinds
    )
    assert price_plan(work, plan, part, arrays, is_compiled=False) == price_plan(work, plan, part, arrays)


def test_the_documents_example_of_experts_that_share_ranks():
    """Section 1: Qwen3 235B-A22B under TP2 PP2 EP8 DP16 on eight nodes."""
    part, stack = slice_of(topologies.machine("hgx-h100"), 64), workloads.stack(BRIDGE)
    work, plan = program(workloads.model("qwen3-235b-a22b")), Plan(tensor=2, pipeline=2, expert=8, data=16)
    given = Given(work, plan, part, stack, 4096, 256, 1.0)
    assert [(tier.level.size, tier.size) for tier in group(given, 1, 8)] == [(8, 8)]
    assert [tier.size for tier in group(given, 2, 16)] == [4, 4]
    assert [tier.size for tier in group(given, 8, 4)] == [4]
    assert states(given) == pytest.approx((2.01e9, 14.19e9), rel=1e-3)
    memory = step(work, plan, part, stack, sequence=4096, batch=256).memory
    assert memory.optimizer_bytes == pytest.approx(44.1e9, rel=1e-3)


def test_the_document_lists_every_stack_that_trains_with_its_date():
    listed = re.findall(r"^\| `([\w.-]+)` \| ([\d-]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    stacks = [workloads.stack(name) for name in workloads.names("stacks")]
    assert sorted(listed) == sorted((stack.name, stack.date) for stack in stacks if stack.training)
