"""The columns of an order table and the kinds of passes; numbers only.

An order table (ranks, passes, 3) holds in each row one pass of one pipeline rank, in the order in which the rank runs
them: its KIND, the CHUNK of the rank (which of the model pieces that it holds) and the micro-batch (MICRO). Ranks with
fewer passes end in rows of kind NOTHING.

======== ==== ===================================================================================================
kind     code meaning
======== ==== ===================================================================================================
NOTHING  -1   no pass
FORWARD  0    F
INPUT    1    B, the gradient of the input
WEIGHT   2    W, the gradient of the weights
BACKWARD 3    B and W in one
PAIRED   4    F that runs together with the pass after it, which is BACKWARD
======== ==== ===================================================================================================
"""

from __future__ import annotations

NOTHING = -1
FORWARD, INPUT, WEIGHT, BACKWARD, PAIRED = range(5)
KIND, CHUNK, MICRO = range(3)
