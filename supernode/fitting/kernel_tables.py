r"""Fits what kernels reach on a chip to a table of their times, kind by kind.

With constants :math:`\theta` in logarithms and rows :math:`i`,

.. math:: \min_\theta \sum_i \rho\!\left(\frac{\ln T_i(\theta) - \ln t_i}{\sigma}\right)
          + \sum_j \left(\frac{\theta_j - \theta_j^0}{w_j}\right)^2

where :math:`\rho` is the soft L1 loss, :math:`\sigma` the scatter that a model of kernels leaves, and :math:`w_j` the
width of the catalogue's range. Kinds are fitted one after the other, in the order of :data:`ORDER`, each with what
those before it have shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from simulator.errors import InputError
from simulator.figures import Draw, Figure
from simulator.machine import Chip, KernelCost, Tile
from supernode.fitting.posterior import Watch, median_error
from supernode.fitting.rows import FITTED_SPLITS
from supernode.validation.answers import Refused
from supernode.validation.kernel_tables import Kernel, chip_of, kernel_of, measured, row_of, seconds_on

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from supernode.validation.cases import Case

ORDER: tuple[tuple[str, str], ...] = (
    ("product", r"matmul\.(fraction\..*|fill|streaming)|kernels\.product-.*"),
    ("attention", r"attention\.(fraction\..*|fill)|kernels\.attention-.*"),
    ("latent", r"kernels\.latent-.*"),
    ("decode", r"kernels\.decode-.*"),
    ("experts", r"kernels\.experts-.*"),
)
"""Kinds of kernels, and the constants that each of them tells."""
TILES = ((64, 64), (64, 128), (128, 128), (128, 256), (256, 256))
"""Blocks of results among which the one is chosen that fits products best."""
ROWS_FOR_TILES = 40
"""Fewer products than this say nothing about tiles."""
SHARES = r".*(fraction\..*|streaming|rate)"
SCATTER = 0.1
NARROWEST = 0.3
"""Least logarithmic width of a prior: what other chips' libraries show says little about this one's."""
FOLDS = 5
TOO_FAST = 0.98
"""A row this far below what the chip's peaks allow did not have its operands in memory."""
LEAST_RANGE = 0.03
_NORMAL = 1.645
_TO_DEVIATION = 1.4826
_WIDE = 8.0
_STEP = 1e-4
BARE = frozenset({"product-bf16"})
"""Kinds whose tables time the product alone, without passes over its activations."""
OWN_RATE = r"product-(fp8-block.*|.*-vllm)|experts-.*"
"""Kinds whose products need not reach the rate of plain ones of their dtype."""
TO_BE_FITTED = "To be fitted."
_START = Figure(value=10, unit="us", low=1, high=300, kind="assumed", note=TO_BE_FITTED, dimension="s")
_PASSES = Figure(value=2, unit="1", low=0.1, high=20, kind="assumed", note=TO_BE_FITTED, dimension="1")
_RATE = Figure(value=0.8, unit="1", low=0.4, high=1, kind="assumed", note=TO_BE_FITTED, dimension="1")


class Timed(NamedTuple):
    """One row: what ran, and how long it took [s]."""

    case: Case
    kernel: Kernel
    seconds: float


@dataclass(frozen=True)
class Constant:
    """One constant: its figure in the catalogue, fitted value and 90 % range, in SI base units."""

    figure: Figure
    value: float
    low: float
    high: float

    @property
    def is_new(self) -> bool:
        """Whether the catalogue had nothing in its place."""
        return self.figure.note == TO_BE_FITTED


