"""Every catalogue figure that is simulated moves the answer, and moves it the right way.

A figure is simulated if a draw asks for it. Each must have a rule here that says which metric it moves and in which
direction; a new figure without a rule fails, and so does one that the simulation asks for and ignores.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing

import pytest

import topologies
import workloads
from simulator.figures import Draw, Figure, figures_of
from simulator.machine import slice_of
from simulator.plan import Plan
from simulator.program import FusedExperts, TrainingStack
from simulator.training import step
from supernode.basis import Contender
from supernode.evaluate import Evaluator
from workloads.program import program

TASKS = ("train-llama3-405b", "train-deepseek-v3", "serve-deepseek-r1", "cluster-day")
MACHINES = ("ironwood-9216", "scalex640", "cloudmatrix384", "gb200-nvl72", "hgx-h100")
MACHINES_NEEDED = {"hgx-h100": 64, "gb200-nvl72": 4}
"""Machines joined by their network, where one is too small for the work; two elsewhere, so that networks are priced."""

TRAINING = ("train-llama3-405b:tokens_per_s", "train-deepseek-v3:tokens_per_s")
SERVING = ("serve-deepseek-r1:output_tokens_per_s",)
SPEED = TRAINING + SERVING
COST = ("train-llama3-405b:usd_per_million_tokens", "serve-deepseek-r1:usd_per_million_tokens")
RULES: tuple[tuple[str, int, tuple[str, ...], bool], ...] = (
    # pattern of the key, direction, metrics of which all must not move the other way, whether one must move
    (r"chip/.*/peak\.", +1, SPEED, True),
    (r"chip/.*/matmul\.fraction\.", +1, SPEED, True),
    (r"chip/.*/matmul\.(sustained|streaming)", +1, SPEED, False),
    (r"chip/.*/matmul\.fill", -1, SPEED, True),
    (r"chip/.*/matmul\.engines", 0, SPEED, False),
    (r"chip/.*/attention\.(fraction|backward)", +1, SPEED, True),
    (r"chip/.*/attention\.(fill|softmax)", -1, SPEED, True),
    (r"chip/.*/hbm\.start", -1, SPEED, False),
    (r"chip/.*/host_link", +1, TRAINING, False),
    (r"chip/.*/hbm\.(bandwidth|fraction)", +1, SPEED, True),
    (r"chip/.*/hbm\.capacity", +1, SPEED, False),
    (r"machine/.*/fabric\.link\.(bandwidth|fraction)", +1, SPEED, True),
    (r"machine/.*/fabric\.link\.(latency|start)", -1, SPEED, True),
    (r"(machine|network)/.*/fabric\.link\.(ramp|window|(reduction|eager)\.start)", -1, SPEED, False),
    (r"(machine|network)/.*/fabric\.link\.(reduction|eager)\.fraction", +1, SPEED, False),
    (r"(machine/.*/software\.|software/.*/)collective_launch", -1, SPEED, True),
    (r"network/.*/fabric\.link\.(bandwidth|fraction)", +1, SPEED, True),
    (r"network/.*/fabric\.link\.(latency|start)", -1, SPEED, True),
    (r"network/.*/price_per_chip", +1, COST, True),
    (r"network/.*/power_per_chip", +1, COST, True),
    (r"machine/.*/power\.full", +1, COST, True),
    (r"machine/.*/power\.idle", +1, ("cluster-day:energy",), True),
    (r"machine/.*/site\.(pue|energy_price)", +1, COST, True),
    (r"machine/.*/prices\.capital", +1, COST, True),
    (r"machine/.*/prices\.life", -1, COST, True),
    (r"machine/.*/prices\.rent_per_chip", +1, ("train-llama3-405b:rent_usd_per_million_tokens",), True),
    (
        r"machine/.*/reliability\.interruptions_per_chip",
        +1,
        ("cluster-day:failures", "cluster-day:checkpoint_share"),
        True,
    ),
    (r"machine/.*/reliability\.checkpoint_bandwidth", -1, ("cluster-day:checkpoint_share",), True),
    (r"machine/.*/reliability\.repair", +1, ("cluster-day:ledger_down",), False),
    (r"machine/.*/reliability\.restart", +1, ("cluster-day:ledger_restart",), False),
    (r"stack/.*/training\.(fused_experts\.)?(expert_matmul_factor|attention_factor)", +1, TRAINING, False),
    (r"stack/.*/training\.memory_reserve", -1, TRAINING, False),
    (r"stack/.*/training\.(dense|moe)_spread", -1, TRAINING, True),
    (r"stack/.*/training\.", -1, TRAINING, False),
    (r"stack/.*/serving\.memory_fraction", +1, SERVING, False),
    (r"stack/.*/serving\.", -1, SERVING, True),
)
STEP = 1.1
STACK_PLANS: dict[str, tuple[str, str, str, Plan]] = {
    "megatron": ("megatron-bridge-26.06", "hgx-h100", "mixtral-8x7b", Plan(tensor=2, expert=8, data=16, micro_batch=4)),
    "gathered": ("megatron-bridge-26.06", "hgx-h100", "mixtral-8x7b", Plan(tensor=2, expert=8, data=16, zero=3)),
    "narrow": ("megatron-bridge-26.04", "hgx-h100", "mixtral-8x7b", Plan(expert=8, data=16, dtype="fp8")),
    "fused": ("megatron-bridge-26.06", "gb200-nvl72", "mixtral-8x7b", Plan(expert=8, data=16, dtype="fp8")),
    "large": ("megatron-bridge-26.06", "hgx-h100", "llama3-8b", Plan(tensor=8, data=2, micro_batch=4)),
    "small": ("eager-pytorch", "hgx-h100", "gpt3-125m", Plan(tensor=4, data=2)),
    "context": ("megatron-bridge-26.06", "hgx-h100", "llama3-8b", Plan(tensor=2, context=2, data=8, zero=1)),
    "offload": ("megatron-bridge-26.06", "hgx-h100", "llama3-8b", Plan(tensor=2, data=8, offload="optimizer")),
    "unfused": ("megatron-lm-2022", "hgx-a100-80gb", "llama3-8b", Plan(tensor=8, data=2)),
    "unfused context": ("eager-pytorch-npu", "atlas-800-a2", "llama3-8b", Plan(tensor=2, context=4, data=2)),
    "slices": ("maxtext-2025-10", "tpu-v5e", "llama3-8b", Plan(data=512, zero=3, shard=256, micro_batch=4)),
    "mesh": ("maxtext-2025-10", "ironwood-256", "gpt-oss-120b", Plan(data=64, expert=64, micro_batch=4)),
    "portable": ("eager-pytorch", "hgx-h100", "llama3-8b", Plan(tensor=2, data=8, zero=1)),
}
"""Stack, machine, model and plan under which figures decide that do not where the default tasks are at their best."""
STEPPED: tuple[tuple[str, str, int], ...] = (
    # figure, which of the plans above, whether more of it is faster
    ("training.tensor_exposed", "megatron", -1),
    ("training.context_exposed", "context", -1),
    ("training.expert_exposed", "megatron", -1),
    ("training.data_exposed", "large", -1),
    ("training.parameter_gather_exposed", "gathered", -1),
    ("training.copies_exposed", "slices", -1),
    ("training.contention", "megatron", -1),
    ("training.traffic_factor", "megatron", -1),
    ("training.attention_factor", "megatron", +1),
    ("training.score_passes", "unfused", -1),
    ("training.context_score_passes", "unfused context", -1),
    ("training.launch", "small", -1),
    ("training.expert_matmul_factor", "megatron", +1),
    ("training.expert_launch", "megatron", -1),
    ("training.expert_traffic_factor", "megatron", -1),
    ("training.expert_casts", "narrow", -1),
    ("training.fused_experts.expert_exposed", "fused", -1),
    ("training.fused_experts.expert_matmul_factor", "fused", +1),
    ("training.fused_experts.expert_launch", "fused", -1),
    ("training.fused_experts.expert_traffic_factor", "fused", -1),
    ("training.expert_padding", "mesh", -1),
    ("training.routing", "mesh", -1),
    ("training.step_overhead", "megatron", -1),
    ("training.jitter", "megatron", -1),
    ("training.moe_spread", "megatron", -1),
    ("training.dense_spread", "large", -1),
    ("host_link", "offload", +1),
    ("attention.portable", "portable", +1),
)
LARGER_STEP = 3.0
"""For repair and restart: which jobs are struck changes with every reschedule, and hides a tenth."""


def tasks():
    """The default tasks, the day stretched to a month: a tenth more failures must show among the luck of the draw."""
    for name in TASKS:
        task = workloads.task(name)
        yield dataclasses.replace(task, duration_s=30 * 86400.0) if name == "cluster-day" else task


def contender(name):
    machine = topologies.machine(name)
    count = MACHINES_NEEDED.get(name, 2)
    return Contender(machine, count * machine.chips, count, 0.0)


@functools.cache
def stated(name):
    """Evaluator, metrics and touched figures of a machine under its stated figures."""
    subject = contender(name)
    evaluator = Evaluator(subject, subject.machine, seed=7)
    draw = Draw()
    return evaluator, run(evaluator, draw), dict(draw.touched)


def run(evaluator, draw, wanted=TASKS):
    found = {}
    for task in tasks():
        if task.name not in wanted:
            continue
        answer = evaluator.answer(task, draw)
        assert answer.infeasible is None, f"{task} on {evaluator.machine.name}: {answer.infeasible}"
        found |= {f"{task.name}:{name}": value for name, value in answer.metrics.items()}
    if "cluster-day" not in wanted:
        return found
    found["cluster-day:checkpoint_share"] = (
        found["cluster-day:ledger_checkpoint"] / found["cluster-day:ledger_productive"]
    )
    return found


def rule(key):
    return next((found for found in RULES if re.match(found[0], key)), None)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_simulated_figure_has_a_rule_and_obeys_it(machine):
    evaluator, before, touched = stated(machine)
    wrong = []
    for key, figure in touched.items():
        found = rule(key)
        if found is None:
            wrong.append(f"{key}: no rule says what it moves")
            continue
        _, direction, metrics, must_move = found
        step = LARGER_STEP if "reliability.re" in key else STEP
        after = run(evaluator, Draw({key: figure.si * step}), {name.partition(":")[0] for name in metrics})
        moves = {name: direction * (after[name] / before[name] - 1) if before[name] else 0.0 for name in metrics}
        against = {name: move for name, move in moves.items() if move < -1e-9}
        if against:
            wrong.append(f"{key} moves {against} the wrong way")
        elif must_move and not any(move > 0 for move in moves.values()):
            wrong.append(f"{key} moves nothing")
    assert not wrong, "\n".join(wrong)


def test_no_rule_is_idle():
    keys = {key for machine in MACHINES for key in stated(machine)[2]}
    idle = [pattern for pattern, *_ in RULES if not any(re.match(pattern, key) for key in keys)]
    assert not idle


def stepped(case, figure_name, factor):
    """Seconds of the step of :data:`STACK_PLANS` with a figure of its stack or its chip so many times as large."""
    stack_name, machine, model, plan = STACK_PLANS[case]
    stack, part = workloads.stack(stack_name), slice_of(topologies.machine(machine), plan.chips)
    own = [*figures_of(stack), *figures_of(part.chip)]
    (figure,) = [each for each in own if each.key.rsplit("/", 1)[-1] == figure_name]
    draw = Draw({figure.key: figure.si * factor})
    work = program(workloads.model(model))
    return step(work, plan, part, stack, sequence=4096, batch=4 * plan.data, draw=draw).seconds


@pytest.mark.parametrize(("figure", "case", "direction"), STEPPED)
def test_every_figure_of_a_training_stack_moves_a_step_in_which_it_has_a_part(figure, case, direction):
    less, stated, more = (stepped(case, figure, factor) for factor in (0.5, 1.0, 2.0))
    slower, faster = (more, less) if direction < 0 else (less, more)
    assert faster <= stated <= slower
    assert faster < slower


def test_no_figure_of_a_training_stack_is_left_out():
    tables = {"training.": TrainingStack, "training.fused_experts.": FusedExperts}
    stated = {
        group + name
        for group, table in tables.items()
        for name, hint in typing.get_type_hints(table).items()
        if hint in (Figure, Figure | None)
    }
    elsewhere = {  # none where experts are fused; what fits, below
        "training.fused_experts.expert_casts",
        "training.memory_reserve",
    }
    assert stated == {figure for figure, *_ in STEPPED if figure.startswith("training.")} | elsewhere


def test_the_memory_that_a_stack_reserves_is_not_to_be_had():
    stack_name, machine, model, plan = STACK_PLANS["megatron"]
    stack, part = workloads.stack(stack_name), slice_of(topologies.machine(machine), plan.chips)
    work, reserve = program(workloads.model(model)), stack.training.memory_reserve
    less, more = (
        step(work, plan, part, stack, sequence=4096, batch=64, draw=Draw({reserve.key: share})).memory.available_bytes
        for share in (0.1, 0.2)
    )
    assert more == pytest.approx(less * 0.8 / 0.9)
