"""The catalogue: every file reads, means what was published, and is put together as its hypotheses say."""

from __future__ import annotations

import json
import pickle
import re
import shutil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.figures import Draw, Figure, figures_of
from simulator.machine import slice_of
from supernode.cli.catalogue import app
from topologies import load
from topologies.audit import audit
from topologies.checks import chips_of

MACHINES = topologies.names("machines")
CHIPS = topologies.names("chips")
NETWORKS = topologies.names("networks")
BY_FILE = {
    **{f"chip/{name}": topologies.undisclosed(name) or topologies.chip(name) for name in CHIPS},
    **{f"network/{name}": topologies.network_entry(name) for name in NETWORKS},
    **{f"machine/{name}": topologies.entry(name) for name in MACHINES},
}
FIGURES = {figure.key: figure for node in BY_FILE.values() for figure in figures_of(node)}


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_the_machines_of_the_first_comparison_are_there():
    assert {"ironwood-9216", "scalex640", "cloudmatrix384", "gb200-nvl72", "hgx-h100"} <= set(MACHINES)


@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_reads_and_gives_slices_of_every_legal_size(name):
    machine = topologies.machine(name)
    assert machine.chips == chips_of(topologies.entry(name).fabric) == machine.legal_chips[-1]
    for chips in machine.legal_chips:
        size = 1
        for level in machine.slice_levels(chips):
            size *= level.size
        assert size == chips
    assert slice_of(machine, 2 * machine.chips).levels[-1].link == machine.network.link


@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_can_be_sent_to_another_process(name):
    machine = pickle.loads(pickle.dumps(topologies.machine(name)))  # noqa: S301 - our own bytes
    assert machine.slice_levels(machine.chips) == topologies.machine(name).slice_levels(machine.chips)


@pytest.mark.parametrize("key", sorted(FIGURES))
def test_every_figure_is_sourced_or_says_why_it_is_assumed(key):
    figure = FIGURES[key]
    assert figure.low <= figure.value <= figure.high
    if figure.kind == "assumed":
        assert figure.note
        assert figure.is_uncertain, "an assumed figure is not exact"
        assert not figure.source
    else:
        assert figure.source in topologies.sources()


def test_every_figure_has_a_key_of_its_own_that_says_where_it_stands():
    for file, node in BY_FILE.items():
        keys = [figure.key for figure in figures_of(node)]
        assert len(set(keys)) == len(keys)
        # What machines share has the key of the entry that they name.
        own = [key for key in keys if "@" not in key and not key.startswith(("sites/", "software/", "reliability/"))]
        assert all(key.startswith(f"{file}/") for key in own)


def test_no_text_names_a_folder_of_somebodys_machine():
    for path in load.ROOT.rglob("*.toml"):
        assert not re.search(r"(?<![\w.])/(home|tmp|root|mnt|Users)/", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("chip", "path", "value"),
    [
        ("h100-sxm", "peak.bf16", 989e12),  # NVIDIA, dense
        ("h100-sxm", "hbm.bandwidth", 3.35e12),
        ("gb200", "peak.fp4", 10e15),  # NVIDIA, dense
        ("tpu-v7-ironwood", "peak.fp8", 4614e12),  # Google Cloud documentation of TPU7x
        ("tpu-v7-ironwood", "hbm.bandwidth", 7.38e12),
        ("ascend-910c", "peak.bf16", 707.8e12),  # msmodeling, 2 x 353.9
        ("hygon-bw1000", "peak.bf16", 490e12),  # 5 EFLOP/s and 630 PFLOP/s over their cards
        ("hygon-bw1000", "hbm.capacity", 64e9),
    ],
)
def test_a_chip_has_its_published_figure_in_si_units(chip, path, value):
    assert FIGURES[f"chip/{chip}/{path}"].si == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("machine", "bytes_per_s"),
    # Per chip and direction, as published: six links of 100, 18 of 50, 18 of 25, 7 x 56, and 448 both ways.
    [
        ("ironwood-9216", 600e9),
        ("gb200-nvl72", 900e9),
        ("hgx-h100", 450e9),
        ("cloudmatrix384", 392e9),
        ("scalex640", 224e9),
    ],
)
def test_the_innermost_levels_of_a_machine_carry_its_published_injection_bandwidth(machine, bytes_per_s):
    levels = topologies.machine(machine).slice_levels(topologies.machine(machine).chips)
    rates = [level.links * level.link.bandwidth.si * (2 if level.kind == "axis" else 1) for level in levels]
    injected = sum(rates) if levels[0].kind == "axis" else rates[0]
    assert injected == pytest.approx(bytes_per_s)


