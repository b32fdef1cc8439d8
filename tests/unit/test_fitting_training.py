"""Constants of a training stack fitted to measured steps: what is found again, what is kept, what is written."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import workloads
from simulator.errors import InputError
from simulator.figures import Draw, figures_of
from supernode.cli import app
from supernode.fitting.posterior import Problem, median_error
from supernode.fitting.stack_file import write_stack
from supernode.fitting.training import SCATTER, fit_training, group_numbers
from supernode.fitting.training_rows import own_rows
from supernode.validation import predict, read_cases
from supernode.validation.run import published
from supernode.validation.training import measured, plausible, run_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fit-your-own.md"
STACK = "megatron-bridge-26.04"
LLAMA = {
    "id": "A",
    "machine": "hgx-h100",
    "chips": "64",
    "layers": "80",
    "hidden": "8192",
    "heads": "64",
    "kv_heads": "8",
    "ffn": "28672",
    "vocab": "128256",
    "seq_len": "8192",
    "precision": "BF16",
    "tp": "4",
    "cp": "1",
    "pp": "4",
    "vp": "5",
    "zero_or_fsdp": "distributed-optimizer",
    "micro_batch": "1",
    "global_batch": "128",
    "recompute": "none",
    "step_time_s": "20",
}
SMALL = LLAMA | {"layers": "32", "hidden": "4096", "heads": "32", "ffn": "14336", "pp": "1", "vp": "1"}
PLANS = [
    LLAMA,
    LLAMA | {"tp": "8", "pp": "2", "recompute": "full"},
    LLAMA | {"chips": "512", "global_batch": "256"},
    SMALL | {"tp": "1", "chips": "8"},
    SMALL | {"tp": "2", "chips": "16", "global_batch": "16"},
    SMALL | {"tp": "1", "chips": "256", "seq_len": "2048", "global_batch": "256"},
    SMALL | {"tp": "8", "chips": "128", "global_batch": "64"},
]


@pytest.fixture
def written(tmp_path):
    def of(rows, name="steps.csv"):
        path = tmp_path / name
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with path.open("w", newline="", encoding="utf-8") as handle:
            lines = csv.DictWriter(handle, columns)
            lines.writeheader()
            lines.writerows({"id": f"R{place}"} | row | {"id": f"R{place}"} for place, row in enumerate(rows))
        return path

    return of


@pytest.fixture
def timed(written):
    """Rows that took as long as predicted under constants away from the catalogue's, and their file."""

    def of(constants, rows=PLANS, noise=0.0):
        path = written(rows)
        draw = Draw({f"stack/{STACK}/training.{name}": value for name, value in constants.items()})
        jolts = np.exp(noise * np.random.default_rng(8).standard_normal(len(rows))).tolist()
        times = []
        for case, jolt in zip(read_cases(path), jolts, strict=True):
            run = plausible(run_of(case, "s"), draw)
            times.append(float(np.exp(np.median(np.log(run.values(draw))))) * jolt)
        return written([row | {"step_time_s": f"{each:.9g}"} for row, each in zip(rows, times, strict=True)])

    return of


def fitted(path, stack="", machine=""):
    return fit_training(*own_rows(read_cases(path), machine, stack, str(path)))


def _error(case, draw):
    """Relative error of one row under a draw, by way of what validation predicts with."""
    value, unit = measured(case)
    guess = plausible(run_of(case, unit), draw).values(draw)
    return float(np.exp(np.median(np.log(guess)))) / value - 1


def by_name(fit):
    return {each.key.rpartition(".")[2]: each for each in fit.constants}


