"""The commands of the catalogue: what an entry shows, what is checked, what is exported, and which source says what."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
import statistics
import tomllib
from collections import Counter

import msgspec
import pytest
from typer.testing import CliRunner

import topologies
import workloads
from simulator.compute.chip import WIDTH_BYTES
from simulator.errors import InputError
from simulator.figures import Figure, Other, Source, figures_of
from supernode import catalogue_table, entries
from supernode.cli.catalogue import app
from supernode.cli.entry_print import print_entry
from topologies import audit, load

KINDS = ("measured", "announced", "estimated", "derived", "assumed")
REWIRED = [
    (name, each.name)
    for name in topologies.names("machines")
    for each in topologies.entry(name).hypotheses
    if each.fabric is not None
]
OTHER = {
    "value": 208,
    "unit": "Gb/s",
    "kind": "measured",
    "source": "stas00-ml-engineering",
    "locator": "table 7",
    "note": "With all links busy.",
}
CHOICE = "The data sheet says so for the link itself."


def run(*arguments: str, code: int = 0, columns: int = 120) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": str(columns)})
    assert done.exit_code == code, done.output
    return done.stdout


def answer(*arguments: str, code: int = 0) -> dict:
    return json.loads(run(*arguments, "--json", code=code))


def written(tree) -> str:
    """A value as TOML, tables inline."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(written, tree)) + "]"
    return json.dumps(tree, ensure_ascii=False)


@pytest.fixture
def mine(tmp_path):
    """Write a copy of a file of the catalogue with a change: its path."""

    def write(name: str, change, *, folder: str = "machines", called: str = "mine") -> str:
        tree = tomllib.loads((load.ROOT / folder / f"{name}.toml").read_text(encoding="utf-8"))
        change(tree)
        path = tmp_path / f"{called}.toml"
        path.write_text("".join(f"{key} = {written(value)}\n" for key, value in tree.items()), encoding="utf-8")
        return str(path)

    return write


def disputed(tree: dict) -> None:
    """Let another source state something else of the bandwidth of a link, in another unit."""
    tree["fabric"]["link"]["bandwidth"] |= {"others": [dict(OTHER)], "choice": CHOICE}


def flat(text: str) -> str:
    """What is printed, as one line."""
    return " ".join(text.split())


