"""Plans that cannot be: one message that names the field, its value and the legal values nearby, exit 2."""

from __future__ import annotations

import dataclasses
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import topologies
import workloads
from simulator.errors import InputError
from simulator.machine import slice_of
from simulator.plan import CONTEXT_MODES, SCHEDULES, Plan
from simulator.plan_text import read_plan
from simulator.training import check_plan, step
from supernode.cli import _run
from workloads.program import program

MIXTRAL = program(workloads.model("mixtral-8x7b"))
CHIP = topologies.machine("hgx-h100").chip
HERE = ("plan", "llama3-8b", "hgx-h100")
BAD = {
    "heads": (("--plan", "TP3"), "plan.tensor: 3 tensor ranks do not divide 32", "2 or 4"),
    "more chips than there are": (("--plan", "TP4 PP4"), "uses 16 chips", "at most 8"),
    "chips that are left over": (("--plan", "PP3"), "3 ranks of one replica", "DP2 to leave 2 chips idle"),
    "more ranks than layers": (("--chips", "64", "--plan", "PP64"), "64 pipeline ranks have 32 layers", "31 or 32"),
    "virtual stages": (("--plan", "PP2 VP18"), "leave a stage without any of 32 layers", "16 or 17"),
    "virtual stages of a short rank": (("--plan", "PP2 VP4 first-2"), "plan.virtual_stages: 4 virtual", "2 or 3"),
    "virtual stages of one rank": (("--plan", "VP2"), "plan.virtual_stages", "pipeline = 2"),
    "experts of a dense model": (("--plan", "EP2"), "the model has no experts", "try 1"),
    "a batch": (("--batch", "12", "--plan", "DP8"), "8 data ranks do not divide a batch of 12", "4 or 6 or 12"),
    "a micro-batch": (("--batch", "24", "--plan", "DP8 MBS2"), "do not divide the 3 sequences", "1 or 3"),
    "a sequence": (("--seq", "1001", "--plan", "CP2 DP4"), "2 context ranks", "try 1"),
    "a copy": (("--plan", "ZeRO-3/3"), "copies of 3 ranks do not divide 8", "2 or 4"),
    "a copy of what is whole": (("--plan", "ZeRO-0/2"), "under ZeRO-0", "try"),
    "heads of ulysses": (("--seq", "8064", "--plan", "TP8 CP7 ulysses", "--chips", "56"), "the 4 heads", "2 or 4"),
    "layers at the ends": (("--plan", "PP2 first-31 last-3"), "31 and 3 layers", "together 32"),
    "an interleaved schedule": (("--batch", "12", "--plan", "PP4 VP2 DP2"), "micro-batches in groups of 4", "4 or 8"),
    "dualpipe": (("--plan", "PP4 VP2 dualpipe"), "one stage a rank", "try 1"),
    "a schedule that folds": (("--plan", "PP2 zb-v"), "2 virtual stages, not 1", "try 2"),
    "axes of a switch": (("--plan", "axes-1,0"), "plan.axes: 1,0 is no order of 0 axes", "empty"),
    "a dtype": (("--plan", "fp4"), "h100-sxm has no fp4", "bf16, fp8"),
    "another dtype": (("--dtype", "fp4"), "h100-sxm has no 'fp4'", "bf16, fp8"),
    "no dtype": (("--dtype", "fp7"), "no 'fp7'", "fp8"),
    "a word": (("--plan", "XP4"), "unknown word of a plan 'xp4'", "did you mean"),
    "a word twice": (("--plan", "TP2 TP4"), "says tensor again", "once"),
    "no count": (("--plan", "TP0"), "plan.tensor: 0 is no count", "1 or more"),
    "a word without end": (("--plan", "TP" + "9" * 500), "502 letters", "such as"),
    "a schedule": (("--schedule", "zb"), "unknown schedule 'zb'", "zb-h1"),
    "chips in words": (("--chips", "many"), "'many' is no number", "512"),
    "chips in the wrong order": (("--chips", "8:4"), "ends before it begins", "4:8"),
    "no chips": (("--chips", "0"), "'0' is no number", "512"),
    "chips of no slice": (("--chips", "9"), "9 chips", "8 or 16"),
    "chips of some of a machine": (
        ("--chips", "12"),
        "12 chips are not a whole number",
        "or --per-machine 6 for 6 chips",
    ),
    "no share of a machine": (
        ("--chips", "18", "--per-machine", "9"),
        "--per-machine: 9 chips are no slice",
        "try 7 or 8",
    ),
    "a share that does not divide": (("--chips", "20", "--per-machine", "6"), "(6 chips of each)", "18 or 24"),
    "very many counts": (("--chips", ",".join(map(str, range(1, 99)))), "more than 32", "fewer"),
    "a sequence beyond the context": (("--seq", "1000000"), "more than the context of llama3-8b", "131072"),
    "a stack": (("--stack", "megatron"), "megatron", "megatron-bridge-26.0"),
    "a stack that serves": (("--stack", "vllm-0.15"), "does not train", "[training]"),
    "a picture": (("--plot", "front.pdf"), "front.pdf: a picture is", ".svg"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plan_is_refused_in_one_message_with_what_would_be_right(name, monkeypatch, capsys):
    words, wrong, right = BAD[name]
    monkeypatch.setattr(sys, "argv", ["supernode", *HERE, *words, "--samples", "8", "--json"])
    assert _run() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert wrong in err
    assert right in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2


def test_a_plan_that_does_not_fit_is_an_answer_that_names_the_largest_item(monkeypatch, capsys):
    words = ["supernode", "plan", "llama3-70b", "hgx-h100", "--plan", "TP8", "--samples", "8"]
    monkeypatch.setattr(sys, "argv", words)
    assert _run() == 3
    out = capsys.readouterr().out
    assert "Does not fit: llama3-70b" in out
    assert "the largest item is" in out
    work, stack = program(workloads.model("llama3-70b")), workloads.stack("megatron-bridge-26.06")
    found = step(work, Plan(tensor=8), slice_of(topologies.machine("hgx-h100"), 8), stack, sequence=8192, batch=1024)
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    assert _run() == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["plans"] == []
    unfit = answer["unfit"]
    assert unfit["step"]["time"]["value"] == found.seconds
    assert unfit["step"]["time"]["low"] < found.seconds < unfit["step"]["time"]["high"]
    assert unfit["memory"]["needed"]["value"] > unfit["memory"]["available"]["value"]


def test_files_of_a_plan_that_does_not_fit_are_written_or_said_to_be_missing(monkeypatch, capsys, tmp_path):
    plot, trace = tmp_path / "front.png", tmp_path / "step.json"
    files = ["--plot", str(plot), "--perfetto", str(trace)]
    words = ["supernode", "plan", "llama3-70b", "hgx-h100", "--samples", "8", *files]
    monkeypatch.setattr(sys, "argv", [*words, "--plan", "TP4 PP2"])
    assert _run() == 3
    assert f"{plot} is not written: no plan fits" in capsys.readouterr().err
    assert not plot.exists()
    assert json.loads(trace.read_bytes())["otherData"]["name"].endswith("(does not fit)")
    trace.unlink()
    monkeypatch.setattr(sys, "argv", [*words, "--chips", "1"])
    assert _run() == 3
    assert f"{trace} is not written: no plan fits" in capsys.readouterr().err
    assert not trace.exists()


def test_a_batch_that_nothing_divides_is_an_answer_too(monkeypatch, capsys):
    """Seven chips and one sequence: only one tensor rank divides 32 heads, seven pipeline ranks hold 32 layers."""
    words = ("plan", "llama3-405b", "hgx-h100", "--chips", "7", "--batch", "1", "--samples", "8")
    monkeypatch.setattr(sys, "argv", ["supernode", *words])
    assert _run() == 3
    assert "do not divide" in capsys.readouterr().out


@pytest.mark.parametrize(
    "field", ["tensor", "context", "pipeline", "expert", "expert_tensor", "data", "virtual_stages", "micro_batch"]
)
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "8", 10**30])
def test_a_degree_that_is_no_count_is_refused_by_name(field, value):
    with pytest.raises(InputError):
        check_plan(dataclasses.replace(Plan(), **{field: value}), MIXTRAL, CHIP, 64, sequence=4096, batch=64)