def run(*arguments):
    return CliRunner().invoke(app, ["fit", "training", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(
    "truth",
    [
        {"dense_spread": 1.2, "traffic_factor": 0.95, "step_overhead": 0.09},
        {"dense_spread": 0.88, "tensor_exposed": 0.28, "step_overhead": 0.02},
    ],
    ids=["slower", "faster"],
)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_constants_that_made_the_rows_lie_in_their_ranges(timed, truth, noise):
    fit = fitted(timed(truth, noise=noise))
    assert median_error(fit.after) < max(0.02, 1.5 * noise)  # the priors pull
    assert median_error(fit.after) < 0.25 * median_error(fit.before)
    found = by_name(fit)
    for name, value in truth.items():
        assert found[name].low <= value <= found[name].high, name
    assert found["dense_spread"].is_fitted
    assert found["step_overhead"].is_fitted  # a small step shows it


def test_rows_as_the_catalogue_predicts_them_move_nothing(timed):
    fit = fitted(timed({}))
    assert max(map(abs, fit.before)) < 1e-6
    for each in fit.constants:
        assert each.value == pytest.approx(each.figure.si, rel=1e-3), each.key


def test_constants_of_experts_and_context_ranks_are_kept_where_no_row_has_them(timed):
    found = by_name(fitted(timed({"dense_spread": 1.2})))
    for name in ("expert_exposed", "expert_matmul_factor", "expert_launch", "context_exposed", "memory_reserve"):
        each = found[name]
        assert not each.is_fitted
        assert (each.value, each.low, each.high) == (each.figure.si, each.figure.si_low, each.figure.si_high)
        assert each.width == pytest.approx(1)
    assert "moe_spread" not in found


def test_only_figures_of_the_stack_are_constants(timed):
    fit = fitted(timed({"dense_spread": 1.1}))
    assert all(each.key.startswith(f"stack/{STACK}/training.") for each in fit.constants)


def test_one_row_more_than_halves_the_error_of_the_others_of_its_machine(timed):
    path = timed({"dense_spread": 1.25})
    cases, stack = own_rows(read_cases(path), "", STACK, str(path))
    for case in cases[:5]:  # of those steps the two others are mostly overhead, which tells of nothing else
        draw = Draw({each.key: each.value for each in fit_training([case], stack).constants})
        rest = [other for other in cases if other is not case]
        errors = [[_error(other, each) for other in rest] for each in (Draw(), draw)]
        assert median_error(errors[1]) < median_error(errors[0]) / 2


def test_of_three_rows_on_one_wild_row_moves_little(timed):
    path = timed({"dense_spread": 1.15})
    cases, stack = own_rows(read_cases(path), "", STACK, str(path))
    wild = replace(cases[3], measured={"step_time_s": 2.5 * cases[3].measured["step_time_s"]})
    fit = fit_training([*cases[:3], wild, *cases[4:]], stack)
    others = [error for place, error in enumerate(fit.after) if place != 3]
    assert median_error(others) < 0.03


def test_a_group_is_left_out_whole_and_predicted_as_the_others_alone_would(timed):
    path = timed({"dense_spread": 1.2, "tensor_exposed": 0.25})
    cases, stack = own_rows(read_cases(path), "", STACK, str(path))
    fit = fit_training(cases, stack)
    assert fit.groups == (0, 0, 0, 1, 1, 1, 1)
    alone = fit_training(cases[3:], stack)
    draw = Draw({each.key: each.value for each in alone.constants if each.is_fitted})
    assert fit.left_out_errors[0] == pytest.approx(_error(cases[0], draw), rel=1e-6)


def test_rows_of_one_group_are_left_out_one_by_one_and_a_single_row_not_at_all(timed):
    path = timed({"dense_spread": 1.1}, rows=PLANS[:3])
    cases, stack = own_rows(read_cases(path), "", "", str(path))
    fit = fit_training(cases, stack)
    assert set(fit.groups) == {0}
    assert len(fit.left_out_errors) == 3
    assert fit_training(cases[:1], stack).left_out_errors == ()


def test_rates_and_times_of_the_same_steps_give_the_same_constants(written, timed):
    path = timed({"dense_spread": 1.2})
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    rates = []
    for row in rows:
        tokens = int(row["global_batch"]) * int(row["seq_len"]) / float(row["step_time_s"]) / int(row["chips"])
        rates.append(row | {"step_time_s": "", "value": f"{tokens:.9g}", "unit": "tokens/s/chip"})
    by_time, by_rate = fitted(path), fitted(written(rates, "rates.csv"))
    for one, other in zip(by_time.constants, by_rate.constants, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-4)
    assert by_rate.before[0] == pytest.approx(1 / (1 + by_time.before[0]) - 1, rel=1e-4)


def test_the_range_of_a_fitted_spread_holds_what_the_rows_scatter(timed):
    fit = fitted(timed({"dense_spread": 1.2}))
    spread = by_name(fit)["dense_spread"]
    assert spread.low <= spread.value * math.exp(-1.645 * SCATTER)
    assert spread.high >= spread.value * math.exp(1.645 * SCATTER)


def test_a_written_stack_predicts_as_it_was_fitted_and_may_be_fitted_again(timed, tmp_path):
    path = timed({"dense_spread": 1.2, "step_overhead": 0.09})
    fit = fitted(path)
    target = tmp_path / "mystack.toml"
    write_stack(target, STACK, fit, path)
    stack = workloads.stack(str(target))
    assert stack.name == "mystack"
    for case, error in zip(fit.rows, fit.after, strict=True):
        row = predict(replace(case, given={**case.given, "stack": str(target)}))
        assert row.error == pytest.approx(error, abs=1e-3)
        assert row.stack == "mystack"
    figures = {figure.key.rpartition(".")[2]: figure for figure in figures_of(stack)}
    for name, each in by_name(fit).items():
        if each.is_fitted:
            assert (figures[name].kind, figures[name].source) == ("derived", "fitted-steps")
            assert figures[name].si == pytest.approx(each.value, rel=1e-4)
        else:
            assert figures[name].si == each.figure.si
    assert "fitted-steps" in workloads.sources_of(str(target))
    shown = CliRunner().invoke(app, ["catalogue", "show", "stack", str(target)])
    assert shown.exit_code == 0
    again = fitted(path, stack=str(target))
    assert median_error(again.before) == pytest.approx(median_error(fit.after), abs=1e-3)


def test_the_command_says_the_same_twice_and_writes_the_same_bytes(timed, tmp_path):
    path, target = timed({"dense_spread": 1.2}), tmp_path / "mine.toml"
    first = run(path, "--out", target, "--json").stdout
    text = target.read_bytes()
    assert run(path, "--out", target, "--json").stdout == first
    assert target.read_bytes() == text
    found = json.loads(first)
    assert found["schema"] == 1
    assert found["stack"] == STACK
    assert found["groups"] == 2
    assert found["median_error"]["left_out"] < found["median_error"]["before"]
    tables = CliRunner().invoke(app, ["fit", "training", str(path)], env={"COLUMNS": "200"}).stdout
    assert "Median error" in tables
    assert "kept" in tables


def test_rows_of_other_splits_are_passed_over_and_counted(written):
    rows = [LLAMA | {"split": "calibrate"}, SMALL | {"split": "dev"}, SMALL | {"split": ""}]
    found = json.loads(run(written(rows), "--json").stdout)
    assert (len(found["rows"]), found["passed_over"]) == (2, 1)


def test_rows_that_cannot_be_predicted_are_listed_with_the_reason(written):
    rows = [LLAMA, LLAMA | {"tp": "5"}, LLAMA | {"step_time_s": "20000"}]
    found = json.loads(run(written(rows), "--json").stdout)
    left = {row["id"]: row["reason"] for row in found["rows"] if row["status"] == "left out"}
    assert set(left) == {"R1", "R2"}
    assert "tp x cp x pp" in left["R1"] or "heads" in left["R1"]
    assert "of measured" in left["R2"]


WRONG = {
    "several stacks": (
        [LLAMA, LLAMA | {"machine": "tpu-v5e", "chips": "256"}],
        (),
        r"can have run .*\(1 row\).*--stack",
    ),
    "no rows of the machine": ([LLAMA], ("--machine", "tpu-v5e"), r"no rows of tpu-v5e.*can be hgx-h100"),
    "an unknown machine": ([LLAMA], ("--machine", "hgx-h10"), r"hgx-h10.*hgx-h100"),
    "an unknown stack": ([LLAMA], ("--stack", "megatron"), r"stack 'megatron'.*megatron-bridge"),
    "a stack that serves": ([LLAMA], ("--stack", "vllm-0.15"), r"has no \[training\].*maxtext"),
    "a stack that none ran": (
        [LLAMA | {"stack": STACK}],
        ("--stack", "maxtext-2025-10"),
        r"no row ran maxtext.*--stack",
    ),
    "no split open": ([LLAMA | {"split": "dev"}], (), r"open to fitting.*dev"),
    "no machine": ([LLAMA | {"machine": ""}], (), r"machine is not named"),
    "nothing to predict": ([LLAMA | {"tp": "5"}], (), r"no row can be predicted"),
    "no TOML": ([LLAMA], ("--out", "mine.txt"), r"no TOML file.*mine.toml"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_message_with_a_remedy(name, written):
    rows, options, message = WRONG[name]
    path = written(rows)
    with pytest.raises(InputError) as caught:
        run(path, *options)
    assert re.search(message, str(caught.value), re.DOTALL)
    assert "\n  " in str(caught.value)


def test_rows_of_collectives_are_no_steps(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("collective,machine,chips,message_bytes,time_us\nall_reduce,hgx-h100,8,1048576,40\n")
    with pytest.raises(InputError, match="holds collective rows"):
        run(path)


def test_the_file_that_is_read_is_not_written_over(written):
    path = written([LLAMA], "steps.toml")
    with pytest.raises(InputError, match="is the file to read"):
        run(path, "--out", path)


def test_groups_are_of_architecture_machine_and_precision(written):
    rows = [LLAMA, LLAMA | {"precision": "FP8"}, LLAMA | {"tp": "8"}, SMALL]
    assert group_numbers(read_cases(written(rows))) == [0, 1, 0, 2]


def test_a_line_is_fitted_as_its_closed_form():
    # one figure that scales the time, one row: with squares, shift = error x prior^2 / (prior^2 + scatter^2)
    stack = workloads.stack(STACK)
    figure = stack.training.dense_spread
    problem = Problem(
        [figure],
        [1.1],
        lambda chosen, draw: np.array([draw(figure) for _ in chosen]),
        scatter=0.05,
        most=[20.0],
        has_valleys=False,
        fewest=3,
    )
    theta, widths = problem.settle([0])
    prior = math.log(figure.si_high / figure.si_low) / (2 * 1.645)
    share = prior**2 / (prior**2 + 0.05**2)
    assert theta[0] == pytest.approx(share * math.log(1.1 / figure.si), rel=1e-4)
    assert widths[0] == pytest.approx(math.sqrt(1 - share), rel=1e-4)


def test_any_one_of_the_published_steps_of_v5e_makes_the_error_of_the_others_less():
    cases = [case for case in read_cases(published() / "training.csv") if case.text("machine") == "tpu-v5e"]
    cases, stack = own_rows(cases, "", "", "training.csv")
    for case in cases:
        draw = Draw({each.key: each.value for each in fit_training([case], stack).constants})
        errors = [[_error(other, each) for other in cases if other is not case] for each in (Draw(), draw)]
        assert median_error(errors[1]) < median_error(errors[0])


def test_the_table_of_the_page_is_fitted(tmp_path):
    blocks = re.findall(r"^```csv\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if block.startswith("id,machine")]
    path = tmp_path / "steps.csv"
    path.write_text(text, encoding="utf-8")
    found = json.loads(run(path, "--json").stdout)
    assert found["median_error"]["after"] < 0.5 * found["median_error"]["before"]