class TestShow:
    @pytest.mark.parametrize("name", ["scalex640", "hgx-h100", "atlas-950-superpod", "rubin-ultra-nvl576"])
    def test_the_counts_are_those_of_the_figures_that_are_printed(self, name):
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
    def test_the_figures_without_a_source_are_marked_and_no_others(self, what):
        figures = answer("show", *what)["figures"]
        lines = run("show", *what).splitlines()
        marked = {line.split()[1] for line in lines if line.startswith("* ")}
        assert marked == {path for path, figure in figures.items() if not figure["source"]}
        assert marked == {path for path, figure in figures.items() if figure["kind"] == "assumed"}

    @pytest.mark.parametrize("what", [("cloudmatrix384",), ("chip", "h100-sxm"), ("network", "roce-8x400")])
    @pytest.mark.parametrize("columns", [80, 100, 120])
    def test_a_reader_can_follow_each_source_by_title_id_and_address(self, what, columns):
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

    def test_what_another_source_states_is_printed_below_its_figure_with_the_reason(self, mine):
        path = mine("hgx-h100", disputed)
        text = flat(run("show", path))
        title = topologies.sources()["stas00-ml-engineering"].title
        said = f"other: 208 Gb/s, measured; {title} [stas00-ml-engineering]; table 7; With all links busy."
        assert f"{said} choice: {CHOICE}" in text
        assert text.index("fabric.link.bandwidth") < text.index(said) < text.index("fabric.link.latency")
        count = answer("show", path)["counts"]["others"]
        assert count >= 1
        assert f"; {count} stated otherwise by other sources" in text

    def test_what_another_source_states_is_in_json_in_si_units_and_as_stated(self, mine):
        figure = answer("show", mine("hgx-h100", disputed))["figures"]["fabric.link.bandwidth"]
        assert figure["choice"] == CHOICE
        (other,) = figure["others"]
        assert (other["value"], other["unit"], other["stated"]) == (208e9 / 8, "B/s", "208 Gb/s")
        assert {name: other[name] for name in ("kind", "source", "locator", "note")} == {
            name: OTHER[name] for name in ("kind", "source", "locator", "note")
        }

    def test_a_source_that_only_states_otherwise_is_listed_with_its_address(self, mine):
        def change(tree):
            disputed(tree)
            tree["fabric"]["link"]["bandwidth"]["others"] = [OTHER | {"source": "bench"}]
            tree["sources"] = {"bench": {"title": "Our own bench", "url": "https://example.org/bench"}}

        path = mine("hgx-h100", change)
        assert answer("show", path)["sources"]["bench"]["title"] == "Our own bench"
        assert "https://example.org/bench" in run("show", path)

    def test_there_are_machines_that_may_be_wired_otherwise(self):
        assert ("atlas-950-superpod", "full-clos") in REWIRED

    @pytest.mark.parametrize(("machine", "name"), REWIRED)
    def test_the_figures_of_another_fabric_are_listed_and_which_builder_it_has(self, machine, name):
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
    def test_a_machine_has_its_dates_or_says_that_nobody_states_them(self, dates, announced, available, mine):
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

    def test_under_a_hypothesis_the_figures_are_those_that_the_machine_is_simulated_with(self):
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

    def test_the_first_hypothesis_is_the_file_itself(self):
        first = answer("show", "scalex640", "--hypothesis", "per-1280-bidirectional")
        assert first["figures"] == answer("show", "scalex640")["figures"]

    @pytest.mark.parametrize(("machine", "name"), REWIRED)
    def test_under_a_hypothesis_with_a_fabric_its_figures_take_the_place_of_the_files(self, machine, name):
        found = answer("show", machine, "--hypothesis", name)
        fabric = {path for path in found["figures"] if path.startswith("fabric.")}
        reading = next(each for each in answer("show", machine)["hypotheses"] if each["name"] == name)
        assert fabric == {path for path in reading["figures"] if path.startswith("fabric.")}
        assert {path: found["figures"][path] for path in fabric} == {path: reading["figures"][path] for path in fabric}
        assert found["fabric"] == reading["builder"]

    @pytest.mark.parametrize("hypothesis", ["", "per-640"])
    def test_the_chip_is_shown_along_with_its_machine_under_the_same_reading(self, hypothesis):
        tree = answer("show", "scalex640", "--with-chip", "--hypothesis", hypothesis)
        chip = topologies.machine("scalex640", hypothesis).chip
        shown = {path.removeprefix("chip."): each for path, each in tree["figures"].items() if path[:5] == "chip."}
        assert {path: figure["value"] for path, figure in shown.items()} == {
            figure.key.split("/", 2)[2].partition("@")[0]: figure.si for figure in figures_of(chip)
        }

    def test_the_chip_beside_a_machine_of_ones_own_is_the_one_that_is_shown(self, mine):
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
    def test_what_cannot_be_shown_is_refused_with_one_message(self, words, message):
        with pytest.raises(InputError, match=message):
            run("show", *words)

    def test_a_text_that_moves_the_cursor_is_printed_without_doing_so(self, capsys):
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

    def test_what_a_library_can_do_stands_beside_its_figures(self):
        known = topologies.shared("software", "nccl").algorithms
        assert known
        assert f"algorithms: {', '.join(known)}" in run("show", "software", "nccl")
        assert answer("show", "hgx-h100")["algorithms"] == ", ".join(known)


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


