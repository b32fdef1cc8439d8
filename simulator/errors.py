"""What can go wrong, and whose turn it is to act.

* :class:`InputError`: the user's turn. Says which file and field, which value, and what would be right.
* :class:`Infeasible`: nobody's turn. "It does not fit" is an answer; it is returned and tabulated, never raised.
* :class:`InternalError`: our turn. A broken invariant, with what is needed to see it again.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


NEAREST = 3
"""How many near names a message offers."""
LISTED = 40
"""How many names a message lists where none is near."""


class InputError(Exception):
    """Bad input, raised at the border with one message for the person who wrote it.

    Parameters
    ----------
    message : what was wrong, with the value
    where : file and field, e.g. ``scenario.toml: plan.tensor``; empty for a command-line argument
    remedy : what would be right
    """

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.where = where
        self.remedy = remedy
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text}\n  {remedy}" if remedy else text)


class InternalError(Exception):
    """A broken invariant: our bug, not the user's."""


@dataclass(frozen=True)
class Infeasible:
    """The answer "it does not fit".

    Parameters
    ----------
    reason : one sentence, naming the largest item
    needed_bytes : bytes needed per chip by the least demanding candidate (0 where memory is not the reason)
    available_bytes : bytes available per chip (0 where memory is not the reason)
    """

    reason: str
    needed_bytes: float = 0.0
    available_bytes: float = 0.0


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str = "") -> InputError:
    """Return the error for a name that nobody knows, with the nearest known names."""
    names = sorted(known)
    wanted = name.lower().strip()
    close = difflib.get_close_matches(wanted, names, n=NEAREST, cutoff=0.4)
    inside = [other for other in names if len(wanted) > 1 and wanted in other]
    starting = [other for other in inside if other.startswith(wanted)]
    nearest = list(dict.fromkeys([*starting, *close, *inside]))[:NEAREST]
    more = f", … ({len(names)} in all)" if len(names) > LISTED else ""
    remedy = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(names[:LISTED])}{more}"
    shown = name if len(name) <= 80 else name[:77] + "..."
    return InputError(f"unknown {kind} {shown!r}", where=where, remedy=remedy)
