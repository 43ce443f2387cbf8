"""Tokenizers of GGUF files against the ids that transformers reads with the same vocabulary, and what only a
whole piece decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.gguf_tokenizer import tokenizer_of

GOLDENS = np.load(Path(__file__).parent / "goldens" / "gguf_tokenizers.npz")


def facts(way: str, tokens: list[str], merges: list[str], types: list[int]) -> dict[str, Any]:
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": way,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": types,
    }


@pytest.mark.parametrize("way", ["gpt-2", "llama-bpe", "qwen2"])
def test_ids_are_those_of_transformers_and_give_the_text_back(way):
    text = GOLDENS["text"].tobytes().decode()
    tokens, merges = (GOLDENS[name].tobytes().decode().split("\n") for name in ("tokens", "merges"))
    tokenizer = tokenizer_of(facts(way, tokens, merges, GOLDENS["types"].tolist()))
    ids = tokenizer.encode(text).ids
    assert ids == GOLDENS[f"ids.{way}"].tolist()
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert {"<|endoftext|>", "<think>"} < set(tokenizer.encode(text).tokens)


def test_a_piece_that_is_a_token_needs_no_merges_where_llama_has_none_for_it():
    tokens, merges = [*"abc", "ab", "abc"], ["a b"]
    assert tokenizer_of(facts("llama-bpe", tokens, merges, [])).encode("abc").tokens == ["abc"]
    assert tokenizer_of(facts("qwen2", tokens, merges, [])).encode("abc").tokens == ["ab", "c"]
