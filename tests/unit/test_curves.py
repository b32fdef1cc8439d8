"""Curves through measured collectives: their fit, what is read off, what is refused, and those of the catalogue."""

from __future__ import annotations

import csv
import json
import math

import pytest
from typer.testing import CliRunner

import topologies
from simulator.collectives import group_of, price
from simulator.collectives.bounds import bounds_of
from simulator.collectives.curve import (
    APART,
    REACH,
    Curve,
    Point,
    Terms,
    families_of,
    fit_terms,
    leave_one_out,
    look_up,
    moved_to,
    price_curve,
    rate_of,
)
from simulator.collectives.kinds import kind_id
from simulator.errors import InputError
from simulator.machine import slice_of
from supernode.cli import app
from supernode.fitting.curves import fitted_curves
from supernode.fitting.rows import FITTED_SPLITS, Row, read_rows
from supernode.fitting.slices import slices_named
from topologies.curves import FILE, curves, read_curves

KNOWN = Terms(2e-5, 1 / 3e11, 1e-8)
SIZES = [2.0**power for power in range(10, 34)]
MIB, GIB = 2.0**20, 2.0**30


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def part(name="hgx-h100", chips=8):
    return slice_of(topologies.machine(name), chips)


def curve(terms=KNOWN, kind="all-reduce", ranks=8, sizes=(MIB, GIB), grade="fitted", machine="elsewhere"):
    points = tuple(Point(machine, "", size, terms.seconds(size)) for size in sizes)
    here = part()
    rate = rate_of(here, group_of(here))
    return Curve("nvlink4", kind, ranks, rate, terms, (0.9, 1.1), grade, ("somebody",), points)


def test_terms_that_made_times_are_found_again():
    found = fit_terms(SIZES, [KNOWN.seconds(size) for size in SIZES])
    assert found.latency_s == pytest.approx(KNOWN.latency_s, rel=1e-6)
    assert found.s_per_byte == pytest.approx(KNOWN.s_per_byte, rel=1e-6)
    assert found.s_per_root == pytest.approx(KNOWN.s_per_root, rel=1e-6)


def test_no_term_is_ever_negative():
    # faster than any line: the time falls with the size
    found = fit_terms([1e3, 1e6, 1e9], [5e-5, 4e-5, 3e-5])
    assert min(found.latency_s, found.s_per_byte, found.s_per_root) >= 0


def test_one_outlier_moves_the_curve_little():
    times = [KNOWN.seconds(size) for size in SIZES]
    times[9] *= 3
    found = fit_terms(SIZES, times)
    assert all(found.seconds(size) == pytest.approx(KNOWN.seconds(size), rel=0.04) for size in SIZES)


def test_leaving_one_row_out_gives_the_curve_through_the_others():
    # bandwidth alone: each row is predicted at the other's rate
    others = leave_one_out([1e6, 1e6], [2e-5, 3e-5], 1)
    assert [each.seconds(1e6) for each in others] == pytest.approx([3e-5, 2e-5])
    # latency and bandwidth: the line through (1, 12 us) and (3, 16 us) has 14 us at 2, where 15 us were measured
    others = leave_one_out([1e6, 2e6, 3e6], [1.2e-5, 1.5e-5, 1.6e-5], 2)
    assert others[1].seconds(2e6) == pytest.approx(1.4e-5, rel=1e-6)


def test_a_time_between_two_sizes_is_read_off_on_logarithmic_scales():
    points = [Point("m", "", 1e6, 1e-5), Point("m", "", 4e6, 4e-5), Point("m", "", 4e6, 1.6e-4)]
    # the two times at 4 MB count as 80 us; half way in the logarithm of the size lies the geometric mean with 10 us
    assert look_up(points, 2e6) == (pytest.approx(math.sqrt(1e-5 * 8e-5)), 1e6, 4e6)
    assert look_up(points, 1e6) == (pytest.approx(1e-5), 1e6, 1e6)
    assert look_up(points, 0.9e6) is None
    assert look_up(points, 4.1e6) is None
    assert look_up([points[0], Point("m", "", 9e6, 9e-5)], 4.5e6) is None  # the lower one is too far


def test_measured_times_of_the_system_go_before_the_curve():
    times = curve(Terms(1e-4, 1 / 1e11, 0.0), machine="hgx-h100")
    found = price_curve("all-reduce", MIB, part(), [times])
    assert (found.grade, found.seconds) == ("measured", pytest.approx(times.points[0].seconds))
    assert price_curve("all-reduce", 32 * MIB, part(), [times]).grade == "fitted"  # 1 GiB is too far to read off
    assert price_curve("all-reduce", MIB, part("hgx-h200"), [times]).grade == "fitted"


