"""Same question, same answer: to the byte for one seed, other draws for another, and no number moved by a neighbour."""

from __future__ import annotations

import json

import pytest

import supernode as sn
import topologies
from simulator.collectives import price
from simulator.figures import Draw
from simulator.machine import slice_of
from supernode.cli import _run
from supernode.draws import drawn_values

MACHINES = ("gb200-nvl72", "cloudmatrix384")
WORKLOADS = ("train-llama3-8b", "serve-llama3-8b", "cluster-day")
SAMPLES = 8


def summary(machines=MACHINES, workloads=WORKLOADS, **options) -> dict:
    return sn.compare(machines, workloads, samples=SAMPLES, **options).to_json()


def text(tree: object) -> str:
    return json.dumps(tree, sort_keys=True, allow_nan=False)


@pytest.fixture(scope="module")
def first() -> dict:
    return summary(seed=1)


def test_the_same_seed_gives_the_same_bytes_in_every_file(tmp_path, monkeypatch, capsys):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        words = ["compare", *MACHINES, "-w", "train-llama3-8b", "--samples", "8", "--seed", "1", "--out", str(folder)]
        monkeypatch.setattr("sys.argv", ["supernode", *words])
        assert _run() == 0, capsys.readouterr().err
    names = sorted(path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file())
    assert {"summary.json", "results.parquet", "report.html"} <= {str(name) for name in names}
    assert names == sorted(path.relative_to(folders[1]) for path in folders[1].rglob("*") if path.is_file())
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_the_same_seed_gives_the_same_summary_again_in_one_program(first):
    assert text(summary(seed=1)) == text(first)


def test_draws_of_a_figure_are_the_same_whoever_asked_before_and_nobody_can_write_to_them():
    draw = Draw()
    price("all-reduce", 1e9, slice_of(topologies.machine("hgx-h100"), 8), draw=draw)
    figures = list(draw.touched.values())
    together = drawn_values(figures, 16, seed=5)
    drawn_values(figures, 16, seed=6)
    alone = {key: column for figure in figures for key, column in drawn_values([figure], 16, seed=5).items()}
    assert together
    for key, column in together.items():
        assert column.tobytes() == alone[key].tobytes()
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0.0


def test_another_seed_moves_ranges_and_leaves_the_stated_values(first):
    other = summary(seed=2)
    for name in MACHINES:
        for kind in ("train-llama3-8b", "serve-llama3-8b"):
            here, there = (tree["machines"][name]["workloads"][kind] for tree in (first, other))
            assert {metric: each["value"] for metric, each in here.items()} == {
                metric: each["value"] for metric, each in there.items()
            }
            assert text(here) != text(there)


def test_the_seed_reaches_the_simulated_day(first):
    other = summary(seed=2)
    for name in MACHINES:
        here, there = (tree["machines"][name]["cluster"]["queueing_delay_mean"]["value"] for tree in (first, other))
        assert here != there


@pytest.fixture(scope="module")
def wider() -> dict:
    return summary((*MACHINES, "scalex640"), seed=1)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("part", ["workloads", "economics", "cluster"])
def test_a_third_machine_moves_no_number_of_the_first_two(part, name, first, wider):
    assert text(wider["machines"][name][part]) == text(first["machines"][name][part])


def test_a_third_machine_moves_no_verdict_between_the_first_two(first, wider):
    def between(tree: dict) -> list[dict]:
        kept = [pair for pair in tree["pairs"] if {pair["a"], pair["b"]} == set(MACHINES)]
        return [{key: pair[key] for key in ("workload", "metric", "probability_a_better", "ratio")} for pair in kept]

    assert text(between(wider)) == text(between(first))


def test_a_further_workload_moves_no_number_of_the_others(first):
    alone = summary(workloads=("train-llama3-8b",), seed=1)
    for name in MACHINES:
        here, there = (tree["machines"][name]["workloads"]["train-llama3-8b"] for tree in (first, alone))
        assert text(here) == text(there)


def test_the_order_of_the_machines_moves_no_number(first):
    turned = summary(tuple(reversed(MACHINES)), seed=1)
    for name in MACHINES:
        assert text(turned["machines"][name]) == text(first["machines"][name])


def test_the_order_of_the_machines_turns_the_verdict_round(first):
    def share(tree: dict, metric: str) -> float:
        (pair,) = [each for each in tree["pairs"] if (each["workload"], each["metric"]) == ("train-llama3-8b", metric)]
        return pair["probability_a_better"]

    turned = summary(tuple(reversed(MACHINES)), ("train-llama3-8b",), seed=1)
    for metric in ("tokens_per_s", "tokens_per_s_per_chip", "usd_per_million_tokens"):
        assert share(first, metric) == pytest.approx(1 - share(turned, metric))


def test_a_machine_draws_the_same_readings_whoever_stands_beside_it():
    alone = summary(("scalex640",), ("train-llama3-8b",), seed=1)
    beside = summary(("gb200-nvl72", "scalex640"), ("train-llama3-8b",), seed=1)
    here, there = (tree["machines"]["scalex640"]["workloads"] for tree in (alone, beside))
    assert text(here) == text(there)
