"""GPT-2: positions that are learnt end somewhere, settings that are not computed are refused, and published
files have names of their own. Its numbers are compared in test_decoders.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from model import gpt2, gpt2_files
from model.gpt2_config import GPT2Config

GOLDENS = np.load(Path(__file__).parent / "goldens" / "decoders.npz")
VALUES = json.loads(GOLDENS["GPT2LMHeadModel.config"].tobytes())
PREFIX = "GPT2LMHeadModel.tensor."
TENSORS = {name.removeprefix(PREFIX): GOLDENS[name] for name in GOLDENS.files if name.startswith(PREFIX)}
CONFIG = GPT2Config.from_dict(VALUES)


def written(directory: Path, tensors: dict[str, np.ndarray]) -> Path:
    (directory / "config.json").write_text(json.dumps(VALUES))
    save_file(tensors, directory / "model.safetensors")
    return directory


def test_a_prompt_behind_the_last_position_is_refused_by_name():
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gpt2.shapes(CONFIG))
    with pytest.raises(ValueError, match=r"97 tokens.*n_positions = 96"):
        gpt2.logits(params, CONFIG, jnp.zeros((1, 97), int))
    kv = jax.eval_shape(lambda: gpt2.prefix_keys_values(params, CONFIG, jnp.zeros((1, 60), int)))
    with pytest.raises(ValueError, match=r"100 tokens.*n_positions = 96"):
        gpt2.suffix_logprobs(params, CONFIG, kv, jnp.zeros(1, int), jnp.zeros((1, 40), int))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation_function": "relu"}, "activation_function = 'relu', only 'gelu_new'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"scale_attn_weights": False}, "scale_attn_weights"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"auto_map": {"AutoModel": "model.Evil"}}, "auto_map"),
        ({"model_type": "gpt_neox"}, "model_type 'gpt_neox'"),
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3"),
        ({"n_positions": 0}, "n_positions is 0"),
        ({"n_inner": "wide"}, "n_inner is 'wide'"),
    ],
)
def test_a_setting_that_is_not_computed_is_refused_by_its_name(change, words):
    with pytest.raises(ValueError, match=words):
        GPT2Config.from_dict({**VALUES, **change})


def test_a_width_of_the_feed_forward_network_that_is_not_stated_is_four_times_the_model():
    assert GPT2Config.from_dict({**VALUES, "n_inner": None}).intermediate_size == 4 * CONFIG.hidden_size
    with pytest.raises(ValueError, match=r"lacks n_layer"):
        GPT2Config.from_dict({name: value for name, value in VALUES.items() if name != "n_layer"})


def test_published_names_without_the_root_and_masks_are_known(tmp_path):
    _, expected = gpt2_files.load(written(tmp_path, TENSORS))
    bare = {name.removeprefix("transformer."): value for name, value in TENSORS.items()}
    masks = {"h.0.attn.bias": np.ones((1, 1)), "h.1.attn.masked_bias": np.ones(1)}
    head = {"lm_head.weight": TENSORS["transformer.wte.weight"]}
    _, loaded = gpt2_files.load(written(tmp_path, bare | masks | head))
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)


def test_a_head_that_is_not_the_embedding_and_a_tensor_too_many_are_refused(tmp_path):
    other = {"lm_head.weight": TENSORS["transformer.wte.weight"] + 1}
    with pytest.raises(ValueError, match=r"lm_head\.weight is another matrix"):
        gpt2_files.load(written(tmp_path, TENSORS | other))
    with pytest.raises(ValueError, match=r"h\.0\.crossattention\.c_attn\.weight"):
        gpt2_files.load(written(tmp_path, TENSORS | {"h.0.crossattention.c_attn.weight": np.ones(2)}))