def test_a_step_checks_its_plan():
    part, stack = slice_of(topologies.machine("hgx-h100"), 64), workloads.stack("megatron-bridge-26.06")
    with pytest.raises(InputError, match="do not divide 8 experts"):
        step(MIXTRAL, Plan(data=64, expert=3), part, stack, sequence=4096, batch=64)


degrees = st.integers(1, 64)


@given(
    tensor=degrees,
    context=degrees,
    pipeline=degrees,
    expert=degrees,
    expert_tensor=degrees,
    data=degrees,
    virtual_stages=st.integers(1, 8),
    micro_batch=st.integers(1, 8),
    schedule=st.sampled_from(SCHEDULES),
    context_mode=st.sampled_from(CONTEXT_MODES),
    shard=st.integers(0, 8),
    zero=st.integers(0, 3),
    first_layers=st.integers(0, 40),
    batch=st.integers(1, 300),
)
def test_a_plan_is_legal_or_refused_with_values_that_pass_where_they_were_asked_for(batch, **fields):
    plan = Plan(**fields)
    why = refusal(plan, batch)
    if why is None:
        assert 32 % plan.tensor == 0  # Mixtral 8x7B has 32 heads and 8 experts
        assert 8 % plan.expert == 0
        assert batch % (plan.data * plan.micro_batch) == 0
        return
    assert why.remedy
    tried = re.fullmatch(r"try (\d+(?: or \d+)*)", why.remedy)
    field = why.where.removeprefix("plan.")
    for value in map(int, tried[1].split(" or ")) if tried and hasattr(plan, field) else ():
        assert str(refusal(dataclasses.replace(plan, **{field: value}), batch)) != str(why)


def refusal(plan: Plan, batch: int) -> InputError | None:
    """Why a plan is refused, on as many chips as it likes."""
    try:
        check_plan(plan, MIXTRAL, CHIP, 10**9, sequence=4096, batch=batch)
    except InputError as why:
        return why
    return None


@given(st.text(max_size=60))
def test_any_text_is_a_plan_or_refused(text):
    try:
        found = read_plan(text, Plan())
    except InputError:
        return
    assert read_plan(str(found), Plan()) == found
