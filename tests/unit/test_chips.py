"""Chips of the catalogue: all are there, their figures stand in the reference data, none is out of proportion."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter

import pytest
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.figures import figures_of
from supernode.cli.catalogue import app
from topologies import load
from topologies.checks import path_of

# Name in the catalogue -> entity in the reference data, or nothing where it has none.
CHIPS = {
    "v100": "",
    "a100-40gb": "",
    "a100-80gb": "NVIDIA A100 SXM 80GB",
    "a800": "",
    "h100-sxm": "NVIDIA H100 SXM",
    "h100-96gb": "",
    "h200-sxm": "NVIDIA H200 SXM",
    "h200-nvl": "",
    "h800": "NVIDIA H800",
    "h20": "NVIDIA H20",
    "b200": "NVIDIA B200 SXM",
    "gb200": "NVIDIA GB200 (per GPU)",
    "b300": "NVIDIA B300 SXM",
    "gb300": "NVIDIA GB300 (per GPU)",
    "rubin": "NVIDIA Rubin (VR200, per package)",
    "rubin-ultra": "NVIDIA Rubin Ultra (per package)",
    "l40s": "",
    "rtx-pro-6000": "",
    "rtx-4090": "",
    "arc-pro-b60": "",
    "gaudi2": "",
    "gaudi3": "",
    "tpu-v2": "",
    "tpu-v4": "Google TPU v4",
    "tpu-v5e": "Google TPU v5e",
    "tpu-v5p": "Google TPU v5p",
    "tpu-v6e": "Google TPU v6e Trillium",
    "tpu-v7-ironwood": "Google TPU v7 Ironwood (TPU7x)",
    "mi300x": "AMD MI300X",
    "mi325x": "AMD MI325X",
    "mi350x": "AMD MI350X",
    "mi355x": "AMD MI355X",
    "mi455x": "AMD MI455X",
    "trainium1": "AWS Trainium1",
    "trainium2": "AWS Trainium2",
    "trainium3": "AWS Trainium3",
    "inferentia2": "AWS Inferentia2",
    "mtia-v1": "Meta MTIA v1",
    "mtia-v2": "Meta MTIA v2 (next-gen 5nm)",
    "mtia-300": "Meta MTIA 300",
    "mtia-400": "Meta MTIA 400",
    "mtia-450": "Meta MTIA 450",
    "mtia-500": "Meta MTIA 500",
    "maia-100": "Microsoft Maia 100",
    "maia-200": "Microsoft Maia 200",
    "ascend-910a": "Huawei Ascend 910",
    "ascend-910b": "Huawei Ascend 910B",
    "ascend-910c": "Huawei Ascend 910C",
    "ascend-950pr": "Huawei Ascend 950PR",
    "ascend-950dt": "Huawei Ascend 950DT",
    "ascend-960": "Huawei Ascend 960",
    "hygon-k100-ai": "Hygon DCU K100 / K100_AI",
    "hygon-bw1000": "Hygon BW1000 (Shensuan-3)",
    "hygon-bw1100": "Hygon BW1100 (scaleX40-3G card)",
    "cambricon-mlu370": "Cambricon MLU370-X8",
    "cambricon-mlu590": "Cambricon MLU590",
    "cambricon-mlu690": "Cambricon MLU690",
    "kunlunxin-p800": "Kunlunxin P800",
    "kunlunxin-m100": "Kunlunxin M100",
    "kunlunxin-m300": "Kunlunxin M300",
    "zhenwu-810e": "Alibaba T-Head PPU / ZhenWu 810E",
    "zhenwu-m890": "Alibaba T-Head ZhenWu M890",
    "biren-br106": "Biren BR106",
    "biren-br166": "Biren BR166",
    "biren-br20x": "Biren BR20X",
    "iluvatar-bi-v150": "Iluvatar BI-V150 (TianGai-150)",
    "iluvatar-tiangai-300": "Iluvatar TianGai-300",
    "enflame-s60": "Enflame S60",
    "enflame-l600": "Enflame L600",
    "mtt-s4000": "Moore Threads MTT S4000",
    "mtt-s5000": "Moore Threads MTT S5000",
    "metax-c500": "MetaX C500",
    "metax-c550": "MetaX C550",
    "metax-c588": "MetaX C588",
    "metax-c600": "MetaX C600",
}
KNOWN = sorted(name for name in topologies.names("chips") if topologies.undisclosed(name) is None)
# Path of a figure -> field of the reference data that states it, and the unit of that field in SI base units.
FIELDS = {
    "peak.bf16": ("peak_bf16_tflops", 1e12),
    "peak.fp16": ("peak_fp16_tflops", 1e12),
    "peak.fp8": ("peak_fp8_tflops", 1e12),
    "peak.fp4": ("peak_fp4_tflops", 1e12),
    "peak.int8": ("peak_int8_tops", 1e12),
    "peak.fp32": ("peak_fp32_tflops", 1e12),
    "peak.fp64": ("peak_fp64_tflops", 1e12),
    "hbm.capacity": ("hbm_gb", 1e9),
    "hbm.bandwidth": ("hbm_tbps", 1e12),
    "power.full": ("tdp_w", 1.0),
    "price": ("price_usd", 1.0),
}
ROUNDING = 0.005  # GiB and GB, and a third digit


@pytest.fixture(scope="module")
def rows(shared_data):
    stated = {}
    with (shared_data / "reference" / "hardware-facts.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = [row[column] for column in ("value", "low", "high") if row[column]]
            stated.setdefault((row["entity"], row["field"]), []).extend(numbers)
    return stated


def test_every_chip_of_the_field_is_there():
    assert {*CHIPS, "maia-300", "ascend-970"} <= set(topologies.names("chips"))


@pytest.mark.parametrize("name", sorted(name for name, entity in CHIPS.items() if entity))
def test_figures_drawn_at_random_stand_in_the_reference_data(name, rows):
    """As the figure, or beside it where another source was taken: the driver counts a few MiB less than 80 GB."""
    entity = CHIPS[name]
    figures = {path_of(figure): figure for figure in figures_of(topologies.chip(name))}
    traceable = [path for path in FIELDS if path in figures and (entity, FIELDS[path][0]) in rows]
    assert len(traceable) >= 4
    for path in random.Random(name).sample(traceable, 2):  # noqa: S311 - the same figures in every run
        field, unit = FIELDS[path]
        stated = [float(number) * unit for number in rows[entity, field]]
        figure = figures[path]
        said = [figure.si, *(figure.si_of(other) for other in figure.others)]
        assert any(each == pytest.approx(value, rel=ROUNDING) for each in said for value in stated), path


@pytest.mark.parametrize("name", KNOWN)
def test_a_chip_computes_no_more_than_its_memory_could_ever_feed(name):
    chip = topologies.chip(name)
    per_byte = {dtype: peak.si / chip.hbm.bandwidth.si for dtype, peak in chip.peak.items()}
    assert 20 <= per_byte["bf16"] <= 3000
    # Half a byte an operand, and B300, whose int8 was cut to a token. Vector units multiply the wide ones, slower.
    assert all(15 <= ratio <= 3500 for dtype, ratio in per_byte.items() if dtype not in {"fp64", "fp32"})


@pytest.mark.parametrize("name", KNOWN)
def test_capacity_power_and_efficiency_are_those_of_an_accelerator(name):
    chip = topologies.chip(name)
    assert 8e9 <= chip.hbm.capacity.si_low <= chip.hbm.capacity.si_high <= 2e12
    assert 20 <= chip.power.full.si_low <= chip.power.full.si_high <= 5000
    # From TPU v2 to what is announced for 2028 [FLOP/s per watt in bf16].
    assert 0.15e12 <= chip.peak["bf16"].si / chip.power.full.si <= 4e12
    if chip.price is not None:
        assert 200 <= chip.price.si_low <= chip.price.si_high <= 100e3


@pytest.mark.parametrize("name", KNOWN)
def test_narrower_numbers_are_multiplied_no_slower_unless_the_vendor_cut_them(name):
    peak = {dtype: figure.si for dtype, figure in topologies.chip(name).peak.items()}
    if "fp8" in peak:
        assert peak["fp8"] >= peak["bf16"]
    if "fp4" in peak:
        assert peak["fp4"] >= peak.get("fp8", peak["bf16"])
    if "int8" in peak and name not in {"b300", "gb300", "rubin"}:
        assert peak["int8"] >= peak["bf16"]


@pytest.mark.parametrize("name", KNOWN)
def test_a_chip_is_announced_before_it_can_be_had(name):
    chip = topologies.chip(name)
    assert chip.dates is not None
    assert chip.dates.available is not None
    assert 2016 <= chip.dates.available.si <= 2029
    # Meta had MTIA 300 in production before it told of it.
    if chip.dates.announced is not None and name != "mtia-300":
        assert chip.dates.announced.si_low <= chip.dates.available.si_high


@pytest.mark.parametrize("name", KNOWN)
def test_no_chip_reaches_more_than_it_was_ever_measured_to_reach(name):
    matmul = topologies.chip(name).matmul
    assert all(fraction.si_high < 1 for fraction in matmul.fraction.values())
    assert all(fraction.is_uncertain for fraction in matmul.fraction.values())


def test_no_two_sources_are_the_same_document():
    documents = Counter((source.url, source.title) for source in topologies.sources().values())
    assert [document for document, count in documents.items() if count > 1] == []


UNDISCLOSED = """
name = "riddle-1"
title = "Riddle 1"
vendor = "Nobody"
undisclosed = "Nothing but its name is known."

