"""First values that copy: a span seen before is predicted without any training, and training does not unlearn
it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model import gpt_neox
from model.gpt_neox_config import GPTNeoXConfig
from model.gpt_neox_copying import copying_init

SPAN, GAP = 24, 40


def config_of(layers: int, width: int, heads: int, rotary_pct: float = 0.25) -> GPTNeoXConfig:
    return GPTNeoXConfig(
        256, width, layers, heads, 4 * width, rotary_pct=rotary_pct, initializer_range=0.64 * width**-0.5
    )


@pytest.fixture(scope="module")
def repeats() -> np.ndarray:
    """Random tokens in which the first `SPAN` return after a gap: all that can be predicted is the
    repetition.
    """
    rng = np.random.default_rng(0)
    span, gap = (rng.integers(0, 256, (16, length)) for length in (SPAN, GAP))
    return np.concatenate([span, gap, span], axis=1).astype(np.int32)


def losses(params: gpt_neox.Params, config: GPTNeoXConfig, tokens: np.ndarray) -> tuple[float, float]:
    """Nats a token of what is new and of what returns, whose first token nobody can foresee."""
    returns = np.zeros_like(tokens)
    returns[:, -SPAN + 1 :] = 1
    loss = jax.jit(gpt_neox.loss, static_argnums=1)
    return float(loss(params, config, jnp.asarray(tokens), 1 - returns)), float(
        loss(params, config, jnp.asarray(tokens), returns)
    )


@pytest.mark.parametrize(("layers", "width", "heads"), [(2, 96, 3), (4, 128, 4), (2, 64, 2)])
def test_what_was_seen_before_is_predicted_without_training(layers, width, heads, repeats) -> None:
    config = config_of(layers, width, heads)
    new, again = losses(copying_init(config, 0), config, repeats)
    assert again < new - 1
    usual_new, usual_again = losses(gpt_neox.init(config, 0), config, repeats)
    assert abs(usual_again - usual_new) < 0.1


def test_the_first_layer_reads_one_token_back(repeats) -> None:
    """Without the token before, nothing is told from chance: two successors of a token are not the same."""
    config = config_of(2, 96, 3)
    params = jax.tree.map(np.array, copying_init(config, 0))
    params["layers"]["query_key_value"]["bias"][0] = 0
    new, again = losses(params, config, repeats)
    assert again > new - 0.5


def test_the_seed_decides_and_nothing_else() -> None:
    config = config_of(2, 64, 2)
    first, same, other = (copying_init(config, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, same)
    assert not np.array_equal(first["embed_in"], other["embed_in"])


@pytest.mark.parametrize(
    "config", [config_of(1, 64, 2), config_of(2, 32, 1), config_of(2, 64, 2, rotary_pct=1.0)]
)
def test_a_model_without_room_for_it_is_refused(config) -> None:
    with pytest.raises(ValueError, match="cannot copy"):
        copying_init(config, 0)
