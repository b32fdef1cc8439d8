"""Studies run, write what they promise, and the same bytes each time."""

from __future__ import annotations

import csv
import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import topologies
import workloads
from workloads.program import count

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
PICTURES = ("sizes-64", "sizes-whole", "chips", "crossover")
MACHINES = {
    *("ironwood-9216", "tpu-v5p", "trn2-ultraserver", "cloudmatrix384", "atlas-950-superpod", "scalex640"),
    *("maia-200", "gb200-nvl72", "hgx-h100", "mi355x-8"),
}


def run(out: Path, hash_seed: int, name: str = "collectives_across_machines.py") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(STUDIES / name), "--quick", "--samples", "4"]
    found = subprocess.run(
        [*words, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
    )
    assert found.returncode == 0, found.stderr
    return found


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A folder that the study of collectives wrote, its table, and what it printed."""
    folder = tmp_path_factory.mktemp("collectives")
    said = run(folder, 1)
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return folder, rows, said


def test_a_study_of_collectives_writes_four_pictures_and_a_table_and_says_what_it_found(studied):
    folder, _, said = studied
    assert {path.name for path in folder.iterdir()} == {
        "results.csv",
        *(f"{name}.{ending}" for name in PICTURES for ending in ("png", "svg")),
    }
    for name in MACHINES:
        assert any(line.startswith(f"{name}, ") for line in said.stdout.splitlines())
    assert "torus against switches" in said.stderr


def test_every_machine_stands_in_every_picture_of_machines_with_values_inside_their_ranges(studied):
    _, rows, _ = studied
    for picture in PICTURES[:3]:
        curves = [row for row in rows if row["picture"] == picture]
        assert {row["machine"] for row in curves} == MACHINES
        assert {row["kind"] for row in curves} == {"all-reduce", "all-to-all"}
        for row in curves:
            assert 0 < float(row["low"]) <= float(row["value"]) <= float(row["high"])
            assert row["unit"] == "B/s"
            assert row["algorithm"]


def test_a_torus_is_as_fast_as_switches_of_its_bandwidth_in_large_all_reduces_and_slower_in_all_to_alls(studied):
    """Large all-reduces of both take 2 S / 600 GB/s; n chips on k x k x k need k / 8 a link, 0.75 k of the switches."""
    _, rows, _ = studied
    ratios = {
        (row["kind"], int(row["chips"]), float(row["size_bytes"])): float(row["value"])
        for row in rows
        if row["machine"] == "torus over switches that never block" and row["metric"] == "ratio of times"
    }
    largest = max(size for _, _, size in ratios)
    assert ratios["all-reduce", 64, largest] == pytest.approx(1, abs=0.01)
    assert ratios["all-to-all", 64, largest] == pytest.approx(0.75 * 4 * 64 / 63, rel=0.01)
    assert ratios["all-to-all", 512, largest] == pytest.approx(0.75 * 8 * 512 / 511, rel=0.01)
    assert ratios["all-reduce", 512, 1024.0] > 2


def test_a_study_writes_the_same_bytes_again(studied, tmp_path):
    folder, _, said = studied
    again = run(tmp_path, 2)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert again.stdout.replace(str(tmp_path), "") == said.stdout.replace(str(folder), "")


LARGE_PICTURES = ("scaling", "where", "memory", "value", "plans")
LARGE_MACHINES = {"ironwood-9216", "scalex640", "atlas-950-superpod", "gb200-nvl72"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder that the study of large mixtures wrote, its table, and what it printed."""
    folder = tmp_path_factory.mktemp("trillions")
    said = run(folder, 1, "trillion_parameter_training.py")
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return folder, rows, said


def of(rows, picture, metric=""):
    return [row for row in rows if row["picture"] == picture and (not metric or row["metric"] == metric)]


def test_a_study_of_large_mixtures_writes_five_pictures_and_names_plans_stacks_and_maturity(trained):
    folder, _, said = trained
    assert {path.name for path in folder.iterdir()} == {
        "results.csv",
        *(f"{name}.{ending}" for name in LARGE_PICTURES for ending in ("png", "svg")),
    }
    for word in (*LARGE_MACHINES, "maxtext-2025-10", "megatron-bridge-26.06", "plausible", "does not fit", "fp8"):
        assert word in said.stdout


def test_both_models_have_values_inside_their_ranges_on_every_whole_machine(trained):
    _, rows, _ = trained
    found = of(rows, "value")
    assert {(row["model"], row["machine"]) for row in found} == set(itertools.product(("1T", "10T"), LARGE_MACHINES))
    for row in found:
        assert 0 < float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert float(row["answered"]) >= 0.5
    for row in of(rows, "scaling", "MFU"):
        assert row["value"] == "" or 0.02 < float(row["value"]) < 0.8


def test_parts_of_the_steps_of_a_study_sum_to_what_its_throughput_says(trained):
    """Tokens/s times the parts' sum are the tokens of a step: a batch of 2^k, 9/8 or 5/4 of it, of 4,096 tokens."""
    _, rows, _ = trained
    speeds = of(rows, "scaling", "throughput")
    for model, least in (("1T", 16_384), ("10T", 32_768)):
        for machine, ratios in (
            ("ironwood-9216", {9 / 8}),
            ("scalex640", {5 / 4}),
            ("atlas-950-superpod", {1}),
            ("gb200-nvl72", {1, 9 / 8}),
        ):
            whole = {"model": model, "machine": machine}
            parts = [row for row in of(rows, "where") if whole.items() <= row.items()]
            chips = parts[0]["chips"]
            speed = next(row for row in speeds if (whole | {"chips": chips}).items() <= row.items())
            ratio = float(speed["value"]) * sum(float(row["value"]) for row in parts) / 4096 / least
            assert any(ratio == pytest.approx(each, rel=1e-4) for each in ratios)


def test_the_best_plans_of_a_study_fit_and_most_plans_of_ten_trillion_parameters_do_not(trained):
    _, rows, _ = trained
    capacity = {name: topologies.chip(topologies.entry(name).chip).hbm.capacity.si for name in LARGE_MACHINES}
    for model, machine in itertools.product(("1T", "10T"), LARGE_MACHINES):
        here = {"model": model, "machine": machine}
        items = [float(row["value"]) for row in of(rows, "memory") if here.items() <= row.items()]
        assert 0.1 * capacity[machine] < sum(items) <= capacity[machine]
        counted = {row["metric"]: float(row["value"]) for row in of(rows, "plans") if here.items() <= row.items()}
        share = counted["plans too large"] / counted["plans considered"]
        assert (0.6 if model == "10T" else 0.1) < share < 1


def test_a_made_up_mixture_has_the_size_that_its_study_states():
    counted = count(workloads.model(str(STUDIES / "moe-10t.toml")))
    assert counted.parameters == pytest.approx(1e13, rel=0.005)


def test_batches_carry_the_nines_and_fives_of_the_chips_and_at_most_a_quarter_more(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    study = importlib.import_module("trillion_parameter_training")
    for work, contender in itertools.product(study.WORKS, study.CONTENDERS):
        for chips in contender.sizes:
            batch = study.batch_on(work, chips)
            assert work.batch <= batch <= 1.25 * work.batch
            assert batch % (chips // (chips & -chips)) == 0


def test_a_study_of_large_mixtures_writes_the_same_bytes_again(trained, tmp_path):
    folder, _, said = trained
    again = run(tmp_path, 2, "trillion_parameter_training.py")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert again.stdout.replace(str(tmp_path), "") == said.stdout.replace(str(folder), "")
