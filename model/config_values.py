"""Values of a `config.json` that others wrote: what is no number of the kind that a model computes with is
refused by its name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

MOST = 2**31 - 1
REMEDY = "take the config.json that came with the weights"


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` to 2**31 - 1.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise ValueError(
            f"{name} is {_shown(value)}, must be a whole number of at least {least} and at most {MOST};"
            f" {REMEDY}"
        )
    return value


def number(name: str, value: Any) -> float:
    """A finite number above 0.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= sys.float_info.max:
        raise ValueError(f"config.json sets {name} = {_shown(value)}, which is no positive number; {REMEDY}")
    return float(value)


def switch(name: str, value: Any) -> bool:
    """True or false; null counts as false.

    Raises:
        ValueError: for anything else.
    """
    if value is not None and not isinstance(value, bool):
        raise ValueError(
            f"config.json sets {name} = {_shown(value)}, which is neither true nor false; {REMEDY}"
        )
    return bool(value)


def architectures(values: Any, default: str) -> list[str]:
    """The architectures that a configuration names, `default` if it names none.

    Raises:
        ValueError: if it is no mapping, or names something else than a list of names.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"config.json holds a {type(values).__name__}, not names and values; {REMEDY}")
    named = values.get("architectures") or [default]
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ValueError(
            f"config.json names architectures {_shown(named)}, which is no list of names; {REMEDY}"
        )
    return named


def _shown(value: Any) -> str:
    """A value for a message; files can hold very long ones."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
