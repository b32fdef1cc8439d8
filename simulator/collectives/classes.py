"""Flows that are alike, found by refinement, so that each kind is solved once.

Flows get a colour by their volume and links one by their capacity; then again and again each flow by the colours of
its links and each link by those of its flows, until no colour splits. Flows of one colour then have the same max-min
fair rate at all times, whatever made them alike (colour refinement, as for equitable partitions of graphs: Godsil and
Royle, *Algebraic Graph Theory*, section 9.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.routing import Routes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    Real = NDArray[np.float64]

DIGITS = 12
"""Decimals to which shares of one flow on its links are told apart."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True, eq=False)
class Classes:
    """Kinds of flows, as flows of their own.

    Parameters
    ----------
    of_flow : (flows,) number of the class of each flow
    routes : one flow for each class, over one link for each class of links; its share is that of all flows of the class
        on such a link
    capacity_bytes_per_s : (classes of links,)
    volume_bytes : (classes,) of one flow
    """

    of_flow: NDArray[np.int64]
    routes: Routes
    capacity_bytes_per_s: Real
    volume_bytes: Real


def flow_classes(routes: Routes, capacity_bytes_per_s: Real, volume_bytes: Real) -> Classes:
    """The classes of flows that start together; see the module."""
    used, link = np.unique(routes.link, return_inverse=True)
    flow = np.repeat(np.arange(routes.flows), np.diff(routes.first))
    share = _keys(np.round(routes.share, DIGITS))
    by_link = np.argsort(link, kind="stable")
    at_link = np.searchsorted(link[by_link], np.arange(len(used)))
    has_links = np.flatnonzero(np.diff(routes.first))
    flow_key, link_key = _keys(volume_bytes), _keys(capacity_bytes_per_s[used])
    colours = (0, 0)
    while True:
        of_flow, of_link = (np.unique(keys, return_inverse=True)[1] for keys in (flow_key, link_key))
        now = (int(of_flow.max(initial=-1)) + 1, int(of_link.max(initial=-1)) + 1)
        if now == colours or not len(used):
            break
        colours = now
        seen = _mixed(link_key[link] * _ODD + share)
        gathered = np.add.reduceat(seen, routes.first[:-1][has_links])
        flow_key[has_links] = _mixed(flow_key[has_links] * _ODD + gathered)
        seen = _mixed(flow_key[flow] * _ODD + share)[by_link]
        link_key = _mixed(link_key * _ODD + np.add.reduceat(seen, at_link))
    one_flow = np.unique(of_flow, return_index=True)[1]
    one_link = np.unique(of_link, return_index=True)[1]
    is_one = np.zeros(len(used), dtype=np.bool_)
    is_one[one_link] = True
    kept = is_one[link]
    pair = of_flow[flow[kept]] * len(one_link) + of_link[link[kept]]
    pairs, place = np.unique(pair, return_inverse=True)
    shares = np.asarray(np.bincount(place, weights=routes.share[kept], minlength=len(pairs)), dtype=np.float64)
    counts = np.bincount(pairs // max(len(one_link), 1), minlength=len(one_flow))
    return Classes(
        of_flow,
        Routes(
            np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            (pairs % max(len(one_link), 1)).astype(np.int32),
            shares,
            np.zeros(len(one_flow)),
        ),
        capacity_bytes_per_s[used[one_link]],
        volume_bytes[one_flow],
    )


def _keys(numbers: Real) -> Keys:
    return _mixed(np.ascontiguousarray(numbers + 0.0, dtype=np.float64).view(np.uint64))


def _mixed(keys: Keys) -> Keys:
    """Keys scrambled one to one, so that their sums tell multisets apart (the finaliser of SplitMix64)."""
    keys = (keys ^ (keys >> np.uint64(30))) * _MIX[0]
    keys = (keys ^ (keys >> np.uint64(27))) * _MIX[1]
    return keys ^ (keys >> np.uint64(31))
