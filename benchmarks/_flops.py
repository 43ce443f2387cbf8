"""What a traced function computes, counted from its jaxpr."""

from __future__ import annotations

import math
from typing import Any


def matrix_flops(jaxpr: Any) -> float:
    """Operations of all matrix products of a traced function; the body of a loop counts as often as it runs."""
    total = 0.0
    for equation in jaxpr.eqns:
        repeats = equation.params.get("length", 1)
        for value in equation.params.values():
            if inner := getattr(value, "jaxpr", value if hasattr(value, "eqns") else None):
                total += repeats * matrix_flops(inner)
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2.0 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)
    return total
