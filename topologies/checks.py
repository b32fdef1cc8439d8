"""What must hold between the fields of a catalogue file, beyond the shape that :mod:`topologies.schema` gives it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from simulator import units
from simulator.errors import InputError, unknown_name
from simulator.figures import Figure, Source, figures_of
from simulator.machine import Chip
from topologies.fabrics import (
    Clos,
    Dragonfly,
    EdgeList,
    FixedTorus,
    FullMesh,
    HammingMesh,
    LeafSpine,
    MachineFabric,
    MeshedRacks,
    PcieTree,
    StarPlanes,
    SwitchedSleds,
    Torus,
    TwoTierPlanes,
)
from topologies.schema import Alternative, MachineEntry

LARGEST = {
    "bytes": 1e18,
    "bytes_per_s": 1e18,
    "s": 1e10,
    "flops": 1e21,
    "w": 1e12,
    "usd": 1e15,
    "usd_per_s": 1e6,
    "usd_per_j": 1.0,
    "per_s": 1.0,
    "kg_per_j": 1.0,
    "date": 2100.0,
    "1": 1e5,
}
"""Dimension -> the largest number in SI base units that is taken for a figure of one machine rather than for a slip."""

TINY = 1e-6
"""Least of a share or of a divisor: less is a slip, and what is divided by it out of all proportion."""
_SHARES = frozenset({"fraction", "sustained", "backward"})
_BETWEEN = {"idle": (0.0, 1.0), "pue": (1.0, LARGEST["1"])}
"""Numbers with limits of their own; a power at rest may be none."""
MOST_RAMP = 4.0
"""A ramp (1 at the best number of chunks, none for messages in one piece) is more where a library chooses worse."""
_LEAST = {
    **dict.fromkeys(("life", "rent_per_chip", "spread_low", "spread_high", "small", "middle", "large"), TINY),
    **dict.fromkeys(("full", "capital", "price", "engines"), 1.0),
}
"""Figures that are divided by, or by which machines are compared, and the least of each in SI base units.

