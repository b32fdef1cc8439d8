"""How many switches a plane of a Clos has, counted or as few as the radix allows; how switches spread their links up.

The three-tier network with the fewest switches is the fat tree of Al-Fares, Loukissas and Vahdat (SIGCOMM 2008, section
3): switches of k ports join k^3 / 4 hosts through 5 k^2 / 4 of them. That a network of small switches can lose nothing
against one large switch is due to Clos (Bell System Technical Journal 32, 1953, 406-424).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from simulator.errors import InputError

if TYPE_CHECKING:
    from topologies.fabrics import Clos

_PARTS = 64
_THREE = 3


@dataclass(frozen=True)
class Plane:
    """The switches of one plane and the links between them.

    Parameters
    ----------
    pods : sets of groups under spines of their own; 1 in two tiers [1]
    groups : of each pod: sets of nodes that share their leaves, one leaf for each rail [1]
    down : links of a leaf to its chips [1]
    spines, up : spines of each pod, and links of a leaf to each of them [1]
    cores, core_up : cores of each place of a spine in its pod, 0 in two tiers, and links of such a spine to each [1]
    """

    pods: int
    groups: int
    down: int
    spines: int
    up: int
    cores: int = 0
    core_up: int = 0


@functools.lru_cache(maxsize=256)
def plane(fabric: Clos, where: str = "") -> Plane:
    """The switches of one plane: as counted, or as few as the radix allows.

    Raises
    ------
    InputError : counts that do not divide, links that are no whole number after oversubscription, a radix that is too
        small for one node or for all, neither counts nor a radix
    """
    place = f"{where}: fabric" if where else "fabric"
    _divides(fabric.rails, fabric.chips_per_node, "chips of a node", f"{place}.rails")
    if len(fabric.oversubscription) >= fabric.tiers:
        raise InputError(
            f"{len(fabric.oversubscription)} ratios are too many for {fabric.tiers} tiers",
            where=f"{place}.oversubscription",
            remedy="write one for each tier below the highest",
        )
    if fabric.switches:
        return _counted(fabric, place)
    if fabric.radix is None:
        raise InputError("is missing", where=f"{place}.radix", remedy="write the ports of a switch, or count switches")
    if fabric.pods is not None:
        raise InputError(
            f"{fabric.pods} pods are stated without switches",
            where=f"{place}.pods",
            remedy="count the switches as well, or leave pods to the radix",
        )
    return _fitted(fabric, fabric.radix, place)


def ratios(oversubscription: Sequence[float]) -> tuple[Fraction, Fraction]:
    """The oversubscription of leaves and of spines as fractions, 1 where it does not say."""
    given = [Fraction(each).limit_denominator(_PARTS) for each in oversubscription]
    return tuple([*given, Fraction(1), Fraction(1)][:2])  # type: ignore[return-value] # two of them


def _counted(fabric: Clos, place: str) -> Plane:
    """The plane of counted switches."""
    if len(fabric.switches) != fabric.tiers:
        raise InputError(
            f"{len(fabric.switches)} counts are not one for each of {fabric.tiers} tiers",
            where=f"{place}.switches",
            remedy="write leaves, spines and, in three tiers, cores of one plane",
        )
    if (fabric.pods is None) == (fabric.tiers == _THREE):
        raise InputError(
            "is missing" if fabric.pods is None else "two tiers have no pods",
            where=f"{place}.pods",
            remedy="write how many pods the cores join, in three tiers only",
        )
    pods, (leaves, spines, *above) = fabric.pods or 1, fabric.switches
    over = ratios(fabric.oversubscription)
    _divides(pods * fabric.rails, leaves, "leaves", f"{place}.switches[0]", "as many leaves to every pod and rail")
    groups = leaves // fabric.rails
    _divides(groups, fabric.nodes, "nodes", f"{place}.switches[0]", "as many nodes to every leaf")
    down = fabric.nodes // groups * (fabric.chips_per_node // fabric.rails) * fabric.chip_links
    up = _up(down, over[0], "leaf", f"{place}.oversubscription[0]")
    _divides(pods, spines, "spines", f"{place}.switches[1]", "as many spines to every pod")
    spines //= pods
    _divides(spines, up, "links up from a leaf", f"{place}.switches[1]", "as many links to every spine")
    tree = Plane(pods, groups // pods, down, spines, up // spines)
    if above:
        into = leaves // pods * tree.up
        out = _up(into, over[1], "spine", f"{place}.oversubscription[1]")
        _divides(spines, above[0], "cores", f"{place}.switches[2]", "as many cores to every spine of a pod")
        cores = above[0] // spines
        _divides(cores, out, "links up from a spine", f"{place}.switches[2]", "as many links to every core")
        tree = Plane(pods, groups // pods, down, spines, tree.up, cores, out // cores)
    used = max(_used(tree, fabric.rails))
    if fabric.radix is not None and used > fabric.radix:
        raise InputError(
            f"{fabric.radix} ports are fewer than the {used} links of a switch",
            where=f"{place}.radix",
            remedy="count more switches, or name larger ones",
        )
    return tree


def _used(tree: Plane, rails: int) -> tuple[int, int, int]:
    """Links of a leaf, a spine and a core."""
    into = tree.groups * rails * tree.up
    return tree.down + tree.spines * tree.up, into + tree.cores * tree.core_up, tree.pods * tree.core_up


def _divides(part: int, whole: int, what: str, where: str, why: str = "a whole number each") -> None:
    if whole % part:
        near = [count for count in _divisors(whole) if count < part][-1:] + [
            count for count in _divisors(whole) if count > part
        ][:1]
        said = " or ".join(map(str, near))
        raise InputError(
            f"{part} does not divide {whole:,} {what}", where=where, remedy=f"{why} takes a divisor: try {said}"
        )


def _up(into: int, over: Fraction, what: str, where: str) -> int:
    """Links up from a switch that has ``into`` from below."""
    up = into / over
    if up.denominator != 1:
        raise InputError(
            f"{into} links into a {what} over {float(over):g} are no whole number of links up",
            where=where,
            remedy=f"try {float(Fraction(into, math.ceil(up))):g} or other counts",
        )
    return up.numerator


def _fitted(fabric: Clos, radix: int, place: str) -> Plane:
    """The plane of as few switches of ``radix`` ports as join all nodes, the largest groups and pods first."""
    over = ratios(fabric.oversubscription)
    share = fabric.chips_per_node // fabric.rails * fabric.chip_links
    fitting = [
        (fabric.nodes // count, count * share, (count * share / over[0]).numerator)
        for count in reversed(_divisors(fabric.nodes))
        if (count * share / over[0]).denominator == 1 and count * share * (1 + 1 / over[0]) <= radix
    ]
    if not fitting:
        raise _no_leaf(fabric, radix, share, over[0], place)
    find = _two_tiers if fabric.tiers != _THREE else functools.partial(_three_tiers, over=over[1])
    found = next((tree for sizes in fitting for tree in find(*sizes, fabric.rails, radix)), None)
    if found is None:
        raise _not_joined(fabric, radix, fitting, over[1], place)
    return found


def _no_leaf(fabric: Clos, radix: int, share: int, over: Fraction, place: str) -> InputError:
    """The error where no equal leaves have ports enough, or none has a whole number of links up."""
    room = [(n * share, math.ceil(n * share / over)) for n in _divisors(fabric.nodes)]
    room = [(down, up) for down, up in room if down + up <= radix]
    if room:
        down, up = room[-1]
        return InputError(
            f"{float(over):g} divides the links into no equal leaves of whole nodes",
            where=f"{place}.oversubscription[0]",
            remedy=f"try {down / up:.6g}: {down} links down and {up} up",
        )
    needed = share + math.ceil(share / over)
    return InputError(
        f"{radix} ports have no room for {share} links of a node and {needed - share} up",
        where=f"{place}.radix",
        remedy=f"name switches of {needed} ports or more, or spread a node over rails or planes",
    )


def _not_joined(
    fabric: Clos, radix: int, fitting: Sequence[tuple[int, int, int]], over: Fraction, place: str
) -> InputError:
    """The error where leaves fit, but the tiers above them do not join them all."""
    also = ", three tiers"
    if fabric.tiers == _THREE:
        rails, also = fabric.rails, ""
        if any(True for sizes in fitting for _ in _three_tiers(*sizes, rails, radix, over=Fraction(1))):
            return InputError(
                f"{float(over):g} leaves no pods whose spines have a whole number of links up",
                where=f"{place}.oversubscription[1]",
                remedy="try one that divides the links into a spine, or count the switches",
            )
        if any(_two_tiers(*sizes, rails, radix) for sizes in fitting):
            also = " or write tiers = 2, which join them"
    return InputError(
        f"{fabric.nodes:,} nodes of {fabric.chips_per_node} chips are not joined by {fabric.tiers} tiers of "
        f"{radix}-port switches",
        where=f"{place}.radix",
        remedy=f"name larger switches{also}, more rails or planes, or fewer nodes",
    )


def _two_tiers(groups: int, down: int, up: int, rails: int, radix: int) -> list[Plane]:
    """Every leaf on the fewest spines that have the ports; none where there are more leaves than ports."""
    return [Plane(1, groups, down, n, up // n) for n in _divisors(up) if groups * rails * up // n <= radix][:1]


def _three_tiers(groups: int, down: int, up: int, rails: int, radix: int, *, over: Fraction) -> Iterator[Plane]:
    """The largest pods that fit under switches of ``radix`` ports, on the fewest spines and cores."""
    for size in reversed(_divisors(groups)[:-1]):
        pods = groups // size
        for spines in _divisors(up):
            into = size * rails * up // spines
            out = into / over
            if out.denominator == 1 and into + out <= radix:
                for cores in _divisors(out.numerator):
                    if pods * out.numerator // cores <= radix:
                        yield Plane(pods, size, down, spines, up // spines, cores, out.numerator // cores)
                        return


@functools.lru_cache(maxsize=1024)
def _divisors(number: int) -> list[int]:
    low = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return sorted({*low, *(number // n for n in low)})


def spread(links: int, index: int, tops: int) -> list[int]:
    """Links of the ``index``-th of several equal switches to each of ``tops`` switches above, dealt round in turn.

    All of them together load the switches above as evenly as whole links can.

    >>> [spread(3, index, 2) for index in range(2)]
    [[2, 1], [1, 2]]
    """
    first, last = index * links, (index + 1) * links
    return [(last - top - 1) // tops - (first - top - 1) // tops for top in range(tops)]
