"""Reads what ``nvidia-smi topo -m`` prints: how every two GPUs of a host are joined, its NICs and its NUMA nodes.

The matrix says how many NVLinks join two GPUs, not whether a switch lies between them: as many to every other GPU as
one GPU has in all can only lead through switches. It names no bandwidth, so links come from the machine that the
imported one is said to be like; where there is no NVLink, PCI Express is assumed, with a wide range (``pcie.toml``).
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import units
from simulator.errors import InputError
from simulator.files import read_text
from topologies.imports.common import Collector, Edge, Wiring, read_limited, shown
from topologies.imports.recognise import fabric_of

LARGEST_BYTES = 1 << 20
MOST_GPUS = 256
_ESCAPES = re.compile(r"\x1b\[[0-9;:]*[ -/]*[@-~]")
_GPU = re.compile(r"GPU\d{1,4}")
_DEVICE = re.compile(r"(?:GPU|NIC)\d{1,4}|(?:mlx|bnxt|irdma|hfi|qib|cxgb|efa|rdma|hns|ib)[A-Za-z0-9_.-]*")
_NVLINK = re.compile(r"NV([1-9]\d{0,3})")
_UNDER_SWITCH = frozenset({"PIX", "PXB"})
_UNDER_HOST = _UNDER_SWITCH | {"PHB", "NODE"}
_CELLS = _UNDER_HOST | {"X", "SYS", "SOC"}


@dataclass(frozen=True)
class Matrix:
    """What the output says.

    Parameters
    ----------
    gpus : their names, in the order of the columns
    nics : names of the NIC columns
    cells : (gpu, gpu) -> ``NV#``, ``PIX``, ``PXB``, ``PHB``, ``NODE`` or ``SYS``, for every two different GPUs
    numa : NUMA node of each GPU, or the CPUs next to it; empty where the output says neither
    """

    where: str
    gpus: tuple[str, ...]
    nics: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    numa: tuple[str, ...]

    def links(self, a: str, b: str) -> int:
        """NVLinks between two GPUs [1]."""
        found = _NVLINK.fullmatch(self.cells[a, b])
        return int(found.group(1)) if found else 0

    def groups(self, relations: frozenset[str]) -> list[list[str]]:
        """GPUs that are joined by these relations, directly or through others, in the order of the columns."""
        left, found = list(self.gpus), []
        while left:
            group = [left.pop(0)]
            for member in group:
                near = [gpu for gpu in left if self.cells[member, gpu] in relations]
                group += near
                left = [gpu for gpu in left if gpu not in near]
            found.append(sorted(group, key=self.gpus.index))
        return found


def read(path: Path) -> Matrix:
    """The matrix in a file.

    Raises
    ------
    InputError : no matrix in it, a row that is short or says what nvidia-smi does not say, or two halves that disagree
    """
    return parse(read_limited(path, LARGEST_BYTES), str(path))


def parse(text: str, where: str) -> Matrix:
    """The matrix in the text that ``nvidia-smi topo -m`` printed; see :func:`read`."""
    lines = [_ESCAPES.sub("", line).rstrip() for line in text.splitlines()]
    at = next((i for i, line in enumerate(lines) if _GPU.match(line.strip())), None)
    if at is None:
        raise InputError("has no line that starts with GPU0", where=where, remedy="save what nvidia-smi topo -m prints")
    columns = _columns(lines[at], f"{where}: line {at + 1}")
    gpus = tuple(name for name in columns if _GPU.fullmatch(name))
    if len(gpus) > MOST_GPUS:
        raise InputError(f"{len(gpus)} GPUs", where=f"{where}: line {at + 1}", remedy=f"at most {MOST_GPUS}")
    rows: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(lines[at + 1 :], at + 2):
        cells = line.split()
        if cells and cells[0] in gpus:
            if cells[0] in rows:
                raise InputError(f"{cells[0]} stands twice", where=f"{where}: line {number}", remedy="one row each")
            rows[cells[0]] = number, cells[1:]
    missing = next((gpu for gpu in gpus if gpu not in rows), None)
    if missing:
        raise InputError(f"there is no row of {missing}", where=where, remedy="save the whole output")
    found: dict[tuple[str, str], str] = {}
    for gpu in gpus:
        number, cells = rows[gpu]
        found |= {(gpu, other): cell for other, cell in _row(gpu, columns, cells, f"{where}: line {number}").items()}
    for a, b in found:
        if b in gpus and found[b, a] != found[a, b]:
            message = f"{b} to {a} is {found[b, a]}, but {a} to {b} is {found[a, b]}"
            raise InputError(message, where=f"{where}: line {rows[b][0]}", remedy="save the output as it was printed")
    cells_of_gpus = {(a, b): cell for (a, b), cell in found.items() if b in gpus and a != b}
    nics = tuple(name for name in columns if name not in gpus)
    return Matrix(where, gpus, nics, cells_of_gpus, _numa(rows, gpus, len(columns)))


def _row(gpu: str, columns: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    """How a GPU reaches each device."""
    if len(cells) < len(columns):
        raise InputError(
            f"the row of {gpu} has {len(cells)} entries for {len(columns)} columns",
            where=where,
            remedy="save the output without breaking its lines",
        )
    for other, cell in zip(columns, cells, strict=False):
        if cell not in _CELLS and not _NVLINK.fullmatch(cell):
            remedy = "nvidia-smi says X, NV#, PIX, PXB, PHB, NODE or SYS"
            raise InputError(f"{shown(cell)} of {gpu} and {other} is not known", where=where, remedy=remedy)
        if (cell == "X") != (gpu == other):
            raise InputError(f"{gpu} and {other} are joined by {cell}", where=where, remedy="X is a GPU to itself")
    return {other: cell.replace("SOC", "SYS") for other, cell in zip(columns, cells, strict=False)}


def _columns(line: str, where: str) -> list[str]:
    """Names of the devices in the heading: all words before those about CPUs."""
    names = []
    for word in line.split():
        if not _DEVICE.fullmatch(word):
            break
        names.append(word)
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(f"{twice} heads two columns", where=where, remedy="save the output as it was printed")
    return names


def _numa(rows: Mapping[str, tuple[int, list[str]]], gpus: Sequence[str], columns: int) -> tuple[str, ...]:
    """The NUMA node of each GPU, or where that is not printed the CPUs next to it."""
    rest = [rows[gpu][1][columns:] for gpu in gpus]
    for place in (1, 0):
        if all(len(each) > place and each[place][0].isdecimal() for each in rest):
            return tuple(each[place] for each in rest)
    return ()


def fabric(matrix: Matrix, like: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The ``[fabric]`` table of a host, and what was found and assumed, a sentence each."""
    links = Counter(matrix.links(a, b) for a in matrix.gpus for b in matrix.gpus if a < b)
    nodes = len(set(matrix.numa)) or "an unknown number of"
    found = f"{len(matrix.gpus)} GPUs, {len(matrix.nics)} NICs and {nodes} NUMA nodes in nvidia-smi topo -m."
    if not any(links) or len(matrix.gpus) == 1:
        table, said = _pcie(matrix, like)
    elif len(links) == 1:
        table, said = _alike(next(iter(links)), matrix, like)
    else:
        table, said = _mixed(matrix, like)
    return table, (found, *said)


