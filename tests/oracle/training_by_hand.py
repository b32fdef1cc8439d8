"""A training step worked out from the equations of ``docs/models/training.md``, slowly and in plain Python.

Nothing of the kernels that it checks is used: the figures are read from the catalogue, the operators of a model from
its architecture, and :func:`simulator.collectives.price.price` says how long a collective takes on a group that is cut
out of the slice here. The sections carry the names of the document's.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import msgspec

from simulator.collectives.price import price
from simulator.machine import Slice
from simulator.training.memory import memory
from simulator.training.schedules import pipeline_order
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, PAIRED, WEIGHT
from workloads.program import head_sizes, kv_values

BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp4": 0.5}
FOLDED = ("zb-v", "v-half", "v-min")
KINDS = ("dense", "moe", "head")


class Given(NamedTuple):
    """What a step is worked out from."""

    work: object  # the program: a model and the counts of its parameters
    plan: object
    part: Slice
    stack: object
    sequence: int
    batch: int
    skew: float

    @property
    def model(self):
        return self.work.model

    @property
    def chip(self):
        return self.part.chip

    @property
    def tokens(self):
        """Tokens of a micro-batch on one context rank."""
        return self.plan.micro_batch * self.sequence / self.plan.context

    def share(self, name):
        """One of the stack's figures, 0 where it has none."""
        figure = getattr(self.stack.training, name)
        return figure.si if figure else 0.0

    def of_experts(self, name):
        """One of its figures of experts, which may be others in some dtypes; None where it has no such figure."""
        stack = self.stack.training
        fused = stack.fused_experts
        found = getattr(fused if fused and self.plan.dtype in fused.dtypes else stack, name)
        return found.si if found else None

    @property
    def launch_s(self):
        return self.part.machine.software.collective_launch.si


# Groups of ranks


@dataclasses.dataclass
class Tier:
    """Ranks of a slice along one axis (or a block's part of one), or behind one tier of switches or meshes."""

    level: object
    line: int
    size: float
    step: float = 1.0
    wraps: bool = False


