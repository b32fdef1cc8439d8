"""``supernode collective dispatch``, ``combine`` and ``all-to-all-v``: what they answer, in both forms and levels."""

from __future__ import annotations

import json
import sys

import pytest

import topologies
from simulator.collectives.exchange import Tokens, balanced, dispatch, zipf
from simulator.collectives.exchange.experts import spread
from simulator.machine import slice_of
from supernode.cli import _run
from supernode.cli.exchange import EXCHANGES, exchange_of, libraries
from supernode.exchange_request import GENERIC, Request, counts_of, libraries_on, library_of

FP8_BYTES = 7168 + 56 * 4
"""A token of DeepSeek-V3 in FP8: one byte a value, four of scaling factor for each 128."""


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``supernode collective`` and give its text, or the object of ``--json``."""
    monkeypatch.chdir(tmp_path)

    def answer(*words, as_json=True):
        tail = ("--samples", "8", *(("--json",) if as_json else ()))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr("sys.argv", ["supernode", "collective", *words, *tail])
        assert _run() == 0
        out = capsys.readouterr().out
        return json.loads(out) if as_json else out

    return answer


def part(name, chips):
    return slice_of(topologies.machine(name), chips)


def test_dispatch_says_what_the_python_interface_says(run):
    found = run("dispatch", "hgx-h800", "--chips", "64", "--tokens", "4096", "--node-limit", "4")
    library = topologies.shared("exchange", "deepep-v1")
    routing = balanced(256, 8, groups=8, top_groups=4)
    own = dispatch(part("hgx-h800", 64), routing, Tokens(4096, 7168, 1, 224), library, "normal")
    assert found["time"]["value"] == pytest.approx(own.seconds)
    assert found["algorithm"] == "deepep-v1 normal"
    assert found["distinct_nodes"] == pytest.approx(own.distinct_nodes)
    assert found["level_bytes"] == pytest.approx(own.level_bytes)
    assert found["bytes"] == 4096 * FP8_BYTES


@pytest.mark.parametrize("level", ["closed-form", "flow"])
@pytest.mark.parametrize("kind", ["dispatch", "combine"])
def test_every_level_answers_with_the_same_keys(run, kind, level):
    found = run(kind, "hgx-h100", "--tokens", "512", "--fidelity", level)
    assert found["level"] == level
    assert set(found["bounds"]) == {"injection", "link", "bisection", "latency"}
    assert found["time"]["low"] <= found["time"]["value"] <= found["time"]["high"]
    assert found["over_bound"] == pytest.approx(found["time"]["value"] / max(found["bounds"].values()))
    assert found["over_bound"] >= 1
    assert found["busbw"]["value"] == pytest.approx(found["algbw"]["value"] * 7 / 8)
    assert {"bottleneck", "by_algorithm", "nearest", "validation", "library", "mode"} <= set(found)
    assert found["dtype"] == {"dispatch": "fp8", "combine": "bf16"}[kind]


@pytest.mark.parametrize(
    ("chips", "mode", "counts"), [(8, "normal", "ranks"), (32, "normal", "nodes"), (32, "low-latency", "copies")]
)
def test_bandwidth_as_deepep_prints_it_counts_nodes_ranks_or_copies(run, chips, mode, counts):
    found = run("dispatch", "hgx-h800", "--chips", str(chips), "--tokens", "128", "--mode", mode)
    nodes = spread(balanced(256, 8), chips // 8).distinct
    times = {"ranks": spread(balanced(256, 8), 8).distinct, "nodes": nodes, "copies": 8}[counts]
    assert found["deepep"]["counts"] == counts
    assert found["deepep"]["value"] == pytest.approx(128 * FP8_BYTES * times / found["time"]["value"])


def test_few_tokens_go_by_the_low_latency_kernels_and_many_by_the_others(run):
    found = run("dispatch", "hgx-h800", "--chips", "32", "--tokens", "32:1024")
    modes = {each["tokens"]: each["mode"] for each in found["sweep"]}
    assert modes == {32: "low-latency", 64: "low-latency", 128: "low-latency"} | dict.fromkeys(
        (256, 512, 1024), "normal"
    )
    same = [each["time"]["value"] for each in found["sweep"] if each["mode"] == "normal"]
    assert same == sorted(same)


def test_sizes_come_from_a_model_and_each_may_be_named_instead(run):
    found = run("dispatch", "hgx-h100", "--model", "kimi-k2", "--top-k", "4")
    assert (found["hidden"], found["experts"], found["top_k"]) == (7168, 384, 4)
    assert run("dispatch", "hgx-h100")["experts"] == 256


def test_skew_from_a_law_and_from_a_histogram_make_the_busiest_rank_slower(run, tmp_path):
    even = run("dispatch", "hgx-h100", "--tokens", "4096")
    law = run("dispatch", "hgx-h100", "--tokens", "4096", "--skew", "zipf:0.8")
    assert law["copies"] == pytest.approx(spread(zipf(256, 8, 0.8, 8), 8).copies)
    assert law["time"]["value"] > even["time"]["value"]
    counts = tmp_path / "counts.csv"
    counts.write_text(",".join(["300"] * 32 + ["100"] * 224))
    drawn = run("dispatch", "hgx-h100", "--tokens", "4096", "--skew", str(counts))
    assert drawn["copies"] == pytest.approx(8 * 8 * 32 * 300 / (32 * 300 + 224 * 100))
    assert drawn["time"]["value"] > even["time"]["value"]


def test_the_usual_library_runs_on_the_machine_and_no_link_has_two():
    usual = [family for name in topologies.names("exchange") for family in topologies.shared("exchange", name).usual_on]
    assert len(usual) == len(set(usual))
    for name in topologies.names("machines"):
        machine = topologies.machine(name)
        whole = slice_of(machine, machine.chips)
        library = library_of(Request("dispatch", name), whole)
        assert library in libraries_on(whole)
        assert GENERIC in libraries_on(whole)
    assert library_of(Request("dispatch", "mi300x-8"), part("mi300x-8", 8)) == "uccl-ep"
    assert library_of(Request("dispatch", "cloudmatrix384"), part("cloudmatrix384", 64)) == "deepep-ascend"
    assert "flashinfer-ep" not in libraries_on(part("hgx-h100", 16))
    assert "flashinfer-ep" in libraries_on(part("hgx-h100", 8))


def test_every_library_that_runs_stands_beside_the_answer(run):
    found = run("dispatch", "hgx-h100")
    assert found["by_algorithm"][found["algorithm"]] == pytest.approx(found["time"]["value"])
    assert {name.split()[0] for name in found["by_algorithm"]} == set(libraries_on(part("hgx-h100", 8)))


def test_nearest_rows_are_of_the_same_phase_and_the_machine_itself_comes_first(run):
    found = run("dispatch", "cloudmatrix384", "--chips", "128", "--tokens", "4096")
    first = found["nearest"][0]
    assert (first["machine"], first["chips"], first["tokens"]) == ("cloudmatrix384", 128, 4096)
    # 57 GB/s of 7.746 distinct ranks a token, sgl-kernel-npu README.
    counted = 4096 * 7172 * spread(balanced(256, 8), 128).distinct
    assert first["time"] == pytest.approx(counted / 57e9)
    assert found["validation"]["rows"] >= 4


def test_a_failure_is_held_against_the_whole_fabric(run):
    found = run("dispatch", "hgx-h100", "--tokens", "8192", "--fail", "switch0")
    assert found["level"] == "flow"
    assert found["flow"]["degradation"] > 1.2
    assert found["flow"]["whole"] == pytest.approx(found["flow"]["closed_form"], rel=1e-9)


def test_all_to_all_v_prices_a_matrix_and_names_its_fullest_link(run, tmp_path):
    path = tmp_path / "bytes.csv"
    lines = [[0.0 if i == j else 1e8 if (i, j) == (2, 5) else 1e6 for j in range(8)] for i in range(8)]
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    closed = run("all-to-all-v", "mi300x-8", "--matrix", str(path))
    flows = run("all-to-all-v", "mi300x-8", "--matrix", str(path), "--fidelity", "flow")
    assert closed["chips"] == 8
    assert closed["bytes"] == pytest.approx(1e8 + 6e6)
    assert closed["link_bytes"]["xgmi"] == pytest.approx(1e8)
    assert flows["flow"]["busiest_link"] == "chip2 -> chip5"
    assert flows["flow"]["flows"] == 56
    for found in (closed, flows):
        assert found["time"]["value"] >= max(found["bounds"].values())
        assert found["algbw"]["value"] * found["time"]["value"] == pytest.approx(found["bytes"])


def test_tables_say_where_a_token_goes_and_what_was_measured(run):
    said = run("dispatch", "hgx-h800", "--chips", "64", "--tokens", "4096", as_json=False)
    for words in ("A token has 8 copies for 7.68 ranks of 5.29 machines", "as DeepEP prints", "By every library"):
        assert words in said
    swept = run("combine", "hgx-h800", "--tokens", "1:4", as_json=False)
    assert "By every library" not in swept


def test_a_sweep_is_drawn_with_its_bound_and_what_was_measured(run, tmp_path):
    run("dispatch", "cloudmatrix384", "--chips", "8", "--tokens", "64:4096", "--plot", "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 10_000


def test_kinds_are_known_by_their_usual_names():
    assert [exchange_of(name) for name in ("dispatch", "moe_combine", "alltoallv", "all_to_all_v")] == [
        "dispatch",
        "combine",
        "all-to-all-v",
        "all-to-all-v",
    ]
    assert exchange_of("all-to-all") == ""
    assert set(EXCHANGES) == {"dispatch", "combine", "all-to-all-v"}


def test_libraries_are_completed_and_ranges_of_tokens_double():
    assert libraries("deepep-v") == ["deepep-v1", "deepep-v2"]
    assert counts_of("1:4096") == [2.0**i for i in range(13)]
    assert counts_of("96") == [96]


@pytest.mark.parametrize(
    ("words", "wrong", "right"),
    [
        (
            ("gb200-nvl72", "--chips", "64", "--mode", "low-latency"),
            "deepep-v2, the usual library",
            "deepep-v1, generic-ep, nccl-ep",
        ),
        (("hgx-h100", "--skew", "zipf:x"), "--skew zipf:x: 'x' is no exponent", "zipf:1.1"),
    ],
)
def test_what_an_exchange_cannot_take_is_refused_with_what_it_can(words, wrong, right, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["supernode", "collective", "dispatch", *words, "--tokens", "128"])
    assert _run() == 2
    err = capsys.readouterr().err
    assert wrong in err
    assert right in err
