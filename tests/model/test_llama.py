"""Decoders of the Llama family: the shared-prefix path against whole prompts, configurations that are read or
refused, and their files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model import llama, llama_files
from model.causal_lm import Params
from model.causal_lm_files import to_tensors
from model.llama_config import LlamaConfig
from model.rope import Rope
from model.tensor_file import save_tensors

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "intermediate_size": 40,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def values(architecture: str = "LlamaForCausalLM", **change: Any) -> dict[str, Any]:
    return {"architectures": [architecture], **SIZES, **change}


FAMILIES = [
    values(attention_bias=True, mlp_bias=True, rope_parameters={**LLAMA3, "rope_theta": 500000.0}),
    values("MistralForCausalLM", sliding_window=None, num_key_value_heads=1),
    values("Qwen2ForCausalLM", tie_word_embeddings=True, rope_scaling={"type": "linear", "factor": 2.0}),
    values("Qwen3ForCausalLM", num_key_value_heads=4),
]


def drawn(config: LlamaConfig) -> Params:
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape) + (leaf.ndim < 3), leaf.dtype),
        llama.shapes(config),
    )


def written(directory: Path, stated: dict[str, Any]) -> Params:
    """A directory of such a model, and its parameters."""
    config = LlamaConfig.from_dict(stated)
    params = drawn(config)
    (directory / "config.json").write_text(json.dumps(stated))
    save_tensors(to_tensors(llama_files.TENSORS, params), directory / "model.safetensors")
    return params


@pytest.mark.parametrize("stated", FAMILIES, ids=lambda stated: stated["architectures"][0])
def test_shared_prefix_gives_what_the_whole_prompt_gives(stated: dict) -> None:
    config = LlamaConfig.from_dict(stated)
    params, rng = drawn(config), np.random.default_rng(1)
    prefixes, suffixes = rng.integers(0, 61, (3, 32)), rng.integers(0, 61, (5, 32))
    index = np.array([2, 0, 2, 1, 0])
    kv = jax.jit(llama.prefix_keys_values, static_argnums=1)(params, config, jnp.asarray(prefixes))
    got = jax.jit(llama.suffix_logprobs, static_argnums=1)(
        params, config, kv, jnp.asarray(index), jnp.asarray(suffixes)
    )
    prompts = np.concatenate([prefixes[index], suffixes], axis=1)
    whole = np.asarray(
        jax.nn.log_softmax(jax.jit(llama.logits, static_argnums=1)(params, config, jnp.asarray(prompts)))
    )
    np.testing.assert_allclose(
        got, np.take_along_axis(whole[:, 47:63], prompts[:, 48:, None], axis=-1)[..., 0], atol=2e-5
    )


@pytest.mark.parametrize("stated", FAMILIES, ids=lambda stated: stated["architectures"][0])
def test_files_give_the_parameters_back(tmp_path: Path, stated: dict) -> None:
    params = written(tmp_path, stated)
    config, loaded = llama_files.load(tmp_path)
    assert config == LlamaConfig.from_dict(stated)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_frequencies() -> None:
    plain = 10000.0 ** (-np.arange(0, 64, 2) / 64)
    np.testing.assert_allclose(Rope().frequencies(64), plain, rtol=1e-6)
    np.testing.assert_allclose(Rope("linear", factor=4.0).frequencies(64), plain / 4, rtol=1e-6)
    stretched = Rope("llama3", factor=8.0, original_max_position_embeddings=64).frequencies(64)
    waves = 2 * np.pi / plain
    np.testing.assert_allclose(stretched[waves < 64 / 4], plain[waves < 64 / 4], rtol=1e-6)
    np.testing.assert_allclose(stretched[waves > 64], plain[waves > 64] / 8, rtol=1e-6)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (values("GemmaForCausalLM"), "GemmaForCausalLM"),
        (values(model_type="mistral"), "mistral"),
        (values(auto_map={"AutoModel": "evil.Model"}), "auto_map"),
        (values(quantization_config={"bits": 4}), "quantization_config"),
        (values(hidden_act="gelu"), "hidden_act"),
        (values("MistralForCausalLM", attention_bias=True), "attention_bias"),
        (values(rope_parameters={"type": "yarn", "factor": 2.0}), "yarn"),
        (
            values(rope_parameters={"type": "linear", "rope_type": "default", "factor": 2.0}),
            "default and linear",
        ),
        (values(rope_parameters={"type": "linear"}), "lacks factor"),
        (values(rope_scaling={"rope_type": "linear", "factor": 2.0, "beta": 1}), "beta"),
        (
            values(
                rope_scaling={"type": "linear", "factor": 2.0},
                rope_parameters={"type": "linear", "factor": 4.0},
            ),
            "contradict",
        ),
        (values(rope_theta=1.0, rope_parameters={"rope_theta": 2.0}), "two values of rope_theta"),
        (values("Qwen3ForCausalLM", layer_types=["chunked_attention"]), "chunked_attention"),
        (values("Qwen3ForCausalLM", head_dim=None), "head_dim"),
        (values(num_key_value_heads=3), "num_key_value_heads 3"),
    ],
)
def test_a_configuration_that_is_not_computed_is_refused_by_name(stated: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LlamaConfig.from_dict(stated)


@pytest.mark.parametrize(
    "stated",
    [
        values("MistralForCausalLM", sliding_window=16),
        values("Qwen2ForCausalLM", sliding_window=16, use_sliding_window=True, max_window_layers=1),
        values("Qwen3ForCausalLM", sliding_window=16, layer_types=["full_attention", "sliding_attention"]),
    ],
)
def test_a_sliding_window_is_refused_where_it_would_matter(stated: dict) -> None:
    config = LlamaConfig.from_dict(stated)
    params = drawn(config)
    jax.eval_shape(lambda tokens: llama.logits(params, config, tokens), jnp.zeros((1, 16), jnp.int32))
    with pytest.raises(ValueError, match="sliding_window = 16"):
        jax.eval_shape(lambda tokens: llama.logits(params, config, tokens), jnp.zeros((1, 17), jnp.int32))


def test_a_window_that_no_layer_uses_is_none() -> None:
    unasked = {"use_sliding_window": False, "max_window_layers": None}
    for change in (
        {"use_sliding_window": False},
        unasked,
        {"use_sliding_window": True, "max_window_layers": 2},
    ):
        assert (
            LlamaConfig.from_dict(values("Qwen2ForCausalLM", sliding_window=16, **change)).sliding_window
            is None
        )


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ("model.layers.1.mlp.up_proj.weight", "lacks 1 of"),
        ("model.layers.2.mlp.up_proj.weight", r"layers\.2\.mlp"),
        ("lm_head.weight", "ties"),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(tmp_path: Path, tensor: str, message: str) -> None:
    written(tmp_path, FAMILIES[2])
    tensors = load_file(tmp_path / "model.safetensors")
    if tensors.pop(tensor, None) is None:
        tensors[tensor] = np.zeros((61, 32), np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        llama_files.load(tmp_path)


def test_files_that_the_index_does_not_name_and_tensors_that_stand_twice_are_refused(tmp_path: Path) -> None:
    written(tmp_path, FAMILIES[1])
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[:9], names[8:])):
        save_file({name: tensors[name] for name in part}, tmp_path / f"model-{number}.safetensors")
    with pytest.raises(ValueError, match="stands in"):
        llama_files.load(tmp_path)
    save_file({name: tensors[name] for name in names[9:]}, tmp_path / "model-1.safetensors")
    index = {
        "weight_map": {name: f"model-{int(number >= 9)}.safetensors" for number, name in enumerate(names)}
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    llama_files.load(tmp_path)
    save_file({"other": np.zeros(1)}, tmp_path / "consolidated.safetensors")
    with pytest.raises(ValueError, match=r"consolidated\.safetensors beside"):
        llama_files.load(tmp_path)
    (tmp_path / "consolidated.safetensors").unlink()
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model-1\.safetensors"):
        llama_files.load(tmp_path)
