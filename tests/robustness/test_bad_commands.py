"""What people and scripts type by mistake or on purpose: exit 2 and one message that helps, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import topologies
from supernode import cli
from topologies import load

SMALL = ("-w", "train-llama3-8b", "--samples", "8")
COMPARE = ("compare", "hgx-h100", *SMALL)
REDUCE = ("collective", "all-reduce", "hgx-h100", "--samples", "8")
PLAN = ("plan", "llama3-8b", "hgx-h100")
MACHINE = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")


@pytest.fixture
def supernode(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["supernode", *words])
        code = cli._run()
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(supernode):
    """Run a command that must be refused: its message, without what a log of progress says before it."""

    def run(*words: str) -> str:
        code, out, err = supernode(*words)
        assert code == 2, err
        assert out == ""
        assert "Traceback" not in err
        assert "internal error" not in err
        assert len(err) < 3000
        assert err.rstrip("\n").replace("\n", "").isprintable()
        return err

    return run


MISSPELT = {
    "a machine": (("compare", "ironwod-9216"), "ironwood-9216"),
    "the second machine": (("compare", "ironwood-9216", "scalex64"), "scalex640"),
    "a machine to plan on": (("plan", "llama3-8b", "hgx-h10"), "hgx-h100"),
    "a machine to price on": (("collective", "all-reduce", "gb200"), "gb200-nvl72"),
    "a machine to draw": (("topology", "clodmatrix384"), "cloudmatrix384"),
    "a model": (("plan", "llama3-405", "hgx-h100"), "llama3-405b"),
    "a workload": (("compare", "hgx-h100", "-w", "train-lama3-8b"), "train-llama3-8b"),
    "a collective": (("collective", "all-redce", "hgx-h100"), "all-reduce"),
    "a basis": (("compare", "hgx-h100", "--basis", "pwer"), "power"),
    "a hypothesis": (("compare", "scalex640", "--hypothesis", "per-64"), "per-640"),
    "a hypothesis to plan under": (("plan", "llama3-8b", "scalex640", "--hypothesis", "per-64"), "per-640"),
    "an algorithm": ((*REDUCE, "--algorithm", "double-binary-treee"), "double-binary-tree"),
    "a network": ((*REDUCE, "--chips", "16", "--network", "ib-ndr"), "ib-ndr-8x400"),
    "a network to plan over": ((*PLAN, "--chips", "16", "--network", "ib-ndr"), "ib-ndr-8x400"),
    "a stack": ((*PLAN, "--stack", "megatron-bridge"), "megatron-bridge-26.04"),
    "an entry": (("catalogue", "show", "h100"), "h100-sxm"),
    "a kind of entry": (("catalogue", "show", "chips", "h100-sxn"), "h100-sxm"),
    "a format": (("catalogue", "export", "--format", "jsn"), "json"),
    "a kind of case": (("validate", "--kind", "colective"), "collective"),
    "a command": (("compere", "hgx-h100"), "compare"),
    "an option": ((*COMPARE, "--bass", "power"), "--basis"),
}


@pytest.mark.parametrize("what", MISSPELT)
def test_the_message_gives_the_nearest_name_of(what, refused):
    words, right = MISSPELT[what]
    message = refused(*words)
    assert right in message
    assert any(word.removeprefix("--") in message for word in words)


OUT_OF_BOUNDS = {
    "one draw": ((*COMPARE, "--samples", "1"), "8"),
    "no draws": ((*COMPARE, "--samples", "0"), "8"),
    "a thousand million draws": ((*COMPARE, "--samples", "1000000000"), "100000"),
    "half a draw": ((*COMPARE, "--samples", "8.5"), "--samples"),
    "a seed below zero": ((*COMPARE, "--seed", "-1"), "--seed"),
    "a seed of 80 bits": ((*COMPARE, "--seed", str(2**80)), "--seed"),
    "the same machine twice": (("compare", "hgx-h100", "hgx-h100", *SMALL), "once"),
    "the same machine by its alias": (("compare", "hgx-h100", "dgx-h100", *SMALL), "once"),
    "the same workload twice": ((*COMPARE, "-w", "train-llama3-8b"), "once"),
    "no machine": (("compare",), "MACHINE"),
    "a hypothesis of machines that have none": ((*COMPARE, "--hypothesis", "per-640"), "hypothesis"),
    "a size of nothing": ((*REDUCE, "--bytes", "0"), "1GiB"),
    "a size below zero": ((*REDUCE, "--bytes", "-1"), "--bytes"),
    "no size": ((*REDUCE, "--bytes", ""), "--bytes"),
    "a size in bits": ((*REDUCE, "--bytes", "1Gb"), "GiB"),
    "a size in apples": ((*REDUCE, "--bytes", "10 apples"), "GiB"),
    "a size that is no number": ((*REDUCE, "--bytes", "nan"), "--bytes"),
    "an infinite size": ((*REDUCE, "--bytes", "1e400"), "--bytes"),
    "a size above all computers": ((*REDUCE, "--bytes", "1e30"), "1e18"),
    "sizes from large to small": ((*REDUCE, "--bytes", "4GiB:1KiB"), "1KiB:4GiB"),
    "sizes from nothing to nothing": ((*REDUCE, "--bytes", ":"), "--bytes"),
    "one chip alone": ((*REDUCE, "--chips", "1"), "2 chips"),
    "no chips": ((*REDUCE, "--chips", "0"), "try"),
    "chips below zero": ((*REDUCE, "--chips", "-8"), "try"),
    "a part of a second machine": ((*REDUCE, "--chips", "9"), "16"),
    "chips that are no slice": (("collective", "all-reduce", "ironwood-9216", "--chips", "65"), "64"),
    "10**12 chips": ((*REDUCE, "--chips", str(10**12)), "1000000000000"),
    "10**30 chips": ((*REDUCE, "--chips", str(10**30)), "chips"),
    "an algorithm that is not legal there": ((*REDUCE, "--algorithm", "bucket"), "ring"),
    "no sequences": ((*PLAN, "--batch", "0"), "--batch"),
    "sequences of no tokens": ((*PLAN, "--seq", "0"), "--seq"),
    "no plans": ((*PLAN, "--top", "0"), "--top"),
    "a stack that only serves": ((*PLAN, "--stack", "vllm-0.15"), "training"),
    "no machines to join": (("topology", "hgx-h100", "--machines", "0"), "4096"),
    "10**9 machines to join": (("topology", "hgx-h100", "--machines", str(10**9)), "4096"),
    "two names where one is wanted": (("catalogue", "show", "chip", "h100-sxm", "gb200"), "catalogue show"),
}


@pytest.mark.parametrize("what", OUT_OF_BOUNDS)
def test_the_message_says_what_would_be_right_instead_of(what, refused):
    words, right = OUT_OF_BOUNDS[what]
    assert right in refused(*words)


def test_plans_for_10_to_the_12_chips_are_not_even_begun():
    words = [sys.executable, "-m", "supernode", *PLAN, "--chips", str(10**12)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "1000000000000" in done.stderr


NAMES = ["", " ", "x" * 5000, "*", "--", "a\x00b", "a\x00b.toml", "\x1b[31mred\x1b[0m", "\n", "\u202emirror", "冷却液"]
NAMES += ["冷却液.toml", "../../etc/shadow", ".", "./", "~", "\ud800", "{0}", "%s%n", "[bold]x[/bold]", "[/]"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
@pytest.mark.parametrize(
    "words",
    [
        ("compare", "{}"),
        ("compare", "hgx-h100", "-w", "{}"),
        ("compare", "hgx-h100", "--basis", "{}"),
        ("compare", "scalex640", "--hypothesis", "{}"),
        ("plan", "{}", "hgx-h100"),
        ("plan", "llama3-8b", "hgx-h100", "--stack", "{}"),
        ("collective", "{}", "hgx-h100"),
        ("collective", "all-reduce", "{}"),
        ("collective", "all-reduce", "hgx-h100", "--algorithm", "{}"),
        ("collective", "all-reduce", "hgx-h100", "--network", "{}"),
        ("topology", "{}"),
        ("catalogue", "show", "{}"),
        ("validate", "--kind", "{}"),
    ],
    ids=lambda words: " ".join(words[:1] + words[-2:-1]),
)
def test_no_command_knows_a_strange_name(words, name, refused):
    if name == "" and words[-2] in {"--stack", "--algorithm", "--network", "--hypothesis", "--kind"}:
        pytest.skip("nothing is the default here")
    refused(*(word if word != "{}" else name for word in words))


@pytest.mark.parametrize("command", ["compare", "topology", "catalogue show", "catalogue check", "plan llama3-8b"])
def test_a_folder_is_no_machine(command, refused, tmp_path):
    (tmp_path / "here").mkdir()
    assert "folder" in refused(*command.split(), "here/")


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "nope.toml", *SMALL),
        ("compare", "hgx-h100", "-w", "nope.toml"),
        ("plan", "nope.toml", "hgx-h100"),
        ("topology", "nope.toml"),
        ("catalogue", "check", "nope.toml"),
        ("validate", "--cases", "nope.csv"),
    ],
    ids=" ".join,
)
def test_a_missing_file_is_named(words, refused):
    assert "no such file" in refused(*words)


def swap(old: str, new: str) -> str:
    assert old in MACHINE, f"the catalogue no longer holds {old!r}"
    return MACHINE.replace(old, new, 1)


LINK = "fabric.link.bandwidth"
FILES = {
    "a wrong unit": (swap('value = 25\nunit = "GB/s"', 'value = 25\nunit = "W"'), LINK, "GB/s"),
    "a missing source": (swap('source = "stas00-ml-engineering"\n', ""), LINK, "sources.toml"),
    "an unknown source": (swap("stas00-ml-engineering", "stas00-ml-enginering"), LINK, "stas00-ml-engineering"),
    "an unknown key": (swap("vendor =", "vendr ="), "vendr", "vendor"),
    "an infinite figure": (swap("value = 25\n", "value = inf\n"), LINK, "CONTRIBUTING.md"),
    "a negative figure": (swap("value = 25\n", "value = -25\n"), LINK, "CONTRIBUTING.md"),
    "10**12 chips": (swap("chips = 8", "chips = 1000000000000"), "chips", "CONTRIBUTING.md"),
    "no chips": (swap("chips = 8", "chips = 0"), "chips", "CONTRIBUTING.md"),
    "a chip nobody knows": (swap("h100-sxm", "h100-sxn"), "chip", "h100-sxm"),
    "a network nobody knows": (swap("ib-ndr-8x400", "ib-ndr-8x40"), "network", "ib-ndr-8x400"),
    "a stack nobody knows": (swap("megatron-bridge-26.04", "megatron-bridge-26.07"), "stack", "megatron-bridge-26.06"),
    "text that is not TOML": (MACHINE + "\n[[[\n", "TOML", "mend"),
    "nothing in it": ("", "name", "CONTRIBUTING.md"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_machine_file_is_refused_before_anything_runs_for(what, refused, tmp_path):
    text, field, remedy = FILES[what]
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    message = refused("compare", "mine.toml", *SMALL)
    assert field in message
    assert remedy in message
    if "stack" not in what:
        assert "mine.toml" in message


def test_a_machine_file_that_is_right_is_compared_like_the_machine_of_the_catalogue(supernode, tmp_path):
    (tmp_path / "mine.toml").write_text(MACHINE, encoding="utf-8")
    of_file = json.loads(supernode("compare", "mine.toml", *SMALL, "--json")[1])
    of_name = json.loads(supernode("compare", "hgx-h100", *SMALL, "--json")[1])
    assert of_file["machines"] == of_name["machines"]


TASK = """kind = "training"
name = "mine"
title = "Mine"
model = "llama3-8b"
sequence = 8192
batch = 512
dtype = "bf16"
tokens = 1e12
note = "for this test"
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("llama3-8b", "lama3-8b", "llama3-8b"),
        ("8192", "-8192", "sequence"),
        ("512", "1000000000000", "batch"),
        ("1e12", "inf", "tokens"),
        ('"bf16"', '"bf61"', "dtype"),
        ("sequence", "sequense", "sequence"),
        ('"training"', '"trainin"', "kind"),
    ],
)
def test_a_workload_file_is_refused_for(old, new, named, refused, supernode, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TASK, encoding="utf-8")
    assert supernode("compare", "hgx-h100", "-w", "mine.toml", "--samples", "8")[0] == 0
    path.write_text(TASK.replace(old, new, 1), encoding="utf-8")
    message = refused("compare", "hgx-h100", "-w", "mine.toml", "--samples", "8")
    assert "mine.toml" in message
    assert named in message


