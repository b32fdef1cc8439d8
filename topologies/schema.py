"""What a file of the catalogue may say: strict structs for machines, networks and sources (chips are the engine's own).

Only shapes and bounds stand here; :mod:`topologies.load` reads the files and checks what takes more than one field.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from simulator.figures import Bytes, BytesPerSecond, Flops, Source, Usd, Watts
from simulator.machine import (
    Allocation,
    Count,
    Dates,
    Dtype,
    Entry,
    Hypothesis,
    Line,
    MachinePower,
    Name,
    Prices,
    Reliability,
    Said,
    Site,
    Software,
)
from topologies.fabrics import MachineFabric, NetworkFabric

Kind = Literal["machines", "chips", "networks", "sites", "software", "reliability", "exchange"]
"""The folders of the catalogue."""

Phase = Literal["training", "serving"]
Aliases = Annotated[tuple[Name, ...], msgspec.Meta(max_length=16)]
Tally = Annotated[int, msgspec.Meta(ge=0, le=1 << 32)]


Sources = dict[Name, Source]
"""Source by id."""


class Published(Entry, frozen=True):
    """What others state about the whole machine; never simulated, only compared with what we build from its parts.

    Counts of the graph (``edges`` counts pairs of neighbours, ``links`` physical cables or traces), ``injection``
    bandwidth of a chip in one direction [B/s], and totals over all chips: ``peak`` [FLOP/s], ``memory`` [B],
    ``memory_bandwidth`` [B/s].
    """

    chips: Tally | None = None
    switches: Tally | None = None
    edges: Tally | None = None
    links: Tally | None = None
    injection: BytesPerSecond | None = None
    peak: dict[Dtype, Flops] = msgspec.field(default_factory=dict)
    memory: Bytes | None = None
    memory_bandwidth: BytesPerSecond | None = None


class Alternative(Hypothesis, frozen=True):
    """A hypothesis that may also say that the machine is wired otherwise: ``fabric`` then takes the place of its own.

    The paths in ``figures`` do not lead into the fabric where ``fabric`` stands.
    """

    fabric: MachineFabric | None = None


class MachineEntry(Entry, frozen=True):
    """One machine: a chip by name, how many, how they are wired, and what the whole draws, costs and suffers.

    ``software``, ``site`` and ``reliability`` are tables of their own or the names of entries that machines share.
    ``reading`` says in a sentence which reading of the disclosures the figures in the file are; ``hypotheses`` are the
    readings with their weights, the first of them being the one in the file. ``power_basis`` says what the stated
    power includes. ``sources`` lets a user's own file bring its sources along.
    """

    name: Name
    title: Said
    vendor: Said
    chip: Name
    chips: Count
    network: Name
    fabric: MachineFabric
    software: Name | Software
    power: MachinePower
    site: Name | Site
    prices: Prices
    reliability: Name | Reliability
    allocation: Allocation
    stacks: dict[Phase, Name]
    aliases: Aliases = ()
    dates: Dates | None = None
    reading: Line = ""
    power_basis: Line = ""
    note: Line = ""
    hypotheses: Annotated[tuple[Alternative, ...], msgspec.Meta(max_length=16)] = ()
    published: Published | None = None
    sources: Sources = msgspec.field(default_factory=dict)


class UndisclosedChip(Entry, frozen=True):
    """A chip of which too little is known to simulate anything: ``undisclosed`` says what is known and what is not."""

    name: Name
    title: Said
    vendor: Said
    undisclosed: Said
    dates: Dates | None = None


class Head(msgspec.Struct, frozen=True):
    """What a list says of a machine, chip or network: the keys of its file that stand before the first table."""

    name: str
    title: str
    vendor: str = ""
    chip: str = ""
    chips: int = 0
    network: str = ""
    aliases: tuple[str, ...] = ()


class NetworkEntry(Entry, frozen=True):
    """What joins several machines: a fabric, and its price [USD] and power [W] for each chip that it serves."""

    name: Name
    title: Said
    vendor: Said
    fabric: NetworkFabric
    price_per_chip: Usd
    power_per_chip: Watts
    aliases: Aliases = ()
    note: Line = ""
