"""Every notebook runs from a clean start, draws something, and is kept without its outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_CELL_S = 300


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    """A notebook as it is kept."""
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(scope="module")
def run(notebook, tmp_path_factory):
    """The same with the outputs of a run in an empty folder."""
    copy = nbformat.from_dict(notebook)
    folder = str(tmp_path_factory.mktemp("notebook"))
    # a failing cell raises here, with its traceback
    return NotebookClient(
        copy, timeout=LONGEST_CELL_S, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()


def outputs(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_the_overview_names_every_notebook_and_no_other():
    named = set(re.findall(r"\((\w+\.ipynb)\)", (FOLDER / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in NOTEBOOKS}


def test_a_notebook_is_valid_and_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_a_notebook_begins_with_its_question(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# .+\?\n", first.source)


def test_a_notebook_runs_without_an_error_or_a_warning(run):
    assert [output for output in outputs(run) if output.output_type == "error"] == []
    said = [output.text for output in outputs(run) if output.get("name") == "stderr"]
    assert said == []


def test_a_notebook_draws_a_picture_and_shows_a_table(run):
    kinds = {kind for output in outputs(run) for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert "text/html" in kinds


def test_every_code_cell_shows_something(run):
    silent = [cell.source for cell in run.cells if cell.cell_type == "code" and not cell.outputs]
    assert silent == []
