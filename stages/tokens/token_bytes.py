"""How many bytes of text each token stands for, so that models with different tokenizers can be compared in bits per byte."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """[V] UTF-8 bytes of every token of a byte-level BPE; 0 of special tokens, which are not text, and of ids without a token.

    Byte-level BPE writes each byte as one character, so a token's bytes are the characters it is written with; an added token is written
    as itself.
    """
    vocabulary, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    counts = np.zeros(max(vocabulary.values()) + 1, np.int32)
    for written, token_id in vocabulary.items():
        counts[token_id] = len(written)
    for token_id, token in added.items():
        counts[token_id] = 0 if token.special else len(token.content.encode())
    return counts
