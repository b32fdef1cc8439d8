"""What a machine's ``[fabric]`` table may say: one strict struct for each builder, told apart by ``builder = "…"``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from simulator.figures import BytesPerSecond, Seconds
from simulator.machine import Count, Entry, Link

MOST_LISTED = 16_384
"""Most nodes of one kind, and most edges of one kind, of a graph that is listed edge by edge."""
Place = Annotated[int, msgspec.Meta(ge=0, le=4 * MOST_LISTED)]
Share = Annotated[float, msgspec.Meta(ge=1e-6, le=1)]
"""Part of a link's bandwidth: a millionth or more, as less is no link."""
Dims = Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=6)]
Oversubscription = Annotated[float, msgspec.Meta(ge=1, le=64)]
"""What goes into a switch from below over what it sends up (1: nothing is lost)."""


class Torus(Entry, frozen=True, tag_field="builder", tag="torus"):
    """An n-dimensional torus made of cubes whose faces are joined through optical circuit switches.

    ``dims`` chips along each axis; ``cube`` chips along each axis of a cube (divides ``dims``); one ``link`` to each
    neighbour. Slices are whole cubes in any legal shape, every axis of a slice closes to a ring. Where ``is_twistable``
    a slice of k x k x 2k or k x 2k x 2k chips may be wired as a twisted torus. ``most_slice_cubes`` limits what a user
    gets below the whole machine, which then has the shape ``dims`` alone. ``reconfiguration`` is the time that the
    optical switches take to join other faces [s].
    """

    dims: Dims
    cube: Dims
    link: Link
    is_twistable: bool = False
    most_slice_cubes: Count | None = None
    reconfiguration: Seconds | None = None


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
    """Groups of chips on leaf switches, joined by spine switches.

    ``link`` joins a chip to each of its group's ``leaves``; each leaf reaches every spine with
    ``chips_per_group`` / ``spines`` / ``oversubscription`` times that bandwidth. ``oversubscription`` is what goes into
    a leaf from its chips over what it sends to the spines (1: nothing is lost).
    """

    groups: Count
    chips_per_group: Count
    chips_per_node: Count
    leaves: Count
    spines: Count
    link: Link
    oversubscription: Oversubscription = 1.0


class Clos(Entry, frozen=True, tag_field="builder", tag="clos"):
    """Parallel planes of a Clos of two or three tiers with rails, all switches of a tier alike.

    A chip has ``chip_links`` links in each of ``planes`` planes. The chips of a node are spread evenly over ``rails``
    rails, and the nodes over groups that share their leaves: a leaf has all chips of one rail of its group (of whole
    nodes where there is 1 rail). Spines join the leaves of a pod, of all there are in two ``tiers``; in three, cores
    join the pods: spine i of every pod reaches the i-th set of cores.

    How many switches there are is either counted, for one plane, as ``switches = [leaves, spines]`` or
    ``[leaves, spines, cores]`` and, in three tiers, ``pods``; or follows from ``radix``, the ports of a switch, as few
    switches as reach. Where both stand, the counted switches must not need more ports. ``oversubscription`` is that of
    the leaves and, in three tiers, of the spines (1 where it does not say): what goes into a switch from below over
    what it sends up.
    """

    nodes: Count
    chips_per_node: Count
    link: Link
    planes: Count = 1
    chip_links: Count = 1
    rails: Count = 1
    tiers: Literal[2, 3] = 2
    radix: Count | None = None
    switches: Annotated[tuple[Count, ...], msgspec.Meta(max_length=3)] = ()
    pods: Count | None = None
    oversubscription: Annotated[tuple[Oversubscription, ...], msgspec.Meta(max_length=2)] = ()


class FixedTorus(Entry, frozen=True, tag_field="builder", tag="fixed-torus"):
    """An n-dimensional torus or mesh without optical switches: slices are boxes of the listed shapes.

    ``dims`` chips along each axis; ``share`` of the bandwidth of ``link`` that a link along each axis has (all 1 if
    empty); ``wraps`` says which axes close to a ring over their whole length (all if empty): a slice that does not span
    such an axis is open along it. ``slices`` lists the legal shapes below the whole, e.g. ``[[4, 4], [8, 8]]``; one
    chip is always legal. An axis of two chips that wraps has two parallel links.
    """

    dims: Dims
    link: Link
    share: Annotated[tuple[Share, ...], msgspec.Meta(max_length=6)] = ()
    wraps: Annotated[tuple[bool, ...], msgspec.Meta(max_length=6)] = ()
    slices: Annotated[tuple[Dims, ...], msgspec.Meta(max_length=4096)] = ()


class FullMesh(Entry, frozen=True, tag_field="builder", tag="full-mesh"):
    """Chips of one node with ``links_per_pair`` direct links between every two of them; no switch."""

    chips: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    links_per_pair: Count
    link: Link


