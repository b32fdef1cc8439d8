"""Wrong and hostile config.json files: one message with file, field, value and what would be right; no harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from simulator.errors import InputError
from simulator.program import Transformer
from workloads.hugging_face.config import Config
from workloads.hugging_face.families import FAMILIES
from workloads.hugging_face.refusals import REFUSED

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
DEEPSEEK = LLAMA | {
    "model_type": "deepseek_v3",
    "num_key_value_heads": 32,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1408,
}
QWEN_MOE = LLAMA | {
    "model_type": "qwen2_moe",
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 1408,
}
MPT = {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50368}
FALCON = {"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71, "num_hidden_layers": 32}
FALCON |= {"vocab_size": 65024}

# configuration, what it says instead, what the message must name
BAD = [
    # missing
    (LLAMA, {"num_hidden_layers": None}, ["num_hidden_layers", "missing"]),
    (LLAMA, {"vocab_size": None}, ["vocab_size", "missing"]),
    (LLAMA, {"model_type": None}, ["model_type", "missing", "llama"]),
    (MIXTRAL, {"num_experts_per_tok": None}, ["num_experts_per_tok", "missing"]),
    (DEEPSEEK, {"kv_lora_rank": None}, ["kv_lora_rank"]),
    # no numbers, or numbers that no model has
    (LLAMA, {"hidden_size": "4096"}, ["hidden_size", "'4096'", "whole number"]),
    (LLAMA, {"hidden_size": 4096.5}, ["hidden_size", "4096.5"]),
    (LLAMA, {"hidden_size": -4096}, ["hidden_size", "-4096"]),
    (LLAMA, {"hidden_size": 0}, ["hidden_size", "0"]),
    (LLAMA, {"hidden_size": True}, ["hidden_size", "True"]),
    (LLAMA, {"hidden_size": [4096]}, ["hidden_size", "a list"]),
    (LLAMA, {"hidden_size": {"a": 1}}, ["hidden_size", "a table"]),
    (LLAMA, {"hidden_size": 10**300}, ["hidden_size", "bits"]),
    (LLAMA, {"num_hidden_layers": 10**9}, ["num_hidden_layers", "10,000"]),
    (LLAMA, {"hidden_size": float("nan")}, ["hidden_size", "NaN"]),
    (LLAMA, {"vocab_size": float("inf")}, ["vocab_size", "Infinity"]),
    (LLAMA, {"tie_word_embeddings": "yes"}, ["tie_word_embeddings", "'yes'", "true or false"]),
    (LLAMA, {"model_type": 7}, ["model_type", "7", "text"]),
    (LLAMA, {"hidden_size": 10**8, "num_hidden_layers": 10**4, "head_dim": 10**6}, ["parameters", "1e+15"]),
    # parts that contradict each other
    (LLAMA, {"num_key_value_heads": 7}, ["num_key_value_heads", "7", "num_attention_heads = 32"]),
    (LLAMA, {"num_attention_heads": 24}, ["head_dim", "24", "4096"]),
    (LLAMA, {"n_layer": 31}, ["n_layer", "31", "num_hidden_layers", "32"]),
    (LLAMA, {"mlp_bias": True}, ["mlp_bias", "attention_bias"]),
    (MIXTRAL, {"num_experts_per_tok": 9}, ["num_experts_per_tok", "9", "num_local_experts = 8"]),
    (DEEPSEEK, {"first_k_dense_replace": 32}, ["num_hidden_layers", "32"]),
    (DEEPSEEK, {"moe_layer_freq": 2}, ["moe_layer_freq"]),
    (QWEN_MOE, {"shared_expert_intermediate_size": 1000}, ["shared_expert_intermediate_size", "1000", "1408"]),
    (QWEN_MOE, {"mlp_only_layers": [0, 1]}, ["mlp_only_layers", "decoder_sparse_step"]),
    (QWEN_MOE, {"decoder_sparse_step": 40}, ["num_hidden_layers"]),
    (MPT, {"attn_config": 3}, ["attn_config", "a table"]),
    (MPT, {"attn_config": {"attn_type": "grouped_query_attention", "kv_n_heads": 5}}, ["kv_n_heads", "5", "32"]),
    (FALCON, {"new_decoder_architecture": True, "num_kv_heads": 8}, ["num_kv_heads", "8", "71"]),
    # lists by layer
    (LLAMA, {"model_type": "gemma2", "layer_types": ["full_attention"]}, ["layer_types", "1 entries", "32 layers"]),
    (LLAMA, {"model_type": "gemma2", "layer_types": "full"}, ["layer_types", "list"]),
    (LLAMA, {"model_type": "gemma2", "layer_types": ["linear_attention"] * 32}, ["layer_types", "linear_attention"]),
    # what is no decoder-only transformer
    (LLAMA, {"model_type": "llama5"}, ["llama5", "nearest is llama"]),
    (LLAMA, {"model_type": "qwen9_moe"}, ["qwen9_moe", "nearest is qwen"]),
    (LLAMA, {"model_type": "\x1b[31mred"}, ["nearest is"]),
    (LLAMA, {"is_encoder_decoder": True}, ["an encoder with a decoder"]),
    (LLAMA, {"hybrid_override_pattern": "M-M*"}, ["state-space", "hybrid_override_pattern", "llama"]),
    (LLAMA, {"vision_config": {"depth": 2}}, ["vision or audio tower", "nearest is llama"]),
    (LLAMA, {"model_type": "llava", "text_config": LLAMA, "vision_config": {}}, ["llava", "#text_config"]),
    (LLAMA, {"model_type": "\x1b[31mred" * 100, "vision_config": {"depth": 2}}, ["vision or audio tower"]),
    (LLAMA, {"model_type": "mistral3", "text_config": LLAMA}, ["mistral3", "#text_config"]),
]


@pytest.fixture
def read(tmp_path):
    """Read a text, or a table, as a configuration."""

    def read(content, part=""):
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return workloads.model(f"{path}{part}")

    return read


def _refusal(read, *content):
    with pytest.raises(InputError) as caught:
        read(*content)
    message = str(caught.value)
    assert "config.json" in message
    assert len(message) < 1000
    assert message.count("\n") <= 1
    assert message.replace("\n", "").isprintable()
    return message


@pytest.mark.parametrize(("tree", "change", "named"), BAD, ids=lambda value: str(value)[:40])
def test_a_wrong_configuration_gets_one_message_that_names_file_field_and_value(read, tree, change, named):
    assert isinstance(read(tree), Transformer)
    message = _refusal(read, tree | change)
    for word in named:
        assert word in message, message


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_by_name_is_said_to_be_what_it_is_beside_a_family_that_is_read(read, kind):
    what, nearest = REFUSED[kind]
    message = _refusal(read, {"model_type": kind})
    assert kind not in FAMILIES
    assert nearest in FAMILIES
    assert kind in message
    assert what in message
    assert nearest in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "holds no table"),
        ("3", "holds no table"),
        ('"llama"', "holds no table"),
        ("{}", "model_type"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ('{"hidden_size": ' + "9" * 10_000 + "}", "huge number"),
        ('{"hidden_size": 1, "hidden_size": 2}', "'hidden_size' stands twice"),
        ("model_type: llama", "not JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_of_something_else_is_refused(read, text, named):
    assert named in _refusal(read, text)


def test_a_huge_binary_missing_or_no_file_is_refused(tmp_path):
    huge, binary, folder = (tmp_path / f"{name}.json" for name in ("huge", "binary", "folder"))
    huge.write_text(" " * (2 << 20), encoding="utf-8")
    binary.write_bytes(bytes(range(128, 256)))
    folder.mkdir()
    for path in (huge, binary, folder, tmp_path / "missing.json"):
        with pytest.raises(InputError, match=path.name):
            workloads.model(str(path))


@pytest.mark.parametrize("name", ["/dev/zero.json", "../../x.json", "a\x00.json", "a\n.json", "x" * 10_000 + ".json"])
def test_a_name_that_is_no_file_is_refused_whatever_it_looks_like(name):
    with pytest.raises(InputError) as caught:
        workloads.model(name)
    assert len(str(caught.value)) < 1000


def test_only_the_text_decoder_can_be_named_behind_a_hash(read):
    assert read({"model_type": "llava", "text_config": LLAMA}, "#text_config").layers == 32
    assert "text_config" in _refusal(read, LLAMA, "#text_config")
    assert "text_config" in _refusal(read, LLAMA, "#vision_config")
    nested = {"text_config": {"model_type": "llava", "text_config": LLAMA}}
    assert "tower" in _refusal(read, nested | {"text_config": LLAMA | {"vision_config": {}}}, "#text_config")


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 300), st.floats(), st.text(max_size=5))
_KEYS = st.sampled_from(
    sorted({*LLAMA, *DEEPSEEK, *QWEN_MOE, *MPT, *FALCON, "layer_types", "sliding_window", "n_inner", "n_positions"})
)


@given(st.sampled_from(sorted(FAMILIES)), st.dictionaries(_KEYS, _VALUES | st.lists(_VALUES, max_size=3)))
def test_any_table_is_an_architecture_or_an_input_error(kind, tree):
    try:
        fields = FAMILIES[kind](Config(DEEPSEEK | MIXTRAL | QWEN_MOE | tree | {"model_type": kind}, "config.json"))
    except InputError:
        return
    assert fields["heads"] % fields["kv_heads"] == 0
    assert fields["layers"] > 0