class TestCheck:
    def test_the_band_of_flop_per_byte_is_the_spread_of_the_chips_that_are_well_documented(self):
        # A chip or two more move the quartiles a little; then the band and what its docstring says want a new look.
        assert pytest.approx(fences(), rel=0.15) == audit.FLOP_PER_ELEMENT

    def test_h100_lies_in_the_middle_of_the_band(self):
        found = answer("check", "hgx-h100")["findings"]
        (bf16,) = [each for each in found if each["what"] == "FLOP per byte in bf16"]
        # NVIDIA's data sheet: 989 TFLOP/s and 3.35 TB/s
        assert (bf16["holds"], bf16["detail"]) == (True, "295.2, usual 64 to 800")

    @pytest.mark.parametrize(("factor", "is_usual"), [(0.2, False), (0.5, True), (2.0, True), (4.0, False)])
    def test_a_chip_of_ones_own_outside_the_band_is_wrong(self, factor, is_usual, mine):
        path = self.with_bandwidth(mine, factor, note="")
        assert ({"FLOP per byte in bf16"} <= {what for _, what in wrong(path)}) != is_usual

    @pytest.mark.parametrize("place", ["chip", "bandwidth"])
    def test_outside_the_band_the_words_in_a_note_of_the_chip_or_its_bandwidth_are_the_reason(self, place, mine):
        reason = "All weights stay in SRAM, hence many FLOP per byte."
        assert wrong(self.with_bandwidth(mine, 10.0, note="Fast.", place=place))
        assert not wrong(self.with_bandwidth(mine, 10.0, note=reason, place=place))

    def test_the_words_in_the_note_of_one_peak_are_the_reason_for_that_one_alone(self, mine):
        path = self.with_bandwidth(mine, 10.0, note="Few FLOP per byte by design.", place="bf16")
        found = {what for _, what in wrong(path)}
        assert "FLOP per byte in bf16" not in found
        assert "FLOP per byte in fp8" in found

    def test_numbers_of_more_than_two_bytes_have_no_least_but_a_most(self, mine):
        def few(tree):
            peak = {"value": 0.5, "low": 0.5, "high": 0.5, "unit": "TFLOP/s", "kind": "assumed", "note": "A test."}
            tree["peak"]["fp64"] = peak
            tree["matmul"]["fraction"]["fp64"] = tree["matmul"]["fraction"]["bf16"]

        def many(tree):
            few(tree)
            tree["peak"]["fp64"] |= {"value": 5000, "low": 5000, "high": 5000}

        assert not wrong(self.with_chip(mine, few))
        assert {what for _, what in wrong(self.with_chip(mine, many))} == {"FLOP per byte in fp64"}

    def test_the_chip_is_checked_under_each_hypothesis_that_changes_it(self, mine):
        def change(tree):
            (reading,) = [each for each in tree["hypotheses"] if each["name"] == "per-640"]
            reading["figures"]["chip.hbm.bandwidth"] |= {"value": 360, "low": 360, "high": 360}

        found = {place for place in wrong(mine("scalex640", change)) if place[1].startswith("FLOP per byte")}
        assert ("machine scalex640 as per-640", "FLOP per byte in bf16") in found
        assert {subject for subject, _ in found} == {"machine scalex640 as per-640"}

    @pytest.mark.parametrize(
        ("total", "others", "note", "what"),
        [
            # 8 chips of 80 GB, or of 80 GiB
            ((640, 640, 640), {}, "", None),
            ((650, 650, 650), {}, "", None),  # within 2 %
            ((700, 640, 700), {}, "", "say in a note why they differ"),
            ((700, 640, 700), {}, "With the memory of the hosts.", None),
            ((700, 640, 700), {"others": [OTHER | {"value": 640, "unit": "GB"}], "choice": "Newer."}, "", None),
            ((760, 750, 760), {}, "With the memory of the hosts.", "the ranges do not meet"),
            ((0.7, 0.7, 0.7), {}, "", "the ranges do not meet"),
        ],
    )
    def test_a_total_equals_its_chips_or_a_note_says_why_not(self, total, others, note, what, mine):
        def change(tree):
            value, low, high = total
            figure = {"value": value, "low": low, "high": high, "unit": "GB", "kind": "announced", "note": note}
            tree["published"] = {"memory": figure | {"source": "stas00-ml-engineering"} | others}

        found = wrong(mine("hgx-h100", change))
        assert (what or "") in found.get(("machine hgx-h100", "memory"), "")
        assert bool(found) == bool(what)

    def test_what_other_sources_state_is_counted_with_how_much_lies_outside_the_range(self, mine):
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

    def test_others_without_a_choice_are_refused_by_the_reader(self, mine):
        def change(tree):
            disputed(tree)
            tree["fabric"]["link"]["bandwidth"].pop("choice")

        with pytest.raises(InputError, match="choice is missing beside others"):
            run("check", mine("hgx-h100", change))

    def test_the_last_line_counts_what_was_checked(self):
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

    def test_of_machines_that_are_named_only_they_and_their_chips_are_counted(self):
        tree = answer("check", "hgx-h100", "dgx-h100", "gb200-nvl72")
        assert {name: tree["counts"][name] for name in ("machines", "chips", "networks")} == {
            "machines": 2,
            "chips": 2,
            "networks": len({topologies.entry(name).network for name in ("hgx-h100", "gb200-nvl72")}),
        }

    def test_a_machine_nobody_knows_is_refused(self):
        with pytest.raises(InputError, match="ironwood-9216"):
            run("check", "ironwod-9216")

    @staticmethod
    def with_chip(mine, change) -> str:
        """HGX H100 with its chip changed, and named otherwise."""

        def named(tree):
            tree["name"] = "mine-1"
            change(tree)

        mine("h100-sxm", named, folder="chips", called="mine-1")
        return mine("hgx-h100", lambda tree: tree.update(chip="mine-1", published={}))

    def with_bandwidth(self, mine, factor: float, *, note: str, place: str = "chip") -> str:
        """HGX H100 with ``factor`` times the FLOP per byte, and a note somewhere in the file of its chip."""

        def change(tree):
            bandwidth = tree["hbm"]["bandwidth"]
            for name in ("others", "choice"):
                bandwidth.pop(name, None)
            bandwidth |= {name: bandwidth[name] / factor for name in ("value", "low", "high")}
            {"chip": tree, "bandwidth": bandwidth, **tree["peak"]}[place]["note"] = note

        return self.with_chip(mine, change)


