"""How long people wait: for ``--help``, for the main job with warm kernels, and for the very first run.

Every run is a process of its own, started as from a shell; peak memory is that of the process and its children.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SUPERNODE = (sys.executable, "-m", "supernode")
MAIN_JOB = ("compare", "ironwood-9216", "scalex640")
_PAUSE_S = 0.02


def run(*words: str, **variables: str) -> int:
    """Run the command and wait; returns its peak resident memory [B]."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*SUPERNODE, *words],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    # Linux counts in KiB, macOS in bytes
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report(benchmark: BenchmarkFixture, what: str, peak_bytes: int) -> None:
    """Print and keep time and memory."""
    benchmark.extra_info["peak_MiB"] = round(peak_bytes / 2**20)
    if benchmark.stats is not None:
        print(f"\n{what}: {benchmark.stats.stats.median:.2f} s, {peak_bytes / 2**20:,.0f} MiB")


def test_help(benchmark: BenchmarkFixture):
    """Target: below 0.3 s."""
    report(benchmark, "--help", benchmark.pedantic(run, ("--help",), rounds=10, warmup_rounds=1))


def test_an_unknown_machine_is_refused(benchmark: BenchmarkFixture):
    """What a slip of the keys costs: names are checked before anything heavy is loaded."""

    def refused() -> int:
        words = [*SUPERNODE, "compare", "ironwod-9216", "scalex640"]
        return subprocess.run(words, capture_output=True, check=False).returncode  # noqa: S603 - our own command

    assert benchmark.pedantic(refused, rounds=10, warmup_rounds=1) == 2


@pytest.mark.parametrize("words", [(), ("--quick",), ("--samples", "256")], ids=["as is", "quick", "256 draws"])
def test_the_main_job_warm(benchmark: BenchmarkFixture, tmp_path: Path, words: tuple[str, ...]):
    """Target: below 20 s on two cores and below 2 GiB, with report and plots."""
    out = ("--out", str(tmp_path / "out"))
    peak_bytes = benchmark.pedantic(run, (*MAIN_JOB, *words, *out), rounds=3, warmup_rounds=1)
    report(benchmark, f"compare {' '.join(words)}".rstrip(), peak_bytes)
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_main_job_for_the_first_time(benchmark: BenchmarkFixture, tmp_path: Path):
    """Target: below 90 s, with every kernel compiled."""
    cache = tmp_path / "cache"
    variables = {"XDG_CACHE_HOME": str(cache), "NUMBA_CACHE_DIR": str(cache / "kernels")}
    variables["MPLCONFIGDIR"] = str(cache / "matplotlib")
    out = ("--out", str(tmp_path / "out"))
    peak_bytes = benchmark.pedantic(run, (*MAIN_JOB, *out), variables, rounds=1)
    report(benchmark, "compare, first run", peak_bytes)
    assert next(cache.rglob("*.nbc"), None) is not None


def test_the_first_word_of_the_first_run(benchmark: BenchmarkFixture, tmp_path: Path):
    """How long a newcomer looks at nothing: until the line that says that kernels are being compiled."""
    variables = {"XDG_CACHE_HOME": str(tmp_path)}

    def said() -> str:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*SUPERNODE, *MAIN_JOB],
            env={key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        watchdog = threading.Timer(60.0, process.kill)
        watchdog.start()
        assert process.stderr is not None
        line = process.stderr.readline()
        watchdog.cancel()
        process.kill()
        process.wait()
        time.sleep(_PAUSE_S)
        return line

    assert "compil" in benchmark.pedantic(said, rounds=1)
