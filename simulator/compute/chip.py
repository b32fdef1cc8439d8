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


def chip_row(chip: Chip, wanted: Dtype, draw: Draw) -> NDArray[np.float64]:
    """A chip under one draw for matrix products in ``wanted`` (bf16 where the chip lacks it): see compute.kernels."""
    import numpy as np

    dtype = chip.dtype(wanted)
    return np.array(
        [
            draw(chip.peak[dtype]),
            draw(chip.matmul.fraction.get(dtype, chip.matmul.fraction["bf16"])),
            draw(chip.peak["bf16"]),
            draw(chip.matmul.attention_fraction),
            draw(chip.matmul.half_size),
            draw(chip.hbm.bandwidth) * draw(chip.hbm.fraction),
            draw(chip.hbm.capacity),
            WIDTH_BYTES[dtype],
        ]
    )
