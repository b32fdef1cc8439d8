"""Reads a ``config.json`` into a :class:`simulator.program.Transformer`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.files import convert, parse_json, read_text
from simulator.program import Transformer
from workloads.hugging_face.config import Config
from workloads.hugging_face.families import FAMILIES
from workloads.hugging_face.refusals import refuse_other

if TYPE_CHECKING:
    from typing import Any

LONGEST_NAME = 64
PART = "text_config"
"""The one table of a file that may be named behind a #."""
_OTHER_LETTERS = re.compile(r"[^a-z0-9.-]+")
PREDICTION = ("num_nextn_predict_layers", "num_mtp_layers", "num_mtp_modules")
"""Keys that count multi-token prediction modules."""


def read_config(name: str) -> Transformer:
    """The architecture in a ``config.json``, or in its table ``text_config`` where ``name`` ends in ``#text_config``.

    Raises
    ------
    InputError : a file that cannot be read, an architecture that is not modelled, fields that contradict each other
    """
    file, _, part = name.partition("#")
    where = file if len(file) <= LONGEST_NAME else f"...{file[-LONGEST_NAME:]}"
    if not name.isprintable() or part not in {"", PART}:
        raise InputError(f"{name[:80]!r} is not a part of a file", remedy=f"name a config.json, or config.json#{PART}")
    tree = parse_json(read_text(Path(file)), where)
    if not isinstance(tree, dict):
        raise InputError("holds no table", where=where, remedy="name the config.json of a model")
    config = Config(tree, where)
    if part:
        if not isinstance(tree.get(PART), dict):
            raise InputError(f"there is no table {PART}", where=where, remedy=f"name {where} alone")
        config = Config({"_name_or_path": tree.get("_name_or_path"), **tree[PART]}, f"{where}#{PART}")
    refuse_other(config, FAMILIES)
    kind = config.text("model_type")
    fields = FAMILIES[kind](config)
    shown = f"{kind}-{fields['layers']}x{fields['hidden']}"
    made = {
        "name": _name(config.text("_name_or_path")) or _name(shown),
        "title": f"{shown}, as its configuration states",
    }
    return convert(made | fields | {"note": _note(config, part)}, Transformer, config.where)


def _name(text: str) -> str:
    """The last part of a repository's name in the letters that a name may have."""
    letters = _OTHER_LETTERS.sub("-", text.rstrip("/").rpartition("/")[2].lower()[:LONGEST_NAME])
    return letters.strip("-.")


def _note(config: Config, part: str) -> str:
    """What of the file is left out."""
    left: list[str] = ["The text decoder alone."] if part else []
    modules: Any = next((config.tree[name] for name in PREDICTION if config.tree.get(name)), 0)
    if modules:
        left.append("Multi-token prediction modules are left out: mtp_layers in a TOML file trains them along.")
    return " ".join(left)
