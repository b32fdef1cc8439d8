"""Operator times on one chip; numbers only, all sizes those of one chip.

A chip is an array ``chip`` of length 19. For products in their dtype: PEAK, RATE (what large products reach of it over
a long run), ENGINES that compute at once on blocks of TILE_M x TILE_N results in steps of TILE_K, FILL (depth lost to
starting and ending each block), WIDTH (bytes of an element) and STREAM (bandwidth at which operands come). For
attention in its own: FORWARD_RATE and BACKWARD_RATE of heads without end, QUERIES (of a block), KEYS (lost to starting
and ending each block), SOFTMAX (what the softmax of one score costs, as so many elements of a head) and LEAST_HEAD (the
size below which a head takes no less). For the rest: HBM (achieved bandwidth), DELAY (until it flows) and CAPACITY of
memory, and HOST (bandwidth to the memory of the host, one direction; 0 where none is known).
"""

from __future__ import annotations

import math

from simulator.kernels import borrowing

PEAK, RATE, ENGINES, TILE_M, TILE_N, TILE_K, FILL, WIDTH, STREAM = range(9)
FORWARD_RATE, BACKWARD_RATE, QUERIES, KEYS, SOFTMAX, LEAST_HEAD = range(9, 15)
HBM, DELAY, CAPACITY, HOST = range(15, 19)
CHIP_COLUMNS = 19

ACTIVATION_BYTES = 2.0
BACKWARD_PRODUCTS = 2.5
"""Products of flash attention backward over those forward: five, with the scores computed anew, against two."""


@borrowing
def tiles_seconds(tiles, k, chip):
    r"""Computing ``tiles`` blocks of results over a depth ``k`` [s].

    .. math:: T = (w K + \max(w, 1) F) \frac{2 M N E}{R}

    with w waves of E engines, the depth K in whole steps, and a fill F for each wave: all tiles of a wave run at once,
    and the last wave takes as long as a full one. Fewer tiles than engines share them by splitting the depth, which
    makes w a fraction (Osama et al., PPoPP 2023, section 3, on tiles, waves and splits).
    """
    engines = chip[ENGINES]
    waves = math.ceil(tiles / engines) if tiles >= engines else 1.0 / math.floor(engines / max(tiles, 1.0))
    depth = math.ceil(k / chip[TILE_K]) * chip[TILE_K] * waves + max(waves, 1.0) * chip[FILL]
    return depth * 2.0 * chip[TILE_M] * chip[TILE_N] * engines / chip[RATE]


@borrowing
def matmul_seconds(m, n, k, chip):
    """Product of (m, k) and (k, n): the longer of computing and moving it [s], without its launch.

    Inputs are read in the matmul dtype, the output written in two bytes.
    """
    tiles = math.ceil(m / chip[TILE_M]) * math.ceil(n / chip[TILE_N])
    moved = chip[WIDTH] * (m * k + k * n) + ACTIVATION_BYTES * m * n
    return max(tiles_seconds(tiles, k, chip), moved / chip[STREAM])


@borrowing
def grouped_seconds(groups, m_each, n, k, chip):
    """``groups`` products of (m_each, k) and weights of their own (k, n) in one kernel [s], without its launch.

    Waves are shared by all groups, so that only the last one of all is not full; the weights of every group are read.
    """
    tiles = groups * math.ceil(m_each / chip[TILE_M]) * math.ceil(n / chip[TILE_N])
    return grouped_tiles_seconds(tiles, groups, groups * m_each, n, k, chip)


@borrowing
def grouped_tiles_seconds(tiles, groups, rows, n, k, chip):
    """The same for ``groups`` of any sizes, ``rows`` in all, that come to ``tiles`` blocks of results [s]."""
    moved = chip[WIDTH] * (rows * k + groups * k * n) + ACTIVATION_BYTES * rows * n
    return max(tiles_seconds(tiles, k, chip), moved / chip[HBM])


