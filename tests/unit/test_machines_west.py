"""Machines of NVIDIA, AMD, Intel, Google and AWS, and the networks between them: their counts, slices and sources."""

from __future__ import annotations

import csv
import math

import pytest

import topologies
import workloads
from simulator.figures import Figure, figures_of
from simulator.machine import slice_of
from simulator.streams import stream
from topologies.audit import audit

CHIPS = {
    "arc-pro-b60-server": 8,
    "dgx-2-v100": 16,
    "dgx-h100-superpod": 256,
    "gaudi-8": 8,
    "gb200-nvl72": 72,
    "gb300-nvl72": 72,
    "grand-teton-h100-96gb": 8,
    "h200-nvl-pcie": 8,
    "helios-72": 72,
    "hgx-a100-40gb": 8,
    "hgx-a100-80gb": 8,
    "hgx-a800": 8,
    "hgx-b200": 8,
    "hgx-b300": 8,
    "hgx-h100": 8,
    "hgx-h20": 8,
    "hgx-h200": 8,
    "hgx-h800": 8,
    "hgx-v100": 8,
    "ironwood-256": 256,
    "ironwood-9216": 9216,
    "l40s-server": 8,
    "mi300x-8": 8,
    "mi325x-8": 8,
    "mi350x-8": 8,
    "mi355x-8": 8,
    "rtx-4090-server": 8,
    "rtx-pro-6000-server": 8,
    "rubin-ultra-nvl576": 144,
    "tpu-v2": 256,
    "tpu-v4": 4096,
    "tpu-v5e": 256,
    "tpu-v5p": 8960,
    "tpu-v6e": 256,
    "trn-ultracluster": 64,
    "trn1-32xlarge": 16,
    "trn2-ultraserver": 64,
    "trn3-ultraserver-gen1": 64,
    "trn3-ultraserver-gen2": 144,
    "vr-nvl72": 72,
}
"""Machine -> its chips (packages)."""

NETWORKS = {
    "ib-edr-100": 100,
    "ib-hdr-200": 800,
    "ib-hdr-800": 800,
    "ib-hdr-8x200": 1600,
    "ib-ndr-8x400": 3200,
    "roce-1600": 1600,
    "roce-8x400": 3200,
    "efa-400": 400,
    "efa-3200": 3200,
    "gcp-tcpx-1000": 800,
    "gcp-tcpxo-1800": 1600,
    "opa-4x100": 400,
}
"""Network -> bandwidth of the ports of a node of eight [Gb/s]; one adapter of the two TCPX networks is the host's."""

UNITS = {
    "GB/s": ("bytes_per_s", 1e9),
    "TB/s": ("bytes_per_s", 1e12),
    "Gb/s": ("bytes_per_s", 1e9 / 8),
    "TB": ("bytes", 1e12),
    "PFLOPS": ("flops", 1e15),
    "kW": ("w", 1e3),
    "us": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "USD": ("usd", 1.0),
    "USD/h": ("usd_per_s", 1.0 / 3600),
    "USD/kWh": ("usd_per_j", 1.0 / 3.6e6),
    "": ("date", 1.0),
}
"""Unit of a row of the reference data -> dimension and SI factor."""


@pytest.mark.parametrize("name", CHIPS)
def test_sampled_legal_slices_have_levels_that_hold_all_their_chips(name):
    machine = topologies.machine(name)
    assert machine.legal_chips[-1] == machine.chips == CHIPS[name]
    sample = stream(5, "slices", name).choice(machine.legal_chips, size=min(16, len(machine.legal_chips)))
    for chips in {machine.legal_chips[0], machine.chips, *map(int, sample)}:
        assert math.prod(level.size for level in machine.slice_levels(chips)) == chips
        assert all(level.links > 0 for level in machine.slice_levels(chips))


@pytest.mark.parametrize("name", CHIPS)
def test_counts_and_totals_equal_the_published_ones(name):
    assert [finding for finding in audit(name) if not finding.holds] == []


@pytest.mark.parametrize("name", CHIPS)
def test_its_stacks_exist_and_its_network_joins_two_of_it(name):
    machine = topologies.machine(name)
    assert all(workloads.stack(stack).name == stack for stack in machine.stacks.values())
    assert slice_of(machine, 2 * machine.chips).levels[-1].link == machine.network.link


@pytest.mark.parametrize("name", CHIPS)
def test_it_can_be_had_only_after_it_was_announced(name):
    dates = topologies.entry(name).dates
    if dates is not None:
        assert dates.announced.si <= dates.available.si


@pytest.mark.parametrize(("name", "gigabits_per_s"), NETWORKS.items())
def test_the_ports_of_a_node_of_eight_carry_what_the_name_says(name, gigabits_per_s):
    level = topologies.network(name).level(machines=2, chips=8)
    assert 8 * level.links * level.link.bandwidth.si * 8 / 1e9 == pytest.approx(gigabits_per_s)


