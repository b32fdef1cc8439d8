"""One function for each family of ``config.json``: its fields as those of :class:`simulator.program.Transformer`.

What a file leaves out has the default of the library that writes such files (transformers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workloads.hugging_face.config import MOST_LAYERS

if TYPE_CHECKING:
    from workloads.hugging_face.config import Config

Fields = dict[str, Any]
SLIDING, CHUNKED, FULL = "sliding_attention", "chunked_attention", "full_attention"
GPT2_CONTEXT = 2048
"""Context of families whose positions are not bounded by their configuration [tokens]."""
GEMMA3_PERIOD = 6
LLAMA4_PERIOD = 4


def _shape(config: Config, head_dim: int | None = None) -> Fields:
    """Sizes that most families name alike."""
    layers = config.count("num_hidden_layers", "n_layer", "n_layers", most=MOST_LAYERS)
    hidden = config.count("hidden_size", "n_embd", "n_embed", "d_model")
    heads = config.count("num_attention_heads", "n_head", "n_heads")
    kv_heads = config.count("num_key_value_heads", default=heads)
    if heads % kv_heads:
        fault = f"is {kv_heads}, which does not divide num_attention_heads = {heads}"
        raise config.wrong("num_key_value_heads", fault, "every key-value head serves the same number of heads")
    size = config.count("head_dim", default=head_dim or 0, least=0)
    if not size and hidden % heads:
        fault = f"is missing, and num_attention_heads = {heads} does not divide hidden_size = {hidden}"
        raise config.wrong("head_dim", fault, "state it")
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": size or hidden // heads,
        "vocab": config.count("vocab_size"),
    }


def _rotary(config: Config, *, tied: bool = False, head_dim: int | None = None) -> Fields:
    """The common shape with a gated MLP and rotated positions."""
    return _shape(config, head_dim) | {
        "ffn": config.count("intermediate_size"),
        "context": config.count("max_position_embeddings", "max_sequence_length"),
        "tied": config.flag("tie_word_embeddings", default=tied),
    }


def _windows(config: Config, fields: Fields, window: int, windowed: int) -> Fields:
    """How many layers see a window only: as ``layer_types`` lists them, else ``windowed``."""
    kinds = config.per_layer("layer_types", fields["layers"])
    if kinds is not None:
        for kind in kinds:
            if kind not in {SLIDING, CHUNKED, FULL}:
                fault = f"has a layer of {str(kind)[:40]!r}"
                raise config.wrong("layer_types", fault, f"modelled are {FULL}, {SLIDING} and {CHUNKED}")
        windowed = sum(kind != FULL for kind in kinds)
    if not windowed or not window or window >= fields["context"]:
        return {}
    return {"window": window, "windowed_layers": windowed}


def _biases(config: Config, *, attention: bool, mlp: bool) -> Fields:
    """Which matrices have biases; an MLP with them beside an attention without is not known to exist."""
    attention = config.flag("attention_bias", default=attention)
    mlp = config.flag("mlp_bias", default=mlp)
    if mlp and not attention:
        raise config.wrong(
            "mlp_bias", "is true, but attention_bias is false", "an MLP alone with biases is not modelled"
        )
    return {"biases": "all" if mlp else "attention" if attention else "none"}


def llama(config: Config) -> Fields:
    """Llama 1 to 3, and what calls itself one."""
    return _rotary(config) | _biases(config, attention=False, mlp=False)


def gemma(config: Config) -> Fields:
    """The first Gemma: a Llama with a wide head and a tied embedding."""
    return _rotary(config, tied=True, head_dim=256)


def mistral(config: Config) -> Fields:
    """A Llama that may slide a window in every layer."""
    fields = _rotary(config)
    return fields | _windows(config, fields, config.count("sliding_window", default=0, least=0), fields["layers"])


def mixtral(config: Config) -> Fields:
    """Mistral with a mixture in every layer, each expert as wide as the dense MLP would be."""
    fields = mistral(config)
    return fields | {"experts": _experts(config, fields, "num_local_experts", width=fields["ffn"])}


def qwen2(config: Config) -> Fields:
    """A Llama with biases on queries, keys and values; upper layers may slide a window."""
    return _qwen(config) | {"biases": "qkv"}


def qwen3(config: Config) -> Fields:
    """A Llama with norms on queries and keys."""
    return _qwen(config) | _biases(config, attention=False, mlp=False) | {"qk_norm": True}


def qwen2_moe(config: Config) -> Fields:
    """Qwen2 with a mixture in every n-th layer and one wide shared expert."""
    fields = qwen2(config)
    return fields | {"experts": _qwen_experts(config, fields)}


def qwen3_moe(config: Config) -> Fields:
    """Qwen3 with a mixture in every n-th layer."""
    fields = qwen3(config)
    return fields | {"experts": _qwen_experts(config, fields)}


def _qwen(config: Config) -> Fields:
    fields = _rotary(config)
    if not config.flag("use_sliding_window", default=False):
        return fields
    above = fields["layers"] - config.count("max_window_layers", default=fields["layers"], least=0)
    return fields | _windows(config, fields, config.count("sliding_window", default=0, least=0), max(above, 0))


def _qwen_experts(config: Config, fields: Fields) -> Fields:
    width = config.count("moe_intermediate_size")
    shared = config.count("shared_expert_intermediate_size", default=0, least=0)
    if shared % width:
        fault = f"is {shared}, which moe_intermediate_size = {width} does not divide"
        raise config.wrong("shared_expert_intermediate_size", fault, "a whole number of experts")
    if config.tree.get("mlp_only_layers"):
        raise config.wrong(
            "mlp_only_layers", "names layers", "dense layers other than by decoder_sparse_step are not modelled"
        )
    every = config.count("decoder_sparse_step", default=1)
    return _experts(config, fields, "num_experts", width=width, shared=shared // width, every=every)


def _experts(config: Config, fields: Fields, *names: str, width: int, **more: Any) -> Fields:
    """A table of experts; ``names`` are what the file may call their number."""
    number = config.count(*names)
    active = config.count("num_experts_per_tok", "experts_per_token")
    if active > number:
        fault = f"is {active}, more than {names[0]} = {number}"
        raise config.wrong("num_experts_per_tok", fault, "at most all of them")
    dense, every = more.get("dense_layers", 0), more.get("every", 1)
    if dense + every > fields["layers"]:
        fault = f"is {fields['layers']}, which leaves no layer to the experts after {dense} dense ones"
        raise config.wrong("num_hidden_layers", fault, "fewer dense layers, or more layers")
    return {"count": number, "active": active, "ffn": width, **more}


def deepseek(config: Config) -> Fields:
    """DeepSeek-V2 and V3, Kimi K2: latent attention, shared experts, dense first layers."""
    fields = _rotary(config, head_dim=1)
    latent = {
        "q_rank": config.count("q_lora_rank", default=0, least=0),
        "kv_rank": config.count("kv_lora_rank"),
        "nope_head": config.count("qk_nope_head_dim"),
        "rope_head": config.count("qk_rope_head_dim"),
        "value_head": config.count("v_head_dim"),
    }
    fields |= {"head_dim": latent["nope_head"] + latent["rope_head"], "latent": latent}
    if config.tree.get("n_routed_experts") is None:
        return fields
    if config.count("moe_layer_freq", default=1) != 1:
        raise config.wrong("moe_layer_freq", "is not 1", "experts in every layer after the first dense ones")
    return fields | {
        "experts": _experts(
            config,
            fields,
            "n_routed_experts",
            width=config.count("moe_intermediate_size"),
            shared=config.count("n_shared_experts", default=0, least=0),
            dense_layers=config.count("first_k_dense_replace", default=0, least=0),
            router_bias=config.text("topk_method") == "noaux_tc",
        )
    }


def pangu_ultra_moe(config: Config) -> Fields:
    """Pangu Ultra MoE: DeepSeek-V3 under other names, with norms on both sides of attention and MLP."""
    names = {
        "q_lora_rank": "attention_q_lora_dim",
        "kv_lora_rank": "attention_kv_lora_dim",
        "qk_nope_head_dim": "attention_qk_dim",
        "qk_rope_head_dim": "attention_qk_rope_dim",
        "v_head_dim": "attention_v_dim",
        "n_routed_experts": "num_routed_experts",
        "n_shared_experts": "num_shared_experts",
        "first_k_dense_replace": "num_dense_layers",
    }
    renamed = {ours: config.tree[theirs] for ours, theirs in names.items() if theirs in config.tree}
    fields = deepseek(type(config)({**config.tree, **renamed, "topk_method": "noaux_tc"}, config.where))
    return fields | {"norms_per_layer": 4 if config.flag("sandwich_norm", default=True) else 2}


def gpt_oss(config: Config) -> Fields:
    """GPT-OSS: biases everywhere, sinks, a window in every second layer, a mixture in every layer."""
    fields = _rotary(config, head_dim=64)
    experts = _experts(config, fields, "num_local_experts", "num_experts", width=fields["ffn"], router_bias=True)
    window = config.count("sliding_window", default=128, least=0)
    windows = _windows(config, fields, window, (fields["layers"] + 1) // 2)
    return fields | windows | {"biases": "all", "attention_sinks": True, "experts": experts}


def gemma2(config: Config) -> Fields:
    """Gemma 2: norms on both sides of attention and MLP, a window in every second layer."""
    fields = _rotary(config, tied=True, head_dim=256) | {"norms_per_layer": 4}
    window = config.count("sliding_window", default=4096, least=0)
    return fields | _windows(config, fields, window, (fields["layers"] + 1) // 2)


def gemma3_text(config: Config) -> Fields:
    """The text decoder of Gemma 3: as Gemma 2, with norms on queries and keys and a window in five of six layers.

    A text_config holds only what differs from the defaults of the library.
    """
    defaults = {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
    }
    config = type(config)({**defaults, **config.tree}, config.where)
    fields = _rotary(config, tied=True, head_dim=256) | {"norms_per_layer": 4, "qk_norm": True}
    period = config.count("sliding_window_pattern", "_sliding_window_pattern", default=GEMMA3_PERIOD)
    window = config.count("sliding_window", default=4096, least=0)
    return fields | _windows(config, fields, window, fields["layers"] - fields["layers"] // period)


def llama4_text(config: Config) -> Fields:
    """The text decoder of Llama 4: chunks in three of four layers, a mixture in every n-th layer, one shared expert."""
    defaults = {"num_attention_heads": 40, "num_key_value_heads": 8, "num_hidden_layers": 48, "hidden_size": 5120}
    defaults |= {"vocab_size": 202048, "intermediate_size": 8192, "intermediate_size_mlp": 16384}
    defaults |= {"num_local_experts": 16, "num_experts_per_tok": 1, "max_position_embeddings": 131072}
    config = type(config)({**defaults, **config.tree}, config.where)
    fields = _rotary(config, head_dim=128) | _biases(config, attention=False, mlp=False)
    width, layers = fields["ffn"], fields["layers"]
    every = config.count("interleave_moe_layer_step", default=1)
    rotated = config.per_layer("no_rope_layers", layers)
    chunked = layers - layers // LLAMA4_PERIOD if rotated is None else sum(bool(each) for each in rotated)
    windows = _windows(config, fields, config.count("attention_chunk_size", default=8192, least=0), chunked)
    return fields | {
        "ffn": config.count("intermediate_size_mlp"),
        **windows,
        "chunked": bool(windows),
        "experts": _experts(config, fields, "num_local_experts", width=width, shared=1, every=every),
    }


def phi3(config: Config) -> Fields:
    """A Llama with fused matrices; small ones slide a window in every layer."""
    return mistral(config)


def nemotron(config: Config) -> Fields:
    """Nemotron-4: an MLP without a gate (squared ReLU) and norms that shift."""
    return llama(config) | {"gated": False, "norm_biases": True}


def grok1(config: Config) -> Fields:
    """Grok-1: norms on both sides of attention and MLP, a mixture in every layer."""
    fields = _rotary(config, tied=True) | {"norms_per_layer": 4}
    return fields | {"experts": _experts(config, fields, "num_experts", "num_local_experts", width=fields["ffn"])}


def gpt2(config: Config) -> Fields:
    """GPT-2 and GPT-3: learned positions, biases everywhere, no gate."""
    fields = _shape(config)
    return fields | {
        "ffn": config.count("n_inner", default=4 * fields["hidden"]),
        "context": config.count("n_positions", "n_ctx"),
        "tied": config.flag("tie_word_embeddings", default=True),
        "learned_positions": True,
        **_PLAIN,
    }


def gpt_neox(config: Config) -> Fields:
    """GPT-NeoX and Pythia: as GPT-2 with rotated positions, attention and MLP side by side."""
    parallel = config.flag("use_parallel_residual", default=True)
    if not config.flag("attention_bias", default=True):
        raise config.wrong("attention_bias", "is false", "an MLP alone with biases is not modelled")
    return _rotary(config) | _PLAIN | {"parallel": parallel}


def bloom(config: Config) -> Fields:
    """BLOOM: as GPT-2 without a table of positions."""
    fields = _shape(config)
    return fields | {
        "ffn": config.count("n_inner", default=4 * fields["hidden"]),
        "context": config.count("seq_length", "max_position_embeddings", default=GPT2_CONTEXT),
        "tied": config.flag("tie_word_embeddings", default=True),
        **_PLAIN,
    }


def mpt(config: Config) -> Fields:
    """MPT: as GPT-2, with or without a table of positions and biases."""
    fields, attention = _shape(config), config.table("attn_config")
    bare = config.flag("no_bias", default=False)
    looked_up = config.flag("learned_pos_emb", default=True) and not (
        attention.flag("alibi", default=False) or attention.flag("rope", default=False)
    )
    kind = attention.text("attn_type", "multihead_attention")
    if kind != "multihead_attention":
        few = 1 if kind == "multiquery_attention" else attention.count("kv_n_heads")
        if fields["heads"] % few:
            fault = f"is {few}, which does not divide n_heads = {fields['heads']}"
            raise attention.wrong("kv_n_heads", fault, "every key-value head serves the same number of heads")
        fields |= {"kv_heads": few}
    return fields | {
        "ffn": config.count("expansion_ratio", default=4) * fields["hidden"],
        "context": config.count("max_seq_len", default=GPT2_CONTEXT),
        "tied": config.flag("tie_word_embeddings", default=True),
        "learned_positions": looked_up,
        "gated": False,
        "biases": "none" if bare else "all",
        "norm_biases": not bare,
    }


def falcon(config: Config) -> Fields:
    """Falcon: one or few key-value heads, attention and MLP side by side, no gate."""
    fields = _shape(config)
    is_new = config.flag("new_decoder_architecture", default=False)
    parallel = is_new or config.flag("parallel_attn", default=True)
    kv_heads = fields["heads"]
    if is_new:
        kv_heads = config.count("num_kv_heads", "n_head_kv", default=kv_heads)
    elif config.flag("multi_query", default=True):
        kv_heads = 1
    if fields["heads"] % kv_heads:
        fault = f"is {kv_heads}, which does not divide num_attention_heads = {fields['heads']}"
        raise config.wrong("num_kv_heads", fault, "every key-value head serves the same number of heads")
    return fields | {
        "kv_heads": kv_heads,
        "ffn": config.count("ffn_hidden_size", default=4 * fields["hidden"]),
        "context": config.count("max_position_embeddings", default=GPT2_CONTEXT),
        "tied": config.flag("tie_word_embeddings", default=True),
        "gated": False,
        "biases": "all" if config.flag("bias", default=False) else "none",
        "norm_biases": True,
        "norms_per_layer": 1 if parallel and not is_new else 2,
        "parallel": parallel,
    }


_PLAIN: Fields = {"gated": False, "biases": "all", "norm_biases": True}
"""GPT-2 and its heirs."""

FAMILIES: dict[str, Callable[[Config], Fields]] = {
    "bloom": bloom,
    "deepseek_v2": deepseek,
    "deepseek_v3": deepseek,
    "falcon": falcon,
    "gemma": gemma,
    "gemma2": gemma2,
    "gemma3_text": gemma3_text,
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
    "gpt_oss": gpt_oss,
    "grok-1": grok1,
    "kimi_k2": deepseek,
    "llama": llama,
    "llama4_text": llama4_text,
    "mistral": mistral,
    "mixtral": mixtral,
    "mpt": mpt,
    "nemotron": nemotron,
    "pangu_ultra_moe": pangu_ultra_moe,
    "phi3": phi3,
    "qwen2": qwen2,
    "qwen2_moe": qwen2_moe,
    "qwen3": qwen3,
    "qwen3_moe": qwen3_moe,
}
"""model_type -> its reader."""
