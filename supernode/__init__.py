"""Supernode tells how a machine would do on some work, and how sure that is.

>>> import supernode as sn
>>> result = sn.compare(["ironwood-9216", "scalex640"], samples=8)  # doctest: +SKIP
>>> result.frame()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supernode.comparing import compare
    from supernode.comparison import Comparison

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: ``supernode --help`` needs none of them."""
    if name == "compare":
        from supernode.comparing import compare

        return compare
    if name == "Comparison":
        from supernode.comparison import Comparison

        return Comparison
    raise AttributeError(f"module 'supernode' has no attribute {name!r}")
