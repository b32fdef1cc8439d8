"""The training step against closed forms, its own plain version, and the laws of memory and schedules."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

import topologies
import workloads
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import slice_of
from simulator.plan import Plan
from simulator.training import USUAL, search, step, training_arrays
from simulator.training.candidates import divisors
from simulator.training.plans import plan_rows
from simulator.training.rows.kernels import PLAN_COLUMNS
from simulator.training.step import price_plan
from workloads.program import program

STACK = "megatron-bridge-26.04"
WORK = {"sequence": 4096, "batch": 256}


@pytest.fixture(scope="module")
def gpt3():
    return program(workloads.model("gpt3-175b"))


@pytest.fixture(scope="module")
def nodes():
    """64 nodes of eight H100."""
    return slice_of(topologies.machine("hgx-h100"), 512)


def priced(work, part, **plan):
    return step(work, Plan(**plan), part, workloads.stack(STACK), **WORK)


def free(part):
    """A draw under which communication, launches, overheads and memory traffic cost nothing."""
    machine = part.machine
    shares = workloads.stack(STACK).training
    values = {
        figure.key: 1e-30
        for figure in (
            machine.software.collective_launch,
            shares.launch,
            shares.step_overhead,
            shares.jitter,
            shares.traffic_factor,
        )
    }
    for level in part.levels:
        values |= {level.link.bandwidth.key: 1e30, level.link.latency.key: 1e-30, level.link.start.key: 1e-30}
    values[part.chip.hbm.bandwidth.key] = 1e30
    matmul, attention = part.chip.matmul, part.chip.attention
    values |= {matmul.fill.key: 0.0, attention.fill.key: 0.0, attention.softmax.key: 0.0, attention.backward.key: 1.0}
    values[matmul.engines.key] = 1.0
    values[part.chip.hbm.start.key] = 0.0
    return Draw(values)


def test_parts_of_a_step_sum_to_the_whole(gpt3, nodes):
    found = priced(gpt3, nodes, tensor=8, pipeline=8, data=8, virtual_stages=2)
    parts = found.compute_s + found.exposed_communication_s + found.bubble_s + found.optimizer_s + found.overhead_s
    assert parts == pytest.approx(found.seconds, rel=1e-12)
    assert found.tokens_per_s == pytest.approx(4096 * 256 / found.seconds)


def test_compute_of_an_ideal_machine_is_flops_over_achieved_peak(gpt3, nodes):
    """Without communication, launches and traffic, time is FLOPs over the achieved rate: matmuls and attention."""
    draw = free(nodes)
    found = step(gpt3, Plan(tensor=8, data=64), nodes, workloads.stack(STACK), **WORK, draw=draw)
    chip = nodes.chip
    rows = gpt3.rows
    is_matmul = np.isin(rows[:, 0], (0, 1))
    matmul = (rows[is_matmul, 4] * rows[is_matmul, 7] * 2 * rows[is_matmul, 1] * rows[is_matmul, 2]).sum()
    attention = rows[rows[:, 0] == 2]
    attention_flops = (attention[:, 4] * 2 * 4096 / 2 * (attention[:, 1] + attention[:, 2])).sum()
    tokens = 4096 * 256 / 512
    expected = tokens * (
        3 * matmul / (chip.peak["bf16"].si * chip.matmul.fraction["bf16"].si * chip.matmul.sustained["bf16"].si)
        + 3.5 * attention_flops / (chip.peak["bf16"].si * chip.attention.fraction["bf16"].si)
    )
    assert found.compute_s == pytest.approx(expected, rel=1e-4)  # the vocabulary fills whole tiles only after padding


@pytest.mark.parametrize(("pipeline", "virtual"), [(2, 1), (4, 1), (8, 1), (8, 2), (8, 4)])
def test_bubble_of_equal_stages_is_that_of_interleaved_1f1b(gpt3, nodes, pipeline, virtual):
    """Narayanan et al. (SC21), section 2.2: bubble / ideal = (p - 1) / (v m); the logits make the last stage longer."""
    draw = free(nodes)
    data = 512 // (8 * pipeline)
    found = step(
        gpt3,
        Plan(tensor=8, pipeline=pipeline, data=data, virtual_stages=virtual),
        nodes,
        workloads.stack(STACK),
        **WORK,
        draw=draw,
    )
    ideal = step(gpt3, Plan(tensor=8, data=64), nodes, workloads.stack(STACK), **WORK, draw=draw).compute_s
    micro_batches = 256 / data
    assert found.bubble_s / ideal == pytest.approx((pipeline - 1) / (virtual * micro_batches), rel=0.02)


@pytest.mark.parametrize("spread", [0.8, 1.3])
def test_the_spread_of_a_stack_stretches_every_part_of_a_step_and_every_plan_of_a_search_alike(gpt3, nodes, spread):
    stack, plan = workloads.stack(STACK), Plan(tensor=8, pipeline=8, data=8)
    draw = Draw({stack.training.dense_spread.key: spread})
    stated, drawn = (dataclasses.asdict(step(gpt3, plan, nodes, stack, **WORK, draw=each)) for each in (None, draw))
    times = [name for name in stated if name == "seconds" or (name.endswith("_s") and name != "tokens_per_s")]
    assert len(times) == 10
    assert {name: drawn[name] for name in times} == pytest.approx({name: spread * stated[name] for name in times})
    assert drawn["mfu"] * spread == pytest.approx(stated["mfu"])
    assert drawn["memory"] == stated["memory"]
    found, other = (search(gpt3, nodes, stack, **WORK, draw=each, top=3, space=USUAL) for each in (None, draw))
    assert [each.plan for each in found.steps] == [each.plan for each in other.steps]
    assert other.cloud[:, 0] == pytest.approx(spread * found.cloud[:, 0])
    assert (other.too_large, other.unplaceable) == (found.too_large, found.unplaceable)


def test_model_states_take_16_bytes_a_parameter_and_18_with_float32_gradients(gpt3, nodes):
    """ZeRO paper (SC20), section 3.1: 2 + 2 + 12 bytes with 2-byte gradients; ours are 4 bytes, hence 18."""
    memory = priced(gpt3, nodes, tensor=8, data=64).memory
    local = gpt3.parameters / 8
    assert memory.weights_bytes == pytest.approx(2 * local, rel=0.02)
    assert memory.gradients_bytes == pytest.approx(4 * local, rel=0.02)
    assert memory.optimizer_bytes == pytest.approx(12 * local / 64, rel=0.02)


def test_activations_of_a_gpt_layer_are_those_of_korthikanti(gpt3, nodes):
    """Korthikanti et al. (2205.05198), equation 4 without the scores that fused attention never stores: 34 sbh / t.

    Two of the 34 are dropout masks, which these models have no use for.
    """
    memory = priced(gpt3, nodes, tensor=8, data=64).memory
    model = gpt3.model
    per_layer = 4096 * model.hidden * 32 / 8
    assert memory.activations_bytes / model.layers == pytest.approx(per_layer, rel=0.05)


def test_full_recompute_keeps_little_and_computes_a_third_more(gpt3, nodes):
    plain = priced(gpt3, nodes, tensor=8, pipeline=8, data=8)
    again = priced(gpt3, nodes, tensor=8, pipeline=8, data=8, recompute="full")
    assert again.memory.activations_bytes < plain.memory.activations_bytes / 5
    assert 1.25 < again.compute_s / plain.compute_s < 1.36


def changed(**fields):
    """The stack with other fields of its training part."""
    stack = workloads.stack(STACK)
    return msgspec.structs.replace(stack, training=msgspec.structs.replace(stack.training, **fields))


def test_recompute_that_stops_early_leaves_out_a_third_of_the_products_of_a_forward_pass(gpt3, nodes):
    """Of 24 h^2 + 2 s h FLOPs of a token in a layer, the last product has 8 h^2."""
    plain, full = (
        step(gpt3, Plan(data=512, recompute=kind), nodes, changed(), sequence=2048, batch=512, draw=free(nodes))
        for kind in ("none", "full")
    )
    early = step(
        gpt3,
        Plan(data=512, recompute="full"),
        nodes,
        changed(recompute_stops_early=True),
        sequence=2048,
        batch=512,
        draw=free(nodes),
    )
    share = 8 / (24 + 2 * 2048 / gpt3.model.hidden)
    assert full.compute_s - early.compute_s == pytest.approx(share * (full.compute_s - plain.compute_s), rel=0.03)


def test_zero_2_layer_by_layer_moves_the_same_bytes_in_more_messages(gpt3, nodes):
    """One more message for each layer, gathered and reduced: as many more times what a ring takes to start."""
    plan = Plan(data=512, zero=2, overlap_data=False)
    whole, layers = (
        step(gpt3, plan, nodes, changed(shards_layers=given), sequence=2048, batch=512) for given in (False, True)
    )
    free_s, free_layers_s = (
        step(gpt3, plan, nodes, changed(shards_layers=given), sequence=2048, batch=512, draw=Draw(free_starts(nodes)))
        for given in (False, True)
    )
    assert layers.data_s > whole.data_s
    assert free_layers_s.data_s == pytest.approx(free_s.data_s)


def free_starts(part):
    """A draw under which links and collectives start at once."""
    values = {part.machine.software.collective_launch.key: 0.0}
    for level in part.levels:
        values |= {level.link.latency.key: 0.0, level.link.start.key: 0.0}
    return values


def test_zero_3_splits_parameters_over_data_ranks_and_pays_with_gathers(gpt3, nodes):
    one, three = (priced(gpt3, nodes, tensor=8, data=64, zero=zero) for zero in (1, 3))
    assert three.memory.weights_bytes < one.memory.weights_bytes / 10
    assert three.data_s > one.data_s


def test_expert_parallelism_splits_experts_and_pays_with_exchanges():
    work = program(workloads.model("deepseek-v3"))
    part = slice_of(topologies.machine("cloudmatrix384"), 384)
    stack = workloads.stack("mindspeed-2025")
    plans = [Plan(pipeline=3, data=128, expert=expert) for expert in (1, 8, 64)]
    steps = [step(work, plan, part, stack, sequence=4096, batch=1536) for plan in plans]
    weights = [found.memory.weights_bytes for found in steps]
    assert weights[0] > 4 * weights[1] > 4 * weights[2]
    assert steps[0].expert_s == 0 < steps[1].expert_s <= steps[2].expert_s


def test_tokens_of_experts_cost_what_their_rows_and_their_tiles_take():
    """Each row of GPT-OSS looked up takes its time on one of a chip's two devices, once forward and twice backward."""
    part, stack = slice_of(topologies.machine("ironwood-9216"), 64), workloads.stack("maxtext-2025-10")
    work = program(workloads.model("gpt-oss-120b"))
    plan = Plan(data=64, micro_batch=20, zero=3)

    def computing(**values):
        draw = Draw({getattr(stack.training, name).key: value for name, value in values.items()})
        return step(work, plan, part, stack, sequence=8192, batch=1280, draw=draw).compute_s

    without = computing(routing=0.0, contention=0.0)
    looked_up = computing(routing=1e-8, contention=0.0) - without
    rows = 36 * 20 * 8192 * 4 * (2 + 3)  # layers, tokens, experts of a token; there, back, and a bias of each matrix
    assert looked_up == pytest.approx(3 * rows * 1e-8 / 2, rel=1e-9)
    tiles = [computing(expert_padding=rows, contention=0.0) for rows in (0.0, 256.0, 512.0)]
    assert tiles[0] < tiles[1] < tiles[2]