@pytest.mark.parametrize("factor", [1.01, 1e3])
def test_sizes_far_from_the_measured_ones_are_refused(factor):
    times = curve(Terms(1e-4, 1 / 1e11, 0.0))
    assert price_curve("all-reduce", GIB * REACH, part(), [times]).seconds > 0
    assert price_curve("all-reduce", MIB / REACH, part(), [times]).seconds > 0
    with pytest.raises(InputError, match="factor of 4"):
        price_curve("all-reduce", GIB * REACH * factor, part(), [times])
    with pytest.raises(InputError, match="closed form"):
        price_curve("all-reduce", MIB / REACH / factor, part(), [times])


def test_other_ranks_kinds_and_links_are_an_analogy_with_a_wider_band():
    times = curve(Terms(1e-4, 1 / 1e11, 0.0))
    fitted = price_curve("all-reduce", MIB, part(), [times])
    fewer = price_curve("all-reduce", MIB, part(chips=4), [times])
    assert (fitted.grade, fewer.grade) == ("fitted", "analogy")
    assert fewer.high_s / fewer.seconds > fitted.high_s / fitted.seconds
    # two ranks: latency by depth 1 of 3, bytes by 2 x 1/2 of 2 x 7/8
    two = moved_to(times, "all-reduce", 2, times.rate_bytes_per_s)
    assert two.terms.latency_s == pytest.approx(1e-4 / 3)
    assert two.terms.s_per_byte == pytest.approx(1 / 1e11 / 1.75)
    assert two.spread == (0.9 / APART, 1.1 * APART)
    twin = price_curve("all-gather", GIB, part(), [curve(Terms(1e-4, 1 / 3e11, 0.0), kind="reduce-scatter")])
    assert twin.grade == "analogy"
    with pytest.raises(InputError, match="no all-to-all of about 8 ranks over nvlink4"):
        price_curve("all-to-all", GIB, part(), [times])
    with pytest.raises(InputError, match="about 8 ranks"):
        price_curve("all-reduce", GIB, part(), [curve(ranks=64)])


def test_one_size_alone_says_little_of_others():
    alone = curve(Terms(0.0, 1 / 1e11, 0.0), sizes=(GIB,), grade="measured")
    assert price_curve("all-reduce", 2 * GIB, part(), [alone]).grade == "analogy"


def test_a_curve_below_what_the_links_allow_is_raised_and_flagged():
    fast = curve(Terms(1e-6, 1 / 1e15, 0.0))
    found = price_curve("all-reduce", GIB, part(), [fast])
    bounds = bounds_of(kind_id("all-reduce"), GIB, group_of(part()), "in-network")
    assert found.is_clamped
    assert found.seconds == max(bounds.injection_s, bounds.link_s, bounds.bisection_s)
    assert found.low_s <= found.seconds <= found.high_s
    assert not price_curve("all-reduce", GIB, part(), [curve(Terms(1e-4, 1 / 1e11, 0.0))]).is_clamped


