"""Ctrl-C while a comparison runs: it ends soon, says so, and leaves no file that could be taken for whole."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from supernode.cli import _run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGINT for one process there")

SOON_S = 5.0
"""Two seconds are promised; the rest is for a machine that does other things as well."""
STARTED_S = 120.0
"""A first run compiles its kernels."""


@contextlib.contextmanager
def comparison(folder, *words):
    """A comparison of many draws, in a process of its own."""
    command = [sys.executable, "-u", "-m", "supernode", "compare", "ironwood-9216", "scalex640", "--out", str(folder)]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    watchdog = threading.Timer(STARTED_S, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def until(process, words: str) -> None:
    """Read what the process says about its progress up to these words."""
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    pytest.fail(f"{words!r} was never said: {''.join(said)}")


def left_by(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("moment", ["train-llama3-405b on ironwood-9216", "draws of uncertain figures"])
def test_an_interrupt_ends_a_running_comparison_and_leaves_nothing(moment, tmp_path):
    folder = tmp_path / "out"
    with comparison(folder, "--samples", "20000") as process:
        until(process, moment)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SOON_S)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    assert left_by(tmp_path) == []


def test_an_interrupt_while_files_are_written_leaves_whole_files_only(tmp_path):
    folder = tmp_path / "out"
    with comparison(folder, "--samples", "8", "-w", "train-llama3-8b") as process:
        until(process, "drawing plots")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SOON_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not (folder / "report.html").exists()
    for name in left_by(folder):
        assert not name.startswith("."), name
        assert "/." not in name, name
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["schema"] == 1
    for path in folder.rglob("*.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path
    for path in folder.rglob("*.svg"):
        assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>"), path


def test_an_interrupt_in_the_middle_of_a_file_takes_its_beginning_away(tmp_path, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    words = ["compare", "hgx-h100", "-w", "train-llama3-8b", "--samples", "8", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["supernode", *words])
    monkeypatch.setattr("os.fsync", interrupted)
    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert _run() == 130
    assert "interrupted" in err.getvalue()
    assert left_by(tmp_path) == []
