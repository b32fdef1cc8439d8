"""What a prediction of one measured row can be: a value with its band, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from supernode.validation.cases import Case

Status = Literal["ok", "unsupported", "infeasible", "error"]


class Refused(Exception):  # noqa: N818 - an answer about one row, caught where rows are made
    """No prediction: ``unsupported`` (not of a kind that is predicted), ``infeasible``, ``error`` (our bug)."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Predicted:
    """A predicted quantity in the unit of the measured one, which follows from the draws and the possibilities.

    ``values`` (draws, possibilities): the first draw holds the stated figures. ``predicted`` is the median of its
    possibilities (geometric between the middle two); ``low`` and ``high`` are the extremes of all.
    """

    predicted: float
    low: float
    high: float
    possibilities: int
    stack: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One measured row and what became of it. Values are in the SI unit ``unit``; error is relative to measured."""

    case: Case
    what: str
    status: Status
    measured: float | None = None
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    error: float | None = None
    stack: str = ""
    possibilities: int = 0
    reason: str = ""

    @property
    def is_inside(self) -> bool:
        """Whether the measured value lies in the predicted band."""
        if self.measured is None or self.low is None or self.high is None:
            return False
        return self.low <= self.measured <= self.high


def predicted(values: NDArray[np.float64], *, stack: str = "", note: str = "") -> Predicted:
    """Sum up values (draws, possibilities), the stated figures first; see :class:`Predicted`."""
    import numpy as np

    middle = float(np.exp(np.median(np.log(values[0]))))
    low, high = min(float(values.min()), middle), max(float(values.max()), middle)
    return Predicted(middle, low, high, values.shape[1], stack, note)


def judged(row: Row, found: Predicted) -> Row:
    """The row, whose measured value stands, with its prediction and error."""
    assert row.measured
    return replace(
        row,
        status="ok",
        predicted=found.predicted,
        low=found.low,
        high=found.high,
        error=(found.predicted - row.measured) / row.measured,
        stack=found.stack,
        possibilities=found.possibilities,
        reason=found.note,
    )