def test_search_is_never_worse_than_any_plan_it_was_given(gpt3, nodes):
    found = search(gpt3, nodes, workloads.stack(STACK), **WORK, top=5)
    assert [s.seconds for s in found.steps] == sorted(s.seconds for s in found.steps)
    assert all(s.memory.fits for s in found.steps)
    plain = priced(gpt3, nodes, tensor=8, data=64, zero=3, recompute="full")
    assert plain.memory.fits
    assert found.steps[0].seconds <= plain.seconds


def test_plain_and_compiled_step_agree_to_the_last_bit(nodes):
    work = program(workloads.model("deepseek-v3"))
    stack = workloads.stack(STACK)
    arrays = training_arrays(work, nodes, stack, sequence=4096, batch=512, dtype="fp8", draw=Draw())
    for plan in (
        Plan(tensor=2, pipeline=8, data=32, expert=16, virtual_stages=2, dtype="fp8"),
        Plan(data=512, expert=64, zero=3, recompute="full", dtype="fp8"),
        Plan(tensor=4, context=2, data=64, expert=8, recompute="selective", dtype="fp8"),
    ):
        plain = price_plan(work, plan, nodes, arrays, is_compiled=False)
        assert plain == price_plan(work, plan, nodes, arrays)


def test_what_fits_nowhere_says_what_it_needs():
    work = program(workloads.model("kimi-k2"))
    found = search(work, slice_of(topologies.machine("hgx-h100"), 8), workloads.stack(STACK), **WORK)
    assert not found.steps
    assert found.infeasible.needed_bytes > found.infeasible.available_bytes > 60e9
    assert found.too_large == found.searched


def test_a_plan_larger_than_the_slice_is_refused(gpt3, nodes):
    with pytest.raises(InputError, match="uses 1024 chips, the slice has 512"):
        priced(gpt3, nodes, tensor=8, data=128)


def test_a_serving_stack_does_not_train(gpt3, nodes):
    with pytest.raises(InputError, match="does not train"):
        step(gpt3, Plan(tensor=8, data=64), nodes, workloads.stack("vllm-0.15"), **WORK)


def test_divisors_are_those_of_a_sieve():
    for number in (1, 2, 97, 360, 9216):
        assert divisors(number) == [d for d in range(1, number + 1) if number / d == number // d]


def test_a_plan_reads_as_people_write_it():
    plan = Plan(tensor=8, pipeline=4, data=16, virtual_stages=2, recompute="full", dtype="fp8")
    assert str(plan) == "TP8 PP4 VP2 DP16 ZeRO-1 MBS1 fp8 recompute-full"
    assert plan_rows([plan]).shape == (1, PLAN_COLUMNS)
    assert dataclasses.replace(plan, tensor=1).chips == 64
