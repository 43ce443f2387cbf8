"""How REALM's weights are moved: Adam, the rate rising at first and then falling linearly to 0, as BERT is
trained.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import optax
from jax import Array

from model.parameters import Parameters

WARM_UP = 0.1  # of the updates
CLIP_NORM = 1.0  # BERT's
EMBEDDER, READER = "embedder.", "reader."


def make_optimizer(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam for so many updates."""
    warm_up = max(1, round(WARM_UP * steps))

    rise = optax.linear_schedule(0.0, learning_rate, warm_up)
    fall = optax.linear_schedule(learning_rate, 0.0, max(1, steps - warm_up))
    return optax.chain(
        optax.clip_by_global_norm(CLIP_NORM), optax.adam(optax.join_schedules([rise, fall], [warm_up]))
    )


def part_of(parameters: Mapping[str, Array], prefix: str) -> Parameters:
    """The parameters of one part by their paths in it."""
    return {path.removeprefix(prefix): value for path, value in parameters.items() if path.startswith(prefix)}


def copied(parameters: Parameters) -> Parameters:
    """The same values in arrays of their own, which stay when an update uses up those that it is given."""
    return {path: jnp.array(value) for path, value in parameters.items()}