def every_figure() -> Counter:
    """Every figure of the catalogue, read without the commands: (entry, path, how it stands, value, low, high)."""
    found = Counter()

    def take(entry, path, stands, figure):
        found[entry, path, stands, figure.si, figure.si_low, figure.si_high] += 1

    nodes = {
        f"chip {name}": topologies.undisclosed(name) or topologies.chip(name) for name in topologies.names("chips")
    }
    nodes |= {f"network {name}": topologies.network_entry(name) for name in topologies.names("networks")}
    nodes |= {f"machine {name}": topologies.entry(name) for name in topologies.names("machines")}
    nodes |= {f"stack {name}": workloads.stack(name) for name in workloads.names("stacks")}
    nodes |= {
        f"{kind} {name}": topologies.shared(kind, name) for kind in load.SHARED for name in topologies.names(kind)
    }
    for entry, node in nodes.items():
        for field in node.__struct_fields__:
            for figure in figures_of(getattr(node, field) if field != "hypotheses" else None):
                kind, name, path = figure.key.split("/", 2)
                # What machines share is a file of its own, and is taken there.
                if f"{kind} {name}" == entry:
                    take(entry, path, "chosen", figure)
        for each in getattr(node, "hypotheses", ()):
            for path, figure in each.figures.items():
                take(entry, path, f"hypothesis:{each.name}", figure)
            for figure in figures_of(each.fabric):
                take(entry, figure.key.split("/", 2)[2].partition("@")[0], f"hypothesis:{each.name}", figure)
    return found


