"""How many tokens each expert of the busiest rank gets in a kernel table: evenly, or by a power law that is drawn.

The tables' power law: a load for each expert is drawn from a density that falls as x to the minus alpha between one
token and 0.8 of them (0.01 and 2 where there are fewer visits than experts), scaled to the visits of all tokens; the
rank with the largest sum is the one that is timed. The draw here is one of a fixed seed, as is theirs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from simulator.streams import stream
from supernode.validation.answers import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from supernode.validation.cases import Case

BALANCED = "balanced"
POWER_LAW = "power_law_"
STEEPEST = 10.0
_FLAT = 1e-9
_MANY, _FEW = (1.0, 0.8), (0.01, 2.0)


def loads(case: Case) -> NDArray[np.float64]:
    """Tokens of each expert of the busiest rank [1].

    Raises
    ------
    Refused : a column is empty, or the distribution is not known
    """
    found = [case.count(name) for name in ("num_tokens", "topk", "num_experts", "moe_ep_size")]
    if None in found:
        raise Refused("unsupported", "num_tokens, topk, num_experts or moe_ep_size is empty")
    tokens, active, experts, ranks = (each or 0 for each in found)
    if experts % ranks:
        raise Refused("unsupported", f"{ranks} ranks do not divide {experts} experts")
    name = case.text("distribution") or BALANCED
    try:
        alpha = 0.0 if name == BALANCED else float(name.removeprefix(POWER_LAW))
    except ValueError:
        alpha = -1.0
    if not 0 <= alpha <= STEEPEST:
        raise Refused("unsupported", f"distribution {name} is not known")
    return _loads(tokens, active, experts, ranks, alpha)


@functools.lru_cache(maxsize=4096)
def _loads(tokens: int, active: int, experts: int, ranks: int, alpha: float) -> NDArray[np.float64]:
    import numpy as np

    visits = tokens * active
    if alpha == 0:
        even, rest = divmod(visits, experts)
        spread = np.full(experts, float(even))
        spread[:rest] += 1
        return spread[: experts // ranks]
    low, high = (_MANY[0], max(_MANY[1] * tokens, _MANY[0])) if visits > experts else _FEW
    draws = stream(0, "expert loads", str(experts)).random(experts)
    power = 1 - alpha or _FLAT
    weights = ((high**power - low**power) * draws + low**power) ** (1 / power)
    spread = np.minimum(np.round(weights / weights.sum() * visits), float(tokens))
    of_ranks = spread.reshape(ranks, experts // ranks)
    busiest: NDArray[np.float64] = of_ranks[of_ranks.sum(axis=1).argmax()]
    return busiest
