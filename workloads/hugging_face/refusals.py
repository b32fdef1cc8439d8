"""Architectures that are no decoder-only transformer, by ``model_type``, and what of ours comes nearest."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from simulator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads.hugging_face.config import Config

STATE_SPACE = "a state-space model or a hybrid of one with attention"
LINEAR = "a model with linear or otherwise recurrent attention"
SPARSE = "a model whose attention picks its keys by a learned index"
ENCODER_DECODER = "an encoder with a decoder"
ENCODER = "an encoder, which makes no text"
OTHER = "not an architecture that is modelled"

REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("mamba", "mamba2", "rwkv", "rwkv7", "recurrent_gemma"), (STATE_SPACE, "llama")),
    **dict.fromkeys(("falcon_mamba", "falcon_h1"), (STATE_SPACE, "falcon")),
    **dict.fromkeys(("jamba", "zamba", "zamba2", "bamba", "granitemoehybrid"), (STATE_SPACE, "mixtral")),
    "nemotron_h": (STATE_SPACE, "nemotron"),
    **dict.fromkeys(("minimax", "minimax_text_01", "minimax_m1"), (LINEAR, "mixtral")),
    **dict.fromkeys(("qwen3_next", "qwen3_5", "qwen3_5_moe"), (LINEAR, "qwen3_moe")),
    "kimi_linear": (LINEAR, "kimi_k2"),
    **dict.fromkeys(("retnet", "lfm2", "lfm2_moe"), (LINEAR, "llama")),
    **dict.fromkeys(("deepseek_v32", "deepseek_v4"), (SPARSE, "deepseek_v3")),
    **dict.fromkeys(("gemma3n", "gemma3n_text"), (OTHER, "gemma3_text")),
    **dict.fromkeys(("gemma4", "gemma4_text"), (OTHER, "gemma3_text")),
    **dict.fromkeys(("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "m2m_100"), (ENCODER_DECODER, "llama")),
    **dict.fromkeys(("switch_transformers", "nllb-moe"), (ENCODER_DECODER, "mixtral")),
    "t5gemma": (ENCODER_DECODER, "gemma2"),
    "whisper": (ENCODER_DECODER, "gpt2"),
    **dict.fromkeys(("bert", "roberta", "deberta", "deberta-v2", "electra", "modernbert"), (ENCODER, "gpt2")),
    **dict.fromkeys(("vit", "clip", "siglip", "dinov2", "swin"), (ENCODER, "gpt2")),
}
"""model_type -> what it is, and the nearest that is modelled."""
TOWERS = ("vision_config", "audio_config", "vision_tower", "audio_tower")
RECURRENT = ("ssm_cfg", "state_size", "ssm_state_size", "layers_block_type", "hybrid_override_pattern", "mamba_d_state")
"""Keys that only models with such parts have."""
LONGEST_KIND = 60
"""Letters of a model_type that are looked at: no family's is longer."""


def refuse_other(config: Config, known: Iterable[str]) -> None:
    """Refuse whatever is not the decoder-only transformer of a known family.

    Raises
    ------
    InputError : names the architecture, and the nearest that is modelled
    """
    known, kind = sorted(known), config.text("model_type")[:LONGEST_KIND]
    said = kind if kind.isprintable() else ascii(kind)
    if any(config.tree.get(name) is not None for name in TOWERS):
        has_text = isinstance(config.tree.get("text_config"), dict)
        raise _refused(
            config,
            f"{said or 'this'} has a vision or audio tower beside its text decoder",
            f"only the decoder is modelled; name {config.where}#text_config to take it alone"
            if has_text
            else f"only text decoders are modelled; the nearest is {_nearest(kind, known)}",
        )
    if isinstance(config.tree.get("text_config"), dict):
        raise _refused(
            config,
            f"{said or 'this'} keeps its text decoder in a table of its own",
            f"name {config.where}#text_config to take it",
        )
    recurrent = next((name for name in RECURRENT if config.tree.get(name)), "")
    what, nearest = REFUSED.get(kind, ("", ""))
    if not what and recurrent:
        what, nearest = f"{STATE_SPACE} (it has {recurrent})", _nearest(kind, known)
    if not what and config.flag("is_encoder_decoder", default=False):
        what, nearest = ENCODER_DECODER, _nearest(kind, known)
    if what:
        raise _refused(config, f"{said or 'this'} is {what}", f"it is not modelled; the nearest is {nearest}")
    if kind not in known:
        fault = f"{kind!r} is not an architecture that is modelled" if kind else "the key 'model_type' is missing"
        raise _refused(config, fault, f"the nearest is {_nearest(kind, known)}; modelled are {', '.join(known)}")


def _refused(config: Config, fault: str, remedy: str) -> InputError:
    return InputError(fault, where=f"{config.where}: model_type", remedy=remedy)


def _nearest(kind: str, known: list[str]) -> str:
    """The known family whose name comes nearest; llama, of which most are variants, where none does."""
    return next(iter(difflib.get_close_matches(kind, known, n=1, cutoff=0.4)), "llama")