@borrowing
def attention_forward_seconds(sequences, queries, context, heads, score_size, value_size, kv_width, chip):
    """Fused attention of ``queries`` in each of ``sequences`` over ``context`` keys in the mean, forward [s].

    ``heads`` of ``score_size`` (query and key) and ``value_size``; ``kv_width`` values of key and value are stored for
    each token. Blocks of QUERIES queries of one head go over their keys in waves of all engines; per score the two
    products cost 2 (score_size + value_size) FLOPs and the softmax as much as SOFTMAX more elements of the head
    (Shah et al., arXiv 2407.08608, section 3: exponentials are the bottleneck of small heads). No launch.
    """
    return attention_blocks(
        1.0, chip[FORWARD_RATE], sequences, queries, context, heads, score_size, value_size, kv_width, chip
    )


@borrowing
def attention_backward_seconds(sequences, queries, context, heads, score_size, value_size, kv_width, chip):
    """The same backward [s]: 2.5 times products (Dao, arXiv 2307.08691, section 4.1) and bytes, at its own rate.

    Exponentials are taken once, as forward (the same, algorithm 2).
    """
    return attention_blocks(
        BACKWARD_PRODUCTS,
        chip[BACKWARD_RATE],
        sequences,
        queries,
        context,
        heads,
        score_size,
        value_size,
        kv_width,
        chip,
    )


@borrowing
def attention_blocks(products, rate, sequences, queries, context, heads, score_size, value_size, kv_width, chip):
    """The longer of computing all blocks at ``rate``, with so many times the products of a forward pass, and moving it.

    Seconds; what is moved grows as the products do.
    """
    blocks = sequences * heads * math.ceil(queries / chip[QUERIES])
    rounds = math.ceil(blocks / chip[ENGINES])
    width = max(score_size, chip[LEAST_HEAD]) + max(value_size, chip[LEAST_HEAD])
    flops = 2.0 * chip[QUERIES] * (context + chip[KEYS]) * (products * width + chip[SOFTMAX])
    moved = ACTIVATION_BYTES * sequences * queries * (heads * (score_size + value_size) + kv_width)
    return max(rounds * flops * chip[ENGINES] / rate, products * moved / chip[HBM])


@borrowing
def decode_attention_seconds(sequences, context, heads, score_size, value_size, kv_bytes, chip):
    """Attention of one new token of each of ``sequences`` over ``context`` cached ones [s], without its launch.

    The longer of reading the cache, ``kv_bytes`` a token, and of computing the scores of all heads.
    """
    flops = 2.0 * sequences * context * heads * (score_size + value_size)
    return max(sequences * context * kv_bytes / chip[HBM], flops / chip[FORWARD_RATE])


@borrowing
def attention_seconds(tokens, context, score_width, value_width, chip):
    """The two products of attention without its softmax, over widths of all heads [s]: what unfused attention runs."""
    return 2.0 * tokens * context * (score_width + value_width) / chip[FORWARD_RATE]


@borrowing
def traffic_seconds(moved_bytes, chip):
    """A memory-bound operator [s]: its reads and writes at the achieved bandwidth, after memory has answered once."""
    return chip[DELAY] + moved_bytes / chip[HBM]


@borrowing
def cross_entropy_seconds(tokens, vocab, logit_bytes, chip):
    """Loss over the vocabulary and its gradient [s]: the logits read once and their gradients written in place."""
    return traffic_seconds(2.0 * logit_bytes * tokens * vocab, chip)


@borrowing
def quantise_seconds(values, chip):
    """Casting activations to a narrower dtype of products [s]: read in two bytes, written by rows and by columns."""
    if chip[WIDTH] >= ACTIVATION_BYTES:
        return 0.0
    return traffic_seconds((ACTIVATION_BYTES + 2 * chip[WIDTH]) * values, chip)


@borrowing
def causal_context(sequence, window):
    """Mean number of keys that a causal query sees in a sequence.

    ``window`` is the most of the last keys that it sees (0: all); negative where the sequence is cut into chunks of
    that many keys, which do not see each other.
    """
    if window < 0 and -window < sequence:
        whole = sequence // -window
        rest = sequence + whole * window
        return (whole * window * window + rest * rest) / (2 * sequence)
    if window <= 0 or window >= sequence:
        return sequence / 2
    return window * (1 - window / (2 * sequence))


@borrowing
def decode_context(context, window):
    """Mean number of keys that a token sees which is decoded after ``context`` others; see :func:`causal_context`."""
    if window < 0 and -window < context:
        return -window / 2
    if window <= 0:
        return context
    return min(context, window)
