"""The command ``topology`` and the pictures of fabrics: every machine of the catalogue, and what people get wrong."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import networkx as nx
import pytest
import typer
from matplotlib.figure import Figure as Sheet
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric, injection_bytes_per_s
from simulator.structure import metrics, structure
from supernode.cli.topology import topology
from supernode.plots.topology import plot_topology, rendered
from tests import support_fabrics
from tests.support_fabrics import frozen, link
from topologies.builders import builder_of, join
from topologies.builders.torus import slice_graph
from topologies.fabrics import (
    Dragonfly,
    FixedTorus,
    FullMesh,
    HammingMesh,
    LeafSpine,
    MeshedRacks,
    PcieTree,
    StarPlanes,
)

APP = typer.Typer()
APP.command()(topology)
MACHINES = topologies.names("machines")


LINK = link(bandwidth_gb_per_s=50)
DRAGONFLY = Dragonfly(groups=9, nodes=4, chips_per_node=8, local_links=4, global_links=2, link=LINK)
TREE = PcieTree(hosts=4, switches=4, chips_per_switch=4, uplinks=1, host_links=2, link=LINK)
SLEDS = msgspec.structs.replace(support_fabrics.TRN3, link=LINK)
SPINES = LeafSpine(groups=32, chips_per_group=8, chips_per_node=8, leaves=4, spines=18, oversubscription=2.0, link=LINK)


def run(*arguments):
    return CliRunner().invoke(APP, list(map(str, arguments)))


def answer(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def texts(ax):
    return " ".join(text.get_text() for text in [*ax.texts, *ax.get_legend().get_texts()])


@pytest.mark.parametrize("name", MACHINES)
def test_the_answer_equals_the_published_counts_of_the_machine(name):
    found, published = answer(name), topologies.entry(name).published
    assert found["schema"] == 1
    assert found["chips"] == topologies.entry(name).chips
    for count in ("chips", "switches", "edges", "links"):
        stated = getattr(published, count) if published else None
        assert stated in {None, found[count]}
    if published and published.injection:
        assert found["injection"]["value"] == pytest.approx(published.injection.si)


@pytest.mark.parametrize("name", MACHINES)
def test_every_quantity_has_a_range_a_unit_and_a_maturity(name):
    found = answer(name)
    quantities = [found["injection"], found["bisection"], found["all_to_all"]]
    quantities += [level[part] for level in found["levels"] for part in ("bandwidth", "latency")]
    for quantity in quantities:
        assert quantity["low"] <= quantity["value"] <= quantity["high"]
        assert quantity["unit"] in {"B/s", "s"}
        assert quantity["maturity"] == "verified"
        assert set(quantity["sources"]) <= set(topologies.sources())


def test_the_range_holds_every_reading_of_a_machine_that_is_not_disclosed():
    injection = answer("scalex640")["injection"]
    entry = topologies.entry("scalex640")
    readings = [each.figures["fabric.link.bandwidth"] for each in entry.hypotheses if each.figures]
    assert injection["high"] == pytest.approx(max(entry.fabric.leaves * each.si_high for each in readings))
    assert injection["low"] < injection["value"]


@pytest.mark.parametrize("name", [name for name in MACHINES if topologies.head("machines", name).chips <= 2048])
def test_the_graph_survives_graphml(name, tmp_path):
    result = run(name, "--graphml", tmp_path / "graph.graphml")
    assert result.exit_code == 0, result.output
    read = nx.read_graphml(tmp_path / "graph.graphml")
    built = frozen(topologies.entry(name).fabric)
    assert (len(read), read.number_of_edges()) == (len(built.nodes), built.edges)
    again = Fabric.from_graph(read)
    assert again.physical_links == built.physical_links
    assert injection_bytes_per_s(again) == pytest.approx(injection_bytes_per_s(built))


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_whole_in_the_format_of_its_name(suffix, start, tmp_path):
    path = tmp_path / f"fabric.{suffix}"
    result = run("hgx-h100", "--plot", path)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(start)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", MACHINES)
def test_a_picture_states_title_counts_and_how_sure_the_bandwidth_is(name):
    ax = Sheet().add_subplot()
    assert plot_topology(name, ax=ax) is ax
    said, entry = texts(ax), topologies.entry(name)
    assert entry.title in said
    assert f"{entry.chips:,} chips" in said
    assert f"({entry.fabric.link.bandwidth.kind}" in said
    assert "between 54 GB/s and 112 GB/s" in said or name != "scalex640"  # its two readings
    assert "GB/s" in said


def test_a_picture_keeps_inside_its_sheet():
    for name in MACHINES:
        ax = plot_topology(name)
        ax.figure.canvas.draw()
        sheet = ax.figure.bbox
        for text in ax.texts:
            box = text.get_window_extent()
            assert sheet.x0 <= box.x0, text.get_text()
            assert box.x1 <= sheet.x1, text.get_text()
            assert sheet.y0 <= box.y0, text.get_text()
            assert box.y1 <= sheet.y1, text.get_text()


def test_a_picture_shows_any_title_as_it_is_written():
    graph = builder_of(topologies.entry("hgx-h100").fabric).graph(topologies.entry("hgx-h100").fabric)
    graph.graph.update(title="$\\frac{" + "x " * 500, reading="$$ " * 300)
    plot_topology(graph).figure.canvas.draw()


def test_small_slices_and_joined_machines_and_unknown_graphs_have_pictures():
    torus = topologies.entry("ironwood-9216").fabric
    network = topologies.network_entry("ib-ndr-8x400").fabric
    node = topologies.entry("hgx-h100").fabric
    mesh = plot_topology(slice_graph(torus, (2, 4, 4), wraps=False))
    assert "axis z: 4 chips" in texts(mesh)
    few, many = (plot_topology(join(builder_of(node).graph(node), machines, network)) for machines in (2, 200))
    assert "1 leaf" in texts(few)
    assert "4 spines" in texts(many)
    assert "machine\n199" in texts(many)
    stranger = builder_of(node).graph(node)
    stranger.graph.clear()
    assert "8 chips, 4 switch chips" in texts(plot_topology(stranger))


@pytest.mark.parametrize(
    "fabric",
    [
        pytest.param(FixedTorus(dims=(16, 16), link=LINK), id="grid that closes"),
        pytest.param(FixedTorus(dims=(4, 4, 4), share=(1, 1, 0.5), link=LINK), id="block with narrower links"),
        pytest.param(FixedTorus(dims=(8, 4), wraps=(False, False), link=LINK), id="mesh"),
        pytest.param(FixedTorus(dims=(2,), link=LINK), id="pair"),
        pytest.param(FixedTorus(dims=(3, 2, 2, 2), link=LINK), id="four axes"),
        pytest.param(FullMesh(chips=8, links_per_pair=1, link=LINK), id="full mesh"),
        pytest.param(FullMesh(chips=1, links_per_pair=1, link=LINK), id="one chip"),
        pytest.param(MeshedRacks(dims=(8, 8), racks=128, planes=4, spines=8, link=LINK), id="meshed racks"),
        pytest.param(MeshedRacks(dims=(4, 2, 2), racks=1, planes=1, spines=1, link=LINK), id="one meshed rack"),
        pytest.param(DRAGONFLY, id="dragonfly"),
        pytest.param(msgspec.structs.replace(DRAGONFLY, groups=1), id="one group"),
        pytest.param(msgspec.structs.replace(DRAGONFLY, chips_per_node=1), id="nodes of one chip"),
        pytest.param(TREE, id="PCIe tree"),
        pytest.param(msgspec.structs.replace(TREE, hosts=40), id="many hosts"),
        pytest.param(msgspec.structs.replace(TREE, hosts=1, switches=1, chips_per_switch=1), id="one chip on PCIe"),
        pytest.param(HammingMesh(board=(2, 2), boards=(8, 4), link=LINK), id="HammingMesh"),
        pytest.param(HammingMesh(board=(4, 2), boards=(32, 32), link=LINK), id="large HammingMesh"),
        pytest.param(HammingMesh(board=(3, 3), boards=(1, 1), link=LINK), id="one board"),
        pytest.param(SLEDS, id="sleds"),
        pytest.param(msgspec.structs.replace(SLEDS, racks=1, twin_links=0), id="one rack of sleds"),
        pytest.param(msgspec.structs.replace(SLEDS, racks=4, rack_switches=8), id="four racks of sleds"),
        pytest.param(StarPlanes(chips=1024, chips_per_node=8, links=(1,) * 36, link=LINK), id="many stars"),
        pytest.param(SPINES, id="oversubscribed"),
        pytest.param(msgspec.structs.replace(SPINES, groups=1, chips_per_group=512), id="one large group"),
    ],
)
def test_every_kind_of_fabric_has_a_picture_with_a_legend_and_units_inside_its_sheet(fabric):
    graph = builder_of(fabric).graph(fabric)
    ax = plot_topology(graph)
    ax.figure.canvas.draw()
    said = texts(ax)
    assert "50 GB/s in one direction (assumed)" in said
    assert f"{sum(kind == 'chip' for _, kind in graph.nodes(data='kind')):,} chip" in said
    assert any(text.get_text().startswith("chip") for text in ax.get_legend().get_texts())
    sheet = ax.figure.bbox
    for box in [*(text.get_window_extent() for text in ax.texts), ax.get_legend().get_window_extent()]:
        assert sheet.x0 - 1 <= box.x0
        assert box.x1 <= sheet.x1 + 1
        assert sheet.y0 - 1 <= box.y0
        assert box.y1 <= sheet.y1 + 1


def test_pictures_name_what_makes_a_fabric_special():
    def said(fabric):
        return texts(plot_topology(builder_of(fabric).graph(fabric)))

    assert "oversubscribed 2 : 1" in said(SPINES)
    assert "not oversubscribed" in said(msgspec.structs.replace(SPINES, oversubscription=1.0))
    narrow = said(FixedTorus(dims=(4, 4, 4), share=(1, 1, 0.5), wraps=(True, True, False), link=LINK))
    assert "axis y: 4 chips, closed, 50 GB/s" in narrow
    assert "axis z: 4 chips, open, 25 GB/s" in narrow
    assert "7 x 1 x 50 GB/s = 350 GB/s" in said(FullMesh(chips=8, links_per_pair=1, link=LINK))
    racks = said(MeshedRacks(dims=(8, 8), racks=16, planes=4, spines=64, link=LINK))
    assert "One rack: 8 x 8 chips" in racks
    assert "axis x: 7 chips, 1 x 50 GB/s each" in racks
    assert "256 second-tier switches" in racks
    assert "between two groups: 2 x 50 GB/s" in said(DRAGONFLY)
    assert "between two nodes of a group: 4 x 50 GB/s" in said(DRAGONFLY)
    assert "to the rack switches: 5 x 50 GB/s" in said(SLEDS)
    assert "to the twin: 2 x 50 GB/s" in said(SLEDS)


def test_a_picture_is_the_same_each_time():
    graph = builder_of(DRAGONFLY).graph(DRAGONFLY)
    for ending in ("png", "svg", "pdf"):
        assert rendered(graph, ending) == rendered(graph, ending)


def test_several_machines_are_joined_by_their_network():
    found = answer("hgx-h100", "--machines", 4)
    network = topologies.network_entry(topologies.entry("hgx-h100").network)
    assert found["chips"] == 32
    assert found["network"] == network.name
    assert found["bisection"]["cut"] == "half of the machines"
    assert found["network_injection"]["value"] == pytest.approx(network.fabric.link.bandwidth.si)
    assert [level["size"] for level in found["levels"]] == [8, 4]


@pytest.mark.parametrize("name", ["gb200-nvl72", "trn3-ultraserver-gen2", "tpu-v2", "atlas-800-910a"])
def test_the_answer_has_every_metric_of_the_structure(name):
    found, known = answer(name), structure(frozen(topologies.entry(name).fabric))
    assert found["degree"] == known.degree
    assert (found["diameter"], found["mean_distance"]) == (known.diameter, known.mean_distance)
    assert found["injection"]["value"] == known.injection_bytes_per_s
    assert (found["bisection"]["value"], found["bisection"]["cut"]) == (known.bisection_bytes_per_s, known.cut)
    assert found["all_to_all"]["value"] == known.all_to_all_bytes_per_s
    assert found["all_to_all"]["low"] <= known.all_to_all_bytes_per_s <= found["all_to_all"]["high"]
    assert found["path_diversity"] == known.path_diversity
    assert found["switch_loss"] == (dataclasses.asdict(known.switch_loss) if found["switches"] else None)
    assert found["link_loss"] == dataclasses.asdict(known.link_loss)
    said = run(name).stdout
    for row in ("all to all", "ways without a common link", "loss of a link"):
        assert row in said
    assert ("loss of a switch" in said) == (found["switches"] > 0)


def test_what_would_take_minutes_is_left_open(monkeypatch):
    monkeypatch.setattr(metrics, "_MOST_QUICK", 0)
    found = answer("trn3-ultraserver-gen2")
    assert found["all_to_all"] is None
    assert found["path_diversity"] is None
    assert "too large to ask from every chip" in run("trn3-ultraserver-gen2").stdout
    assert answer("gb200-nvl72")["all_to_all"] is not None  # from one chip


def test_a_hypothesis_brings_its_own_wiring_and_its_own_figures():
    own, clos = answer("atlas-950-1024"), answer("atlas-950-1024", "--hypothesis", "full-clos")
    assert (own["hypothesis"], clos["hypothesis"]) == (None, "full-clos")
    assert own["chips"] == clos["chips"]
    assert own["switches"] < clos["switches"]
    # Every port of a chip into switches that are not oversubscribed: what it sends, it sends to all alike.
    assert clos["all_to_all"]["value"] == pytest.approx(clos["injection"]["value"])
    entry = topologies.entry("scalex640")
    for each in entry.hypotheses:
        if "fabric.link.bandwidth" in each.figures:
            rate = each.figures["fabric.link.bandwidth"]
            found = answer("scalex640", "--hypothesis", each.name)["injection"]
            ends = [entry.fabric.leaves * value for value in (rate.si_low, rate.si, rate.si_high)]
            assert [found["low"], found["value"], found["high"]] == pytest.approx(ends)
    assert "as full-clos has it" in " ".join(run("atlas-950-1024", "--hypothesis", "full-clos").stdout.split())


def test_a_range_holds_its_value_where_faster_links_draw_traffic_onto_slower_ones():
    bound = answer("trn3-ultraserver-gen2", "--machines", 2)["all_to_all"]
    assert bound["low"] < bound["high"]
    assert bound["low"] <= bound["value"] <= bound["high"]


def test_the_table_is_legible_at_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = run("cloudmatrix384")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "9,408" in result.stdout
    assert "392 GB/s" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ironwod-9216"], "did you mean ironwood-9216"),
        (["hgx-h100", "--machines", "0"], r"--machines: 0 is no number of machines"),
        (["hgx-h100", "--machines", str(10**12)], r"write 1 to \d+"),
        (["scalex640", "--hypothesis", "per-64"], r"did you mean per-640|known: .*per-640"),
        (["hgx-h100", "--hypothesis", "any"], r"hgx-h100 has no hypotheses"),
        (["--all", "--hypothesis", "any"], r"--all is of every machine"),
        (["hgx-h100", "--plot", "fabric.jpg"], r"--plot fabric.jpg: cannot draw a .jpg"),
        (["hgx-h100", "--plot", "fabric"], r"cannot draw a file without suffix"),
    ],
)
def test_wrong_arguments_get_one_message_with_a_remedy(arguments, message):
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    with pytest.raises(InputError, match=message):
        raise result.exception
    assert "\n  " in str(result.exception)