A machine that draws nothing or is had for nothing is ahead of all others per megawatt or per dollar, whatever it does.
Nothing remains a number where it says something: a network whose price and power are in those of the machine
(``price_per_chip``, ``power_per_chip``), energy that somebody else pays for (``energy_price``), what takes no time,
what never fails (``interruptions_per_chip``).
"""
_LEAST_OF = {"bytes": 1.0, "bytes_per_s": 1.0, "flops": 1.0, "date": 1990.0}
"""Dimension -> the least of all other figures, where it is not zero; no accelerator is older than its year."""
_WEIGHT_SLACK = 1e-9


def check_figures(node: object, where: str, sources: Mapping[str, Source]) -> None:
    """Check the bounds and the source of every settled figure inside ``node``.

    Raises
    ------
    InputError : a zero where a division waits, a share above one, a number out of all proportion, an unknown source
    """
    for figure in figures_of(node):
        check_figure(figure, f"{where}: {path_of(figure)}", sources)


def path_of(figure: Figure) -> str:
    """The dotted path of a settled figure inside its file."""
    return figure.key.split("/", 2)[2]


def check_figure(figure: Figure, where: str, sources: Mapping[str, Source]) -> None:
    """Check one settled figure; see :func:`check_figures`."""
    if figure.source and figure.source not in sources:
        raise unknown_name("source", figure.source, sources, where=f"{where}.source")
    for index, other in enumerate(figure.others):
        if other.source not in sources:
            raise unknown_name("source", other.source, sources, where=f"{where}.others[{index}].source")
    limits = _limits(figure)
    _check_bounds(figure, figure.low, figure.unit, limits, f"{where}.low")
    _check_bounds(figure, figure.high, figure.unit, limits, f"{where}.high")
    for index, other in enumerate(figure.others):
        _check_bounds(figure, other.value, other.unit or figure.unit, limits, f"{where}.others[{index}].value")


def _check_bounds(figure: Figure, number: float, unit: str, limits: tuple[float, float], where: str) -> None:
    """Check one number that stands in a figure or beside it."""
    least, most = limits
    value, base = number * units.factor(unit, figure.dimension), units.DISPLAY[figure.dimension]
    if value < least:
        shown = "more than 0" if least == TINY else f"at least {least:g} {base}"
        raise InputError(f"{number:g} {unit} is not {shown}", where=where, remedy="raise it")
    if value > most:
        raise InputError(
            f"{number:g} {unit} is out of all proportion, above {most:g} {base}",
            where=where,
            remedy="check the number and its unit",
        )


def _limits(figure: Figure) -> tuple[float, float]:
    """The least and the largest number in SI base units; what is divided by has a least above zero."""
    *inner, last = path_of(figure).split("@")[0].split(".")
    if last in _SHARES or (inner and inner[-1] in _SHARES):
        return TINY, 1.0
    if last in _BETWEEN:
        return _BETWEEN[last]
    least = _LEAST.get(last, _LEAST_OF.get(figure.dimension, 0.0))
    return least, MOST_RAMP if (last, figure.dimension) == ("ramp", "1") else LARGEST[figure.dimension]


def check_chip(chip: Chip, where: str) -> None:
    """Check that a chip has bf16 (what a wanted dtype falls back to) and an achieved fraction for each dtype it has."""
    if "bf16" not in chip.peak:
        raise InputError("bf16 is missing", where=f"{where}: peak", remedy="state the dense bf16 peak of the chip")
    for name, held in (("matmul.fraction", chip.matmul.fraction), ("matmul.sustained", chip.matmul.sustained)):
        for dtype in chip.peak:
            if dtype not in held:
                raise InputError(
                    f"{dtype} is missing", where=f"{where}: {name}", remedy=f"add it, as peak.{dtype} stands"
                )
        _check_peaks(chip, held, f"{where}: {name}")
    if "bf16" not in chip.attention.fraction:
        raise InputError("bf16 is missing", where=f"{where}: attention.fraction", remedy="add it; it may be assumed")
    _check_peaks(chip, chip.attention.fraction, f"{where}: attention.fraction")


def _check_peaks(chip: Chip, dtypes: Iterable[str], where: str) -> None:
    for dtype in dtypes:
        if dtype not in chip.peak:
            raise InputError(f"{dtype} has no peak", where=f"{where}.{dtype}", remedy="take it out")


def chips_of(fabric: MachineFabric) -> int:  # noqa: PLR0911 - one return for each kind of fabric
    """How many chips a fabric joins."""
    match fabric:
        case Torus() | FixedTorus():
            return math.prod(fabric.dims)
        case StarPlanes() | FullMesh() | EdgeList():
            return fabric.chips
        case TwoTierPlanes() | Clos():
            return fabric.nodes * fabric.chips_per_node
        case LeafSpine():
            return fabric.groups * fabric.chips_per_group
        case MeshedRacks():
            return fabric.racks * math.prod(fabric.dims)
        case Dragonfly():
            return fabric.groups * fabric.nodes * fabric.chips_per_node
        case PcieTree():
            return fabric.hosts * fabric.switches * fabric.chips_per_switch
        case HammingMesh():
            return math.prod(fabric.board) * math.prod(fabric.boards)
        case SwitchedSleds():
            return fabric.racks * fabric.sleds_per_rack * fabric.chips_per_sled


def check_machine(entry: MachineEntry, where: str) -> None:
    """Check counts and hypotheses of a machine.

    Raises
    ------
    InputError : the fabric joins another number of chips, the allocation unit does not divide it, weights do not sum
        to one, the first hypothesis is not the file's own reading, a phase has no stack
    """
    joined = chips_of(entry.fabric)
    if joined != entry.chips:
        raise InputError(
            f"{entry.chips} does not equal the {joined} chips of [fabric]",
            where=f"{where}: chips",
            remedy="correct one of them",
        )
    _check_fabric(entry.fabric, where)
    for each in entry.hypotheses:
        _check_alternative(each, entry.chips, f"{where}: hypotheses.{each.name}")
    if entry.chips % entry.allocation.chips:
        raise InputError(
            f"{entry.allocation.chips} does not divide {entry.chips} chips",
            where=f"{where}: allocation.chips",
            remedy="name a unit that the machine is a whole number of",
        )
    for phase in ("training", "serving"):
        if phase not in entry.stacks:
            raise InputError(f"{phase} is missing", where=f"{where}: stacks", remedy=f'add {phase} = "NAME OF A STACK"')
    _check_hypotheses(entry.hypotheses, entry.reading, where)


def _check_alternative(each: Alternative, chips: int, where: str) -> None:
    """Check that another fabric joins the same chips and is not given beside figures of the one that it replaces."""
    if each.fabric is None:
        return
    joined = chips_of(each.fabric)
    if joined != chips:
        raise InputError(
            f"{joined} chips are not the {chips} of the machine", where=f"{where}.fabric", remedy="correct one of them"
        )
    _check_fabric(each.fabric, where)
    replaced = next((path for path in each.figures if path.startswith("fabric.")), "")
    if replaced:
        raise InputError(
            f"{replaced} is replaced together with the whole fabric",
            where=f"{where}.figures",
            remedy="write the figure into the fabric of the hypothesis",
        )


def _check_fabric(fabric: MachineFabric, where: str) -> None:
    """Check what must hold between the fields of one kind of fabric."""
    match fabric:
        case Torus():
            _check_axes(fabric.cube, fabric.dims, f"{where}: fabric.cube")
            for axis, (whole, part) in enumerate(zip(fabric.dims, fabric.cube, strict=True)):
                if whole % part:
                    place = f"{where}: fabric.cube[{axis}]"
                    raise InputError(f"{part} does not divide {whole}", where=place, remedy="dims are whole cubes")
        case FixedTorus():
            _check_fixed_torus(fabric, where)
        case MeshedRacks():
            if fabric.mesh_links:
                _check_axes(fabric.mesh_links, fabric.dims, f"{where}: fabric.mesh_links")
        case SwitchedSleds():
            _check_sleds(fabric, where)
        case Clos():
            from topologies.builders.clos_plane import plane

            plane(fabric, where)
        case EdgeList():
            _check_edge_list(fabric, where)
        case _:
            pass


def _check_axes(given: Sequence[object], dims: Sequence[int], where: str) -> None:
    if len(given) != len(dims):
        raise InputError(f"{len(given)} axes are not the {len(dims)} of dims", where=where, remedy="one each")


def _check_fixed_torus(fabric: FixedTorus, where: str) -> None:
    for name in ("share", "wraps"):
        given = getattr(fabric, name)
        if given:
            _check_axes(given, fabric.dims, f"{where}: fabric.{name}")
    for index, shape in enumerate(fabric.slices):
        place = f"{where}: fabric.slices[{index}]"
        _check_axes(shape, fabric.dims, place)
        for side, whole in zip(shape, fabric.dims, strict=True):
            if side > whole:
                raise InputError(f"{side} is longer than the axis of {whole}", where=place, remedy="shorten the slice")


def _check_sleds(fabric: SwitchedSleds, where: str) -> None:
    if fabric.rack_links < fabric.rack_switches:
        raise InputError(
            f"{fabric.rack_links} links do not reach {fabric.rack_switches} switches",
            where=f"{where}: fabric.rack_links",
            remedy="give a chip one to each switch or more",
        )
    if (fabric.racks > 1) != (fabric.twin_links > 0):
        raise InputError(
            f"{fabric.twin_links} links join the twins of {fabric.racks} racks",
            where=f"{where}: fabric.twin_links",
            remedy="give several racks 1 or more, a single rack 0",
        )


def _check_edge_list(fabric: EdgeList, where: str) -> None:
    """Check that every edge joins two nodes that there are, once, and that every chip can reach every other."""
    size = fabric.chips + fabric.switches + fabric.cpus + fabric.nics
    above = list(range(size))

    def root(node: int) -> int:
        while above[node] != node:
            above[node] = node = above[above[node]]
        return node

    seen: set[tuple[int, int]] = set()
    for index, bundle in enumerate(fabric.bundles):
        place = f"{where}: fabric.bundles[{index}].pairs"
        for a, b in bundle.pairs:
            if max(a, b) >= size:
                raise InputError(f"{max(a, b)} is no node", where=place, remedy=f"number nodes from 0 to {size - 1}")
            if a == b or (min(a, b), max(a, b)) in seen:
                what = "joined to itself" if a == b else f"joined to {b} twice"
                raise InputError(f"{a} is {what}", where=place, remedy="take the pair out; links counts parallel ones")
            seen.add((min(a, b), max(a, b)))
            above[root(a)] = root(b)
    lost = next((node for node in range(size) if root(node) != root(0)), None)
    if lost is not None:
        raise InputError(f"node {lost} is not joined to node 0", where=f"{where}: fabric.bundles", remedy="join it")


def _check_hypotheses(hypotheses: Iterable[Alternative], reading: str, where: str) -> None:
    known = list(hypotheses)
    if not known:
        return
    place = f"{where}: hypotheses"
    names = [hypothesis.name for hypothesis in known]
    if len(set(names)) != len(names):
        raise InputError("two hypotheses have the same name", where=place, remedy="rename one")
    total = sum(hypothesis.weight for hypothesis in known)
    if abs(total - 1) > _WEIGHT_SLACK:
        raise InputError(f"the weights sum to {total:g}", where=place, remedy="make them sum to 1")
    if known[0].figures or known[0].fabric is not None:
        raise InputError(
            "the first hypothesis replaces figures or the fabric",
            where=f"{place}[0]",
            remedy="the first is the reading in the file itself",
        )
    if not reading:
        raise InputError("is empty", where=f"{where}: reading", remedy="say which reading the figures in the file are")
