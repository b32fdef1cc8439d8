"""What reports say of predicted rows: groups, order inside sweeps, bars, reasons, and the page of the documentation."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from supernode.validation import Case, Row, as_json, default_files, validate
from supernode.validation.bars import verdicts
from supernode.validation.groups import DENSE, KEYS, MIXTURE, grouped
from supernode.validation.misses import REST, explained
from supernode.validation.page import page
from supernode.validation.selection import Selection, is_complete, picks
from supernode.validation.sweeps import mean_order, sweeps

DOCS = Path(__file__).parents[2] / "docs" / "validation.md"
GIVEN = {
    "machine": "hgx-h100",
    "chips": 64.0,
    "layers": 32.0,
    "hidden": 4096.0,
    "heads": 32.0,
    "ffn": 14336.0,
    "vocab": 128256.0,
    "seq_len": 8192.0,
    "tp": 1.0,
    "pp": 1.0,
    "global_batch": 128.0,
    "precision": "BF16",
}


def _row(error: float = 0.0, *, measured: float = 1.0, spread: float = 0.5, **changes) -> Row:
    labels = {"family": "H100", "split": "dev", "title": "Llama", "source": "paper", "is_clean": True}
    labels |= {key: changes.pop(key) for key in list(changes) if key in labels}
    status, stack = changes.pop("status", "ok"), changes.pop("stack", "stack-a")
    given = {key: value for key, value in (GIVEN | changes).items() if value is not None}
    case = Case(kind="training", id="T", where="file: line 2", given=given, measured={}, **labels)
    if status != "ok":
        return Row(case, "", status, reason="no reason")
    found = measured * (1 + error)
    return Row(case, "", "ok", measured, found, found - spread, found + spread, "s", error, stack)


@pytest.fixture(scope="module")
def shipped():
    """Rows that come with the project, whatever other data is there."""
    return validate([path for path in default_files() if path.parent.name == "published"], kind="training")


def test_rows_are_grouped_by_architecture_split_and_cleanliness_in_alphabetical_order():
    rows = [_row(), _row(experts=8.0, is_clean=False), _row(split="calibrate"), _row(split="")]
    assert {name: len(some) for name, some in grouped(rows, "architecture").items()} == {DENSE: 3, MIXTURE: 1}
    assert list(grouped(rows, "set")) == [
        "dense, calibrate, clean",
        "dense, dev, clean",
        "dense, none, clean",
        "mixture of experts, dev, not clean",
    ]


def test_a_row_that_was_not_predicted_has_no_stack_and_counts_in_every_other_group():
    rows = [_row(), _row(status="unsupported")]
    assert {key: sum(map(len, grouped(rows, key).values())) for key in KEYS} == {
        "family": 2,
        "split": 2,
        "stack": 1,
        "architecture": 2,
        "set": 2,
    }


def test_kendalls_tau_of_a_sweep_worked_by_hand():
    # Measured 1 2 3 4; predicted order 1 2 4 3: five of six pairs agree, (5 - 1) / 6
    values = ((1.0, 1.0), (2.0, 2.0), (3.0, 4.5), (4.0, 4.2))
    rows = [
        _row(predicted / measured - 1, measured=measured, pp=pp) for pp, (measured, predicted) in enumerate(values, 1)
    ]
    (found,) = sweeps(rows)
    assert found.kendall_tau == pytest.approx(4 / 6)
    assert (found.rows, found.spread) == (4, 4.0)
    assert mean_order([found]) == found.kendall_tau


def test_rates_of_a_chip_are_ordered_apart_from_what_more_chips_do_by_themselves():
    # Step times fall with chips as predicted, but chip-seconds of a sequence are ordered the wrong way round
    rows = [
        _row(error, measured=64 / chips * waste, chips=float(chips))
        for chips, waste, error in ((64, 1.0, 0.2), (128, 1.1, 0.0), (256, 1.2, -0.2))
    ]
    (found,) = sweeps(rows)
    assert found.kendall_tau == 1
    assert found.kendall_tau_per_chip == -1


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"precision": "FP8"},
        {"machine": "hgx-h200"},
        {"seq_len": 4096.0},
        {"layers": 16.0},
        {"stack": "b"},
    ],
)
def test_rows_of_another_source_machine_model_precision_or_stack_are_no_part_of_a_sweep(change):
    rows = [_row(measured=float(n), pp=float(n)) for n in (1, 2)]
    assert len(sweeps([*rows, _row(measured=3.0, pp=3.0)])) == 1
    assert sweeps([*rows, _row(measured=3.0, pp=3.0, **change)]) == []


def test_a_sweep_without_differences_has_no_order():
    (found,) = sweeps([_row(pp=float(n)) for n in (1, 2, 3)])
    assert found.kendall_tau is None
    assert mean_order([found]) is None


def test_a_row_is_complete_where_architecture_plan_and_batch_are_stated_though_virtual_stages_are_not():
    assert is_complete(_row().case)
    for column in ("vocab", "tp", "pp", "global_batch", "seq_len", "precision"):
        assert not is_complete(_row(**{column: None}).case), column


def test_conditions_of_a_selection_must_all_hold():
    wanted = Selection(families=("H100",), sources=("Pa",), is_mixture=False, split="dev")
    assert picks(wanted, _row())
    for change in ({"family": "A100"}, {"source": "other"}, {"experts": 8.0}, {"split": "calibrate"}):
        assert not picks(wanted, _row(**change)), change
    assert picks(Selection(precisions=("",)), _row(precision=None))
    assert not picks(Selection(precisions=("",)), _row())


def test_bars_are_held_to_complete_rows_and_say_what_the_others_would_make_of_them():
    rows = [_row(0.05), _row(-0.07), _row(0.5, global_batch=None), _row(0.5, split="calibrate")]
    found = {verdict.name: verdict for verdict in verdicts(rows)}
    dense = found["dense, clean, dev"]
    assert (dense.count, dense.is_met) == (2, True)
    assert dense.value == pytest.approx(0.06)
    assert dense.all_rows == pytest.approx(0.62 / 3)
    assert not found["dense, clean, calibrate"].is_met
    assert "mixture of experts, dev" not in found  # no rows, no verdict


def test_a_family_is_held_to_its_bar_from_five_rows_on():
    names = [[verdict.name for verdict in verdicts([_row()] * count)] for count in (4, 5)]
    assert "family, dev: H100" not in names[0]
    assert "family, dev: H100" in names[1]


def test_too_many_measured_values_inside_the_band_miss_the_bar_as_well():
    everywhere = verdicts([_row()] * 10)
    some = verdicts([*[_row()] * 9, _row(2.0)])
    met = [{verdict.measure: verdict.is_met for verdict in found}["inside_band"] for found in (everywhere, some)]
    assert met == [False, True]


def test_rows_that_are_not_predicted_count_against_the_share_of_predicted_ones():
    found = {verdict.measure: verdict for verdict in verdicts([_row(), _row(status="infeasible")])}
    assert found["predicted"].value == 0.5


def test_every_predicted_row_stands_under_one_reason_and_the_far_ones_are_counted():
    rows = [_row(0.3), _row(0.1), _row(-0.4, family="Trainium"), _row(status="unsupported")]
    found = explained(rows)
    assert [(reason.name, len(reason.rows), reason.far) for reason in found] == [("Trainium", 1, 1), (REST, 2, 1)]


def test_a_kind_without_bars_or_sweeps_has_none():
    rows = [path for path in default_files() if path.stem == "collectives"]
    found = as_json(validate(rows))
    assert found["bars"] == found["sweeps"] == []
    assert found["architectures"] == found["sets"] == {}
    assert found["families"]


def test_shipped_training_rows_come_from_every_family_and_split_and_hold_what_is_missed(shipped):
    families = {
        name for name, rows in grouped(shipped.rows, "family").items() if any(row.status == "ok" for row in rows)
    }
    assert families >= {"A100", "H100", "H200", "B200", "B300", "GB200", "GB300", "AMD", "Ascend", "Trainium"}
    assert families >= {"TPU v4", "TPU v5e", "TPU v5p", "TPU v6e", "TPU v7"}
    assert sum(reason.far for reason in explained(shipped.rows)) >= 10
    assert sweeps(shipped.rows)


def test_json_says_of_every_row_whether_it_is_clean_and_who_published_it(shipped):
    found = as_json(shipped)
    assert {row["clean"] for row in found["rows"]} == {True, False}
    assert all(row["source"] for row in found["rows"])
    assert sum(numbers["rows"] for numbers in found["sets"].values()) == len(found["rows"])
    assert all(set(bar) >= {"name", "value", "least", "most", "met"} for bar in found["bars"])


def _shape(text: str) -> list[str]:
    """Headings and the heads of tables."""
    lines = text.splitlines()
    heads = [index for index, line in enumerate(lines) if re.fullmatch(r"\|( -{3}:? \|)+", line)]
    wanted = {index - 1 for index in heads} | {index for index, line in enumerate(lines) if line.startswith("#")}
    return [lines[index] for index in sorted(wanted)]


def test_the_page_of_the_documentation_is_the_one_that_the_command_writes(shipped):
    ours, theirs = page(shipped), DOCS.read_text(encoding="utf-8")
    optional = {"## Not predicted", "| reason | rows |"}
    assert [line for line in _shape(ours) if line not in optional] == [
        line for line in _shape(theirs) if line not in optional
    ]
    for name in ("## Bars", "## Order inside sweeps", "## Where it misses, and why"):
        assert name in theirs


def test_the_page_shows_one_by_one_the_shipped_rows_and_no_others(shipped):
    (path,) = [path for path in default_files() if path.name == "training.csv"]
    with path.open(newline="", encoding="utf-8") as handle:
        shipped_ids = {row["id"] for row in csv.DictReader(handle)}
    for text in (page(shipped), DOCS.read_text(encoding="utf-8")):
        section = text.partition("## Rows that come with the project")[2]
        assert set(re.findall(r"^\| (T\d+) \|", section, re.MULTILINE)) == shipped_ids
        assert not re.search(r"\bT\d{4}\b", text.partition("## Rows that come with the project")[0])


def test_a_page_names_the_command_that_writes_it(shipped):
    assert "`supernode validate --kind training --markdown FILE" in page(shipped)
    assert "`supernode validate --markdown FILE" in page(replace(shipped, kind="all"))


def test_a_page_escapes_what_readers_of_markdown_would_take_for_a_mark(tmp_path):
    path = tmp_path / "cases.csv"
    header = [*GIVEN, "id", "family", "step_time_s", "kv_heads"]
    cells = {**GIVEN, "id": "a|b", "family": "<b>*x*</b>", "step_time_s": "1", "kv_heads": "8"}
    path.write_text(",".join(header) + "\n" + ",".join(str(cells[name]) for name in header) + "\n", encoding="utf-8")
    text = page(validate([path]))
    assert "<b>" not in text
    assert r"\<b\>\*x\*\</b\>" in text
