"""The commands of the catalogue as tests run them, and a statement that another source makes."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from supernode.cli.catalogue import app

OTHER = {
    "value": 208,
    "unit": "Gb/s",
    "kind": "measured",
    "source": "stas00-ml-engineering",
    "locator": "table 7",
    "note": "With all links busy.",
}
CHOICE = "The data sheet says so for the link itself."


def run(*arguments: str, code: int = 0, columns: int = 120) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": str(columns)})
    assert done.exit_code == code, done.output
    return done.stdout


def answer(*arguments: str, code: int = 0) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json", code=code))


def flat(text: str) -> str:
    """What is printed, as one line."""
    return " ".join(text.split())


def disputed(tree: dict[str, Any]) -> None:
    """Let another source state something else of the bandwidth of a link, in another unit."""
    tree["fabric"]["link"]["bandwidth"] |= {"others": [dict(OTHER)], "choice": CHOICE}
