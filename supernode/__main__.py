"""``python -m supernode`` is the same as the command ``supernode``."""

from __future__ import annotations

from supernode.cli import main

main()
