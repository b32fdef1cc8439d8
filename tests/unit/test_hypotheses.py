"""Hypotheses that wire a machine otherwise: picked by name, settled under their own keys, refused where they clash."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

import topologies
from simulator.errors import InputError
from simulator.figures import Figure, figures_of, with_each
from simulator.files import convert
from simulator.machine import Link
from topologies import load
from topologies.fabrics import StarPlanes

OTHERWISE = """
[[hypotheses]]
name = "one-tier"
weight = 0.2
reason = "For this test."

[hypotheses.fabric]
builder = "star-planes"
chips = CHIPS
chips_per_node = 4
links = [1, 1]
link = { family = "hsl", bandwidth = { BANDWIDTH }, latency = { FIGURE }, fraction = { SHARE }, start = { FIGURE } }
"""
BANDWIDTH = 'value = 7, unit = "GB/s", low = 6, high = 8, kind = "assumed", note = "test"'
FIGURE = 'value = 1, unit = "us", low = 1, high = 1, kind = "assumed", note = "test"'
SHARE = 'value = 0.5, unit = "1", low = 0.5, high = 0.5, kind = "assumed", note = "test"'


def written(folder, *, chips: int = 640, more: str = "") -> str:
    """The path of a scaleX640 with a reading that joins ``chips`` chips by two planes of switches."""
    text = (load.ROOT / "machines" / "scalex640.toml").read_text(encoding="utf-8")
    text = text.replace("weight = 0.6", "weight = 0.4")
    reading = OTHERWISE.replace("BANDWIDTH", BANDWIDTH).replace("FIGURE", FIGURE).replace("SHARE", SHARE)
    start = text.index("[published]")
    text = text[:start] + reading.replace("CHIPS", str(chips)) + more + "\n" + text[start:]
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_reading_may_wire_the_machine_otherwise(tmp_path):
    path = written(tmp_path)
    assert [level.size for level in topologies.machine(path).slice_levels(640)] == [40, 16]
    (level,) = topologies.machine(path, "one-tier").slice_levels(640)
    assert (level.size, level.links, level.link.bandwidth.si) == (640, 2, 7e9)


def test_its_figures_have_the_keys_of_those_in_their_place_and_its_name(tmp_path):
    path = written(tmp_path)
    (level,) = topologies.machine(path, "one-tier").slice_levels(640)
    assert level.link.bandwidth.key == "machine/scalex640/fabric.link.bandwidth@one-tier"
    stated = topologies.machine(path).slice_levels(40)[0].link.bandwidth.key
    assert level.link.bandwidth.key.partition("@")[0] == stated
    assert isinstance(topologies.entry(path).hypotheses[-1].fabric, StarPlanes)


def test_figures_of_a_list_of_edges_have_such_keys_too(tmp_path):
    path = Path(written(tmp_path))
    text = path.read_text(encoding="utf-8")
    start = text.index('name = "one-tier"')
    pairs = [[chip, 640] for chip in range(640)]
    star = 'builder = "star-planes"\nchips = 640\nchips_per_node = 4\nlinks = [1, 1]\n'
    edges = f'builder = "edge-list"\nchips = 640\nswitches = 1\nbundles = [{{ pairs = {pairs} }}]\n'
    assert star in text[start:]
    path.write_text(text[:start] + text[start:].replace(star, edges, 1), encoding="utf-8")
    (fabric,) = [each.fabric for each in topologies.entry(str(path)).hypotheses if each.fabric is not None]
    names = ("bandwidth", "latency", "fraction", "start")
    keys = [f"machine/scalex640/fabric.link.{name}@one-tier" for name in names]
    assert [figure.key for figure in figures_of(fabric)] == keys


def test_every_figure_is_changed_wherever_it_stands():
    rate, other, share = (tomllib.loads(text.replace(", ", "\n")) for text in (BANDWIDTH, FIGURE, SHARE))
    figure = convert(rate, Figure, "here")
    link = convert(
        {"family": "any", "bandwidth": rate, "latency": other, "start": other, "fraction": share}, Link, "here"
    )
    nest = {"one": (link, [figure]), "two": {"three": figure}, "four": 4, "five": "word"}
    found = with_each(nest, lambda each: msgspec.structs.replace(each, key="changed"))
    assert [each.key for each in figures_of(found)] == ["changed"] * 6
    assert found["one"][1] == [msgspec.structs.replace(figure, key="changed")]
    assert (found["four"], found["five"]) == (4, "word")
    assert [each.key for each in figures_of(nest)] == [""] * 6


def test_the_other_readings_keep_the_fabric_of_the_file(tmp_path):
    machine = topologies.machine(written(tmp_path), "per-640")
    assert [level.size for level in machine.slice_levels(640)] == [40, 16]


def test_it_joins_the_chips_of_the_machine(tmp_path):
    with pytest.raises(InputError, match="320 chips are not the 640"):
        topologies.entry(written(tmp_path, chips=320))


def test_it_does_not_also_replace_figures_of_the_fabric_that_it_replaces(tmp_path):
    more = f'[hypotheses.figures."fabric.link.bandwidth"]\n{BANDWIDTH.replace(", ", chr(10))}\n'
    with pytest.raises(InputError, match="together with the whole fabric"):
        topologies.entry(written(tmp_path, more=more))


def test_the_machine_says_which_reading_it_is(tmp_path):
    path = written(tmp_path)
    stated = topologies.entry(path).reading
    assert topologies.machine(path).reading == topologies.machine(path, "per-1280-bidirectional").reading == stated
    assert topologies.machine(path, "one-tier").reading == "For this test."
