"""Models against what their authors publish; stacks and tasks against what the design promises of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import workloads
from simulator.cluster.policies import POLICIES
from simulator.figures import figures_of
from simulator.program import Transformer
from workloads import load
from workloads.program import count
from workloads.tasks import ClusterFile

MODELS = workloads.names("models")
FOLDER = Path(workloads.__file__).parent

# Parameters of the released weights, from the file metadata of each repository that `published.source` names;
# DeepSeek-V3 without its multi-token prediction module: 671,026,404,352 and a router bias of 256 in 58 layers.
RELEASED = {
    "deepseek-v3": 671_026_419_200,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3-405b": 405_853_388_800,
    "qwen3-235b-a22b": 235_093_634_560,
}
# gpt-oss model card, table 1 [1]
GPT_OSS_CARD = {"mlp": 114.71e9, "attention": 0.96e9, "embedding": 1.16e9, "active": 5.13e9}
# Insights into DeepSeek-V3 (arXiv 2505.09343), table 1: cache of one token in bf16 [bytes];
# table 2: training FLOPs of one token in sequences of 4096 [1]
CACHE_BYTES = {"deepseek-v3": 70_272, "llama3-405b": 516_096}
TRAINING_FLOPS = {"deepseek-v3": 250e9, "llama3-405b": 2448e9}


def test_every_model_of_the_first_delivery_is_there():
    expected = "deepseek-r1 deepseek-v3 gpt-oss-120b gpt3-175b kimi-k2 llama3-405b llama3-70b llama3-8b qwen3-235b-a22b"
    assert set(expected.split()) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_within_half_a_percent_of_the_published_ones(name):
    model = workloads.model(name)
    assert count(model).parameters == pytest.approx(model.published.parameters, rel=0.005)


@pytest.mark.parametrize(("name", "parameters"), RELEASED.items())
def test_parameters_equal_those_of_the_released_weights_to_the_last_one(name, parameters):
    assert count(workloads.model(name)).parameters == parameters


@pytest.mark.parametrize("name", MODELS)
def test_active_parameters_are_within_one_percent_of_the_published_ones_under_their_convention(name):
    model = workloads.model(name)
    counts = count(model)
    active = counts.parameters - counts.idle
    if not model.published.active_has_embedding:
        active -= counts.embedding
    assert active == pytest.approx(model.published.active, rel=0.01)


def test_gpt_oss_parts_match_the_table_of_its_card():
    model = workloads.model("gpt-oss-120b")
    counts = count(model)
    router = model.layers * model.experts.count * (model.hidden + 1)
    norms = (2 * model.layers + 1) * model.hidden
    attention = counts.split + counts.whole + counts.rest - router - norms
    assert counts.experts + router == pytest.approx(GPT_OSS_CARD["mlp"], rel=1e-4)
    assert attention == pytest.approx(GPT_OSS_CARD["attention"], rel=5e-3)
    assert counts.embedding + counts.head == pytest.approx(GPT_OSS_CARD["embedding"], rel=5e-3)
    assert workloads.program(model).active_parameters == pytest.approx(GPT_OSS_CARD["active"], rel=1e-3)


@pytest.mark.parametrize(("name", "size_bytes"), CACHE_BYTES.items())
def test_cache_of_a_token_is_the_published_one(name, size_bytes):
    assert 2 * workloads.program(workloads.model(name)).kv_values_per_token == size_bytes


@pytest.mark.parametrize(("name", "flops"), TRAINING_FLOPS.items())
def test_training_flops_of_a_token_match_the_published_ones(name, flops):
    model = workloads.model(name)
    key, value = (192, 128) if model.latent else (128, 128)
    causal = 2 * model.layers * model.heads * (key + value) * 4096 / 2
    assert 3 * (2 * workloads.program(model).active_parameters + causal) == pytest.approx(flops, rel=0.02)


def test_an_alias_is_the_same_architecture_under_the_name_that_was_asked_for():
    first, second = workloads.model("deepseek-v3"), workloads.model("deepseek-r1")
    assert second.name == "deepseek-r1"
    assert {field: getattr(first, field) for field in Transformer.__struct_fields__ if field != "name"} == {
        field: getattr(second, field) for field in Transformer.__struct_fields__ if field != "name"
    }


@pytest.mark.parametrize("kind", ["models", "stacks", "tasks"])
def test_every_entry_is_named_as_its_file(kind):
    read = {"models": workloads.model, "stacks": workloads.stack, "tasks": workloads.task}[kind]
    stems = sorted(path.stem for path in (FOLDER / kind).glob("*.toml"))
    assert stems
    assert [read(stem).name for stem in stems] == stems


def test_names_of_models_do_not_collide_with_aliases():
    stems = [path.stem for path in (FOLDER / "models").glob("*.toml")]
    aliases = [alias for stem in stems for alias in workloads.model(stem).aliases]
    assert len({*stems, *aliases}) == len(stems) + len(aliases)


def test_every_source_is_cited_and_every_assumption_says_why():
    cited = {workloads.model(name).published.source for name in MODELS}
    for name in workloads.names("tasks"):
        task = workloads.task(name)
        assert task.note
        cited |= {source for _, source in task.cited}
    for name in workloads.names("stacks"):
        cited |= {figure.source for figure in figures_of(workloads.stack(name)) if figure.source}
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*/*.toml"))
    for source, entry in workloads.sources().items():
        assert entry.url.startswith("https://")
        assert source in cited or f"({source}" in text, source


def test_stacks_train_or_serve_on_every_family_of_chips():
    stacks = {name: workloads.stack(name) for name in workloads.names("stacks")}
    assert {name for name, stack in stacks.items() if stack.training} >= {
        "maxtext-2025-10",
        "megatron-bridge-26.06",
        "megatron-dtk-2025",
        "mindspeed-2025",
    }
    assert {name for name, stack in stacks.items() if stack.serving} >= {
        "vllm-0.15",
        "vllm-ascend-0.15",
        "vllm-dtk-0.15",
        "vllm-tpu-0.15",
    }


@pytest.mark.parametrize("name", workloads.names("stacks"))
def test_a_stack_is_dated_and_its_assumed_figures_have_a_range(name):
    stack = workloads.stack(name)
    assert re.fullmatch(r"20\d\d-\d\d", stack.date)
    figures = list(figures_of(stack))
    assert figures
    for figure in figures:
        assert figure.key.startswith(f"stack/{name}/")
        assert figure.kind != "assumed" or figure.is_uncertain, figure.key


def test_stacks_without_published_measurements_have_the_wider_ranges():
    def width(name, table):
        stack = getattr(workloads.stack(name), table)
        return {figure.key.rsplit(".", 1)[-1]: figure.si_high - figure.si_low for figure in figures_of(stack)}

    for table, known, unknown in (
        ("training", "megatron-bridge-26.06", "megatron-dtk-2025"),
        ("serving", "vllm-0.15", "vllm-dtk-0.15"),
    ):
        narrow, wide = width(known, table), width(unknown, table)
        assert all(wide[figure] >= narrow[figure] for figure in narrow)


def test_every_model_is_served_and_every_pretrained_one_is_trained():
    tasks = workloads.names("tasks")
    assert {f"serve-{name}" for name in MODELS} <= set(tasks)
    assert {f"train-{name}" for name in MODELS if name != "deepseek-r1"} <= set(tasks)
    assert "cluster-day" in tasks


def test_batches_and_tokens_are_those_of_the_papers():
    llama, deepseek = workloads.task("train-llama3-405b"), workloads.task("train-deepseek-v3")
    assert llama.tokens_per_step == 2**24  # The Llama 3 Herd of Models, section 3.4.1: 16M tokens
    assert (llama.tokens, llama.dtype) == (15.6e12, "bf16")
    assert (deepseek.batch, deepseek.sequence) == (15_360, 4096)  # DeepSeek-V3 report, section 4.2
    assert (deepseek.tokens, deepseek.dtype) == (14.8e12, "fp8")
    assert workloads.task("train-kimi-k2").tokens_per_step == pytest.approx(67e6, rel=0.01)  # Kimi K2, section 2.5


def test_limits_of_a_service_are_read_in_seconds():
    task = workloads.task("serve-deepseek-r1")
    assert (task.ttft_s, task.tpot_s) == (2.0, 0.05)


def test_context_of_the_reasoning_service_is_near_that_of_the_operator():
    task = workloads.task("serve-deepseek-r1")
    mean_context = task.input_tokens + task.output_tokens / 2
    assert mean_context == pytest.approx(4989, rel=0.1)  # open-source week, day 6: mean cache length of an output token
    assert task.input_tokens / task.output_tokens == pytest.approx(608 / 168, rel=0.15)  # the same: tokens in and out


def test_the_cluster_day_is_a_day_whose_queue_does_not_grow_without_bound():
    day = workloads.task("cluster-day")
    assert day.duration_s == 86_400
    assert 0 < day.load < 1
    free = 1 - sum(service.share for service in day.services)
    assert all(job.share <= free for job in day.jobs)
    assert all(0 < job.duration_s < day.duration_s for job in day.jobs)


def test_a_task_may_name_every_policy_that_exists():
    allowed = get_args(get_type_hints(ClusterFile)["policy"])
    assert set(allowed) == set(POLICIES)


def test_a_users_file_is_read_as_one_of_ours(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((FOLDER / "models" / "llama3-8b.toml").read_text(encoding="utf-8"), encoding="utf-8")
    assert workloads.model(str(path)) == workloads.model("llama3-8b")
    path.write_text((FOLDER / "tasks" / "cluster-day.toml").read_text(encoding="utf-8"), encoding="utf-8")
    assert workloads.task(str(path)) == workloads.task("cluster-day")
    path.write_text((FOLDER / "stacks" / "vllm-0.15.toml").read_text(encoding="utf-8"), encoding="utf-8")
    assert workloads.stack(str(path)) == workloads.stack("vllm-0.15")


def test_every_figure_of_a_stack_has_bounds():
    for name in workloads.names("stacks"):
        for figure in figures_of(workloads.stack(name)):
            low, high = load.BOUNDS[figure.key.rsplit(".", 1)[-1]]
            assert low <= figure.si_low <= figure.si_high <= high
