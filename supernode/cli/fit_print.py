"""What the commands of ``supernode fit`` print of constants, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.units import DISPLAY, humanise
from supernode.cli.common import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from supernode.fitting.posterior import Constant

MATURITY = "plausible"


def constant_object(each: Constant) -> dict[str, Any]:
    """A constant for ``--json``: the catalogue's, the fitted one or null, and what is left of the prior's width."""
    figure = each.figure
    unit, sources = DISPLAY[figure.dimension], (figure.source,) if figure.source else ()
    prior = quantity(figure.si, unit, low=figure.si_low, high=figure.si_high, maturity=MATURITY, sources=sources)
    value = quantity(each.value, unit, low=each.low, high=each.high, maturity=MATURITY)
    return {"prior": prior, "fitted": value if each.is_fitted else None, "width": each.width}


def constants_table(constants: Sequence[Constant], under: str = "") -> Table:
    """All constants with their ranges, or ``kept`` where the rows say little; names without ``under`` before them."""
    from rich.table import Table

    table = Table(title="Constants", title_justify="left")
    for name in ("constant", "catalogue", "its range", "fitted", "90 % range"):
        table.add_column(name, justify="left" if name == "constant" else "right", no_wrap=True)
    for each in constants:
        table.add_row(each.key.removeprefix(under), *_cells(each))
    return table


def _cells(each: Constant) -> tuple[str, str, str, str]:
    unit = DISPLAY[each.figure.dimension]

    def shown(value: float) -> str:
        return humanise(value, unit, 3)

    prior = (shown(each.figure.si), f"{shown(each.figure.si_low)} to {shown(each.figure.si_high)}")
    if not each.is_fitted:
        return (*prior, "kept", "")
    return (*prior, shown(each.value), f"{shown(each.low)} to {shown(each.high)}")
