"""``supernode topology``: how a machine is wired, counted, measured and drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import InputError
from simulator.figures import Draw, Figure, figures_of
from simulator.files import write_whole
from supernode.cli.common import console, quantity_of
from supernode.cli.slices import Asked, Cut, cut, print_slices, rows_of_slice, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import networkx as nx

    from simulator.fabric import Fabric
    from simulator.machine import Level
    from topologies.schema import MachineEntry, NetworkEntry

_MOST_CHIPS = 32_768
_FORMATS = ("png", "svg", "pdf")
_ROUNDING = 1e-12


def topology(
    machine: Annotated[str, typer.Argument(help="Name in the catalogue, or a TOML file; none with --all.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the fabric into FILE (png, svg or pdf).")] = None,
    graphml: Annotated[Path | None, typer.Option(help="Write the graph into FILE as GraphML.")] = None,
    machines: Annotated[int, typer.Option(help="How many, joined by the machine's network.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    is_all: Annotated[
        bool, typer.Option("--all", help="A table of every machine; --plot draws their bisections.")
    ] = False,
    part: Annotated[
        str, typer.Option("--slice", metavar="SHAPE", help="One slice: 4x4x8 of a torus, or a number of chips.")
    ] = "",
    is_twisted: Annotated[bool, typer.Option("--twist", help="Wire the slice as a twisted torus.")] = False,
    cubes: Annotated[
        str, typer.Option(metavar="LIST", help="Make the slice of these cubes of the pod, as in 3,17.")
    ] = "",
    hypothesis: Annotated[str, typer.Option(help="Reading of an undisclosed machine.")] = "",
    is_listing: Annotated[bool, typer.Option("--slices", help="List every legal slice of the machine.")] = False,
) -> None:
    """How a machine, or a slice of it, is wired: counts, bisection, distances, levels; as a picture, as GraphML.

    Example: supernode topology tpu-v4 --slice 4x4x8 --twist --plot slice.png
    """
    _check_format(plot)
    asked = Asked(part, is_twisted, cubes)
    is_bare = graphml is None and machines == 1 and asked == Asked()
    if is_all:
        if machine or hypothesis or is_listing or not is_bare:
            raise InputError("--all is of every machine", remedy="leave out everything but --plot and --json, or --all")
        from supernode.cli.gallery import print_structures

        print_structures(plot, as_json=as_json)
        return
    if not machine:
        raise InputError("no machine named", remedy="write supernode topology NAME, or --all for every machine")
    if is_listing:
        if plot is not None or not is_bare:
            raise InputError("--slices lists all of one machine", remedy="leave out everything but --json, or --slices")
        print_slices(_read_as(machine, hypothesis), as_json=as_json)
        return
    _answer(_wired(machine, hypothesis, machines, asked), plot, graphml, as_json=as_json)


def _check_format(plot: Path | None) -> None:
    if plot is not None and plot.suffix.lower().removeprefix(".") not in _FORMATS:
        raise InputError(
            f"cannot draw a {plot.suffix or 'file without suffix'}",
            where=f"--plot {plot}",
            remedy="end the name in .png, .svg or .pdf",
        )


def _answer(wiring: _Wiring, plot: Path | None, graphml: Path | None, *, as_json: bool) -> None:
    """Print the report of a wiring and write its files."""
    if plot is not None and wiring.fabric.chips == 1:
        raise InputError("a single chip has no links to draw", where="--plot", remedy="leave out --plot")
    report = _report(wiring)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2))
    else:
        _print(report, wiring)
    if plot is not None:
        from supernode.plots.topology import rendered

        write_whole(plot, rendered(wiring.graph(), plot.suffix.lower().removeprefix(".")))
    if graphml is not None:
        from topologies.graphml import as_graphml

        write_whole(graphml, as_graphml(wiring.graph()))
    for path in (plot, graphml):
        if path is not None and not as_json:
            typer.echo(f"wrote {path}")


@dataclass(frozen=True)
class _Wiring:
    """A machine, a slice of it, or several with their network, in arrays, stated and at both ends; and its graph."""

    entry: MachineEntry
    hypothesis: str
    network: NetworkEntry | None
    machines: int
    title: str
    graph: Callable[[], nx.Graph[str]]
    fabric: Fabric
    low: Fabric
    high: Fabric
    bounds: dict[str, tuple[float, float]]
    levels: tuple[Level, ...]
    cut: Cut | None


def _read_as(name: str, hypothesis: str) -> MachineEntry:
    """The entry of a machine; under a hypothesis as that reads it, and without the others.

    Raises
    ------
    InputError : nothing has this name, or the machine has no such hypothesis
    """
    import msgspec

    import topologies

    entry = topologies.entry(name, hypothesis)
    if not hypothesis:
        return entry
    return msgspec.structs.replace(entry, title=f"{entry.title}, as {hypothesis} has it", hypotheses=())


def _wired(name: str, hypothesis: str, machines: int, asked: Asked) -> _Wiring:
    import topologies
    from simulator.machine import slice_of
    from topologies.builders import builder_of, network_builder_of

    entry = _read_as(name, hypothesis)
    most = max(1, _MOST_CHIPS // entry.chips)
    if not 1 <= machines <= most:
        text = f"{machines} is no number of machines to join"
        if machines > most:
            text = f"{machines} x {entry.chips:,} chips are too many: a joined graph has up to {_MOST_CHIPS:,}"
        raise InputError(text, where="--machines", remedy=f"write 1 to {most}" if most > 1 else "leave it out")
    machine = topologies.machine(name, hypothesis)
    network = topologies.network_entry(entry.network) if machines > 1 else None
    bounds = _bounds(entry, network)
    found = cut(entry, asked, machines)
    title, note = (found.title, found.note) if found else (entry.title, "")
    if network is not None:
        title = f"{machines} x {entry.title}, over {network.name}"

    def graph(draw: Draw) -> nx.Graph[str]:
        one = found.graph(draw) if found else builder_of(entry.fabric).graph(entry.fabric, draw)
        one.graph.update(title=title, reading=" ".join(filter(None, (note, entry.reading))))
        one.graph["bandwidth_low"], one.graph["bandwidth_high"] = bounds[entry.fabric.link.bandwidth.key]
        if network is None:
            return one
        joined = network_builder_of(network.fabric).join(one, machines, network.fabric, draw)
        joined.graph["title"] = title
        return joined

    def arrays(draw: Draw) -> Fabric:
        one = found.arrays(draw) if found else builder_of(entry.fabric).arrays(entry.fabric, draw)
        if network is None:
            return one
        return network_builder_of(network.fabric).join_arrays(one, machines, network.fabric, draw)

    frozen = arrays(Draw())
    ends = [frozen, frozen]
    if any(low < high for low, high in bounds.values()):
        ends = [arrays(Draw({key: bound[end] for key, bound in bounds.items()})) for end in range(2)]
    levels = found.levels if found else slice_of(machine, entry.chips * machines).levels
    low, high = ends
    stated = cache(partial(graph, Draw()))
    return _Wiring(entry, hypothesis, network, machines, title, stated, frozen, low, high, bounds, levels, found)


def _bounds(entry: MachineEntry, network: NetworkEntry | None) -> dict[str, tuple[float, float]]:
    """Low and high of each figure of the fabric [SI], over its own range and every reading of the machine."""
    found = {}
    for figure in [*figures_of(entry.fabric), *(figures_of(network.fabric) if network else ())]:
        path = figure.key.split("/", 2)[-1]
        others = [each.figures[path] for each in entry.hypotheses if path in each.figures]
        same = [figure, *(others if figure.key.startswith("machine/") else ())]
        found[figure.key] = (min(each.si_low for each in same), max(each.si_high for each in same))
    return found


def _report(wiring: _Wiring) -> dict[str, Any]:
    from simulator.fabric import bisection, cut_bytes_per_s, degree, distances, injection_bytes_per_s, links_per_chip

    fabric, network = wiring.fabric, wiring.network
    inside = wiring.entry.fabric.link.bandwidth
    between = network.fabric.link.bandwidth if network else inside
    _, cut = bisection(fabric)
    three = (fabric, wiring.low, wiring.high)
    far = distances(fabric)
    report: dict[str, Any] = {
        "schema": 1,
        "machine": wiring.entry.name,
        "hypothesis": wiring.hypothesis or None,
        "machines": wiring.machines,
        "network": network.name if network else None,
        "chips": fabric.chips,
        "switches": fabric.switches,
        "nodes": len(fabric.nodes),
        "edges": fabric.edges,
        "links": fabric.physical_links,
        "degree": degree(fabric),
        "links_per_chip": links_per_chip(fabric),
        "injection": quantity_of([injection_bytes_per_s(each) for each in three], inside),
        "bisection": quantity_of([cut_bytes_per_s(each, cut) for each in three], between) | {"cut": cut},
        "diameter": far.diameter,
        "mean_distance": far.mean,
        **_structure(three, inside),
        "levels": [_level(level, wiring.bounds) for level in wiring.levels],
        "reading": wiring.entry.reading,
    }
    if wiring.cut:
        report["slice"] = wiring.cut.facts
        turn = getattr(wiring.entry.fabric, "reconfiguration", None)
        if turn is not None and any(wiring.cut.facts["wraps"]):
            report["reconfiguration"] = quantity_of([turn.si, turn.si_low, turn.si_high], turn)
    if network:
        rates = [injection_bytes_per_s(each, scale_out=True) for each in three]
        report["network_injection"] = quantity_of(rates, between)
    return report


def _structure(three: Sequence[Fabric], rate: Figure) -> dict[str, Any]:
    """All-to-all bound, ways between the farthest chips, what a failure takes; None for what would take minutes."""
    from simulator.structure import is_quick, loss_of_link, loss_of_switch, path_diversity

    fabric = three[0]
    quick = is_quick(fabric)
    return {
        "all_to_all": quantity_of(_all_to_all(three), rate) if quick else None,
        "path_diversity": path_diversity(fabric) if quick else None,
        "switch_loss": asdict(loss_of_switch(fabric)) if fabric.switches else None,
        "link_loss": asdict(loss_of_link(fabric)),
    }


def _all_to_all(three: Sequence[Fabric]) -> list[float]:
    """The bound of the first fabric, and the least and most of all [B/s]; in proportion to its links where all are.

    More bandwidth on some links draws traffic onto others, so that the bound need not grow with it.
    """
    from simulator.structure import all_to_all_bytes_per_s

    fabric, bounds = three[0], [all_to_all_bytes_per_s(three[0])]
    for each in three[1:]:
        scale = each.bandwidth_bytes_per_s / fabric.bandwidth_bytes_per_s
        is_alike = bool((abs(scale - scale[:1]) <= _ROUNDING * scale).all())
        bounds.append(bounds[0] * float(scale[:1].sum()) if is_alike else all_to_all_bytes_per_s(each))
    return [bounds[0], min(bounds), max(bounds)]


def _level(level: Level, bounds: dict[str, tuple[float, float]]) -> dict[str, Any]:
    rate, delay = level.link.bandwidth, level.link.latency
    ends = [(figure.si, *bounds.get(figure.key, (figure.si_low, figure.si_high))) for figure in (rate, delay)]
    return {
        "name": level.name,
        "kind": level.kind,
        "size": level.size,
        "links": level.links,
        "hops": level.hops,
        "wraps": level.wraps,
        "bandwidth": quantity_of([level.links * value for value in ends[0]], rate),
        "latency": quantity_of(list(ends[1]), delay),
    }


def _print(report: dict[str, Any], wiring: _Wiring) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console(100)
    out.print(Text("".join(c if c.isprintable() else " " for c in wiring.title), style="bold"))
    table = Table(show_header=False)
    rows = [(name.replace("_", " "), f"{report[name]:,}") for name in ("chips", "switches", "nodes", "edges", "links")]
    rows += [
        ("neighbours of a chip", f"{report['degree']:,}, by {report['links_per_chip']:,} links"),
        ("injection of a chip", shown(report["injection"])),
    ]
    if "network_injection" in report:
        rows.append(("into the network", shown(report["network_injection"])))
    rows += [
        ("bisection", f"{shown(report['bisection'])}\nacross {report['bisection']['cut']}"),
        ("diameter", f"{report['diameter']} edges between two chips"),
        ("mean distance", f"{report['mean_distance']:.4f} edges between two chips"),
    ]
    rows += _rows_of_structure(report)
    if wiring.cut:
        rows += rows_of_slice(report)
    for row in rows:
        table.add_row(*row)
    out.print(table)
    if wiring.cut and wiring.cut.note:
        out.print(f"{wiring.cut.note} The levels are those of the plain torus, which closed forms price.")
    levels = Table("level", "kind", "size", "links", "hops", "a chip, one direction", "one hop", title="Levels")
    for level in report["levels"]:
        kind = (
            f"{level['kind']}, {'closed' if level['wraps'] else 'open'}" if level["kind"] == "axis" else level["kind"]
        )
        links = f"2 x {level['links']:g}" if level["kind"] == "axis" else f"{level['links']:g}"
        numbers = (f"{level['size']:,}", links, str(level["hops"]))
        levels.add_row(level["name"], kind, *numbers, shown(level["bandwidth"]), shown(level["latency"]))
    out.print(levels)
    link = wiring.entry.fabric.link
    out.print(
        f"Bandwidths are of one direction. Link bandwidth is {link.bandwidth.kind}, its latency {link.latency.kind}."
    )
    if report["reading"]:
        out.print(Text(f"Reading: {report['reading']}", style="italic"))


def _rows_of_structure(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What a table says of traffic among all chips, of ways, and of failures."""
    bound, ways = report["all_to_all"], report["path_diversity"]
    losses = [(f"loss of a {part}", report[f"{part}_loss"]) for part in ("switch", "link")]
    return [
        ("all to all", f"{shown(bound)} a chip at most" if bound else "too large to ask from every chip"),
        ("ways without a common link", f"{ways:,} between the farthest chips" if ways else "–"),
        *(
            (name, f"{loss['injection']:.3g} of a chip's injection, {loss['bisection']:.3g} of the bisection")
            for name, loss in losses
            if loss
        ),
    ]
