"""The proof of a schedule: run it on contributions instead of numbers, and see who ends with what.

A buffer is cut into pieces. For every node, piece and rank a count says how often the rank's contribution to the piece
is in what the node holds. No count may pass one, nothing may be overwritten by what lacks a part of it, and in the end
every rank holds what its collective promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.schedules.rounds import expanded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.schedules.rounds import Round, Schedule

    Held = NDArray[np.int16]

ROUNDING = 1e-9


def faults(schedule: Schedule) -> list[str]:
    """What is wrong with a schedule, in the order in which it happens; nothing if it is right.

    Checked in every round: who sends to itself or beyond the nodes; who sends what it does not hold; whether shares
    equal the pieces that transfers hold; what is added twice, overwritten by less, or told again. And at the end what
    each rank holds.
    """
    nodes = schedule.ranks + schedule.switches
    held = np.zeros((nodes * schedule.pieces, schedule.ranks), dtype=np.int16)
    has, contributor = _at_first(schedule)
    held[has, contributor] = 1
    found: list[str] = []
    phase = 0
    for number, each in enumerate(schedule.rounds()):
        if each.phase < phase:
            found.append(f"round {number} goes back to phase {each.phase}")
        phase = each.phase
        found += [f"round {number}: {fault}" for fault in _moved(schedule, expanded(each), held)]
    return found + _at_last(schedule, held)


def _at_first(schedule: Schedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (node x pieces + piece) that hold something at first, and the rank whose contribution it is."""
    piece = np.arange(schedule.pieces)
    if schedule.kind in {"all-reduce", "reduce-scatter"}:
        rank = np.repeat(np.arange(schedule.ranks), schedule.pieces)
        return np.arange(schedule.ranks * schedule.pieces), rank
    owner = {
        "all-gather": piece % schedule.ranks,
        "all-to-all": piece // schedule.ranks,
        "broadcast": np.zeros_like(piece),
    }[schedule.kind]
    return owner * schedule.pieces + piece, owner


def _moved(schedule: Schedule, each: Round, held: Held) -> list[str]:
    """Move the transfers of a round, all of what was held before it; what was wrong with them."""
    pieces = each.pieces(each.source, each.target)
    nodes = schedule.ranks + schedule.switches
    count = len(each.source)
    if pieces.shape[0] != count or len(each.target) != count or len(each.share) != count:
        return [
            f"{count} sources, {len(each.target)} targets, {len(each.share)} shares, {pieces.shape[0]} rows of pieces"
        ]
    ends = np.concatenate((each.source, each.target))
    if ends.min() < 0 or ends.max() >= nodes or pieces.min() < 0 or pieces.max() >= schedule.pieces:
        return ["a node or piece that does not exist"]
    found = []
    if (each.source == each.target).any():
        found.append(f"{each.source[each.source == each.target][0]} sends to itself")
    wide = np.abs(each.share - pieces.shape[1] * schedule.piece_share) > ROUNDING * each.share
    if wide.any():
        found.append(
            f"transfer {np.argmax(wide)} holds {pieces.shape[1]} pieces, but moves {each.share[wide][0]:g} of S"
        )
    entry = pieces.shape[1]
    sent = held[(each.source[:, None] * schedule.pieces + pieces).ravel()]
    row = (each.target[:, None] * schedule.pieces + pieces).ravel()
    is_added = np.repeat(each.reduces, entry)
    who = np.repeat(each.source, entry)
    empty = ~sent.any(axis=1)
    if empty.any():
        found.append(f"{who[empty][0]} sends piece {pieces.ravel()[empty][0]}, which it does not hold")
    kept = row[~is_added]
    if len(np.unique(kept)) < len(kept) or np.isin(kept, row[is_added]).any():
        found.append("a piece is overwritten twice at once, or overwritten and added to")
    before = held[kept]
    if (before > sent[~is_added]).any():
        found.append("a piece is overwritten by what lacks a part of it")
    is_rank = kept < schedule.ranks * schedule.pieces  # switches forget what they have passed on
    if (before == sent[~is_added])[is_rank].all(axis=1).any():
        found.append("a rank is told what it knows")
    held[kept] = sent[~is_added]
    np.add.at(held, row[is_added], sent[is_added])
    if (held[row] > 1).any():
        wrong = row[(held[row] > 1).any(axis=1)][0]
        found.append(f"{wrong // schedule.pieces} holds a contribution to piece {wrong % schedule.pieces} twice")
    return found


def _at_last(schedule: Schedule, held: Held) -> list[str]:
    """What ranks lack or have too often in the end."""
    count = schedule.ranks
    piece = np.arange(schedule.pieces)
    counts = held[: count * schedule.pieces].reshape(count, schedule.pieces, count)
    full = np.ones(count, dtype=np.int16)
    found = []
    for rank in range(count):
        mine = counts[rank]
        if schedule.kind == "all-reduce":
            right = (mine == full).all(axis=1)
        elif schedule.kind == "reduce-scatter":
            right = (mine == full).all(axis=1) | (piece % count != rank)
        elif schedule.kind == "all-to-all":
            right = (mine[piece, piece // count] == 1) | (piece % count != rank)
        else:
            owner = np.zeros_like(piece) if schedule.kind == "broadcast" else piece % count
            right = mine[piece, owner] == 1
        if not right.all():
            found.append(f"in the end rank {rank} has piece {int(np.argmin(right))} wrong")
    return found
