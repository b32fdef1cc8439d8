"""What a machine's ``[fabric]`` table may say: one strict struct for each builder, told apart by ``builder = "…"``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from simulator.figures import BytesPerSecond
from simulator.machine import Count, Entry, Link

Dims = Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=6)]


class Torus(Entry, frozen=True, tag_field="builder", tag="torus"):
    """An n-dimensional torus made of cubes whose faces are joined through optical circuit switches.

    ``dims`` chips along each axis; ``cube`` chips along each axis of a cube (divides ``dims``); one ``link`` to each
    neighbour. Slices are whole cubes in any legal shape, every axis of a slice closes to a ring.
    """

    dims: Dims
    cube: Dims
    link: Link


class StarPlanes(Entry, frozen=True, tag_field="builder", tag="star-planes"):
    """Chips that each reach every switch chip: parallel stars. ``links[p]`` physical links from a chip to switch p."""

    chips: Count
    chips_per_node: Count
    links: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=1024)]
    link: Link


class TwoTierPlanes(Entry, frozen=True, tag_field="builder", tag="two-tier-planes"):
    """Planes of a two-tier Clos: in each, every node has one first-tier switch, joined to all second-tier ones.

    A chip has ``chip_links`` links to its node's switch of each plane; each first-tier switch has one link to each of
    the plane's ``spines``. ``cpu_bandwidth`` [B/s] joins each CPU to the same switches. ``nodes_per_rack`` nodes stand
    in a rack, and all second-tier switches in ``spine_racks`` racks of their own.
    """

    nodes: Count
    chips_per_node: Count
    cpus_per_node: Count
    planes: Count
    chip_links: Count
    spines: Count
    link: Link
    cpu_bandwidth: BytesPerSecond
    nodes_per_rack: Count = 1
    spine_racks: Count = 1


class LeafSpine(Entry, frozen=True, tag_field="builder", tag="leaf-spine"):
    """Groups of chips on leaf switches, joined by spine switches without oversubscription.

    ``link`` joins a chip to each of its group's ``leaves``; each leaf reaches every spine with
    ``chips_per_group`` / ``spines`` times that bandwidth.
    """

    groups: Count
    chips_per_group: Count
    chips_per_node: Count
    leaves: Count
    spines: Count
    link: Link


class RailFatTree(Entry, frozen=True, tag_field="builder", tag="rail-fat-tree"):
    """A rail-optimised fat tree: port r of every node goes to rail r; a rail is one leaf, or leaves under spines.

    ``ports`` of ``link`` bandwidth for every ``node_chips`` chips; switches have ``radix`` ports of the same speed.
    """

    ports: Count
    node_chips: Count
    radix: Count
    link: Link


MachineFabric = Torus | StarPlanes | TwoTierPlanes | LeafSpine
NetworkFabric = RailFatTree
