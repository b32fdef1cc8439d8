"""Operator times on one chip; numbers only.

A chip is an array ``chip`` of length 8: PEAK and FRACTION of the matmul dtype, VECTOR_PEAK (bf16 peak, in which
attention runs) and ATTENTION (its achieved fraction), HALF (the size at which a dimension of a product reaches half
of its rate), HBM (achieved bandwidth), CAPACITY (of memory) and WIDTH (bytes of a matmul element).
"""

from __future__ import annotations

from numba.extending import register_jitable

PEAK, FRACTION, VECTOR_PEAK, ATTENTION, HALF, HBM, CAPACITY, WIDTH = range(8)


@register_jitable
def matmul_seconds(m, n, k, chip):
    """Product of (m, k) and (k, n): the longer of computing and moving it [s].

    The rate is PEAK x FRACTION, scaled by d / (d + HALF) for each dimension d: the saturating form of tile and wave
    quantisation. Inputs are read in the matmul dtype, the output written in two bytes.
    """
    half = chip[HALF]
    rate = chip[PEAK] * chip[FRACTION] * (m / (m + half)) * (n / (n + half)) * (k / (k + half))
    moved = chip[WIDTH] * (m * k + k * n) + 2 * m * n
    return max(2 * m * n * k / rate, moved / chip[HBM])


@register_jitable
def attention_seconds(tokens, context, score_width, value_width, chip):
    """Fused attention of ``tokens`` queries over ``context`` keys each, forward [s].

    2 x tokens x context x (heads x key size + heads x value size) FLOPs at the rate of bf16 attention (Dao, arXiv
    2307.08691, section 3); keys and values stay on the chip.
    """
    return 2 * tokens * context * (score_width + value_width) / (chip[VECTOR_PEAK] * chip[ATTENTION])


@register_jitable
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


@register_jitable
def decode_context(context, window):
    """Mean number of keys that a token sees which is decoded after ``context`` others; see :func:`causal_context`."""
    if window < 0 and -window < context:
        return -window / 2
    if window <= 0:
        return context
    return min(context, window)
