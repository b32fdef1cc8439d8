"""What a machine is to the engine: chips, the levels of its fabric, power, price, failures; all as figures.

A :class:`Machine` is read from the catalogue by ``topologies``; a :class:`Slice` is the part of one (or several joined
by a network) that one job runs on. The engine computes on slices: chips times nested levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from simulator.figures import (
    Bytes,
    BytesPerSecond,
    Date,
    Figure,
    Flops,
    PerSecond,
    Ratio,
    Seconds,
    Usd,
    UsdPerJoule,
    UsdPerSecond,
    Watts,
)

Dtype = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
Line = Annotated[str, msgspec.Meta(max_length=2000)]
Said = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
"""A line that says something."""
MOST_CHIPS = 1_048_576
"""More chips than any announced cluster has; what asks for more is a slip of the keys."""
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_CHIPS)]
Side = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
"""Of a tile."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that is decoded from a file: frozen, strict, keys by name."""


class Memory(Entry, frozen=True):
    """A chip's memory: capacity [B], peak bandwidth [B/s], and the share of it that large kernels reach [1].

    ``start`` [s] is the time until the bytes of a kernel flow.
    """

    capacity: Bytes
    bandwidth: BytesPerSecond
    fraction: Ratio
    start: Seconds


class Tile(Entry, frozen=True):
    """A block of a product's results, ``m`` x ``n``, and the step in which its depth is walked, ``k`` [1].

    ``k`` is in elements of two bytes. A choice of the chip's libraries rather than a figure: nothing between is meant.
    """

    m: Side
    n: Side
    k: Side


class Matmul(Entry, frozen=True):
    """How much of the peak a matrix product reaches.

    ``fraction[dtype]`` [1] of the peak for a large product that is timed alone, of which ``sustained[dtype]`` [1] is
    left over a long run, when power and clocks give way. ``engines`` [1] compute at once, each a ``tile`` of the
    results; ``fill`` [1] is the depth, in elements of two bytes, that starting and ending a tile costs. Operands of a
    product that memory bounds come at ``streaming`` [1] of the bandwidth that memory reaches.
    """

    fraction: dict[Dtype, Ratio]
    sustained: dict[Dtype, Ratio]
    engines: Ratio
    tile: Tile
    fill: Ratio
    streaming: Ratio


class Attention(Entry, frozen=True):
    """How much of the peak fused attention reaches.

    ``fraction[dtype]`` [1] of the peak with heads and sequences without end, ``backward`` [1] the FLOP/s of the
    backward pass over those of the forward pass, with heads of 128. A block of ``tile`` queries of one head is the work
    of one engine; ``fill`` [1] is the number of keys that starting and ending it costs, ``softmax`` [1] what the
    softmax of a score costs as so many more elements of the head, both in bf16. Heads smaller than ``least_head`` take
    as long as heads of that size: they leave part of a systolic array empty. ``portable`` [1] is what kernels reach
    of all this that were written for the chips before it; without it they reach all.
    """

    fraction: dict[Dtype, Ratio]
    backward: Ratio
    tile: Side
    fill: Ratio
    softmax: Ratio
    least_head: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    portable: Ratio | None = None

    def dtype(self, wanted: Dtype) -> Dtype:
        """The dtype in which attention is computed where ``wanted`` is asked for: itself where it is known, or bf16."""
        return wanted if wanted in self.fraction else "bf16"


class KernelCost(Entry, frozen=True):
    """What a library's kernels of one kind cost beside the operator.

    ``start`` [s], and ``passes`` [1] over the activations, which read and write them at two bytes: casting them,
    rotating and storing keys, sorting by expert.
    ``rate`` [1] is what products of this kind reach of the rate of their dtype, where that is another.
    """

    start: Seconds
    passes: Ratio | None = None
    rate: Ratio | None = None


class ChipPower(Entry, frozen=True):
    """Power of the bare chip at full load [W] and the idle share of it [1]."""

    full: Watts
    idle: Ratio


class Dates(Entry, frozen=True):
    """When something was announced, and when it could first be had [year]."""

    announced: Date | None = None
    available: Date | None = None


class Chip(Entry, frozen=True):
    """One accelerator package, which programs see as ``devices`` devices.

    ``host_link`` is its way to the memory of its host, one direction [B/s].
    """

    name: Name
    title: Said
    vendor: Said
    peak: dict[Dtype, Flops]
    matmul: Matmul
    attention: Attention
    hbm: Memory
    power: ChipPower
    kernels: dict[Name, KernelCost] = {}
    host_link: BytesPerSecond | None = None
    price: Usd | None = None
    devices: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    dates: Dates | None = None
    note: Line = ""

    def dtype(self, wanted: Dtype) -> Dtype:
        """The matmul dtype used where ``wanted`` is asked for: itself, or bf16 on a chip without it."""
        return wanted if wanted in self.peak else "bf16"


