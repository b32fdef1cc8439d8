"""Measured exchanges of experts: what a row counts, which library ran, and what is left unpredicted."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

import topologies
from simulator.collectives.exchange import Tokens, balanced, dispatch
from simulator.collectives.exchange.experts import spread
from simulator.machine import slice_of
from supernode.cli.catalogue import app
from supernode.validation import as_json, predict, read_cases, validate
from supernode.validation.exchange import table

# DeepEP docs/legacy.md, H800: 128 tokens, 8 copies of 7168 values and 56 scaling factors each.
LOW = {
    "id": "x1",
    "machine": "hgx-h800",
    "network": "ib-ndr-8x400",
    "chips": "32",
    "collective": "moe_dispatch",
    "algorithm_if_known": "DeepEP low-latency FP8",
    "message_bytes": "7569408",
    "time_us": "155",
    "busbw_GBps": "",
    "split": "mine",
}
NORMAL = LOW | {"algorithm_if_known": "DeepEP normal FP8", "message_bytes": "", "time_us": "", "busbw_GBps": "58"}
SIZED = LOW | {"machine": "gb300-nvl72", "network": "", "chips": "8", "algorithm_if_known": "FlashInfer-EP BF16"}


@pytest.fixture
def row(tmp_path):
    def made(base, **changes):
        path = tmp_path / "cases.csv"
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(base))
            writer.writeheader()
            writer.writerow(base | changes)
        return predict(read_cases(path)[0])

    return made


def test_size_of_a_low_latency_row_counts_the_copies_of_one_rank(row):
    found = row(LOW)
    part = slice_of(topologies.machine("hgx-h800"), 32)
    known = topologies.shared("exchange", "deepep-v1")
    own = dispatch(part, balanced(256, 8), Tokens(128, 7168, 1, 224), known, "low-latency")
    assert found.predicted == pytest.approx(own.seconds)
    assert abs(found.error) < 0.05
    assert found.is_inside


def test_size_of_other_rows_counts_a_token_once_for_each_distinct_rank_of_all_ranks(row):
    """CollectiveX counts the payload of all ranks: twice the tokens are twice the bytes, past what a call hides."""
    each = 14336 * 8 * spread(balanced(384, 6), 8).distinct
    times = [row(SIZED, message_bytes=f"{count * each:.0f}").predicted for count in (32768, 65536)]
    known = topologies.shared("exchange", "flashinfer-ep")
    part = slice_of(topologies.machine("gb300-nvl72"), 8)
    for count, found in zip((32768, 65536), times, strict=True):
        own = dispatch(part, balanced(384, 6), Tokens(count, 7168, 2), known, "normal")
        assert found == pytest.approx(own.seconds, rel=1e-6)


def test_bandwidth_of_normal_kernels_counts_distinct_nodes_and_may_be_above_the_port(row):
    found = row(NORMAL)
    assert found.unit == "B/s"
    assert found.predicted == pytest.approx(58e9, rel=0.05)
    assert found.predicted > 50e9


def test_combine_in_bf16_takes_longer_than_dispatch_in_fp8(row):
    there = row(LOW)
    back = row(LOW, collective="moe_combine", algorithm_if_known="DeepEP low-latency BF16", message_bytes="14680064")
    assert there.predicted < back.predicted < 2 * there.predicted


def test_an_unknown_library_is_predicted_from_its_size_with_a_wide_band(row):
    found = row(SIZED, algorithm_if_known="SomeoneElse BF16", message_bytes="129884160")
    assert found.status == "ok"
    assert "generic-ep" in found.reason
    assert found.high > 1.5 * found.low


@pytest.mark.parametrize(
    ("base", "changes", "status", "reason"),
    [
        (LOW, {"algorithm_if_known": "CANN EP", "message_bytes": ""}, "unsupported", "how many tokens"),
        (LOW, {"algorithm_if_known": "", "message_bytes": ""}, "unsupported", "how many tokens"),
        (LOW, {"chips": "48"}, "infeasible", "do not divide evenly over 48"),
        (LOW, {"chips": "1"}, "infeasible", "at least 2 ranks"),
        (LOW, {"machine": "nobody-knows-this"}, "unsupported", "not in the catalogue"),
        (LOW, {"message_bytes": "1e18"}, "infeasible", "tokens are no batch"),
    ],
)
def test_what_cannot_be_predicted_says_why(row, base, changes, status, reason):
    found = row(base, **changes)
    assert (found.status, found.predicted) == (status, None)
    assert reason in found.reason


def test_table_names_libraries_modes_and_sources_that_exist():
    known = topologies.sources()
    for each in table().benchmark:
        library = topologies.shared("exchange", each.library)
        assert each.source in known
        assert library.normal if each.mode == "normal" else library.low_latency
        assert each.tokens or each.message
        balanced(each.experts, each.top_k)


def test_rows_come_out_of_the_command_with_their_split(tmp_path):
    path = tmp_path / "cases.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(LOW))
        writer.writeheader()
        writer.writerows([LOW, NORMAL | {"id": "x2", "split": "theirs"}])
    tree = as_json(validate([path]))
    assert [each["status"] for each in tree["rows"]] == ["ok", "ok"]
    assert set(tree["splits"]) == {"mine", "theirs"}


@pytest.mark.parametrize("name", topologies.names("exchange"))
def test_catalogue_shows_each_library_with_its_figures(name):
    shown = CliRunner().invoke(app, ["show", "exchange", name, "--json"], catch_exceptions=False)
    tree = json.loads(shown.stdout)
    assert tree["kind"] == "exchange"
    assert tree["title"] == topologies.shared("exchange", name).title
    assert any(path.endswith("fraction.inside") for path in tree["figures"])
