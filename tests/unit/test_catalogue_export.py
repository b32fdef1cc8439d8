"""What ``catalogue export`` writes: every figure once, in three formats."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections import Counter

import pytest

import topologies
import workloads
from simulator.errors import InputError
from simulator.figures import Figure, figures_of
from supernode import catalogue_table, entries
from tests.support_catalogue import CHOICE, OTHER, disputed, flat, run
from topologies import load


def every_figure() -> Counter:
    """Every figure of the catalogue, read without the commands: (entry, path, how it stands, value, low, high)."""
    found = Counter()

    def take(entry, path, stands, figure):
        found[entry, path, stands, figure.si, figure.si_low, figure.si_high] += 1

    nodes = {
        f"chip {name}": topologies.undisclosed(name) or topologies.chip(name) for name in topologies.names("chips")
    }
    nodes |= {f"network {name}": topologies.network_entry(name) for name in topologies.names("networks")}
    nodes |= {f"machine {name}": topologies.entry(name) for name in topologies.names("machines")}
    nodes |= {f"stack {name}": workloads.stack(name) for name in workloads.names("stacks")}
    nodes |= {
        f"{kind} {name}": topologies.shared(kind, name) for kind in load.SHARED for name in topologies.names(kind)
    }
    for entry, node in nodes.items():
        for field in node.__struct_fields__:
            for figure in figures_of(getattr(node, field) if field != "hypotheses" else None):
                kind, name, path = figure.key.split("/", 2)
                # What machines share is a file of its own, and is taken there.
                if f"{kind} {name}" == entry:
                    take(entry, path, "chosen", figure)
        for each in getattr(node, "hypotheses", ()):
            for path, figure in each.figures.items():
                take(entry, path, f"hypothesis:{each.name}", figure)
            for figure in figures_of(each.fabric):
                take(entry, figure.key.split("/", 2)[2].partition("@")[0], f"hypothesis:{each.name}", figure)
    return found


def test_every_figure_of_the_catalogue_is_there_exactly_once():
    wanted = every_figure()
    assert set(wanted.values()) == {1}
    assert {stands.partition(":")[0] for _, _, stands, *_ in wanted} == {"chosen", "hypothesis"}
    rows = json.loads(run("export", "--format", "json"))["figures"]
    columns = ("entry", "path", "stands", "value", "low", "high")
    found = Counter(tuple(row[name] for name in columns) for row in rows if not row["stands"].startswith("other"))
    assert found == wanted


def test_every_statement_of_another_source_is_a_row_of_its_own():
    wanted = {}
    for each in entries.everything():
        for figure in each.figures.values():
            wanted |= stated(figure.key, "other", figure)
        for reading in each.readings:
            for path, figure in reading.figures.items():
                wanted |= stated(f"{each.kind}/{each.name}/{path}", f"other:{reading.name}", figure)
    rows = [row for row in catalogue_table.rows() if not row.is_figure]
    found = {(f"{row.entry.replace(' ', '/')}/{row.path}", row.stands): (row.source, row.value) for row in rows}
    assert found == wanted
    assert len(rows) == len(wanted)
    assert all((row.low, row.high, row.choice) == (None, None, "") for row in rows)


def stated(key: str, stands: str, figure: Figure) -> dict:
    """What other sources state in the place of a figure, by the place of the row and how it stands."""
    return {
        (f"{key}.others[{index}]", stands): (other.source, figure.si_of(other))
        for index, other in enumerate(figure.others)
    }


def test_what_another_source_states_follows_its_figure_in_the_same_si_unit(mine):
    rows = list(catalogue_table.rows_of([entries.machine_shown(mine("hgx-h100", disputed))]))
    index = next(i for i, row in enumerate(rows) if row.path == "fabric.link.bandwidth.others[0]")
    figure, other = rows[index - 1 : index + 1]
    assert (figure.path, figure.stands, figure.choice) == ("fabric.link.bandwidth", "chosen", CHOICE)
    assert (other.entry, other.stands, other.kind, other.source) == (
        "machine hgx-h100",
        "other",
        "measured",
        "stas00-ml-engineering",
    )
    assert (other.value, other.unit, other.stated, other.stated_unit) == (26e9, figure.unit, 208, "Gb/s")
    assert other.source_title == topologies.sources()["stas00-ml-engineering"].title


def test_what_stands_beside_a_figure_of_a_hypothesis_names_the_hypothesis(mine):
    def change(tree):
        (reading,) = [each for each in tree["hypotheses"] if each["name"] == "per-640"]
        reading["figures"]["fabric.link.bandwidth"] |= {"others": [OTHER], "choice": CHOICE}

    rows = list(catalogue_table.rows_of([entries.machine_shown(mine("scalex640", change))]))
    stands = [row.stands for row in rows if row.path == "fabric.link.bandwidth.others[0]" and row.value == 26e9]
    assert stands == ["other:per-640"]


def test_the_three_formats_hold_the_same_rows():
    tree = json.loads(run("export", "--format", "json"))
    header, *lines = csv.reader(io.StringIO(run("export", "--format", "csv")))
    assert header == list(tree["columns"]) == list(catalogue_table.COLUMNS)
    wanted = [["" if cell is None else str(cell) for cell in row.values()] for row in tree["figures"]]
    assert lines == wanted
    head, rule, *marked = run("export", "--format", "md").splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == header
    assert rule.count("---") == len(header)
    assert len(marked) == len(lines)
    for line, row in zip(marked, lines, strict=True):
        cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert [cell[1:-1] for cell in cells] == [" ".join(cell.split("\n")) for cell in row]


def test_a_row_has_its_value_as_stated_its_source_and_the_reason_for_it():
    from simulator.units import UNITS

    known = entries.all_sources()
    factors = {unit: factor for table in UNITS.values() for unit, factor in table.items()}
    for row in catalogue_table.rows():
        assert row.value == pytest.approx(row.stated * factors[row.stated_unit], rel=1e-12)
        if row.is_figure:
            assert row.low <= row.value <= row.high
            assert row.stated_low <= row.stated <= row.stated_high
        if row.source:
            assert (row.source_title, row.source_url) == (known[row.source].title, known[row.source].url)
        else:
            assert row.kind == "assumed"
            assert row.note


def test_a_reason_for_the_choice_stands_where_and_only_where_there_is_one_to_make():
    rows = list(catalogue_table.rows())
    beside = {(row.entry, row.path.rpartition(".others[")[0]) for row in rows if not row.is_figure}
    assert {(row.entry, row.path) for row in rows if row.choice} == beside


def test_dates_are_among_the_figures():
    dated = {row.entry.split()[0] for row in catalogue_table.rows() if row.unit == "year"}
    assert dated >= {"machine", "chip"}


def test_every_column_is_explained_in_the_help():
    text = flat(run("export", "--help").replace("│", " "))
    for name, meaning in catalogue_table.COLUMNS.items():
        assert f"{name}: {meaning}" in text
    assert [field.name for field in dataclasses.fields(catalogue_table.Row)] == list(catalogue_table.COLUMNS)


@pytest.mark.parametrize("form", ["xlsx", "CSV", "", "jsn"])
def test_a_format_nobody_knows_is_refused(form):
    with pytest.raises(InputError, match="--format: unknown format"):
        run("export", "--format", form)