WRITERS = {
    "compare": (*COMPARE, "--out"),
    "validate": ("validate", "--kind", "collective", "--out"),
    "collective": (*REDUCE, "--plot"),
    "topology": ("topology", "hgx-h100", "--plot"),
    "graphml": ("topology", "hgx-h100", "--graphml"),
}
WRITES_FILES = ("collective", "topology", "graphml")


def unwritten(tmp_path) -> list[str]:
    """Everything below the folder, so that it can be seen that nothing came or went."""
    return sorted(str(path) for path in tmp_path.rglob("*"))


def name_in(what: str, folder: str) -> str:
    return f"{folder}/x.png" if what in WRITES_FILES else folder


@pytest.mark.parametrize("what", WRITERS)
def test_nothing_is_written_under_a_file(what, supernode, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    code, _, err = supernode(*WRITERS[what], name_in(what, "file/deep"))
    assert code == 2, err
    assert "file/deep" in err
    assert unwritten(tmp_path) == [str(tmp_path / "file")]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("what", WRITERS)
def test_nothing_is_written_where_a_name_is_too_long(what, supernode, tmp_path):
    code, _, err = supernode(*WRITERS[what], name_in(what, "x" * 300))
    assert code == 2, err
    assert unwritten(tmp_path) == []


@pytest.mark.parametrize("what", WRITES_FILES)
def test_a_folder_is_not_replaced_by_a_picture(what, supernode, tmp_path):
    (tmp_path / "x.png").mkdir()
    code, _, err = supernode(*WRITERS[what], "x.png")
    assert code == 2, err
    assert unwritten(tmp_path) == [str(tmp_path / "x.png")]


@pytest.mark.parametrize("what", ["collective", "topology"])
@pytest.mark.parametrize("name", ["x.docx", "x", "x.png.exe"])
def test_a_picture_of_a_kind_that_nobody_draws_is_refused(what, name, refused, tmp_path):
    assert ".png" in refused(*WRITERS[what], name)
    assert unwritten(tmp_path) == []


def test_a_comparison_is_not_written_over_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert "is a file" in refused(*COMPARE, "--out", "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("what", WRITERS)
def test_a_folder_that_may_not_be_written_to_is_named(what, supernode, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, _, err = supernode(*WRITERS[what], name_in(what, "locked/deep"))
    assert code == 2, err
    assert "locked" in err


def leaves(tree, path=()):
    """The path of every value in a file that is neither a table nor a list."""
    for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(child, dict | list):
            yield from leaves(child, (*path, key))
        else:
            yield (*path, key)


def toml(tree: dict) -> str:
    """A tree as TOML; lists and tables inside are written in their short form."""
    return "".join(f"{key} = {literal(value)}\n" for key, value in tree.items())


def literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {literal(child)}' for key, child in value.items())}}}"
    return repr(value)


TREES = {
    name: tomllib.loads((load.ROOT / "machines" / f"{name}.toml").read_text(encoding="utf-8"))
    for name in topologies.names("machines")
}
FIELDS = [(name, path) for name, tree in TREES.items() for path in leaves(tree) if path[0] != "published"]
NUMBERS = [(name, path[:-1]) for name, path in FIELDS if path[-1] == "value"]
LEVELS = (0, 5e-324, 1e-300, 1e-30, 1e-9, 0.1, 0.5, 1, 2, 3, 1e3, 1e6, 1e9, 1e12, 1e18, 1e24, float("inf"), -1)
JUNK = st.one_of(
    st.sampled_from(LEVELS),
    st.sampled_from([10**12, 7, 64, 640, float("nan"), True, "", "GB/s", "%", "FIT", [], {}, [64, 1, 1]]),
    st.integers(0, 1 << 20),
    st.floats(0, 1e24),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


def changed(name: str, path: tuple, value: object) -> dict:
    tree = json.loads(json.dumps(TREES[name]))
    node = tree
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return tree


def survives(run, folder, tree: dict) -> None:
    """Compare the machine of a file: an answer, nothing feasible, or one message about the input."""
    path = folder / "mine.toml"
    path.write_text(toml(tree), encoding="utf-8")
    code, _, err = run("compare", str(path), *SMALL)
    assert code in {0, 2, 3}, err
    assert not re.search(r"Traceback|internal error|Error:", err)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), junk=JUNK)
def test_a_machine_file_with_anything_in_one_field_is_compared_or_refused(field, junk, supernode, tmp_path):
    survives(supernode, tmp_path, changed(*field, junk))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(figure=st.sampled_from(NUMBERS), level=st.sampled_from(LEVELS))
@example(figure=("hgx-h100", ("fabric", "link", "bandwidth")), level=5e-324)
@example(figure=("cloudmatrix384", ("fabric", "link", "latency")), level=16)
def test_a_machine_file_with_a_figure_that_is_far_off_is_compared_or_refused(figure, level, supernode, tmp_path):
    name, path = figure
    tree = changed(name, (*path, "value"), level)
    node = tree
    for step in path:
        node = node[step]
    node["low"] = node["high"] = level
    survives(supernode, tmp_path, tree)
