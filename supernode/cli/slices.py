"""Slices on the command line: a shape as people write it, the graph of one slice, the table of all that are legal."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from simulator.errors import InputError
from simulator.machine import MOST_CHIPS
from simulator.units import humanise
from supernode.cli.common import console, print_json, quantity_of

if TYPE_CHECKING:
    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.figures import Draw
    from simulator.machine import Level
    from topologies.builders import LegalSlice
    from topologies.fabrics import FixedTorus, MachineFabric, Torus
    from topologies.schema import MachineEntry

_SHAPE = re.compile(r"[0-9]{1,7}(x[0-9]{1,7}){0,5}")
_CUBES = re.compile(r"[0-9]{1,7}(,[0-9]{1,7})*")


@dataclass(frozen=True)
class Asked:
    """What was asked for: a slice by its shape or its chips (none if empty), twisted, of some cubes of the pod."""

    part: str = ""
    is_twisted: bool = False
    cubes: str = ""


@dataclass(frozen=True)
class Cut:
    """One slice of a machine.

    Parameters
    ----------
    title : what it is, as people read it
    graph, arrays : how it is wired under one draw of the figures
    levels : its levels, innermost first; a twist leaves them alone
    facts : what the report says of it besides what its graph says
    note : what else people must know to read them; often nothing
    """

    title: str
    graph: Callable[[Draw], nx.Graph[str]]
    arrays: Callable[[Draw], Fabric]
    levels: tuple[Level, ...]
    facts: dict[str, Any]
    note: str = ""


def parsed(text: str) -> tuple[int, ...]:
    """Read ``4x4x8`` as the sides of a shape, and ``128`` as a number of chips: one number.

    Raises
    ------
    InputError : something else, a zero, more chips than there are anywhere
    """
    where = f"--slice {text[:40]}"
    if not _SHAPE.fullmatch(text):
        raise InputError("is no slice", where=where, remedy="write chips along each axis, as in 4x4x8, or all: 128")
    shape = tuple(map(int, text.split("x")))
    if not 1 <= math.prod(shape) <= MOST_CHIPS:
        raise InputError(
            f"{math.prod(shape):,} chips are out of bounds", where=where, remedy=f"ask for 1 to {MOST_CHIPS:,} chips"
        )
    return shape


def cut(entry: MachineEntry, asked: Asked, machines: int = 1) -> Cut | None:
    """The slice that was asked for; none where the whole machine was.

    Raises
    ------
    InputError : a slice that the machine does not allow (names those next to it), a twist or cubes it does not have,
        a twist, cubes or several machines where they say nothing
    """
    from topologies.fabrics import FixedTorus, Torus

    fabric = entry.fabric
    for is_there, option in ((asked.is_twisted, "--twist"), (bool(asked.cubes), "--cubes")):
        if is_there and not asked.part:
            raise InputError("needs a slice", where=option, remedy="name it: --slice 4x4x8")
        if is_there and not isinstance(fabric, Torus):
            raise InputError(f"{entry.name} has no cubes to join otherwise", where=option, remedy="leave it out")
    if not asked.part:
        return None
    if machines != 1:
        raise InputError("joins whole machines", where="--machines", remedy="leave out --machines or --slice")
    wanted, where = parsed(asked.part), f"--slice {asked.part}"
    if isinstance(fabric, Torus):
        return _cut_of_cubes(entry, fabric, _legal(fabric, wanted, asked, where), asked)
    if isinstance(fabric, FixedTorus):
        return _cut_of(entry, fabric, _legal(fabric, wanted, asked, where))
    return _cut_of_counts(entry, fabric, wanted, where)


def _legal(fabric: Torus | FixedTorus, wanted: tuple[int, ...], asked: Asked, where: str) -> LegalSlice:
    """The legal slice of a shape, or the most cubic (to be twisted: the first that can be) of a number of chips."""
    from topologies.builders import legal_slice, legal_slice_of_chips, twistable
    from topologies.fabrics import Torus

    if len(fabric.dims) == 1 or len(wanted) > 1:
        return legal_slice(fabric, wanted, where=where)
    part = legal_slice_of_chips(fabric, wanted[0], where=where)
    turned = twistable(fabric, part.chips) if asked.is_twisted and isinstance(fabric, Torus) else []
    return legal_slice(fabric, turned[0]) if turned else part


def _cut_of_cubes(entry: MachineEntry, fabric: Torus, part: LegalSlice, asked: Asked) -> Cut:
    """A slice that optical switches join: plain, twisted, or of the cubes that are named."""
    from simulator.fabric import Fabric
    from topologies.builders import check_twist, twisted, twisted_arrays

    plain = _cut_of(entry, fabric, part)
    if asked.is_twisted and asked.cubes:
        raise InputError("is for plain tori", where="--cubes", remedy="leave out --cubes or --twist")
    if asked.is_twisted:
        check_twist(fabric, part.shape, where="--twist")
        kind = "twisted torus"
        return Cut(
            title=_title(entry, part, kind),
            graph=lambda draw: twisted(fabric, part.shape, draw=draw),
            arrays=lambda draw: twisted_arrays(fabric, part.shape, draw=draw),
            levels=plain.levels,
            facts=plain.facts | {"kind": kind, "is_twisted": True},
            note=_twist_in_words(part.shape),
        )
    if asked.cubes:
        cubes, circuits = _numbered(fabric, part, asked.cubes)
        return dataclasses.replace(
            plain,
            graph=functools.partial(_rewired, fabric, part, cubes),
            arrays=lambda draw: Fabric.from_graph(_rewired(fabric, part, cubes, draw)),
            facts=plain.facts | {"cubes": cubes, "circuits": circuits},
        )
    return plain


def _cut_of(entry: MachineEntry, fabric: Torus | FixedTorus, part: LegalSlice) -> Cut:
    from topologies.builders import arrays_of, graph_of, levels_of_shape

    return Cut(
        title=_title(entry, part, part.kind),
        graph=functools.partial(graph_of, fabric, part),
        arrays=functools.partial(arrays_of, fabric, part),
        levels=levels_of_shape(fabric, part.shape),
        facts=_facts(part.kind, part),
    )


def _title(entry: MachineEntry, part: LegalSlice, kind: str) -> str:
    from topologies.builders import written

    return f"{written(part.shape)} {kind} of {entry.title}" if part.chips > 1 else f"One chip of {entry.title}"


def _facts(kind: str, part: LegalSlice | None = None) -> dict[str, Any]:
    """What the report says of a slice; without a shape, of one that is told by its number of chips."""
    return {
        "shape": list(part.shape) if part else None,
        "kind": kind,
        "wraps": list(part.wraps) if part else [],
        "is_twistable": bool(part and part.is_twistable),
        "is_twisted": False,
    }


def _twist_in_words(shape: tuple[int, ...]) -> str:
    """What a twist does, as in: Closing x adds 4 to z, closing y adds 4 to z."""
    from topologies.builders import AXES, twist_of

    closing = []
    for axis, shift in twist_of(shape).items():
        moves = [f"{chips} to {name}" for name, chips in zip(AXES, shift, strict=False) if chips]
        closing.append(f"closing {AXES[axis]} adds {' and '.join(moves)}")
    return f"{', '.join(closing).capitalize()}."


def _rewired(fabric: Torus, part: LegalSlice, cubes: list[int], draw: Draw) -> nx.Graph[str]:
    from topologies.builders import builder_of, slice_of_cubes

    return slice_of_cubes(builder_of(fabric).graph(fabric, draw), fabric, cubes, part.shape)


def _numbered(fabric: Torus, part: LegalSlice, text: str) -> tuple[list[int], int]:
    """The cubes that the text names, and how many circuits make the slice of them."""
    from topologies.builders import circuits_of

    where = f"--cubes {text[:40]}"
    if not _CUBES.fullmatch(text):
        raise InputError("are no cubes", where=where, remedy="write their numbers from 0, as in 3,17,40,99")
    cubes, size, chips = list(map(int, text.split(","))), math.prod(fabric.cube), math.prod(fabric.dims)
    needed = part.chips // size
    if part.chips % size or len(cubes) != needed or len(set(cubes)) != needed or max(cubes) >= chips // size:
        need = f"name {needed} different ones of 0 to {chips // size - 1}" if needed else "leave them out"
        raise InputError(f"these {len(cubes)} make no slice of {part.chips} chips", where=where, remedy=need)
    return cubes, len(circuits_of(fabric, cubes, part.shape))


def _cut_of_counts(entry: MachineEntry, fabric: MachineFabric, wanted: tuple[int, ...], where: str) -> Cut:
    """A number of chips of a fabric that has no shapes."""
    from topologies.builders import builder_of, part_of
    from topologies.fabrics import tag_of

    if len(wanted) > 1:
        raise InputError(
            f"{entry.name} is no torus, its slices have no shape", where=where, remedy="write a number of chips"
        )
    levels = builder_of(fabric).levels(fabric, wanted[0])
    part = part_of(fabric, wanted[0])
    builder = builder_of(part)
    return Cut(
        title=f"{wanted[0]:,} chips of {entry.title}",
        graph=functools.partial(builder.graph, part),
        arrays=functools.partial(builder.arrays, part),
        levels=levels,
        facts=_facts(tag_of(part)),
    )


def rows_of_slice(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What a table says of a slice beside what it says of any machine."""
    from topologies.builders import written

    facts = report["slice"]
    rows = []
    if facts["shape"]:
        closed = _closed(facts["wraps"])
        rows.append(("slice", f"{written(facts['shape'])} {facts['kind']}, closed axes: {closed}"))
    if facts["is_twistable"] and not facts["is_twisted"]:
        rows.append(("twist", "could be wired as a twisted torus: --twist"))
    if "cubes" in facts:
        rows.append(("optical circuits", f"{facts['circuits']} between the faces of {len(facts['cubes'])} cubes"))
    if "reconfiguration" in report:
        rows.append(("to rewire", f"{shown(report['reconfiguration'])}, the optical switches alone"))
    return rows


