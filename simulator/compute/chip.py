"""A chip as the array that kernels take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.figures import Draw
    from simulator.machine import Chip, Dtype

WIDTH_BYTES: dict[str, float] = {
    "fp64": 8.0,
    "fp32": 4.0,
    "tf32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5,
}
"""Bytes of one element."""
HEAD = 128
"""Size of the heads for which a chip states the rate of its backward pass."""


def chip_row(
    chip: Chip, wanted: Dtype, draw: Draw, *, attention: Dtype = "bf16", is_sustained: bool = True
) -> NDArray[np.float64]:
    """A chip under one draw as :mod:`simulator.compute.kernels` take it.

    Parameters
    ----------
    chip : the chip
    wanted, attention : dtype of matrix products and of the attention core; bf16 where the chip lacks it
    draw : values of uncertain figures
    is_sustained : as over a long run, when power and clocks have given way; else as a kernel that is timed alone
    """
    import numpy as np

    from simulator.compute.kernels import BACKWARD_PRODUCTS

    dtype, core = chip.dtype(wanted), chip.attention.dtype(attention)
    matmul, flash = chip.matmul, chip.attention
    narrower = WIDTH_BYTES["bf16"] / WIDTH_BYTES[dtype]
    dearer = draw(chip.peak[core]) / draw(chip.peak["bf16"])
    forward = draw(chip.peak[core]) * draw(flash.fraction[core])
    head, softmax = 2 * HEAD, draw(flash.softmax) * dearer
    once = (head + softmax / BACKWARD_PRODUCTS) / (head + softmax)  # the backward pass takes the exponentials once
    hbm = draw(chip.hbm.bandwidth) * draw(chip.hbm.fraction)
    rate = draw(chip.peak[dtype]) * draw(matmul.fraction[dtype])
    return np.array(
        [
            draw(chip.peak[dtype]),
            rate * draw(matmul.sustained[dtype]) if is_sustained else rate,
            draw(matmul.engines),
            matmul.tile.m,
            matmul.tile.n,
            matmul.tile.k * narrower,
            draw(matmul.fill) * narrower,
            WIDTH_BYTES[dtype],
            hbm * draw(matmul.streaming),
            forward,
            forward * draw(flash.backward) * once,
            flash.tile,
            draw(flash.fill) * dearer,
            softmax,
            flash.least_head,
            hbm,
            draw(chip.hbm.start),
            draw(chip.hbm.capacity),
            draw(chip.host_link) if chip.host_link else 0.0,
        ]
    )