class Reduction(Entry, frozen=True):
    """Switches that reduce on the way.

    ``fraction`` [1] of the link's bandwidth that an all-reduce through them reaches; ``start`` [s] until the first
    reduced bytes come back.
    """

    fraction: Ratio
    start: Seconds


Algorithm = Literal[
    "ring",
    "bidirectional-ring",
    "double-binary-tree",
    "halving-doubling",
    "pat",
    "one-shot",
    "two-shot",
    "direct",
    "ring-per-dimension",
    "bucket",
    "swing",
    "full-mesh",
    "hierarchical",
    "in-network",
    "hierarchical-tree",
]
"""Algorithms of collectives, in the order of the kernels' numbers."""


class Eager(Entry, frozen=True):
    """Messages that carry their own flags, so that a step needs no handshake (LL of NCCL).

    ``start`` [s] of a step; ``fraction`` [1] of the link's bandwidth that they reach.
    """

    fraction: Ratio
    start: Seconds


class Link(Entry, frozen=True):
    """One physical link, one direction.

    ``bandwidth`` [B/s] as the vendor states it; ``latency`` [s] of one hop in hardware; ``fraction`` [1] of the
    bandwidth that large collectives reach on it; ``start`` [s] that software adds to every step of a collective
    (synchronisation, protocol); ``ramp`` [1], the share of a pipeline's filling that cutting messages into chunks does
    not hide (none: as if they were never cut); ``window`` [B] of one chip that buffers let be under way between levels
    of a hierarchy (none: as much as chunks need); ``eager`` messages where trees may use them; ``reduction`` where the
    switches behind it can reduce; ``algorithms`` that its documented setting leaves to libraries (all if empty).
    """

    family: Name
    bandwidth: BytesPerSecond
    latency: Seconds
    fraction: Ratio
    start: Seconds
    ramp: Ratio | None = None
    window: Bytes | None = None
    eager: Eager | None = None
    reduction: Reduction | None = None
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(max_length=32)] = ()


LevelKind = Literal["axis", "switch", "mesh"]


@dataclass(frozen=True)
class Level:
    """One level of a fabric, innermost first: ``size`` things (chips or lower levels) joined by links of one kind.

    Parameters
    ----------
    name : as shown to people, e.g. ``ici-x`` or ``nvlink``
    kind : ``axis`` (a torus or mesh axis), ``switch`` (any to any through switches), ``mesh`` (a link to each other)
    size : members [1]
    link : the link
    links : links of one chip in one direction: per direction of an axis, to all switches of a switch level, to each
        peer of a mesh [1]; below one where chips share a port
    hops : edges between two members (1 on an axis or mesh)
    wraps : whether an axis closes to a ring over its whole length
    block : ranks fill blocks of this many chips along each axis (a cube) before they go on to the next block [1]; it
        divides ``size``
    """

    name: str
    kind: LevelKind
    size: int
    link: Link
    links: float
    hops: int
    wraps: bool = False
    block: int = 1

    @property
    def neighbours(self) -> int:
        """Where a chip's links lead, ``links`` to each: the directions of an axis, the peers of a mesh, switches [1].

        Two chips along an axis that closes to a ring meet in both directions.
        """
        if self.size == 1:
            return 0
        if self.kind == "axis":
            return 2 if self.wraps or self.size > 2 else 1
        return self.size - 1 if self.kind == "mesh" else 1

    @property
    def farthest_hops(self) -> int:
        """Hops between the two members farthest apart [1]."""
        if self.kind != "axis":
            return self.hops
        return self.size // 2 if self.wraps else self.size - 1


class Software(Entry, frozen=True):
    """A library of collectives.

    ``collective_launch`` [s] of one operation, whatever its size; ``call`` [s], the least time from one call to the
    next in a program that calls them one by one, as nccl-tests does; ``algorithms`` that it has (all if empty), and
    those that it has for ``all_reduce`` instead (the same if empty).
    """

    collective_launch: Seconds
    call: Seconds | None = None
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(max_length=32)] = ()
    all_reduce: Annotated[tuple[Algorithm, ...], msgspec.Meta(max_length=32)] = ()


class MachinePower(Entry, frozen=True):
    """Power of the whole machine (chips, hosts, switches, losses; not the building) [W]; ``idle`` share of it [1]."""

    full: Watts
    idle: Ratio


class Site(Entry, frozen=True):
    """Where the machine stands: power usage effectiveness [1], price of energy [USD/J]."""

    pue: Ratio
    energy_price: UsdPerJoule


class Prices(Entry, frozen=True):
    """Capital cost of the whole machine [USD], its life [s], and what a chip rents for [USD/s]."""

    capital: Usd
    life: Seconds
    rent_per_chip: UsdPerSecond


