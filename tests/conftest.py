"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Every run tries the same examples, so that a test that passed passes again, and none of them is timed.
# `pytest --hypothesis-profile explore` looks for new ones; what it finds becomes an @example.
settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the reference data and traces that stand beside the project; skips where there is none."""
    name = os.environ.get("SUPERNODE_DATA")
    if not name:
        pytest.skip("SUPERNODE_DATA names no folder with reference data")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip(f"SUPERNODE_DATA names {folder}, which is not a folder")
    return folder.resolve()
