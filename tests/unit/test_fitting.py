"""Constants fitted to a user's own measurements: what is read, what is found, what is written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.figures import Draw
from supernode.cli import app
from supernode.fitting import closed_form
from supernode.fitting.closed_form import fit_rows, seconds_of
from supernode.fitting.machine_file import write_machine
from supernode.fitting.posterior import median_error
from supernode.fitting.rows import Row, read_rows
from supernode.fitting.slices import slices_of
from tests.support_nccl import half, printed, printed_of_2019

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fit-your-own.md"
TIMES = {65536: 31.5, 1048576: 40.2, 16777216: 141.0, 268435456: 1151.0}
SIZES = [2.0**power for power in range(10, 34, 2)]


@pytest.fixture
def read(tmp_path):
    def of(text, name="nccl.txt", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_rows(path, **options)

    return of


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def said(rows):
    return [(row.kind, row.chips, row.size_bytes, pytest.approx(row.seconds)) for row in rows]


def wanted(kind, chips, times=TIMES):
    return [(kind, chips, float(size), time_us * 1e-6) for size, time_us in times.items()]


@pytest.mark.parametrize("kind", ["all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv"])
def test_every_test_is_read_as_it_is_printed(read, kind):
    assert said(read(printed(kind, 8, TIMES))) == wanted(kind, 8)


@pytest.mark.parametrize("options", [{"wrong": "N/A"}, {"in_place": False}, {"groups": 3}])
def test_unchecked_results_single_halves_and_groups_are_read(read, options):
    assert said(read(printed("all-reduce", 8, TIMES, **options))) == wanted("all-reduce", 8)


def test_columns_of_rccl_tests_and_timestamps_are_passed_over(read):
    wide = printed("all-reduce", 8, TIMES, more=("algo", "proto", "nchannels"), more_cells="    RING    SIMPLE    32")
    timed = printed("all-reduce", 8, TIMES, more=("timestamp",), more_cells="  2026-09-26 10:00:00")
    assert said(read(wide)) == said(read(timed)) == wanted("all-reduce", 8)


def test_tables_of_old_versions_are_read(read):
    # the reduction and busbw / algbw tell the kind: 1.75 for an all-reduce of 8, 0.875 for a reduce-scatter
    assert said(read(printed_of_2019("all-reduce", 8, TIMES))) == wanted("all-reduce", 8)
    assert said(read(printed_of_2019("reduce-scatter", 8, TIMES))) == wanted("reduce-scatter", 8)
    assert said(read(printed_of_2019("all-gather", 8, TIMES), kind="all_gather")) == wanted("all-gather", 8)
    command = "$ ./build/all_gather_perf -b 64K -e 256M -f 16 -g 8\n"
    assert said(read(command + printed_of_2019("all-gather", 8, TIMES))) == wanted("all-gather", 8)


def test_several_outputs_in_one_log_keep_their_kinds_and_ranks(read):
    log = "\n".join(
        [
            "node-a:4000:4000 [0] NCCL INFO Bootstrap : Using eth0",
            printed("all-reduce", 8, TIMES),
            "srun: job 4711 queued",
            printed("all-gather", 4, TIMES),
            "mpirun -np 2 ./build/sendrecv_perf -b 64K -e 256M",
            printed("send-recv", 2, TIMES, named=False),
        ]
    )
    assert said(read(log)) == [*wanted("all-reduce", 8), *wanted("all-gather", 4), *wanted("send-recv", 2)]


@pytest.mark.parametrize("label", ["[1,0]<stdout>:", "[1,0]<stdout>: ", "0: "])
def test_labels_of_launchers_are_taken_off(read, label):
    log = "\n".join(label + line for line in printed("all-reduce", 8, TIMES).splitlines())
    assert said(read(log)) == wanted("all-reduce", 8)


def test_a_pasted_table_needs_only_the_number_of_chips(read):
    rows = "\n".join(
        f"{size} {size // 4} float sum -1" + half(size, t, "all-reduce", 8) * 2 for size, t in TIMES.items()
    )
    assert said(read(rows, chips=8)) == wanted("all-reduce", 8)
    with pytest.raises(InputError, match="--chips"):
        read(rows)


def test_rows_of_no_bytes_are_passed_over(read):
    zero = "           0             0     float    none      -1" + 2 * "     5.10    0.00    0.00       0" + "\n"
    text = printed("all-gather", 8, TIMES)
    first = text.index("       65536")
    assert said(read(text[:first] + zero + text[first:])) == wanted("all-gather", 8)


def test_sizes_need_not_ascend(read):
    turned = dict(reversed(TIMES.items()))
    assert said(read(printed("all-reduce", 8, turned))) == wanted("all-reduce", 8, turned)


def test_json_of_both_tools_is_read(read):
    of_nccl = {
        "args": ["/opt/build/all_reduce_perf", "-g", "1"],
        "config": {"nthreads": 1, "ngpus": 1, "devices": [{"rank": rank} for rank in range(8)]},
        "results": [
            {"size": size, "out_of_place": {"time": time_us}, "in_place": {"time": 1.0}}
            for size, time_us in TIMES.items()
        ],
    }
    of_rccl = [
        {"name": "AllReduce", "ranks": 8, "size": size, "inPlace": place, "time": time_us + place, "busBw": 1.0}
        for size, time_us in TIMES.items()
        for place in (0, 1)
    ]
    assert said(read(json.dumps(of_nccl))) == said(read(json.dumps(of_rccl))) == wanted("all-reduce", 8)


def test_csv_of_rccl_tests_and_of_ones_own_are_read(read):
    head = "numCycle,collective,nodes,ranks,ranksPerNode,gpusPerRank,size,type,redop,inplace,time,algbw,busbw,#wrong"
    rows = [f"0,AllReduce,1,8,8,1,{s},float,sum,{p},{t + p},1,1,0" for s, t in TIMES.items() for p in (0, 1)]
    assert said(read("\n".join([head, *rows]))) == wanted("all-reduce", 8)
    rows = [f"all_reduce,8,{size},{time_us}" for size, time_us in TIMES.items()]
    assert said(read("\n".join(["collective,chips,message_bytes,time_us", *rows]))) == wanted("all-reduce", 8)
    # 16 MiB in 141 us are 118.99 GB/s, and 7/4 of it on the bus
    bus = read("collective,chips,message_bytes,busbw_GBps\nallreduce,8,16777216,208.23\n")
    assert bus[0].seconds == pytest.approx(141e-6, rel=1e-4)


def known_constants(machine, rows, shift):
    """Constants away from the catalogue's by ``shift`` widths of their priors, and the times under them."""
    parts = slices_of(machine, rows)
    figures = closed_form._touched(rows, parts)
    problem = closed_form.problem_of(rows, parts, figures)
    truth = np.minimum(problem.prior + shift * problem.sigma, problem.most - 0.02)
    values = {figure.key: math.exp(value) for figure, value in zip(figures, truth, strict=True)}
    return values, seconds_of(rows, parts, Draw(values))


