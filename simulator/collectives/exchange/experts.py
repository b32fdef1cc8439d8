"""Which experts the tokens of a mixture of experts pick, and on how many distinct ranks and nodes those lie."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

MOST_EXPERTS = 65_536
MOST_PICKS = 256
_ROUNDS = 500
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Routing:
    """How tokens pick ``top_k`` of ``experts`` experts, which lie on the ranks in order, equally many on each.

    Parameters
    ----------
    experts, top_k : experts in all, and those that a token picks [1]
    groups, top_groups : experts are in ``groups`` runs of equally many, and a token picks only from the
        ``top_groups`` runs in which its best experts lie (node-limited routing); all runs where ``groups`` is 1
    odds : by expert, how much more often one is picked than another; all alike if empty
    """

    experts: int
    top_k: int
    groups: int = 1
    top_groups: int = 1
    odds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that a token can pick so.

        Raises
        ------
        InputError : counts that do not fit each other, odds that are none
        """
        _check_counts(self)
        if self.odds:
            _check_odds(self)


@dataclass(frozen=True)
class Spread:
    """What a token sends to the busiest of equal sets of ranks, counted over all sets as if all were so busy.

    ``distinct`` sets hold an expert of a token, ``copies`` experts of a token lie in them [1]. Without skew these are
    the plain expected numbers.
    """

    distinct: float
    copies: float


def balanced(experts: int, top_k: int, *, groups: int = 1, top_groups: int = 1) -> Routing:
    """All experts in equal demand; with ``groups``, node-limited as in DeepSeek-V3."""
    return Routing(experts, top_k, groups, top_groups)


def zipf(experts: int, top_k: int, exponent: float, ranks: int) -> Routing:
    """Odds that fall with the place of an expert to the power of ``exponent``; the hot ones dealt out to the ranks."""
    if not (math.isfinite(exponent) and 0 <= exponent <= MOST_PICKS):
        raise InputError(f"{exponent} is no exponent of a Zipf law", remedy="give 0 (no skew) or more, usually below 2")
    _check_ranks(experts, ranks)
    each = experts // ranks
    places = (1 + rank + slot * ranks for rank in range(ranks) for slot in range(each))
    return Routing(experts, top_k, odds=tuple(place**-exponent for place in places))


