"""Wrong names and wrong files of models, stacks and tasks: one message with file, field, value and remedy; no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from simulator.errors import InputError

FOLDER = Path(workloads.__file__).parent
READERS = {"models": workloads.model, "stacks": workloads.stack, "tasks": workloads.task}
GOOD = {
    "dense": ("models", "llama3-8b"),
    "sparse": ("models", "gpt-oss-120b"),
    "training": ("stacks", "megatron-dtk-2025"),
    "serving": ("stacks", "vllm-0.15"),
    "train": ("tasks", "train-llama3-405b"),
    "serve": ("tasks", "serve-llama3-405b"),
    "cluster": ("tasks", "cluster-day"),
}

# file, what to replace, by what, what the message must name
BAD = [
    # unknown keys, with the nearest known one
    ("dense", "layers = 32", "layer = 32", ["'layer'", "layers"]),
    ("dense", "[published]", "[publsihed]", ["'publsihed'", "published"]),
    ("training", "[training.jitter]", "[training.jiter]", ["'jiter'", "jitter"]),
    ("serve", 'tpot = "80 ms"', 'tpots = "80 ms"', ["'tpots'", "tpot"]),
    ("cluster", 'policy = "easy"', 'polici = "easy"', ["'polici'", "policy"]),
    # missing keys
    ("dense", "heads = 32\n", "", ["heads"]),
    ("dense", 'source = "llama3-8b-weights"\n', "", ["source"]),
    ("serving", 'date = "2026-01"\n', "", ["date"]),
    ("train", 'note = "', 'title2 = "', ["title2"]),
    ("cluster", "load = 0.9\n", "", ["load"]),
    # numbers that are none, negative, zero or absurd
    ("dense", "layers = 32", "layers = inf", ["layers", "inf"]),
    ("dense", "layers = 32", "layers = nan", ["layers", "nan"]),
    ("dense", "layers = 32", "layers = -32", ["layers", "-32"]),
    ("dense", "layers = 32", "layers = 0", ["layers", "0"]),
    ("dense", "layers = 32", "layers = 32.5", ["layers", "32.5"]),
    ("dense", "layers = 32", "layers = 1000000000000", ["layers", "1000000000000"]),
    ("dense", "layers = 32", f"layers = {10**400}", ["layers"]),
    ("dense", "hidden = 4096", "hidden = 99999999", ["parameters", "published"]),
    ("dense", "parameters = 8.03e9", "parameters = inf", ["published.parameters", "inf"]),
    ("dense", "parameters = 8.03e9", "parameters = -8e9", ["published.parameters"]),
    ("dense", "vocab = 128256", 'vocab = "128256"', ["vocab", "128256"]),
    ("training", "value = 0.3\n", "value = inf\n", ["tensor_exposed.value", "inf"]),
    ("training", "value = 0.3\n", "value = nan\n", ["tensor_exposed.value", "nan"]),
    ("training", "value = 0.3\n", "value = -0.3\n", ["tensor_exposed.value", "-0.3"]),
    ("training", "value = 0.3\n", "value = 0.95\n", ["tensor_exposed", "0.95", "0.7"]),
    ("training", "high = 0.7\n", "high = 1.3\n", ["tensor_exposed", "1.3"]),
    ("training", 'value = 0.6\nunit = "1"\nlow = 0.35', 'value = 0.6\nunit = "1"\nlow = 0.0', ["matmul_factor"]),
    ("serving", "high = 2.0", "high = 1e9", ["expert_imbalance"]),
    ("train", "batch = 2048", "batch = -1", ["batch", "-1"]),
    ("train", "batch = 2048", "batch = 1000000000000", ["batch", "1000000000000"]),
    ("train", "tokens = 15.6e12", "tokens = inf", ["tokens", "inf"]),
    ("train", "tokens = 15.6e12", "tokens = 100", ["tokens", "100"]),
    ("cluster", "load = 0.9", "load = 1e9", ["load"]),
    ("cluster", "share = 0.5", "share = 1.5", ["share", "1.5"]),
    ("cluster", "share = 0.5", "share = 0.0", ["share"]),
    ("cluster", "weight = 0.6", "weight = -0.6", ["weight", "-0.6"]),
    # next to nothing, where zero means something or nothing does
    ("cluster", "share = 0.5", "share = 1e-300", ["jobs[3].share", "1e-06"]),
    ("cluster", "weight = 0.6", "weight = 1e-300", ["jobs[0].weight", "1e-06"]),
    ("cluster", "utilisation = 0.5", "utilisation = 1e-300", ["utilisation", "1e-06"]),
    ("cluster", "sigma = 1.0", "sigma = 1e-300", ["jobs[0].sigma", "write 0"]),
    ("cluster", "load = 0.9", "load = 1e-300", ["load", "write 0"]),
    ("cluster", 'duration = "24 h"', 'duration = "1e-300 s"', ["duration", "at least 1 s"]),
    ("serve", '"80 ms"', '"1e-300 s"', ["slo.tpot", "at least 1e-06 s"]),
    # texts that say nothing, and days that are none
    ("dense", 'title = "', 'title = "" # "', ["title"]),
    ("training", 'title = "', 'title = "" # "', ["title"]),
    ("train", 'title = "', 'title = "" # "', ["title"]),
    ("serving", 'date = "2026-01"', 'date = "early 2026"', ["date", "early 2026"]),
    ("serving", 'date = "2026-01"', 'date = ""', ["date"]),
    # quantities: wrong unit, no unit, not finite, out of bounds
    ("training", 'unit = "us"', 'unit = "GB/s"', ["launch", "GB/s", "us"]),
    ("serving", 'unit = "ms"', 'unit = "1"', ["iteration_overhead", "ms"]),
    ("serve", '"80 ms"', '"80 GB"', ["slo.tpot", "GB", "ms"]),
    ("serve", '"80 ms"', '"80"', ["slo.tpot", "s"]),
    ("serve", '"80 ms"', '"inf s"', ["slo.tpot", "inf"]),
    ("serve", '"80 ms"', '"-80 ms"', ["slo.tpot", "-80"]),
    ("serve", '"80 ms"', '"0 ms"', ["slo.tpot", "0 ms"]),
    ("serve", '"80 ms"', '"1e9 s"', ["slo.tpot", "1e9"]),
    ("serve", '"80 ms"', "0.08", ["slo.tpot", "0.08"]),
    ("cluster", 'duration = "24 h"', 'duration = "24 kW"', ["duration", "kW"]),
    ("cluster", 'duration = "24 h"', 'duration = "1000 years"', ["duration", "1000 years"]),
    ("cluster", 'duration = "1.5 h"', 'duration = "0 h"', ["jobs[0].duration", "0 h"]),
    # names that nobody knows, and names that are paths
    ("dense", 'source = "llama3-8b-weights"', 'source = "llama3-8b-weight"', ["published.source", "llama3-8b-weights"]),
    ("serving", 'source = "vllm-engine-arguments"', 'source = "vllm"', ["memory_fraction", "vllm-engine-arguments"]),
    ("serving", 'source = "vllm-engine-arguments"\n', "", ["memory_fraction", "source"]),
    ("training", 'kind = "assumed"', 'kind = "guessed"', ["kind", "guessed"]),
    ("train", 'model = "llama3-405b"', 'model = "llama3-405"', ["model", "llama3-405b"]),
    ("train", 'model = "llama3-405b"', 'model = "../../secret"', ["model", "../../secret"]),
    ("train", 'name = "train-llama3-405b"', 'name = "../train"', ["name", "../train"]),
    ("train", 'dtype = "bf16"', 'dtype = "bf15"', ["dtype", "bf15"]),
    ("train", 'kind = "training"', 'kind = "trainning"', ["kind", "trainning"]),
    ("cluster", 'policy = "easy"', 'policy = "random"', ["policy", "random"]),
    ("cluster", 'model = "deepseek-r1"', 'model = "deepseek-r2"', ["services[1].model", "deepseek-r1"]),
    # parts that contradict each other
    ("dense", "kv_heads = 8", "kv_heads = 7", ["kv_heads", "7", "32"]),
    ("dense", "ffn = 14336", "ffn = 28672", ["published.parameters"]),
    ("sparse", "windowed_layers = 18", "windowed_layers = 37", ["windowed_layers", "37", "36"]),
    ("sparse", "window = 128\n", "", ["window"]),
    ("sparse", "active = 4\n", "active = 129\n", ["experts.active", "129", "128"]),
    ("sparse", "router_bias = true", "router_bias = true\ndense_layers = 36", ["dense_layers", "36"]),
    ("train", "sequence = 8192", "sequence = 200000", ["sequence", "131072"]),
    ("serve", "input_tokens = 4096", "input_tokens = 131072", ["input_tokens", "131072"]),
    ("cluster", "share = 0.125\npeak", "share = 0.95\npeak", ["services", "1"]),
    ("cluster", 'name = "train-70b"', 'name = "tune-8b"', ["tune-8b"]),
    # not what it says it is
    ("dense", 'name = "llama3-8b"', 'name = "llama3-8b', ["TOML"]),
    ("dense", "layers = 32", "layers = 32\nlayers = 33", ["TOML"]),
    ("dense", "layers = 32", "layers = [[[[32]]]]", ["layers"]),
    ("dense", "layers = 32", "x" + ".x" * 5000 + " = 1", ["dots"]),
]


def _read(tmp_path, which, old, new):
    kind, name = GOOD[which]
    text = (FOLDER / kind / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text, "the case no longer changes the file"
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return READERS[kind](str(path))


@pytest.mark.parametrize(("which", "old", "new", "named"), BAD, ids=lambda value: str(value)[:40])
def test_a_wrong_file_gets_one_message_that_names_file_field_and_value(tmp_path, which, old, new, named):
    with pytest.raises(InputError) as caught:
        _read(tmp_path, which, old, new)
    message = str(caught.value)
    for word in ["mine.toml", *named]:
        assert word in message, message
    assert len(message) < 1000
    assert message.count("\n") <= 1


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", ["", "x = 1", "[", "\x00", "name = 1", "[[name]]", "[a.b.c]\nd = 1"])
def test_a_file_of_something_else_is_refused(tmp_path, kind, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.toml"):
        READERS[kind](str(path))


@pytest.mark.parametrize("kind", READERS)
def test_a_file_of_another_kind_is_refused(tmp_path, kind):
    for other in READERS.keys() - {kind}:
        with pytest.raises(InputError):
            READERS[kind](str(next((FOLDER / other).glob("*.toml"))))


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../models/llama3-8b",
        "../sources",
        "/etc/passwd",
        "/dev/zero",
        "a/../../b.toml",
        "..\\models\\llama3-8b",
        "~root/x.toml",
        "x" * 10_000,
        "x" * 10_000 + ".toml",
        "llama3-8b\x00.toml",
        "llama3-8b\n.toml",
        "LLAMA3-8B ",
        "%s%n",
        "*",
        "моделъ",
    ],
)
def test_a_name_that_is_no_entry_is_refused_whatever_it_looks_like(kind, name):
    with pytest.raises(InputError) as caught:
        READERS[kind](name)
    assert len(str(caught.value)) < 12_000


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        ("models", "llama3-450b", "llama3-405b"),
        ("models", "deepseekv3", "deepseek-v3"),
        ("models", "DeepSeek-R1", "deepseek-r1"),
        ("stacks", "vllm", "vllm-0.15"),
        ("tasks", "train-llama-405b", "train-llama3-405b"),
        ("tasks", "clusterday", "cluster-day"),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_one(kind, wrong, right):
    with pytest.raises(InputError, match=right):
        READERS[kind](wrong)


@pytest.mark.parametrize("kind", READERS)
def test_a_folder_or_a_missing_or_huge_or_binary_file_is_refused(tmp_path, kind):
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (2 << 20))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(bytes(range(128, 256)))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    for path in (huge, binary, folder, tmp_path / "missing.toml"):
        with pytest.raises(InputError, match=path.name):
            READERS[kind](str(path))


@given(st.sampled_from(sorted(READERS)), st.text(max_size=40))
def test_any_text_as_a_name_is_an_entry_or_an_input_error(kind, name):
    try:
        found = READERS[kind](name)
    except InputError:
        return
    assert found.name == name