[dates.available]
value = 2027.5
unit = "year"
low = 2027
high = 2028
kind = "assumed"
note = "A guess."
"""


class TestUndisclosed:
    """A chip about which too little is known to simulate it."""

    @pytest.fixture
    def riddle(self, tmp_path, monkeypatch):
        (tmp_path / "catalogue" / "chips").mkdir(parents=True)
        (tmp_path / "catalogue" / "chips" / "riddle-1.toml").write_text(UNDISCLOSED, encoding="utf-8")
        caches = (load.names, load._named_chip_file)
        sources = load.sources()
        for cache in caches:
            cache.cache_clear()
        monkeypatch.setattr(load, "ROOT", tmp_path / "catalogue")
        monkeypatch.setattr(load, "sources", lambda: sources)
        yield "riddle-1"
        for cache in caches:
            cache.cache_clear()

    def test_it_refuses_with_what_is_known_and_a_remedy(self, riddle):
        with pytest.raises(InputError, match=r"riddle-1 cannot be simulated: Nothing but its name(.|\n)*chip file"):
            topologies.chip(riddle)

    def test_its_entry_can_be_read_and_has_its_dates(self, riddle):
        found = topologies.undisclosed(riddle)
        assert found.undisclosed == "Nothing but its name is known."
        assert found.dates.available.si == 2027.5

    def test_it_is_shown_with_the_reason(self, riddle):
        result = CliRunner().invoke(app, ["show", "chip", riddle], catch_exceptions=False)
        assert "Nothing but its name is known." in result.stdout
        assert "2027.5" in result.stdout

    def test_those_of_the_catalogue_refuse(self):
        for name in set(topologies.names("chips")) - set(KNOWN):
            with pytest.raises(InputError, match="cannot be simulated"):
                topologies.chip(name)


class TestCommand:
    def test_list_gives_the_years_of_each_chip(self):
        tree = json.loads(CliRunner().invoke(app, ["list", "--json"], catch_exceptions=False).stdout)
        chips = {each["name"]: each for each in tree["chips"]}
        assert set(CHIPS) <= set(chips)
        assert chips["mtia-500"]["announced"] == pytest.approx(2026.19)  # The Decoder, 2026-03-12
        assert chips["h100-sxm"]["undisclosed"] == ""
        assert {"google", "china-liquid"} <= {each["name"] for each in tree["sites"]}

    @pytest.mark.parametrize(
        ("kind", "path"), [("sites", "pue"), ("software", "collective_launch"), ("reliability", "repair")]
    )
    def test_show_and_export_know_what_machines_share(self, kind, path):
        exported = CliRunner().invoke(app, ["export"], catch_exceptions=False).stdout.splitlines()
        for name in topologies.names(kind):
            shown = CliRunner().invoke(app, ["show", kind, name, "--json"], catch_exceptions=False)
            assert path in json.loads(shown.stdout)["figures"]
            assert sum(line.startswith(f"{kind} {name},{path},") for line in exported) == 1
