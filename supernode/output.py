"""Write a comparison to a folder: every file whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simulator.files import make_folder, write_whole
from supernode.frames import write_parquet
from supernode.plots.save import write_plots
from supernode.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from supernode.comparison import Comparison


def write_all(comparison: Comparison, folder: Path, tell: Callable[[str, int, int], None]) -> list[Path]:
    """Write ``summary.json``, ``results.parquet``, the plots (PNG and SVG) and ``report.html``; returns the paths.

    Raises
    ------
    simulator.errors.InputError : the folder cannot be made or written to
    """
    make_folder(folder)
    tell("writing summary and results", 0, 3)
    summary, results, report = folder / "summary.json", folder / "results.parquet", folder / "report.html"
    write_whole(summary, json.dumps(comparison.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n")
    write_parquet(comparison, results)
    tell("drawing plots", 1, 3)
    plots = write_plots(comparison, folder)
    tell("writing report", 2, 3)
    write_report(comparison, report, plots=plots)
    return [report, summary, results, *plots]
