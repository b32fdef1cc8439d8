"""The gallery and the table of all machines: every machine is there, as it stands, small, and the same each time."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
import typer
from matplotlib.figure import Figure as Sheet
from PIL import Image
from typer.testing import CliRunner

import topologies
from simulator.errors import InputError
from supernode.cli.gallery import gallery
from supernode.cli.topology import topology
from supernode.gallery import SHEET, Spread, escaped, page, structure, structures, write_gallery
from supernode.plots.gallery import LARGEST_PICTURE_BYTES, LARGEST_SHEET_BYTES, contact_sheet, packed
from supernode.plots.structure import plot_structures

APP = typer.Typer()
APP.command("gallery")(gallery)
APP.command("topology")(topology)
SOME = ("hgx-h100", "gb200-nvl72", "ironwood-9216", "scalex640")


def silent(_what, _done, _of):
    pass


@pytest.fixture(scope="module")
def rows():
    return structures(SOME, silent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("gallery")
    write_gallery(SOME, made, silent)
    return made


def test_the_same_catalogue_gives_the_same_bytes(folder, tmp_path):
    paths = write_gallery(SOME, tmp_path, silent)
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    for path in paths:
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_pictures_are_small_and_about_1100_pixels_wide(folder):
    for name in SOME:
        content = (folder / f"{name}.png").read_bytes()
        assert len(content) <= LARGEST_PICTURE_BYTES
        assert 1050 <= Image.open(io.BytesIO(content)).width <= 1150
    assert (folder / SHEET).stat().st_size <= LARGEST_SHEET_BYTES


def test_few_colours_leave_every_colour_of_a_picture_its_hue(folder):
    # Median cut gave rare colours away; a chip's blue and one chip's orange links must stay apart.
    colours = Image.open(folder / "gb200-nvl72.png").convert("RGB").getcolors(1 << 20)
    seen = {colour for count, colour in colours if count > 50}
    assert (0x00, 0x72, 0xB2) in seen
    assert (0xD5, 0x5E, 0x00) in seen


def test_the_page_lists_every_machine_with_its_picture_and_its_reading(folder):
    text = (folder / "README.md").read_text()
    for name in SOME:
        entry = topologies.entry(name)
        assert f"]({name}.png)" in text
        assert f"\n### {escaped(entry.title)}\n" in text
        assert f"\n## {escaped(entry.vendor)}\n" in text
        assert escaped(entry.reading) in text
        assert f"{entry.chips:,}" in text
    assert f"]({SHEET})" in text


def test_text_of_the_catalogue_shows_on_the_page_as_it_stands(rows):
    nasty = "a | b <script>alert(1)</script> [x](y) `z` $q$ *s*\n# head"
    text = page([dataclasses.replace(rows[0], title=nasty, vendor=nasty, reading=nasty)])
    assert "<script" not in text.replace("\\<script", "")
    assert "\\|" in text
    assert "\\[x\\]\\(y\\)" in text
    assert not any(line.startswith("# head") for line in text.splitlines())


def test_the_largest_sheet_of_seventy_machines_is_no_larger_than_it_may_be(folder):
    small = [Image.open(folder / f"{name}.png").convert("RGB").resize((300, 168)) for name in SOME]
    sheet = contact_sheet({f"machine-{i}": small[i % len(small)] for i in range(70)})
    assert len(packed(sheet, LARGEST_SHEET_BYTES)) <= LARGEST_SHEET_BYTES


def test_bisection_per_chip_of_known_machines():
    # Half the chips send over all their links: 72 x 900 / 2 GB/s; Ironwood: 2 planes of 16 x 24 links of 100 GB/s.
    assert structure("gb200-nvl72").bisection_per_chip.value == pytest.approx(450e9)
    assert structure("ironwood-9216").bisection_per_chip.value == pytest.approx(2 * 16 * 24 * 100e9 / 9216)


def test_ranges_hold_the_readings_of_a_machine_that_is_not_disclosed(rows):
    scalex = next(row for row in rows if row.name == "scalex640")
    assert scalex.injection.low == pytest.approx(4 * 54e9)
    assert scalex.injection.high == pytest.approx(4 * 112e9)
    assert scalex.bisection_per_chip.high == pytest.approx(2 * scalex.bisection_per_chip.value)


def test_no_bound_exceeds_what_a_chip_can_send(rows):
    for row in rows:
        assert row.all_to_all is None or row.all_to_all.value <= row.injection.value * (1 + 1e-9)
        for spread in (row.injection, row.bisection_per_chip):
            assert spread.low <= spread.value <= spread.high


def test_labels_of_the_plot_do_not_overlap(rows):
    row = rows[0]
    many = [
        dataclasses.replace(row, name=f"machine-{i}", vendor=f"vendor-{i % 9}", chips=2 ** (3 + i % 4), title="t")
        for i in range(40)
    ]
    many = [dataclasses.replace(each, bisection_per_chip=Spread(1e9, 9e8, 2e9)) for each in many]
    ax = plot_structures(many, ax=Sheet(figsize=(13, 8)).add_subplot())
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 40
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :]), ax.texts[i].get_text()
    assert "[B/s]" in ax.get_ylabel()
    assert len(ax.get_legend().get_texts()) == 9


def test_one_machine_alone_is_drawn_without_a_page(tmp_path):
    result = CliRunner().invoke(APP, ["gallery", "--out", str(tmp_path / "new"), "--machine", "hgx-h100"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["hgx-h100.png"]


def test_a_gallery_of_an_unknown_machine_or_into_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.touch()
    for arguments, message in (
        (["--out", str(path)], "is a file"),
        (["--out", str(tmp_path), "--machine", "hgx-h10"], "hgx-h100"),
    ):
        result = CliRunner().invoke(APP, ["gallery", *arguments])
        assert isinstance(result.exception, InputError)
        assert message in str(result.exception)


def test_the_table_of_all_machines_has_each_of_them_and_a_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(topologies, "names", lambda _kind: SOME)
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "all.svg"
    result = CliRunner().invoke(APP, ["topology", "--all", "--json", "--plot", str(path)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert sorted(each["name"] for each in found["machines"]) == sorted(SOME)
    assert path.read_bytes().startswith(b"<?xml")
    shown = CliRunner().invoke(APP, ["topology", "--all"])
    assert all(name in shown.stdout for name in SOME)


def test_all_machines_and_one_machine_exclude_each_other():
    for arguments in (["topology", "hgx-h100", "--all"], ["topology"], ["topology", "--all", "--machines", "2"]):
        result = CliRunner().invoke(APP, arguments)
        assert isinstance(result.exception, InputError)
        assert "\n  " in str(result.exception)
