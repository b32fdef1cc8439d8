"""What a schedule is: rounds of transfers, each of a part of the buffer, from one rank to another.

The size S is that of nccl-tests: the buffer of one rank for all-reduce and broadcast, the whole vector for all-gather
and reduce-scatter, all that one rank sends for all-to-all. Ranks count from 0; switches that reduce come after them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Real = NDArray[np.float64]

Pieces = Callable[["Whole", "Whole"], "Whole"]
"""Sources and targets of a round -> (transfers, pieces) numbers of the pieces that each transfer holds."""

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast")
"""What a schedule can do, in the words of nccl-tests."""


@dataclass(frozen=True)
class Layout:
    """How ranks lie, as far as an algorithm asks.

    Parameters
    ----------
    shape : ranks along each axis; one number where nothing is known. Axes are ordered as the coordinates of a torus,
        whose last one runs fastest; algorithms over nested levels read the innermost level first, which runs fastest
    wraps : whether each axis closes to a ring (all do if empty)
    chunks : parts in which a pipelined algorithm sends a buffer through a chain or tree [1]
    planes : switches side by side that each take an equal part of the buffer [1]
    ways : ``ring`` or ``direct`` for each level of the hierarchical algorithm (direct everywhere if empty)
    """

    shape: tuple[int, ...]
    wraps: tuple[bool, ...] = ()
    chunks: int = 8
    planes: int = 1
    ways: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1 or self.ranks < 2:
            raise InputError(
                f"{self.shape} is no group of ranks", where="shape", remedy="give sides of 2 ranks or more"
            )
        for name, given in (("wraps", self.wraps), ("ways", self.ways)):
            if given and len(given) != len(self.shape):
                remedy = f"give {len(self.shape)}, or none"
                raise InputError(f"{given} is not one for each of {self.shape}", where=name, remedy=remedy)
        if min(self.chunks, self.planes) < 1:
            raise InputError("chunks and planes count from 1", where="layout", remedy="give 1 or more of each")

    @property
    def ranks(self) -> int:
        """How many ranks [1]."""
        return math.prod(self.shape)

    @property
    def closed(self) -> tuple[bool, ...]:
        """Whether each axis closes."""
        return self.wraps or (True,) * len(self.shape)


@dataclass(frozen=True, eq=False)
class Round:
    """Transfers that start together.

    Parameters
    ----------
    source, target : (transfers,) who sends to whom; both empty where ``between_all``
    share : (transfers,) part of S that each moves [1]; (1,), the same for each pair, where ``between_all``
    reduces : (transfers,) whether the target adds it to what it has, or overwrites that; (1,) where ``between_all``
    pieces : which pieces of the buffer each holds; asked only by the symbolic run
    lane, phase : rounds of one lane follow each other; lanes of one phase run side by side, each at its own step, and
        the next phase starts when all have ended
    between_all : where above 0, every one of so many ranks sends to every other, and no arrays are kept
    level : of the hierarchical algorithm, innermost first
    """

    source: Whole
    target: Whole
    share: Real
    reduces: NDArray[np.bool_]
    pieces: Pieces
    lane: int = 0
    phase: int = 0
    between_all: int = 0
    level: int = 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """One collective, round by round.

    Parameters
    ----------
    kind : one of :data:`KINDS`
    algorithm : its name
    ranks : members [1]
    pieces : equal pieces that the buffer of S bytes is cut into; of the all-to-all, ``ranks`` times as many, piece
        i x ranks + j being what i sends to j. Piece p of the others belongs to rank p modulo ``ranks``
    rounds : makes the rounds, one by one, anew at every call; phases ascend
    switches : nodes after the ranks that reduce and multicast but give and keep nothing [1]
    reduces : for each level of the hierarchical algorithms, whether its switches reduce; empty for the others
    chunks : in which trees cross the outermost of these levels; 0 where none do [1]
    """

    kind: str
    algorithm: str
    ranks: int
    pieces: int
    rounds: Callable[[], Iterable[Round]]
    switches: int = 0
    reduces: tuple[bool, ...] = ()
    chunks: int = 0

    @property
    def piece_share(self) -> float:
        """Part of S that one piece is [1]."""
        return (self.ranks if self.kind == "all-to-all" else 1) / self.pieces


Maker = Callable[[Layout], Schedule]


def same(value: float, count: int) -> Real:
    """The same share for each of ``count`` transfers, in the room of one."""
    return np.broadcast_to(np.float64(value), (count,))


def adds(count: int) -> NDArray[np.bool_]:
    """Every one of ``count`` transfers is added to what its target has."""
    return np.broadcast_to(np.True_, (count,))


def overwrites(count: int) -> NDArray[np.bool_]:
    """Every one of ``count`` transfers overwrites what its target has."""
    return np.broadcast_to(np.False_, (count,))


def holding(pieces: Whole) -> Pieces:
    """The same pieces (transfers, pieces), whoever sends them."""
    return lambda *_: pieces


def all_pairs(ranks: int, share: float, pieces: Pieces, *, reduces: bool = False) -> Round:
    """Every rank sends to every other at once."""
    none = np.empty(0, dtype=np.int64)
    return Round(none, none, same(share, 1), adds(1) if reduces else overwrites(1), pieces, between_all=ranks)


def expanded(each: Round) -> Round:
    """The round with all its arrays."""
    if not each.between_all:
        return each
    ranks = each.between_all
    source = np.repeat(np.arange(ranks), ranks - 1)
    target = (source + np.tile(np.arange(1, ranks), ranks)) % ranks
    count = len(source)
    return dataclasses.replace(
        each,
        source=source,
        target=target,
        share=same(float(each.share[0]), count),
        reduces=adds(count) if each.reduces[0] else overwrites(count),
        between_all=0,
    )


def turned(rounds: Iterable[Round]) -> list[Round]:
    """The reduce-scatter that an all-gather is backwards in time.

    Where each piece spreads from its owner over a tree, contributions to it come in over the same tree, last round
    first.
    """
    forward = list(rounds)
    last = max(each.phase for each in forward)
    swapped: dict[tuple[int, int], tuple[Whole, Whole]] = {}
    back = []
    for each in reversed(forward):
        known = swapped.setdefault((id(each.source), id(each.target)), (each.target, each.source))
        back.append(
            dataclasses.replace(
                each,
                source=known[0],
                target=known[1],
                reduces=adds(len(each.reduces)),
                pieces=_swapped(each.pieces),
                phase=last - each.phase,
            )
        )
    return sorted(back, key=lambda each: each.phase)


def _swapped(pieces: Pieces) -> Pieces:
    return lambda source, target: pieces(target, source)


def one_after_the_other(*parts: Iterable[Round]) -> Iterator[Round]:
    """Rounds of several steps of one algorithm, each in phases after those of the one before."""
    begun = 0
    for part in parts:
        last = begun
        for each in part:
            last = begun + each.phase
            yield dataclasses.replace(each, phase=last) if begun else each
        begun = last + 1


def gathering(algorithm: str, gather: Callable[[Layout, int], Schedule]) -> dict[str, Maker]:
    """All-gather, reduce-scatter and all-reduce, all from the all-gather ``gather(layout, way)``.

    ``way`` is 1 or -1, the sense of rings: a reduce-scatter is the all-gather backwards in time, so that of the other
    sense then sends the same way round.
    """

    def scatter(layout: Layout) -> Schedule:
        found = gather(layout, -1)
        return dataclasses.replace(
            found, kind="reduce-scatter", algorithm=algorithm, rounds=lambda: turned(found.rounds())
        )

    def collect(layout: Layout) -> Schedule:
        return dataclasses.replace(gather(layout, 1), kind="all-gather", algorithm=algorithm)

    def reduce(layout: Layout) -> Schedule:
        first, second = scatter(layout), collect(layout)
        return dataclasses.replace(
            first, kind="all-reduce", rounds=lambda: one_after_the_other(first.rounds(), second.rounds())
        )

    return {"all-reduce": reduce, "reduce-scatter": scatter, "all-gather": collect}


def power_of_two(number: int, what: str) -> int:
    """Its binary logarithm.

    Raises
    ------
    InputError : it is no power of two; names those beside it
    """
    exponent = number.bit_length() - 1
    if number != 1 << exponent:
        near = f"{1 << exponent} or {2 << exponent}"
        raise InputError(f"{what} is {number}, which is no power of two", remedy=f"take {near}, or another algorithm")
    return exponent
