"""Predicts every row of the case files that it is given, or of those that come with the project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.errors import InputError, InternalError, unknown_name
from supernode.validation import collective, kernel_tables, training
from supernode.validation.answers import Refused, Row, judged
from supernode.validation.cases import Case, clean, holds_kernels, read_cases
from supernode.validation.columns import KINDS, Kind

PREDICTORS = {"collective": collective, "training": training, "kernels": kernel_tables}
"""Kind of row -> the module that says what was measured, describes it and predicts it."""

DATA = "SUPERNODE_DATA"
REFERENCE = ("reference/measured-comm.csv", "reference/measured-training.csv")
REFERENCE_KERNELS = "reference/kernel-*.csv"
SEED = 0


@dataclass(frozen=True)
class Validation:
    """Every row of every file, predicted or with the reason why not. ``repeated`` rows stood in two files."""

    kind: str
    rows: tuple[Row, ...]
    files: tuple[str, ...]
    repeated: int = 0


def published() -> Path:
    """The folder of published measurements that comes with the project: in the package, or in its source tree."""
    packaged = Path(__file__).parent / "published"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "benchmarks" / "published"


def default_files(kind: str = "") -> list[Path]:
    """The project's own cases, and the reference data in the folder that ``SUPERNODE_DATA`` names, if it is there.

    Timed kernels are thousands and stand in files of their own, which are read only where they are asked for.
    """
    folder = os.environ.get(DATA)
    if kind == "kernels":
        found = sorted(Path(folder).glob(REFERENCE_KERNELS)) if folder else []
        files = [path for path in found if holds_kernels(path)] or sorted((published() / "kernels").glob("*.csv"))
    else:
        files = sorted(published().glob("*.csv"))
        if folder:
            files += [path for name in REFERENCE if (path := Path(folder) / name).is_file()]
    if not files:
        raise InputError("no case files come with this installation", remedy="name some with --cases FILE.csv")
    return files


def validate(
    files: Sequence[Path] = (),
    *,
    kind: str = "",
    seed: int = SEED,
    watch: Callable[[Sequence[Case]], Iterable[Case]] | None = None,
) -> Validation:
    """Predict every measured row of the files.

    Parameters
    ----------
    files : case files; none means those of :func:`default_files`
    kind : one of :data:`KINDS`, or empty for all rows
    seed : of the draws behind the bands
    watch : goes over the cases and shows progress

    Raises
    ------
    InputError : a file that is wrong, an unknown kind, no rows of the kind
    """
    if kind and kind not in KINDS:
        raise unknown_name("kind of case", kind, KINDS, where="--kind")
    paths = list(files) or default_files(kind)
    cases, repeated = _unique(case for path in paths for case in read_cases(path))
    cases = [case for case in cases if not kind or case.kind == kind]
    if not cases:
        raise InputError(f"no {kind} rows in {', '.join(map(str, paths))}", where="--kind", remedy="name another kind")
    rows = tuple(predict(case, seed) for case in (watch(cases) if watch else cases))
    found: set[Kind] = {case.kind for case in cases}
    return Validation(found.pop() if len(found) == 1 else "all", rows, tuple(path.name for path in paths), repeated)


def predict(case: Case, seed: int = SEED) -> Row:
    """Predict one measured row. What is not predicted keeps its row, with the reason."""
    predictor = PREDICTORS.get(case.kind)
    if predictor is None:
        return Row(case, clean(case.title), "unsupported", reason=f"{case.kind} is not predicted yet")
    row = Row(case, clean(predictor.described(case)), "unsupported")
    try:
        value, unit = predictor.measured(case)
        row = replace(row, measured=value, unit=unit)
        return judged(row, predictor.predict(case, unit, seed))
    except Refused as refused:
        return replace(row, status=refused.status, reason=refused.reason)
    except InternalError as error:
        return replace(row, status="error", reason=str(error))


def _unique(cases: Iterable[Case]) -> tuple[list[Case], int]:
    """Cases without those that an earlier file holds already under the same id with the same cells."""
    seen: dict[tuple[object, ...], str] = {}
    kept: list[Case] = []
    repeated = 0
    for case in cases:
        file = case.where.rpartition(": line ")[0]
        key = (case.kind, case.id, tuple(case.given.items()), tuple(case.measured.items()))
        if seen.setdefault(key, file) != file:
            repeated += 1
        else:
            kept.append(case)
    return kept, repeated
