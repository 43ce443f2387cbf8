"""How many bytes of text each token stands for, so that models with different tokenizers can be compared in
bits per byte.
"""

from __future__ import annotations

import json
import re

import numpy as np
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure

ONE_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """[V] UTF-8 bytes of every token; 0 of special tokens, which are not text, and of ids without a token.

    Byte-level BPE writes each byte as one character, so a token's bytes are the characters it is written
    with. A tokenizer with byte fallback, as SentencePiece's are, writes pieces of text, in which its decoder
    replaces a mark with a space, and single bytes as <0xE2>. An added token is written as itself.

    Raises:
        Failure: (exit code 2) for tokens of another kind, of which nobody can say how many bytes they are.
    """
    vocabulary, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    replaced = _replacements(tokenizer)
    counts = np.zeros(max(vocabulary.values()) + 1, np.int32)
    for written, token_id in vocabulary.items():
        counts[token_id] = len(written) if replaced is None else _piece_bytes(written, replaced)
    for token_id, token in added.items():
        counts[token_id] = 0 if token.special else len(token.content.encode())
    return counts


class DocumentBytes:
    """The bytes of text that each token of a document stands for, int32 [T]; a document begins with
    `<|endoftext|>`.

    The space that some tokenizers put before every text is no text, so it is not counted. Raises like
    `token_bytes`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes_V = token_bytes(tokenizer)
        self._before = int(self._bytes_V[tokenizer.encode("a", add_special_tokens=False).ids].sum()) - 1

    def __call__(self, tokens_T: np.ndarray) -> np.ndarray:
        bytes_T = self._bytes_V[tokens_T]
        bytes_T[1:2] -= np.minimum(bytes_T[1:2], self._before)  # at once the end, if there is no text
        return bytes_T


def _piece_bytes(written: str, replaced: dict[str, str]) -> int:
    if ONE_BYTE.fullmatch(written):
        return 1
    for mark, text in replaced.items():
        written = written.replace(mark, text)
    return len(written.encode())


def _replacements(tokenizer: Tokenizer) -> dict[str, str] | None:
    """What the decoder replaces in a piece of text; None for byte-level tokens. Raises like `token_bytes`."""
    decoder = json.loads(tokenizer.to_str())["decoder"] or {}
    parts = {part["type"]: part for part in decoder.get("decoders", [decoder]) if part}
    if "ByteLevel" in parts:
        return None
    if "ByteFallback" in parts:
        return {part["pattern"]["String"]: part["content"] for part in [parts.get("Replace")] if part}
    raise Failure(
        "the bytes of this tokenizer's tokens are not known",
        f"its decoder is {' and '.join(parts) or 'none'}, neither byte-level nor with byte fallback",
        "choose a byte-level BPE or a tokenizer with byte fallback, or `tokenization.tokenizer: train`",
        Exit.USAGE,
    )
