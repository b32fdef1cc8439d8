"""Slices of any cubes are the same torus; a circuit that the switches cannot make is refused."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

import topologies
from simulator.errors import InputError
from simulator.fabric import Fabric, diameter, injection_bytes_per_s
from simulator.figures import Draw, Figure, settle
from simulator.machine import Link
from simulator.structure import structure
from topologies.builders import (
    builder_of,
    circuits_of,
    cube_faces,
    reconfiguration_s,
    rewire,
    slice_graph,
    slice_of_cubes,
)
from topologies.fabrics import Torus


def figure(value: float, unit: str, dimension: str) -> Figure:
    stated = Figure(value=value, unit=unit, low=value, high=value, kind="assumed", note="for this test")
    return settle(stated, dimension, dimension, "test")


LINK = Link(
    family="ici",
    bandwidth=figure(100, "GB/s", "bytes_per_s"),
    latency=figure(1, "us", "s"),
    fraction=figure(1, "1", "1"),
    start=figure(1, "us", "s"),
)
POD = Torus(dims=(8, 8, 12), cube=(4, 4, 4), link=LINK)  # 12 cubes


@pytest.fixture(scope="module")
def whole():
    return builder_of(POD).graph(POD)


def as_torus(graph, cubes, shape, cube):
    """Edges of a slice by the place of their ends in it, with their links and medium."""
    grid = [side // inside for side, inside in zip(shape, cube, strict=True)]
    corner = dict(zip(cubes, itertools.product(*map(range, grid)), strict=True))
    place = {
        name: tuple(c * side + x % side for c, x, side in zip(corner[data["cube"]], data["coord"], cube, strict=True))
        for name, data in graph.nodes.items()
    }
    return {frozenset((place[u], place[v])): (d["links"], d["medium"]) for u, v, d in graph.edges.data()}


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 4, 8), (4, 8, 8), (4, 4, 16), (8, 8, 8), (4, 4, 48), (8, 8, 12)])
def test_any_cubes_in_any_order_make_the_same_torus(whole, shape):
    count = shape[0] * shape[1] * shape[2] // 64
    expected = slice_graph(POD, shape)
    coordinates = expected.nodes(data="coord")
    edges = {
        frozenset((coordinates[u], coordinates[v])): (d["links"], d["medium"]) for u, v, d in expected.edges.data()
    }
    shuffle = random.Random(1)  # noqa: S311 - a choice of cubes, not a secret
    for _ in range(3):
        cubes = shuffle.sample(range(12), count)
        built = rewire(whole, POD, circuits_of(POD, cubes, shape))
        assert as_torus(built, cubes, shape, POD.cube) == edges
        frozen = Fabric.from_graph(built)
        assert injection_bytes_per_s(frozen) == pytest.approx(600e9)
        assert diameter(frozen) == sum(side // 2 for side in shape)


def test_cubes_of_one_or_two_chips_a_side_make_tori_too():
    small = Torus(dims=(2, 4, 3), cube=(2, 2, 1), link=LINK)
    built = rewire(builder_of(small).graph(small), small, circuits_of(small, (5, 0, 3, 2, 4, 1), (2, 4, 3)))
    expected = slice_graph(small, (2, 4, 3))
    place = expected.nodes(data="coord")
    links = {frozenset((place[u], place[v])): d["links"] for u, v, d in expected.edges.data()}
    found = as_torus(built, (5, 0, 3, 2, 4, 1), (2, 4, 3), small.cube)
    assert {pair: count for pair, (count, _) in found.items()} == links


def test_a_bad_cube_is_swapped_out_by_turning_two_circuits_an_axis(whole):
    before = circuits_of(POD, (0, 1, 2, 3, 4, 5, 6, 7), (8, 8, 8))
    after = circuits_of(POD, (0, 1, 2, 11, 4, 5, 6, 7), (8, 8, 8))
    assert len(before - after) == 3 * 2
    built = rewire(whole, POD, after)
    assert {data["cube"] for data in built.nodes.values()} == {0, 1, 2, 4, 5, 6, 7, 11}
    assert diameter(Fabric.from_graph(built)) == 12


def test_every_upper_face_may_meet_every_lower_face_of_its_axis():
    faces = cube_faces(POD)
    assert len(faces) == 3 * 12 * 12
    assert faces.links == (16, 16, 16)  # 16 links on each face of a cube of 4 x 4 x 4 chips
    assert (0, 3, 3) in faces
    assert (2, 0, 11) in faces
    assert (3, 0, 0) not in faces
    assert (0, 12, 0) not in faces
    assert (0, 0, -1) not in faces


@pytest.mark.parametrize(
    ("circuits", "message"),
    [
        ([(0, 1, 2), (0, 1, 3)], "2 circuits use the upper x face of cube 1"),
        ([(1, 1, 2), (1, 3, 2)], "2 circuits use the lower y face of cube 2"),
        ([(0, 1, 12)], "no circuit joins cubes 1 and 12 along axis 0\n  name axes 0 to 2 and cubes 0 to 11"),
        ([(3, 1, 2)], "no circuit joins cubes 1 and 2 along axis 3"),
        ([], "no circuits make no slice"),
    ],
)
def test_circuits_that_cannot_be_made_are_refused(whole, circuits, message):
    with pytest.raises(InputError, match=message):
        rewire(whole, POD, circuits)


@pytest.mark.parametrize(("cubes", "shape"), [((0, 1), (4, 4, 4)), ((0, 0), (4, 4, 8)), ((0,), (4, 4, 5))])
def test_cubes_that_do_not_fill_a_shape_are_refused(cubes, shape):
    with pytest.raises(InputError, match="make no torus of"):
        circuits_of(POD, cubes, shape)


@pytest.mark.parametrize("name", ["tpu-v4", "tpu-v5p", "ironwood-9216", "ironwood-256"])
def test_turning_the_switches_of_a_pod_takes_the_time_of_its_file_and_leaving_them_none(name):
    fabric = topologies.entry(name).fabric
    before = circuits_of(fabric, (0, 1, 2, 3), (4, 8, 8))
    after = circuits_of(fabric, (3, 1, 2, 0), (4, 4, 16))
    stated = fabric.reconfiguration
    assert stated.si == pytest.approx(10e-3)  # MEMS mirrors: milliseconds, about 10
    assert reconfiguration_s(fabric, before, after) == stated.si
    assert reconfiguration_s(fabric, (), before) == stated.si
    assert reconfiguration_s(fabric, before, set(before)) == 0.0
    slow = Draw({stated.key: stated.si_high})
    assert reconfiguration_s(fabric, before, after, slow) == stated.si_high > stated.si


def test_a_machine_that_does_not_say_how_long_its_switches_take_is_asked_to(whole):
    circuits = circuits_of(POD, (0, 1), (4, 4, 8))
    with pytest.raises(InputError, match=r"\[fabric.reconfiguration\]"):
        reconfiguration_s(POD, (), circuits)
    with pytest.raises(InputError, match="2 circuits use the upper x face"):
        reconfiguration_s(POD, circuits, [(0, 1, 2), (0, 1, 3)])
    with pytest.raises(InputError, match="no circuit joins cubes 1 and 12"):
        rewire(whole, POD, [(0, 1, 12)])


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 8, 8), (8, 8, 12)])
def test_a_slice_of_scattered_cubes_is_the_torus_slice_in_all_but_the_names_of_its_cubes(whole, shape):
    count = shape[0] * shape[1] * shape[2] // 64
    cubes = [11, 4, 0, 7, 2, 9, 5, 10, 1, 8, 3, 6][:count]  # none beside its neighbours of the pod
    plain, built = slice_graph(POD, shape), slice_of_cubes(whole, POD, cubes, shape)
    place, found = plain.nodes(data="coord"), built.nodes(data="coord")

    def edges(graph, at):
        return {frozenset((at[u], at[v])): (d["links"], d["medium"], d["plane"]) for u, v, d in graph.edges.data()}

    assert edges(built, found) == edges(plain, place)
    for cut, side in plain.graph["cuts"].items():
        assert {found[name] for name in built.graph["cuts"][cut]} == {place[name] for name in side}
    frozen, expected = Fabric.from_graph(built), Fabric.from_graph(plain)
    assert structure(frozen) == dataclasses.replace(
        structure(expected), all_to_all_bytes_per_s=pytest.approx(structure(expected).all_to_all_bytes_per_s)
    )
    assert {data["cube"] for data in built.nodes.values()} == set(cubes)
    assert whole.number_of_nodes() == 768
    assert whole.nodes["chip0"]["coord"] == (0, 0, 0)