class TestExport:
    def test_every_figure_of_the_catalogue_is_there_exactly_once(self):
        wanted = every_figure()
        assert set(wanted.values()) == {1}
        assert {stands.partition(":")[0] for _, _, stands, *_ in wanted} == {"chosen", "hypothesis"}
        rows = json.loads(run("export", "--format", "json"))["figures"]
        columns = ("entry", "path", "stands", "value", "low", "high")
        found = Counter(tuple(row[name] for name in columns) for row in rows if not row["stands"].startswith("other"))
        assert found == wanted

    def test_every_statement_of_another_source_is_a_row_of_its_own(self):
        wanted = {}
        for each in entries.everything():
            for figure in each.figures.values():
                wanted |= self.stated(figure.key, "other", figure)
            for reading in each.readings:
                for path, figure in reading.figures.items():
                    wanted |= self.stated(f"{each.kind}/{each.name}/{path}", f"other:{reading.name}", figure)
        rows = [row for row in catalogue_table.rows() if not row.is_figure]
        found = {(f"{row.entry.replace(' ', '/')}/{row.path}", row.stands): (row.source, row.value) for row in rows}
        assert found == wanted
        assert len(rows) == len(wanted)
        assert all((row.low, row.high, row.choice) == (None, None, "") for row in rows)

    @staticmethod
    def stated(key: str, stands: str, figure: Figure) -> dict:
        """What other sources state in the place of a figure, by the place of the row and how it stands."""
        return {
            (f"{key}.others[{index}]", stands): (other.source, figure.si_of(other))
            for index, other in enumerate(figure.others)
        }

    def test_what_another_source_states_follows_its_figure_in_the_same_si_unit(self, mine):
        rows = list(catalogue_table.rows_of([entries.machine_shown(mine("hgx-h100", disputed))]))
        index = next(i for i, row in enumerate(rows) if row.path == "fabric.link.bandwidth.others[0]")
        figure, other = rows[index - 1 : index + 1]
        assert (figure.path, figure.stands, figure.choice) == ("fabric.link.bandwidth", "chosen", CHOICE)
        assert (other.entry, other.stands, other.kind, other.source) == (
            "machine hgx-h100",
            "other",
            "measured",
            "stas00-ml-engineering",
        )
        assert (other.value, other.unit, other.stated, other.stated_unit) == (26e9, figure.unit, 208, "Gb/s")
        assert other.source_title == topologies.sources()["stas00-ml-engineering"].title

    def test_what_stands_beside_a_figure_of_a_hypothesis_names_the_hypothesis(self, mine):
        def change(tree):
            (reading,) = [each for each in tree["hypotheses"] if each["name"] == "per-640"]
            reading["figures"]["fabric.link.bandwidth"] |= {"others": [OTHER], "choice": CHOICE}

        rows = list(catalogue_table.rows_of([entries.machine_shown(mine("scalex640", change))]))
        stands = [row.stands for row in rows if row.path == "fabric.link.bandwidth.others[0]" and row.value == 26e9]
        assert stands == ["other:per-640"]

    def test_the_three_formats_hold_the_same_rows(self):
        tree = json.loads(run("export", "--format", "json"))
        header, *lines = csv.reader(io.StringIO(run("export", "--format", "csv")))
        assert header == list(tree["columns"]) == list(catalogue_table.COLUMNS)
        wanted = [["" if cell is None else str(cell) for cell in row.values()] for row in tree["figures"]]
        assert lines == wanted
        head, rule, *marked = run("export", "--format", "md").splitlines()
        assert [cell.strip() for cell in head.strip("|").split("|")] == header
        assert rule.count("---") == len(header)
        assert len(marked) == len(lines)
        for line, row in zip(marked, lines, strict=True):
            cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert [cell[1:-1] for cell in cells] == [" ".join(cell.split("\n")) for cell in row]

    def test_a_row_has_its_value_as_stated_its_source_and_the_reason_for_it(self):
        from simulator.units import UNITS

        known = entries.all_sources()
        factors = {unit: factor for table in UNITS.values() for unit, factor in table.items()}
        for row in catalogue_table.rows():
            assert row.value == pytest.approx(row.stated * factors[row.stated_unit], rel=1e-12)
            if row.is_figure:
                assert row.low <= row.value <= row.high
                assert row.stated_low <= row.stated <= row.stated_high
            if row.source:
                assert (row.source_title, row.source_url) == (known[row.source].title, known[row.source].url)
            else:
                assert row.kind == "assumed"
                assert row.note

    def test_a_reason_for_the_choice_stands_where_and_only_where_there_is_one_to_make(self):
        rows = list(catalogue_table.rows())
        beside = {(row.entry, row.path.rpartition(".others[")[0]) for row in rows if not row.is_figure}
        assert {(row.entry, row.path) for row in rows if row.choice} == beside

    def test_dates_are_among_the_figures(self):
        dated = {row.entry.split()[0] for row in catalogue_table.rows() if row.unit == "year"}
        assert dated >= {"machine", "chip"}

    def test_every_column_is_explained_in_the_help(self):
        text = flat(run("export", "--help").replace("│", " "))
        for name, meaning in catalogue_table.COLUMNS.items():
            assert f"{name}: {meaning}" in text
        assert [field.name for field in dataclasses.fields(catalogue_table.Row)] == list(catalogue_table.COLUMNS)

    @pytest.mark.parametrize("form", ["xlsx", "CSV", "", "jsn"])
    def test_a_format_nobody_knows_is_refused(self, form):
        with pytest.raises(InputError, match="--format: unknown format"):
            run("export", "--format", form)


