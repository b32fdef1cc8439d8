"""Files to import that are wrong by mistake or on purpose: one message that names the file, and nothing is written."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import topologies
from simulator.errors import InputError
from supernode.cli.import_ import graphml, infragraph, nvidia_smi
from topologies.imports import nvidia_smi as matrices
from topologies.imports.toml_text import toml

KEYS = "".join(
    f'<key id="{key}" for="{of}" attr.name="{name}" attr.type="string"/>'
    for key, of, name in (
        ("k", "node", "kind"),
        ("b", "edge", "bandwidth_bytes_per_s"),
        ("l", "edge", "latency_s"),
        ("n", "edge", "links"),
        ("d", "edge", "domain"),
    )
)
NODES = '<node id="a"><data key="k">chip</data></node><node id="b"><data key="k">chip</data></node>'


def edge(a="a", b="b", rate="5e10", delay="1e-6", more=""):
    data = f'<data key="b">{rate}</data><data key="l">{delay}</data>{more}'
    return f'<edge source="{a}" target="{b}">{data}</edge>'


PAIR = NODES + edge()


def xml(body=PAIR, head="", direction="undirected"):
    return f'<?xml version="1.0"?>{head}<graphml>{KEYS}<graph edgedefault="{direction}">{body}</graph></graphml>'


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
MANY = "".join(f'<node id="n{i}"><data key="k">chip</data></node>' for i in range(70_000))
GRAPHS = {
    "a bomb of entities": (xml(head=f'<!DOCTYPE g [<!ENTITY l0 "ha">{LAUGHS}]>'), "document type"),
    "a document type from outside": (xml(head='<!DOCTYPE g SYSTEM "file:///etc/passwd">'), "document type"),
    "an entity that nobody declares": (xml(NODES.replace("chip", "&x;")), "is not XML"),
    "a directed graph": (xml(direction="directed"), "edgedefault"),
    "no direction": (xml(direction=""), "edgedefault"),
    "a directed edge": (xml(NODES + edge().replace("<edge", '<edge directed="true"')), "directed"),
    "a graph inside a node": (xml('<node id="a"><graph edgedefault="undirected"/></node>'), "second graph"),
    "elements inside elements": (xml("<desc>" * 100_000), "nested deeper"),
    "a hyperedge": (xml(NODES + "<hyperedge/>"), "hyperedge"),
    "another element": (xml("<script/>"), "not understood"),
    "another document": ("<html/>", "not understood"),
    "no graph": ("<graphml/>", "holds no graph"),
    "nothing": ("", "is not XML"),
    "half of a file": (xml()[:-20], "is not XML"),
    "no kind": (xml('<node id="a"/>'), "has no kind"),
    "an unknown kind": (xml(NODES.replace("chip", "toaster")), "toaster"),
    "no chip": (xml(NODES.replace("chip", "switch") + edge()), "no chip"),
    "a node without id": (xml("<node/>"), "has no id"),
    "a node twice": (xml(NODES + NODES), "twice"),
    "an edge to nowhere": (xml(NODES + edge(b="c")), "no node"),
    "an edge to itself": (xml(NODES + edge(b="a")), "joined to itself"),
    "no bandwidth": (xml(NODES + '<edge source="a" target="b"/>'), "bandwidth_bytes_per_s"),
    "a bandwidth of nan": (xml(NODES + edge(rate="nan")), "no bandwidth"),
    "an endless bandwidth": (xml(NODES + edge(rate="inf")), "no bandwidth"),
    "a negative bandwidth": (xml(NODES + edge(rate="-5e10")), "no bandwidth"),
    "no bandwidth at all": (xml(NODES + edge(rate="0")), "no bandwidth"),
    "a bandwidth in words": (xml(NODES + edge(rate="fast")), "no bandwidth"),
    "a negative latency": (xml(NODES + edge(delay="-1")), "no latency"),
    "an endless latency": (xml(NODES + edge(delay="1e300")), "no latency"),
    "half a link": (xml(NODES + edge(more='<data key="n">0.5</data>')), "links"),
    "a billion links": (xml(NODES + edge(more='<data key="n">1e9</data>')), "links"),
    "a value of a megabyte": (xml(NODES + edge(rate="5" * 1_000_000)), "longer than"),
    "links of two kinds": (xml(NODES + edge() + edge(rate="6e10")), "different kinds"),
    "two parts": (xml(NODES), "cannot be reached"),
    "a network between machines": (xml(NODES + edge(more='<data key="d">scale_out</data>')), "between machines"),
    "too many nodes": (xml(MANY), "more than 65,536 nodes"),
    "escapes for a terminal": (xml(NODES.replace("chip", "&#x202e;gpj")), "no kind"),
}


def refused(tmp_path, command, content, suffix="txt", like="hgx-h100"):
    source, target = tmp_path / f"bad.{suffix}", tmp_path / "out.toml"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        command(source, target, like)
    message = str(caught.value)
    where, _, remedy = message.partition("\n")
    assert str(source) in where or "--like" in where or "as it would be written" in where
    assert remedy.strip()
    assert len(message) < 1500
    assert all(letter.isprintable() for letter in message.replace("\n", ""))
    assert not target.exists()
    return message


@pytest.mark.parametrize("name", GRAPHS)
def test_a_bad_graph_is_refused_with_one_message(tmp_path, name):
    content, said = GRAPHS[name]
    assert said in refused(tmp_path, graphml, content)


@pytest.mark.parametrize("command", [graphml, infragraph, nvidia_smi])
def test_what_is_no_text_is_refused(tmp_path, command):
    assert "not UTF-8" in refused(tmp_path, command, b"\xff\xfe<\x00")
    assert "NUL" in refused(tmp_path, command, xml().encode("utf-16-le"))
    assert "larger than" in refused(tmp_path, command, b" " * ((16 << 20) + 1))


def test_files_that_are_none_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / ("x" * 400), tmp_path / "a\0b"):
        with pytest.raises(InputError):
            graphml(path, tmp_path / "out.toml", "hgx-h100")


def test_without_the_machine_to_be_like_the_known_ones_are_named(tmp_path):
    assert "hgx-h100" in refused(tmp_path, graphml, xml(), like="")
    with pytest.raises(InputError, match="hgx-h100"):
        graphml(tmp_path / "bad.txt", tmp_path / "out.toml", "hgx-h101")


ROWS = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-7\nGPU1\tNV4\t X \t0-7\n"
MATRICES = {
    "nothing": ("", "no line that starts with GPU0"),
    "a driver that is not there": ("NVIDIA-SMI has failed", "no line"),
    "a missing row": (ROWS.replace("GPU1\tNV4", "GPU7\tNV4"), "no row of GPU1"),
    "a row twice": (ROWS + "GPU1\tNV4\t X \t0-7\n", "twice"),
    "a short row": (ROWS.replace("\tNV4\t0-7", ""), "entries for 2 columns"),
    "halves that disagree": (ROWS.replace("NV4", "NV2", 1), "NV2"),
    "what nvidia-smi does not say": (ROWS.replace("NV4", "NV-4"), "not known"),
    "no links": (ROWS.replace("NV4", "NV0"), "not known"),
    "a diagonal that is none": (ROWS.replace(" X ", "NV4", 1), "joined by"),
    "a column twice": (ROWS.replace("GPU1\tCPU", "GPU0\tCPU"), "heads two columns"),
    "a thousand GPUs": ("\t".join(f"GPU{i}" for i in range(1000)), "at most 256"),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_bad_matrix_is_refused_with_one_message(tmp_path, name):
    content, said = MATRICES[name]
    assert said in refused(tmp_path, nvidia_smi, content)


def test_nvlinks_like_a_machine_that_has_none_are_refused(tmp_path):
    assert "nvlink" in refused(tmp_path, nvidia_smi, ROWS, like="ironwood-9216").lower()


def infra(**changes):
    link = {"name": "wire", "physical": {"bandwidth": {"gigabytes_per_second": 50}}}
    device = {"name": "box", "components": [{"name": "xpu", "choice": "xpu", "count": 4}], "links": [link]}
    both = {"ep1": {"component": "xpu"}, "ep2": {"component": "xpu"}, "scheme": "many2many", "link": "wire"}
    device |= {"edges": [both]}
    device |= {key: changes.pop(key) for key in ("components", "edges", "links") if key in changes}
    return json.dumps({"devices": [device], "instances": [{"name": "box", "device": "box", "count": 1}]} | changes)


def joined(**changes):
    return [{"ep1": {"component": "xpu"}, "ep2": {"component": "xpu"}, "link": "wire"} | changes]


def wire(**bandwidth):
    return [{"name": "wire", "physical": {"bandwidth": bandwidth}}]


TREES = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "array"),
    "depth": ("[" * 100_000, "nested too deeply"),
    "a number without end": ("1" * 100_000, "huge number"),
    "no devices": ("{}", "devices"),
    "a billion chips": (infra(components=[{"name": "xpu", "choice": "xpu", "count": 10**9}]), "1,000,000,000"),
    "a billion instances": (infra(instances=[{"name": "b", "device": "box", "count": 10**9}]), "nodes"),
    "a negative count": (infra(components=[{"name": "xpu", "choice": "xpu", "count": -1}]), ">= 1"),
    "an instance of nothing": (infra(instances=[{"name": "b", "device": "sock"}]), "no device"),
    "a device in a device": (infra(components=[{"name": "box", "choice": "device"}]), "device"),
    "an edge to nothing": (infra(edges=joined(ep2={"component": "asic"})), "asic"),
    "an index too high": (infra(edges=joined(ep2={"component": "xpu[0:9]"})), "more than there are"),
    "a slice backwards": (infra(edges=joined(ep2={"component": "xpu[3:1]"})), "picks none"),
    "a path as a name": (infra(edges=joined(ep2={"component": "../../etc"})), "no endpoint"),
    "one to some": (infra(edges=joined(ep2={"component": "xpu[0:2]"})), "one2one"),
    "an unknown scheme": (infra(edges=joined(scheme="star")), "star"),
    "an unknown link": (infra(edges=joined(link="string")), "no link"),
    "transfers": (infra(links=wire(gigatransfers_per_second=32)), "gigabits_per_second"),
    "nan": (infra(links=wire(gigabits_per_second=float("nan"))), "no bandwidth"),
    "a negative bandwidth": (infra(links=wire(gigabits_per_second=-1)), "no bandwidth"),
    "a bandwidth in words": (infra(links=wire(gigabits_per_second="much")), "no bandwidth"),
    "two units": (infra(links=wire(gigabits_per_second=8, gigabytes_per_second=1)), "states no quantity"),
}


@pytest.mark.parametrize("name", TREES)
def test_a_bad_infragraph_is_refused_with_one_message(tmp_path, name):
    content, said = TREES[name]
    assert said in refused(tmp_path, infragraph, content, "json")


def test_yaml_is_not_read(tmp_path):
    assert "YAML" in refused(tmp_path, infragraph, "devices: []", "yaml")


def test_names_in_a_file_do_not_lead_out_of_the_folder(tmp_path):
    source = tmp_path / "...a..txt"
    source.write_text(ROWS, encoding="utf-8")
    nvidia_smi(source, tmp_path / "inside", "hgx-h100")
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["a.toml"]


LISTED = """[fabric]\nbuilder = "edge-list"\nchips = 2\nbundles = [{{ pairs = {pairs} }}]\n"""


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ("[[0, 2]]", "no node"),
        ("[[0, 0]]", "joined to itself"),
        ("[[0, 1], [1, 0]]", "twice"),
        ("[[0, 1, 2]]", "length"),
        ("[[-1, 0]]", ">= 0"),
        ("[]", ">= 1"),
    ],
)
def test_a_bad_list_of_edges_is_refused(tmp_path, pairs, said):
    table = tomllib.loads((topologies.load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8"))
    table["fabric"] = tomllib.loads(LISTED.format(pairs=pairs))["fabric"] | {"link": table["fabric"]["link"]}
    del table["published"]
    path = tmp_path / "mine.toml"
    path.write_text(toml(table | {"chips": 2, "allocation": {"unit": "node", "chips": 2}}), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        topologies.machine(str(path))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from([*"GPU01NVXSY \t\n\x1b[4m-,"]), max_size=200))
def test_no_text_makes_the_reader_of_matrices_fail_otherwise(text):
    try:
        matrices.parse(text, "topo.txt")
    except InputError as error:
        assert "topo.txt" in str(error)  # noqa: PT017 - either answer is right


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20) | st.booleans() | st.integers(-9, 9)),
        lambda inner: st.dictionaries(
            st.text(min_size=1, max_size=8), inner | st.lists(inner, min_size=1, max_size=3), max_size=3
        ),
        max_leaves=6,
    )
)
def test_whatever_is_written_as_toml_is_read_back(table):
    assert tomllib.loads(toml(table)) == table
