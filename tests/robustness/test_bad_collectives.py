"""Collectives that cannot be: one message that says what is wrong and what would be right, exit 2, never a number."""

from __future__ import annotations

import sys

import pytest

from supernode.cli import _run
from topologies import load

H100 = ("all-reduce", "hgx-h100")
BAD = {
    "a group larger than the machine": ((*H100, "--chips", "9"), "9 chips are not a whole number", "8 or 16"),
    "no chip at all": ((*H100, "--chips", "0"), "0 chips", "1"),
    "one chip": ((*H100, "--chips", "1"), "at least 2 chips", "more chips"),
    "more machines than a network joins": ((*H100, "--chips", "1048576"), "more than", "fewer machines"),
    "a shape that is no slice": (("all-reduce", "ironwood-9216", "--slice", "5x5x5"), "no legal slice", "4x4x4"),
    "a shape where there are none": ((*H100, "--slice", "2x4"), "have none", "number of chips"),
    "chips that are no slice": (("all-reduce", "ironwood-9216", "--chips", "65"), "65", "64"),
    "no bytes": ((*H100, "--bytes", "0"), "'0' is no size", "1GiB"),
    "less than no bytes": ((*H100, "--bytes", "-5"), "-5", "number and a unit"),
    "bytes in the wrong order": ((*H100, "--bytes", "1GiB:1KiB"), "no size or range", "1KiB:4GiB"),
    "an algorithm of tori on switches": ((*H100, "--algorithm", "bucket"), "bucket cannot do", "legal here: ring"),
    "an algorithm of switches on a torus": (
        ("all-reduce", "tpu-v4", "--chips", "64", "--algorithm", "in-network"),
        "in-network cannot do",
        "bucket",
    ),
    "reduction in switches of what is not reduced": (
        ("all-gather", "hgx-h100", "--algorithm", "in-network"),
        "in-network cannot do",
        "ring",
    ),
    "two chips where switches need three": (
        (*H100, "--chips", "2", "--algorithm", "in-network"),
        "in-network cannot do",
        "two-shot",
    ),
    "an unknown algorithm": ((*H100, "--algorithm", "rign"), "unknown algorithm", "ring"),
    "an algorithm without a schedule": (
        ("broadcast", "hgx-h100", "--fidelity", "flow", "--algorithm", "halving-doubling"),
        "no schedule of broadcast",
        "double-binary-tree",
    ),
    "an unknown level": ((*H100, "--fidelity", "flows"), "unknown level", "flow?"),
    "a curve where nothing was measured": (
        ("all-reduce", "scalex640", "--fidelity", "curve"),
        "was measured",
        "closed form",
    ),
    "a curve by an algorithm": (
        (*H100, "--fidelity", "curve", "--algorithm", "ring"),
        "not by which algorithm",
        "closed-form",
    ),
    "failures in closed form": ((*H100, "--fidelity", "closed-form", "--fail", "switch0"), "--fail", "flow"),
    "an unknown switch": ((*H100, "--fail", "swich1"), "unknown node", "switch1"),
    "a link to an unknown switch": ((*H100, "--fail", "chip3-switch9"), "'switch9'", "switch3"),
    "a link from an unknown chip": ((*H100, "--fail", "chip33-switch1"), "'chip33'", "chip3"),
    "a link that is not there": ((*H100, "--fail", "chip3-chip4"), "no link joins", "switch0, switch1"),
    "a chip that fails": ((*H100, "--fail", "chip3"), "takes part", "switch"),
    "more than all of a link": ((*H100, "--fail", "switch0=2"), "2 is no part", "0.5"),
    "a share that is no number": ((*H100, "--fail", "switch0=half"), "half is no part", "0.5"),
    "failures that cut a chip off": (
        (*H100, *(word for i in range(4) for word in ("--fail", f"chip3-switch{i}"))),
        "chip3 is cut off from the other 7 chips",
        "leave a way",
    ),
    "failures that leave nothing": (
        (*H100, *(word for i in range(4) for word in ("--fail", f"switch{i}"))),
        "cut off",
        "leave a way",
    ),
    "all pairs of a large torus that lacks a link": (
        ("all-to-all", "ironwood-9216", "--fail", "chip0-chip1"),
        "too many pairs",
        "closed form",
    ),
    "an unknown routing": ((*H100, "--routing", "dimensional"), "unknown routing", "dimension-order"),
    "a routing of tori on switches": ((*H100, "--routing", "dimension-order"), "no whole torus", "spread"),
    "no jobs": ((*H100, "--jobs", "0", "--chips", "2"), "no number of jobs", "1 to"),
    "jobs of unknown size": ((*H100, "--jobs", "2"), "not said", "--chips"),
    "jobs larger than the machine": ((*H100, "--jobs", "3", "--chips", "4"), "12 chips", "8 or 16"),
    "jobs that are no boxes": (
        ("all-reduce", "tpu-v5e", "--jobs", "5", "--chips", "16", "--placement", "interleaved"),
        "no boxes",
        "divide",
    ),
    "jobs by shape": (
        ("all-reduce", "ironwood-9216", "--jobs", "2", "--slice", "4x4x4"),
        "number of chips",
        "--chips",
    ),
    "an unknown placement": ((*H100, "--jobs", "2", "--chips", "4", "--placement", "pack"), "placement", "packed"),
    "more chips than flows are run for": (
        ("all-reduce", "atlas-960-superpod", "--chips", "30976", "--fidelity", "flow"),
        "too many",
        "16,384",
    ),
    "own rows that are not there": ((*H100, "--cases", "nowhere.csv"), "nowhere.csv", ""),
}


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run a collective that must be refused: its message, without what a log of progress says before it."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["supernode", "collective", *words, "--samples", "8"])
        assert _run() == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        return err.rpartition("supernode: ")[2]

    return run


@pytest.mark.parametrize("what", BAD)
def test_a_collective_that_cannot_be_is_refused_with_what_would_be_right(refused, what):
    words, wrong, right = BAD[what]
    said = refused(*words)
    assert wrong in said
    assert right in said


@pytest.mark.parametrize("level", ["closed-form", "flow"])
def test_a_machine_whose_graph_is_in_two_parts_is_refused(refused, tmp_path, level):
    text = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")
    begin, end = text.index("[fabric]"), text.index("[fabric.link]")
    halves = "{ pairs = [[0, 1], [1, 2], [2, 3]] }, { pairs = [[4, 5], [5, 6], [6, 7]] }"
    listed = f'[fabric]\nbuilder = "edge-list"\nchips = 8\nbundles = [{halves}]\n\n'
    (tmp_path / "halves.toml").write_text(text[:begin] + listed + text[end:], encoding="utf-8")
    said = refused("all-reduce", "./halves.toml", "--fidelity", level)
    assert "node 4 is not joined to node 0" in said
