"""A config.json against the file of the same model in the catalogue, and against counts of released weights."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

import workloads
from simulator.errors import InputError
from supernode.cli import app
from workloads.hugging_face.families import FAMILIES
from workloads.program import count, rows

SAID = {"name": "any", "title": "any", "note": "", "published": None, "aliases": ()}
"""What a configuration does not state."""


def _rotary(kind, layers, hidden, heads, kv_heads, ffn, vocab, context, **more):
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "max_position_embeddings": context,
        "tie_word_embeddings": False,
        **more,
    }


def _deepseek(kind, layers, hidden, heads, ffn, vocab, context, q_rank, experts, active, width, shared, dense, **more):
    latent = {"q_lora_rank": q_rank, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64}
    mixed = {"n_routed_experts": experts, "num_experts_per_tok": active, "moe_intermediate_size": width}
    mixed |= {"n_shared_experts": shared, "first_k_dense_replace": dense, "moe_layer_freq": 1, "v_head_dim": 128}
    return _rotary(kind, layers, hidden, heads, heads, ffn, vocab, context, **latent, **mixed, **more)


# the fields that matter, as the repositories of these models state them
CONFIGS = {
    "llama2-7b": _rotary("llama", 32, 4096, 32, 32, 11008, 32000, 4096, rope_scaling=None),
    "llama3-8b": _rotary("llama", 32, 4096, 32, 8, 14336, 128256, 131072, attention_bias=False, mlp_bias=False),
    "llama3.2-1b": _rotary("llama", 16, 2048, 32, 8, 8192, 128256, 131072, tie_word_embeddings=True, head_dim=64),
    "mistral-7b": _rotary("mistral", 32, 4096, 32, 8, 14336, 32000, 32768, sliding_window=None),
    "mixtral-8x7b": _rotary(
        "mixtral", 32, 4096, 32, 8, 14336, 32000, 32768, num_local_experts=8, num_experts_per_tok=2, sliding_window=None
    ),
    "qwen2.5-7b": _rotary(
        "qwen2", 28, 3584, 28, 4, 18944, 152064, 131072, use_sliding_window=False, sliding_window=131072
    ),
    "qwen3-0.6b": _rotary("qwen3", 28, 1024, 16, 8, 3072, 151936, 40960, head_dim=128, tie_word_embeddings=True),
    "qwen3-30b-a3b": _rotary(
        "qwen3_moe",
        48,
        2048,
        32,
        4,
        6144,
        151936,
        40960,
        head_dim=128,
        num_experts=128,
        num_experts_per_tok=8,
        moe_intermediate_size=768,
        decoder_sparse_step=1,
        mlp_only_layers=[],
    ),
    "deepseek-v2": _deepseek("deepseek_v2", 60, 5120, 128, 12288, 102400, 163840, 1536, 160, 6, 1536, 2, 1),
    "deepseek-v2-lite": _deepseek("deepseek_v2", 27, 2048, 16, 10944, 102400, 163840, None, 64, 6, 1408, 2, 1),
    "deepseek-v3": _deepseek(
        "deepseek_v3",
        61,
        7168,
        128,
        18432,
        129280,
        163840,
        1536,
        256,
        8,
        2048,
        1,
        3,
        topk_method="noaux_tc",
        num_nextn_predict_layers=1,
        quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
    ),
    "kimi-k2": _deepseek(
        "kimi_k2", 61, 7168, 64, 18432, 163840, 131072, 1536, 384, 8, 2048, 1, 1, topk_method="noaux_tc"
    ),
    "pangu-ultra-moe-718b": {
        "model_type": "pangu_ultra_moe",
        "vocab_size": 153600,
        "hidden_size": 7680,
        "intermediate_size": 18432,
        "moe_intermediate_size": 2048,
        "num_hidden_layers": 61,
        "num_mtp_layers": 1,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "num_shared_experts": 1,
        "num_routed_experts": 256,
        "attention_kv_lora_dim": 512,
        "attention_q_lora_dim": 1536,
        "attention_qk_rope_dim": 64,
        "attention_v_dim": 128,
        "attention_qk_dim": 128,
        "num_experts_per_tok": 8,
        "num_dense_layers": 3,
        "max_position_embeddings": 131072,
        "sandwich_norm": True,
    },
    "gpt-oss-20b": _rotary(
        "gpt_oss",
        24,
        2880,
        64,
        8,
        2880,
        201088,
        131072,
        head_dim=64,
        attention_bias=True,
        num_local_experts=32,
        num_experts_per_tok=4,
        sliding_window=128,
        layer_types=["sliding_attention", "full_attention"] * 12,
    ),
    "gemma2-27b": {
        "model_type": "gemma2",
        "num_hidden_layers": 46,
        "hidden_size": 4608,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "intermediate_size": 36864,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
    },
    "gemma3-27b": {
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text",
            "num_hidden_layers": 62,
            "hidden_size": 5376,
            "num_attention_heads": 32,
            "num_key_value_heads": 16,
            "head_dim": 128,
            "intermediate_size": 21504,
            "sliding_window": 1024,
        },
        "vision_config": {"model_type": "siglip_vision_model", "num_hidden_layers": 27},
    },
    "llama4-maverick": {
        "model_type": "llama4",
        "text_config": _rotary(
            "llama4_text",
            48,
            5120,
            40,
            8,
            8192,
            202048,
            1048576,
            head_dim=128,
            intermediate_size_mlp=16384,
            num_local_experts=128,
            num_experts_per_tok=1,
            interleave_moe_layer_step=2,
            attention_chunk_size=8192,
            no_rope_layers=[1, 1, 1, 0] * 12,
        ),
        "vision_config": {"model_type": "llama4_vision_model"},
    },
    "gpt3-175b": {
        "model_type": "gpt2",
        "n_layer": 96,
        "n_embd": 12288,
        "n_head": 96,
        "n_inner": None,
        "vocab_size": 50257,
        "n_positions": 2048,
        "n_ctx": 2048,
    },
    "gpt-neox-20b": {
        "model_type": "gpt_neox",
        "num_hidden_layers": 44,
        "hidden_size": 6144,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "vocab_size": 50432,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
    },
    "bloom-176b": {
        "model_type": "bloom",
        "n_layer": 70,
        "hidden_size": 14336,
        "num_attention_heads": 112,
        "vocab_size": 250880,
        "seq_length": 2048,
    },
    "mpt-13b": {
        "model_type": "mpt",
        "d_model": 5120,
        "n_heads": 40,
        "n_layers": 40,
        "expansion_ratio": 4,
        "max_seq_len": 2048,
        "vocab_size": 50368,
        "attn_config": {"attn_impl": "flash"},
    },
    "falcon-40b": {
        "model_type": "falcon",
        "num_hidden_layers": 60,
        "hidden_size": 8192,
        "num_attention_heads": 128,
        "num_kv_heads": 8,
        "new_decoder_architecture": True,
        "parallel_attn": True,
        "bias": False,
        "vocab_size": 65024,
    },
    "nemotron4-340b": _rotary("nemotron", 96, 18432, 96, 8, 73728, 256000, 4096, hidden_act="relu2"),
    "grok-1": _rotary(
        "grok-1", 64, 6144, 48, 8, 32768, 131072, 8192, num_experts=8, num_experts_per_tok=2, tie_word_embeddings=True
    ),
}
# Released weights that are no model of the catalogue: parameters in the metadata of their files.
RELEASED = {
    6_649_286_656: {  # mosaicml/mpt-7b
        "model_type": "mpt",
        "d_model": 4096,
        "n_heads": 32,
        "n_layers": 32,
        "expansion_ratio": 4,
        "max_seq_len": 2048,
        "no_bias": True,
        "learned_pos_emb": True,
        "vocab_size": 50432,
        "attn_config": {"alibi": True},
    },
    14_315_784_192: _rotary(  # Qwen/Qwen1.5-MoE-A2.7B; its gate of the shared expert, 24 x 2048, is left out
        "qwen2_moe",
        24,
        2048,
        16,
        16,
        5632,
        151936,
        8192,
        num_experts=60,
        num_experts_per_tok=4,
        moe_intermediate_size=1408,
        shared_expert_intermediate_size=5632,
        decoder_sparse_step=1,
    ),
    3_821_079_552: _rotary("phi3", 32, 3072, 32, 32, 8192, 32064, 4096, sliding_window=2047),  # Phi-3-mini-4k
    8_537_680_896: {  # google/gemma-7b
        "model_type": "gemma",
        "num_hidden_layers": 28,
        "hidden_size": 3072,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "intermediate_size": 24576,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
    },
    6_921_720_704: {  # tiiuae/falcon-7b
        "model_type": "falcon",
        "num_hidden_layers": 32,
        "hidden_size": 4544,
        "num_attention_heads": 71,
        "multi_query": True,
        "parallel_attn": True,
        "bias": False,
        "vocab_size": 65024,
    },
}


@pytest.fixture
def written(tmp_path):
    """Write a configuration and give the name under which its text decoder is read."""

    def write(tree):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(tree), encoding="utf-8")
        return f"{path}#text_config" if "text_config" in tree else str(path)

    return write


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_the_model_of_the_catalogue(written, name):
    found, known = workloads.model(written(CONFIGS[name])), workloads.model(name)
    assert msgspec.structs.replace(found, **SAID) == msgspec.structs.replace(known, **SAID)
    assert list(rows(found)) == list(rows(known))


def test_every_family_that_is_read_is_held_against_a_model_or_a_count():
    trees = [*CONFIGS.values(), *RELEASED.values()]
    assert {tree.get("text_config", tree)["model_type"] for tree in trees} == set(FAMILIES)


@pytest.mark.parametrize(("parameters", "tree"), RELEASED.items())
def test_a_configuration_holds_the_parameters_of_its_released_weights(written, parameters, tree):
    assert count(workloads.model(written(tree))).parameters == pytest.approx(parameters, rel=2e-5)


def test_a_window_is_that_of_the_configuration(written):
    slid = _rotary("mistral", 32, 4096, 32, 8, 14336, 32000, 32768, sliding_window=4096)
    assert workloads.model(written(slid)).windowed_layers == 32
    upper = CONFIGS["qwen2.5-7b"] | {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 20}
    found = workloads.model(written(upper))
    assert (found.window, found.windowed_layers) == (4096, 8)
    listed = CONFIGS["gpt-oss-20b"] | {"layer_types": ["full_attention"] * 23 + ["sliding_attention"]}
    assert workloads.model(written(listed)).windowed_layers == 1


def test_the_name_is_that_of_the_repository_or_of_the_shape_and_never_of_the_folder(written):
    tree = CONFIGS["llama2-7b"]
    assert workloads.model(written(tree)).name == "llama-32x4096"
    assert workloads.model(written(tree | {"_name_or_path": "meta-llama/Llama-2-7b_HF"})).name == "llama-2-7b-hf"
    assert workloads.model(written(tree | {"_name_or_path": "/"})).name == "llama-32x4096"


def test_prediction_modules_of_a_configuration_are_left_out_and_said_to_be(written):
    found = workloads.model(written(CONFIGS["deepseek-v3"]))
    assert found.mtp_layers == 0
    assert "mtp_layers" in found.note


def test_an_imported_model_is_the_one_that_was_read(written, tmp_path):
    for name in ("deepseek-v2", "gemma2-27b", "gpt-oss-20b", "falcon-40b"):
        file, out = written(CONFIGS[name]), tmp_path / "mine.toml"
        done = CliRunner().invoke(app, ["import", "hugging-face", file, "--out", str(out), "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.output)["parameters"] == count(workloads.model(name)).parameters
        made, read = workloads.model(str(out)), workloads.model(file)
        assert made == msgspec.structs.replace(read, name="mine")
        short = CliRunner().invoke(app, ["import", file, "--out", str(tmp_path)])
        assert short.exit_code == 0, short.output
        assert workloads.model(str(tmp_path / f"{read.name}.toml")) == read


def test_the_text_decoder_of_a_model_that_sees_is_imported_where_it_is_asked_for(written, tmp_path):
    file, out = written(CONFIGS["gemma3-27b"]).partition("#")[0], tmp_path / "mine.toml"
    with pytest.raises(InputError, match="#text_config"):
        workloads.model(file)
    done = CliRunner().invoke(app, ["import", "hugging-face", file, "--out", str(out), "--text"])
    assert done.exit_code == 0, done.output
    assert workloads.model(str(out)).note == "The text decoder alone."


def test_the_page_names_every_family_that_is_read():
    page = (Path(__file__).resolve().parents[2] / "docs" / "models" / "architectures.md").read_text(encoding="utf-8")
    named = page.partition("Families that are read: ")[2].partition(". Of a model")[0]
    assert sorted(named.replace(",", "").split()) == sorted(FAMILIES)


def test_the_catalogue_shows_a_configuration_as_a_model(written):
    shown = CliRunner().invoke(app, ["catalogue", "show", written(CONFIGS["qwen3-30b-a3b"]), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["parameters"]["total"] == 30_532_122_624
