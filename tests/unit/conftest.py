"""What several tests of units ask for."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from topologies import load
from topologies.imports.toml_text import toml


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., str]:
    """Write a copy of a file of the catalogue with a change: its path."""

    def write(name: str, change: Callable[[dict], object], *, folder: str = "machines", called: str = "mine") -> str:
        tree = tomllib.loads((load.ROOT / folder / f"{name}.toml").read_text(encoding="utf-8"))
        change(tree)
        path = tmp_path / f"{called}.toml"
        path.write_text(toml(tree), encoding="utf-8")
        return str(path)

    return write
