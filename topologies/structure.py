"""The structure of every machine as one table: what its graph says, under each wiring that its hypotheses know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.structure import Structure
from topologies import load
from topologies.fabrics import MachineFabric, tag_of
from topologies.schema import MachineEntry


@dataclass(frozen=True)
class Row:
    """One machine under one wiring.

    Parameters
    ----------
    machine, title : of the machine
    hypothesis : the name of the hypothesis whose wiring it is; empty for that of the file itself
    builder : kind of fabric
    chips, switches, edges, links : counts of the graph; edges are pairs of neighbours, links physical ones [1]
    structure : see :class:`simulator.structure.Structure`
    """

    machine: str
    title: str
    hypothesis: str
    builder: str
    chips: int
    switches: int
    edges: int
    links: int
    structure: Structure

    @property
    def bisection_per_chip_bytes_per_s(self) -> float:
        """Bisection over all chips [B/s]."""
        return self.structure.bisection_bytes_per_s / self.chips


def table(machines: Iterable[str] = ()) -> list[Row]:
    """A row for each machine (names or files; all of the catalogue if none is named) and wiring, in their order.

    Raises
    ------
    simulator.errors.InputError : a machine that is not known or breaks the rules of its file
    """
    return [row for name in list(machines) or load.names("machines") for row in _rows(load.entry(name))]


def _rows(entry: MachineEntry) -> Iterator[Row]:
    yield _row(entry, "", entry.fabric)
    for each in entry.hypotheses:
        if each.fabric is not None:
            yield _row(entry, each.name, each.fabric)


def _row(entry: MachineEntry, hypothesis: str, fabric: MachineFabric) -> Row:
    from simulator.structure import structure
    from topologies.builders import builder_of

    built = builder_of(fabric).arrays(fabric)
    return Row(
        machine=entry.name,
        title=entry.title,
        hypothesis=hypothesis,
        builder=tag_of(fabric),
        chips=built.chips,
        switches=built.switches,
        edges=built.edges,
        links=built.physical_links,
        structure=structure(built),
    )