class TestSources:
    def test_every_figure_rests_on_the_one_source_that_it_names(self):
        known = entries.all_sources()
        tree = answer("sources", *known)["sources"]
        table = list(catalogue_table.rows())
        for name in known:
            wanted = [(row.entry, row.path, row.value, row.stands) for row in table if row.source == name]
            found = [(row["entry"], row["path"], row["value"], row["stands"]) for row in tree[name]["figures"]]
            assert found == wanted
        assert sum(len(each["figures"]) for each in tree.values()) == sum(bool(row.source) for row in table)

    def test_one_source_is_listed_with_its_figures_and_no_other(self):
        text = run("sources", "google-tpu7x-docs")
        assert "figures that google-tpu7x-docs states" in text
        assert "chip tpu-v7-ironwood" in text
        assert "peak.fp8" in text
        assert "stas00-ml-engineering" not in text

    def test_without_a_name_all_are_listed_and_no_figures(self):
        tree = answer("sources")["sources"]
        assert set(tree) == set(entries.all_sources())
        assert all(set(each) == {"title", "url", "date", "note"} for each in tree.values())

    @pytest.mark.parametrize("name", ["google-tpu7x-doc", "", "../sources"])
    def test_a_source_nobody_knows_is_refused(self, name):
        with pytest.raises(InputError, match="unknown source"):
            run("sources", "stas00-ml-engineering", name)


class TestList:
    @pytest.mark.parametrize("name", topologies.names("chips"))
    def test_the_head_of_a_chip_says_what_its_whole_file_says(self, name):
        chip = topologies.undisclosed(name) or topologies.chip(name)
        head = entries.chip_head(name)
        assert (head.name, head.title, head.vendor) == (chip.name, chip.title, chip.vendor)
        assert head.undisclosed == getattr(chip, "undisclosed", "")
        assert entries.years(head.dates) == entries.years(chip.dates)
        assert head.dates == chip.dates
