"""Hugging Face directories: exact round trips, every tensor accounted for, and nothing opened that could run
code.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model import gpt_neox, gpt_neox_files, hugging_face_files
from model.gpt_neox_config import GPTNeoXConfig

CONFIG = GPTNeoXConfig(
    vocab_size=19, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
)


@pytest.fixture
def params() -> gpt_neox.Params:
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), gpt_neox.init(CONFIG, 0))


@pytest.fixture
def directory(tmp_path: Path, params: gpt_neox.Params) -> Path:
    gpt_neox_files.save(tmp_path, CONFIG, params)
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def rewrite(directory: Path, change: dict[str, np.ndarray | None]) -> None:
    tensors = {**load_file(directory / "model.safetensors"), **change}
    save_file(
        {name: value for name, value in tensors.items() if value is not None}, directory / "model.safetensors"
    )


def test_round_trip_is_exact(directory: Path, params: gpt_neox.Params) -> None:
    config, loaded = gpt_neox_files.load(directory)
    assert config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_saved_tensors_have_the_names_and_layout_of_hugging_face(
    directory: Path, params: gpt_neox.Params
) -> None:
    tensors = load_file(directory / "model.safetensors")
    assert len(tensors) == 4 + 12 * CONFIG.num_hidden_layers
    assert tensors["embed_out.weight"].shape == (19, 16)
    fused = tensors["gpt_neox.layers.1.attention.query_key_value.weight"].reshape(2, 3, 8, 16)
    kernel = np.asarray(params["layers"]["query_key_value"]["kernel"][1]).reshape(16, 2, 3, 8)
    np.testing.assert_array_equal(fused[1, 2, 5], kernel[:, 1, 2, 5])
    assert json.loads((directory / "config.json").read_text())["architectures"] == ["GPTNeoXForCausalLM"]


def test_saving_twice_writes_the_same_bytes(directory: Path, params: gpt_neox.Params, tmp_path: Path) -> None:
    gpt_neox_files.save(tmp_path / "again", CONFIG, params)
    for name in ("config.json", "model.safetensors"):
        assert (directory / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_other_dtypes_and_shards_load(directory: Path, params: gpt_neox.Params) -> None:
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    for part, chosen in enumerate((names[:9], names[9:])):
        save_file(
            {name: tensors[name].astype(np.float16) for name in chosen},
            directory / f"model-{part}.safetensors",
        )
    _, loaded = gpt_neox_files.load(directory, "bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(loaded)} == {"bfloat16"}
    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got.astype(np.float32), want, rtol=1e-2), loaded, params
    )


def test_constant_buffers_and_the_other_name_of_the_head_are_known(
    directory: Path, params: gpt_neox.Params
) -> None:
    head = load_file(directory / "model.safetensors")["embed_out.weight"]
    rewrite(
        directory,
        {
            "gpt_neox.layers.0.attention.bias": np.ones((1, 1)),
            "lm_head.weight": head,
            "embed_out.weight": None,
        },
    )
    _, loaded = gpt_neox_files.load(directory)
    np.testing.assert_array_equal(loaded["embed_out"], params["embed_out"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gpt_neox.layers.1.mlp.dense_4h_to_h.bias": None},
            r"gpt_neox\.layers\.1\.mlp\.dense_4h_to_h\.bias",
        ),
        (
            {"gpt_neox.layers.2.attention.dense.bias": np.ones(16, np.float32)},
            r"gpt_neox\.layers\.2\.attention\.dense\.bias",
        ),
        (
            {"gpt_neox.embed_in.weight": np.ones((20, 16), np.float32)},
            r"gpt_neox\.embed_in\.weight.*\(20, 16\)",
        ),
        (
            {"gpt_neox.layers.0.attention.dense.bias": np.ones(17, np.float32)},
            r"gpt_neox\.layers\.0\.attention\.dense\.bias",
        ),
    ],
)
def test_a_missing_unknown_or_misshapen_tensor_is_named(directory: Path, change: dict, message: str) -> None:
    rewrite(directory, change)
    with pytest.raises(ValueError, match=message):
        gpt_neox_files.load(directory)


def test_pickled_weights_are_refused_with_a_remedy(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin.*safe_serialization"):
        gpt_neox_files.load(directory)


def test_a_model_with_code_of_its_own_is_refused(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "model.Evil"}})
    )
    with pytest.raises(ValueError, match="auto_map"):
        gpt_neox_files.load(directory)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_digest_changes_with_every_file_and_needs_them_all(directory: Path, name: str) -> None:
    before, tokenizer = hugging_face_files.digest(directory), hugging_face_files.tokenizer_digest(directory)
    with (directory / name).open("ab") as stream:
        stream.write(b" ")
    assert hugging_face_files.digest(directory) != before
    assert (hugging_face_files.tokenizer_digest(directory) != tokenizer) == (name == "tokenizer.json")
    (directory / name).unlink()
    with pytest.raises(FileNotFoundError, match="safetensors" if name == "model.safetensors" else name):
        hugging_face_files.digest(directory)