class MeshedRacks(Entry, frozen=True, tag_field="builder", tag="meshed-racks"):
    """Racks whose chips form an n-dimensional full mesh, joined by switch planes of two tiers (UB-Mesh, Atlas 950).

    In a rack of ``dims`` chips every chip has ``mesh_links`` links to each other chip of its row along each axis (one
    along all if empty). Up from the rack lead ``planes`` planes: in each every chip has ``up_links`` to the rack's
    first-tier switch, which has one to each of the plane's ``spines``; with as many spines as links up from the chips
    of a rack nothing is oversubscribed. A single rack has no spines, whatever their number says.
    """

    dims: Dims
    racks: Count
    planes: Count
    spines: Count
    link: Link
    mesh_links: Annotated[tuple[Count, ...], msgspec.Meta(max_length=6)] = ()
    up_links: Count = 1


class Dragonfly(Entry, frozen=True, tag_field="builder", tag="dragonfly"):
    """Groups of nodes in which all chips reach each other, joined group to group by direct links.

    ``groups`` groups of ``nodes`` nodes of ``chips_per_node`` chips; inside a node a full mesh of ``link``; between
    any two nodes of a group ``local_links``, between any two groups ``global_links``, spread evenly over the chips.
    """

    groups: Count
    nodes: Count
    chips_per_node: Count
    local_links: Count
    global_links: Count
    link: Link


class PcieTree(Entry, frozen=True, tag_field="builder", tag="pcie-tree"):
    """Chips under PCIe switches under a host: ``hosts`` hosts of ``switches`` switches of ``chips_per_switch`` chips.

    ``link`` joins a chip to its switch; ``uplinks`` of them a switch to its host; ``host_links`` of them every two
    hosts of the machine.
    """

    hosts: Count
    switches: Count
    chips_per_switch: Count
    uplinks: Count
    host_links: Count
    link: Link


class HammingMesh(Entry, frozen=True, tag_field="builder", tag="hamming-mesh"):
    """Boards of ``board`` chips (a mesh), arranged in ``boards``; rows and columns of chips join by edge switches.

    Hoefler et al., SC22: every row of chips, and every column, has a fat tree that its boards' edge chips reach.
    ``board`` chips and ``boards`` boards along x and y; a chip has four ports of ``link``.
    """

    board: tuple[Count, Count]
    boards: tuple[Count, Count]
    link: Link


class SwitchedSleds(Entry, frozen=True, tag_field="builder", tag="switched-sleds"):
    """Sleds of chips on a switch of their own, racks of sleds on rack switches, twins across two racks (Trn3 Gen2).

    A chip has ``sled_links`` to its sled's switch, ``rack_links`` spread over its rack's ``rack_switches`` (at least
    one to each), and ``twin_links`` straight to the chip in its place in every other rack (0 only in a single rack).
    """

    racks: Count
    sleds_per_rack: Count
    chips_per_sled: Count
    rack_switches: Count
    sled_links: Count
    rack_links: Count
    twin_links: Annotated[int, msgspec.Meta(ge=0, le=64)]
    link: Link


class Bundle(Entry, frozen=True):
    """Edges of one kind: between the two nodes of each of ``pairs`` lie ``links`` parallel links.

    A link has ``share`` of the bandwidth and ``delay`` of the latency of the fabric's ``link``.
    """

    pairs: Annotated[tuple[tuple[Place, Place], ...], msgspec.Meta(min_length=1, max_length=MOST_LISTED)]
    links: Count = 1
    share: Share = 1.0
    delay: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class EdgeList(Entry, frozen=True, tag_field="builder", tag="edge-list"):
    """Any graph at all, edge by edge: what an imported machine is when no other builder makes its graph.

    Nodes are numbered from 0: first ``chips``, then ``switches``, ``cpus`` and ``nics``. ``link`` is the fastest.
    """

    chips: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)]
    bundles: Annotated[tuple[Bundle, ...], msgspec.Meta(min_length=1, max_length=1024)]
    link: Link
    switches: Annotated[int, msgspec.Meta(ge=0, le=MOST_LISTED)] = 0
    cpus: Annotated[int, msgspec.Meta(ge=0, le=MOST_LISTED)] = 0
    nics: Annotated[int, msgspec.Meta(ge=0, le=MOST_LISTED)] = 0


class RailFatTree(Entry, frozen=True, tag_field="builder", tag="rail-fat-tree"):
    """A rail-optimised fat tree: port r of every node goes to rail r, a tree of its own with as few tiers as reach.

    A rail is one leaf, or leaves under spines, or pods of these under cores. ``ports`` of ``link`` bandwidth for every
    ``node_chips`` chips; switches have ``radix`` ports of the same speed. ``oversubscription`` is that of the leaves
    and that of the spines (1 where it does not say), where there is a tier above them.
    """

    ports: Count
    node_chips: Count
    radix: Count
    link: Link
    oversubscription: Annotated[tuple[Oversubscription, ...], msgspec.Meta(max_length=2)] = ()


MachineFabric = (
    Torus
    | StarPlanes
    | TwoTierPlanes
    | LeafSpine
    | Clos
    | FixedTorus
    | FullMesh
    | MeshedRacks
    | Dragonfly
    | PcieTree
    | HammingMesh
    | SwitchedSleds
    | EdgeList
)
NetworkFabric = RailFatTree


def tag_of(fabric: MachineFabric | NetworkFabric) -> str:
    """The kind of a fabric, as files name it: ``builder = "…"``."""
    return str(fabric.__struct_config__.tag)