def tiers_of(part, axes):
    """Tiers in the order in which ranks fill them: axes inside blocks, axes from block to block, then the rest."""
    inside, outside, rest = [], [], []
    inner = None
    lines = [line for line, level in enumerate(part.levels) if level.kind == "axis"]
    turn = {lines[axis]: place for place, axis in enumerate(axes or range(len(lines)))}
    for line, level in enumerate(part.levels):
        is_shared = level.kind == "switch" and level.link is inner
        inner = level.link if level.kind == "switch" else None
        if level.kind != "axis":
            rest += [Tier(level, line, level.size, 1, level.wraps or is_shared)] if level.size > 1 else []
            continue
        block = level.block if level.block > 1 else level.size
        inside += [Tier(level, line, block, 1, level.wraps)] if block > 1 else []
        outside += [Tier(level, line, level.size // block, block, level.wraps)] if level.size > block else []
    return [*(sorted(each, key=lambda tier: turn[tier.line]) for each in (inside, outside)), rest]


def group(given, stride, size):
    """The tiers of a group of ``size`` ranks, ``stride`` apart."""
    tiers = [tier for each in tiers_of(given.part, given.plan.axes) for tier in each]
    found = []
    for tier in tiers:
        if size == 1:
            break
        if stride % tier.size == 0:
            stride //= tier.size
            continue
        here = min(size, tier.size / stride)
        is_even = stride < tier.size and tier.size % (stride * here) == 0 and size % here == 0
        if not is_even:
            assert tier.level.kind != "axis", "the group does not divide an axis"
            return [*found, dataclasses.replace(tiers[-1], size=size)]
        step = stride * tier.step
        before = [one for one in found if one.line == tier.line and one.size * one.step == step]
        if tier.level.kind != "axis":
            found.append(dataclasses.replace(tier, size=here))
        elif before:
            before[0].size *= here
            before[0].wraps = tier.wraps and before[0].size * before[0].step == tier.level.size
        else:
            found.append(Tier(tier.level, tier.line, here, step, tier.wraps and here * step == tier.level.size))
        size /= here
        stride = 1
    assert size == 1, "the group is larger than the slice"
    return found


def collective(given, kind, size_bytes, stride, size):
    """Seconds of a collective of the group, launch included."""
    if size <= 1:
        return 0.0
    levels = tuple(
        dataclasses.replace(
            tier.level,
            size=int(tier.size),
            links=tier.level.links / tier.step,
            hops=tier.level.hops * tier.step,
            wraps=tier.wraps,
            block=1,
        )
        for tier in group(given, stride, size)
    )
    part, machine = given.part, given.part.machine
    quiet = dataclasses.replace(machine, software=msgspec.structs.replace(machine.software, call=None))
    machines = levels[-1].size if part.machines > 1 and levels[-1].name == part.levels[-1].name else 1
    return price(kind, size_bytes, Slice(quiet, int(size), machines, levels)).seconds


# Operators


def operators(model):
    """(scope, what, sizes of each operator), per layer."""
    h, a, (d_qk, d_v), latent = model.hidden, model.heads, head_sizes(model), model.latent
    if latent is None:
        yield "every", "columns", ((a + 2 * model.kv_heads) * model.head_dim, h)
    else:
        if latent.q_rank:
            yield "every", "whole", (latent.q_rank, h)
        yield "every", "columns", (a * d_qk, latent.q_rank or h)
        yield "every", "whole", (latent.kv_rank + latent.rope_head, h)
        yield "every", "columns", (a * (latent.nope_head + d_v), latent.kv_rank)
    layers = model.layers + model.mtp_layers
    windowed = model.windowed_layers if model.window else 0
    if layers > windowed:
        yield "every", "attention", (0, (layers - windowed) / layers)
    if windowed:
        yield "every", "attention", (-model.window if model.chunked else model.window, windowed / layers)
    yield "every", "rows", (h, a * d_v)
    yield "every", "traffic", (2 * model.norms_per_layer, 0)
    gate = 2 if model.gated else 1
    yield "dense", "columns", (gate * model.ffn, h)
    yield "dense", "rows", (h, model.ffn)
    yield "dense", "traffic", (0, 2 * model.ffn / h)
    if model.experts:
        experts = model.experts
        yield "moe", "whole", (experts.count, h)
        if experts.shared:
            yield "moe", "columns", (gate * experts.shared * experts.ffn, h)
            yield "moe", "rows", (h, experts.shared * experts.ffn)
        yield "moe", "expert columns", (gate * experts.ffn, h)
        yield "moe", "expert rows", (h, experts.ffn)
        k = experts.active
        biases = (gate + 1) * (model.biases == "all")
        yield "moe", "traffic", (0, 2 * ((k + experts.shared) * experts.ffn / h + k), k * (2 + biases))
        if model.biases == "all":
            yield "moe", "traffic", (0, 2 * k * (gate * experts.ffn / h + 1))
    for _ in range(model.mtp_layers):
        yield "head", "columns", (h, 2 * h)
        yield "head", "traffic", (4, 0)
    for _ in range(1 + model.mtp_layers):
        yield "head", "columns", (model.vocab, h)
        yield "head", "traffic", (2, 4 * model.vocab / h)


def bandwidth(given):
    return given.chip.hbm.bandwidth.si * given.chip.hbm.fraction.si


def product(given, m, n, k, *, experts=0, dtype=""):
    """A product on one chip, or one for each of the ``experts`` there in one kernel [s]."""
    matmul, dtype = given.chip.matmul, dtype or given.plan.dtype
    narrower, b = 2 / BYTES[dtype], BYTES[dtype]
    engines = matmul.engines.si
    count = experts or 1
    tiles = count * math.ceil(m / matmul.tile.m) * math.ceil(n / matmul.tile.n)
    waves = math.ceil(tiles / engines) if tiles >= engines else 1 / math.floor(engines / tiles)
    steps = math.ceil(k / (matmul.tile.k * narrower)) * matmul.tile.k * narrower
    depth = waves * steps + max(waves, 1) * matmul.fill.si * narrower
    rate = given.chip.peak[dtype].si * matmul.fraction[dtype].si * matmul.sustained[dtype].si
    moved = count * (b * (m * k + k * n) + 2 * m * n)
    reached = bandwidth(given) * (1 if experts else matmul.streaming.si)
    return max(depth * 2 * matmul.tile.m * matmul.tile.n * engines / rate, moved / reached)


def keys_seen(sequence, window):
    """Mean number of keys of a causal query, counted query by query: half of the keys of its own position."""
    span = abs(window) or sequence
    seen = (i % span + 0.5 if window < 0 else min(i + 0.5, span) for i in range(sequence))
    return sum(seen) / sequence


def attention(given, window):
    """Attention forward and backward [s]."""
    plan, model, chip = given.plan, given.model, given.chip
    d_qk, d_v = head_sizes(model)
    core = chip.attention
    dtype = plan.attention_dtype
    rate = chip.peak[dtype].si * core.fraction[dtype].si
    passes = given.share("score_passes" if plan.context == 1 else "context_score_passes")
    heads = model.heads / plan.tensor
    if passes:
        flops = 2 * given.tokens * given.sequence * heads * (d_qk + d_v)
        forward = flops / rate + 2 * heads * given.tokens * given.sequence * passes / bandwidth(given)
        return forward, 2 * forward
    dearer = chip.peak[dtype].si / chip.peak["bf16"].si
    queries = given.sequence / plan.context
    engines = chip.matmul.engines.si
    blocks = plan.micro_batch * heads * math.ceil(queries / core.tile)
    keys = keys_seen(given.sequence, window) + core.fill.si * dearer
    softmax = core.softmax.si * dearer
    widths = max(d_qk, core.least_head) + max(d_v, core.least_head)
    scores = math.ceil(blocks / engines) * engines * 2 * core.tile * keys
    moved = 2 * given.tokens * (heads * (d_qk + d_v) + kv_values(model) / plan.tensor)
    factor = given.share("attention_factor")
    if given.stack.training.attention == "portable" and core.portable:
        factor *= core.portable.si
    forward = max(scores * (widths + softmax) / rate, moved / bandwidth(given))
    known = 2.5 * (256 + softmax) / (2.5 * 256 + softmax) / (rate * core.backward.si)  # heads of 128 at a known rate
    backward = max(scores * (2.5 * widths + softmax) * known, 2.5 * moved / bandwidth(given))
    return forward / factor, backward / factor


def cast(given, values):
    """Values of two bytes read, and written in a narrower dtype by rows and by columns [s]."""
    width = BYTES[given.plan.dtype]
    return given.chip.hbm.start.si + (2 + 2 * width) * values / bandwidth(given) if width < 2 else 0.0


def operator(given, what, sizes, *, has_experts=False, dtype=""):
    """Forward, gradient of the input, gradient of the weights [s]."""
    plan, tokens, t = given.plan, given.tokens, given.plan.tensor
    if what == "traffic":
        whole, split, *looked_up = sizes
        spread = t if plan.sequence_parallel else 1
        moved = 2 * given.model.hidden * tokens * (whole / spread + split / t)
        factor = (given.of_experts("expert_traffic_factor") if has_experts else None) or given.share("traffic_factor")
        seconds = given.chip.hbm.start.si + factor * moved / bandwidth(given)
        seconds += sum(looked_up) * tokens / t * plan.expert_tensor * given.share("routing") / given.chip.devices
        return seconds, 2 * seconds, 0.0
    n, k = sizes
    if what.startswith("expert"):
        experts, x = given.model.experts, plan.expert_tensor
        local = experts.count / plan.expert
        m = given.skew * tokens / t * x * experts.active / local
        n, k = (n / x, k) if what.endswith("columns") else (n, k / x)
        once = local * given.of_experts("expert_launch")
        padded = m + given.share("expert_padding") * given.chip.devices
        shapes = ((padded, n, k), (padded, k, n), (k, n, padded))
        slower = 1 / given.of_experts("expert_matmul_factor")
        casts = [(given.of_experts("expert_casts") or 0) * cast(given, local * m * width) for width in (k, n)]
        seconds = (slower * product(given, *shape, experts=local) + once for shape in shapes)
        return tuple(a + b for a, b in zip(seconds, (*casts, 0.0), strict=True))
    if what == "whole":
        m = tokens / t if plan.sequence_parallel else tokens
    else:
        m = tokens
        n, k = (n / t, k) if what == "columns" else (n, k / t)
    return tuple(product(given, *shape, dtype=dtype) for shape in ((m, n, k), (m, k, n), (k, n, m)))


# A layer


@dataclasses.dataclass
class Layer:
    """Passes of one layer (or the logits) and what shows of its communication [s]."""

    forward: float = 0.0
    to_input: float = 0.0
    to_weight: float = 0.0
    tensor: tuple = (0.0, 0.0)
    context: tuple = (0.0, 0.0)
    expert: tuple = (0.0, 0.0)

    @property
    def compute(self):
        return self.forward + self.to_input + self.to_weight

    @property
    def passes(self):
        """F, B and W with the communication that shows."""
        shown = [sum(each[i] for each in (self.tensor, self.context, self.expert)) for i in range(2)]
        return self.forward + shown[0], self.to_input + shown[1], self.to_weight


def again(given):
    """Share of the layers that are recomputed."""
    plan = given.plan
    if plan.recompute != "full":
        return 0.0
    return min(1.0, plan.recompute_layers * plan.pipeline / given.work.layers) if plan.recompute_layers else 1.0


def shown(seconds, share, behind):
    return max(share * seconds, seconds - behind)


def layers_of(given):
    """A dense layer, one with experts, and the logits."""
    found = {kind: Layer() for kind in KINDS}
    calls = dict.fromkeys(KINDS, 0.0)
    core = [0.0, 0.0]
    for scope, what, sizes in operators(given.model):
        weight = 1.0
        if what == "attention":
            window, weight = sizes
            forward, backward = attention(given, window)
            core[0] += weight * forward
            core[1] += weight * backward
            seconds = (forward, backward + (forward if given.plan.recompute == "selective" else 0.0), 0.0)
        else:
            dtype = given.plan.dtype
            if scope == "head" and BYTES[dtype] < BYTES.get(given.stack.training.logits_dtype, 0):
                dtype = given.stack.training.logits_dtype
            seconds = operator(given, what, sizes, has_experts=scope == "moe", dtype=dtype)
        if given.plan.adapters:
            seconds = (*seconds[:2], 0.0)
        for kind in ("dense", "moe") if scope == "every" else (scope,):
            found[kind].forward += weight * seconds[0]
            found[kind].to_input += weight * seconds[1]
            found[kind].to_weight += weight * seconds[2]
            calls[kind] += weight
    for kind in ("dense", "moe") if given.model.experts else ("dense",):
        layer = found[kind]
        stretch = max(1.0, given.share("launch") * calls[kind] / layer.forward)
        layer.forward, layer.to_input, layer.to_weight = (
            stretch * each for each in (layer.forward, layer.to_input, layer.to_weight)
        )
        unneeded = 0.0
        if given.stack.training.recompute_stops_early and kind == "dense":
            unneeded = stretch * operator(given, "rows", (given.model.hidden, given.model.ffn))[0]
        layer.to_input += again(given) * (layer.forward - unneeded)
        if given.plan.offload in {"activations", "both"}:
            offload(given, layer)
        communicate(given, layer, core, has_experts=kind == "moe")
    return found


def offload(given, layer):
    """The way of a layer's activations to host memory and back (models without experts)."""
    plan = given.plan
    spread = plan.tensor if plan.sequence_parallel else 1
    entrance = 2 * given.tokens * given.model.hidden / spread
    bare = dataclasses.replace(plan, offload="none", recompute="none", pipeline=1, virtual_stages=1)
    weighed = memory(given.work, bare, given.part, given.stack, sequence=given.sequence, batch=given.batch)
    kept = weighed.activations_bytes / given.work.layers
    moved = (again(given) * entrance + (1 - again(given)) * kept) / given.chip.host_link.si
    layer.forward = max(layer.forward, moved)
    layer.to_input = max(layer.to_input, moved - layer.to_weight)


def communicate(given, layer, core, *, has_experts):
    """What shows of the communication inside a layer, and what it slows down."""
    plan, model, t = given.plan, given.model, given.plan.tensor
    more = again(given)
    forward, backward = layer.forward, layer.to_input + layer.to_weight
    vector = 2 * given.tokens * model.hidden
    kinds = ("all-gather", "reduce-scatter") if plan.sequence_parallel else ("all-reduce",)
    pair = sum(collective(given, kind, vector, 1, t) for kind in kinds)
    pairs = 1 if model.parallel or (has_experts and not model.experts.shared) else 2
    share = given.share("tensor_exposed") if plan.overlap_tensor else 1.0
    tensor = (pairs * pair, (1 + more) * pairs * pair)
    layer.tensor = (shown(tensor[0], share, forward), shown(tensor[1], share, backward))
    keys = 2 * given.tokens * kv_values(model) / t
    if plan.context_mode == "ulysses":
        there = collective(given, "all-to-all", 2 * vector / t + keys, t, plan.context)
        back = there
    else:
        there = collective(given, "all-gather", keys * plan.context, t, plan.context)
        back = 2 * there
    context = (there, back + more * there)
    share = given.share("context_exposed")
    layer.context = (shown(context[0], share, core[0]), shown(context[1], share, core[1]))
    expert = (0.0, 0.0)
    if has_experts:
        out, home = exchange(given, min(BYTES[plan.dtype], 2.0)), exchange(given, 2.0)
        x = plan.expert_tensor
        slots = 2 * given.skew * given.tokens / t * x * model.experts.active * model.hidden
        split = sum(collective(given, kind, slots, 1, x) for kind in ("all-gather", "reduce-scatter"))
        expert = (out + home + split, 2 * home + split + more * (out + home + split))
        share = given.of_experts("expert_exposed") if plan.overlap_expert else 1.0
        layer.expert = (shown(expert[0], share, forward), shown(expert[1], share, backward))
    hidden = sum(map(sum, (tensor, context, expert))) - sum(map(sum, (layer.tensor, layer.context, layer.expert)))
    slower = 1 + given.share("contention") * hidden / (forward + backward)
    layer.forward, layer.to_input, layer.to_weight = (
        slower * each for each in (layer.forward, layer.to_input, layer.to_weight)
    )


def exchange(given, value_bytes):
    """Tokens on the way to their experts, or back [s]."""
    plan, experts = given.plan, given.model.experts
    ranks = plan.expert
    if ranks == 1:
        return 0.0
    busiest = max(1.0, min(given.skew, ranks))
    slowest, latency, inside = 0.0, 0.0, 1.0
    for domain in domains(group(given, plan.expert_tensor, ranks)):
        size = math.prod(tier.size for tier in domain)
        load = (busiest + (inside - 1) * (ranks - busiest) / (ranks - 1)) / inside
        sets = ranks / inside
        held = min(load * experts.count / sets, experts.count)
        missed = math.prod(max(0.0, experts.count - held - i) / (experts.count - i) for i in range(experts.active))
        slowest = max(slowest, sets * (1 - missed) * per_byte(domain, size))
        ways = [hops(tier) * tier.level.hops * tier.step * tier.level.link.latency.si for tier in domain]
        latency += max(ways) if domain[0].level.kind == "switch" else sum(ways)
        inside *= size
    sent = given.tokens / plan.tensor * given.model.hidden * value_bytes
    return given.launch_s + latency + sent * slowest


def domains(tiers):
    """Tiers that share their ports, or the axes of a torus."""
    found = []
    for tier in tiers:
        kind = tier.level.kind
        is_same = found and (
            (kind == "axis" and found[-1][0].level.kind == "axis") or (kind == "switch" and tier.wraps)
        )
        if is_same:
            found[-1].append(tier)
        else:
            found.append([tier])
    return found


def per_byte(domain, size):
    """Seconds on the slowest link for each byte that every rank sends to all members alike."""
    found, crossing, outer = 0.0, 0.0, size
    for tier in reversed(domain):
        link = tier.level.link
        rate = tier.level.links / tier.step * link.bandwidth.si * link.fraction.si
        if tier.level.kind == "axis":
            found = max(found, (tier.size**2 // 4) / tier.size / (2 if tier.wraps else 1) / rate)
            continue
        crossing += (outer - outer / tier.size) / size
        outer /= tier.size
        found = max(found, crossing / (rate * (tier.size - 1 if tier.level.kind == "mesh" else 1)))
    return found


def hops(tier):
    if tier.level.kind != "axis":
        return 1
    return tier.size // 2 if tier.wraps else tier.size - 1


# The pipeline


def even(layers, places):
    """Layers of each place: one more for those in the middle, then the first, never the last."""
    found = [layers // places] * places
    for place in ([*range(1, places - 1), 0])[: layers % places]:
        found[place] += 1
    return found


def chunks_of(given):
    """Layers of each chunk of each pipeline rank."""
    plan, layers = given.plan, given.work.layers
    p, v = plan.pipeline, plan.virtual_stages
    first, last = plan.first_layers, plan.last_layers
    is_folded = plan.schedule in FOLDED and p > 1
    if is_folded and not first:  # one more for the later chunks of all ranks but the first, their earlier ones, stage 0
        assert not last
        found = [[layers // (2 * p)] * 2 for _ in range(p)]
        turns = [(rank, 1) for rank in range(1, p)] + [(rank, 0) for rank in range(1, p)] + [(0, 0)]
        for rank, chunk in turns[: layers % (2 * p)]:
            found[rank][chunk] += 1
        return found
    middle = even(layers - first - last, p - (first > 0) - (last > 0)) if first or last else even(layers, p)
    own = [first] * (first > 0) + middle + [last] * (last > 0)
    found = []
    for rank, mine in enumerate(own):
        chunks = [mine // v] * v
        order = list(range(v))[::-1]
        if rank == (0 if is_folded else p - 1):
            order = order[1:] + order[:1]  # the logits are there
        for chunk in order[: mine % v]:
            chunks[chunk] += 1
        found.append(chunks)
    return found


def with_experts(given, start, own, first):
    """Layers with experts among ``own``, of which the ``first`` so many begin at layer ``start``."""
    experts = given.model.experts
    if not experts:
        return 0.0
    dense = min(max(experts.dense_layers - start, 0.0), first)
    return (own - dense) * given.work.moe_layers / (given.work.layers - experts.dense_layers)


def ranks_of(given):
    """(dense layers, layers with experts, logits) that each pipeline rank computes for a micro-batch, and holds."""
    plan = given.plan
    chunks = chunks_of(given)
    each = []
    for rank, mine in enumerate(chunks):
        start = sum(before[0] for before in chunks[:rank])
        each.append((sum(mine), with_experts(given, start, sum(mine), mine[0])))
    last = 0 if plan.schedule in FOLDED else plan.pipeline - 1
    head = [1.0 if rank == last else 0.0 for rank in range(plan.pipeline)]
    if plan.schedule == "dualpipe" and plan.pipeline > 1:
        each = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(each, reversed(each), strict=True)]
        head = [0.5 if rank in {0, plan.pipeline - 1} else 0.0 for rank in range(plan.pipeline)]
        return [(n / 2 - m / 2, m / 2, logits) for (n, m), logits in zip(each, head, strict=True)], each
    return [(n - m, m, logits) for (n, m), logits in zip(each, head, strict=True)], each


def stages_of(given):
    """(dense layers, layers with experts, logits) of each stage of the model."""
    plan = given.plan
    chunks = chunks_of(given)
    own = [mine[chunk] for chunk in range(plan.virtual_stages) for mine in chunks]
    if plan.schedule in FOLDED and plan.pipeline > 1:
        own = [mine[0] for mine in chunks] + [mine[1] for mine in reversed(chunks)]
    found = []
    for stage, layers in enumerate(own):
        moe = with_experts(given, sum(own[:stage]), layers, layers)
        found.append((layers - moe, moe, 1.0 if stage == len(own) - 1 else 0.0))
    return found


def alternating(given, micro_batches):
    """Orders of GPipe and of 1F1B, plain and interleaved: lists of (kind, stage, micro-batch) for each rank."""
    plan = given.plan
    p, v = plan.pipeline, plan.virtual_stages
    found = []
    for rank in range(p):
        if plan.schedule == "gpipe":
            order = [(FORWARD, rank, i) for i in range(micro_batches)]
            found.append(order + [(BACKWARD, rank, i) for i in range(micro_batches)])
            continue
        groups = range(0, micro_batches, p if v > 1 else 1)
        width = p if v > 1 else 1
        forward = [(FORWARD, rank + p * chunk, g + i) for g in groups for chunk in range(v) for i in range(width)]
        backward = [
            (BACKWARD, rank + p * chunk, g + i) for g in groups for chunk in reversed(range(v)) for i in range(width)
        ]
        warm = min(2 * (p - rank - 1) + (v - 1) * p if v > 1 else p - rank - 1, len(forward))
        order = forward[:warm]
        for one, other in zip(forward[warm:], backward, strict=False):
            order += [one, other]
        found.append(order + backward[len(forward) - warm :])
    return found


def run(orders, passes, hop_s):
    """Every pass as soon as its rank is free and what it waits for has come; returns the end, and each rank's work."""
    done, place, free = {}, [0] * len(orders), [0.0] * len(orders)
    last = len(passes) - 1
    busy = [0.0] * len(orders)
    home = {stage: rank for rank, order in enumerate(orders) for _, stage, _ in order}

    def sent(stage, other):
        return hop_s if home[stage] != home[other] else 0.0

    while any(at < len(order) for at, order in zip(place, orders, strict=True)):
        for rank, order in enumerate(orders):
            while place[rank] < len(order):
                kind, stage, i = order[place[rank]]
                f, b, w = passes[stage]
                if kind == FORWARD:
                    takes, waits = f, [("F", stage - 1, i)] if stage else []
                elif kind == WEIGHT:
                    takes, waits = w, [("B", stage, i)]
                else:
                    takes = b if kind == INPUT else b + w
                    waits = [("F", stage, i)] + ([("B", stage + 1, i)] if stage < last else [])
                if any(each not in done for each in waits):
                    break
                begin = max([free[rank]] + [done[each] + sent(stage, each[1]) for each in waits])
                free[rank] = begin + takes
                busy[rank] += takes
                name = {FORWARD: "F", WEIGHT: "W"}.get(kind, "B")
                done[name, stage, i] = free[rank]
                place[rank] += 1
    return max(free), busy


def pipeline(given, layers, micro_batches):
    """Parts of a step that pipeline ranks make: of the busiest rank, what it waits, and messages."""
    plan = given.plan
    stages = stages_of(given)
    passes = [combined(layers, stage) for stage in stages]
    if plan.schedule in {"gpipe", "1f1b"}:
        orders = alternating(given, micro_batches)
    else:  # tables that are tested on their own
        assert plan.schedule != "dualpipe"
        table = pipeline_order(plan.schedule, plan.pipeline, plan.virtual_stages, micro_batches)
        orders = [
            [
                (int(kind), int(table.stage_of[rank, chunk]), int(i))
                for kind, chunk, i in table.passes[rank]
                if kind >= 0
            ]
            for rank in range(plan.pipeline)
        ]
        assert not any(kind == PAIRED for order in orders for kind, _, _ in order)
    size_bytes = 2 * given.tokens * given.model.hidden / plan.tensor
    apart = plan.tensor * plan.context * plan.data
    hop_s = collective(given, "send-recv", size_bytes, apart, plan.pipeline) - given.launch_s
    ideal, busy = run(orders, passes, 0.0)
    whole, _ = run(orders, passes, hop_s)
    busiest = busy.index(max(busy))
    mine = {stage for _, stage, _ in orders[busiest]}
    held = [sum(stages[stage][i] for stage in mine) for i in range(3)]
    return held, ideal - busy[busiest], whole - ideal


def combined(layers, held):
    """F, B and W of some dense layers, layers with experts and logits."""
    each = [layers[kind].passes for kind in KINDS]
    return tuple(sum(count * one[i] for count, one in zip(held, each, strict=True)) for i in range(3))


def weighted(layers, held, what):
    return sum(count * what(layers[kind]) for count, kind in zip(held, KINDS, strict=True))


# Data ranks and the optimizer


def states(given):
    """Dense parameters and those of experts that the fullest rank holds."""
    plan, work = given.plan, given.work
    dense = work.split_parameters_per_layer / plan.tensor + work.whole_parameters_per_layer
    experts = work.expert_parameters_per_layer / (plan.expert * plan.expert_tensor)
    table = given.model.vocab * given.model.hidden / plan.tensor
    _, held = ranks_of(given)
    most = (-1.0, 0.0)
    for rank, (layers, moe) in enumerate(held):
        tables = table * ((rank == 0) + (rank == plan.pipeline - 1))
        if plan.pipeline == 1 or plan.schedule in FOLDED:
            tables = work.embedding_parameters / plan.tensor if rank == 0 else 0.0
        elif plan.schedule == "dualpipe" and tables:
            tables = 2 * table
        found = (layers * dense + tables, moe * experts)
        if sum(found) > sum(most):
            most = found
    return most


def data(given, micro_batches, compute_s, forward_s):
    """What shows of reducing gradients and gathering parameters [s]."""
    plan = given.plan
    t, ranks, apart = plan.tensor, plan.context * plan.data, plan.expert * plan.expert_tensor
    copies = t * ranks // apart
    shard = plan.shard or ranks
    expert_shard = max(1, t * shard // apart)
    dense, experts = states(given)
    g, r = BYTES[plan.gather_dtype], BYTES[plan.reduce_dtype]
    share = given.share("parameter_gather_exposed" if plan.zero == 3 else "data_exposed")
    share = share if plan.overlap_data else 1.0

    def both(kind, width, among, expert_among, pieces=1, expert_pieces=1):
        found = pieces * collective(given, kind, width * dense / pieces, t, among)
        if experts:
            found += expert_pieces * collective(given, kind, width * experts / expert_pieces, apart, expert_among)
        return found

    if plan.zero == 0:
        return shown(both("all-reduce", r, ranks, copies), share, 2 * forward_s)
    is_layered = plan.zero == 3 or (plan.zero == 2 and given.stack.training.shards_layers)
    pieces = (given.work.layers / plan.pipeline, given.work.moe_layers / plan.pipeline) if is_layered else ()
    reduce = both("reduce-scatter", r, shard, expert_shard, *pieces)
    gather = both("all-gather", g, shard, expert_shard, *pieces)
    if plan.zero == 3:
        found = shown(micro_batches * (2 * gather + reduce), share, compute_s)
    else:
        found = (micro_batches if plan.zero == 2 and plan.pipeline == 1 else 1) * shown(reduce, share, 2 * forward_s)
        found += shown(gather, share, forward_s)
    across = collective(given, "all-reduce", r * dense / shard, t * shard, ranks // shard)
    if experts:
        mine = r * experts / expert_shard
        across += collective(given, "all-reduce", mine, apart * expert_shard, copies // expert_shard)
    return found + shown(across, max(share, given.share("copies_exposed")), 2 * forward_s)


def optimizer(given):
    """Adam on the parameters that ZeRO leaves to a rank [s]."""
    plan = given.plan
    dense, experts = states(given)
    ranks = plan.shard or plan.context * plan.data
    expert_ranks = max(1, plan.tensor * ranks / (plan.expert * plan.expert_tensor))
    if plan.zero == 0:
        ranks = expert_ranks = 1
    moment = BYTES[plan.state_dtype]
    moved = BYTES[plan.reduce_dtype] + 2 * (4 + moment + moment) + BYTES[plan.gather_dtype]
    if not given.stack.training.keeps_master:
        moved = BYTES[plan.reduce_dtype] + 2 * (2 + 2 + 2)
    way = bandwidth(given)
    if plan.offload in {"optimizer", "both"}:
        way = min(way, given.chip.host_link.si)
    return (dense / ranks + experts / expert_ranks) * moved / way


# The step


def step_by_hand(work, plan, part, stack, *, sequence, batch, skew=1.0):
    """Every part of a step and the whole [s], by the names that :class:`simulator.training.Step` gives them."""
    given = Given(work, plan, part, stack, sequence, batch, skew)
    micro_batches = batch // (plan.data * plan.micro_batch)
    layers = layers_of(given)
    whole = (work.layers - work.moe_layers, work.moe_layers, 1.0)
    forward_s = combined(layers, whole)[0] / plan.pipeline
    slowest = max(ranks_of(given)[0], key=lambda held: sum(combined(layers, held)))
    behind_s = micro_batches * weighted(layers, slowest, lambda layer: layer.compute)
    parts = {"bubble_s": 0.0, "pipeline_s": 0.0}
    held = whole
    if plan.pipeline > 1:
        held, parts["bubble_s"], parts["pipeline_s"] = pipeline(given, layers, micro_batches)
    parts["compute_s"] = micro_batches * weighted(layers, held, lambda layer: layer.compute)
    parts["tensor_s"] = micro_batches * weighted(layers, held, lambda layer: sum(layer.tensor))
    parts["context_s"] = micro_batches * weighted(layers, held, lambda layer: sum(layer.context))
    parts["expert_s"] = micro_batches * weighted(layers, held, lambda layer: sum(layer.expert))
    parts["data_s"] = 0.0 if plan.adapters else data(given, micro_batches, behind_s, forward_s)
    parts["optimizer_s"] = 0.0 if plan.adapters else optimizer(given)
    busy = sum(parts.values())
    slow = given.share("jitter") * math.sqrt(2 * math.log(plan.chips))
    parts["overhead_s"] = (0.0 if plan.adapters else given.share("step_overhead")) + slow * busy
    parts["seconds"] = busy + parts["overhead_s"]
    return parts
