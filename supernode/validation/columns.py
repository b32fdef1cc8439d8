"""The formats of case files: their columns, and which of them a prediction may read.

A format is told by its ``marks``. Columns stand in two tables: ``given`` describes what was run and is all that a
prediction ever sees; ``measured`` is what came out. Every other column (titles, notes, groups) is ignored, except
that ``id``, ``split`` and the family are repeated in the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["collective", "training", "inference", "scheduling", "kernels"]
KINDS: tuple[Kind, ...] = ("collective", "training", "inference", "scheduling", "kernels")


@dataclass(frozen=True)
class Column:
    """What a cell may hold: text, or a number of at least ``least`` and at most ``most``, ``whole`` or not."""

    number: bool = True
    whole: bool = False
    least: float = 0.0
    most: float = 1e18


TEXT = Column(number=False)
COUNT = Column(whole=True, least=1, most=1e8)
SOME = Column(whole=True, most=1e8)
CHIPS = Column(whole=True, least=1, most=1e7)
SIZE = Column(least=1)
SHARE = Column(least=1e-6, most=1e8)
RESULT = Column()


@dataclass(frozen=True)
class Format:
    """One kind of case file.

    Parameters
    ----------
    kind : what its rows measure
    marks : columns by which the file is known, all of them
    needed : columns that it must have beside
    one_of : at least one of these must be there too
    given, measured : columns that describe the run, and its outcome
    family, split, title : columns that name the row's family (or several, with spaces between) and split, and what
        people call the run
    prefix : stands before the family
    """

    kind: Kind
    marks: tuple[str, ...]
    needed: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    given: dict[str, Column] = field(default_factory=dict)
    measured: dict[str, Column] = field(default_factory=dict)
    family: str = "machine"
    split: str = "split"
    title: str = ""
    prefix: str = ""


COLLECTIVE = Format(
    kind="collective",
    marks=("collective",),
    needed=("machine", "chips", "message_bytes"),
    one_of=("time_us", "busbw_GBps"),
    given={
        "machine": TEXT,
        "network": TEXT,
        "chips": CHIPS,
        "collective": TEXT,
        "message_bytes": SIZE,
        "algorithm_if_known": TEXT,
    },
    measured={"time_us": RESULT, "busbw_GBps": RESULT},
)

ARCHITECTURE: dict[str, Column] = {
    "layers": COUNT,
    "hidden": COUNT,
    "heads": COUNT,
    "kv_heads": COUNT,
    "head_dim": COUNT,
    "ffn": COUNT,
    "vocab": COUNT,
    "experts": SOME,
    "topk": SOME,
    "moe_ffn": SOME,
    "shared_experts": SOME,
    "dense_layers": SOME,
    "params_B": Column(most=1e9),
}

TRAINING = Format(
    kind="training",
    marks=("layers", "hidden"),
    needed=("machine", "chips", "seq_len", "global_batch"),
    one_of=("step_time_s", "value"),
    given={
        "machine": TEXT,
        "network": TEXT,
        "chips": CHIPS,
        **ARCHITECTURE,
        "seq_len": COUNT,
        "precision": TEXT,
        "stack": TEXT,
        "model": TEXT,
        "tp": COUNT,
        "sp": SOME,
        "cp": COUNT,
        "pp": COUNT,
        "vp": COUNT,
        "ep": COUNT,
        "dp": COUNT,
        "zero_or_fsdp": TEXT,
        "schedule": TEXT,
        "micro_batch": SHARE,
        "global_batch": COUNT,
        "recompute": TEXT,
        "metric": TEXT,
        "unit": TEXT,
    },
    measured={"step_time_s": RESULT, "value": RESULT},
    family="family",
    title="model",
)

INFERENCE = Format(kind="inference", marks=("input_len", "output_len"), given={"machine": TEXT}, title="model")

SERVING = Format(
    kind="inference",
    marks=("isl", "osl"),
    given={"system": TEXT},
    family="system",
    split="cfg_split",
    title="model_path",
)

SCHEDULING = Format(
    kind="scheduling", marks=("setting", "quantity"), given={"experiment": TEXT}, family="experiment", title="quantity"
)


def _kernels(name: str, title: str, family: str, texts: tuple[str, ...], sizes: tuple[str, ...]) -> Format:
    """A table of timed kernels, one a row, known by its sizes and the types of its numbers."""
    return Format(
        kind="kernels",
        marks=(*texts[:1], *sizes),
        needed=("system", "latency_ms"),
        given={
            "system": TEXT,
            **dict.fromkeys(texts, TEXT),
            **dict.fromkeys(("framework", "dtype", "phase", "kernel_source", "distribution"), TEXT),
            **{size: SOME if size == "step" else COUNT for size in sizes},
        },
        measured={"latency_ms": RESULT},
        family=family,
        title=title,
        prefix=name,
    )


KERNELS = (
    _kernels("product", "framework", "system dtype", (), ("m", "n", "k")),
    _kernels(
        "attention",
        "framework",
        "system attn_dtype kv_cache_dtype",
        ("attn_dtype", "kv_cache_dtype"),
        ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim"),
    ),
    _kernels(
        "latent attention",
        "framework",
        "phase system kv_cache_dtype",
        ("mla_dtype", "kv_cache_dtype"),
        ("batch_size", "isl", "step", "num_heads"),
    ),
    _kernels(
        "experts",
        "framework",
        "system moe_dtype",
        ("moe_dtype",),
        ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size"),
    ),
)

FORMATS: tuple[Format, ...] = (COLLECTIVE, TRAINING, INFERENCE, SERVING, SCHEDULING, *KERNELS)
