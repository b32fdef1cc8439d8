"""Machines of Microsoft, Meta, Huawei, Sugon, other makers of China, and open fabrics: their counts and sources."""

from __future__ import annotations

import csv
import math

import pytest

import topologies
import workloads
from simulator.errors import InputError
from simulator.fabric import Fabric, injection_bytes_per_s
from simulator.figures import Figure
from simulator.machine import slice_of
from simulator.streams import stream
from topologies.audit import audit
from topologies.builders import builder_of
from topologies.fabrics import MeshedRacks, TwoTierPlanes

ENTITIES = {
    "atlas-350-server": ("Huawei Atlas 350 (950PR card)", "Huawei Ascend 950PR"),
    "atlas-800-910a": ("Huawei Ascend 910",),
    "atlas-800-a2": ("Huawei Atlas 800/900 A2 (910B 8-way)", "Huawei Ascend 910B"),
    "atlas-850e": ("Huawei Atlas 850E (air-cooled)", "Huawei Ascend 950DT"),
    "atlas-950-1024": ("Huawei Atlas 950 SuperPoD (1024, WAIC 2026 config)", "Huawei Ascend 950DT"),
    "atlas-950-supercluster": ("Huawei Atlas 950 SuperCluster", "Huawei Atlas 950 SuperPoD (8192)"),
    "atlas-950-superpod": ("Huawei Atlas 950 SuperPoD (8192)", "Huawei Ascend 950DT"),
    "atlas-960-supercluster": ("Huawei Atlas 960 SuperCluster", "Huawei Atlas 960 SuperPoD"),
    "atlas-960-superpod": ("Huawei Atlas 960 SuperPoD", "Huawei Ascend 960"),
    "biren-npo-1024": ("Biren BR2xx NPO supernode", "Biren BR20X"),
    "cambricon-mlu590-8": ("Cambricon MLU590 8-way", "Cambricon MLU590"),
    "enflame-esl64": ("Enflame ESL64-O / ESL64-C", "Enflame L600"),
    "eth-x-256": ("Tencent ETH-X",),
    "h3c-unipod-256": ("H3C UniPoD S80000",),
    "iluvatar-bi-v150-8": ("Iluvatar BI-V150 (TianGai-150)",),
    "iluvatar-tianshu-144": ("Iluvatar Tianshu supernode", "Iluvatar TianGai-300"),
    "kuae-10k": ("Moore Threads KUAE cluster", "Moore Threads MTT S4000"),
    "kunlun-64": ("Baidu Kunlun super node (32/64)", "Kunlunxin P800"),
    "lightsphere-x-128": ("LightSphere X (Lightelligence/Biren/ZTE)", "Biren BR166"),
    "maia-100-node": ("Microsoft Maia 100 node/rack", "Microsoft Maia 100"),
    "maia-200": ("Microsoft Maia 200 system", "Microsoft Maia 200"),
    "metax-3d-mesh-64": ("MetaX C550 3D Mesh (Yaolong)", "MetaX C550"),
    "metax-c500-8": ("MetaX C500",),
    "metax-dragonfly-64": ("MetaX C500X optical supernode", "MetaX C500"),
    "metax-shanghai-cube-128": ("MetaX Shanghai Cube", "MetaX C550"),
    "metax-xijing-64": ("MetaX Xijing S600", "MetaX C600"),
    "mtia-400-rack": ("Meta MTIA 400/450/500 rack", "Meta MTIA 400"),
    "mtia-v2-rack": ("Meta MTIA v2 rack", "Meta MTIA v2 (next-gen 5nm)"),
    "mtt-c256": ("Moore Threads MTT C256", "Moore Threads MTT S5000"),
    "oisa-1024": ("China Mobile OISA 2.0",),
    "panjiu-al128": ("Alibaba Panjiu AL128", "Alibaba T-Head PPU / ZhenWu 810E"),
    "scalex-10k": ("Sugon scaleX 10k supercluster", "Hygon BW1000 (Shensuan-3)"),
    "scalex40": ("Sugon scaleX40", "Hygon BW1100 (scaleX40-3G card)"),
    "scalex640-x2": ("Sugon scaleX640 x2 (1280-card unit)", "Sugon scaleX640", "Hygon BW1000 (Shensuan-3)"),
    "sue-1024": ("Broadcom SUE",),
    "tianchi-256": ("Baidu Tianchi 256", "Kunlunxin P800"),
    "tianchi-512": ("Baidu Tianchi 512", "Kunlunxin P800"),
    "ualink-1024": ("UALink 1.0 fabric",),
    "upn512": ("Alibaba UPN512", "Alibaba T-Head ZhenWu M890"),
    "yuanbrain-sd200": ("Inspur Yuanbrain SD200",),
    "zte-nebula-128": ("ZTE OEX / Nebula supernode",),
}
"""Machine -> what the reference data call it, and its chip where that is no stand-in."""

