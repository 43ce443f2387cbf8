"""Plain data as the dataclasses that pages take, without a look at its values: what is missing or hostile in
it arrives as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

_hints = cache(get_type_hints)


def built(kind: Any, plain: Any) -> Any:
    """`plain` as an object of `kind`, with all that it holds.

    Raises:
        TypeError: if a field lacks its value, or a value its field.
    """
    if plain is None:
        return None
    if is_dataclass(kind):
        unknown = plain.keys() - _hints(kind).keys()
        assert not unknown, f"{kind} has no {unknown}"
        return kind(**{name: built(_hints(kind)[name], value) for name, value in plain.items()})
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Sequence:
        return [built(inside[0], one) for one in plain]
    if origin is Mapping:
        return {name: built(inside[1], one) for name, one in plain.items()}
    if NoneType in inside:
        return built(next(one for one in inside if one is not NoneType), plain)
    return plain
