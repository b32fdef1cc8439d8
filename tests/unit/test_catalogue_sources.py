"""What ``catalogue sources`` and ``catalogue list`` say of sources and of chips."""

from __future__ import annotations

import pytest

import topologies
from simulator.errors import InputError
from supernode import catalogue_table, entries
from tests.support_catalogue import answer, run


def test_every_figure_rests_on_the_one_source_that_it_names():
    known = entries.all_sources()
    tree = answer("sources", *known)["sources"]
    table = list(catalogue_table.rows())
    for name in known:
        wanted = [(row.entry, row.path, row.value, row.stands) for row in table if row.source == name]
        found = [(row["entry"], row["path"], row["value"], row["stands"]) for row in tree[name]["figures"]]
        assert found == wanted
    assert sum(len(each["figures"]) for each in tree.values()) == sum(bool(row.source) for row in table)


def test_one_source_is_listed_with_its_figures_and_no_other():
    text = run("sources", "google-tpu7x-docs")
    assert "figures that google-tpu7x-docs states" in text
    assert "chip tpu-v7-ironwood" in text
    assert "peak.fp8" in text
    assert "stas00-ml-engineering" not in text


def test_without_a_name_all_are_listed_and_no_figures():
    tree = answer("sources")["sources"]
    assert set(tree) == set(entries.all_sources())
    assert all(set(each) == {"title", "url", "date", "note"} for each in tree.values())


@pytest.mark.parametrize("name", ["google-tpu7x-doc", "", "../sources"])
def test_a_source_nobody_knows_is_refused(name):
    with pytest.raises(InputError, match="unknown source"):
        run("sources", "stas00-ml-engineering", name)


@pytest.mark.parametrize("name", topologies.names("chips"))
def test_the_head_of_a_chip_says_what_its_whole_file_says(name):
    chip = topologies.undisclosed(name) or topologies.chip(name)
    head = entries.chip_head(name)
    assert (head.name, head.title, head.vendor) == (chip.name, chip.title, chip.vendor)
    assert head.undisclosed == getattr(chip, "undisclosed", "")
    assert entries.years(head.dates) == entries.years(chip.dates)
    assert head.dates == chip.dates
