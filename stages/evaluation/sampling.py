"""How a text is drawn; apart from what draws it, which imports JAX."""

from __future__ import annotations

from typing import NamedTuple


class Sampling(NamedTuple):
    """How tokens are drawn (`model.generation.drawn`), and how many at most."""

    tokens: int
    temperature: float
    top_p: float
    seed: int
