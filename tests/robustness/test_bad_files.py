"""Files that are no files, and the nastiest texts, through the command itself: exit 2, one message, no waiting."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys

import pytest

from topologies import load

MACHINE = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")
NOT_ROOT = hasattr(os, "geteuid") and os.geteuid() != 0
LONGEST_CPU_S = 10
"""The kernel ends what takes longer, start included; what hangs without computing meets the time limit below."""
LONGEST_S = 120
LARGEST = 1 << 20


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supernode", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LONGEST_S,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_CPU_S, LONGEST_CPU_S)),
    )


def refused(done: subprocess.CompletedProcess[str], name: str) -> str:
    """The message about a file: two lines on standard error, and nothing else anywhere."""
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stdout == ""
    said, _, remedy = done.stderr.rstrip("\n").partition("\n")
    assert name in said
    assert remedy.strip()
    assert "\n" not in remedy
    assert len(done.stderr) < 2000
    assert (said + remedy).isprintable()
    return done.stderr


def with_line(line: str) -> str:
    """The machine with another first line."""
    return line + "\n" + MACHINE


TEXTS = {
    "a key of 40 kB in a table within a line": (with_line("x = {" + "a." * 20_000 + "b = 1}"), "line 1"),
    "a key of a MiB with quotation marks": (with_line('"=".' + '"a".' * 200_000 + "b = 1"), "line 1"),
    "strings that hide a key of 40 kB": (with_line('x = ["""a"""", {' + "a." * 20_000 + "b = 1}]"), "line 1"),
    "100,000 brackets": (with_line("x = " + "[" * 100_000 + "]" * 100_000), "line 1"),
    "tables in tables in lists": (with_line("x = " + "[{a = " * 20_000), "line 1"),
    "a number of 5,000 digits": (with_line("chips = " + "1" * 5_000), "line 1"),
    "a MiB of empty tables": ("[[x]]\n" * (LARGEST // 6), "unknown key 'x'"),
    "a MiB of keys": ("".join(f"a{i} = 1\n" for i in range(LARGEST // 14)), "unknown key 'a0'"),
    "a MiB of numbers": ("x = [" + "1," * (LARGEST // 2 - 10) + "]", "unknown key 'x'"),
    "a MiB of quotation marks that stand for themselves": ('x = "' + '\\"' * (LARGEST // 2 - 10), "is not TOML"),
    "an escape sequence in a title": (with_line('reading = "\\u001b[2J"'), "reading"),
    "a title turned around": (with_line('reading = "\\u202egpj"'), "reading: has the invisible character U+202E"),
    "an escape sequence in a key": (with_line('"\\u001b[2J" = 1'), "U+001B"),
    "a machine of itself": (re.sub('chip = ".*"', 'chip = "mine"', MACHINE), "unknown chip 'mine'"),
    "a chip above the folder": (re.sub('chip = ".*"', 'chip = "../../etc/passwd"', MACHINE), "chip"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_the_command_refuses_a_machine_that_is(what, tmp_path):
    text, named = TEXTS[what]
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert named in refused(run("catalogue", "check", str(path)), "mine.toml")


def test_a_comparison_refuses_a_bad_machine_before_it_computes_anything(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXTS["a key of 40 kB in a table within a line"][0], encoding="utf-8")
    refused(run("compare", str(path), "scalex640", "--quick"), "mine.toml")


def with_stack(phase: str, stack: str) -> str:
    """The machine with another stack for a phase."""
    changed, count = re.subn(rf"^{phase} = .*$", f'{phase} = "{stack}"', MACHINE, count=1, flags=re.MULTILINE)
    assert count == 1
    return changed


@pytest.mark.parametrize(
    ("phase", "stack", "said"),
    [
        ("training", "megatron-brigde-26.06", "did you mean megatron-bridge-26.06"),
        ("serving", "nobody-knows-this", "unknown stack 'nobody-knows-this'"),
        ("training", "vllm-0.15", "stack 'vllm-0.15' has no [training]"),
        ("serving", "megatron-bridge-26.06", "stack 'megatron-bridge-26.06' has no [serving]"),
    ],
)
def test_a_comparison_refuses_a_stack_that_is_none_before_it_says_anything_else(phase, stack, said, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(with_stack(phase, stack), encoding="utf-8")
    message = refused(run("compare", str(path), "hgx-h200", "--quick"), f"mine.toml: stacks.{phase}")
    assert said in message


def test_the_other_commands_that_need_a_stack_name_the_field_too(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(with_stack("training", "nobody-knows-this"), encoding="utf-8")
    refused(run("plan", "llama3-8b", str(path)), "mine.toml: stacks.training")
    done = run("catalogue", "check", str(path), "--json")
    assert done.returncode == 2
    (wrong,) = [each for each in json.loads(done.stdout)["findings"] if not each["holds"]]
    assert wrong["what"] == "stacks exist"
    assert "mine.toml: stacks.training: unknown stack" in wrong["detail"]


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def loop(path):
    path.with_name("other.toml").symlink_to(path)
    path.symlink_to(path.with_name("other.toml"))


def zeros(path):
    path.symlink_to("/dev/zero")


def memory(path):
    path.symlink_to("/proc/self/mem")


def empty(path):
    path.touch()


def binary(path):
    path.write_bytes(bytes(range(256)) * 64)


def utf_16(path):
    path.write_text(MACHINE, encoding="utf-16")


def utf_16_unmarked(path):
    path.write_text(MACHINE, encoding="utf-16-le")


def sparse(path):
    with path.open("wb") as handle:
        handle.truncate(1 << 30)


def secret(path):
    path.write_text(MACHINE, encoding="utf-8")
    path.chmod(0)


def nothing(path):
    """No file of the name."""


FILES = {
    folder: "is a folder",
    pipe: "is a pipe or a device",
    loop: "cannot be read",
    zeros: "is a pipe or a device",
    memory: "cannot be read",
    empty: "name",
    binary: "UTF-8",
    utf_16: "UTF-8",
    utf_16_unmarked: "is not TOML",
    sparse: "is larger than",
    nothing: "no such file",
}


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs the files of a POSIX system")  # noqa: PTH110
@pytest.mark.parametrize("make", [*FILES, secret])
def test_the_command_waits_for_no_file_that_is(make, tmp_path):
    if make is secret and not NOT_ROOT:
        pytest.skip("the administrator may read every file")
    if make is memory and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    make(tmp_path / "mine.toml")
    assert FILES.get(make, "cannot be read") in refused(run("catalogue", "check", f"{tmp_path}/mine.toml"), "mine.toml")


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "hgx-h100", "-w", "{file}"),
        ("plan", "{file}", "hgx-h100"),
        ("plan", "llama3-8b", "{file}"),
        ("collective", "all-reduce", "{file}"),
        ("topology", "{file}"),
        ("import", "graphml", "{file}", "--like", "hgx-h100", "--out", "{file}.out"),
        ("import", "infragraph", "{file}", "--like", "hgx-h100", "--out", "{file}.out"),
        ("import", "nvidia-smi", "{file}", "--like", "hgx-h100", "--out", "{file}.out"),
    ],
)
def test_no_command_waits_for_a_pipe(words, tmp_path):
    pipe(tmp_path / "mine.toml")
    refused(run(*(word.format(file=f"{tmp_path}/mine.toml") for word in words)), "mine.toml: is a pipe or a device")


def test_a_file_that_an_editor_marked_as_utf_8_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MACHINE, encoding="utf-8-sig")
    done = run("catalogue", "check", str(path))
    assert done.returncode == 0, done.stderr
