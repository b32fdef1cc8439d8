"""Which measured rows a bar or a reason is about: conditions on what a row states, and on the stack it was given.

Nothing here is read by a prediction. Reports count rows by their source, split and cleanliness, which no prediction
may know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.machine import Entry

if TYPE_CHECKING:
    from supernode.validation.answers import Row
    from supernode.validation.cases import Case

COMPLETE = ("layers", "hidden", "heads", "ffn", "vocab", "seq_len", "chips", "tp", "pp", "global_batch")
"""Columns without which a training row leaves the work or the plan open by more than how it was tuned."""


class Selection(Entry, frozen=True):
    """Conditions on rows, all of which must hold; none means every row.

    ``models``, ``sources``, ``stacks`` and ``precisions`` are beginnings of what stands there, in any case of letters;
    the empty word is an empty cell.
    """

    families: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    split: str = ""
    is_mixture: bool | None = None
    is_clean: bool | None = None
    is_complete: bool | None = None


def picks(wanted: Selection, row: Row) -> bool:
    """Whether a row meets all conditions."""
    case = row.case
    return (
        wanted.is_mixture in (None, is_mixture(case))
        and wanted.is_clean in (None, case.is_clean)
        and wanted.is_complete in (None, is_complete(case))
        and (not wanted.split or case.split == wanted.split)
        and (not wanted.families or case.family in wanted.families)
        and (not wanted.machines or case.text("machine") in wanted.machines)
        and _begins(case.title, wanted.models)
        and _begins(case.source, wanted.sources)
        and _begins(row.stack, wanted.stacks)
        and _begins(case.text("precision"), wanted.precisions)
    )


def is_mixture(case: Case) -> bool:
    """Whether a training row's model has experts."""
    return bool(case.count("experts"))


def is_complete(case: Case) -> bool:
    """Whether a training row states its work and plan; virtual stages, recomputation and micro-batch may be unknown."""
    return all(case.count(column) for column in COMPLETE) and bool(case.text("precision"))


def _begins(text: str, words: tuple[str, ...]) -> bool:
    lower = text.lower()
    return not words or any(lower.startswith(word.lower()) if word else not text for word in words)
