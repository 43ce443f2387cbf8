"""GPT-NeoX against an implementation in plain NumPy loops, and its shared-prefix path against the whole
forward pass.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model import gpt_neox
from model.gpt_neox_config import GPTNeoXConfig

TOY = GPTNeoXConfig(
    vocab_size=11,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    rotary_pct=0.5,
    rotary_emb_base=100.0,
)
LOGITS = jax.jit(gpt_neox.logits, static_argnums=1)
LOSS = jax.jit(gpt_neox.loss, static_argnums=1)
SMALL = GPTNeoXConfig(
    vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
)


def randomised(config: GPTNeoXConfig, seed: int = 0) -> gpt_neox.Params:
    """Parameters in which no bias is zero and no norm is one, large enough for attention to matter."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.3 * rng.normal(size=leaf.shape).astype(np.float32),
        gpt_neox.init(config, seed),
    )


def numpy_logits(params: gpt_neox.Params, config: GPTNeoXConfig, tokens: list[int]) -> np.ndarray:
    """Logits [L, V] of one sequence in float64: one token, head and pair of dimensions at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    size, rotary = config.head_size, config.rotary_size

    def norm(x: np.ndarray, p: dict) -> np.ndarray:
        return (x - x.mean()) / math.sqrt(x.var() + config.layer_norm_eps) * p["scale"] + p["bias"]

    def rotated(x: np.ndarray, position: int) -> np.ndarray:
        y = x.copy()
        for d in range(rotary // 2):
            angle = position * config.rotary_emb_base ** (-2 * d / rotary)
            a, b = x[d], x[d + rotary // 2]
            y[d] = a * math.cos(angle) - b * math.sin(angle)
            y[d + rotary // 2] = b * math.cos(angle) + a * math.sin(angle)
        return y

    x = [params["embed_in"][token] for token in tokens]
    for index in range(config.num_hidden_layers):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["layers"])
        fused = [
            norm(h, layer["input_layernorm"]) @ layer["query_key_value"]["kernel"]
            + layer["query_key_value"]["bias"]
            for h in x
        ]
        outputs = []
        for t in range(len(tokens)):
            mixed = []
            for head in range(config.num_attention_heads):
                at = head * 3 * size
                query = rotated(fused[t][at : at + size], t)
                keys = [rotated(fused[s][at + size : at + 2 * size], s) for s in range(t + 1)]
                weights = np.exp([query @ key / math.sqrt(size) for key in keys])
                mixed.append(
                    sum(w * fused[s][at + 2 * size : at + 3 * size] for s, w in enumerate(weights))
                    / weights.sum()
                )
            attended = np.concatenate(mixed) @ layer["dense"]["kernel"] + layer["dense"]["bias"]
            base = x[t] if config.use_parallel_residual else x[t] + attended
            hidden = (
                norm(base, layer["post_attention_layernorm"]) @ layer["dense_h_to_4h"]["kernel"]
                + layer["dense_h_to_4h"]["bias"]
            )
            hidden = np.array([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
            outputs.append(
                x[t] + attended + hidden @ layer["dense_4h_to_h"]["kernel"] + layer["dense_4h_to_h"]["bias"]
            )
        x = outputs
    return np.array([norm(h, params["final_layer_norm"]) @ params["embed_out"] for h in x])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("rotary_pct", [0.5, 1.0])
def test_logits_are_those_of_plain_numpy(parallel: bool, rotary_pct: float) -> None:
    config = dataclasses.replace(TOY, use_parallel_residual=parallel, rotary_pct=rotary_pct)
    params = randomised(config)
    tokens = [3, 0, 10, 3, 7, 7, 1]
    got = LOGITS(params, config, jnp.asarray([tokens]))[0]
    np.testing.assert_allclose(got, numpy_logits(params, config, tokens), atol=2e-5)


def test_loss_is_the_mean_over_the_masked_predictions() -> None:
    params = randomised(TOY)
    tokens = [3, 0, 10, 3, 7, 7, 1]
    mask = [1, 0, 1, 1, 0, 0, 1]
    log_probs = log_softmax(numpy_logits(params, TOY, tokens))
    expected = -np.mean([log_probs[t - 1, tokens[t]] for t in (2, 3, 6)])
    assert float(LOSS(params, TOY, jnp.asarray([tokens]), jnp.asarray([mask]))) == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_shared_prefix_gives_what_the_whole_prompt_gives(parallel: bool, layers: int) -> None:
    config = dataclasses.replace(SMALL, use_parallel_residual=parallel, num_hidden_layers=layers)
    params = randomised(config)
    rng = np.random.default_rng(1)
    prefixes = rng.integers(0, config.vocab_size, (3, 128))
    suffixes = rng.integers(0, config.vocab_size, (5, 128))
    index = np.array([2, 0, 2, 1, 0])
    kv = jax.jit(gpt_neox.prefix_keys_values, static_argnums=1)(params, config, jnp.asarray(prefixes))
    got = jax.jit(gpt_neox.suffix_logprobs, static_argnums=1)(
        params, config, kv, jnp.asarray(index), jnp.asarray(suffixes)
    )

    prompts = np.concatenate([prefixes[index], suffixes], axis=1)
    whole = log_softmax(np.asarray(LOGITS(params, config, jnp.asarray(prompts))))
    expected = np.take_along_axis(whole[:, 191:255], prompts[:, 192:, None], axis=-1)[..., 0]
    assert got.shape == (5, 64)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_token_changes_no_earlier_prediction() -> None:
    params = randomised(SMALL)
    tokens = np.random.default_rng(2).integers(0, SMALL.vocab_size, (1, 40))
    changed = tokens.copy()
    changed[0, 25] = (changed[0, 25] + 1) % SMALL.vocab_size
    before, after = (np.asarray(LOGITS(params, SMALL, jnp.asarray(t)))[0] for t in (tokens, changed))
    assert np.array_equal(before[:25], after[:25])
    assert (before[25:] != after[25:]).any(axis=-1).all()


def test_gradients_reach_every_parameter_and_are_finite_for_extreme_scores() -> None:
    params = jax.tree.map(lambda leaf: 30 * leaf, randomised(TOY))
    tokens = jnp.asarray([[3, 0, 10, 3, 7, 7, 1]])
    gradients = jax.jit(jax.grad(gpt_neox.loss), static_argnums=1)(params, TOY, tokens, jnp.ones_like(tokens))
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))


def test_init_depends_on_the_seed_alone() -> None:
    first, again, other = (gpt_neox.init(TOY, seed)["embed_in"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_config_reads_old_and_new_rotary_settings() -> None:
    sizes = {
        "vocab_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    old = GPTNeoXConfig.from_dict({**sizes, "rotary_pct": 0.5, "rotary_emb_base": 500})
    new = GPTNeoXConfig.from_dict(
        {
            **sizes,
            "rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 0.5, "rope_type": "default"},
        }
    )
    assert old == new
    assert (old.rotary_pct, old.rotary_emb_base) == (0.5, 500.0)
    assert GPTNeoXConfig.from_dict(old.to_dict()) == old
    assert GPTNeoXConfig.from_dict({**sizes, "rotary_pct": 0.5, "rope_theta": 500}) == old
    for other in ({"rope_theta": 400}, {"partial_rotary_factor": 1.0}):
        with pytest.raises(ValueError, match=f"sets {next(iter(other))} = "):
            GPTNeoXConfig.from_dict({**old.to_dict(), **other})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
        ({"model_type": "llama"}, "llama"),
        ({"hidden_act": "gelu_new"}, "hidden_act"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
        ({"attention_bias": False}, "attention_bias"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ({"rope_parameters": {"type": "linear", "factor": 2.0}}, "linear"),
        ({"rope_parameters": {"rope_type": "default", "factor": 2.0}}, "factor"),
        ({"num_attention_heads": 3}, "num_attention_heads 3"),
        ({"rotary_pct": 0.25, "rope_parameters": None}, "rotary_pct 0.25"),
    ],
)
def test_config_refuses_what_is_not_computed_here(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPTNeoXConfig.from_dict({**TOY.to_dict(), **change})


def test_config_names_missing_sizes() -> None:
    with pytest.raises(ValueError, match="hidden_size, intermediate_size"):
        GPTNeoXConfig.from_dict({"vocab_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2})
