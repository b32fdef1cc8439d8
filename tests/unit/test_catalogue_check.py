"""What ``catalogue check`` holds the catalogue to: proportions, totals, reasons; and how it counts."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from typer.testing import CliRunner

import topologies
from simulator.compute.chip import WIDTH_BYTES
from simulator.errors import InputError
from simulator.figures import figures_of
from supernode import catalogue_table
from supernode.cli.catalogue import app
from tests.support_catalogue import OTHER, answer, disputed, run
from topologies import audit


def fences() -> tuple[float, float]:
    """Tukey's fences of FLOP per element, in logarithms, of the chips whose peak and bandwidth somebody states."""
    stated = {"announced", "measured"}
    found = []
    for name in topologies.names("chips"):
        chip = None if topologies.undisclosed(name) else topologies.chip(name)
        if chip is not None and chip.hbm.bandwidth.kind in stated:
            found += [
                math.log(peak.si / chip.hbm.bandwidth.si * WIDTH_BYTES[dtype])
                for dtype, peak in chip.peak.items()
                if peak.kind in stated and WIDTH_BYTES[dtype] <= audit.WIDEST_BYTES
            ]
    first, _, third = statistics.quantiles(found, n=4)
    beyond = 1.5 * (third - first)
    return math.exp(first - beyond), math.exp(third + beyond)


def wrong(*machines: str) -> dict[tuple[str, str], str]:
    """What ``check`` finds wrong with these files, and that it leaves with 2 if and only if that is anything."""
    done = CliRunner().invoke(app, ["check", *machines, "--json"], catch_exceptions=False)
    tree = json.loads(done.stdout)
    found = {(each["subject"], each["what"]): each["detail"] for each in tree["findings"] if not each["holds"]}
    assert tree["wrong"] == len(found)
    assert done.exit_code == (2 if found else 0)
    return found


def test_the_band_of_flop_per_byte_is_the_spread_of_the_chips_that_are_well_documented():
    # A chip or two more move the quartiles a little; then the band and what its docstring says want a new look.
    assert pytest.approx(fences(), rel=0.15) == audit.FLOP_PER_ELEMENT


def test_h100_lies_in_the_middle_of_the_band():
    found = answer("check", "hgx-h100")["findings"]
    (bf16,) = [each for each in found if each["what"] == "FLOP per byte in bf16"]
    # NVIDIA's data sheet: 989 TFLOP/s and 3.35 TB/s
    assert (bf16["holds"], bf16["detail"]) == (True, "295.2, usual 64 to 800")


@pytest.mark.parametrize(("factor", "is_usual"), [(0.2, False), (0.5, True), (2.0, True), (4.0, False)])
def test_a_chip_of_ones_own_outside_the_band_is_wrong(factor, is_usual, mine):
    path = with_bandwidth(mine, factor, note="")
    assert ({"FLOP per byte in bf16"} <= {what for _, what in wrong(path)}) != is_usual


@pytest.mark.parametrize("place", ["chip", "bandwidth"])
def test_outside_the_band_the_words_in_a_note_of_the_chip_or_its_bandwidth_are_the_reason(place, mine):
    reason = "All weights stay in SRAM, hence many FLOP per byte."
    assert wrong(with_bandwidth(mine, 10.0, note="Fast.", place=place))
    assert not wrong(with_bandwidth(mine, 10.0, note=reason, place=place))


def test_the_words_in_the_note_of_one_peak_are_the_reason_for_that_one_alone(mine):
    path = with_bandwidth(mine, 10.0, note="Few FLOP per byte by design.", place="bf16")
    found = {what for _, what in wrong(path)}
    assert "FLOP per byte in bf16" not in found
    assert "FLOP per byte in fp8" in found


def test_numbers_of_more_than_two_bytes_have_no_least_but_a_most(mine):
    def few(tree):
        peak = {"value": 0.5, "low": 0.5, "high": 0.5, "unit": "TFLOP/s", "kind": "assumed", "note": "A test."}
        tree["peak"]["fp64"] = peak
        for rate in ("fraction", "sustained"):
            tree["matmul"][rate]["fp64"] = tree["matmul"][rate]["bf16"]

    def many(tree):
        few(tree)
        tree["peak"]["fp64"] |= {"value": 5000, "low": 5000, "high": 5000}

    assert not wrong(with_chip(mine, few))
    assert {what for _, what in wrong(with_chip(mine, many))} == {"FLOP per byte in fp64"}


def test_the_chip_is_checked_under_each_hypothesis_that_changes_it(mine):
    def change(tree):
        (reading,) = [each for each in tree["hypotheses"] if each["name"] == "per-640"]
        reading["figures"]["chip.hbm.bandwidth"] |= {"value": 360, "low": 360, "high": 360}

    found = {place for place in wrong(mine("scalex640", change)) if place[1].startswith("FLOP per byte")}
    assert ("machine scalex640 as per-640", "FLOP per byte in bf16") in found
    assert {subject for subject, _ in found} == {"machine scalex640 as per-640"}