@pytest.mark.parametrize(
    ("name", "gigabytes_per_s"),
    # Per chip and direction, e.g. 8 links of 25, 18 of 50, 7 of 64 and of 76.5; (1,024 + 256) / 2; 6 x 45 and 4 x 90.
    [
        ("hgx-a100-80gb", 300),
        ("hgx-h800", 200),
        ("hgx-b200", 900),
        ("vr-nvl72", 1800),
        ("mi300x-8", 448),
        ("mi355x-8", 535.5),
        ("helios-72", 1800),
        ("trn2-ultraserver", 640),
        ("tpu-v4", 270),
        ("tpu-v6e", 360),
    ],
)
def test_a_chip_injects_what_its_vendor_states(name, gigabytes_per_s):
    machine = topologies.machine(name)
    each = {"axis": lambda _: 2, "switch": lambda _: 1, "mesh": lambda level: level.size - 1}
    rates = [
        level.links * level.link.bandwidth.si * each[level.kind](level) for level in machine.slice_levels(machine.chips)
    ]
    assert sum(rates) / 1e9 == pytest.approx(gigabytes_per_s)


def test_half_of_what_enters_the_switches_of_a_node_leaves_it_in_the_pod_of_256():
    inside, between = topologies.machine("dgx-h100-superpod").slice_levels(256)
    assert (inside.size, between.size) == (8, 32)
    assert inside.links * inside.link.bandwidth.si == pytest.approx(450e9)
    assert between.links * between.link.bandwidth.si == pytest.approx(225e9)


def test_the_two_wirings_of_nvl576_have_one_and_two_levels_of_the_same_bandwidth():
    one = topologies.machine("rubin-ultra-nvl576", "one-tier").slice_levels(144)
    two = topologies.machine("rubin-ultra-nvl576", "two-tiers").slice_levels(144)
    assert [level.size for level in one] == [144]
    assert [level.size for level in two] == [36, 4]
    rates = [level.links * level.link.bandwidth.si for level in (*one, *two)]
    assert rates == pytest.approx([3600e9] * 3)


def test_the_three_statements_on_trn3_are_readings_of_one_machine():
    name = "trn3-ultraserver-gen2"
    rates = {
        hypothesis.name: 11 * topologies.machine(name, hypothesis.name).slice_levels(144)[0].link.bandwidth.si / 1e9
        for hypothesis in topologies.entry(name).hypotheses
    }
    assert rates == {
        "system-table": pytest.approx(1100),
        "link-table": pytest.approx(704),
        "chip-page": pytest.approx(1280, rel=1e-3),
    }


@pytest.mark.parametrize(("chips", "wraps"), [(256, [True, True]), (128, [False, True]), (64, [False, False])])
def test_an_axis_of_a_two_dimensional_pod_closes_only_where_a_slice_spans_it(chips, wraps):
    assert [level.wraps for level in topologies.machine("tpu-v5e").slice_levels(chips)] == wraps


@pytest.mark.parametrize("name", CHIPS)
def test_what_is_sourced_traces_to_rows_of_the_reference_data(name, shared_data):
    with (shared_data / "reference" / "hardware-facts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figures = [
        (figure, said)
        for figure in figures_of(topologies.entry(name))
        if figure.key.startswith("machine/") and figure.kind not in {"assumed", "derived"} and figure.dimension != "1"
        # The rows know years; the day of a launch is from a dated document, and its place there is not called a year.
        if figure.dimension != "date" or figure.locator.startswith("year")
        if (said := _rows_of(figure, rows))
    ]
    for pick in stream(5, "traces", name).permutation(len(figures))[:2]:
        figure, said = figures[int(pick)]
        assert any(_is_said_by(figure, row) for row in said), figure.key


def _rows_of(figure: Figure, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows from the source of the figure: by its address, or by the first words of its title where it has none."""
    source = topologies.sources()[figure.source]
    maker = source.title.partition(":")[0]
    return [row for row in rows if (row["source_url"] == source.url if source.url else maker in row["source_title"])]


def _is_said_by(figure: Figure, row: dict[str, str]) -> bool:
    dimension, factor = UNITS.get(row["unit"], ("", 1.0))
    if dimension != figure.dimension or (dimension == "date" and row["field"] != "year"):
        return False
    said = [float(row[column]) * factor for column in ("value", "low", "high") if row[column]]
    if dimension == "date":
        return any(math.floor(figure.si_low) <= year <= figure.si_high for year in said)
    return any(math.isclose(ours, other, rel_tol=0.02) for ours in (figure.si, figure.si_high) for other in said)
