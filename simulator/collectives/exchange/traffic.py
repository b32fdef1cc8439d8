"""Who sends how much to whom in an exchange of tokens: the expected bytes of every pair of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.collectives.exchange.experts import demand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.collectives.exchange.domains import Domain
    from simulator.collectives.exchange.experts import Routing

    Whole = NDArray[np.int64]
    Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Traffic:
    """Flows of an exchange: (flows,) each.

    Parameters
    ----------
    source, target : ranks
    size_bytes : expected bytes [B]
    domain : number of the domain that a flow crosses; all 0 where copies go straight
    """

    source: Whole
    target: Whole
    size_bytes: Real
    domain: Whole

    def turned(self) -> Traffic:
        """The ways back: what a combine sends where this is the dispatch."""
        return Traffic(self.target, self.source, self.size_bytes, self.domain)


def straight_traffic(routing: Routing, ranks: int, token_bytes: float) -> Traffic:
    """Every copy goes from its rank to that of its expert; ``token_bytes`` [B] are all tokens of one rank, once."""
    _, copies = demand(routing, ranks)
    source, target = np.divmod(np.arange(ranks * ranks), ranks)
    apart = source != target
    source, target = source[apart], target[apart]
    return Traffic(source, target, token_bytes * copies[target], np.zeros(len(source), dtype=np.int64))


def fanned_traffic(domains: Sequence[Domain], routing: Routing, ranks: int, token_bytes: float) -> Traffic:
    """A token crosses each domain once for each member that it reaches, by the peer of its sender there.

    In a domain of which there are several, a rank passes on what came to it from its peers in all others.
    """
    parts = []
    every = np.arange(ranks)
    for number, domain in enumerate(domains):
        hit, _ = demand(routing, ranks // domain.inside)
        unit = domain.inside * domain.size
        source = np.repeat(every, domain.size)
        member = np.tile(np.arange(domain.size), ranks)
        target = source // unit * unit + member * domain.inside + source % domain.inside
        apart = source != target
        source, target = source[apart], target[apart]
        moved = ranks // unit * token_bytes * hit[target // domain.inside]
        parts.append(Traffic(source, target, moved, np.full(len(source), number)))
    return Traffic(
        np.concatenate([each.source for each in parts]),
        np.concatenate([each.target for each in parts]),
        np.concatenate([each.size_bytes for each in parts]),
        np.concatenate([each.domain for each in parts]),
    )