def made(machine, shift, noise=0.0):
    rows = [Row(kind, chips, size, 1.0, "") for kind, chips in (("all-reduce", 8), ("all-gather", 8)) for size in SIZES]
    values, times = known_constants(machine, rows, shift)
    times = times * np.exp(noise * np.random.default_rng(4).standard_normal(len(rows)))
    pairs = zip(rows, times.tolist(), strict=True)
    return [Row(row.kind, row.chips, row.size_bytes, seconds, "") for row, seconds in pairs], values


@pytest.mark.parametrize("shift", [-0.8, 0.8])
@pytest.mark.parametrize("name", ["hgx-h100", "hgx-a100-80gb", "mi300x-8"])
def test_constants_that_made_a_table_are_found_again(name, shift):
    machine = topologies.machine(name)
    rows, truth = made(machine, shift)
    fit = fit_rows(machine, rows)
    assert median_error(fit.after) < 0.005
    assert median_error(fit.before) > 10 * median_error(fit.after)
    assert {each.key.rpartition(".")[2] for each in fit.constants if each.is_fitted} >= {"fraction", "start"}
    for each in fit.constants:
        if each.is_fitted:
            assert each.low / 1.05 < truth[each.key] < each.high * 1.05, each.key
        if each.high < 1.2 * each.low:
            assert each.value == pytest.approx(truth[each.key], rel=0.05), each.key


