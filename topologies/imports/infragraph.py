"""Reads InfraGraph (Keysight; schema 2.4) as JSON: devices made of components, instances of them, and their edges.

What maps: components of choice ``xpu`` (chips), ``switch``, ``cpu``, ``nic`` and ``port``, edges by ``one2one``,
``many2many`` and ``ring``, bandwidths in bits or bytes per second, latencies. A port is no node here: what it joins is
joined directly, at the lower bandwidth and the sum of latencies. Memory is left out. What does not map, and is refused
with its name: components that are devices themselves, custom ones, transfers per second (their width is not said).
The schema does not say whether a bandwidth is of one direction or of both; it is taken as that of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from simulator.errors import InputError
from simulator.files import convert, parse_json
from topologies.imports.common import (
    MOST_EDGES,
    MOST_NODES,
    Collector,
    Edge,
    Wiring,
    bandwidth,
    latency,
    read_limited,
    shown,
)

LARGEST_BYTES = 4 << 20
NOTE = "InfraGraph does not say whether bandwidths count one direction or both; they are taken as those of one."
_ENDPOINT = re.compile(r"([^\[\].]{1,200})(?:\[(\d{0,9})(:?)(\d{0,9})\])?")
_RATES = {"gigabits_per_second": 1e9 / 8, "gigabytes_per_second": 1e9}
_TIMES = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}

Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class _Part(msgspec.Struct, frozen=True):
    """Base of what is read: keys that are not needed, such as descriptions, are passed over."""


class Physical(_Part, frozen=True):
    """Bandwidth and latency, each under the name of its unit."""

    bandwidth: dict[str, Any] = {}
    latency: dict[str, Any] = {}


class Link(_Part, frozen=True):
    """A kind of link."""

    name: Name
    physical: Physical = Physical()


class Component(_Part, frozen=True):
    """Parts of one kind in a device."""

    name: Name
    choice: Literal["custom", "device", "cpu", "xpu", "nic", "memory", "port", "switch"]
    count: Count = 1


class Endpoint(_Part, frozen=True):
    """Components, of instances or of the device that the edge stands in."""

    component: Text
    instance: Text = ""
    device: Text = ""


class Join(_Part, frozen=True):
    """Edges between two sets of components."""

    ep1: Endpoint
    ep2: Endpoint
    link: Name
    scheme: Literal["one2one", "many2many", "ring"] = "one2one"


class Device(_Part, frozen=True):
    """A blueprint: components and how they are joined."""

    name: Name
    components: list[Component]
    links: list[Link] = []
    edges: list[Join] = []


class Instance(_Part, frozen=True):
    """How often a device stands in the machine, under which name."""

    name: Name
    device: Name
    count: Count = 1


class Infrastructure(_Part, frozen=True):
    """The whole file."""

    devices: list[Device]
    instances: list[Instance]
    links: list[Link] = []
    edges: list[Join] = []


_KINDS = {"xpu": "chip", "switch": "switch", "cpu": "cpu", "nic": "nic", "port": "switch"}


def read(path: Path) -> Wiring:
    """The wiring in an InfraGraph file.

    Raises
    ------
    InputError : not JSON, a part that does not map, a name that nothing has, more nodes than any machine; names it
    """
    if path.suffix.lower() in {".yaml", ".yml"}:
        raise InputError("YAML is not read", where=str(path), remedy="save it as JSON, which InfraGraph also writes")
    text, where = read_limited(path, LARGEST_BYTES), str(path)
    tree = parse_json(text, where)
    found = convert(tree.get("infrastructure", tree) if isinstance(tree, dict) else tree, Infrastructure, where)
    return _expanded(found, where)


class _Building:
    """Nodes and edges of an infrastructure while its instances are laid out."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.collected = Collector(where)
        self.ports: set[str] = set()
        self.pairs = 0

    def join(self, ends: list[list[str]], join: Join, links: Mapping[str, Link], place: str) -> None:
        """The edges of one entry."""
        where = f"{self.where}: {place}"
        if join.link not in links:
            raise InputError(f"there is no link {shown(join.link)}", where=where, remedy="add it to links")
        edge = _edge(links[join.link], f"{self.where}: links.{join.link}")
        for a, b in _pairs(ends[0], ends[1], join.scheme, where):
            self.pairs += 1
            if self.pairs > MOST_EDGES:
                raise InputError(f"more than {MOST_EDGES:,} edges", where=where, remedy="import a part")
            if a in self.collected.kinds and b in self.collected.kinds:  # memory is no node
                self.collected.edge(a, b, edge, place)


def _expanded(found: Infrastructure, where: str) -> Wiring:
    """Every instance of every device, with its edges, and the edges between instances."""
    building, devices = _Building(where), {device.name: device for device in found.devices}
    instances = {each.name: each for each in found.instances}
    for instance in found.instances:
        device = devices.get(instance.device)
        if device is None:
            place = f"{where}: instances.{instance.name}"
            raise InputError(f"there is no device {shown(instance.device)}", where=place, remedy="add it to devices")
        _check_size(device, instance, building)
        for number in range(instance.count):
            _lay_out(device, f"{instance.name}.{number}", building)
    links = {link.name: link for link in found.links}
    for index, join in enumerate(found.edges):
        ends = []
        for name in ("ep1", "ep2"):
            end: Endpoint = getattr(join, name)
            place = f"{where}: edges[{index}].{name}"
            named, numbers = _slice(end.instance, {each.name: each.count for each in found.instances}, place)
            parts = {part.name: part.count for part in devices[instances[named].device].components}
            component, places = _slice(end.component, parts, place)
            ends.append([f"{named}.{i}.{component}.{j}" for i in numbers for j in places])
        building.join(ends, join, links, f"edges[{index}]")
    return _without_ports(building)


