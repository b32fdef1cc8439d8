"""Dead and slow links and switches: a fabric without them, and who is then cut off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.fabric import Fabric, sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_NAMED = 8
"""How many nodes a message names."""


@dataclass(frozen=True)
class Fault:
    """A link (two nodes) or a switch or port (one) that keeps ``share`` of its bandwidth [1]; 0 where it is dead."""

    nodes: tuple[str, ...]
    share: float = 0.0


def read_fault(fabric: Fabric, text: str, where: str = "--fail") -> Fault:
    """Read ``chip3-leaf0`` (a link by its two nodes), ``leaf0`` (a switch) or ``leaf0=0.5`` (half of its bandwidth).

    Raises
    ------
    InputError : an unknown node (names those next to it), two nodes without a link, a chip, a share that is none
    """
    name, equals, part = text.strip().partition("=")
    share = _share(part, f"{where} {text[:60]}") if equals else 0.0
    place = {node: number for number, node in enumerate(fabric.nodes)}
    if name in place:
        if fabric.kinds[place[name]] == "chip":
            raise InputError(
                f"{name} takes part in the collective", where=where, remedy="name a switch, or a link by its two ends"
            )
        return Fault((name,), share)
    cuts = [(name[:at], name[at + 1 :]) for at, letter in enumerate(name) if letter == "-"]
    known = next((ends for ends in cuts if ends[0] in place and ends[1] in place), None)
    if known is None:
        half = next((ends for ends in cuts if ends[0] in place), None)
        wrong = half[1] if half else next((ends[0] for ends in cuts if ends[1] in place), name)
        raise unknown_name(f"node of {fabric.name}", wrong, fabric.nodes, where=where)
    one, other = (place[end] for end in known)
    near = fabric.indices[fabric.indptr[one] : fabric.indptr[one + 1]]
    if other not in near:
        remedy = f"{known[0]} is linked to {_listed([fabric.nodes[node] for node in sorted(set(near.tolist()))])}"
        raise InputError(f"no link joins {known[0]} and {known[1]}", where=where, remedy=remedy)
    return Fault(known, share)


def _share(text: str, where: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise InputError(
            f"{text or 'nothing'} is no part of a bandwidth", where=where, remedy="write 0 (dead) to below 1, as in 0.5"
        )
    return share


def damaged(fabric: Fabric, faults: Sequence[Fault]) -> Fabric:
    """The fabric without its dead links, and with what is left of its slow ones.

    Nodes keep their numbers. It no longer counts as one that looks the same from every chip.
    """
    if not faults:
        return fabric
    place = {node: number for number, node in enumerate(fabric.nodes)}
    head, tail = sources(fabric), fabric.indices
    left = np.ones(len(tail))
    for fault in faults:
        ends = [place[node] for node in fault.nodes]
        if len(ends) == 1:
            struck = (head == ends[0]) | (tail == ends[0])
        else:
            struck = ((head == ends[0]) & (tail == ends[1])) | ((head == ends[1]) & (tail == ends[0]))
        left[struck] = np.minimum(left[struck], fault.share)
    kept = left > 0
    counts = np.bincount(head[kept], minlength=len(fabric.nodes))
    return dataclasses.replace(
        fabric,
        indptr=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        indices=tail[kept],
        bandwidth_bytes_per_s=(fabric.bandwidth_bytes_per_s * left)[kept],
        links=fabric.links[kept],
        latency_s=fabric.latency_s[kept],
        scale_out=fabric.scale_out[kept],
        classes=fabric.classes[kept],
        is_vertex_transitive=False,
    )


def check_joined(fabric: Fabric, members: NDArray[np.int64], where: str = "") -> None:
    """Refuse a fabric on which the members cannot all reach each other.

    Raises
    ------
    InputError : names the members that are cut off from most of them
    """
    part = _parts(fabric)[members]
    most = np.bincount(part).argmax()
    lost = members[part != most]
    if len(lost):
        names = _listed([fabric.nodes[node] for node in lost.tolist()])
        be = "is" if len(lost) == 1 else "are"
        rest = len(members) - len(lost)
        raise InputError(
            f"{names} {be} cut off from {f'the other {rest:,} chips' if rest > 1 else 'the rest'}",
            where=where or fabric.name,
            remedy="leave a way between all chips that take part",
        )


def _parts(fabric: Fabric) -> NDArray[np.int64]:
    """The least number of a node that each node can reach: (nodes,)."""
    part = np.arange(len(fabric.nodes))
    head = sources(fabric)
    while True:
        before = part.copy()
        np.minimum.at(part, head, before[fabric.indices])
        part = part[part]
        if (part == before).all():
            return part


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED:,} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
