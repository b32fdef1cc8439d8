"""Units as people write them, and the SI base units that everything inside is in.

Bits and bytes are never confused (``Gb/s`` is an eighth of ``GB/s``); ``GB`` is 1e9 bytes and ``GiB`` is 2**30.
"""

from __future__ import annotations

import math
import re

from simulator.errors import InputError

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_YEAR_S = 365 * _DAY_S

UNITS: dict[str, dict[str, float]] = {
    "bytes": {f"{p}B": f for p, f in (_DECIMAL | _BINARY).items()},
    "bytes_per_s": {f"{p}B/s": f for p, f in (_DECIMAL | _BINARY).items()}
    | {f"{p}b/s": f / 8 for p, f in _DECIMAL.items()},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": _HOUR_S, "days": _DAY_S, "years": _YEAR_S},
    "flops": {f"{p}FLOP/s": f for p, f in _DECIMAL.items()},
    "w": {f"{p}W": f for p, f in _DECIMAL.items()},
    "usd": {"USD": 1.0, "kUSD": 1e3, "MUSD": 1e6},
    "usd_per_s": {"USD/h": 1.0 / _HOUR_S, "USD/year": 1.0 / _YEAR_S},
    "usd_per_j": {"USD/kWh": 1.0 / 3.6e6},
    "per_s": {"1/s": 1.0, "1/h": 1.0 / _HOUR_S, "1/day": 1.0 / _DAY_S, "FIT": 1e-9 / _HOUR_S},
    "kg_per_j": {"g/kWh": 1e-3 / 3.6e6, "kg/kWh": 1.0 / 3.6e6},
    "date": {"year": 1.0},
    "1": {"1": 1.0, "%": 0.01},
}
"""Dimension -> unit as written -> factor to the SI base unit. The key of a dimension is also its suffix in names."""

DISPLAY = {
    "bytes": "B",
    "bytes_per_s": "B/s",
    "s": "s",
    "flops": "FLOP/s",
    "w": "W",
    "usd": "USD",
    "usd_per_s": "USD/s",
    "usd_per_j": "USD/J",
    "per_s": "1/s",
    "kg_per_j": "kg/J",
    "date": "year",
    "1": "1",
}
"""Dimension -> the SI unit as printed."""

_QUANTITY = re.compile(r"\s*([0-9.eE+-]+)\s*([A-Za-z%/0-9]*)\s*\Z")
_LONGEST = 64


def factor(unit: str, dimension: str, *, where: str = "") -> float:
    """Return the factor from ``unit`` to the SI base unit of ``dimension``.

    Raises
    ------
    InputError : the unit does not measure this dimension
    """
    table = UNITS[dimension]
    if unit not in table:
        raise InputError(
            f"unit {unit[:_LONGEST]!r} does not measure {dimension}",
            where=where,
            remedy=f"use one of {', '.join(table)}",
        )
    return table[unit]


def parse(text: str, dimension: str, *, where: str = "") -> float:
    """Read ``"900 GB/s"`` as a number in SI base units.

    Raises
    ------
    InputError : not a finite, non-negative number with a unit of this dimension
    """
    match = _QUANTITY.match(text) if len(text) <= _LONGEST else None
    example = next(unit for unit in UNITS[dimension] if UNITS[dimension][unit] >= 1) if dimension != "1" else "1"
    remedy = f'write a number and a unit, e.g. "5 {example}"'
    if match is None:
        raise InputError(f"cannot read {text[:_LONGEST]!r} as a quantity of {dimension}", where=where, remedy=remedy)
    try:
        number = float(match.group(1))
    except ValueError:
        raise InputError(f"cannot read {match.group(1)!r} as a number", where=where, remedy=remedy) from None
    if not math.isfinite(number) or number < 0:
        raise InputError(f"{text!r} is not a finite number of at least 0", where=where, remedy=remedy)
    return number * factor(match.group(2) or "1", dimension, where=where)


_SCALES = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
)


def humanise(value: float, unit: str, digits: int = 4) -> str:
    """Print a number in SI base units with the prefix that reads best: ``humanise(9e11, "B/s")`` is ``900 GB/s``.

    Dimensionless numbers get thousands separators, seconds above two minutes become min, h or days.
    """
    if not math.isfinite(value):
        return "-"
    if unit == "s" and abs(value) >= 120:
        for seconds, name in ((_DAY_S, "days"), (_HOUR_S, "h"), (60.0, "min")):
            if abs(value) >= 2 * seconds:
                return f"{value / seconds:.{digits}g} {name}"
    if unit in {"1", "", "USD", "chips", "tokens", "tokens/s", "tokens/s/chip"} or "USD" in unit:
        magnitude = f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
        return magnitude if unit in {"1", ""} else f"{magnitude} {unit}"
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"
