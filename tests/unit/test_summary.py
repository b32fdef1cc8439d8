"""The answer as JSON, data frames, Parquet and terminal tables."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from supernode import wording
from supernode.cli.tables import print_comparison
from supernode.comparison import Quantity
from supernode.frames import STATED, figures_frame, parquet_bytes, results_frame, write_parquet
from supernode.summary import summary, summary_text
from tests.support_comparison import (
    DAY,
    DRAWS,
    HOSTILE,
    IRONWOOD,
    MOE,
    SCALEX,
    TRAIN,
    comparison,
    hostile,
    pair,
    quantity,
)

QUANTITY = {"value", "low", "high", "unit", "maturity", "sources"}


@pytest.fixture(scope="module")
def answer():
    return comparison()


@pytest.fixture(scope="module")
def frame(answer):
    return results_frame(answer)


def printed(answer, width, **options):
    console = Console(width=width, file=io.StringIO(), **options)
    print_comparison(answer, console)
    return console.file.getvalue()


# JSON ------------------------------------------------------------------------------------------------------------


def test_summary_has_the_published_keys(answer):
    tree = summary(answer)
    assert tree["schema"] == 1
    assert {"schema", "machines", "pairs", "basis", "sources", "provenance", "matched"} <= set(tree)
    assert {"chips", "workloads", "economics", "cluster", "reading", "hypotheses", "residual"} <= set(
        tree["machines"][SCALEX]
    )
    assert all(
        {"a", "b", "workload", "metric", "probability_a_better"} <= set(one)
        for case in (tree, tree["matched"])
        for one in case["pairs"]
    )


def test_workloads_of_the_summary_hold_nothing_but_quantities(answer):
    tree = summary(answer)
    for case in (tree, tree["matched"]):
        for machine in case["machines"].values():
            tables = [*machine["workloads"].values(), machine["economics"], machine["cluster"]]
            assert all(set(found) == QUANTITY for table in tables for found in table.values())


def test_workload_that_does_not_fit_has_no_metrics_but_a_status_and_a_reason(answer):
    machine = summary(answer)["machines"][SCALEX]
    assert machine["workloads"][MOE] == {}
    assert machine["outcomes"][MOE]["status"] == "infeasible"
    assert "148 GB" in machine["outcomes"][MOE]["reason"]


def test_summary_reads_back_to_the_same_numbers(answer):
    tree = json.loads(summary_text(answer))
    stated = answer.case.machines[IRONWOOD].workloads[TRAIN].metrics["tokens_per_s"]
    assert tree["machines"][IRONWOOD]["workloads"][TRAIN]["tokens_per_s"] == stated.to_json()


def test_same_answer_gives_the_same_summary_bytes_whatever_the_order_of_its_parts(answer):
    machines = dict(reversed(answer.case.machines.items()))
    turned = replace(answer, case=replace(answer.case, machines=machines))
    assert summary_text(turned) == summary_text(answer) == summary_text(comparison())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_summary_has_null_where_there_is_no_number(answer, bad):
    machine = answer.case.machines[IRONWOOD]
    wrong = replace(machine, economics={"power": Quantity(bad, bad, bad, "W", "plausible", ())}, residual=bad)
    tree = json.loads(summary_text(replace(answer, case=replace(answer.case, machines={IRONWOOD: wrong}))))
    assert tree["machines"][IRONWOOD]["economics"]["power"]["value"] is None
    assert tree["machines"][IRONWOOD]["residual"] is None


def test_summary_without_a_matched_case_says_null(answer):
    assert summary(replace(answer, matched=None))["matched"] is None


# Frames and Parquet ----------------------------------------------------------------------------------------------


def test_frame_has_one_row_for_every_result(frame):
    place = ["case", "machine", "workload", "metric"]
    assert not frame.duplicated(place).any()
    assert set(frame["case"]) == {"basis", "matched"}
    assert {"economics", TRAIN, DAY} <= set(frame["workload"])
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()


def test_frame_of_figures_names_the_source_of_every_figure_that_has_one(answer):
    figures = figures_frame(answer)
    assert len(figures) == len(answer.figures)
    sourced = figures[figures["kind"] != "assumed"]
    assert (sourced["title"] != "").all()
    assert (sourced["url"].str.startswith("https://")).all()


def test_parquet_holds_every_draw_with_its_unit(answer, frame):
    table = pq.read_table(io.BytesIO(parquet_bytes(answer))).to_pandas()
    stated, drawn = table[table["draw"] == STATED], table[table["draw"] != STATED]
    pd.testing.assert_frame_equal(
        stated[list(frame.columns)].reset_index(drop=True), frame, check_dtype=False, check_exact=True
    )
    assert set(drawn["draw"]) == set(range(DRAWS))
    assert (drawn["unit"] != "").all()
    assert drawn[drawn["draw"] == 0]["value"].isna().all()
    assert drawn[drawn["draw"] != 0]["value"].notna().all()


def test_stated_rows_among_the_draws_are_not_written_twice(answer):
    row = {"case": "basis", "draw": STATED, "machine": IRONWOOD, "workload": TRAIN, "metric": "mfu", "value": 0.43}
    more = {name: [*column, row[name]] for name, column in answer.draws.items()}
    assert parquet_bytes(replace(answer, draws=more)) == parquet_bytes(answer)


def test_same_answer_gives_the_same_parquet_bytes(answer, tmp_path):
    write_parquet(answer, tmp_path / "results.parquet")
    assert (tmp_path / "results.parquet").read_bytes() == parquet_bytes(comparison())


# Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tokens_per_s", 5_592_405.0, "5.59 M tokens/s"),
        ("tokens_per_s", 170_430.0, "170 k tokens/s"),
        ("tokens_per_s_per_chip", 1234.5, "1,230 tokens/s/chip"),
        ("mfu", 0.431, "43.1 %"),
        ("ledger_idle", 0.05, "5 %"),
        ("tpot", 0.0413, "41.3 ms"),
        ("step_time", 3.0, "3 s"),
        ("queueing_delay_p95", 6480.0, "108 min"),
        ("run_time", 40 * 86400.0, "40 days"),
        ("memory_per_chip", 71.3e9, "71.3 GB"),
        ("capital", 1.234e9, "1.23 billion USD"),
        ("usd_per_million_tokens", 0.231, "0.231 USD"),
        ("power", 8.66e6, "8.66 MW"),
        ("jobs_completed", 1234.0, "1,234"),
        ("tokens_per_joule", 0.0, "0 tokens/J"),
    ],
)
def test_quantity_is_shown_in_the_scale_that_suits_it(name, value, words):
    shown = wording.shown(name, quantity(name, value, 0.0))
    assert f"{shown.value} {shown.unit}".rstrip() == words


def test_range_is_shown_in_the_scale_of_the_value():
    shown = wording.shown("tokens_per_s", Quantity(1.2e6, 4e5, 3.1e6, "tokens/s", "plausible", ()))
    assert str(shown) == "1.2 (0.4–3.1) M tokens/s"


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (2.307e15, "FLOP/s", "2.31 PFLOP/s"),
        (2e-8, "USD/J", "0.072 USD/kWh"),
        (1.0 / 3600, "USD/s", "1 USD/h"),
        (1e-9, "1/s", "0.0315 1/year"),
        (4e-6, "s", "4 µs"),
        (0.72, "1", "0.72"),
    ],
)
def test_catalogue_figure_is_shown_in_a_unit_that_people_use(value, unit, words):
    shown = wording.shown_figure(value, value, value, unit)
    assert f"{shown.value} {shown.unit}".rstrip() == words


def test_what_is_not_a_number_is_a_dash():
    assert str(wording.shown("ttft", Quantity(math.nan, 0.1, math.inf, "s", "plausible", ()))) == "– (0.1––) s"


def test_share_of_draws_is_never_rounded_to_all_or_nothing():
    assert [wording.percent(share) for share in (0.0, 0.001, 0.5, 0.999, 1.0)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]


def test_verdict_names_the_machine_that_is_ahead_or_says_that_there_is_no_clear_difference():
    assert wording.ahead(pair(TRAIN, "step_time", 0.05, (2.0, 1.5, 3.0))) == (
        "scalex640 ahead in 95 % of draws, very likely"
    )
    assert wording.ahead(pair(TRAIN, "step_time", 0.4, (1.1, 0.9, 1.3))) == (
        "no clear difference; scalex640 ahead in 60 % of draws"
    )


# Terminal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_table_fits_the_terminal_and_cuts_nothing(answer, width):
    text = printed(answer, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for expected in (IRONWOOD, SCALEX, "9,216 chips", "43 %", "infeasible: needs 148 GB", "tensor 8 × pipeline 4"):
        assert expected in text


def test_table_shows_no_value_of_an_undisclosed_machine_without_its_range_and_reading(answer):
    text = " ".join(printed(answer, 120).split())
    assert "93.7–278" in text
    assert "values rest on the reading “400 GB/s per card is the sum of both directions”" in text
    assert "both-directions 70 %, one-direction 30 %" in text


def test_piped_table_holds_no_escape_codes(answer):
    assert "\x1b" not in printed(answer, 100)


def test_names_are_printed_as_they_stand_and_not_read_as_markup():
    text = "".join(printed(hostile(), 400).split())
    assert f"{SCALEX}{HOSTILE}" in text
