"""Arrays made without a graph are those that the graph of the same builder becomes, in every field."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric
from simulator.figures import Draw, figures_of
from tests.support_fabrics import LINK, TRN3, figure, torus_of
from topologies.builders import (
    BUILDERS,
    arrays_of,
    builder_of,
    graph_of,
    legal_slices,
    slice_graph,
    twist_of,
    twisted,
)
from topologies.builders.clos_plane import plane
from topologies.builders.rail_fat_tree import join, join_arrays
from topologies.builders.torus import slice_arrays, twisted_arrays
from topologies.fabrics import (
    Bundle,
    Clos,
    Dragonfly,
    EdgeList,
    FixedTorus,
    FullMesh,
    HammingMesh,
    LeafSpine,
    MachineFabric,
    MeshedRacks,
    PcieTree,
    RailFatTree,
    StarPlanes,
    SwitchedSleds,
    Torus,
    TwoTierPlanes,
    tag_of,
)

CPU = figure(40, "GB/s", "bytes_per_s", "cpu")
few = st.integers(1, 5)
"""Counts of units."""


def check_same(ours: Fabric, theirs: Fabric) -> None:
    """Every field of two fabrics is equal, and no array can be written to."""
    for field in dataclasses.fields(Fabric):
        one, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name == "cuts":
            assert list(one) == list(other)
            for cut in one:
                np.testing.assert_array_equal(one[cut], other[cut], strict=True, err_msg=cut)
        elif isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other, strict=True, err_msg=field.name)
            assert not one.flags.writeable
        else:
            assert one == other, field.name


def check(fabric: MachineFabric, draw: Draw | None = None) -> None:
    """Both ways through the builder of a fabric lead to the same arrays."""
    builder = builder_of(fabric)
    check_same(builder.arrays(fabric, draw), Fabric.from_graph(builder.graph(fabric, draw)))


def wirings() -> list[object]:
    """Every wiring of the catalogue: a machine, and the name of the hypothesis that has a fabric of its own."""
    found = []
    for name in topologies.names("machines"):
        readings = ["", *(each.name for each in topologies.entry(name).hypotheses if each.fabric is not None)]
        found += [pytest.param(name, reading, id=f"{name} {reading}".strip()) for reading in readings]
    return found


@pytest.mark.parametrize(("machine", "reading"), wirings())
def test_every_machine_has_the_arrays_of_its_graph(machine: str, reading: str):
    entry = topologies.entry(machine)
    fabric = next((each.fabric for each in entry.hypotheses if each.name == reading), None) or entry.fabric
    ours = topologies.fabric(machine, reading)
    check_same(ours, Fabric.from_graph(builder_of(fabric).graph(fabric)))
    assert ours.chips == entry.chips


def test_every_builder_draws_uncertain_figures_alike():
    seen = set()
    for name in topologies.names("machines"):
        fabric = topologies.entry(name).fabric
        if tag_of(fabric) not in seen:
            seen.add(tag_of(fabric))
            check(fabric, Draw({each.key: each.si_low / 3 for each in figures_of(fabric)}))
    assert seen <= set(BUILDERS)


SAMPLES = {
    "torus": torus_of(2, 3, 4),
    "star-planes": StarPlanes(chips=5, chips_per_node=2, links=(3, 1, 2), link=LINK),
    "two-tier-planes": TwoTierPlanes(
        nodes=3, chips_per_node=2, cpus_per_node=1, planes=2, chip_links=2, spines=3, link=LINK, cpu_bandwidth=CPU
    ),
    "leaf-spine": LeafSpine(groups=3, chips_per_group=5, chips_per_node=5, leaves=2, spines=2, link=LINK),
    "clos": Clos(nodes=8, chips_per_node=4, rails=2, planes=2, tiers=3, switches=(8, 8, 4), pods=2, link=LINK),
    "fixed-torus": FixedTorus(dims=(2, 3, 4), wraps=(True, False, True), share=(1.0, 0.5, 0.25), link=LINK),
    "full-mesh": FullMesh(chips=5, links_per_pair=2, link=LINK),
    "meshed-racks": MeshedRacks(dims=(2, 3), racks=2, planes=2, spines=2, mesh_links=(2, 1), link=LINK),
    "dragonfly": Dragonfly(groups=3, nodes=2, chips_per_node=2, local_links=3, global_links=5, link=LINK),
    "pcie-tree": PcieTree(hosts=2, switches=2, chips_per_switch=3, uplinks=2, host_links=3, link=LINK),
    "hamming-mesh": HammingMesh(board=(3, 2), boards=(2, 1), link=LINK),
    "switched-sleds": TRN3,
    "edge-list": EdgeList(
        chips=3,
        switches=1,
        cpus=1,
        nics=1,
        bundles=(
            Bundle(pairs=((0, 3), (3, 1), (2, 3), (0, 2), (5, 4)), links=2),
            Bundle(pairs=((4, 0), (4, 3), (1, 0)), share=0.3, delay=0.5),
        ),
        link=LINK,
    ),
}
"""One small fabric of every builder, as irregular as it can be."""


@pytest.mark.parametrize("tag", BUILDERS)
def test_every_builder_makes_the_same_arrays_both_ways(tag: str):
    check(SAMPLES[tag])


@pytest.mark.parametrize("tag", BUILDERS)
def test_a_link_more_in_one_bundle_is_seen(tag: str):
    """The check above can fail: arrays that differ in one number are told apart."""
    ours = BUILDERS[tag].arrays(SAMPLES[tag])
    links = ours.links.copy()
    links[-1] += 1
    with pytest.raises(AssertionError, match="links"):
        check_same(ours, dataclasses.replace(ours, links=links))


def test_arrays_are_made_without_networkx(tmp_path):
    """A fresh interpreter makes every sample fabric's arrays and has not loaded networkx."""
    import subprocess
    import sys

    script = tmp_path / "arrays.py"
    script.write_text(
        "import sys, topologies\n"
        "for name in topologies.names('machines'):\n"
        "    if topologies.entry(name).chips < 2048:\n"
        "        topologies.fabric(name)\n"
        "print('networkx' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), wraps=st.booleans())
def test_boxes_of_a_torus_are_the_same_both_ways(shape: tuple[int, ...], wraps: bool):
    fabric = torus_of(*shape)
    check_same(slice_arrays(fabric, shape, wraps=wraps), Fabric.from_graph(slice_graph(fabric, shape, wraps=wraps)))


@pytest.mark.parametrize("shape", [(2, 2, 4), (2, 4, 4), (3, 3, 6), (3, 6, 6), (4, 4, 8), (4, 8, 8)])
def test_twisted_tori_are_the_same_both_ways(shape: tuple[int, ...]):
    fabric = Torus(dims=shape, cube=(1, 1, 1), link=LINK, is_twistable=True)
    assert twist_of(shape)
    check_same(twisted_arrays(fabric, shape), Fabric.from_graph(twisted(fabric, shape)))


def test_what_cannot_be_twisted_is_refused_in_arrays_too():
    with pytest.raises(InputError, match="cannot be twisted"):
        twisted_arrays(torus_of(2, 2, 4), (2, 2, 4))


@pytest.mark.parametrize("machine", ["tpu-v4", "trn2-ultraserver"])
def test_slices_are_the_same_both_ways(machine: str):
    fabric = topologies.entry(machine).fabric
    for part in [each for each in legal_slices(fabric) if each.chips <= 256]:
        check_same(arrays_of(fabric, part), Fabric.from_graph(graph_of(fabric, part)))


@given(data=st.data(), dims=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
def test_fixed_tori_of_any_shape_are_the_same_both_ways(data: st.DataObject, dims: tuple[int, ...]):
    wraps = data.draw(st.tuples(*[st.booleans()] * len(dims)))
    share = data.draw(st.tuples(*[st.sampled_from((1.0, 0.5, 0.1))] * len(dims)))
    check(FixedTorus(dims=dims, wraps=wraps, share=share, link=LINK))


@given(
    board=st.tuples(few, few),
    boards=st.tuples(few, few),
)
def test_hamming_meshes_of_any_shape_are_the_same_both_ways(board: tuple[int, int], boards: tuple[int, int]):
    check(HammingMesh(board=board, boards=boards, link=LINK))


@given(groups=few, nodes=few, inside=few, local=st.integers(1, 9), far=st.integers(1, 30))
def test_dragonflies_of_any_shape_are_the_same_both_ways(groups: int, nodes: int, inside: int, local: int, far: int):
    check(Dragonfly(groups=groups, nodes=nodes, chips_per_node=inside, local_links=local, global_links=far, link=LINK))


@given(
    dims=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    racks=few,
    planes=few,
    spines=few,
    up=few,
)
def test_meshed_racks_of_any_shape_are_the_same_both_ways(
    dims: tuple[int, ...], racks: int, planes: int, spines: int, up: int
):
    links = tuple(range(1, len(dims) + 1))
    check(MeshedRacks(dims=dims, racks=racks, planes=planes, spines=spines, up_links=up, mesh_links=links, link=LINK))


@given(groups=few, size=st.integers(1, 9), leaves=few, spines=few, over=st.sampled_from((1.0, 1.5, 3.0)))
def test_leaves_and_spines_of_any_number_are_the_same_both_ways(
    groups: int, size: int, leaves: int, spines: int, over: float
):
    check(
        LeafSpine(
            groups=groups,
            chips_per_group=size,
            chips_per_node=size,
            leaves=leaves,
            spines=spines,
            oversubscription=over,
            link=LINK,
        )
    )


@given(nodes=few, chips=few, cpus=few, planes=few, links=few, spines=few)
def test_two_tiers_of_any_size_are_the_same_both_ways(
    nodes: int, chips: int, cpus: int, planes: int, links: int, spines: int
):
    check(
        TwoTierPlanes(
            nodes=nodes,
            chips_per_node=chips,
            cpus_per_node=cpus,
            planes=planes,
            chip_links=links,
            spines=spines,
            link=LINK,
            cpu_bandwidth=CPU,
        )
    )


@given(racks=few, sleds=few, chips=few, tops=few, extra=st.integers(0, 6), twin=st.integers(1, 3))
def test_sleds_of_any_number_are_the_same_both_ways(
    racks: int, sleds: int, chips: int, tops: int, extra: int, twin: int
):
    check(
        SwitchedSleds(
            racks=racks,
            sleds_per_rack=sleds,
            chips_per_sled=chips,
            rack_switches=tops,
            sled_links=2,
            rack_links=tops + extra,
            twin_links=twin if racks > 1 else 0,
            link=LINK,
        )
    )


@given(hosts=few, switches=few, chips=few, up=few, across=few)
def test_trees_of_any_size_are_the_same_both_ways(hosts: int, switches: int, chips: int, up: int, across: int):
    check(PcieTree(hosts=hosts, switches=switches, chips_per_switch=chips, uplinks=up, host_links=across, link=LINK))


@settings(max_examples=200)
@given(
    nodes=st.integers(1, 24),
    inside=st.sampled_from((1, 2, 4, 6)),
    rails=st.sampled_from((1, 2, 3)),
    planes=st.integers(1, 3),
    tiers=st.sampled_from((2, 3)),
    radix=st.sampled_from((4, 8, 16, 64)),
)
def test_a_clos_of_any_size_is_the_same_both_ways_or_none(
    nodes: int, inside: int, rails: int, planes: int, tiers: int, radix: int
):
    fabric = Clos(nodes=nodes, chips_per_node=inside, rails=rails, planes=planes, tiers=tiers, radix=radix, link=LINK)
    try:
        plane(fabric)
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            builder_of(fabric).arrays(fabric)
    else:
        check(fabric)


@given(data=st.data(), counts=st.tuples(st.integers(1, 9), *[st.integers(0, 3)] * 3))
def test_listed_edges_are_the_same_both_ways(data: st.DataObject, counts: tuple[int, ...]):
    size = sum(counts)
    pairs = [(a, b) for a in range(size) for b in range(size) if a < b]
    picked = data.draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1)) if pairs else []
    turned = [(b, a) if (a + b) % 2 else (a, b) for a, b in picked]
    if not turned:
        return
    half = len(turned) // 2
    bundles = [Bundle(pairs=tuple(turned[half:]), links=2)]
    if half:
        bundles.append(Bundle(pairs=tuple(turned[:half]), share=0.5, delay=0.25))
    chips, switches, cpus, nics = counts
    check(EdgeList(chips=chips, switches=switches, cpus=cpus, nics=nics, bundles=tuple(bundles), link=LINK))