def test_noise_of_three_per_cent_leaves_constants_within_their_ranges():
    machine = topologies.machine("hgx-h100")
    rows, truth = made(machine, 0.8, noise=0.03)
    fit = fit_rows(machine, rows)
    assert median_error(fit.after) < 0.03
    assert median_error(fit.left_out_errors) < 0.05
    fitted = [each for each in fit.constants if each.is_fitted]
    inside = [each.low * 0.98 <= truth[each.key] <= each.high * 1.02 for each in fitted]
    assert sum(inside) >= len(fitted) - 1  # 90 % ranges: of a handful one may miss


def test_a_constant_that_no_row_tells_of_keeps_its_figure():
    machine = topologies.machine("hgx-h100")
    rows, _ = made(machine, 0.8)
    small = [row for row in rows if row.size_bytes < 2**12]  # what a call costs, nothing of any bandwidth
    fit = fit_rows(machine, small)
    for each in fit.constants:
        if each.key.endswith("fraction"):
            assert not each.is_fitted
            assert (each.value, each.low, each.high) == (each.figure.si, each.figure.si_low, each.figure.si_high)


def test_one_wild_row_moves_little():
    machine = topologies.machine("hgx-h100")
    rows, _ = made(machine, 0.8)
    wild = [Row(r.kind, r.chips, r.size_bytes, r.seconds * (3 if i == 7 else 1), "") for i, r in enumerate(rows)]
    others = [error for i, error in enumerate(fit_rows(machine, wild).after) if i != 7]
    assert median_error(others) < 0.02


def test_left_out_error_is_that_of_a_fit_to_the_other_rows():
    machine = topologies.machine("hgx-a100-80gb")
    rows = [Row("all-reduce", 8, 2.0**power, 2.0 ** (power - 36.8) + 3e-5, "") for power in (12, 20, 28, 32)]
    fit = fit_rows(machine, rows)
    problem = closed_form.problem_of(rows, slices_of(machine, rows), [each.figure for each in fit.constants])
    problem.free = [place for place, each in enumerate(fit.constants) if each.is_fitted]
    whole = problem.solve([0, 1, 2, 3], problem.prior)
    theta = problem.solve([0, 1, 3], whole)  # by hand: all rows but the third
    values = {each.key: math.exp(value) for each, value in zip(fit.constants, theta, strict=True) if each.is_fitted}
    predicted = seconds_of(rows[2:3], slices_of(machine, rows), Draw(values))[0]
    assert fit.left_out_errors[2] == pytest.approx(predicted / rows[2].seconds - 1, rel=1e-9)


def test_rows_that_no_link_could_carry_are_left_out_and_listed():
    machine = topologies.machine("hgx-h100")
    rows, _ = made(machine, 0.0)
    fit = fit_rows(machine, [*rows, Row("all-gather", 8, 2.0**30, 1e-4, "x: line 3")])
    assert len(fit.rows) == len(rows)
    ((row, reason),) = fit.left_out
    assert row.where == "x: line 3"
    assert "faster than the links" in reason


def block(language):
    text, *_ = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return text


def test_the_page_is_followed_from_the_output_to_a_machine(tmp_path):
    source, target = tmp_path / "nccl.txt", tmp_path / "mine.toml"
    source.write_text(block("text"), encoding="utf-8")
    words = ("fit", "collective", source, "--machine", "hgx-h100", "--out", target, "--json")
    found = json.loads(run(*words))
    first = target.read_bytes()
    assert json.loads(run(*words)) == found
    assert target.read_bytes() == first
    assert found["schema"] == 1
    assert found["median_error"]["after"] < found["median_error"]["before"]
    assert len([row for row in found["rows"] if row["status"] == "ok"]) == 5
    entry = topologies.entry(str(target))
    fitted = {key: each["fitted"] for key, each in found["constants"].items() if each["fitted"]}
    assert fitted
    draw = Draw()
    machine = topologies.machine(str(target))
    rows = read_rows(source)
    seconds_of(rows, slices_of(machine, rows), draw)
    of_mine = {figure.key.partition("/")[2].partition("/")[2]: figure for figure in draw.touched.values()}
    for key, each in fitted.items():
        path = key.split("/", 2)[2]
        figure = of_mine.get(path) or of_mine[f"software.{path}"]
        assert (figure.kind, figure.source) == ("derived", "fitted-nccl")
        assert figure.si == pytest.approx(each["value"], rel=1e-4)
    assert entry.name == "mine"
    priced = json.loads(run("collective", "all-reduce", target, "--bytes", "16MiB", "--json"))
    errors = {row["bytes"]: row["error_after"] for row in found["rows"]}
    assert priced["time"]["value"] == pytest.approx(141e-6 * (1 + errors[2.0**24]), rel=1e-3)
    said = json.loads(run("compare", target, "hgx-h100", "-w", "train-llama3-8b", "--quick", "--json"))
    assert said["machines"]["mine"]["chips"] == 8


