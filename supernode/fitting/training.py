"""Fits the constants of one training stack to measured steps, with the catalogue's ranges as priors.

Fitted are the figures of the stack's ``[training]``, never those of a chip or a link; how is
:mod:`supernode.fitting.posterior`. What a row leaves open is every plan that can have been, as when it is validated:
the middle of them counts, and which they are is asked again where the constants have moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.figures import Draw
from supernode.fitting.posterior import NORMAL, Constant, Problem, Watch, deviation
from supernode.validation.answers import Refused
from supernode.validation.columns import ARCHITECTURE
from supernode.validation.training import measured, plausible, run_of
from workloads.load import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Figure
    from simulator.program import Stack
    from supernode.validation.cases import Case
    from supernode.validation.training import Run

SCATTER = 0.05
"""Relative scatter of step times of one architecture, machine and precision about a common shift, as of published rows
that are open to fitting: 0.02 to 0.07 by stack without experts, 0.06 with them."""
WILD = 10.0
"""A row further than this factor from its prediction was not timed on this machine, or not in these units."""
ZERO = 0.25
"""Share of its value for which a low end of 0 stands: what is stated down to nothing is known to a factor of a few."""
FEWEST = 3
"""Of fewer rows none is taken for an outlier."""
SPREADS = ("dense_spread", "moe_spread")
"""Figures of what all others leave open: their range holds the scatter of the rows too."""
ROUNDS = 3
"""How often, at most, the plans that a row can have had are asked again under the constants that were found."""


@dataclass(frozen=True)
class TrainingFit:
    """Constants of a stack fitted to rows.

    Parameters
    ----------
    stack : as it was before
    rows : rows that count; ``left_out`` those that cannot be predicted, with the reason
    constants : all that the rows' predictions ask for and that have a range, in the order of their keys
    before, after : relative error of each row, (predicted - measured) / measured, with the catalogue's and the fitted
        constants [1]
    groups : a number for each row; rows of one architecture, machine and precision share it
    left_out_errors : the same error, each group predicted with constants fitted to the others, or each row where all
        are of one group [1]; empty for a single row
    """

    stack: Stack
    rows: tuple[Case, ...]
    left_out: tuple[tuple[Case, str], ...]
    constants: tuple[Constant, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    groups: tuple[int, ...]
    left_out_errors: tuple[float, ...]


@dataclass(frozen=True)
class _Step:
    """A measured row with every plan that it leaves open; ``value`` is in the unit of its ``run``, a time or a rate."""

    run: Run
    value: float

    @property
    def turn(self) -> int:
        """Power that makes a time of what was measured."""
        return 1 if self.run.unit == "s" else -1

    def error(self, draw: Draw) -> float:
        """Relative error of what is predicted under a draw [1], as validation has it."""
        return _middle(plausible(self.run, draw), draw) / self.value - 1


def fit_training(cases: Sequence[Case], stack: Stack, watch: Watch | None = None) -> TrainingFit:
    """Fit the constants of a stack to measured steps, in whose column ``stack`` it stands.

    Raises
    ------
    InputError : no row can be predicted
    """
    tell = watch or (lambda _what, _done, _of: None)
    steps: list[_Step] = []
    left_out: list[tuple[Case, str]] = []
    for place, case in enumerate(cases):
        tell("reading rows", place, len(cases))
        try:
            steps.append(_read(case))
        except Refused as refused:
            left_out.append((case, refused.reason))
    if not steps:
        case, reason = left_out[0]
        remedy = "say machine, chips, architecture and plan as `supernode validate` reads them"
        raise InputError(f"no row can be predicted: {reason}", where=case.where, remedy=remedy)
    tell("fitting", 0, 1)
    problem, theta = _solved(steps, stack)
    found = problem.draw(theta)
    widths = problem.widths(range(len(steps)), theta)
    groups = group_numbers([step.run.case for step in steps])
    parts = groups if max(groups) else list(range(len(steps)))
    left = [0.0] * len(steps) if max(parts) else []
    for part in range(max(parts) + 1) if left else []:
        tell("leaving one group out" if max(groups) else "leaving one row out", part, max(parts) + 1)
        draw = fitted_draw([step for step, number in zip(steps, parts, strict=True) if number != part], stack)
        for place, number in enumerate(parts):
            left[place] = steps[place].error(draw) if number == part else left[place]
    return TrainingFit(
        stack=stack,
        rows=tuple(step.run.case for step in steps),
        left_out=tuple(left_out),
        constants=tuple(_with_scatter(each, left) for each in problem.constants(theta, widths)),
        before=tuple(step.error(Draw()) for step in steps),
        after=tuple(step.error(found) for step in steps),
        groups=tuple(groups),
        left_out_errors=tuple(left),
    )


def fitted_draw(steps: Sequence[_Step], stack: Stack) -> Draw:
    """The constants that some rows alone give."""
    problem, theta = _solved(steps, stack)
    return problem.draw(theta)


def group_numbers(cases: Sequence[Case]) -> list[int]:
    """A number for each row, the same for rows of one architecture, machine and precision, in order of appearance."""
    columns = (*ARCHITECTURE, "machine", "precision")
    keys = [tuple(case.given.get(column) for column in columns) for case in cases]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def _read(case: Case) -> _Step:
    """A row that can be predicted.

    Raises
    ------
    Refused : it cannot, or it cannot be of this machine
    """
    value, unit = measured(case)
    step = _Step(run_of(case, unit), value)
    factor = 1 + step.error(Draw())
    if not 1 / WILD <= factor <= WILD:
        raise Refused("error", f"predicted is {factor:.3g} of measured: not of this machine, or not in this unit")
    return step


def _solved(steps: Sequence[_Step], stack: Stack) -> tuple[Problem, NDArray[np.float64]]:
    """The likeliest constants, and the problem that they solve with the plans that are plausible under them."""
    runs = [plausible(step.run, Draw()) for step in steps]
    problem = _problem(steps, runs, stack)
    theta, _ = problem.settle(range(len(steps)))
    for _ in range(ROUNDS - 1):
        again = [plausible(step.run, problem.draw(theta)) for step in steps]
        if [run.found for run in again] == [run.found for run in runs]:
            break
        runs = again
        problem = _problem(steps, runs, stack)
        theta, _ = problem.settle(range(len(steps)))
    return problem, theta


def _problem(steps: Sequence[_Step], runs: Sequence[Run], stack: Stack) -> Problem:
    import numpy as np

    def seconds(chosen: Sequence[int], draw: Draw) -> NDArray[np.float64]:
        return np.array([_middle(runs[place], draw) ** steps[place].turn for place in chosen])

    draw = Draw()
    seconds(range(len(steps)), draw)
    own = f"stack/{stack.name}/training."
    figures = [
        figure
        for key, figure in sorted(draw.touched.items())
        if key.startswith(own) and figure.is_uncertain and figure.value > 0
    ]
    return Problem(
        figures,
        [step.value**step.turn for step in steps],
        seconds,
        scatter=SCATTER,
        most=[BOUNDS[_last(figure)][1] for figure in figures],
        has_valleys=False,
        zero=ZERO,
        fewest=FEWEST,
    )


def _middle(run: Run, draw: Draw) -> float:
    """What is predicted where several plans can have been: the geometric middle."""
    import numpy as np

    return float(np.exp(np.median(np.log(run.values(draw)))))


def _with_scatter(constant: Constant, errors: Sequence[float]) -> Constant:
    """The constant; the range of a fitted spread holds what a further row may be off by, as the left-out rows were."""
    if _last(constant.figure) not in SPREADS or not constant.is_fitted:
        return constant
    scatter = max(SCATTER, deviation([math.log1p(error) for error in errors]) if errors else 0.0)
    away = math.exp(math.hypot(math.log(constant.high / constant.value), NORMAL * scatter))
    return replace(constant, low=constant.value / away, high=constant.value * away)


def _last(figure: Figure) -> str:
    """Last step of the path of a figure."""
    return figure.key.rpartition(".")[2]