def test_a_fp8_product_runs_in_bf16_on_a_chip_without_fp8():
    assert topologies.chip("hygon-bw1000").dtype("fp8") == "bf16"
    assert topologies.chip("h100-sxm").dtype("fp8") == "fp8"


def test_an_alias_is_the_same_machine():
    assert topologies.machine("dgx-h100") is topologies.machine("hgx-h100")
    assert topologies.resolve("machines", "dgx-h100") == "hgx-h100"


def test_the_interruption_rate_of_h100_is_that_of_the_llama_3_run():
    per_hour = FIGURES["machine/hgx-h100/reliability.interruptions_per_chip"].si * 3600
    assert per_hour == pytest.approx(419 / (16_384 * 54 * 24), rel=1e-3)


def test_the_audit_finds_nothing_wrong():
    findings = list(audit())
    assert [finding for finding in findings if not finding.holds] == []
    # Counts of the graphs are compared for each machine that states them.
    compared = {(finding.subject, finding.what) for finding in findings}
    assert ("machine ironwood-9216", "links") in compared
    assert ("machine cloudmatrix384", "edges") in compared


def test_the_audit_sees_a_wrong_count_and_a_wrong_total(tmp_path):
    text = (load.ROOT / "machines" / "gb200-nvl72.toml").read_text(encoding="utf-8")
    text = text.replace("switches = 18", "switches = 17").replace("value = 576\n", "value = 700\n")
    text = text.replace("low = 576\nhigh = 576", "low = 700\nhigh = 700")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    wrong = {finding.what for finding in audit(str(tmp_path / "mine.toml")) if not finding.holds}
    assert wrong == {"switches", "memory bandwidth"}


class TestHypotheses:
    def test_the_first_is_the_reading_in_the_file(self):
        named = topologies.machine("scalex640", "per-1280-bidirectional")
        plain = topologies.machine("scalex640")
        assert named.chip == plain.chip
        assert named.slice_levels(640) == plain.slice_levels(640)

    @pytest.mark.parametrize("name", MACHINES)
    def test_weights_sum_to_one(self, name):
        hypotheses = topologies.entry(name).hypotheses
        assert not hypotheses or sum(each.weight for each in hypotheses) == pytest.approx(1)

    def test_per_640_replaces_the_chip_and_the_link_and_nothing_else(self):
        plain, other = topologies.machine("scalex640"), topologies.machine("scalex640", "per-640")
        assert other.hypothesis == "per-640"
        assert other.chip.peak["bf16"].si == 984e12  # 630 PFLOP/s over 640 cards
        assert other.chip.hbm.capacity.si == 128e9  # 81.9 TB over 640 cards
        assert other.slice_levels(640)[0].link.bandwidth.si == 112e9
        assert other.chip.hbm.fraction == plain.chip.hbm.fraction
        assert (other.power, other.prices, other.site) == (plain.power, plain.prices, plain.site)

    def test_the_link_alone_changes_where_only_the_direction_is_in_question(self):
        plain, other = topologies.machine("scalex640"), topologies.machine("scalex640", "per-1280-per-direction")
        assert other.chip == plain.chip
        assert other.slice_levels(40)[0].link.bandwidth.si == 2 * plain.slice_levels(40)[0].link.bandwidth.si

    def test_a_replaced_figure_can_be_drawn_apart_from_the_one_it_replaces(self):
        figure = topologies.machine("scalex640", "per-640").slice_levels(40)[0].link.bandwidth
        assert figure.key == "machine/scalex640/fabric.link.bandwidth@per-640"
        draw = Draw({"machine/scalex640/fabric.link.bandwidth@per-640": 1.0})
        assert draw(figure) == 1.0
        assert draw(topologies.machine("scalex640").slice_levels(40)[0].link.bandwidth) == 56e9

    def test_an_unknown_one_is_refused_with_the_nearest(self):
        with pytest.raises(InputError, match=r"per-64.*\n.*per-640"):
            topologies.machine("scalex640", "per-64")
        with pytest.raises(InputError, match="no hypotheses"):
            topologies.machine("hgx-h100", "per-640")