class Reliability(Entry, frozen=True):
    """Failures that interrupt a job, per chip [1/s]; repair of a failed unit [s]; restart of a job [s].

    ``checkpoint_bandwidth`` is the rate at which one chip writes its share of a checkpoint [B/s].
    """

    interruptions_per_chip: PerSecond
    repair: Seconds
    restart: Seconds
    checkpoint_bandwidth: BytesPerSecond


class Allocation(Entry, frozen=True):
    """The smallest set of chips that a scheduler hands out, e.g. ``unit = "cube"``, ``chips = 64``."""

    unit: Name
    chips: Count


class Hypothesis(Entry, frozen=True):
    """One reading of what is not disclosed: figures by path that replace those of the machine, and a weight."""

    name: Name
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reason: Said
    figures: dict[str, Figure] = {}


@dataclass(frozen=True)
class Reach:
    """Up to ``nodes`` nodes a network gives a chip ``links`` links [1], with ``hops`` edges from port to port [1]."""

    nodes: int
    links: float
    hops: int


@dataclass(frozen=True)
class Network:
    """What joins several machines: one level, whose links and hops follow from how many nodes it has to reach.

    ``node_chips`` chips are a node; ``reaches`` ascend with the tiers of switches that so many nodes need.
    """

    name: str
    title: str
    link: Link
    node_chips: int
    reaches: tuple[Reach, ...]
    price_per_chip: Figure
    power_per_chip: Figure

    def level(self, machines: int, chips: int) -> Level:
        """The outermost level of ``machines`` machines, or equal slices of them, of ``chips`` chips each.

        Raises
        ------
        simulator.errors.InputError : more nodes than the network reaches
        """
        from simulator.errors import InputError

        nodes = machines * -(-chips // self.node_chips)
        reach = next((each for each in self.reaches if nodes <= each.nodes), None)
        if reach is None:
            raise InputError(
                f"{machines:,} machines of {chips:,} chips are {nodes:,} nodes, more than {self.name} joins "
                f"({self.reaches[-1].nodes:,})",
                remedy="join fewer machines or name a network with larger switches",
            )
        return Level(self.name, "switch", machines, self.link, reach.links, reach.hops)


@dataclass(frozen=True)
class Machine:
    """A machine of the catalogue under one hypothesis. ``slice_levels(chips)`` gives the levels of a legal slice.

    ``slice_levels`` raises :class:`simulator.errors.InputError` for a number of chips that is no legal slice, naming
    the nearest legal ones; ``legal_chips`` lists them in ascending order. ``shape_levels(shape)`` does the same for the
    chips of a slice along each axis, on machines that are tori.
    """

    name: str
    title: str
    vendor: str
    chip: Chip
    chips: int
    network: Network
    software: Software
    power: MachinePower
    site: Site
    prices: Prices
    reliability: Reliability
    allocation: Allocation
    stacks: dict[str, str]
    hypothesis: str
    reading: str
    slice_levels: Callable[[int], tuple[Level, ...]]
    shape_levels: Callable[[tuple[int, ...]], tuple[Level, ...]]
    legal_chips: tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    """The chips that one job runs on: ``machines`` machines (or a part of one), as nested levels, innermost first."""

    machine: Machine
    chips: int
    machines: int
    levels: tuple[Level, ...]

    @property
    def chip(self) -> Chip:
        """The chip that the slice is made of."""
        return self.machine.chip


def slice_of(machine: Machine, chips: int, each: int = 0) -> Slice:
    """Cut a slice of ``chips`` chips, over machines joined by the network where one does not suffice.

    Parameters
    ----------
    machine, chips : what it is cut from, how many chips it has [1]
    each : chips that every joined machine gives, such as 64 of a rack of 72; 0: all that it has [1]

    Raises
    ------
    simulator.errors.InputError : no legal slice has this many chips
    """
    from simulator.errors import InputError

    if chips > MOST_CHIPS:
        raise InputError(f"{chips} chips are out of bounds", remedy=f"ask for at most {MOST_CHIPS:,} chips")
    given = each or machine.chips
    inside = machine.slice_levels(min(chips, given))
    if chips <= given:
        return Slice(machine, chips, 1, inside)
    machines, rest = divmod(chips, given)
    if rest:
        what = f"{given} chips of each" if each else f"{given} chips"
        raise InputError(
            f"{chips} chips are not a whole number of {machine.name} ({what})",
            remedy=f"try {machines * given} or {(machines + 1) * given}",
        )
    return Slice(machine, chips, machines, (*inside, machine.network.level(machines, given)))


def slice_of_shape(machine: Machine, shape: tuple[int, ...]) -> Slice:
    """Cut a slice of this many chips along each axis of a torus: another than the most cubic of as many chips.

    Raises
    ------
    simulator.errors.InputError : the machine is no torus, or has no legal slice of this shape
    """
    return Slice(machine, math.prod(shape), 1, machine.shape_levels(shape))
