"""Supernode: how would this machine do on this work, and how sure are we?

>>> import supernode as sn
>>> result = sn.compare(["ironwood-9216", "scalex640"], samples=8)  # doctest: +SKIP
>>> result.frame()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supernode.compare import compare
    from supernode.comparison import Comparison

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import the public names when they are first used: ``supernode --help`` needs none of them."""
    if name == "compare":
        # the module of the same name would hide the function once it is imported
        from supernode.compare import compare  # noqa: PLC0415 - heavy

        globals()["compare"] = compare
        return compare
    if name == "Comparison":
        from supernode.comparison import Comparison  # noqa: PLC0415 - with its kin

        return Comparison
    raise AttributeError(f"module 'supernode' has no attribute {name!r}")
