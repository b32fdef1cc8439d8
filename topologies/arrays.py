"""Machines in arrays: what metrics, routes and traffic are computed on, made without a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from topologies import load

if TYPE_CHECKING:
    from simulator.fabric import Fabric
    from simulator.figures import Draw


def fabric(name_or_path: str, hypothesis: str = "", draw: Draw | None = None) -> Fabric:
    """The fabric of a machine, by name, alias or file, under its own reading or under one of its hypotheses.

    ``draw`` says which values uncertain figures take (the stated ones if none).

    Raises
    ------
    simulator.errors.InputError : see :func:`topologies.load.machine`

    >>> import topologies
    >>> topologies.fabric("dgx-h100").chips
    8
    """
    from topologies.builders import builder_of

    fabric = load.entry(name_or_path, hypothesis).fabric
    return builder_of(fabric).arrays(fabric, draw)
