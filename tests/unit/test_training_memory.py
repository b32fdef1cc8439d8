"""Memory of a training step against published equations and measurements, its own plain form and executed schedules."""

from __future__ import annotations

import csv
import dataclasses

import msgspec
import numpy as np
import pytest

import topologies
import workloads
from simulator.figures import Draw
from simulator.machine import slice_of
from simulator.plan import SCHEDULES, Plan
from simulator.program import Published, Transformer
from simulator.training import training_arrays
from simulator.training.layout.kernels import rank_layers
from simulator.training.memory import memory, weigh_plan
from simulator.training.memory.kernels import in_flight
from simulator.training.plans import plan_rows
from simulator.training.schedules import peak_activations, pipeline_order
from workloads.program import program

GIB = 2.0**30
UNFUSED = "megatron-lm-2022"
FUSED = "megatron-bridge-26.04"


def gpt(name, layers, hidden, heads, vocab=51200):
    """A model of arXiv 2205.05198, table 3: MLP of four times the hidden size, output matrix tied to the embedding."""
    return program(
        Transformer(
            name=name,
            title=name,
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=heads,
            head_dim=hidden // heads,
            ffn=4 * hidden,
            vocab=vocab,
            context=2048,
            gated=False,
            tied=True,
            published=Published(parameters=1.0, active=1.0, source="made up"),
        )
    )


GPTS = {
    # layers, hidden, heads, TP, PP, VP, micro-batch: arXiv 2205.05198, table 3
    "22b": ((48, 6144, 64), (8, 1, 1, 4)),
    "175b": ((96, 12288, 96), (8, 8, 3, 1)),
    "530b": ((105, 20480, 128), (8, 35, 3, 1)),
    "1t": ((128, 25600, 160), (8, 64, 1, 1)),
}


@pytest.fixture(scope="module")
def h100():
    return slice_of(topologies.machine("hgx-h100"), 512)


@pytest.fixture(scope="module")
def gpt3():
    return program(workloads.model("gpt3-175b"))


@pytest.fixture(scope="module")
def deepseek():
    return program(workloads.model("deepseek-v3"))


def weigh(work, part, stack=FUSED, sequence=4096, batch=512, **plan):
    return memory(work, Plan(**plan), part, workloads.stack(stack), sequence=sequence, batch=batch)


def weigh_gpt(name, part, **plan):
    shape, (tensor, pipeline, virtual, micro_batch) = GPTS[name]
    work = gpt(name, *shape)
    layout = {"tensor": tensor, "pipeline": pipeline, "virtual_stages": virtual, "micro_batch": micro_batch}
    return weigh(work, part, UNFUSED, 2048, 2048 * micro_batch, dtype="fp16", **layout, **plan)


@pytest.mark.parametrize(
    ("name", "plain", "lean"),
    [
        # GiB of activations, figure 1 of arXiv 2205.05198: tensor parallelism alone; with sequence parallelism and
        # selective recompute. Values as Calculon's validation tabulates them (calculon/llm/validation.py).
        ("22b", 59.25, 9.5625),
        ("175b", 66.84375, 12.3515625),
        ("530b", 114.0234375, 23.076171875),
        ("1t", 131.25, 26.5625),
    ],
)
def test_activations_are_those_of_korthikanti_figure_1(name, plain, lean, h100):
    found = weigh_gpt(name, h100, sequence_parallel=False)
    assert found.activations_bytes / GIB == pytest.approx(plain, rel=1e-9)
    found = weigh_gpt(name, h100, recompute="selective")
    assert found.activations_bytes / GIB == pytest.approx(lean, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        # per cent of the activations without sequence parallelism and recompute, figure 7 of arXiv 2205.05198
        ("22b", (66.84, 49.42, 16.18, 7.64)),
        ("175b", (62.04, 56.53, 18.49, 8.71)),
        ("530b", (58.31, 62.04, 20.27, 9.42)),
        ("1t", (58.31, 62.04, 20.27, 9.42)),
    ],
)
def test_sequence_parallelism_and_recompute_save_what_korthikanti_figure_7_shows(name, shares, h100):
    whole = weigh_gpt(name, h100, sequence_parallel=False).activations_bytes
    plans = (
        {},
        {"sequence_parallel": False, "recompute": "selective"},
        {"recompute": "selective"},
        {"sequence_parallel": False, "recompute": "full"},
    )
    for plan, share in zip(plans, shares, strict=True):
        # read off a bar chart, to a tenth of a per cent of the whole
        assert 100 * weigh_gpt(name, h100, **plan).activations_bytes / whole == pytest.approx(share, abs=0.15)