def test_the_command_needs_no_graph_to_answer(monkeypatch: pytest.MonkeyPatch):
    """Counts, metrics and ranges of a machine come from its arrays; a picture, a file or a join takes the graph."""
    from typer.testing import CliRunner

    from supernode.cli import app

    monkeypatch.setitem(BUILDERS, "torus", dataclasses.replace(BUILDERS["torus"], graph=None))
    result = CliRunner().invoke(app, ["topology", "ironwood-256", "--json"])
    assert result.exit_code == 0, result.output


def test_more_chips_than_a_joined_graph_has_are_told_that_limit():
    from typer.testing import CliRunner

    from supernode.cli import app

    result = CliRunner().invoke(app, ["topology", "ironwood-9216", "--machines", "5"])
    assert isinstance(result.exception, InputError)
    assert "5 x 9,216 chips are too many: a joined graph has up to 32,768" in str(result.exception)
    assert "write 1 to 3" in str(result.exception)


# Several machines


@given(
    fabric=st.sampled_from([FullMesh(chips=1, links_per_pair=1, link=LINK), *SAMPLES.values()]),
    machines=st.integers(2, 40),
    ports=st.sampled_from((1, 2, 3, 8)),
    node_chips=st.sampled_from((1, 2, 4, 8)),
    radix=st.sampled_from((4, 6, 8, 64)),
    over=st.sampled_from(((), (2.0,), (1.5, 3.0))),
)
def test_machines_joined_by_a_network_are_the_same_both_ways_or_none(
    fabric: MachineFabric, machines: int, ports: int, node_chips: int, radix: int, over: tuple[float, ...]
):
    network = RailFatTree(ports=ports, node_chips=node_chips, radix=radix, oversubscription=over, link=LINK)
    builder = builder_of(fabric)
    try:
        graph = join(builder.graph(fabric), machines, network)
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            join_arrays(builder.arrays(fabric), machines, network)
    else:
        check_same(join_arrays(builder.arrays(fabric), machines, network), Fabric.from_graph(graph))


def test_one_machine_needs_no_network_in_arrays_either():
    fabric = SAMPLES["torus"]
    with pytest.raises(InputError, match="1 machine needs no network"):
        join_arrays(builder_of(fabric).arrays(fabric), 1, RailFatTree(ports=1, node_chips=1, radix=4, link=LINK))
