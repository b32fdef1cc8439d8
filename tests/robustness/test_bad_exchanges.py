"""Exchanges that cannot be: one message that says what is wrong and what would be right, exit 2, never a number."""

from __future__ import annotations

import sys

import pytest

from supernode.cli import _run

OUT = ("dispatch", "hgx-h100")
BAD = {
    "more picks than experts": ((*OUT, "--top-k", "300"), "cannot pick 300 of 256", "1 to 256"),
    "no picks": ((*OUT, "--top-k", "0"), "cannot pick 0", "1 to 256"),
    "no experts": ((*OUT, "--experts", "0"), "0 experts", "give 1"),
    "experts that do not divide": ((*OUT, "--experts", "250"), "250 experts do not divide", "--experts 256"),
    "chips that do not divide": (("dispatch", "gb200-nvl72"), "do not divide evenly over 72", "--chips 64"),
    "an unknown library": ((*OUT, "--library", "depep"), "unknown library", "deepep-v1"),
    "a library of other chips": ((*OUT, "--library", "deepep-ascend"), "not of NVIDIA", "deepep-v1"),
    "a library of other links": ((*OUT, "--library", "deepep-sglang-blackwell"), "not over nvlink4", "deepep-sglang"),
    "a library that knows no network": (
        (*OUT, "--chips", "16", "--library", "flashinfer-ep"),
        "inside one machine, and 2",
        "deepep-v1",
    ),
    "an unknown mode": ((*OUT, "--mode", "fast"), "unknown mode", "low-latency"),
    "a mode that a library lacks": (
        (*OUT, "--library", "deepep-v2", "--mode", "low-latency"),
        "no kernels",
        "ask for normal",
    ),
    "no tokens": ((*OUT, "--tokens", "0"), "'0' is no number of tokens", "1:4096"),
    "fewer tokens than none": ((*OUT, "--tokens=-5"), "'-5' is no number", "128"),
    "tokens in the wrong order": ((*OUT, "--tokens", "8:1"), "'8:1'", "1:4096"),
    "empty tokens": ((*OUT, "--tokens", ""), "'' is no number", "128"),
    "tokens in words": ((*OUT, "--tokens", "many"), "'many'", "128"),
    "tokens without end": ((*OUT, "--tokens", "1:1e300"), "1e300", "1:4096"),
    "no width": ((*OUT, "--hidden", "0"), "hidden = 0", "more than 0"),
    "a group larger than the machine": ((*OUT, "--chips", "9"), "9 chips are not a whole number", "8 or 16"),
    "one chip": ((*OUT, "--chips", "1"), "at least 2 chips", "more chips"),
    "an unknown type": ((*OUT, "--dtype", "fp7"), "unknown type", "fp8"),
    "a dense model": ((*OUT, "--model", "llama3-8b"), "no experts", "deepseek-v3"),
    "an unknown model": ((*OUT, "--model", "deepsek-v3"), "unknown model", "deepseek-v3"),
    "a skew that is no file": ((*OUT, "--skew", "zpf"), "no such file", "path"),
    "a law without exponent": ((*OUT, "--skew", "zipf:x"), "no exponent", "0"),
    "skew and a limit": ((*OUT, "--skew", "zipf:1", "--node-limit", "1"), "do not go together", "leave one"),
    "a limit of no machine": ((*OUT, "--node-limit", "0"), "hold no experts", "1 or more"),
    "bytes of a message": ((*OUT, "--bytes", "1GiB"), "--bytes: says nothing about dispatch", "--tokens"),
    "an algorithm": ((*OUT, "--algorithm", "ring"), "says nothing", "--library"),
    "tokens of an all-reduce": (
        ("all-reduce", "hgx-h100", "--tokens", "5"),
        "says nothing about all-reduce",
        "--bytes",
    ),
    "a curve": ((*OUT, "--fidelity", "curve"), "no curve", "closed form"),
    "failures in closed form": ((*OUT, "--fidelity", "closed-form", "--fail", "switch0"), "--fail", "flow"),
    "an unknown switch": ((*OUT, "--fail", "swich1"), "unknown node", "switch1"),
    "no matrix": (("all-to-all-v", "hgx-h100"), "who sends what", "--matrix"),
    "tokens beside a matrix": (
        ("all-to-all-v", "hgx-h100", "--matrix", "m", "--tokens", "5"),
        "says nothing",
        "--matrix",
    ),
    "too many flows": (
        ("dispatch", "atlas-950-superpod", "--chips", "1024", "--experts", "1024", "--fidelity", "flow"),
        "are too many",
        "closed form",
    ),
}
FILES = {
    "a histogram of another length": ("1 2 3\n", (*OUT, "--experts", "256", "--skew"), "3 numbers for 256", "each"),
    "a histogram of words": ("1 two 3\n", (*OUT, "--skew"), "'two' is no number", "balanced"),
    "a histogram that no tokens have": ("9,1,1,1,1,1,1,1\n", (*OUT, "--top-k", "2", "--skew"), "times as many", "once"),
    "a matrix that is no square": (
        "1,2\n3,4\n5,6\n",
        ("all-to-all-v", "hgx-h100", "--matrix"),
        "3 lines of 2",
        "as many",
    ),
    "a matrix with a short line": ("1,2\n3\n", ("all-to-all-v", "hgx-h100", "--matrix"), "line 2", "as long"),
    "a matrix of words": ("1,2\n3,x\n", ("all-to-all-v", "hgx-h100", "--matrix"), "no number", "rank i"),
    "a matrix of less than nothing": ("0,-1\n3,0\n", ("all-to-all-v", "hgx-h100", "--matrix"), "no sizes", "0 to"),
    "a matrix of nothing": ("0,0\n0,0\n", ("all-to-all-v", "hgx-h100", "--matrix"), "nothing is sent", "diagonal"),
    "a matrix of another size": (
        "0,1\n1,0\n",
        ("all-to-all-v", "hgx-h100", "--chips", "8", "--matrix"),
        "for 2 ranks, and 8 chips",
        "--chips 2",
    ),
    "an empty matrix": ("\n", ("all-to-all-v", "hgx-h100", "--matrix"), "holds no numbers", "2 or more"),
}


def refused(monkeypatch, capsys, words, wrong, right):
    monkeypatch.setattr(sys, "argv", ["supernode", "collective", *words, "--samples", "8"])
    assert _run() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message = captured.err[captured.err.rindex("supernode: ") :]
    assert wrong in message
    assert right in message.partition("\n")[2]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_with_what_would_be_right(monkeypatch, capsys, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, *BAD[name])


@pytest.mark.parametrize("name", FILES)
def test_bad_files_are_refused_with_what_would_be_right(monkeypatch, capsys, tmp_path, name):
    text, words, wrong, right = FILES[name]
    path = tmp_path / "given.csv"
    path.write_text(text)
    refused(monkeypatch, capsys, (*words, str(path)), wrong, right)
