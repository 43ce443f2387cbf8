"""Numbers as text. What was not measured (None) and what is not finite reads "n/a"."""

from __future__ import annotations

import math

NOT_AVAILABLE = "n/a"
Number = float | int | None


def finite(value: Number) -> bool:
    """Whether `value` can be shown; numbers beyond 1e100 count as diverged."""
    return value is not None and math.isfinite(value) and abs(value) < 1e100


def number(value: Number, digits: int = 2, *, signed: bool = False) -> str:
    """`value` with `digits` decimals and a true minus sign; from 1e7 on in powers of ten."""
    if value is None or not finite(value):
        return NOT_AVAILABLE
    sign = "+" if signed else ""
    kind = ".3g" if abs(value) >= 1e7 else f",.{digits}f"
    written = format(round(float(value), digits) + 0.0, sign + kind)  # + 0.0 turns a rounded -0.0 into 0.0
    return written.replace("-", "\N{MINUS SIGN}")


def count(value: Number) -> str:
    """A whole number with thousands separators."""
    return f"{round(value):,}" if value is not None and finite(value) else NOT_AVAILABLE


def size(value: Number) -> str:
    """A count of parameters, tokens or operations in three digits: 940, 1.23 M."""
    if value is None or not finite(value):
        return NOT_AVAILABLE
    for unit, suffix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {suffix}" if value < 999.5 * unit else f"{value / unit:,.0f} {suffix}"
    return count(value)


def percent(value: Number) -> str:
    """A share between 0 and 1 as a percentage with one decimal."""
    return f"{100 * value:.1f} %" if value is not None and finite(value) else NOT_AVAILABLE


def percents(low: Number, high: Number) -> str:
    """Both ends as percentages with one decimal, in brackets, or "n/a" if either is missing."""
    first, last = (100 * end if end is not None and finite(end) else None for end in (low, high))
    return interval(first, last, 1)


def interval(low: Number, high: Number, digits: int = 2, *, signed: bool = False) -> str:
    """Both ends in brackets, or "n/a" if either is missing."""
    if not (finite(low) and finite(high)):
        return NOT_AVAILABLE
    return f"[{number(low, digits, signed=signed)}, {number(high, digits, signed=signed)}]"
