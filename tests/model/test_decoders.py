"""Every family of reference LMs against the numbers of transformers, from the files that it would write to
the scores of pairs.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from model import decoders
from model.decoder_config import ARCHITECTURES, decoder_config, read_config
from model.llama_config import LlamaConfig

GOLDENS = np.load(Path(__file__).parent / "goldens" / "decoders.npz")
CHUNK = 20


@pytest.fixture(params=ARCHITECTURES)
def architecture(request) -> str:
    return request.param


@pytest.fixture
def directory(architecture, tmp_path) -> Path:
    prefix = f"{architecture}.tensor."
    (tmp_path / "config.json").write_bytes(GOLDENS[f"{architecture}.config"].tobytes())
    save_file(
        {name.removeprefix(prefix): GOLDENS[name] for name in GOLDENS.files if name.startswith(prefix)},
        tmp_path / "model.safetensors",
    )
    return tmp_path


def test_logits_are_those_of_transformers(architecture, directory):
    config, params = decoders.load(directory)
    logits_LV = jax.jit(decoders.logits, static_argnums=1)(
        params, config, jnp.asarray(GOLDENS["tokens_L"])[None]
    )[0]
    np.testing.assert_allclose(logits_LV, GOLDENS[f"{architecture}.logits_LV"], atol=1e-4)


def test_scores_after_a_shared_prefix_are_those_of_transformers(architecture, directory):
    config, params = decoders.load(directory)
    prompt = GOLDENS["tokens_L"][None]
    kv = jax.jit(decoders.prefix_keys_values, static_argnums=1)(
        params, config, jnp.asarray(prompt[:, : 2 * CHUNK])
    )
    scores = jax.jit(decoders.suffix_logprobs, static_argnums=1)(
        params, config, kv, jnp.zeros(1, int), jnp.asarray(prompt[:, 2 * CHUNK :])
    )
    logits_LV = GOLDENS[f"{architecture}.logits_LV"].astype(np.float64)
    logprobs_LV = logits_LV - np.log(np.exp(logits_LV).sum(axis=-1, keepdims=True))
    expected = logprobs_LV[np.arange(3 * CHUNK - 1, 4 * CHUNK - 1), prompt[0, 3 * CHUNK :]]
    np.testing.assert_allclose(scores[0], expected, atol=1e-4)


def test_sizes_that_costs_are_counted_from_are_those_of_the_parameters(directory):
    config, params = decoders.load(directory)
    assert config.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    kernels = [
        leaf[0].size
        for path, leaf in jax.tree_util.tree_leaves_with_path(params["layers"])
        if path[-1].key == "kernel"
    ]
    assert config.layer_matrices == sum(kernels)
    kv = jax.eval_shape(lambda: decoders.prefix_keys_values(params, config, jnp.zeros((1, 4), int)))
    groups = config.num_key_value_heads if isinstance(config, LlamaConfig) else config.num_attention_heads
    assert config.attention_width == config.num_attention_heads * kv.keys.shape[-1]
    assert kv.keys.shape[2] == groups


def test_an_unknown_architecture_is_refused_with_those_that_are_computed(directory):
    values = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**values, "architectures": ["MambaForCausalLM"]}))
    with pytest.raises(ValueError, match=f"MambaForCausalLM.*{', '.join(ARCHITECTURES)}"):
        read_config(directory)


def test_a_window_of_attention_limits_the_prompt():
    values = json.loads(GOLDENS["MistralForCausalLM.config"].tobytes())
    assert decoder_config(values).longest_prompt == 256
    assert decoder_config({**values, "sliding_window": 128}).longest_prompt == 128
    assert decoder_config(json.loads(GOLDENS["GPTNeoXForCausalLM.config"].tobytes())).longest_prompt == 256
    assert decoder_config(json.loads(GOLDENS["GPT2LMHeadModel.config"].tobytes())).longest_prompt == 96
