"""What a traced function computes, counted from its jaxpr."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def matrix_flops(jaxpr: Any) -> float:
    """Operations of all matrix products of a traced function: a loop counts as often as it runs, of two
    branches the dearer one.

    Raises:
        ValueError: a loop has matrix products and a number of rounds that only running it would tell.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, [matrix_flops(part) for part in _inner(equation.params)]
        if name == "while" and any(inner):
            raise ValueError(
                "matrix products in a `while` loop, whose rounds are not known before it runs: use `scan` or"
                " `fori_loop`"
            )
        total += max(inner) if name == "cond" else equation.params.get("length", 1) * sum(inner)
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2.0 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)
    return total


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs of the functions that an equation calls."""
    for value in params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if inner := getattr(one, "jaxpr", one if hasattr(one, "eqns") else None):
                yield inner
