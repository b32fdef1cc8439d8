"""Which measured steps a stack is fitted to: those open to fitting, of one machine if one is named, of one stack."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import topologies
import workloads
from simulator.errors import InputError
from supernode.fitting.rows import FITTED_SPLITS
from supernode.validation.answers import Refused
from supernode.validation.parts import part_of
from supernode.validation.stacks import stacks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.program import Stack
    from supernode.validation.cases import Case


def own_rows(cases: Sequence[Case], machine: str, stack: str, where: str) -> tuple[list[Case], Stack]:
    """The rows that may be fitted and ran one stack, which their column ``stack`` then names; and the stack.

    Parameters
    ----------
    machine : the only one whose rows count, and that of rows which name none; empty for all
    stack : what the rows ran: those that say so or are taken for it count; where there are none, all that say nothing.
        Empty: the one that they all ran
    where : the file, for messages

    Raises
    ------
    InputError : no row is left, they ran several stacks, or the stack is unknown or does not train
    """
    rows = _open(cases, where)
    if machine:
        rows = _of_machine(rows, topologies.resolve("machines", machine), where)
    if stack and workloads.stack(stack).training is None:
        able = [name for name in workloads.names("stacks") if workloads.stack(name).training is not None]
        raise InputError(f"stack {stack!r} has no [training]", where="--stack", remedy=f"name one of {', '.join(able)}")
    ran = [_stacks(case) for case in rows]
    counts = Counter(name for names in ran for name in names)
    said = ", ".join(f"{name} ({count} row{'s' * (count > 1)})" for name, count in counts.most_common())
    if not stack and len(counts) > 1:
        raise InputError(f"its rows can have run {said}", where=where, remedy="say which to fit with --stack NAME")
    name = stack or next(iter(counts), "")
    if not name:
        raise InputError(
            f"no row can be predicted: {_refusal(rows[0])}",
            where=rows[0].where,
            remedy="name machines of `supernode catalogue list`, and stacks in the column stack or with --stack",
        )
    if name in counts:
        own = [case for case, names in zip(rows, ran, strict=True) if name in names]
    else:
        own = [case for case in rows if not case.text("stack")]
    if not own:
        raise InputError(f"no row ran {name}, but {said}", where=where, remedy="name one of them with --stack")
    return [replace(case, given={**case.given, "stack": name}) for case in own], workloads.stack(name)


def _open(cases: Sequence[Case], where: str) -> list[Case]:
    """Training rows whose split is open to fitting."""
    training = [case for case in cases if case.kind == "training"]
    if not training:
        remedy = "give columns such as machine, chips, layers, hidden, seq_len, global_batch, step_time_s"
        raise InputError(f"holds {cases[0].kind} rows, no training steps", where=where, remedy=remedy)
    rows = [case for case in training if case.split in FITTED_SPLITS]
    if not rows:
        splits = ", ".join(sorted({case.split for case in training}))
        remedy = "leave the column split empty, or write calibrate, in rows to fit"
        raise InputError(f"has no row that is open to fitting; their splits are {splits}", where=where, remedy=remedy)
    return rows


def _of_machine(rows: Sequence[Case], machine: str, where: str) -> list[Case]:
    """Rows of one machine, which is that of those that name none."""
    own = [case for case in rows if _machine(case) in {machine, ""}]
    if not own:
        known = ", ".join(sorted({_machine(case) for case in rows} - {""}))
        raise InputError(f"has no rows of {machine} to fit", where=where, remedy=f"--machine can be {known}")
    return [replace(case, given={**case.given, "machine": machine}) for case in own]


def _machine(case: Case) -> str:
    """The machine that a row names, by its name in the catalogue where it has one."""
    named = case.text("machine")
    try:
        return topologies.resolve("machines", named) if named else ""
    except InputError:
        return named


def _stacks(case: Case) -> tuple[str, ...]:
    """Names of the stacks that a row can have run: what its column says, else what it is taken for; none if unknown."""
    if case.text("stack"):
        return (case.text("stack"),)
    try:
        return tuple(stack.name for stack in stacks_of(case, part_of(case).machine))
    except Refused:
        return ()


def _refusal(case: Case) -> str:
    try:
        part_of(case)
    except Refused as refused:
        return refused.reason
    return "no stack is known for it"
