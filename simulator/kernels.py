"""How functions that kernels call are compiled; the lowest of all kernels.

numba counts who holds an array, by an atomic addition at every call that takes one along: more work than most closed
forms are. A function that reads and writes the arrays of its caller, who holds them until it returns, needs no count.
:func:`borrowing` leaves it out. Such a function may look at an array piece by piece, but neither makes one nor hands
one back. numba refuses to compile one that makes an array or hands back a piece. It does compile one that hands back
an array as it came, which is then given up once too often, and the process dies: a test of the house looks for those.
Called from Python it is the plain function.
"""

from __future__ import annotations

from numba.extending import register_jitable

borrowing = register_jitable(_nrt=False)