@dataclass(frozen=True)
class KindFit:
    """One kind of kernels: its rows, their relative errors before and after, and as left out of the fit [1]."""

    kind: str
    rows: tuple[Timed, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out: tuple[float, ...]
    constants: tuple[Constant, ...]


@dataclass(frozen=True)
class ChipFit:
    """All kinds of kernels of one chip; ``left_out`` rows do not count, with the reason."""

    chip: Chip
    kinds: tuple[KindFit, ...]
    left_out: tuple[tuple[Case, str], ...]

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Those of all kinds."""
        return tuple(each for kind in self.kinds for each in kind.constants)


def fit_kernels(cases: Iterable[Case], chip: str = "", watch: Watch | None = None) -> list[ChipFit]:
    """Fit every chip that a table of kernels names, in alphabetical order.

    Parameters
    ----------
    cases : rows of the table
    chip : the chip of them all, whatever they name
    watch : is told what is done

    Raises
    ------
    InputError : an unknown chip, or no row that can be fitted
    """
    import topologies

    if chip:
        name = topologies.resolve("chips", chip)
        cases = [replace(case, given={**case.given, "system": name}) for case in cases]
    chips, rows, left_out = _sorted_out(cases)
    tell = watch or (lambda _what, _done, _of: None)
    found = []
    for done, name in enumerate(sorted(rows)):
        tell(f"fitting {name}", done, len(rows))
        found.append(_fit_chip(chips[name], rows[name], left_out[name]))
    return found


def _sorted_out(
    cases: Iterable[Case],
) -> tuple[dict[str, Chip], dict[str, list[Timed]], dict[str, list[tuple[Case, str]]]]:
    """Chips by name, the rows of each that count, and those that do not with the reason."""
    rows: dict[str, list[Timed]] = {}
    chips: dict[str, Chip] = {}
    left_out: dict[str, list[tuple[Case, str]]] = {}
    first = ""
    for case in cases:
        try:
            chip = chip_of(case)
        except Refused as refused:
            first = first or refused.reason
            continue
        name = chip.name
        chips[name] = chip
        kept = left_out.setdefault(name, [])
        if case.split not in FITTED_SPLITS:
            kept.append((case, f"split {case.split}"))
            continue
        try:
            timed = Timed(case, kernel_of(case, chip), measured(case)[0])
            least = _least_seconds(timed, chip)
        except Refused as refused:
            kept.append((case, refused.reason))
            continue
        if timed.seconds < TOO_FAST * least:
            kept.append((case, f"faster than peak rate and bandwidth allow, which need {least * 1e6:.4g} us"))
        else:
            rows.setdefault(name, []).append(timed)
    if not rows:
        reasons = [first, *(reason for each in left_out.values() for _, reason in each)]
        why = next(filter(None, reasons), "there are none")
        raise InputError(f"no row can be fitted: {why}", remedy="name chips of the catalogue under system")
    return chips, rows, left_out


def _fit_chip(chip: Chip, rows: Sequence[Timed], left_out: Sequence[tuple[Case, str]]) -> ChipFit:
    kinds = []
    values: dict[str, float] = {}
    chip = _with_costs(chip, {row.kernel.kind for row in rows})
    for prefix, pattern in ORDER:
        own = [row for row in rows if row.kernel.kind.startswith(prefix)]
        if not own:
            continue
        if prefix == "product" and len(own) >= ROWS_FOR_TILES:
            chip = min(
                (_with_tile(chip, *tile) for tile in TILES), key=lambda each: _Problem(each, own, pattern, {}).cost
            )
        found = _fit_kind(chip, prefix, own, pattern, values)
        values |= {each.figure.key: each.value for each in found.constants}
        kinds.append(found)
    return ChipFit(chip, tuple(kinds), tuple(left_out))


def _fit_kind(chip: Chip, kind: str, rows: Sequence[Timed], pattern: str, values: Mapping[str, float]) -> KindFit:
    problem = _Problem(chip, rows, pattern, values)
    folds = _folds(rows)
    errors = [0.0] * len(rows)
    for fold in sorted(set(folds)) if len(set(folds)) > 1 else ():
        inside = [place for place, each in enumerate(folds) if each != fold]
        outside = [place for place, each in enumerate(folds) if each == fold]
        theta = problem.solve([*inside], problem.theta)
        for place, ratio in zip(outside, problem.ratios(outside, theta).tolist(), strict=True):
            errors[place] = math.expm1(ratio)
    everything = range(len(rows))
    return KindFit(
        kind=kind,
        rows=tuple(rows),
        before=tuple(math.expm1(each) for each in problem.ratios(everything, problem.prior)),
        after=tuple(math.expm1(each) for each in problem.ratios(everything, problem.theta)),
        left_out=tuple(errors) if len(set(folds)) > 1 else (),
        constants=problem.constants(),
    )


def _folds(rows: Sequence[Timed]) -> list[int]:
    """The fold of each row; rows of one shape, in whatever numbers and by whatever library, share one."""
    shapes = [tuple(value for value in row.case.given.values() if not isinstance(value, str)) for row in rows]
    places = {shape: place for place, shape in enumerate(sorted(set(shapes)))}
    return [places[shape] % FOLDS for shape in shapes]


def _least_seconds(row: Timed, chip: Chip) -> float:
    """What a row needs at the chip's peak rates and bandwidth [s]."""
    from simulator.compute import kernels

    ideal = row_of(row.kernel, chip, Draw())
    ideal[kernels.RATE] = ideal[kernels.PEAK]
    ideal[kernels.FORWARD_RATE] = Draw()(chip.peak[row.kernel.core])
    ideal[[kernels.STREAM, kernels.HBM]] = Draw()(chip.hbm.bandwidth)
    ideal[[kernels.ENGINES, kernels.TILE_M, kernels.TILE_N, kernels.TILE_K, kernels.QUERIES]] = 1.0
    ideal[[kernels.FILL, kernels.KEYS, kernels.SOFTMAX, kernels.DELAY]] = 0.0
    bare = msgspec.structs.replace(chip, kernels={})
    return seconds_on(row.case, row.kernel, bare, ideal, Draw())


def _with_tile(chip: Chip, m: int, n: int) -> Chip:
    tile = Tile(m=m, n=n, k=chip.matmul.tile.k)
    return msgspec.structs.replace(chip, matmul=msgspec.structs.replace(chip.matmul, tile=tile))


def _with_costs(chip: Chip, kinds: Iterable[str]) -> Chip:
    """The chip with a start and passes, to be fitted, of the kinds of kernels of which it has none."""

    def own(figure: Figure, kind: str, field: str) -> Figure:
        return msgspec.structs.replace(figure, key=f"chip/{chip.name}/kernels.{kind}.{field}")

    new = {
        kind: KernelCost(
            start=own(_START, kind, "start"),
            passes=None if kind in BARE else own(_PASSES, kind, "passes"),
            rate=own(_RATE, kind, "rate") if re.fullmatch(OWN_RATE, kind) else None,
        )
        for kind in sorted(kinds)
        if kind not in chip.kernels
    }
    return msgspec.structs.replace(chip, kernels={**chip.kernels, **new})


class _Problem:
    """Rows of one kind on one chip, and the constants that they tell; vectors are logarithms of the constants."""

    def __init__(self, chip: Chip, rows: Sequence[Timed], pattern: str, values: Mapping[str, float]) -> None:
        import numpy as np

        self.chip, self.rows, self.values = chip, rows, dict(values)
        draw = Draw(values)
        self._seconds(rows, draw)
        self.figures = [
            figure
            for key, figure in sorted(draw.touched.items())
            if re.fullmatch(pattern, path_of(figure)) and key not in values and figure.si > 0
        ]
        self.measured = np.log([row.seconds for row in rows])
        ends = np.array([[one.si, max(one.si_low, one.si / _WIDE), one.si_high] for one in self.figures])
        ends = np.log(ends.reshape(len(self.figures), 3))
        self.prior = ends[:, 0]
        self.sigma = np.maximum((ends[:, 2] - ends[:, 1]) / (2 * _NORMAL), NARROWEST)
        self.least = np.minimum(ends[:, 1], self.prior) - math.log(_WIDE)
        shares = np.array([bool(re.fullmatch(SHARES, path_of(one))) for one in self.figures], dtype=bool)
        self.most = np.where(shares, 0.0, np.maximum(ends[:, 2], self.prior) + math.log(_WIDE))
        self.cost = math.inf
        self.theta = self.solve(range(len(rows)), self.prior)

    def _seconds(self, rows: Sequence[Timed], draw: Draw) -> list[float]:
        arrays: dict[tuple[str, str], Any] = {}
        times = []
        for row in rows:
            key = (row.kernel.dtype, row.kernel.core)
            if key not in arrays:
                arrays[key] = row_of(row.kernel, self.chip, draw)
            times.append(seconds_on(row.case, row.kernel, self.chip, arrays[key], draw))
        return times

    def ratios(self, chosen: Sequence[int], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of predicted over measured time of some rows [1]."""
        import numpy as np

        drawn = {one.key: math.exp(value) for one, value in zip(self.figures, theta.tolist(), strict=True)}
        found: NDArray[np.float64] = np.log(
            self._seconds([self.rows[each] for each in chosen], Draw(self.values | drawn))
        )
        return found - self.measured[list(chosen)]

    def solve(self, chosen: Sequence[int], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """The constants at which the sum is least; keeps the cost."""
        import numpy as np
        from scipy.optimize import least_squares

        if not self.figures:
            self.cost = float(np.square(self.ratios(chosen, start)).sum())
            return start

        def residuals(theta: NDArray[np.float64]) -> NDArray[np.float64]:
            plain = self.ratios(chosen, theta) / SCATTER
            soft = np.sign(plain) * np.sqrt(2 * (np.sqrt(1 + plain**2) - 1))
            return np.concatenate([soft, (theta - self.prior) / self.sigma])

        begin = np.clip(start, self.least + _STEP, self.most - _STEP)
        found = least_squares(
            residuals, begin, bounds=(self.least, self.most), diff_step=np.full(len(begin), _STEP), x_scale=self.sigma
        )
        self.cost = float(found.cost)
        best: NDArray[np.float64] = found.x
        return best

    def constants(self) -> tuple[Constant, ...]:
        """The constants with their ranges, from the curvature at the solution."""
        import numpy as np

        if not self.figures:
            return ()
        base = self.ratios(range(len(self.rows)), self.theta)
        columns = []
        for place in range(len(self.figures)):
            moved = self.theta.copy()
            moved[place] -= _STEP
            columns.append((self.ratios(range(len(self.rows)), moved) - base) / -_STEP)
        scatter = max(SCATTER, float(np.median(np.abs(base))) * _TO_DEVIATION)
        slopes = np.stack(columns, axis=1) / scatter
        width = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes + np.diag(self.sigma**-2.0))))
        away = np.exp(np.maximum(_NORMAL * width, LEAST_RANGE))
        found = []
        for place, figure in enumerate(self.figures):
            value, factor = math.exp(self.theta[place]), float(away[place])
            is_share = self.most[place] == 0
            found.append(
                Constant(figure, value, value / factor, min(1.0, value * factor) if is_share else value * factor)
            )
        return tuple(found)


def path_of(figure: Figure) -> str:
    """Dotted path of a figure inside its chip's file."""
    return figure.key.split("/", 2)[2]


def as_toml(fit: ChipFit, file: str) -> str:
    """The fitted constants as they stand in a chip's file."""
    from simulator.units import factor
    from topologies.imports.toml_text import toml

    tile = fit.chip.matmul.tile
    table: dict[str, Any] = {}
    if any(kind.kind == "product" for kind in fit.kinds):
        table["matmul"] = {"tile": {"m": tile.m, "n": tile.n, "k": tile.k}}
    for kind in fit.kinds:
        note = f"Fitted to {len(kind.rows)} rows of {file}, median error {median_error(kind.after) or 0.0:.1%}."
        for each in kind.constants:
            scale = factor(each.figure.unit, each.figure.dimension)
            numbers = {name: float(f"{getattr(each, name) / scale:.3g}") for name in ("value", "low", "high")}
            numbers["low"] = min(numbers["low"], numbers["value"])
            numbers["high"] = max(numbers["high"], numbers["value"])
            inner = table
            *steps, last = path_of(each.figure).split(".")
            for step in steps:
                inner = inner.setdefault(step, {})
            inner[last] = numbers | {"unit": each.figure.unit, "kind": "assumed", "note": note}
    return toml(table)
