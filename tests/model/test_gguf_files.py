"""GGUF files of small decoders, written as llama.cpp writes them, against the numbers of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer

from model import decoders, gguf_files, llama

GOLDENS = np.load(Path(__file__).parent / "goldens" / "decoders.npz")
STORED = {"llama": "MistralForCausalLM", "qwen3": "Qwen3ForCausalLM"}
NAMES = {
    ours: stored
    for stored, ours in (
        *gguf_files.OUTSIDE.items(),
        *((part, name) for part, name in gguf_files.LAYER.items()),
    )
}
TOKENS = [
    "<|endoftext|>",
    *(chr(ord("a") + number) for number in range(26)),
    "ab",
    "abc",
    *(str(digit) for digit in range(10)),
    "Ġ",
]
MERGES = ["a b", "ab c"]


def paired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp keeps them: the first and the second of a pair beside
    each other.
    """
    size = len(rows) // heads
    order = [
        head * size + half * size // 2 + pair
        for head in range(heads)
        for pair in range(size // 2)
        for half in range(2)
    ]
    return rows[order]


def stored_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    _, _, block, rest = name.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"blk.{block}.{NAMES[part]}.{kind}"


def write(
    file: Path,
    architecture: str,
    pre: str = "smollm",
    kind: gguf.GGMLQuantizationType | None = None,
    without: str = "",
    **extra: Any,
) -> None:
    """The model of the goldens as a GGUF file."""
    name = STORED[architecture]
    config = json.loads(GOLDENS[f"{name}.config"].tobytes())
    writer = gguf.GGUFWriter(file, architecture)
    for ours, stated in gguf_files.SIZES.items():
        value = config[ours]
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(
            f"{architecture}.{stated}", value
        )
    writer.add_uint32(f"{architecture}.attention.key_length", config["head_dim"])
    writer.add_float32(f"{architecture}.rope.freq_base", config["rope_parameters"]["rope_theta"])
    for key, value in extra.items():
        writer.add_string(key.replace("__", "."), value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_merges(MERGES)
    writer.add_token_types([3, *(1 for _ in TOKENS[1:])])
    prefix = f"{name}.tensor."
    for key in (
        key for key in GOLDENS.files if key.startswith(prefix) and key.removeprefix(prefix) != without
    ):
        value, tensor = GOLDENS[key], stored_name(key.removeprefix(prefix))
        if architecture == "llama" and "attn_q." in tensor:
            value = paired(value, config["num_attention_heads"])
        if architecture == "llama" and "attn_k." in tensor:
            value = paired(value, config["num_key_value_heads"])
        if kind is not None and value.ndim == 2 and value.shape[1] % 32 == 0:
            writer.add_tensor(tensor, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logits(directory: Path) -> np.ndarray:
    config, params = decoders.load(directory)
    return np.asarray(
        jax.jit(llama.logits, static_argnums=1)(params, config, jnp.asarray(GOLDENS["tokens_L"])[None])[0]
    )


@pytest.mark.parametrize("architecture", STORED)
def test_logits_are_those_of_the_model_that_was_written(architecture, tmp_path):
    write(tmp_path / "model.gguf", architecture)
    gguf_files.convert(tmp_path / "model.gguf", tmp_path)
    np.testing.assert_allclose(logits(tmp_path), GOLDENS[f"{STORED[architecture]}.logits_LV"], atol=1e-4)


def test_a_file_in_half_precision_is_near(tmp_path):
    write(tmp_path / "model.gguf", "llama", kind=gguf.GGMLQuantizationType.Q8_0)
    gguf_files.convert(tmp_path / "model.gguf", tmp_path)
    far = np.abs(logits(tmp_path) - GOLDENS["MistralForCausalLM.logits_LV"]).max()
    assert 0 < far < 0.5


def test_the_tokenizer_cuts_digits_one_by_one_and_gives_the_text_back(tmp_path):
    write(tmp_path / "model.gguf", "llama")
    gguf_files.convert(tmp_path / "model.gguf", tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("abc 12").tokens == ["abc", "Ġ", "1", "2"]
    assert tokenizer.decode(tokenizer.encode("abc 12").ids) == "abc 12"
    assert tokenizer.token_to_id("<|endoftext|>") == 0
    assert tokenizer.encode("<|endoftext|>").ids == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pre": "command-r"}, "command-r"),
        ({"llama__rope__scaling__type": "yarn"}, "stretched positions"),
        (
            {"without": "model.layers.1.mlp.up_proj.weight"},
            "lacks the tensor model.layers.1.mlp.up_proj.weight",
        ),
        ({"without": "model.embed_tokens.weight"}, "lacks the tensor token_embd.weight"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(change, words, tmp_path):
    write(tmp_path / "model.gguf", "llama", **change)
    with pytest.raises(ValueError, match=words):
        gguf_files.convert(tmp_path / "model.gguf", tmp_path)


def test_another_architecture_and_another_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(STORED, "mamba", "MistralForCausalLM")
    write(tmp_path / "model.gguf", "mamba")
    with pytest.raises(ValueError, match="'mamba'; computed are llama, qwen2, qwen3"):
        gguf_files.convert(tmp_path / "model.gguf", tmp_path)
    (tmp_path / "text.gguf").write_text("no model at all" * 10)
    with pytest.raises(ValueError, match="no GGUF file"):
        gguf_files.convert(tmp_path / "text.gguf", tmp_path)


def test_a_kind_of_number_that_is_not_read_is_refused(tmp_path, monkeypatch):
    def unknown(*_: object) -> None:
        raise NotImplementedError("IQ9_XYZ")

    write(tmp_path / "model.gguf", "llama")
    monkeypatch.setattr(gguf.quants, "dequantize", unknown)
    with pytest.raises(ValueError, match=r"the tensor \S+: IQ9_XYZ"):
        gguf_files.convert(tmp_path / "model.gguf", tmp_path)


@pytest.mark.parametrize(("values", "words"), [(2**40, "a list of"), (2**20, "it ends before")])
def test_a_list_that_says_it_is_longer_than_its_file_is_refused_at_once(tmp_path, values, words):
    write(tmp_path / "model.gguf", "llama")
    data = (tmp_path / "model.gguf").read_bytes()
    # behind the kinds of list and of value
    at = data.index(b"tokenizer.ggml.token_type") + len("tokenizer.ggml.token_type") + 8
    assert int.from_bytes(data[at : at + 8], "little") == len(TOKENS)
    (tmp_path / "model.gguf").write_bytes(data[:at] + values.to_bytes(8, "little") + data[at + 8 :])
    with pytest.raises(ValueError, match=words):
        gguf_files.convert(tmp_path / "model.gguf", tmp_path)


@pytest.mark.parametrize("merge", ["a", "a zz", "a c"])
def test_a_merge_of_no_tokens_is_refused(tmp_path, merge, monkeypatch):
    monkeypatch.setitem(globals(), "MERGES", [*MERGES, merge])
    write(tmp_path / "model.gguf", "llama")
    with pytest.raises(ValueError, match="which are no tokens or make none"):
        gguf_files.convert(tmp_path / "model.gguf", tmp_path)