CHIPS = {"atlas-950-superpod": 8192, "atlas-960-superpod": 15_488, "maia-200": 6144, "scalex-10k": 10_240}
UNITS = {
    "TB": ("bytes", 1e12),
    "GB/s": ("bytes_per_s", 1e9),
    "TB/s": ("bytes_per_s", 1e12),
    "Gb/s": ("bytes_per_s", 1e9 / 8),
    "PFLOPS": ("flops", 1e15),
    "kW": ("w", 1e3),
    "": ("date", 1.0),
}
"""Unit of a row -> dimension and SI factor."""


@pytest.mark.parametrize("name", ENTITIES)
def test_slices_of_sampled_legal_sizes_have_levels_that_hold_all_their_chips(name):
    machine = topologies.machine(name)
    assert machine.legal_chips[-1] == machine.chips == CHIPS.get(name, machine.chips)
    sample = stream(3, "slices", name).choice(machine.legal_chips, size=min(12, len(machine.legal_chips)))
    for chips in {machine.legal_chips[0], machine.chips, *map(int, sample)}:
        assert math.prod(level.size for level in machine.slice_levels(chips)) == chips
        assert all(level.links > 0 for level in machine.slice_levels(chips))


@pytest.mark.parametrize("name", ENTITIES)
def test_counts_and_totals_equal_the_published_ones(name):
    findings = list(audit(name))
    assert [finding for finding in findings if not finding.holds] == []
    assert any(finding.what == "chips" for finding in findings)


@pytest.mark.parametrize("name", ENTITIES)
def test_its_stacks_exist_and_its_network_joins_two_of_it(name):
    machine = topologies.machine(name)
    assert all(workloads.stack(stack).name == stack for stack in machine.stacks.values())
    assert slice_of(machine, 2 * machine.chips).levels[-1].links > 0


