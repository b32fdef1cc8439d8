"""Machines from elsewhere: what nvidia-smi prints, GraphML, InfraGraph, and the page that says how to write one."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path

import networkx as nx
import pytest
from typer.testing import CliRunner

import topologies
from simulator.fabric import Fabric, bisection, degree, distances, injection_bytes_per_s
from supernode.cli import app
from topologies.builders import builder_of
from topologies.fabrics import tag_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-own-machine.md"


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def matrix(cells, numa=(), nics=(), separator="\t"):
    """The output of nvidia-smi topo -m for GPUs whose upper triangle ``cells(a, b)`` gives."""
    gpus, count = range(len(numa)), len(numa)
    lines = [separator.join(["", *(f"GPU{g}" for g in gpus), *nics, "CPU Affinity", "NUMA Affinity"])]
    for a in gpus:
        row = [" X " if a == b else cells(min(a, b), max(a, b)) for b in range(count)]
        lines.append(separator.join([f"GPU{a}", *row, *("SYS" for _ in nics), f"{8 * a}-{8 * a + 7}", str(numa[a])]))
    lines += [separator.join([nic, *("SYS" for _ in gpus), *(" X " for _ in nics)]) for nic in nics]
    return "\n".join([*lines, "", "Legend:", "  X    = Self", "  NV#  = a bonded set of # NVLinks", ""])


def imported(tmp_path, kind, content, like="hgx-h100", name="found"):
    source, target = tmp_path / f"{name}.{'json' if kind == 'infragraph' else 'txt'}", tmp_path / f"{name}.toml"
    source.write_text(content, encoding="utf-8")
    said = json.loads(run("import", kind, source, "--like", like, "--out", target, "--json"))
    assert said["schema"] == 1
    assert Path(said["file"]) == target
    return said, topologies.entry(str(target))


def metrics(graph):
    frozen = Fabric.from_graph(graph)
    far = distances(frozen)
    counts = (frozen.chips, frozen.switches, frozen.edges, frozen.physical_links, degree(frozen), far.diameter)
    rates = (injection_bytes_per_s(frozen), bisection(frozen)[0] if frozen.cuts else 0.0)
    return counts, (far.mean, *rates)


def metrics_of(name):
    fabric = topologies.entry(str(name)).fabric
    return metrics(builder_of(fabric).graph(fabric))


# Facts of the machines as people print them: DGX-1 (V100), DGX-2, DGX A100, HGX H100, a workstation with two cards.
DGX1 = {(0, 3): 2, (0, 4): 2, (1, 2): 2, (1, 5): 2, (2, 3): 2, (4, 7): 2, (5, 6): 2, (6, 7): 2} | dict.fromkeys(
    [(0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)], 1
)
SWITCHED = {"DGX-2": (16, 6), "DGX A100": (8, 12), "HGX H100": (8, 18)}


@pytest.mark.parametrize("name", SWITCHED)
def test_as_many_nvlinks_between_all_as_one_gpu_has_lead_through_switches(tmp_path, name):
    gpus, links = SWITCHED[name]
    text = matrix(lambda *_: f"NV{links}", [g * 2 // gpus for g in range(gpus)], nics=("NIC0", "mlx5_1"))
    said, entry = imported(tmp_path, "nvidia-smi", text)
    assert said["builder"] == "star-planes"
    assert (entry.chips, sum(entry.fabric.links)) == (gpus, links)
    assert f"{gpus} GPUs, 2 NICs and 2 NUMA nodes" in entry.note


def test_an_hgx_h100_as_printed_is_the_machine_of_the_catalogue(tmp_path):
    text = matrix(lambda *_: "NV18", [0, 0, 0, 0, 1, 1, 1, 1])
    imported(tmp_path, "nvidia-smi", text)
    assert metrics_of(tmp_path / "found.toml") == metrics_of("hgx-h100")
    ours, theirs = topologies.entry(str(tmp_path / "found.toml")), topologies.entry("hgx-h100")
    assert ours.fabric.link.bandwidth.source == theirs.fabric.link.bandwidth.source
    assert (ours.prices.capital.value, ours.prices.capital.note) == (
        theirs.prices.capital.value,
        theirs.prices.capital.note,
    )


def test_four_gpus_with_four_links_each_pair_are_a_full_mesh(tmp_path):
    said, entry = imported(tmp_path, "nvidia-smi", matrix(lambda *_: "NV4", [0, 0, 1, 1]))
    assert (said["builder"], entry.fabric.links_per_pair) == ("full-mesh", 4)
    assert entry.prices.capital.kind == "assumed"
    assert entry.prices.capital.si == pytest.approx(topologies.entry("hgx-h100").prices.capital.si / 2)


def test_the_cube_mesh_of_dgx_1_is_listed_with_its_six_links_a_gpu(tmp_path):
    text = matrix(lambda a, b: f"NV{DGX1[a, b]}" if (a, b) in DGX1 else "SYS", [0, 0, 0, 0, 1, 1, 1, 1])
    said, entry = imported(tmp_path, "nvidia-smi", text)
    assert said["builder"] == "edge-list"
    frozen = Fabric.from_graph(builder_of(entry.fabric).graph(entry.fabric))
    assert (frozen.edges, frozen.physical_links, degree(frozen)) == (16, 24, 4)
    assert distances(frozen).diameter == 2
    assert injection_bytes_per_s(frozen) == 6 * 25e9
    # every half of eight GPUs by hand: 2 + 2 + 1 + 1 links leave the first four, and no half has fewer
    widths = [
        sum(links for (a, b), links in DGX1.items() if (a in half) != (b in half))
        for half in itertools.combinations(range(8), 4)
    ]
    assert bisection(frozen)[0] == min(widths) * 25e9
    (level,) = builder_of(entry.fabric).levels(entry.fabric, 8)
    assert (level.links, level.hops) == (2 * min(widths) / 8, 2)


def test_cards_without_nvlink_are_a_tree_of_pci_express_with_an_assumed_range(tmp_path):
    text = matrix(lambda a, b: "PIX" if a // 2 == b // 2 else "PHB" if a // 4 == b // 4 else "SYS", [0] * 4 + [1] * 4)
    said, entry = imported(tmp_path, "nvidia-smi", text)
    fabric = entry.fabric
    assert (said["builder"], fabric.hosts, fabric.switches, fabric.chips_per_switch) == ("pcie-tree", 2, 2, 2)
    assert fabric.link.bandwidth.kind == "assumed"
    assert fabric.link.bandwidth.low < fabric.link.bandwidth.value < fabric.link.bandwidth.high


def test_an_irregular_tree_and_bridged_pairs_are_listed(tmp_path):
    def cells(a, b):
        return "PIX" if b < 3 else "SYS"

    assert imported(tmp_path, "nvidia-smi", matrix(cells, [0, 0, 0, 1]))[0]["builder"] == "edge-list"
    bridged, entry = imported(
        tmp_path, "nvidia-smi", matrix(lambda a, b: "NV12" if a // 2 == b // 2 else "SYS", [0, 0, 1, 1]), name="bridged"
    )
    assert bridged["builder"] == "edge-list"
    assert {bundle.links for bundle in entry.fabric.bundles} == {1, 12}


@pytest.mark.parametrize("separator", ["\t", "   "])
def test_tabs_spaces_and_underlines_are_read_alike(tmp_path, separator):
    text = matrix(lambda *_: "NV18", [0] * 8, separator=separator)
    heading, _, rest = text.partition("\n")
    text = f"\x1b[4m{heading}\x1b[0m\n{rest}"
    assert imported(tmp_path, "nvidia-smi", text)[1].fabric.links == topologies.entry("hgx-h100").fabric.links


MACHINES = ("hgx-h100", "gb200-nvl72", "cloudmatrix384", "scalex640")


@pytest.mark.parametrize("like", ["itself", "hgx-h100"])
@pytest.mark.parametrize("name", MACHINES)
def test_an_export_comes_back_as_the_same_graph_from_the_same_builder(tmp_path, name, like):
    run("topology", name, "--graphml", tmp_path / "x.graphml")
    like = name if like == "itself" else like
    run("import", "graphml", tmp_path / "x.graphml", "--like", like, "--out", tmp_path / "x.toml")
    ours, theirs = metrics_of(tmp_path / "x.toml"), metrics_of(name)
    assert ours[0] == theirs[0]
    assert ours[1] == pytest.approx(theirs[1], rel=1e-9)
    tag = tag_of(topologies.entry(str(tmp_path / "x.toml")).fabric)
    assert tag == tag_of(topologies.entry(name).fabric)


def plain(graph):
    """A graph of chips as GraphML with the three attributes that are needed."""
    nx.set_node_attributes(graph, "chip", "kind")
    for _, _, data in graph.edges.data():
        data.clear()
        data.update(bandwidth_bytes_per_s=5e10, latency_s=1e-6)
    return "\n".join(nx.generate_graphml(graph))


def torus(*dims):
    return nx.convert_node_labels_to_integers(nx.grid_graph(dims, periodic=True))


def twisted(a, b, shift):
    """A torus of a x b whose links around the first axis also move along the second."""
    found = nx.Graph()
    for i, j in itertools.product(range(a), range(b)):
        found.add_edge(i * b + j, (i + 1) % a * b + (j + shift * (i == a - 1)) % b)
        found.add_edge(i * b + j, i * b + (j + 1) % b)
    return found


@pytest.mark.parametrize(
    ("graph", "builder"),
    [
        (nx.complete_graph(8), "full-mesh"),
        (torus(4, 4), "fixed-torus"),
        (torus(3, 4, 5), "fixed-torus"),
        (twisted(4, 8, 4), "edge-list"),
        (nx.petersen_graph(), "edge-list"),
        (nx.path_graph(5), "edge-list"),
    ],
    ids=["full mesh", "4x4", "3x4x5", "twisted 4x8", "Petersen", "path"],
)
def test_plain_graphs_find_their_builder_or_are_listed(tmp_path, graph, builder):
    said, entry = imported(tmp_path, "graphml", plain(graph))
    assert said["builder"] == builder
    again = builder_of(entry.fabric).graph(entry.fabric)
    assert nx.is_isomorphic(again, graph)
    assert injection_bytes_per_s(Fabric.from_graph(again)) == min(d for _, d in graph.degree) * 5e10


def test_a_large_regular_graph_is_no_torus_because_it_has_as_many_neighbours(tmp_path):
    said, _ = imported(tmp_path, "graphml", plain(nx.random_regular_graph(4, 2500, seed=1)))
    assert said["builder"] == "edge-list"
    assert imported(tmp_path, "graphml", plain(torus(50, 50)), name="torus")[0]["builder"] == "fixed-torus"


def test_figures_of_a_file_name_the_file_as_their_source(tmp_path):
    _, entry = imported(tmp_path, "graphml", plain(nx.complete_graph(4)))
    rate = entry.fabric.link.bandwidth
    assert (rate.si, rate.source) == (5e10, "imported-file")
    assert "found.txt" in entry.sources["imported-file"].title


def infragraph(**changes):
    rate = {"bandwidth": {"choice": "gigabits_per_second", "gigabits_per_second": 400}, "latency": {"us": 0.5}}
    parts = [("xpu", "xpu", 8), ("asic", "switch", 2), ("port", "port", 2), ("hbm", "memory", 8)]
    server = {
        "name": "server",
        "components": [{"name": name, "choice": choice, "count": count} for name, choice, count in parts],
        "links": [{"name": "wire", "physical": rate}],
        "edges": [
            {
                "ep1": {"component": "xpu[0:8]"},
                "ep2": {"component": "asic[0:2]"},
                "scheme": "many2many",
                "link": "wire",
            },
            {"ep1": {"component": "asic[0:2]"}, "ep2": {"component": "port"}, "scheme": "one2one", "link": "wire"},
        ],
    }
    tree = {"name": "x", "devices": [server], "links": [{"name": "cable", "physical": rate}]}
    tree |= {"instances": [{"name": "host", "device": "server", "count": 1}], "edges": []}
    return tree | changes


def test_infragraph_devices_become_chips_on_switches(tmp_path):
    said, entry = imported(tmp_path, "infragraph", json.dumps(infragraph()))
    assert (said["builder"], entry.fabric.links) == ("star-planes", (1, 1))
    assert entry.fabric.link.bandwidth.si == 50e9
    assert entry.fabric.link.latency.si == pytest.approx(0.5e-6)


def test_infragraph_instances_are_joined_through_their_ports(tmp_path):
    end = {"instance": "host[0:2]", "component": "port[0:2]"}
    edges = [{"ep1": end | {"instance": "host[0]"}, "ep2": end | {"instance": "host[1]"}, "link": "cable"}]
    hosts = [{"name": "host", "device": "server", "count": 2}]
    _, entry = imported(tmp_path, "infragraph", json.dumps(infragraph(instances=hosts, edges=edges)))
    frozen = Fabric.from_graph(builder_of(entry.fabric).graph(entry.fabric))
    assert (frozen.chips, frozen.switches, frozen.edges) == (16, 4, 34)
    assert distances(frozen).diameter == 3
    assert bisection(frozen)[0] == 2 * 50e9


def test_the_same_file_gives_the_same_bytes(tmp_path):
    text = matrix(lambda a, b: f"NV{DGX1[a, b]}" if (a, b) in DGX1 else "SYS", [0] * 8)
    imported(tmp_path, "nvidia-smi", text)
    first = (tmp_path / "found.toml").read_bytes()
    imported(tmp_path, "nvidia-smi", text)
    assert (tmp_path / "found.toml").read_bytes() == first


def test_a_folder_as_target_gets_a_file_named_as_the_source(tmp_path):
    (tmp_path / "My Box.txt").write_text(matrix(lambda *_: "NV18", [0] * 8), encoding="utf-8")
    run("import", "nvidia-smi", tmp_path / "My Box.txt", "--like", "hgx-h100", "--out", tmp_path)
    assert tomllib.loads((tmp_path / "my-box.toml").read_text(encoding="utf-8"))["name"] == "my-box"


def test_the_machine_on_the_page_works_in_compare(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "my-cluster.toml"
    path.write_text(text, encoding="utf-8")
    said = json.loads(run("compare", path, "hgx-h100", "--workload", "train-llama3-8b", "--quick", "--json"))
    assert said["machines"]["my-cluster"]["chips"] >= 16
    rates = said["machines"]["my-cluster"]["workloads"]["train-llama3-8b"]
    assert rates["tokens_per_s"]["value"] > 0


def test_commands_on_the_page_are_commands():
    page = PAGE.read_text(encoding="utf-8")
    for kind in ("nvidia-smi", "graphml", "infragraph"):
        assert f"supernode import {kind}" in page
        assert "--like" in run("import", kind, "--help")
