"""The command ``topology`` and the pictures of fabrics: every machine of the catalogue, and what people get wrong."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import typer
from matplotlib.figure import Figure as Sheet
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric, injection_bytes_per_s
from supernode.cli.topology import topology
from supernode.plots.topology import plot_topology
from topologies.builders import builder_of, join
from topologies.builders.torus import slice_graph

APP = typer.Typer()
APP.command()(topology)
MACHINES = topologies.names("machines")


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
    quantities = [found["injection"], found["bisection"]]
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


@pytest.mark.parametrize("name", MACHINES)
def test_the_graph_survives_graphml(name, tmp_path):
    result = run(name, "--graphml", tmp_path / "graph.graphml")
    assert result.exit_code == 0, result.output
    read = nx.read_graphml(tmp_path / "graph.graphml")
    frozen = Fabric.from_graph(builder_of(topologies.entry(name).fabric).graph(topologies.entry(name).fabric))
    assert (len(read), read.number_of_edges()) == (len(frozen.nodes), frozen.edges)
    again = Fabric.from_graph(read)
    assert again.physical_links == frozen.physical_links
    assert injection_bytes_per_s(again) == pytest.approx(injection_bytes_per_s(frozen))


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


def test_several_machines_are_joined_by_their_network():
    found = answer("hgx-h100", "--machines", 4)
    network = topologies.network_entry(topologies.entry("hgx-h100").network)
    assert found["chips"] == 32
    assert found["network"] == network.name
    assert found["bisection"]["cut"] == "half of the machines"
    assert found["network_injection"]["value"] == pytest.approx(network.fabric.link.bandwidth.si)
    assert [level["size"] for level in found["levels"]] == [8, 4]


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