@pytest.mark.parametrize(
    ("total", "others", "note", "what"),
    [
        # 8 chips of 81,559 MiB, as the driver says, or of 80 GB or GiB
        ((684, 684, 684), {}, "", None),
        ((695, 695, 695), {}, "", None),  # within 2 %
        ((700, 640, 700), {}, "", "say in a note why they differ"),
        ((700, 640, 700), {}, "With the memory of the hosts.", None),
        ((700, 640, 700), {"others": [OTHER | {"value": 640, "unit": "GB"}], "choice": "Newer."}, "", None),
        ((760, 750, 760), {}, "With the memory of the hosts.", "the ranges do not meet"),
        ((0.7, 0.7, 0.7), {}, "", "the ranges do not meet"),
    ],
)
def test_a_total_equals_its_chips_or_a_note_says_why_not(total, others, note, what, mine):
    def change(tree):
        value, low, high = total
        figure = {"value": value, "low": low, "high": high, "unit": "GB", "kind": "announced", "note": note}
        tree["published"] = {"memory": figure | {"source": "stas00-ml-engineering"} | others}

    found = wrong(mine("hgx-h100", change))
    assert (what or "") in found.get(("machine hgx-h100", "memory"), "")
    assert bool(found) == bool(what)


def test_what_other_sources_state_is_counted_with_how_much_lies_outside_the_range(mine):
    def change(tree):
        disputed(tree)
        value = tree["fabric"]["link"]["bandwidth"]["value"]
        tree["fabric"]["link"]["bandwidth"] |= {"low": value, "high": value}

    path = mine("hgx-h100", change)
    stated = [figure for figure in figures_of(topologies.entry(path)) if figure.others]
    values = [(figure, figure.si_of(other)) for figure in stated for other in figure.others]
    outside = [value for figure, value in values if not figure.si_low <= value <= figure.si_high]
    assert 26e9 in outside
    (found,) = [each for each in answer("check", path)["findings"] if each["what"] == "choices have reasons"]
    assert found["detail"] == (
        f"{len(values)} stated otherwise of {len(stated)} figures, {len(outside)} outside the range"
    )


def test_others_without_a_choice_are_refused_by_the_reader(mine):
    def change(tree):
        disputed(tree)
        tree["fabric"]["link"]["bandwidth"].pop("choice")

    with pytest.raises(InputError, match="choice is missing beside others"):
        run("check", mine("hgx-h100", change))


def test_the_last_line_counts_what_was_checked():
    done = CliRunner().invoke(app, ["check"], catch_exceptions=False)
    last = done.stdout.splitlines()[-1]
    counts = {what: int(count.replace(",", "")) for count, what in (part.split(" ") for part in last.split(", "))}
    table = list(catalogue_table.rows())
    assert list(counts) == [*("machines", "chips", "networks", "figures", "others", "sources"), "checks", "wrong"]
    assert counts["machines"] == len(topologies.names("machines"))
    assert counts["chips"] == len(topologies.names("chips"))
    assert counts["networks"] == len(topologies.names("networks"))
    assert counts["figures"] == sum(row.is_figure for row in table)
    assert counts["others"] == sum(not row.is_figure for row in table)
    assert counts["sources"] == len({row.source for row in table} - {""})
    tree = json.loads(CliRunner().invoke(app, ["check", "--json"], catch_exceptions=False).stdout)
    assert tree["counts"] == counts
    assert counts["checks"] == len(tree["findings"])
    assert counts["wrong"] == sum(not each["holds"] for each in tree["findings"])


def test_of_machines_that_are_named_only_they_and_their_chips_are_counted():
    tree = answer("check", "hgx-h100", "dgx-h100", "gb200-nvl72")
    assert {name: tree["counts"][name] for name in ("machines", "chips", "networks")} == {
        "machines": 2,
        "chips": 2,
        "networks": len({topologies.entry(name).network for name in ("hgx-h100", "gb200-nvl72")}),
    }


def test_a_machine_nobody_knows_is_refused():
    with pytest.raises(InputError, match="ironwood-9216"):
        run("check", "ironwod-9216")


def with_chip(mine, change) -> str:
    """HGX H100 with its chip changed, and named otherwise."""

    def named(tree):
        tree["name"] = "mine-1"
        change(tree)

    mine("h100-sxm", named, folder="chips", called="mine-1")
    return mine("hgx-h100", lambda tree: tree.update(chip="mine-1", published={}))


def with_bandwidth(mine, factor: float, *, note: str, place: str = "chip") -> str:
    """HGX H100 with ``factor`` times the FLOP per byte, and a note somewhere in the file of its chip."""

    def change(tree):
        bandwidth = tree["hbm"]["bandwidth"]
        for name in ("others", "choice"):
            bandwidth.pop(name, None)
        bandwidth |= {name: bandwidth[name] / factor for name in ("value", "low", "high")}
        {"chip": tree, "bandwidth": bandwidth, **tree["peak"]}[place]["note"] = note

    return with_chip(mine, change)
