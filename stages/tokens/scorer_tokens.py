"""Text in the tokens of the reference LM, each text by itself, and only if the tokens give it back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from stages.tokens.tokenizer_file import read_tokenizer

SHOWN = 40


def load_scorer_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer beside a reference LM, set so that text which spells a special token stays text. It needs
    no `<|endoftext|>`.

    Raises:
        Failure: (exit code 3) if it cannot be read.
    """
    tokenizer = read_tokenizer(directory / "tokenizer.json", code=Exit.CONTRACT)
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def scorer_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The tokens, int32, of each text by itself; nothing is put before or after it.

    Raises:
        Failure: (exit code 3) for text that decoding does not give back. Composed and decomposed forms of a
            character (NFC) are the same text.
    """
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    for text, again in zip(texts, tokenizer.decode_batch(ids, skip_special_tokens=False), strict=True):
        if text != again and unicodedata.normalize("NFC", text) != unicodedata.normalize("NFC", again):
            raise _lost(text, again)
    return [np.array(row, np.int32) for row in ids]


def _lost(text: str, again: str) -> Failure:
    first = next(
        (place for place, (a, b) in enumerate(zip(text, again, strict=False)) if a != b),
        min(len(text), len(again)),
    )
    before, after = (found[max(0, first - SHOWN // 2) :][:SHOWN] for found in (text, again))
    return Failure(
        "the reference LM cannot read the corpus",
        f"its tokenizer turns {before!a} into {after!a}, so it would score other text",
        "choose a model whose tokenizer knows every byte (a byte-level BPE, or one with byte fallback)",
        Exit.CONTRACT,
    )