def _check_size(device: Device, instance: Instance, building: _Building) -> None:
    """Refuse what does not map, and refuse numbers that no machine has before counting that far."""
    for part in device.components:
        place = f"{building.where}: devices.{device.name}.components.{part.name}"
        if part.choice in {"device", "custom"}:
            remedy = "write xpu, switch, cpu, nic or port; put the parts of an inner device into the outer one"
            raise InputError(f"components of choice {part.choice} are not understood", where=place, remedy=remedy)
        if part.count * instance.count > MOST_NODES:
            raise InputError(f"{part.count * instance.count:,} nodes", where=place, remedy=f"at most {MOST_NODES:,}")
    if instance.count > MOST_NODES:
        place = f"{building.where}: instances.{instance.name}"
        raise InputError(f"{instance.count:,} instances", where=place, remedy=f"at most {MOST_NODES:,}")


def _lay_out(device: Device, name: str, building: _Building) -> None:
    """One instance of a device."""
    counts = {part.name: part.count for part in device.components}
    for part in device.components:
        for index in range(part.count if part.choice in _KINDS else 0):
            node = f"{name}.{part.name}.{index}"
            building.collected.node(node, _KINDS[part.choice], f"devices.{device.name}.components")
            if part.choice == "port":
                building.ports.add(node)
    links = {link.name: link for link in device.links}
    for index, join in enumerate(device.edges):
        place = f"devices.{device.name}.edges[{index}]"
        ends = []
        for end in (join.ep1, join.ep2):
            component, numbers = _slice(end.component, counts, f"{building.where}: {place}")
            ends.append([f"{name}.{component}.{number}" for number in numbers])
        building.join(ends, join, links, place)


def _slice(text: str, counts: Mapping[str, int], where: str) -> tuple[str, range]:
    """A name and the indexes that its slice picks, in the notation of Python: ``xpu``, ``xpu[3]``, ``xpu[0:4]``."""
    found = _ENDPOINT.fullmatch(text)
    if found is None:
        raise InputError(f"{shown(text)} is no endpoint", where=where, remedy="write NAME, NAME[3] or NAME[0:4]")
    name, first, colon, last = found.groups()
    if name not in counts:
        raise InputError(f"there is no {shown(name)}", where=where, remedy=f"known: {', '.join(sorted(counts))[:400]}")
    start = int(first) if first else 0
    stop = int(last) if last else counts[name] if colon or not first else start + 1
    if not 0 <= start < stop <= counts[name]:
        remedy = f"there are {counts[name]}, numbered from 0"
        raise InputError(f"{shown(text)} picks none, or more than there are", where=where, remedy=remedy)
    return name, range(start, stop)


def _pairs(first: list[str], second: list[str], scheme: str, where: str) -> Iterable[tuple[str, str]]:
    if scheme == "ring":
        members = list(dict.fromkeys([*first, *second]))
        ring = zip(members, [*members[1:], members[0]], strict=True)
        return list(ring)[: 1 if len(members) == 2 else None]
    if scheme == "many2many":
        if len(first) * len(second) > MOST_EDGES:
            raise InputError(f"more than {MOST_EDGES:,} edges", where=where, remedy="import a part")
        return dict.fromkeys((a, b) if a < b else (b, a) for a in first for b in second if a != b)
    if len(first) != len(second):
        message = f"one2one of {len(first)} and {len(second)} components"
        raise InputError(message, where=where, remedy="pick as many of both, or write many2many")
    return zip(first, second, strict=True)


def _edge(link: Link, where: str) -> Edge:
    rate = _quantity(link.physical.bandwidth, _RATES, f"{where}.physical.bandwidth", bandwidth)
    delay = link.physical.latency
    return Edge(rate, _quantity(delay, _TIMES, f"{where}.physical.latency", latency) if delay else 0.0)


_Check = Callable[[object, str], float]


def _quantity(given: Mapping[str, Any], factors: Mapping[str, float], where: str, check: _Check) -> float:
    known = [unit for unit in factors if unit in given]
    if len(known) != 1:
        remedy = f"write one of {', '.join(factors)}"
        raise InputError("states no quantity that is understood", where=where, remedy=remedy)
    value, factor = given[known[0]], factors[known[0]]
    return check(value * factor if isinstance(value, int | float) and not isinstance(value, bool) else value, where)


def _without_ports(building: _Building) -> Wiring:
    """The wiring with each port replaced by an edge between the two things that it joins."""
    near: dict[str, dict[str, Edge]] = {name: {} for name in building.collected.kinds}
    for (a, b), edge in building.collected.edges.items():
        near[a][b] = near[b][a] = edge
    for port in sorted(building.ports):
        around = near.pop(port)
        for other in around:
            del near[other][port]
        if len(around) > 2:
            place = f"{building.where}: {port}"
            raise InputError(f"a port joins {len(around)} things", where=place, remedy="call it a switch")
        if len(around) == 2:
            (a, one), (b, two) = around.items()
            rate = min(one.capacity_bytes_per_s, two.capacity_bytes_per_s)
            edge, known = Edge(rate, one.latency_s + two.latency_s), near[a].get(b)
            if known is not None:
                edge = Edge(known.bandwidth_bytes_per_s, known.latency_s, known.links + 1)
            near[a][b] = near[b][a] = edge
    left = Collector(building.where)
    for name in near:
        left.node(name, building.collected.kinds[name], name)
    order = {name: index for index, name in enumerate(near)}
    for a, others in near.items():
        for b, edge in others.items():
            if order[a] < order[b]:
                left.edge(a, b, edge, f"{a} to {b}")
    return left.wiring(notes=(NOTE,))
