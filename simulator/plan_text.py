"""A plan as people write it, ``TP8 PP4 VP2 DP16 ZeRO-1 MBS1 bf16``, and read back."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from simulator.errors import InputError, unknown_name
from simulator.machine import Dtype

if TYPE_CHECKING:
    from simulator.plan import Plan

DEGREES = {
    "TP": "tensor",
    "CP": "context",
    "PP": "pipeline",
    "VP": "virtual_stages",
    "EP": "expert",
    "ETP": "expert_tensor",
    "DP": "data",
}
"""Word of a plan followed by a number -> field."""
WIDTHS = {"attention": "attention_dtype", "gather": "gather_dtype", "reduce": "reduce_dtype", "state": "state_dtype"}
"""First part of a word of a plan that ends in a dtype -> field."""
SWITCHES = {
    "no-SP": ("sequence_parallel", False),
    "no-TP-overlap": ("overlap_tensor", False),
    "no-DP-overlap": ("overlap_data", False),
    "no-EP-overlap": ("overlap_expert", False),
    "LoRA": ("adapters", True),
}
"""Word of a plan -> the field that it sets, and to what."""
EXAMPLE = "such as TP8 PP4 VP2 EP8 DP16 ZeRO-1 MBS1 bf16 recompute-full"
_DTYPES: tuple[str, ...] = get_args(Dtype)
_LONGEST = 400


def plan_text(plan: Plan) -> str:
    """The plan in words: degrees above one, and what differs from the usual; :func:`read_plan` reads them back."""
    usual = type(plan)()
    said = [f"{word}{getattr(plan, field)}" for word, field in DEGREES.items() if getattr(plan, field) > 1]
    said += [f"ZeRO-{plan.zero}" + (f"/{plan.shard}" if plan.shard else ""), f"MBS{plan.micro_batch}", plan.dtype]
    for choice in ("schedule", "context_mode"):
        if getattr(plan, choice) != getattr(usual, choice):
            said.append(getattr(plan, choice))
    if plan.recompute != "none":
        said.append(f"recompute-{plan.recompute}" + (f"/{plan.recompute_layers}" if plan.recompute_layers else ""))
    if plan.offload != "none":
        said.append(f"offload-{plan.offload}")
    said += [f"{end}-{layers}" for end, layers in (("first", plan.first_layers), ("last", plan.last_layers)) if layers]
    said += [
        f"{word}-{getattr(plan, field)}"
        for word, field in WIDTHS.items()
        if getattr(plan, field) != getattr(usual, field)
    ]
    said += [word for word, (field, value) in SWITCHES.items() if getattr(plan, field) == value]
    if plan.axes:
        said.append("axes-" + ",".join(str(axis) for axis in plan.axes))
    return " ".join(said)


def read_plan(text: str, base: Plan) -> Plan:
    """Read a plan, in capitals or not; what its words leave out is as in ``base``.

    Raises
    ------
    InputError : a word that nobody knows, or one that stands twice
    """
    import dataclasses

    if len(text) > _LONGEST:
        raise InputError(f"a plan of {len(text)} letters", where="plan", remedy=EXAMPLE)
    found: dict[str, Any] = {}
    for word in text.split():
        for field, value in _read_word(word.lower()).items():
            if field in found:
                raise InputError(f"{word!r} says {field} again", where="plan", remedy="say it once")
            found[field] = value
    return dataclasses.replace(base, **found)


def _read_word(word: str) -> dict[str, Any]:
    """The fields that one word, in small letters, sets."""
    known = _words()
    if word in known:
        return known[word]
    for pattern, fields in _NUMBERED.items():
        if match := re.fullmatch(pattern, word):
            return dict(zip(fields, (int(number or 0) for number in match.groups()), strict=True))
    if match := re.fullmatch(r"(recompute-[a-z]+)/(\d{1,9})", word):
        return _read_word(match[1]) | {"recompute_layers": int(match[2])}
    if match := re.fullmatch(r"axes-(\d(?:,\d){0,9})", word):
        return {"axes": tuple(int(axis) for axis in match[1].split(","))}
    examples = [f"{name.lower()}8" for name in (*DEGREES, "MBS")]
    raise unknown_name("word of a plan", word, [*known, *examples], where="plan")


@cache
def _words() -> dict[str, dict[str, Any]]:
    """Every word without a number."""
    from simulator.plan import CONTEXT_MODES, OFFLOADS, RECOMPUTES, SCHEDULES

    choices = {"dtype": _DTYPES, "schedule": SCHEDULES, "context_mode": CONTEXT_MODES}
    found: dict[str, dict[str, Any]] = {word: {field: word} for field, words in choices.items() for word in words}
    found |= {f"{start}-{dtype}": {field: dtype} for start, field in WIDTHS.items() for dtype in _DTYPES}
    found |= {f"offload-{what}": {"offload": what} for what in OFFLOADS}
    found |= {f"recompute-{mode}": {"recompute": mode} for mode in RECOMPUTES}
    found |= {f"zero-{stage}": {"zero": stage} for stage in range(4)}
    return found | {word.lower(): {field: value} for word, (field, value) in SWITCHES.items()}


_NUMBERED = {rf"{word.lower()}(\d{{1,9}})": (field,) for word, field in (DEGREES | {"MBS": "micro_batch"}).items()} | {
    r"zero-([0-3])/(\d{1,9})": ("zero", "shard"),
    r"first-(\d{1,9})": ("first_layers",),
    r"last-(\d{1,9})": ("last_layers",),
}
"""Pattern of a word -> the fields that its numbers are."""
