"""A library of exchange on a slice as rows of numbers, for kernels that price many exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.collectives.exchange.price import kernels_of
from simulator.collectives.group import level_rows
from simulator.figures import Draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.collectives.exchange.price import Mode
    from simulator.exchange import Library
    from simulator.machine import Slice

    Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Packed:
    """What :func:`simulator.collectives.exchange.kernels.exchange_seconds` takes of a slice and a library.

    Parameters
    ----------
    levels : (levels, COLUMNS) as of :mod:`simulator.collectives.rows.kernels`, with bandwidths as the library's
        dispatch reaches them
    library : (CONSTANTS,) times [s] and flags of the library
    """

    levels: Real
    library: Real


def packed(part: Slice, library: Library, mode: Mode, *, draw: Draw | None = None, is_captured: bool = False) -> Packed:
    """Pack a library in one mode on a slice.

    Parameters
    ----------
    draw : values of uncertain figures; the stated ones by default
    is_captured : whether a captured graph runs the kernels, which does not pay the time of calls

    Raises
    ------
    InputError : a mode that the library lacks
    """
    import numpy as np

    from simulator.collectives.exchange import kernels
    from simulator.collectives.rows.kernels import BANDWIDTH, LINE

    draw = draw or Draw()
    used = kernels_of(library, mode)
    network = len(part.levels) - 1 if part.machines > 1 else -1
    levels = level_rows(part.levels, part.machine.software, draw)
    for row in levels:
        line = int(row[LINE])
        reach = draw(used.fraction.outside if line == network else used.fraction.inside)
        row[BANDWIDTH] *= reach / draw(part.levels[line].link.fraction)
    back, calls = used.combine_fraction, None if is_captured else used.call
    found = np.empty(kernels.CONSTANTS)
    found[kernels.DISPATCH_START] = draw(used.dispatch)
    found[kernels.COMBINE_START] = draw(used.combine)
    found[kernels.DISPATCH_CALL] = draw(calls.dispatch) if calls else 0.0
    found[kernels.COMBINE_CALL] = draw(calls.combine) if calls else 0.0
    found[kernels.NETWORK_START] = draw(used.network) if used.network is not None else 0.0
    found[kernels.SCAN] = draw(used.scan) if used.scan is not None else 0.0
    found[kernels.DISPATCH_SIGNAL] = draw(used.signal.dispatch) if used.signal else 0.0
    found[kernels.COMBINE_SIGNAL] = draw(used.signal.combine) if used.signal else 0.0
    found[kernels.COMBINE_INSIDE] = draw(back.inside) / draw(used.fraction.inside) if back else 1.0
    found[kernels.COMBINE_OUTSIDE] = draw(back.outside) / draw(used.fraction.outside) if back else 1.0
    found[kernels.STRAIGHT] = float(mode == "low-latency")
    found[kernels.NETWORK_LINE] = network
    return Packed(levels, found)
