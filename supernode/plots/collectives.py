"""Bus bandwidth of a collective against message size, with the range and the changes of algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from supernode.comparison import Curve
from supernode.plots.theme import GREY, INK, LINES, axes, byte_tick, look, plain, tick, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from simulator.collectives.price import Priced
    from supernode.collective_sweep import Answer

_LEGEND_LETTERS = 62
_CIRCLED_ONE = 0x2460
_CIRCLED = 20


def plot_curves(curves: Sequence[Curve], *, ax: Axes | None = None, first: int = 0) -> Axes:
    """Curves of one kind of collective, log-log; numbered marks stand where the cheapest algorithm changes.

    ``first`` shifts the colours, for a chart whose first machine has no curve of this kind.
    """
    ax = axes(ax)
    for index, curve in enumerate(curves, start=first):
        style = look(index)
        sizes, rates = curve.size_bytes, curve.busbw_bytes_per_s
        changes = algorithm_changes(curve)
        ax.fill_between(sizes, curve.low, curve.high, color=style.colour, alpha=0.18, linewidth=0)
        ax.plot(sizes, rates, LINES[index % len(LINES)], color=style.colour, linewidth=1.8, label=_described(curve))
        for count, at in enumerate(changes, start=1):
            ax.plot(sizes[at], rates[at], "o", markersize=11, color="white", markeredgecolor=style.colour)
            ax.text(sizes[at], rates[at], str(count), ha="center", va="center_baseline", fontsize=7, color=INK)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(LogLocator(base=32, numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(byte_tick))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(tick))
    ax.set_xlabel("Message size, as in nccl-tests")
    ax.set_ylabel("Bus bandwidth [B/s]")
    ax.set_axisbelow(True)
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), frameon=False, fontsize=7.5, handlelength=3)
    return ax


def plot_sweep(
    rows: Sequence[tuple[Priced | Answer, float, float]],
    machine: str,
    *,
    ax: Axes | None = None,
    measured: Sequence[tuple[float, float]] = (),
    least_s: Sequence[tuple[float, float]] = (),
    level: str = "",
) -> Axes:
    """One collective on one machine as priced for each size, with the low and high end of its time [s].

    Parameters
    ----------
    measured : sizes [B] and bus bandwidths [B/s] that were measured on as many chips of this machine
    least_s : sizes [B] and the least time that the links allow [s]
    level : that answered
    """
    bus = [priced.busbw_bytes_per_s * priced.seconds for priced, _, _ in rows]
    curve = Curve(
        machine=machine,
        kind=rows[0][0].kind,
        chips=rows[0][0].ranks,
        size_bytes=tuple(priced.size_bytes for priced, _, _ in rows),
        busbw_bytes_per_s=tuple(priced.busbw_bytes_per_s for priced, _, _ in rows),
        low=tuple(moved / high_s for moved, (_, _, high_s) in zip(bus, rows, strict=True)),
        high=tuple(moved / low_s for moved, (_, low_s, _) in zip(bus, rows, strict=True)),
        algorithms=tuple(priced.algorithm for priced, _, _ in rows),
    )
    ax = axes(ax)
    if least_s:
        limits = [moved / seconds for moved, (_, seconds) in zip(bus, least_s, strict=True)]
        sizes = [size for size, _ in least_s]
        ax.plot(sizes, limits, ":", color=GREY, linewidth=1.5, label="the most that links and latency allow, as stated")
    measured = [(size, rate) for size, rate in measured if curve.size_bytes[0] <= size <= curve.size_bytes[-1]]
    if measured:
        label = f"measured: {len(measured)} rows"
        ax.plot(*zip(*measured, strict=True), "D", color=INK, markersize=7, fillstyle="none", zorder=4, label=label)
    ax = plot_curves([curve], ax=ax)
    ax.set_title(plain(f"{curve.kind}{level and ', level '}{level}; the band holds 5–95 % of the draws"))
    return ax


def algorithm_changes(curve: Curve) -> list[int]:
    """Where along a curve the cheapest algorithm is another one than before; the first point counts."""
    names = curve.algorithms
    return [at for at, name in enumerate(names) if at == 0 or name != names[at - 1]]


def _described(curve: Curve) -> str:
    """A curve's line in the legend: machine, chips, and the algorithms by the numbers of their marks."""
    steps = [
        f"{_circled(count)} {curve.algorithms[at]}" + (f" from {byte_tick(curve.size_bytes[at])}" if count > 1 else "")
        for count, at in enumerate(algorithm_changes(curve), start=1)
    ]
    return wrapped(f"{curve.machine}, {curve.chips:,} chips: {', '.join(steps)}", _LEGEND_LETTERS)


def _circled(count: int) -> str:
    """A count as it stands in its mark."""
    return chr(_CIRCLED_ONE + count - 1) if count <= _CIRCLED else f"({count})"
