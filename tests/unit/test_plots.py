"""Charts: they show what the answer holds, say their units, and come out the same every time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from simulator.errors import InputError
from supernode.plots import collectives, metrics, ratios, step, timeline
from supernode.plots.save import figures, png_bytes, rendered, svg_text, write_plot, write_plots
from supernode.plots.theme import LOOKS, plain, tick, wrapped
from tests.support_comparison import DAY, HOSTILE, IRONWOOD, MOE, SCALEX, SERVE, TRAIN, comparison, hostile

KINDS = {"throughput", "verdicts", "step", "collectives", "cost", "ledger"}


@pytest.fixture(scope="module")
def answer():
    return comparison()


@pytest.fixture(scope="module")
def charts(answer):
    return figures(answer)


@pytest.fixture
def ax():
    return Figure().subplots()


def texts(drawn):
    """Every text of a figure or of axes, in one string."""
    return "\n".join(found.get_text() for found in drawn.findobj(mpl.text.Text))


def test_every_kind_of_chart_is_there_for_both_cases(charts):
    assert {*KINDS, f"timeline-{IRONWOOD}", f"timeline-{SCALEX}"} == {
        name for name in charts if not name.startswith("matched-")
    }
    assert {f"matched-{kind}" for kind in KINDS} == {name for name in charts if name.startswith("matched-")}


def test_every_axis_of_every_chart_has_a_quantity(charts):
    for name, figure in charts.items():
        assert any(axes.get_xlabel() for axes in figure.axes), name
        assert all(axes.get_xlabel() or axes.get_ylabel() or axes.get_title() for axes in figure.axes), name


@pytest.mark.parametrize(
    ("chart", "unit"),
    [
        ("throughput", "[tokens/s]"),
        ("throughput", "[tokens/s/chip]"),
        ("step", "[s]"),
        ("collectives", "[B/s]"),
        ("cost", "[USD]"),
        ("cost", "[tokens/J]"),
        ("timeline-scalex640", "[h]"),
        ("ledger", "Share of all chip-seconds"),
        ("verdicts", "Ratio of a to b"),
    ],
)
def test_chart_states_its_unit(charts, chart, unit):
    assert unit in texts(charts[chart])


def test_every_chart_says_what_it_rests_on_and_which_kinds_of_figures(charts):
    for figure in charts.values():
        assert "Rests on 8 figures: 1 measured, 2 announced, 1 estimated, 1 derived, 3 assumed." in texts(
            figure
        ).replace("\n", " ")


def test_every_chart_with_an_undisclosed_machine_names_its_reading(charts):
    for name, figure in charts.items():
        said = "the reading “400 GB/s per card" in texts(figure).replace("\n", " ")
        assert said == (name != f"timeline-{IRONWOOD}"), name


def test_bars_reach_the_stated_value_and_whiskers_the_range(answer, ax):
    metrics.plot_metric(answer.case, "tokens_per_s_per_chip", ax=ax)
    expected = [
        answer.case.machines[name].workloads[work].metrics["tokens_per_s_per_chip"]
        for work, name in ((TRAIN, IRONWOOD), (TRAIN, SCALEX), (MOE, IRONWOOD))
    ]
    bars = [patch.get_x() + patch.get_width() for patch in ax.patches if patch.get_hatch() != "xxxx"]
    assert [q.value for q in expected] == pytest.approx(bars)
    whiskers = {tuple(path.vertices[:, 0]) for lines in ax.collections for path in lines.get_paths()}
    assert np.allclose(sorted(whiskers), sorted((q.low, q.high) for q in expected))


def test_machine_without_an_answer_gets_a_stub_and_the_word(answer, ax):
    metrics.plot_metric(answer.case, "mfu", ax=ax)
    assert "infeasible" in texts(ax)


@pytest.mark.parametrize(("metric", "scale"), [("tokens_per_s", "log"), ("mfu", "linear")])
def test_axis_is_logarithmic_only_where_values_spread_widely(answer, ax, metric, scale):
    metrics.plot_metric(answer.case, metric, ax=ax)
    assert ax.get_xscale() == scale


@pytest.mark.parametrize("metric", ["utilisation", "capital", "facility_power", "ttft"])
def test_every_metric_of_a_comparison_can_be_drawn(answer, metric):
    drawn = answer.plot(metric, ax=Figure().subplots())
    assert drawn.patches


def test_unknown_metric_is_refused_with_the_nearest_name(answer):
    with pytest.raises(InputError, match=r"did you mean .*tokens_per_s"):
        answer.plot("token_per_s", ax=Figure().subplots())


def test_parts_of_a_step_end_where_the_step_time_is(answer, ax):
    outcome = answer.case.machines[IRONWOOD].workloads[TRAIN]
    whole = outcome.metrics["step_time"].value
    last = step.pieces(outcome)[-1]
    assert last.left + last.width == pytest.approx(whole)
    last = step.pieces(outcome, as_shares=True)[-1]
    assert last.left + last.width == pytest.approx(1.0)


def test_collective_marks_stand_where_the_algorithm_changes(answer, ax):
    curve = answer.case.curves[0]
    assert [curve.size_bytes[at] for at in collectives.algorithm_changes(curve)] == [2.0**10, 2.0**17, 2.0**24]
    collectives.plot_curves([curve], ax=ax)
    assert "② double-binary-tree from 128 KiB" in texts(ax).replace("-\n", "-").replace("\n", " ")


def test_sweep_of_one_collective_has_the_band_of_its_times(ax):
    rows = [
        (
            SimpleNamespace(
                kind="all-reduce",
                ranks=8,
                size_bytes=size,
                seconds=1e-3,
                busbw_bytes_per_s=size * 1e3,
                algorithm="ring",
            ),
            5e-4,
            2e-3,
        )
        for size in (1e6, 1e9)
    ]
    collectives.plot_sweep(rows, "hgx-h100", ax=ax)
    (band,) = ax.collections
    heights = {tuple(vertex) for vertex in band.get_paths()[0].vertices}
    assert {(1e6, 5e8), (1e6, 2e9), (1e9, 5e11), (1e9, 2e12)} <= heights
    assert "① ring" in texts(ax)


def test_timeline_covers_exactly_the_chip_time_that_was_held_or_down(answer, ax):
    report = answer.case.machines[IRONWOOD].timeline
    timeline.plot_timeline(report, ax=ax)
    boxes = [path.get_extents() for areas in ax.collections for path in areas.get_paths()]
    drawn = sum(box.width * box.height for box in boxes) * timeline.HOUR_S * report.settings.unit_chips
    assert drawn == pytest.approx(sum(report.ledger.values()) - report.ledger["idle"])


def test_timeline_never_draws_two_things_on_one_unit_at_once(answer, ax):
    report = answer.case.machines[SCALEX].timeline
    timeline.plot_timeline(report, ax=ax)
    boxes = [path.get_extents() for areas in ax.collections for path in areas.get_paths()]
    assert boxes
    for unit in range(report.settings.units):
        held = sorted((box.x0, box.x1) for box in boxes if box.y0 <= unit < box.y1)
        assert all(first[1] <= second[0] + 1e-9 for first, second in pairwise(held))


def test_ledger_bars_fill_the_whole_day(answer, ax):
    shares = {name: machine.cluster for name, machine in answer.case.machines.items()}
    timeline.plot_ledger(shares, ax=ax)
    assert sum(patch.get_width() for patch in ax.patches) == pytest.approx(len(shares))


def test_ratio_whose_range_holds_no_difference_is_grey(answer, ax):
    ratios.plot_ratios(answer.case.pairs[:3], ax=ax)
    shades = [line.get_color() for line in ax.lines if line.get_marker() == "o"]
    assert shades[0] == shades[1] != shades[2]


def test_looks_differ_without_colour():
    assert len({look.hatch for look in LOOKS}) == len(LOOKS)
    grey = [float(np.dot(colors.to_rgb(look.colour), (0.2126, 0.7152, 0.0722))) for look in LOOKS[:2]]
    assert abs(grey[0] - grey[1]) > 0.2


def test_charts_leave_the_settings_of_the_program_alone(answer):
    before = dict(mpl.rcParams)
    rendered(figures(answer)["ledger"])
    assert dict(mpl.rcParams) == before


def test_charts_do_not_depend_on_the_settings_of_the_program(answer, charts):
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "none", "hatch.linewidth": 5}):
        assert svg_text(figures(answer)["ledger"]) == svg_text(charts["ledger"])


def test_same_answer_gives_the_same_bytes(charts):
    again = figures(comparison())
    for name in ("throughput", f"timeline-{SCALEX}"):
        assert svg_text(again[name]) == svg_text(charts[name])
        assert png_bytes(again[name]) == png_bytes(charts[name])


def test_svg_is_whole_and_dates_nothing(charts):
    for figure in charts.values():
        text = svg_text(figure)
        ET.fromstring(text)  # noqa: S314 - we wrote it
        assert "dc:date" not in text


def test_written_plots_are_png_and_svg_of_every_chart(answer, tmp_path):
    one = replace(answer, matched=None)
    paths = write_plots(one, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert len(paths) == 2 * (len(KINDS) + 2)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_one_plot_is_written_in_the_form_that_its_name_asks_for(answer, tmp_path, ending):
    write_plot(lambda ax: answer.plot("mfu", ax=ax), tmp_path / f"mfu.{ending}")
    start = (tmp_path / f"mfu.{ending}").read_bytes()[:5]
    assert start == {"png": b"\x89PNG\r", "svg": b"<?xml"}[ending]


def test_plot_of_another_form_is_refused(answer, tmp_path):
    with pytest.raises(InputError, match=r"\.png or an \.svg"):
        write_plot(lambda ax: answer.plot("mfu", ax=ax), tmp_path / "mfu.jpeg")


def test_names_are_drawn_as_they_stand_and_written_to_safe_files(tmp_path):
    paths = write_plots(hostile(), tmp_path)
    assert all(path.parent == tmp_path for path in paths)
    assert all(
        set(path.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") for path in paths
    )


def test_text_is_never_a_formula_and_never_a_glyph_that_is_missing():
    assert plain("$x$\n漢") == r"\$x\$ □"
    assert wrapped("a $ b" * 3, 5).count(r"\$") == 3
    assert plain(HOSTILE).count(r"\$") == HOSTILE.count("$")


def test_ticks_use_prefixes():
    assert [tick(value) for value in (0, 0.5, 1500, 2e6, 3e9)] == ["0", "0.5", "1.5 k", "2 M", "3 G"]


def test_answer_without_workloads_of_a_kind_leaves_their_charts_out(answer):
    machines = {
        name: replace(machine, workloads={SERVE: machine.workloads[SERVE]}, cluster={}, timeline=None)
        for name, machine in answer.case.machines.items()
    }
    only = replace(answer, case=replace(answer.case, machines=machines, pairs=(), curves=()), matched=None)
    assert set(figures(only)) == {"throughput", "cost"}
    assert DAY not in texts(figures(only)["cost"])