def test_the_table_of_the_page_is_read_as_csv(tmp_path):
    source = tmp_path / "own.csv"
    source.write_text(block("csv"), encoding="utf-8")
    text = run("fit", "collective", source, "--machine", "hgx-h100")
    assert "Median error" in text
    assert "all-gather" in text


@pytest.mark.parametrize("name", ["hgx-b200", "mi300x-8", "ironwood-256", "scalex640", "atlas-950-superpod", "tpu-v5e"])
def test_a_written_machine_predicts_as_it_was_fitted(name, tmp_path):
    machine = topologies.machine(name)
    chips = next(chips for chips in reversed(machine.legal_chips) if chips <= 256)
    rows = [Row("all-reduce", chips, 2.0**power, 1.0, "") for power in (10, 16, 20, 26, 32)]
    _, times = known_constants(machine, rows, 0.7)
    rows = [Row("all-reduce", chips, row.size_bytes, seconds, "") for row, seconds in zip(rows, times, strict=True)]
    fit = fit_rows(machine, rows)
    written = write_machine(tmp_path / "my-machine.toml", name, "", fit, tmp_path / "nccl.txt")
    read = topologies.machine(str(written.path))
    again = seconds_of(rows, slices_of(read, rows), Draw())
    assert again == pytest.approx(times * (1 + np.array(fit.after)), rel=1e-4)
    before, after = topologies.entry(name), topologies.entry(str(written.path))
    assert [each.name for each in after.hypotheses] == [each.name for each in before.hypotheses]


def test_rows_across_machines_write_their_network_beside_the_machine(tmp_path):
    source, target = tmp_path / "nccl.txt", tmp_path / "two.toml"
    source.write_text(printed("all-reduce", 16, {2**20: 130.0, 2**26: 700.0, 2**30: 5600.0, 2**33: 43000.0}))
    words = ("fit", "collective", source, "--machine", "hgx-h100", "--network", "roce-8x400", "--out", target, "--json")
    found = json.loads(run(*words))
    beside = Path(found["network_file"])
    assert beside == tmp_path / "two-network.toml"
    assert topologies.machine(str(target)).network.name == "two-network"
    again = json.loads(run("fit", "collective", source, "--machine", target, "--out", target, "--json"))  # in place
    assert again["median_error"]["before"] == pytest.approx(found["median_error"]["after"], abs=1e-3)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["nccl.txt", "two-network.toml", "two.toml"]
    run(*words)
    priced = json.loads(run("collective", "all-reduce", target, "--chips", "16", "--bytes", "8GiB", "--json"))
    error = next(row["error_after"] for row in found["rows"] if row["bytes"] == 2**33)
    assert priced["time"]["value"] == pytest.approx(43000e-6 * (1 + error), rel=1e-3)


def test_rows_of_other_machines_and_splits_are_passed_over(tmp_path):
    source = tmp_path / "all.csv"
    lines = ["collective,chips,message_bytes,time_us,machine,split"]
    lines += [
        f"all_reduce,8,{2**20},40.2,{machine},{split}" for machine in ("hgx-h100", "hgx-b200") for split in ("", "dev")
    ]
    source.write_text("\n".join(lines))
    found = json.loads(run("fit", "collective", source, "--machine", "dgx-h100", "--json"))
    assert (len(found["rows"]), found["passed_over"]) == (1, 3)
