"""Trains the reference LM from scratch: AdamW, cosine schedule, clipped gradients, on windows that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from model.gpt_neox import Params, loss
from model.gpt_neox_config import GPTNeoXConfig
from model.gpt_neox_copying import copying_init

Progress = Callable[[int, int, float], None]
WARM_UP = 0.05
FINAL_RATE = 0.05
WEIGHT_DECAY = 0.1
REPORT_EVERY = 20


def train(
    config: GPTNeoXConfig, windows_nL: np.ndarray, steps: int, batch: int, learning_rate: float, seed: int, progress: Progress | None = None
) -> Params:
    """Minimises the mean next-token loss over all tokens of the windows.

    Args:
        config: the model.
        windows_nL: int32 [n, L] tokens.
        steps: updates; the rate rises linearly for 5 % of them, then falls as a cosine to 5 % of its peak.
        batch: windows an update, at most n.
        learning_rate: peak rate.
        seed: decides the first values (see `copying_init`) and the order of the windows, which is shuffled anew in each epoch.
        progress: called with (updates done, updates in all, loss in nats per token) after every 20th update and the last.

    Returns:
        The trained float32 parameters.

    Raises:
        ValueError: if a batch needs more windows than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    if not 0 < batch <= len(windows_nL):
        raise ValueError(f"a batch of {batch} windows cannot be drawn from {len(windows_nL)}; lower the batch or give more windows")
    params = copying_init(config, seed)
    optimizer = _optimizer(steps, learning_rate)
    state = optimizer.init(params)
    update = _compiled_update(config, optimizer)
    for step, rows in enumerate(_batches(len(windows_nL), batch, steps, seed), start=1):
        params, state, nats = update(params, state, windows_nL[rows])
        if step % REPORT_EVERY == 0 or step == steps:
            if not np.isfinite(nats):
                raise FloatingPointError(f"loss is {float(nats)} at update {step} of {steps}; lower the learning rate {learning_rate}")
            if progress:
                progress(step, steps, float(nats))
    return params


def _optimizer(steps: int, learning_rate: float) -> optax.GradientTransformation:
    warm_up = max(1, round(WARM_UP * steps))
    schedule = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warm_up, max(steps, warm_up + 1), FINAL_RATE * learning_rate)
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b1=0.9, b2=0.95, weight_decay=WEIGHT_DECAY, mask=_decayed),
    )


def _decayed(params: Params) -> Params:
    """Weight matrices decay; biases, norms and embeddings do not."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _compiled_update(config: GPTNeoXConfig, optimizer: optax.GradientTransformation) -> Callable:
    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Params, state: optax.OptState, tokens_BL: jax.Array) -> tuple[Params, optax.OptState, jax.Array]:
        nats, gradients = jax.value_and_grad(loss)(params, config, tokens_BL, jnp.ones_like(tokens_BL))
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, nats

    return update


def _batches(windows: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch; what is left over at the end of an epoch begins the next one's first batch."""
    rng = np.random.default_rng(seed)
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        if len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(windows)])
        yield waiting[:batch]
        waiting = waiting[batch:]
