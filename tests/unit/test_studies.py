"""Studies run, write what they promise, and the same bytes each time."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
PICTURES = ("sizes-64", "sizes-whole", "chips", "crossover")
MACHINES = {
    *("ironwood-9216", "tpu-v5p", "trn2-ultraserver", "cloudmatrix384", "atlas-950-superpod", "scalex640"),
    *("maia-200", "gb200-nvl72", "hgx-h100", "mi355x-8"),
}


def run(out: Path, hash_seed: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(STUDIES / "collectives_across_machines.py"), "--quick", "--samples", "4"]
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
