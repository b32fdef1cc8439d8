"""Pipelines that tests run: legal sizes of every schedule, and a second, slow execution by SimPy."""

from __future__ import annotations

import numpy as np
import simpy
from hypothesis import strategies as st

from simulator.plan import SCHEDULES
from simulator.training.schedules import refusal
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, PAIRED, WEIGHT

VIRTUAL = {"zb-v": (2,), "v-half": (2,), "v-min": (2,), "1f1b": (1, 2, 3, 5)}
SIZES = [
    (schedule, ranks, virtual, micro_batches)
    for schedule in SCHEDULES
    for virtual in VIRTUAL.get(schedule, (1,))
    for ranks in (1, 2, 3, 4, 6, 7, 8)
    for micro_batches in (1, 2, 5, 6, 8, 12, 16, 21, 24)
    if refusal(schedule, ranks, virtual, micro_batches) is None
]


def rows(order, rank):
    """The passes of a rank without the padding: (kind, chunk, micro-batch)."""
    return [tuple(row) for row in order.passes[rank].tolist() if row[0] >= 0]


@st.composite
def pipelines(draw, most_ranks=6, most_micro_batches=16):
    """A legal (schedule, ranks, virtual stages, micro-batches)."""
    schedule = draw(st.sampled_from(SCHEDULES))
    virtual = draw(st.sampled_from(VIRTUAL.get(schedule, (1,))))
    ranks = draw(st.integers(1, most_ranks))
    micro_batches = draw(st.integers(1, most_micro_batches))
    if schedule == "dualpipe":
        ranks, micro_batches = 2 * ((ranks + 1) // 2), 2 * (ranks + micro_batches)
    elif virtual > 1 and schedule == "1f1b":
        ranks = max(ranks, 2)
        micro_batches = ranks * (1 + micro_batches // ranks)
    return schedule, ranks, virtual, micro_batches


def uneven(seed, stages):
    """Seconds of F, B and W of every stage, some of them zero, and of the messages between stages."""
    generator = np.random.default_rng(seed)
    times = generator.uniform(0, 2, (3, stages)) * (generator.random((3, stages)) > 0.1)
    return (*times, generator.uniform(0, 0.5, stages - 1))


class SlowRun:
    """The same as :func:`simulator.training.schedules.execute` as SimPy processes, one for each rank.

    ``spans`` are the start and the end of each pass of each rank.
    """

    def __init__(self, order, times, hops, *, is_blocking=False, overlap=0.0):
        self.order, self.times, self.hops = order, times, hops
        self.is_blocking, self.overlap = is_blocking, overlap
        self.world = simpy.Environment()
        every = [
            (what, node, i) for what in "FB" for node in range(order.above.size) for i in range(order.micro_batches)
        ]
        self.done = {which: self.world.event() for which in every}
        self.spans = [[] for _ in range(order.ranks)]
        ranks = [self.world.process(self.run(rank)) for rank in range(order.ranks)]
        self.world.run(self.world.all_of(ranks))
        self.seconds = self.world.now

    def hop(self, a, b):
        """Seconds of a message between two neighbouring chunks."""
        if a // self.order.chunks == b // self.order.chunks:
            return 0.0
        stages = self.order.stage_of.ravel()
        return self.hops[min(stages[a], stages[b])]

    def arrival(self, event, seconds):
        sent = yield event
        yield self.world.timeout(max(0.0, sent + seconds - self.world.now))

    def needs(self, kind, node, micro):
        if kind == WEIGHT:
            return [(self.done["B", node, micro], 0.0)]
        what, other = ("F", self.order.above[node]) if kind in (FORWARD, PAIRED) else ("B", self.order.below[node])
        own = [] if what == "F" else [(self.done["F", node, micro], 0.0)]
        return own if other < 0 else [*own, (self.done[what, other, micro], self.hop(node, other))]

    def takes(self, kind, node):
        forward, inputs, weight = (each[self.order.stage_of.ravel()[node]] for each in self.times)
        return {FORWARD: forward, PAIRED: forward, INPUT: inputs, WEIGHT: weight, BACKWARD: inputs + weight}[kind]

    def finish(self, kind, node, micro):
        """Say that a pass is done; returns how long its message takes."""
        if kind == WEIGHT:
            return 0.0
        is_forward = kind in (FORWARD, PAIRED)
        self.done["F" if is_forward else "B", node, micro].succeed(self.world.now)
        to = (self.order.below if is_forward else self.order.above)[node]
        return self.hop(node, to) if to >= 0 else 0.0

    def run(self, rank):
        waiting = [(kind, rank * self.order.chunks + chunk, micro) for kind, chunk, micro in rows(self.order, rank)]
        while waiting:
            group = [waiting.pop(0)]
            if group[0][0] == PAIRED:
                group.append(waiting.pop(0))
            needs = [need for each in group for need in self.needs(*each)]
            yield self.world.all_of([self.world.process(self.arrival(*need)) for need in needs])
            begin = self.world.now
            each = [self.takes(kind, node) for kind, node, _ in group]
            yield self.world.timeout(sum(each) - (self.overlap * min(each) if len(each) > 1 else 0.0))
            self.spans[rank] += [(begin, self.world.now)] * len(group)
            sends = [self.finish(*one) for one in group]
            if self.is_blocking:
                yield self.world.timeout(max(sends))
