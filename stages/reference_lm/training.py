"""Trains the reference LM from scratch: AdamW, cosine schedule, clipped gradients, on windows that
are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import optax

from model.gpt_neox import Params, loss
from model.gpt_neox_config import GPTNeoXConfig
from model.gpt_neox_copying import copying_init
from stages.training.checkpoints import Restored

After = Callable[[Restored], None]
WARM_UP = 0.05
FINAL_RATE = 0.05
WEIGHT_DECAY = 0.1
REPORT_EVERY = 20


def fresh(config: GPTNeoXConfig, steps: int, learning_rate: float, seed: int) -> Restored:
    """Training before its first update; `seed` decides the first values (see `copying_init`)."""
    params = copying_init(config, seed)
    return Restored(0, (params, _optimizer(steps, learning_rate).init(params)), [])


def train(
    config: GPTNeoXConfig,
    begin: Restored,
    windows_nL: np.ndarray,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    after: After = lambda now: None,
) -> Restored:
    """Minimises the mean next-token loss over all tokens of the windows.

    Args:
        config: the model.
        begin: what training goes on from, `fresh` or a checkpoint; it is used up.
        windows_nL: int32 [n, L] tokens.
        steps: updates; the rate rises linearly for 5 % of them, then falls as a cosine to 5 % of its peak.
        batch: windows an update, at most n.
        learning_rate: peak rate.
        seed: decides the order of the windows, which is shuffled anew in each epoch.
        after: called after each update with training as it stands.

    Returns:
        Training after the last update: the float32 parameters and the state of the optimizer, and a row
        (step, loss in nats per token) for every 20th update and the last.

    Raises:
        ValueError: if a batch needs more windows than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    if not 0 < batch <= len(windows_nL):
        raise ValueError(
            f"a batch of {batch} windows cannot be drawn from {len(windows_nL)}; lower the batch or give more"
            " windows"
        )
    update, now = _compiled_update(config, _optimizer(steps, learning_rate)), begin
    for step, rows in islice(
        enumerate(_batches(len(windows_nL), batch, steps, seed), start=1), begin.step, None
    ):
        params, state, nats = update(*now.state, windows_nL[rows])
        reported = step % REPORT_EVERY == 0 or step == steps
        if reported and not np.isfinite(nats):
            raise FloatingPointError(
                f"loss is {float(nats)} at update {step} of {steps}; lower the learning rate {learning_rate}"
            )
        history = [*now.history, {"step": step, "loss": float(nats)}] if reported else now.history
        now = Restored(step, (params, state), history)
        after(now)
    return now


def _optimizer(steps: int, learning_rate: float) -> optax.GradientTransformation:
    warm_up = max(1, round(WARM_UP * steps))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, warm_up, max(steps, warm_up + 1), FINAL_RATE * learning_rate
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b1=0.9, b2=0.95, weight_decay=WEIGHT_DECAY, mask=_decayed),
    )


def _decayed(params: Params) -> Params:
    """Weight matrices decay; biases, norms and embeddings do not."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _compiled_update(config: GPTNeoXConfig, optimizer: optax.GradientTransformation) -> Callable:
    @partial(jax.jit, donate_argnums=(0, 1))
    def update(
        params: Params, state: optax.OptState, tokens_BL: jax.Array
    ) -> tuple[Params, optax.OptState, jax.Array]:
        nats, gradients = jax.value_and_grad(loss)(params, config, tokens_BL, jnp.ones_like(tokens_BL))
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, nats

    return update


def _batches(windows: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch; what is left over at the end of an epoch begins the next one's
    first batch.
    """
    rng = np.random.default_rng(seed)
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        if len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(windows)])
        yield waiting[:batch]
        waiting = waiting[batch:]