def shown(quantity: dict[str, Any]) -> str:
    """A quantity as people read it, with its range where it has one."""
    value, low, high = (humanise(quantity[part], quantity["unit"]) for part in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"


def _closed(wraps: list[bool]) -> str:
    from topologies.builders import AXES

    return " ".join(axis for axis, is_closed in zip(AXES, wraps, strict=False) if is_closed) or "none"


def print_slices(entry: MachineEntry, *, as_json: bool) -> None:
    """Print every legal slice: of tori by shape, with the bisection of a chip; of other fabrics by number of chips."""
    from topologies.builders import builder_of, legal_slices

    known = legal_slices(entry.fabric)
    rows = [_row(each) for each in known]
    if not known:
        nothing: dict[str, Any] = dict.fromkeys(("shape", "kind", "wraps", "is_twistable", "bisection_per_chip"))
        rows = [nothing | {"chips": chips} for chips in builder_of(entry.fabric).legal_chips(entry.fabric)]
    if as_json:
        print_json({"schema": 1, "machine": entry.name, "count": len(rows), "slices": rows})
        return
    _print_table(entry, rows)


def _row(each: LegalSlice) -> dict[str, Any]:
    from simulator.figures import Draw

    rate = each.link.bandwidth
    ends = (Draw(), Draw({rate.key: rate.si_low}), Draw({rate.key: rate.si_high}))
    return {
        "chips": each.chips,
        "shape": list(each.shape),
        "kind": each.kind,
        "wraps": list(each.wraps),
        "is_twistable": each.is_twistable,
        "bisection_per_chip": quantity_of([each.bisection_per_chip_bytes_per_s(draw) for draw in ends], rate),
    }


def _print_table(entry: MachineEntry, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from topologies.builders import written

    has_shapes = rows[0]["shape"] is not None
    out = console(100)
    out.print(Text(f"{len(rows):,} legal slices of {entry.title}", style="bold"))
    table = Table("chips", *(("shape", "kind", "closed axes", "twist", "bisection a chip") if has_shapes else ()))
    for row in rows:
        cells = [f"{row['chips']:,}"]
        if has_shapes:
            cells += [written(row["shape"]), row["kind"], _closed(row["wraps"])]
            cells += ["yes" if row["is_twistable"] else "no", shown(row["bisection_per_chip"])]
        table.add_row(*cells)
    out.print(table)
    if not has_shapes:
        typer.echo("No torus: slices are told by their number of chips.")