@pytest.mark.parametrize(
    ("name", "published"),
    # GiB of parameters and optimizer state, figure 1 of arXiv 2205.05198, without embeddings, norms and biases
    [("22b", 45.5625), ("175b", 45.5625), ("530b", 31.640625), ("1t", 32.958984375)],
)
def test_parameters_and_optimizer_state_are_those_of_korthikanti_figure_1(name, published, h100):
    found = weigh_gpt(name, h100)
    assert found.stage == 0
    (layers, hidden, _), (tensor, pipeline, _, _) = GPTS[name]
    states = found.weights_bytes + found.gradients_bytes + found.optimizer_bytes
    embedding = 18 * 51200 * hidden / tensor
    assert (states - embedding) / GIB == pytest.approx(published, rel=2e-3)
    assert states - embedding == pytest.approx(18 * 12 * layers * hidden**2 / tensor / pipeline, rel=2e-3)


@pytest.mark.parametrize(("zero", "published"), [(0, 120), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_stages_of_zero_take_what_figure_1_of_its_paper_says(zero, published, h100):
    """Rajbhandari et al. (arXiv 1910.02054), figure 1: 7.5e9 parameters, 64 ranks, gradients in two bytes."""
    work = dataclasses.replace(gpt("7.5b", 36, 4096, 32, vocab=512))
    found = weigh(work, h100, UNFUSED, zero=zero, data=64, reduce_dtype="fp16", dtype="fp16")
    states = found.weights_bytes + found.gradients_bytes + found.optimizer_bytes
    scale = 7.5e9 / work.parameters  # the paper rounds the model
    assert states * scale / 1e9 == pytest.approx(published, rel=0.02)


def test_deepseek_v3_takes_what_megatron_core_reports(deepseek):
    """Yan et al. (arXiv 2603.07685), table 3: PP4 x VPP4 x EP64 on 256 chips in bf16, GB of 2^30 bytes a chip."""
    part = slice_of(topologies.machine("hgx-h100"), 256)
    found = weigh(deepseek, part, pipeline=4, virtual_stages=4, expert=64, data=64, batch=4096)
    assert (found.weights_bytes + found.gradients_bytes) / GIB == pytest.approx(36.4, rel=0.1)
    assert found.optimizer_bytes / GIB == pytest.approx(32.1, rel=0.1)
    assert found.activations_bytes / GIB == pytest.approx(131.0, rel=0.1)
    assert found.infeasible.reason.startswith("the largest item is activations")


@pytest.mark.parametrize(
    ("model", "plan", "sequence", "batch", "published"),
    [
        # GiB at the peak, H100 of 96 GB: torchtitan, benchmarks/llama3_h100_202412_torchtitan.md, tables 2 and 4
        ("llama3-8b", {"data": 8, "dtype": "fp8"}, 32768, 8, 83.9),
        ("llama3-8b", {"data": 4, "context": 2, "dtype": "fp8"}, 65536, 4, 84.2),
        ("llama3-8b", {"data": 1, "context": 8, "dtype": "fp8"}, 262144, 1, 84.5),
        ("llama3-70b", {"tensor": 8, "data": 32, "micro_batch": 16, "dtype": "fp8"}, 8192, 512, 71.9),
    ],
)
def test_fully_sharded_steps_peak_where_torchtitan_measured(model, plan, sequence, batch, published):
    """Full recompute, logits in copies of four bytes; measured are reserved bytes, fragments among them."""
    work = program(workloads.model(model))
    stack = workloads.stack(FUSED)
    stack = msgspec.structs.replace(stack, training=msgspec.structs.replace(stack.training, loss="plain"))
    part = slice_of(topologies.machine("hgx-h100"), 512)
    plan = Plan(zero=3, recompute="full", gather_dtype="fp8", **plan)
    found = memory(work, plan, part, stack, sequence=sequence, batch=batch)
    assert found.needed_bytes / GIB == pytest.approx(published, rel=0.16)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("pipeline", "micro_batches"), [(4, 16), (8, 32)])
def test_micro_batches_in_flight_are_those_of_the_executed_schedule(schedule, pipeline, micro_batches):
    for virtual in {"1f1b": (1, 2, 4), "zb-v": (2,), "v-half": (2,), "v-min": (2,)}.get(schedule, (1,)):
        order = pipeline_order(schedule, pipeline, virtual, micro_batches)
        executed = peak_activations(order) / virtual
        closed = [
            in_flight(SCHEDULES.index(schedule), pipeline, virtual, micro_batches, stage, virtual)
            for stage in range(pipeline)
        ]
        assert max(closed) == executed.max()
        if schedule not in {"v-half", "v-min"}:  # whose ranks differ by a chunk
            assert closed == executed.tolist()


def test_layers_of_all_ranks_are_the_layers_of_the_model(deepseek, gpt3):
    for work in (deepseek, gpt3):
        counts = np.array(work.counts())
        for pipeline, first, last in ((1, 0, 0), (2, 0, 0), (7, 0, 0), (16, 0, 0), (16, 3, 2), (16, 0, 1), (4, 20, 0)):
            row = plan_rows([Plan(pipeline=pipeline, first_layers=first, last_layers=last)])[0]
            held = np.array([rank_layers(counts, row, stage) for stage in range(pipeline)])
            assert held[:, 0].sum() == work.layers
            assert held[:, 1].sum() == pytest.approx(work.moe_layers)
            assert held[:, 0].max() - held[1:-1, 0].min(initial=work.layers) <= max(1, first) or first
            if first:
                assert held[0, 0] == first
            if last:
                assert held[-1, 0] == last


def test_layers_without_experts_lie_on_the_first_ranks(deepseek):
    """Three dense layers come first in DeepSeek-V3; with 16 ranks the first has three layers, with 32 it has one."""
    counts = np.array(deepseek.counts())
    rows = plan_rows([Plan(pipeline=16), Plan(pipeline=32)])
    assert [rank_layers(counts, rows[0], stage) for stage in (0, 1)] == [(3.0, 0.0), (4.0, 4.0)]
    assert [rank_layers(counts, rows[1], stage) for stage in (0, 1, 2)] == [(1.0, 0.0), (2.0, 0.0), (2.0, 2.0)]


def test_dualpipe_holds_parameters_twice_and_one_more_micro_batch(gpt3, h100):
    """DeepSeek-V3 (arXiv 2412.19437), table 2: 2 x parameters, PP + 1 activations."""
    plain, both = (
        weigh(gpt3, h100, tensor=8, pipeline=8, data=8, first_layers=12, schedule=schedule)
        for schedule in ("1f1b", "dualpipe")
    )
    assert both.weights_bytes == pytest.approx(2 * plain.weights_bytes)
    assert both.activations_bytes == pytest.approx(9 / 8 * plain.activations_bytes)


def test_the_last_rank_is_the_fullest_where_the_vocabulary_is_large():
    work = program(workloads.model("llama3-8b"))
    part = slice_of(topologies.machine("hgx-h100"), 8)
    found = weigh(work, part, sequence=8192, batch=64, pipeline=2, data=4, recompute="full")
    assert found.stage == 1
    assert found.logits_bytes > found.activations_bytes


def test_what_does_not_fit_names_its_largest_item(gpt3, h100):
    found = weigh(gpt3, h100, data=64)
    assert not found.fits
    assert found.largest == "gradients"
    assert found.infeasible.reason == "the largest item is gradients with 698.3 GB"
    assert found.infeasible.needed_bytes == found.needed_bytes > found.infeasible.available_bytes
    assert weigh(gpt3, h100, tensor=8, pipeline=8, data=8, recompute="full").infeasible is None


def test_chosen_dtypes_have_their_widths(gpt3, h100):
    layout = {"tensor": 8, "pipeline": 8, "data": 8}
    plain = weigh(gpt3, h100, **layout)
    assert weigh(gpt3, h100, reduce_dtype="bf16", **layout).gradients_bytes == plain.gradients_bytes / 2
    # four bytes of master copy, two moments of two bytes rather than four
    assert weigh(gpt3, h100, state_dtype="bf16", **layout).optimizer_bytes == pytest.approx(
        plain.optimizer_bytes * 8 / 12
    )
    eight = weigh(gpt3, h100, dtype="fp8", **layout)
    assert eight.copies_bytes == eight.weights_bytes == plain.weights_bytes
    assert eight.activations_bytes < plain.activations_bytes
    kept = weigh(gpt3, h100, dtype="fp8", gather_dtype="fp8", **layout)
    assert kept.copies_bytes == kept.weights_bytes == plain.weights_bytes / 2
    narrow = weigh(gpt3, h100, dtype="fp8", attention_dtype="fp8", **layout)
    assert narrow.activations_bytes < eight.activations_bytes


def test_offloading_leaves_on_the_chip_what_is_used_now(gpt3, h100):
    layout = {"tensor": 8, "pipeline": 8, "data": 8}
    plain = weigh(gpt3, h100, **layout)
    assert weigh(gpt3, h100, offload="optimizer", **layout).optimizer_bytes == 0
    moved = weigh(gpt3, h100, offload="activations", **layout)
    assert moved.activations_bytes == pytest.approx(plain.activations_bytes * 2 / 12 / 8)  # 12 layers, 8 in flight
    both = weigh(gpt3, h100, offload="both", **layout)
    assert (both.optimizer_bytes, both.activations_bytes) == (0, moved.activations_bytes)


def test_fewer_ranks_share_more_each_where_copies_remain(deepseek, h100):
    """HSDP over 64 of 512 ranks: 64 ranks share dense parameters, 64 / 8 the experts of EP8."""
    whole, part = (weigh(deepseek, h100, data=512, expert=8, zero=3, shard=shard) for shard in (0, 64))
    assert part.optimizer_bytes == pytest.approx(8 * whole.optimizer_bytes)


def test_expert_tensor_ranks_split_experts_and_share_their_tokens(deepseek, h100):
    one, two = (weigh(deepseek, h100, pipeline=8, data=64, expert=8, expert_tensor=size) for size in (1, 2))
    counts = deepseek.expert_parameters_per_layer
    assert one.weights_bytes - two.weights_bytes == pytest.approx(2 * 8 * counts / 8 / 2)
    assert two.activations_bytes > one.activations_bytes


def test_skewed_routing_fills_the_busiest_rank(deepseek, h100):
    arguments = {"sequence": 4096, "batch": 512}
    plan, stack = Plan(pipeline=8, data=64, expert=64), workloads.stack(FUSED)
    even, skewed = (memory(deepseek, plan, h100, stack, skew=skew, **arguments) for skew in (1.0, 1.5))
    assert skewed.activations_bytes > even.activations_bytes
    assert skewed.buffers_bytes > even.buffers_bytes
    assert skewed.weights_bytes == even.weights_bytes


def test_adapters_have_neither_gradients_nor_states_of_what_is_frozen(gpt3, h100):
    found = weigh(gpt3, h100, tensor=8, data=8, adapters=True)
    assert found.gradients_bytes == found.optimizer_bytes == 0 < found.weights_bytes


def test_stacks_differ_in_how_they_hold_logits_and_parameters(gpt3, h100):
    stack = workloads.stack(FUSED)

    def under(**changes):
        changed = msgspec.structs.replace(stack, training=msgspec.structs.replace(stack.training, **changes))
        plan = Plan(tensor=8, data=64, zero=3, recompute="full")
        return memory(gpt3, plan, h100, changed, sequence=2048, batch=512)

    fused, plain, chunked, whole = under(), under(loss="plain"), under(loss="chunked"), under(is_whole_program=True)
    assert plain.logits_bytes > fused.logits_bytes > whole.logits_bytes > chunked.logits_bytes
    assert whole.gathered_bytes < fused.gathered_bytes
    assert whole.weights_bytes + whole.optimizer_bytes == pytest.approx(
        (fused.weights_bytes + fused.optimizer_bytes) * 12 / 14
    )
    assert under(keeps_master=False).optimizer_bytes == pytest.approx(fused.optimizer_bytes * 4 / 12)


def test_plain_and_compiled_memory_agree_to_the_last_bit(deepseek, h100):
    for plan in (
        Plan(tensor=2, pipeline=16, data=16, expert=16, virtual_stages=2, dtype="fp8"),
        Plan(tensor=2, pipeline=16, data=16, expert=8, expert_tensor=2, schedule="dualpipe"),
        Plan(data=512, expert=64, zero=3, recompute="full", shard=64, dtype="fp8", offload="both"),
        Plan(tensor=4, context=2, data=64, expert=8, recompute="selective", context_mode="ulysses"),
        Plan(pipeline=8, data=64, expert=64, schedule="v-half", virtual_stages=2, first_layers=5, recompute_layers=3),
    ):
        arrays = training_arrays(
            deepseek, h100, workloads.stack(FUSED), sequence=4096, batch=2048, dtype=plan.dtype, draw=Draw()
        )
        assert weigh_plan(plan, arrays, is_compiled=False) == weigh_plan(plan, arrays)


def test_most_measured_steps_fit_into_the_chips_that_they_ran_on(shared_data):
    """They ran, so they fit; what is left is named in docs/models/memory.md."""
    from supernode.validation.answers import Refused
    from supernode.validation.architecture import architecture
    from supernode.validation.cases import read_cases
    from supernode.validation.parts import part_of
    from supernode.validation.possibilities import possibilities

    path = shared_data / "reference" / "measured-training.csv"
    stated = (
        "layers",
        "hidden",
        "heads",
        "ffn",
        "vocab",
        "seq_len",
        "chips",
        "tp",
        "pp",
        "micro_batch",
        "global_batch",
    )
    with path.open(encoding="utf-8") as file:
        complete = {row["id"] for row in csv.DictReader(file) if all(row[name] for name in stated)}
    weighed = fitting = 0
    for case in read_cases(path):
        if case.id not in complete:
            continue
        try:
            part, model = part_of(case), architecture(case)
            found = possibilities(case, model, part)
        except Refused:
            continue
        work, sequence = program(model), case.count("seq_len")
        weighed += 1
        fitting += any(
            memory(work, each.plan, part, each.stack, sequence=sequence, batch=each.batch).fits for each in found
        )
    assert weighed > 500
    assert fitting / weighed > 0.97