@pytest.mark.parametrize("name", ENTITIES)
def test_what_is_sourced_traces_to_rows_of_the_reference_data(name, shared_data):
    with (shared_data / "reference" / "hardware-facts.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["entity"] in ENTITIES[name]]
    assert {row["entity"] for row in rows} == set(ENTITIES[name])
    figures = _sourced(name)
    picks = stream(3, "traces", name).permutation(len(figures))[:2]
    for pick in picks:
        figure = figures[int(pick)]
        assert any(_is_said_by(figure, row) for row in rows), figure.key


def _sourced(name: str) -> list[Figure]:
    """What others state of the whole machine: published figures, date of sale, power unless derived from its chip."""
    entry = topologies.entry(name)
    published = entry.published
    whole = [published.injection, published.memory, published.memory_bandwidth, *published.peak.values()]
    whole += [entry.dates.available, entry.power.full if entry.power.full.kind != "derived" else None]
    return [figure for figure in whole if figure is not None and figure.kind != "assumed"]


def _is_said_by(figure: Figure, row: dict[str, str]) -> bool:
    dimension, factor = UNITS.get(row["unit"], ("", 1.0))
    if dimension != figure.dimension or (dimension == "date" and row["field"] != "year"):
        return False
    said = [float(row[column]) * factor for column in ("value", "low", "high") if row[column]]
    if dimension == "date":
        return any(figure.si_low <= year + 1 and year <= figure.si_high for year in said)
    return any(math.isclose(ours, other, rel_tol=0.02) for ours in (figure.si, figure.si_high) for other in said)


class TestAtlas950:
    """A full mesh of 8 x 8 in the rack and a Clos of 224 GB/s a chip above it, or all ports into the Clos."""

    def test_the_mesh_leaves_224_of_1008_gigabytes_a_second_between_racks(self):
        levels = topologies.machine("atlas-950-superpod").slice_levels(8192)
        assert [(level.kind, level.size) for level in levels] == [("mesh", 8), ("mesh", 8), ("switch", 128)]
        rates = [level.links * level.link.bandwidth.si / 1e9 for level in levels]
        assert rates[-1] == pytest.approx(224)
        assert 7 * rates[0] + 7 * rates[1] + rates[2] == pytest.approx(1008)

    def test_the_other_reading_gives_every_chip_1008_gigabytes_a_second_between_racks(self):
        entry = topologies.entry("atlas-950-superpod")
        weights = {each.name: each.weight for each in entry.hypotheses}
        assert weights == {"mesh-and-clos": 0.8, "full-clos": 0.2}
        machine = topologies.machine("atlas-950-superpod", "full-clos")
        assert isinstance(entry.hypotheses[1].fabric, TwoTierPlanes)
        assert isinstance(entry.fabric, MeshedRacks)
        last = machine.slice_levels(8192)[-1]
        assert last.links * last.link.bandwidth.si == pytest.approx(1008e9)
        assert last.link.bandwidth.key.endswith("fabric.link.bandwidth@full-clos")

    def test_the_graph_of_the_other_reading_injects_the_same(self):
        fabric = topologies.entry("atlas-950-1024").hypotheses[1].fabric
        graph = builder_of(fabric).graph(fabric)
        assert injection_bytes_per_s(Fabric.from_graph(graph)) == pytest.approx(1008e9)

    def test_a_rack_may_be_had_and_half_a_row_more_than_one_may_not(self):
        machine = topologies.machine("atlas-950-superpod")
        assert {8, 16, 64, 128} <= set(machine.legal_chips)
        with pytest.raises(InputError, match="no legal slice"):
            machine.slice_levels(68)


def test_the_superclusters_are_their_superpods_over_another_network():
    for generation in ("950", "960"):
        pod = topologies.machine(f"atlas-{generation}-superpod")
        cluster = topologies.machine(f"atlas-{generation}-supercluster")
        assert (pod.chips, pod.chip) == (cluster.chips, cluster.chip)
        assert cluster.network.name == "uboe-950" != pod.network.name
    # 64 SuperPoDs are the announced 524,288 chips.
    assert slice_of(topologies.machine("atlas-950-supercluster"), 524_288).machines == 64


def test_the_unit_of_two_cabinets_is_twice_one():
    one, two = topologies.entry("scalex640"), topologies.entry("scalex640-x2")
    assert two.chips == 2 * one.chips
    assert two.power.full.si == pytest.approx(2 * one.power.full.si)
    assert two.published.peak["fp16"].si == pytest.approx(2 * one.published.peak["fp16"].si)
    assert [each.weight for each in two.hypotheses] == [each.weight for each in one.hypotheses]


def test_cards_of_the_10240_card_cluster_have_400_gigabits_a_second_between_cabinets():
    last = topologies.machine("scalex-10k").slice_levels(10_240)[-1]
    assert last.links * last.link.bandwidth.si * 8 / 1e9 == pytest.approx(400, rel=0.01)


@pytest.mark.parametrize(
    "name", ["ualink-1024", "sue-1024", "eth-x-256", "oisa-1024", "h3c-unipod-256", "yuanbrain-sd200"]
)
def test_a_chip_that_stands_in_is_called_so(name):
    assert "stand" in topologies.entry(name).reading