class TestOwnFiles:
    """A machine that a user writes."""

    def test_a_copy_of_a_catalogue_file_is_the_same_machine(self, tmp_path):
        mine = tmp_path / "mine.toml"
        shutil.copy(load.ROOT / "machines" / "hgx-h100.toml", mine)
        machine, known = topologies.machine(str(mine)), topologies.machine("hgx-h100")
        same = {
            field: getattr(machine, field) for field in ("chip", "chips", "network", "power", "prices", "legal_chips")
        }
        assert same == {field: getattr(known, field) for field in same}

    def test_it_may_bring_its_own_chip_and_sources(self, tmp_path):
        text = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")
        text = text.replace('chip = "h100-sxm"', 'chip = "mine-1"')
        (tmp_path / "mine.toml").write_text(text + '\n[sources.bench]\ntitle = "Our own bench"\n', encoding="utf-8")
        chip = (load.ROOT / "chips" / "h100-sxm.toml").read_text(encoding="utf-8")
        chip = chip.replace('name = "h100-sxm"', 'name = "mine-1"').replace("stas00-ml-engineering", "bench")
        (tmp_path / "mine-1.toml").write_text(chip, encoding="utf-8")
        machine = topologies.machine(str(tmp_path / "mine.toml"))
        assert machine.chip.name == "mine-1"
        assert machine.chip.peak["bf16"].source == "bench"
        assert topologies.sources_of(str(tmp_path / "mine.toml"))["bench"].title == "Our own bench"
        assert "bench" not in topologies.sources()

    def test_a_change_in_it_is_seen_at_the_next_reading(self, tmp_path):
        mine = tmp_path / "mine.toml"
        text = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")
        mine.write_text(text, encoding="utf-8")
        before = topologies.machine(str(mine)).power.full.si
        mine.write_text(text.replace("value = 10.2", "value = 9.2"), encoding="utf-8")
        assert topologies.machine(str(mine)).power.full.si == pytest.approx(before - 1000)


@given(st.text(max_size=40))
def test_a_name_is_known_or_refused_with_one_message(name):
    known = {*MACHINES, "dgx-h100"}
    if name in known:
        topologies.machine(name)
    else:
        with pytest.raises(InputError):
            topologies.machine(name)


class TestCommand:
    def test_list_gives_the_promised_object(self):
        tree = json.loads(run("list", "--json").stdout)
        assert tree["schema"] == 1
        assert {"machines", "chips", "networks", "models", "stacks"} <= set(tree)
        ironwood = next(each for each in tree["machines"] if each["name"] == "ironwood-9216")
        assert ironwood["vendor"] == "Google"
        assert ironwood["chip"] == "tpu-v7-ironwood"
        assert ironwood["chips"] == 9216

    @pytest.mark.parametrize("what", [["scalex640"], ["dgx-h100"], ["chip", "gb200"], ["networks", "roce-8x400"]])
    def test_show_prints_every_figure_with_its_source(self, what):
        tree = json.loads(run("show", *what, "--json").stdout)
        assert tree["figures"]
        for figure in tree["figures"].values():
            assert figure["low"] <= figure["value"] <= figure["high"]
            assert figure["source"] in tree["sources"] or figure["kind"] == "assumed"
        text = run("show", *what).stdout
        assert all(path in text for path in tree["figures"])

    def test_show_gives_the_readings_of_what_is_not_disclosed(self):
        tree = json.loads(run("show", "scalex640", "--json").stdout)
        assert sum(each["weight"] for each in tree["hypotheses"]) == pytest.approx(1)
        assert "chip.peak.bf16" in tree["hypotheses"][2]["figures"]
        assert "per-640" in run("show", "scalex640").stdout

    def test_check_passes_on_the_catalogue(self):
        result = run("check", "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["wrong"] == 0

    def test_check_fails_on_a_file_that_contradicts_itself(self, tmp_path):
        text = (load.ROOT / "machines" / "gb200-nvl72.toml").read_text(encoding="utf-8")
        (tmp_path / "mine.toml").write_text(text.replace("switches = 18", "switches = 17"), encoding="utf-8")
        result = run("check", str(tmp_path / "mine.toml"))
        assert result.exit_code == 2
        assert "WRONG" in result.stdout

    def test_export_has_one_row_a_figure(self):
        lines = run("export").stdout.splitlines()
        assert lines[0].startswith("entry,path,value,low,high,unit,kind,source")
        keys = {tuple(line.split(",")[:2]) for line in lines[1:]}
        for key in FIGURES:
            if "@" not in key:
                kind, name, path = key.split("/", 2)
                assert (f"{kind} {name}", path) in keys

    def test_sources_are_listed_with_title_and_address(self):
        tree = json.loads(run("sources", "--json").stdout)["sources"]
        assert tree["google-tpu7x-docs"]["url"].startswith("https://")

    @pytest.mark.parametrize("what", [["ironwod-9216"], ["chip", "h100"], ["chips", "a", "b"], ["thing", "gb200"]])
    def test_what_nobody_knows_is_refused(self, what):
        with pytest.raises(InputError):
            run("show", *what)


def test_figures_survive_writing_and_reading():
    figure = FIGURES["chip/h100-sxm/hbm.bandwidth"]
    assert msgspec.convert(msgspec.to_builtins(figure), Figure) == figure
