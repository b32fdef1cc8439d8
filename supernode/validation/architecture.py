"""From the columns of a measured row to a model's architecture; the model's name is never read.

Columns cannot say everything (latent attention, windows, biases), so a row whose every column agrees with a model of
the catalogue takes the rest from it. Whether the MLP is gated and the embedding tied is otherwise what comes nearest
to the stated number of parameters.
"""

from __future__ import annotations

import functools
import itertools
import operator
from typing import TYPE_CHECKING

import msgspec

import workloads
from simulator.program import Experts, Transformer
from supernode.validation.answers import Refused
from workloads.program import count

if TYPE_CHECKING:
    from supernode.validation.cases import Case

NEEDED = ("layers", "hidden", "heads", "ffn", "vocab")
PLAIN_RATIO = 4
"""Width of an MLP without a gate over the hidden size, in GPT-2 and its heirs; gated ones are made narrower."""
VOCAB_SLACK = 0.02
"""Vocabularies are padded for the tensor ranks."""
COUNT_SLACK = 0.02
"""How far stated parameters may lie from a model's own: they are rounded."""
_BILLION = 1e9


def architecture(case: Case) -> Transformer:
    """The architecture that a row states.

    Raises
    ------
    Refused : columns are missing, or contradict each other
    """
    missing = [name for name in NEEDED if case.count(name) is None]
    if missing:
        raise Refused("unsupported", f"the architecture lacks {', '.join(missing)}")
    given = {name: value for name in (*NEEDED, "kv_heads", "head_dim") if (value := case.count(name)) is not None}
    heads = given["heads"]
    if given["hidden"] % heads and "head_dim" not in given:
        raise Refused("unsupported", "the architecture lacks head_dim, and heads do not divide hidden")
    if heads % given.get("kv_heads", heads):
        raise Refused("infeasible", f"{given['kv_heads']} key-value heads do not divide {heads} heads")
    experts = _experts(case)
    if experts and experts.dense_layers >= given["layers"]:
        raise Refused("infeasible", f"{experts.dense_layers} dense layers leave none of {given['layers']} to experts")
    if known := _known(given, experts, case.count("dense_layers") is not None, case.number("params_B")):
        return known
    return _built(given, experts, case.number("params_B"))


def _experts(case: Case) -> Experts | None:
    number = case.count("experts")
    if not number:
        return None
    active, width = case.count("topk"), case.count("moe_ffn")
    missing = [name for name, value in (("topk", active), ("moe_ffn", width)) if not value]
    if missing:
        raise Refused("unsupported", f"the architecture lacks {', '.join(missing)}")
    assert active
    assert width
    if active > number:
        raise Refused("infeasible", f"{active} of {number} experts cannot be active")
    return Experts(
        count=number,
        active=active,
        ffn=width,
        shared=case.count("shared_experts") or 0,
        dense_layers=case.count("dense_layers") or 0,
    )


def _known(
    given: dict[str, int], experts: Experts | None, says_dense: bool, billions: float | None
) -> Transformer | None:
    """The model of the catalogue that agrees in every column but the number of layers, cut to those layers.

    Of several the one of the nearest vocabulary and the nearest number of layers. A stated size of the head gives way
    where the stated parameters are those of a model with another one: the two columns come from different places.
    """
    agreeing = []
    for model in _models():
        if any(given[name] != getattr(model, name) for name in ("hidden", "heads", "ffn")):
            continue
        if given.get("kv_heads", model.kv_heads) != model.kv_heads or not _same(experts, model.experts):
            continue
        away = abs(given["vocab"] - model.vocab)
        if away > VOCAB_SLACK * model.vocab:
            continue
        cut = _cut(model, given, experts if says_dense else None)
        if given.get("head_dim", model.head_dim) != model.head_dim:
            counted = count(cut).parameters
            if not billions or abs(counted - billions * _BILLION) > COUNT_SLACK * counted:
                continue
        agreeing.append((away, abs(given["layers"] - model.layers), cut))
    return min(agreeing, key=operator.itemgetter(0, 1))[2] if agreeing else None


def _cut(model: Transformer, given: dict[str, int], stated: Experts | None) -> Transformer:
    """A model with the layers and the vocabulary of a row, and with its dense layers where the row ``stated`` them."""
    layers, mixed = given["layers"], model.experts
    if mixed:
        every = min(mixed.every, layers)
        mixed = msgspec.structs.replace(mixed, every=every, dense_layers=min(mixed.dense_layers, layers - every))
        dense = layers - (layers - mixed.dense_layers) // mixed.every
        if stated and stated.dense_layers != dense:
            mixed = msgspec.structs.replace(mixed, dense_layers=stated.dense_layers, every=1)
    windowed = round(model.windowed_layers * layers / model.layers)
    return msgspec.structs.replace(
        model,
        layers=layers,
        vocab=given["vocab"],
        windowed_layers=windowed,
        window=model.window if windowed else 0,
        chunked=model.chunked and windowed > 0,
        experts=mixed,
    )


@functools.cache
def _models() -> tuple[Transformer, ...]:
    """Every architecture once."""
    named = (workloads.model(name) for name in workloads.names("models"))
    return tuple(model for model in named if model.name not in model.aliases)


def _same(one: Experts | None, other: Experts | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.count, one.active, one.ffn) == (other.count, other.active, other.ffn) and one.shared in (
        0,
        other.shared,
    )


def _built(given: dict[str, int], experts: Experts | None, billions: float | None) -> Transformer:
    hidden, heads = given["hidden"], given["heads"]
    model = Transformer(
        name="measured",
        title="as the row states",
        layers=given["layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=given.get("kv_heads", heads),
        head_dim=given.get("head_dim", hidden // heads),
        ffn=given["ffn"],
        vocab=given["vocab"],
        context=1,
        gated=given["ffn"] != PLAIN_RATIO * hidden,
        experts=experts,
    )
    if not billions:
        return model
    shapes = [
        msgspec.structs.replace(model, gated=gated, tied=tied)
        for gated, tied in itertools.product((model.gated, not model.gated), (False, True))
    ]
    return min(shapes, key=lambda shape: abs(count(shape).parameters - billions * _BILLION))
