"""Constants of a chip fitted to a table of its kernels: what is found again, what is left out, what is written."""

from __future__ import annotations

import csv
import json
import math
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.figures import Draw
from supernode.cli import app
from supernode.fitting.kernel_tables import as_toml, fit_kernels, path_of
from supernode.validation import read_cases
from supernode.validation.kernel_tables import chip_of, kernel_of, seconds_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fit-your-own.md"
TRUE = {
    "chip/h100-sxm/matmul.fraction.bf16": 0.7,
    "chip/h100-sxm/matmul.fill": 260.0,
    "chip/h100-sxm/matmul.streaming": 0.8,
    "chip/h100-sxm/kernels.product-bf16.start": 9e-6,
}
SHAPES = [(m, n, k) for m in (1, 64, 500, 4096, 16384) for n in (1024, 5120, 28672) for k in (512, 4096, 16384)]
COLUMNS = ("system", "dtype", "m", "n", "k", "latency_ms")


def table(path, rows, columns=COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def times(path, shapes, values, system="h100_sxm", dtype="bfloat16"):
    """A table with the times that the model itself predicts under other constants."""
    cases = read_cases(table(path, [(system, dtype, *shape, 1) for shape in shapes]))
    chip = chip_of(cases[0])
    found = [seconds_of(case, kernel_of(case, chip), chip, Draw(values)) * 1e3 for case in cases]
    return table(path, [(system, dtype, *shape, time) for shape, time in zip(shapes, found, strict=True)])


def test_constants_that_made_a_table_are_found_again(tmp_path):
    (fit,) = fit_kernels(read_cases(times(tmp_path / "k.csv", SHAPES, TRUE)))
    found = {each.figure.key: each for each in fit.constants}
    assert set(found) == set(TRUE)
    for key, value in TRUE.items():
        assert found[key].value == pytest.approx(value, rel=0.1), key  # the catalogue holds on a little
        assert found[key].low <= value <= found[key].high, key
    tile = topologies.chip("h100-sxm").matmul.tile
    assert (fit.chip.matmul.tile.m, fit.chip.matmul.tile.n) == (tile.m, tile.n)
    (kind,) = fit.kinds
    assert max(map(abs, kind.after)) < 0.03
    assert max(map(abs, kind.left_out)) < 0.03
    assert max(map(abs, kind.before)) > 0.2


def test_two_rows_move_the_constants_a_little_and_leave_the_tile(tmp_path):
    shapes = [(4096, 8192, 8192), (8192, 8192, 8192)]
    (fit,) = fit_kernels(read_cases(times(tmp_path / "k.csv", shapes, TRUE)))
    found = {path_of(each.figure): each for each in fit.constants}
    before = topologies.chip("h100-sxm")
    assert 0.69 < found["matmul.fraction.bf16"].value < 0.95 * before.matmul.fraction["bf16"].si
    streaming = found["matmul.streaming"]
    assert streaming.value == pytest.approx(before.matmul.streaming.si, rel=1e-3)
    assert fit.chip.matmul.tile == before.matmul.tile


def test_rows_faster_than_the_peaks_and_of_other_splits_are_left_out_with_the_reason(tmp_path):
    path = times(tmp_path / "k.csv", SHAPES[:20], TRUE)
    rows = [[*row, "calibrate"] for row in csv.reader(path.read_text(encoding="utf-8").splitlines()[1:])]
    rows.append(["h100_sxm", "bfloat16", 8192, 8192, 8192, 1.0, "calibrate"])  # 1.11 ms at 989 TFLOP/s
    rows.append(["h100_sxm", "bfloat16", 8192, 8192, 8192, 2.0, "dev"])
    rows.append(["h100_sxm", "nvfp4", 8192, 8192, 8192, 2.0, "calibrate"])
    (fit,) = fit_kernels(read_cases(table(path, rows, (*COLUMNS, "split"))))
    reasons = [reason for _, reason in fit.left_out]
    assert len(fit.kinds[0].rows) == 20
    assert reasons[0].startswith("faster than peak rate and bandwidth allow, which need 1112 us")
    assert reasons[1:] == ["split dev", "h100-sxm has no nvfp4"]


def test_the_chip_may_be_named_in_place_of_the_column(tmp_path):
    path = times(tmp_path / "k.csv", SHAPES, {}, system="mi300x")
    rows = [["", *row[1:]] for row in csv.reader(path.read_text(encoding="utf-8").splitlines()[1:])]
    cases = read_cases(table(path, rows))
    with pytest.raises(InputError, match=r"no row can be fitted: chip without a name"):
        fit_kernels(cases)
    (fit,) = fit_kernels(cases, "mi300x")
    assert fit.chip.name == "mi300x"
    assert {each.is_new for each in fit.constants} == {True, False}  # its start had no place in the catalogue
    with pytest.raises(InputError, match="mi300y"):
        fit_kernels(cases, "mi300y")


def test_fitted_constants_stand_in_a_chip_file_and_are_what_it_then_predicts(tmp_path):
    (fit,) = fit_kernels(read_cases(times(tmp_path / "k.csv", SHAPES, TRUE)))
    text = as_toml(fit, "k.csv")
    tables = tomllib.loads(text)
    assert tables["matmul"]["tile"] == {"m": 64, "n": 64, "k": 64}
    figure = tables["matmul"]["fraction"]["bf16"]
    assert figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert figure["note"].startswith(f"Fitted to {len(SHAPES)} rows of k.csv, median error ")
    assert tables["kernels"]["product-bf16"]["start"]["unit"] == "us"
    catalogue = topologies.load.ROOT / "chips" / "h100-sxm.toml"
    whole = tomllib.loads(catalogue.read_text(encoding="utf-8"))
    for group, inner in tables.items():
        for name, each in inner.items():
            whole[group][name] = whole[group][name] | each if "value" not in each else each
    from topologies.imports.toml_text import toml

    (tmp_path / "mine-1.toml").write_text(toml(whole | {"name": "mine-1"}), encoding="utf-8")
    machine = tomllib.loads((topologies.load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8"))
    path = tmp_path / "mine.toml"
    path.write_text(toml(machine | {"name": "mine", "chip": "mine-1", "aliases": []}), encoding="utf-8")
    chip = topologies.machine(str(path)).chip
    assert chip.matmul.fraction["bf16"].si == figure["value"]
    assert chip.kernels["product-bf16"].start.si == pytest.approx(9e-6, rel=0.04)


def run(*arguments):
    return CliRunner().invoke(app, ["fit", "kernels", *map(str, arguments)], catch_exceptions=False)


def test_the_command_prints_errors_constants_and_the_text_to_paste(tmp_path):
    path = times(tmp_path / "k.csv", SHAPES, TRUE)
    result = run(path)
    assert result.exit_code == 0
    for part in ("Kernels on h100-sxm, tiles of 64 x 64", "product-bf16", "matmul.fill", "[matmul.fraction.bf16]"):
        assert part in result.stdout
    out = tmp_path / "constants.toml"
    found = json.loads(run(path, "--json", "--out", out).stdout)
    chip = found["chips"]["h100-sxm"]
    assert out.read_text(encoding="utf-8") == chip["toml"]
    assert chip["kinds"]["product-bf16"]["rows"] == len(chip["rows"]) == len(SHAPES)
    assert chip["kinds"]["product-bf16"]["after"] < 0.02 < chip["kinds"]["product-bf16"]["before"]
    constant = chip["constants"]["matmul.streaming"]
    assert constant["fitted"]["value"] == pytest.approx(0.8, rel=0.04)
    assert constant["prior"]["value"] == topologies.chip("h100-sxm").matmul.streaming.si
    assert run(path, "--json").stdout == run(path, "--json").stdout


def test_a_file_of_other_rows_is_refused(tmp_path):
    path = table(
        tmp_path / "c.csv",
        [("all_reduce", "hgx-h100", 8, 1024, 30)],
        ("collective", "machine", "chips", "message_bytes", "time_us"),
    )
    with pytest.raises(InputError, match="holds collective rows, no timed kernels"):
        run(path)
    rows = [("h100_sxm", "bfloat16", 64, 64, "many", 1)]
    with pytest.raises(InputError, match="'many' is not a number"):
        run(table(tmp_path / "k.csv", rows))
    path = times(tmp_path / "k.csv", SHAPES[:3], TRUE)
    with pytest.raises(InputError, match="is the file to read"):
        run(path, "--out", path)


def test_every_chip_of_a_table_is_fitted_by_itself(tmp_path):
    first = times(tmp_path / "a.csv", SHAPES[:12], {}, system="h100_sxm")
    second = times(tmp_path / "b.csv", SHAPES[:12], {}, system="gb200")
    both = tmp_path / "both.csv"
    lines = second.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    both.write_text(first.read_text(encoding="utf-8") + "".join(lines), encoding="utf-8")
    fits = fit_kernels(read_cases(both))
    assert [fit.chip.name for fit in fits] == ["gb200", "h100-sxm"]
    for fit in fits:
        assert all(math.isclose(each.value, each.figure.si, rel_tol=1e-3) for each in fit.constants)


def test_the_table_of_the_page_is_read_and_fitted(tmp_path):
    (text,) = re.findall(r"^```\n(system,.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "page.csv"
    path.write_text(text, encoding="utf-8")
    (fit,) = fit_kernels(read_cases(path))
    assert {row.kernel.kind for row in fit.kinds[0].rows} == {"product-bf16", "product-fp8"}
    assert not fit.left_out
