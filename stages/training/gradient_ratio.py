"""How strongly the retriever's loss pulls at the lower decoder beside the language model's: 0.05 to 0.3 is
where alpha_ret belongs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array

from model.batch_parts import sum_over_parts
from model.decoder import State
from model.language_model import Batch, Schedule
from model.parameters import Parameters
from model.train_step import TrainState

EVERY = 200  # steps: it costs about one more step and, once, a compilation of its own
LOWER_DECODER = "lower."


@jax.jit
def gradient_ratio(state: TrainState, batch: Batch, schedule: Schedule, key: Array) -> Array:
    """||g_ret|| / ||g_lm||: norms of the gradients of the weighted ranking loss and of the LM loss by the
    lower decoder's parameters.
    """
    lower = {path: value for path, value in state.parameters.items() if path.startswith(LOWER_DECODER)}

    def gradients(part: Batch, key: Array, _: State) -> tuple[dict[str, Parameters], None]:
        def loss(parameters: Parameters, name: str) -> Array:
            model = state.architecture.model({**state.parameters, **parameters})
            return model.train_losses(part, schedule, key)[0][name]

        return {name: jax.grad(loss)(lower, name) for name in ("ranking", "lm")}, None

    sums, _ = sum_over_parts(gradients, state.model().counts, state.layout.parts, batch, key, None)
    return optax.tree.norm(sums["ranking"]) / jnp.maximum(
        optax.tree.norm(sums["lm"]), jnp.finfo(jnp.float32).tiny
    )