def _alike(links: int, matrix: Matrix, like: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The same number of NVLinks between every two GPUs: a full mesh if one GPU has enough of them, else switches."""
    link, gpus = _nvlink(like), len(matrix.gpus)
    if links * (gpus - 1) <= _links_of(like["fabric"]):
        table = {"builder": "full-mesh", "chips": gpus, "links_per_pair": links, "link": link}
        return table, (f"Every two GPUs are joined by {links} NVLinks of their own, without a switch.",)
    planes = like["fabric"].get("links", [])
    said = f"Every two GPUs are joined by {links} NVLinks, more than direct ones could be: they lead through switches."
    if sum(planes) == links:
        spread = f"How links spread over {len(planes)} switches is taken from {like['name']}."
    else:
        planes = [1] * links
        spread = "One switch for each link is assumed; nvidia-smi does not say how many there are."
    table = {"builder": "star-planes", "chips": gpus, "chips_per_node": gpus, "links": planes, "link": link}
    return table, (said, spread)


def _links_of(fabric: Mapping[str, Any]) -> int:
    """NVLinks of one GPU of the machine that this one is like [1]; 0 where its fabric is of another kind."""
    if fabric["builder"] == "star-planes":
        return int(sum(fabric["links"]))
    if fabric["builder"] == "full-mesh":
        return int(fabric["links_per_pair"] * (fabric["chips"] - 1))
    return 0


def _nvlink(like: Mapping[str, Any]) -> dict[str, Any]:
    link: dict[str, Any] = like["fabric"]["link"]
    if not str(link["family"]).startswith("nvlink"):
        raise InputError(
            f"{like['name']} has links of family {link['family']}, but these GPUs have NVLinks",
            where="--like",
            remedy="name a machine with NVLink",
        )
    return link


def _pcie_link(like: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    link: dict[str, Any] = like["fabric"]["link"]
    if str(link["family"]).startswith("pcie"):
        return link, f"PCI Express as in {like['name']}."
    assumed = tomllib.loads(read_text(Path(__file__).with_name("pcie.toml")))
    return assumed, "The generation of PCI Express is not printed: figures of its links are assumed."


def _pcie(matrix: Matrix, like: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """No NVLink at all: a tree, where it is regular; one switch stands for all bridges between GPUs below a host's."""
    link, said = _pcie_link(like)
    switches, hosts = matrix.groups(_UNDER_SWITCH), matrix.groups(_UNDER_HOST)
    per_host = {sum(set(switch) <= set(host) for switch in switches) for host in hosts}
    per_switch = {len(switch) for switch in switches}
    if len(per_host) == len(per_switch) == 1:
        table: dict[str, Any] = {"builder": "pcie-tree", "hosts": len(hosts), "switches": per_host.pop()}
        table |= {"chips_per_switch": per_switch.pop(), "uplinks": 1, "host_links": 1, "link": link}
        return table, ("There is no NVLink.", said, "One link from a switch to its host and between hosts is assumed.")
    return fabric_of(_tree(matrix, link, {}), {**like, "fabric": {**like["fabric"], "link": link}}), (
        "There is no NVLink, and the tree of PCI Express is not regular: its edges are listed.",
        said,
    )


def _mixed(matrix: Matrix, like: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Some GPUs share more NVLinks than others: a graph of NVLinks, with PCI Express where these do not join all."""
    nvlink, pairs = _nvlink(like), {}
    for a in matrix.gpus:
        for b in matrix.gpus:
            if a < b and matrix.links(a, b):
                pairs[a, b] = _edge(nvlink, matrix.links(a, b))
    joined = matrix.groups(frozenset(cell for cell in matrix.cells.values() if _NVLINK.fullmatch(cell)))
    if len(joined) == 1:
        collected = Collector(matrix.where)
        for gpu in matrix.gpus:
            collected.node(gpu, "chip", gpu)
        for (a, b), edge in pairs.items():
            collected.edge(a, b, edge, f"{a} {b}")
        said = "GPUs are joined by different numbers of NVLinks, without switches; PCI Express is left out."
        return fabric_of(collected.wiring(), like), (said,)
    link, assumed = _pcie_link(like)
    said = "NVLinks do not join all GPUs: where they do not, PCI Express does."
    return fabric_of(_tree(matrix, link, pairs), like), (said, assumed)


def _tree(matrix: Matrix, link: Mapping[str, Any], nvlinks: Mapping[tuple[str, str], Edge]) -> Wiring:
    """The tree of PCI Express as nodes and edges, and NVLinks beside it."""
    collected, one = Collector(matrix.where), _edge(link, 1)
    for gpu in matrix.gpus:
        collected.node(gpu, "chip", gpu)
    hosts = matrix.groups(_UNDER_HOST)
    for index, host in enumerate(hosts):
        collected.node(f"host{index}", "cpu", "host")
        for other in range(index):
            collected.edge(f"host{index}", f"host{other}", one, "host")
        for number, switch in enumerate(group for group in matrix.groups(_UNDER_SWITCH) if set(group) <= set(host)):
            name = f"switch{index}-{number}"
            collected.node(name, "switch", "switch")
            collected.edge(name, f"host{index}", one, "switch")
            for gpu in switch:
                collected.edge(gpu, name, one, gpu)
    for (a, b), edge in nvlinks.items():
        collected.edge(a, b, edge, f"{a} {b}")
    return collected.wiring()


def _edge(link: Mapping[str, Any], links: int) -> Edge:
    rate, delay = link["bandwidth"], link["latency"]
    return Edge(
        rate["value"] * units.factor(rate["unit"], "bytes_per_s"),
        delay["value"] * units.factor(delay["unit"], "s"),
        links,
    )
