"""Run an order of passes with the seconds of every stage: when each pass starts and ends, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError, InternalError
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, PAIRED, WEIGHT

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simulator.training.schedules.order import Order


PARTS = ("computing", "tensor ranks", "context ranks", "expert exchange")
"""What a pass consists of: computing, and what shows of the communication inside its layers."""
_KINDS = {FORWARD: (0,), PAIRED: (0,), INPUT: (1,), WEIGHT: (2,), BACKWARD: (1, 2)}
"""Kind of a pass -> which of F, B and W it is."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """An order that was run [s].

    Parameters
    ----------
    order : what was run
    seconds : from the start of the first pass to the end of the last pass, with the sends that hold up a rank
    start_s, end_s : (ranks, passes), of the passes of the order; not a number behind the last pass of a rank
    busy_s : (ranks,), sum of the passes of a rank
    hop_s : (ranks x chunks,), of a message between a chunk and the one above it
    parts_s : (3, parts, stages), :data:`PARTS` of F, B and W of each stage, where it was said what these consist of
    """

    order: Order
    seconds: float
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    busy_s: NDArray[np.float64]
    hop_s: NDArray[np.float64]
    parts_s: NDArray[np.float64] | None = None

    def inside_s(self, rank: int) -> NDArray[np.float64]:
        """When each of :data:`PARTS` of the passes of a rank begins, one after the other, and the last ends [s].

        (passes, parts + 1). Layers take turns in truth; what is drawn is the sum over those of the pass. A pair that
        runs together stands with its forward pass; the other, and what is no pass, is not a number, as all is where
        nobody said what passes consist of.
        """
        passes = self.order.passes[rank]
        edges = np.full((len(passes), len(PARTS) + 1), np.nan)
        if self.parts_s is None:
            return edges
        last = -1
        for i, (kind, chunk, _) in enumerate(passes.tolist()):
            if kind not in _KINDS or last == PAIRED:
                last = kind
                continue
            last = kind
            parts = self.parts_s[_KINDS[kind], :, self.order.stage_of[rank, chunk]].sum(axis=0)
            if kind == PAIRED:
                other, beside, _ = passes[i + 1].tolist()
                parts = parts + self.parts_s[_KINDS[other], :, self.order.stage_of[rank, beside]].sum(axis=0)
            start, end = self.start_s[rank, i], self.end_s[rank, i]
            edges[i] = start + (end - start) * np.concatenate([[0.0], np.cumsum(parts)]) / (parts.sum() or 1.0)
        return edges

    @property
    def bubble_s(self) -> NDArray[np.float64]:
        """What each rank waits, from the start of the step to its end, (ranks,) [s]."""
        return self.seconds - self.busy_s

    @property
    def idle_s(self) -> NDArray[np.float64]:
        """What each rank waits between its first and its last pass, (ranks,) [s]: what zero-bubble papers count.

        Only with an optimizer that does not wait for all ranks is the rest of the bubble filled by the next step.
        """
        return np.asarray(np.nanmax(self.end_s, axis=1) - self.start_s[:, 0] - self.busy_s)


def execute(
    order: Order,
    forward_s: ArrayLike,
    input_s: ArrayLike,
    weight_s: ArrayLike,
    *,
    hop_s: ArrayLike = 0.0,
    is_blocking: bool = False,
    overlap: float = 0.0,
    is_compiled: bool = True,
) -> Timeline:
    """Run every pass as soon as its rank is free and what it waits for has come.

    Parameters
    ----------
    order : from :func:`simulator.training.schedules.pipeline_order`
    forward_s, input_s, weight_s : seconds of F, of B (gradient of the input) and of W (gradient of the weights) of one
        micro-batch on each stage of the model, (stages,), or one number for all; a schedule that does not split them
        runs B and W in one
    hop_s : exposed seconds of a message from each stage to the next and back, (stages - 1,), or one number for all;
        stages on the same rank send nothing
    is_blocking : a rank that sends waits until the message has arrived; else it goes on
    overlap : how much of the shorter pass of a pair of dualpipe the longer one hides, 0 to 1

    Raises
    ------
    InputError : a negative time, a wrong number of stages, an overlap outside 0 to 1
    InternalError : the order cannot be run to its end
    """
    from simulator.training.schedules import kernels

    if not 0 <= overlap <= 1:
        raise InputError(f"overlap {overlap} of paired passes", remedy="a share from 0 to 1")
    forward, inputs, weight = (
        stage_values(order, name, value)[order.stage_of.ravel()]
        for name, value in (("forward_s", forward_s), ("input_s", input_s), ("weight_s", weight_s))
    )
    hops = _node_hops(order, hop_s)
    start_s = np.full(order.passes.shape[:2], np.nan)
    end_s = np.full(order.passes.shape[:2], np.nan)
    busy_s = np.empty(order.ranks)
    run: Any = kernels.execute_fast if is_compiled else kernels.execute
    links = (order.above, order.below, order.micro_batches)
    seconds = run(
        order.passes, *links, forward, inputs, weight, hops, is_blocking, float(overlap), start_s, end_s, busy_s
    )
    if seconds < 0:
        raise stuck(order)
    return Timeline(order, float(seconds), start_s, end_s, busy_s, hops)


def stuck(order: Order) -> InternalError:
    """The error of an order that cannot be run to its end."""
    pipeline = f"{order.ranks} ranks, {order.virtual_stages} virtual stages, {order.micro_batches} micro-batches"
    return InternalError(f"the order of {order.schedule} waits for itself ({pipeline})")


def peak_activations(order: Order, held: ArrayLike = 1.0, kept: ArrayLike | None = None) -> NDArray[np.float64]:
    """Most that the activations of each rank take at once, (ranks,), in the unit of ``held``.

    Parameters
    ----------
    held : what the forward pass of one micro-batch leaves behind on each stage, (stages,), or one number for all
    kept : which part of that the gradient of the weights needs; B gives back the rest. None: all of it

    Raises
    ------
    InputError : a negative number, a wrong number of stages, more kept than held
    """
    from simulator.training.schedules import kernels

    all_held = stage_values(order, "held", held)
    all_kept = all_held if kept is None else stage_values(order, "kept", kept)
    if (all_kept > all_held).any():
        raise InputError("more activations are kept for W than F leaves behind", where="kept", remedy="at most held")
    peaks = np.empty(order.ranks)
    fill: Any = kernels.fill_peaks_fast
    stage_of = order.stage_of.ravel()
    fill(order.passes, all_held[stage_of], all_kept[stage_of], peaks)
    return peaks


def stage_values(order: Order, name: str, value: ArrayLike) -> NDArray[np.float64]:
    """One value for each stage of the model."""
    return _values(name, value, order.stages)


def _node_hops(order: Order, hop_s: ArrayLike) -> NDArray[np.float64]:
    """Seconds of a message between each chunk and the one above it."""
    if np.ndim(hop_s) == 0:
        return order.is_sent * _values("hop_s", hop_s, 1)
    hops = np.concatenate([[0.0], _values("hop_s", hop_s, order.stages - 1)])[order.stage_of.ravel()]
    return np.where(order.is_sent, hops, 0.0)


def _values(name: str, value: ArrayLike, count: int) -> NDArray[np.float64]:
    values = np.asarray(value, dtype=np.float64)
    if values.ndim > 1 or (values.ndim == 1 and values.size != count):
        raise InputError(f"{values.size} values where {count} are needed", where=name, remedy="one for each, or one")
    if values.size and not (values.min() >= 0 and values.max() < np.inf):
        raise InputError("values are finite and not negative", where=name, remedy=f"got {values.min()}")
    return values if values.ndim else np.full(count, values)
