"""Models against what their authors publish; stacks and tasks against what the design promises of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

import workloads
from simulator.cluster.policies import POLICIES
from simulator.figures import figures_of
from simulator.program import Transformer
from supernode.cli import app
from supernode.model_costs import model_costs
from workloads import load
from workloads.costs import flops_per_token, kv_values_per_sequence
from workloads.program import count
from workloads.tasks import ClusterFile

MODELS = workloads.names("models")
FOLDER = Path(workloads.__file__).parent
FIRST = ("deepseek-r1", "deepseek-v3", "gpt-oss-120b", "gpt3-175b", "kimi-k2", "llama3-405b", "llama3-70b")
FIRST += ("llama3-8b", "qwen3-235b-a22b")

# Parameters of the released weights, from the file metadata of each repository that `published.source` names, or of
# the table that it is; DeepSeek-V3 without its multi-token prediction module: 671,026,404,352 and a router bias of 256
# in 58 layers; Gemma 3 and Llama 4 without what sees; BLOOM without the norm after its embedding.
RELEASED = {
    "bloom-176b": 176_247_271_424 - 2 * 14_336,
    "bloom-7b1": 7_069_016_064 - 2 * 4_096,
    "deepseek-v2": 235_741_434_880,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-v3": 671_026_419_200,
    "falcon-180b": 179_522_565_120,
    "falcon-40b": 41_303_293_952,
    "gemma2-27b": 27_227_128_320,
    "gemma2-2b": 2_614_341_888,
    "gemma2-9b": 9_241_705_984,
    "gemma3-12b": 11_766_034_176,
    "gemma3-1b": 999_885_952,
    "gemma3-27b": 27_009_346_304,
    "gpt-neox-20b": 20_554_567_680,
    "gpt-oss-20b": 20_914_757_184,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama2-7b": 6_738_415_616,
    "llama3-405b": 405_853_388_800,
    "llama3-70b": 70_553_706_496,
    "llama3-8b": 8_030_261_248,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "mpt-125m": 125_311_488,
    "mpt-13b": 12_853_954_560,
    "mpt-1b": 1_315_950_592,
    "mpt-30b": 29_975_214_080,
    "mpt-350m": 355_985_408,
    "mpt-3b": 2_651_837_440,
    "mpt-70b": 64_862_437_376,
    "mpt-760m": 760_470_528,
    "mpt-7b": 6_658_859_008,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-14b": 14_768_307_200,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-32b": 32_762_123_264,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
}
# gpt-oss model card, table 1 [1]
GPT_OSS_CARD = {"mlp": 114.71e9, "attention": 0.96e9, "embedding": 1.16e9, "active": 5.13e9}
# Insights into DeepSeek-V3 (arXiv 2505.09343), table 1: cache of one token in bf16 [bytes];
# table 2: training FLOPs of one token in sequences of 4096 [1]
CACHE_BYTES = {"deepseek-v3": 70_272, "llama3-405b": 516_096, "qwen2.5-72b": 327_680}
TRAINING_FLOPS = {"deepseek-v3": 250e9, "llama3-405b": 2448e9}


@pytest.mark.parametrize(
    "family",
    [
        "gpt3-125m gpt3-350m gpt3-760m gpt3-1.3b gpt3-2.7b gpt3-6.7b gpt3-13b gpt3-175b",
        "llama2-7b llama2-70b llama3-8b llama3.1-70b llama3.1-405b llama4-scout llama4-maverick llama-33b",
        "mistral-7b mixtral-8x7b mixtral-8x22b",
        "qwen2.5-7b qwen2.5-72b qwen3-0.6b qwen3-32b qwen3-30b-a3b qwen3-235b-a22b",
        "deepseek-v2 deepseek-v2-lite deepseek-v3 deepseek-r1 kimi-k2 pangu-ultra-moe-718b",
        "gpt-oss-20b gpt-oss-120b gemma2-9b gemma2-27b gemma3-12b gemma3-27b grok-1",
        "nemotron4-15b nemotron4-340b palm-540b bloom-176b mpt-7b mpt-30b falcon-180b mt-nlg-530b megatron-1t",
    ],
)
def test_the_families_that_people_train_are_there(family):
    assert set(family.split()) <= set(MODELS)


def _agrees(counted, published, tolerance):
    """Whether a count is the published one, which may be rounded to two digits."""
    return counted == pytest.approx(published, rel=tolerance) or f"{counted:.2g}" == f"{published:.2g}"


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_within_six_thousandths_of_the_published_ones_or_round_to_them(name):
    model = workloads.model(name)
    assert _agrees(count(model).parameters, model.published.parameters, 0.006)


@pytest.mark.parametrize(("name", "parameters"), RELEASED.items())
def test_parameters_equal_those_of_the_released_weights_to_the_last_one(name, parameters):
    assert count(workloads.model(name)).parameters == parameters


@pytest.mark.parametrize("name", MODELS)
def test_active_parameters_are_within_a_hundredth_of_the_published_ones_or_round_to_them(name):
    model = workloads.model(name)
    counts = count(model)
    active = counts.parameters - counts.idle
    if not model.published.active_has_embedding:
        active -= counts.embedding
    assert _agrees(active, model.published.active, 0.01)


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
    assert flops_per_token(workloads.model(name), 4096).training_step == pytest.approx(flops, rel=0.02)


def test_the_cache_of_deepseek_v2_is_the_published_share_of_that_of_its_predecessor():
    # DeepSeek-V2 (arXiv 2405.04434), table 1: latent attention keeps 9/2 d_h l elements of a token, d_h = 128
    assert kv_values_per_sequence(workloads.model("deepseek-v2"), 1) == 9 / 2 * 128 * 60


def test_a_window_bounds_the_cache_of_its_layers():
    # Gemma 3 (arXiv 2503.19786), section 2: five local layers of 1,024 tokens to one global one, of 62 layers
    model = workloads.model("gemma3-27b")
    kept = kv_values_per_sequence(model, 32_768) / (2 * 16 * 128)
    assert kept == 10 * 32_768 + 52 * 1024
    assert kv_values_per_sequence(model, 512) == 2 * 16 * 128 * 62 * 512


def test_decoding_on_latents_costs_more_flops_and_far_fewer_bytes_than_on_keys():
    model = workloads.model("deepseek-v3")
    flops = flops_per_token(model, 4096)
    seen = 2 * 61 * 128 * 4096
    assert flops.decode - flops_per_token(model, 8192).decode == -seen * (512 + 64 + 512)
    assert flops.decode == pytest.approx(2 * workloads.program(model).active_parameters + seen * 1088, rel=1e-3)


def test_what_is_shown_of_a_model_adds_up():
    model = workloads.model("mixtral-8x7b")
    costs = model_costs(model)
    assert costs.parameters["total"] == count(model).parameters
    assert costs.parameters["active"] == workloads.program(model).active_parameters
    assert costs.weight_bytes["bf16"] == 2 * costs.parameters["total"] == 4 * costs.weight_bytes["fp4"]
    assert costs.kv_bytes_per_token["bf16"] == 2 * workloads.program(model).kv_values_per_token
    assert [each.tokens for each in costs.flops_per_token] == [4096, 32_768]
    assert costs.kv_bytes_per_sequence["fp8"] == tuple(costs.kv_bytes_per_token["fp8"] * n for n in (4096, 32_768))


def test_the_catalogue_shows_what_a_model_costs_and_who_says_what_it_is():
    done = CliRunner().invoke(app, ["catalogue", "show", "model", "deepseek-v3", "--json"])
    assert done.exit_code == 0, done.output
    tree = json.loads(done.output)
    assert set(tree["sources"]) == {"deepseek-v3-weights"}
    assert tree["flops_per_token"][0]["training_step"] == pytest.approx(TRAINING_FLOPS["deepseek-v3"], rel=0.02)
    assert tree["kv_bytes_per_token"]["bf16"] == CACHE_BYTES["deepseek-v3"]
    printed = CliRunner().invoke(app, ["catalogue", "show", "deepseek-v3"], env={"COLUMNS": "200"}).output
    for word in ("671,026,419,200 total", "training step", "250.4 GFLOP", "70.27 kB in bf16", "README_WEIGHTS.md"):
        assert word in printed


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_catalogue_says_who_published_it(name):
    model = workloads.model(name)
    assert model.published.source in workloads.sources()
    assert model.published.locator


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
        figures = list(figures_of(workloads.stack(name)))
        cited |= {figure.source for figure in figures if figure.source}
        cited |= {other.source for figure in figures for other in figure.others}
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
        is_certain = figure.key.endswith("score_passes") and figure.si == 0 and "fused" in figure.note
        assert figure.kind != "assumed" or figure.is_uncertain or is_certain, figure.key


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


def test_the_models_of_the_first_delivery_are_trained_and_served_and_all_have_a_task_of_training():
    tasks = workloads.names("tasks")
    assert {f"serve-{name}" for name in FIRST} <= set(tasks)
    assert {f"train-{name}" for name in FIRST if name != "deepseek-r1"} <= set(tasks)
    assert "cluster-day" in tasks
    for name in MODELS:
        model = workloads.model(name)
        task = workloads.training_task(model)
        assert task.sequence <= model.context
        assert task.note
        assert task.tokens >= task.tokens_per_step > 0


def test_an_alias_is_trained_as_the_model_and_any_other_as_its_context_allows():
    assert workloads.training_task(workloads.model("deepseek-r1")) == workloads.task("train-deepseek-v3")
    assert workloads.training_task(workloads.model("llama3.1-8b")) == workloads.task("train-llama3-8b")
    usual = workloads.training_task(workloads.model("gpt3-13b"))
    assert (usual.sequence, usual.tokens_per_step) == (2048, 2**22)
    assert "assumed" in usual.note


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
