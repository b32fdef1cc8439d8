"""What ``catalogue show`` prints of an entry: every figure, its source, what others state, other readings."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

import topologies
from simulator.errors import InputError
from simulator.figures import Figure, Other, Source, figures_of
from supernode import entries
from supernode.cli.entry_print import print_entry
from tests.support_catalogue import CHOICE, OTHER, answer, disputed, flat, run

KINDS = ("measured", "announced", "estimated", "derived", "assumed")
REWIRED = [
    (name, each.name)
    for name in topologies.names("machines")
    for each in topologies.entry(name).hypotheses
    if each.fabric is not None
]


@pytest.mark.parametrize("name", ["scalex640", "hgx-h100", "atlas-950-superpod", "rubin-ultra-nvl576"])
def test_the_counts_are_those_of_the_figures_that_are_printed(name):
    tree = answer("show", name)
    kinds = Counter(figure["kind"] for figure in tree["figures"].values())
    stated = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    assert f"{len(tree['figures'])} figures: {stated} (unsourced)" in flat(run("show", name))
    assert tree["counts"] == {
        "figures": len(tree["figures"]),
        **{kind: kinds[kind] for kind in KINDS},
        "others": sum(len(figure["others"]) for figure in tree["figures"].values()),
    }


@pytest.mark.parametrize("what", [("ironwood-9216",), ("chip", "hygon-bw1000"), ("stack", "vllm-0.15")])
def test_the_figures_without_a_source_are_marked_and_no_others(what):
    figures = answer("show", *what)["figures"]
    lines = run("show", *what).splitlines()
    marked = {line.split()[1] for line in lines if line.startswith("* ")}
    assert marked == {path for path, figure in figures.items() if not figure["source"]}
    assert marked == {path for path, figure in figures.items() if figure["kind"] == "assumed"}


@pytest.mark.parametrize("what", [("cloudmatrix384",), ("chip", "h100-sxm"), ("network", "roce-8x400")])
@pytest.mark.parametrize("columns", [80, 100, 120])
def test_a_reader_can_follow_each_source_by_title_id_and_address(what, columns):
    text = run("show", *what, columns=columns)
    known = topologies.sources()
    tree = answer("show", *what)
    cited = {each["source"] for each in tree["figures"].values()}
    cited |= {other["source"] for each in tree["figures"].values() for other in each["others"]}
    assert set(tree["sources"]) == cited - {""}
    for name in tree["sources"]:
        assert f"{known[name].title} [{name}]" in flat(text)
        # An address is never broken, whatever the width.
        assert known[name].url in text
    assert all(len(line) <= columns or "://" in line for line in text.splitlines())


def test_what_another_source_states_is_printed_below_its_figure_with_the_reason(mine):
    path = mine("hgx-h100", disputed)
    text = flat(run("show", path))
    title = topologies.sources()["stas00-ml-engineering"].title
    said = f"other: 208 Gb/s, measured; {title} [stas00-ml-engineering]; table 7; With all links busy."
    assert f"{said} choice: {CHOICE}" in text
    assert text.index("fabric.link.bandwidth") < text.index(said) < text.index("fabric.link.latency")
    count = answer("show", path)["counts"]["others"]
    assert count >= 1
    assert f"; {count} stated otherwise by other sources" in text


def test_what_another_source_states_is_in_json_in_si_units_and_as_stated(mine):
    figure = answer("show", mine("hgx-h100", disputed))["figures"]["fabric.link.bandwidth"]
    assert figure["choice"] == CHOICE
    (other,) = figure["others"]
    assert (other["value"], other["unit"], other["stated"]) == (208e9 / 8, "B/s", "208 Gb/s")
    assert {name: other[name] for name in ("kind", "source", "locator", "note")} == {
        name: OTHER[name] for name in ("kind", "source", "locator", "note")
    }


def test_a_source_that_only_states_otherwise_is_listed_with_its_address(mine):
    def change(tree):
        disputed(tree)
        tree["fabric"]["link"]["bandwidth"]["others"] = [OTHER | {"source": "bench"}]
        tree["sources"] = {"bench": {"title": "Our own bench", "url": "https://example.org/bench"}}

    path = mine("hgx-h100", change)
    assert answer("show", path)["sources"]["bench"]["title"] == "Our own bench"
    assert "https://example.org/bench" in run("show", path)


def test_there_are_machines_that_may_be_wired_otherwise():
    assert ("atlas-950-superpod", "full-clos") in REWIRED


@pytest.mark.parametrize(("machine", "name"), REWIRED)
def test_the_figures_of_another_fabric_are_listed_and_which_builder_it_has(machine, name):
    hypothesis = next(each for each in topologies.entry(machine).hypotheses if each.name == name)
    reading = next(each for each in answer("show", machine)["hypotheses"] if each["name"] == name)
    stated = {figure.key: figure for figure in figures_of(hypothesis.fabric)}
    assert {f"machine/{machine}/{path}@{name}" for path in reading["figures"]} >= set(stated)
    for path, figure in reading["figures"].items():
        if path.startswith("fabric."):
            assert figure["value"] == stated[f"machine/{machine}/{path}@{name}"].si
    text = run("show", machine)
    assert f"Figures of {name}, which has a fabric of its own ({reading['builder']})" in text
    below = text.partition(f"Figures of {name}")[2]
    assert all(path in below for path in reading["figures"])


@pytest.mark.parametrize(
    ("dates", "announced", "available"),
    [
        (None, None, None),
        ({"available": {"value": 2024.5, "low": 2024.5, "high": 2025, "unit": "year"}}, None, 2024.5),
    ],
)
def test_a_machine_has_its_dates_or_says_that_nobody_states_them(dates, announced, available, mine):
    def change(tree):
        tree.pop("dates", None)
        if dates:
            kind = {"kind": "announced", "source": "stas00-ml-engineering"}
            tree["dates"] = {name: figure | kind for name, figure in dates.items()}

    path = mine("hgx-h100", change)
    tree = answer("show", path)
    assert (tree["announced"], tree["available"]) == (announced, available)
    assert ("dates.available" in tree["figures"]) == bool(available)
    text = flat(run("show", path))
    assert "announced: not stated" in text
    assert f"available: {available or 'not stated'}" in text


def test_under_a_hypothesis_the_figures_are_those_that_the_machine_is_simulated_with():
    tree = answer("show", "scalex640", "--hypothesis", "per-640")
    machine = topologies.machine("scalex640", "per-640")
    figures = {path: figure["value"] for path, figure in tree["figures"].items()}
    assert figures["fabric.link.bandwidth"] == machine.slice_levels(40)[0].link.bandwidth.si
    # What the reading says of the chip belongs to it, also where the chip is not asked for.
    assert figures["chip.peak.bf16"] == machine.chip.peak["bf16"].si == 984e12
    assert "chip.hbm.fraction" not in figures
    assert (tree["hypothesis"], tree["hypotheses"]) == ("per-640", [])
    text = flat(run("show", "scalex640", "--hypothesis", "per-640"))
    assert "Figures as per-640 has them" in text
    assert "984 TFLOP/s (937 to 984), derived, as per-640 has it" in text


def test_the_first_hypothesis_is_the_file_itself():
    first = answer("show", "scalex640", "--hypothesis", "per-1280-bidirectional")
    assert first["figures"] == answer("show", "scalex640")["figures"]


@pytest.mark.parametrize(("machine", "name"), REWIRED)
def test_under_a_hypothesis_with_a_fabric_its_figures_take_the_place_of_the_files(machine, name):
    found = answer("show", machine, "--hypothesis", name)
    fabric = {path for path in found["figures"] if path.startswith("fabric.")}
    reading = next(each for each in answer("show", machine)["hypotheses"] if each["name"] == name)
    assert fabric == {path for path in reading["figures"] if path.startswith("fabric.")}
    assert {path: found["figures"][path] for path in fabric} == {path: reading["figures"][path] for path in fabric}
    assert found["fabric"] == reading["builder"]


@pytest.mark.parametrize("hypothesis", ["", "per-640"])
def test_the_chip_is_shown_along_with_its_machine_under_the_same_reading(hypothesis):
    tree = answer("show", "scalex640", "--with-chip", "--hypothesis", hypothesis)
    chip = topologies.machine("scalex640", hypothesis).chip
    shown = {path.removeprefix("chip."): each for path, each in tree["figures"].items() if path[:5] == "chip."}
    assert {path: figure["value"] for path, figure in shown.items()} == {
        figure.key.split("/", 2)[2].partition("@")[0]: figure.si for figure in figures_of(chip)
    }


def test_the_chip_beside_a_machine_of_ones_own_is_the_one_that_is_shown(mine):
    def change(tree):
        tree["name"] = "mine-1"
        tree["hbm"]["capacity"] |= {"value": 81, "low": 81, "high": 81, "unit": "GB"}
        tree["hbm"]["capacity"].pop("others", None)
        tree["hbm"]["capacity"].pop("choice", None)

    mine("h100-sxm", change, folder="chips", called="mine-1")
    path = mine("hgx-h100", lambda tree: tree.update(chip="mine-1"))
    assert answer("show", path, "--with-chip")["figures"]["chip.hbm.capacity"]["value"] == 81e9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("scalex640", "--hypothesis", "per-64"), r"per-64.*\n.*per-640"),
        (("hgx-h100", "--hypothesis", "per-640"), "no hypotheses"),
        (("chip", "gb200", "--hypothesis", "per-640"), r"gb200 is a chip, and --hypothesis is about machines"),
        (("network", "roce-8x400", "--with-chip"), r"roce-8x400 is a network, and --with-chip is about machines"),
        (("ironwod-9216",), "ironwood-9216"),
        (("machine", "h100-sxm"), "h100"),
        (("gadget", "h100-sxm"), "unknown kind"),
        (("a", "b", "c"), "3 words"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_one_message(words, message):
    with pytest.raises(InputError, match=message):
        run("show", *words)


def test_a_text_that_moves_the_cursor_is_printed_without_doing_so(capsys):
    # Files with such text are refused; what is printed does not rely on it.
    evil = "\x1b[2J\x07 \u202e [bold]boo[/bold]"
    other = Other(value=2, kind="measured", source="bench", locator=evil, note=evil)
    figure = Figure(value=1, low=1, high=1, unit="W", kind="announced", source="bench", dimension="w")
    figure = msgspec.structs.replace(figure, locator=evil, note=evil, date=evil, choice=evil, others=(other,))
    sources = {"bench": Source(title=evil, url="https://example.org/" + evil, date=evil)}
    reading = entries.Reading("mine", 1.0, evil, "", {"power": figure})
    print_entry(entries.Shown("machine", "mine", evil, {"note": evil}, {"power": figure}, sources, (reading,)))
    text = capsys.readouterr().out
    assert "[bold]boo[/bold]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_what_a_library_can_do_stands_beside_its_figures():
    known = topologies.shared("software", "nccl").algorithms
    assert known
    assert f"algorithms: {', '.join(known)}" in run("show", "software", "nccl")
    assert answer("show", "hgx-h100")["algorithms"] == ", ".join(known)