@pytest.mark.parametrize("name", ["hgx-h100", "ironwood-256", "scalex640", "mi300x-8", "gb200-nvl72"])
@pytest.mark.parametrize("kind", ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast"])
def test_stated_rates_alone_give_a_time_between_the_bound_and_the_closed_form(name, kind):
    where = part(name, topologies.machine(name).chips)
    with pytest.raises(InputError, match="measured"):
        price_curve(kind, 4 * GIB, where, [])
    found = price_curve(kind, 4 * GIB, where, [], or_datasheet=True)
    assert found.grade == "datasheet"
    assert not found.is_clamped
    bounds = found.bounds
    assert found.low_s >= max(bounds.injection_s, bounds.link_s, bounds.bisection_s)
    assert found.low_s <= found.seconds <= found.high_s
    assert found.sources
    # no algorithm of the closed form reaches more of its links than their stated fraction
    assert found.seconds < 1.2 * min(price(kind, 4 * GIB, where).by_algorithm.values())


def test_groups_across_machines_go_by_their_own_number_of_ranks_alone():
    near = [each for each in curves() if each.families == "nvlink4/ib-ndr" and each.ranks == 96]
    assert near
    assert price_curve("all-reduce", GIB, part(chips=96), near).grade == "measured"
    with pytest.raises(InputError, match="about 64 ranks"):
        price_curve("all-reduce", GIB, part(chips=64), near)


def rows_of(machine, algorithm, times, network=""):
    return [
        Row("all-reduce", 8, size, time_us * 1e-6, "", algorithm, machine, network) for size, time_us in times.items()
    ]


def test_an_algorithm_that_was_forced_does_not_bend_the_curve():
    times = {MIB * 2**power: 40.0 * 1.9**power for power in range(8)}
    chosen = rows_of("hgx-h100", "NVLS", times)
    forced = rows_of("hgx-h100", "Ring", {MIB: 60.0})
    (alone,), (both,) = (fitted_curves(rows, slices_named(rows)) for rows in (chosen, [*chosen, *forced]))
    assert both == alone


def test_systems_with_the_same_links_share_a_curve_and_others_do_not():
    times = {MIB * 2**power: 40.0 * 1.9**power for power in range(8)}
    rows = [row for name in ("hgx-h100", "hgx-h200", "hgx-b200", "nobody") for row in rows_of(name, "", times)]
    found = {each.curve.families: each for each in fitted_curves(rows, slices_named(rows))}
    assert {name: len(each.rows) for name, each in found.items()} == {"nvlink4": 16, "nvlink5": 8}


@pytest.mark.parametrize("each", curves(), ids=lambda each: f"{each.name}-{each.rate_bytes_per_s:.0f}")
def test_curves_of_the_catalogue_say_what_was_measured_and_who_says_so(each):
    assert each.sources  # an unknown one is refused as the file is read
    assert each.kind in {"all-reduce", "all-gather", "reduce-scatter", "all-to-all", "send-recv", "broadcast"}
    assert each.grade == ("measured" if len({point.size_bytes for point in each.points}) == 1 else "fitted")
    low, high = each.spread
    assert 0 < low <= 1 <= high
    for point in each.points:
        assert point.machine in topologies.names("machines")
        where = slice_of(topologies.machine(point.machine), each.ranks)
        assert families_of(where).startswith(each.families.partition("/")[0])
        if not point.network:
            found = price_curve(each.kind, point.size_bytes, where, curves())
            assert found.grade == "measured"
            assert found.low_s <= found.seconds <= found.high_s


def test_curves_of_the_catalogue_are_those_of_the_calibrate_rows(shared_data, tmp_path):
    rows = tmp_path / "rows.csv"
    with (shared_data / "reference" / "measured-comm.csv").open(newline="", encoding="utf-8") as source:
        table = list(csv.DictReader(source))
    for row in table:
        if row["split"] != "calibrate":  # whatever was measured there must not matter
            row |= {"time_us": "1", "busbw_GBps": "1"}
    with rows.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, table[0])
        writer.writeheader()
        writer.writerows(table)
    written = tmp_path / "curves.toml"
    said = json.loads(run("fit", "curves", rows, "--out", written, "--json"))
    assert said["schema"] == 1
    again, kept = read_curves(written), curves()
    remedy = f"supernode fit curves measured-comm.csv --out {FILE.name}"
    assert [each.name for each in again] == [each.name for each in kept], remedy
    for new, old in zip(again, kept, strict=True):
        assert new.terms.seconds(MIB) == pytest.approx(old.terms.seconds(MIB), rel=1e-4), remedy
        assert new.terms.seconds(GIB) == pytest.approx(old.terms.seconds(GIB), rel=1e-4), remedy
        assert new.rate_bytes_per_s == pytest.approx(old.rate_bytes_per_s, rel=1e-4), remedy
        assert [point.size_bytes for point in new.points] == [point.size_bytes for point in old.points], remedy
    for each in said["curves"]:
        assert each["error"] < 0.08
        assert each["left_out_error"] is None or each["left_out_error"] < 0.08


def test_curves_are_printed_with_their_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    source = tmp_path / "rows.csv"
    lines = [f"all_reduce,8,{int(MIB) << power},{40 * 1.9**power},hgx-h100" for power in range(6)]
    source.write_text("\n".join(["collective,chips,message_bytes,time_us,machine", *lines]))
    text = run("fit", "curves", source, "--out", tmp_path / "mine.toml")
    assert "all-reduce of 8 over nvlink4" in text
    (mine,) = read_curves(tmp_path / "mine.toml")
    assert mine.sources == ("rows.csv",)
    first = (tmp_path / "mine.toml").read_bytes()
    run("fit", "curves", source, "--out", tmp_path / "mine.toml")
    assert (tmp_path / "mine.toml").read_bytes() == first


def test_only_rows_that_may_be_fitted_are(tmp_path):
    source = tmp_path / "rows.csv"
    cells = [("calibrate", 40), ("", 41), ("dev", 42), ("exclude", 43)]
    lines = [f"all_reduce,8,1048576,{time},hgx-h100,{split}" for split, time in cells]
    source.write_text("\n".join(["collective,chips,message_bytes,time_us,machine,split", *lines]))
    kept = [row.seconds for row in read_rows(source) if row.split in FITTED_SPLITS]
    assert kept == pytest.approx([40e-6, 41e-6])