def measured(counts: Sequence[float], top_k: int) -> Routing:
    """Odds under which each expert gets the share of tokens that was counted, ``counts`` by expert.

    Raises
    ------
    InputError : counts that no tokens can have which pick each expert once
    """
    import numpy as np

    from simulator.collectives.exchange import kernels

    values = np.array(counts, dtype=np.float64)
    if not (values.ndim == 1 and values.size and np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise InputError("counts of tokens by expert are finite, not negative and not all zero", remedy="correct them")
    Routing(values.size, top_k, odds=tuple(values.tolist()))
    demand = values * (top_k / values.sum())
    if demand.max() > 1 + _TOLERANCE:
        raise InputError(
            f"expert {int(demand.argmax())} has {demand.max():.4g} times as many tokens as there are",
            remedy=f"a token that picks {top_k} experts picks each at most once; give counts of whole batches",
        )
    odds = kernels.fitted_odds_fast(np.minimum(demand, 1.0), top_k, _ROUNDS, _TOLERANCE)
    return Routing(values.size, top_k, odds=tuple(odds.tolist()))


@functools.lru_cache(maxsize=1024)
def spread(routing: Routing, sets: int) -> Spread:
    """How a token spreads over ``sets`` equal sets of ranks (the ranks themselves, or nodes).

    Raises
    ------
    InputError : experts do not divide over the sets, or sets cut groups of experts apart
    """
    if routing.odds:
        hit, copies = demand(routing, sets)
        return Spread(sets * float(hit.max()), sets * float(copies.max()))
    _check_ranks(routing.experts, sets)
    return Spread(sets * _hit(routing, routing.experts // sets), float(routing.top_k))


def demand(routing: Routing, sets: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each of equal sets of ranks, the chance that a token picks an expert there and how many: (sets,), (sets,) [1].

    Raises
    ------
    InputError : as :func:`spread`
    """
    import numpy as np

    _check_ranks(routing.experts, sets)
    each = routing.experts // sets
    if routing.odds:
        from simulator.collectives.exchange import kernels

        hit, copies = kernels.picked_fast(np.array(routing.odds), routing.top_k, each)
        return hit, copies
    return np.full(sets, _hit(routing, each)), np.full(sets, routing.top_k / sets)


def _hit(routing: Routing, each: int) -> float:
    """Probability that a token picks one of ``each`` experts in a row [1]."""
    experts, top_k = routing.experts, routing.top_k
    if routing.top_groups == routing.groups:
        return 1 - _missing(experts, each, top_k)
    run = experts // routing.groups
    if each % run == 0:
        return 1 - _none_of_groups(routing, each // run)
    if run % each == 0:
        chances = enumerate(_in_one_group(routing)[: run + 1])
        return sum(chance * (1 - _missing(run, each, n)) for n, chance in chances)
    raise InputError(
        f"{each} experts in a row cut the groups of {run} experts apart",
        remedy=f"let the {routing.groups} groups and the ranks or nodes divide each other",
    )


def _missing(experts: int, marked: int, drawn: int) -> float:
    """Probability that ``drawn`` of ``experts`` without replacement are none of ``marked`` (hypergeometric) [1]."""
    return math.comb(experts - marked, drawn) / math.comb(experts, drawn)


def _none_of_groups(routing: Routing, marked: int) -> float:
    """Probability that a token picks nothing from ``marked`` whole groups [1].

    Experts in the order of their scores are a random permutation. All are picked, until ``top_groups`` groups have
    been met; from then on only those of these groups.
    """
    run = routing.experts // routing.groups
    chances = {0: 1.0}  # groups met so far, none of them marked -> probability
    for drawn in range(routing.top_k):
        following: dict[int, float] = {}
        left = routing.experts - drawn
        for met, chance in chances.items():
            if met == routing.top_groups:
                following[met] = following.get(met, 0.0) + chance
                continue
            following[met] = following.get(met, 0.0) + chance * (met * run - drawn) / left
            unmet = max(0, routing.groups - marked - met) * run
            following[met + 1] = following.get(met + 1, 0.0) + chance * unmet / left
        chances = following
    return sum(chances.values())


def _in_one_group(routing: Routing) -> list[float]:
    """Probability of each number of experts, from 0 to ``top_k``, that a token picks from one given group [1]."""
    run = routing.experts // routing.groups
    chances = {(0, 0): 1.0}  # groups met so far, experts picked from the given one -> probability
    for drawn in range(routing.top_k):
        following: dict[tuple[int, int], float] = {}

        def add(met: int, own: int, chance: float, into: dict[tuple[int, int], float] = following) -> None:
            if chance > 0:
                into[met, own] = into.get((met, own), 0.0) + chance

        for (met, own), chance in chances.items():
            is_met = own > 0
            is_full = met == routing.top_groups
            left = (met * run if is_full else routing.experts) - drawn
            others = (met - is_met) * run - (drawn - own)
            add(met, own, chance * others / left)
            if is_met:
                add(met, own + 1, chance * (run - own) / left)
            elif not is_full:
                add(met + 1, 1, chance * run / left)
            if not is_full:
                add(met + 1, own, chance * (routing.groups - met - (not is_met)) * run / left)
        chances = following
    found = [0.0] * (routing.top_k + 1)
    for (_, own), chance in chances.items():
        found[own] += chance
    return found


def _check_counts(routing: Routing) -> None:
    experts, top_k = routing.experts, routing.top_k
    if not 1 <= experts <= MOST_EXPERTS:
        raise InputError(f"{experts} experts are out of bounds", remedy=f"give 1 to {MOST_EXPERTS:,}")
    if not 1 <= top_k <= min(experts, MOST_PICKS):
        raise InputError(
            f"a token cannot pick {top_k} of {experts} experts", remedy=f"give top_k 1 to {min(experts, MOST_PICKS)}"
        )
    groups, top_groups = routing.groups, routing.top_groups
    if not 1 <= top_groups <= groups or experts % groups:
        raise InputError(
            f"a token cannot pick from {top_groups} of {groups} groups of {experts} experts",
            remedy="groups divide the experts evenly, and top_groups is at most their number",
        )
    if top_k > experts // groups * top_groups:
        raise InputError(
            f"{top_groups} groups of {experts // groups} experts hold fewer than {top_k}",
            remedy="allow more groups or pick fewer experts",
        )


def _check_odds(routing: Routing) -> None:
    if len(routing.odds) != routing.experts:
        raise InputError(
            f"{len(routing.odds)} odds are given for {routing.experts} experts", remedy="give one for each"
        )
    if not all(math.isfinite(each) and each >= 0 for each in routing.odds):
        raise InputError("the odds of an expert are a finite number of at least 0", remedy="correct them")
    if sum(each > 0 for each in routing.odds) < routing.top_k:
        raise InputError(
            f"fewer than {routing.top_k} experts are ever picked", remedy="pick fewer or give more of them odds"
        )
    if routing.groups > 1:
        raise InputError("skew and node-limited routing do not go together", remedy="leave one of them out")


def _check_ranks(experts: int, sets: int) -> None:
    if sets < 1 or experts % sets:
        near = [number for number in range(1, experts + 1) if experts % number == 0]
        best = min(near, key=lambda number: abs(number - sets))
        raise InputError(
            f"{experts} experts do not divide evenly over {sets} ranks or nodes",
            remedy=f"use {best} of them, or add replicas of experts until they do",
        )
