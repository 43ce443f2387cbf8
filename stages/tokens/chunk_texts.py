"""The text of chunks, so that another tokenizer can read it: a character belongs to the chunk where its first
byte lies.

Chunks are pieces of a row of tokens, and a token of a byte-level BPE may end inside a character. Put together
again, the texts of a document's chunks are its text; `<|endoftext|>` and other special tokens are no text.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS

UTF8_BYTES = sorted({*range(0xF5)} - {0xC0, 0xC1})  # those that can stand in UTF-8


def bytes_of_tokens(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of text that each token id stands for; none for special tokens and for ids without a token.

    Raises:
        Failure: (exit code 3) if tokens are not bytes of the text, or some bytes have no token, so that text
            was lost on the way to tokens.
    """
    _check_bytes(json.loads(tokenizer.to_str()))
    vocabulary, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    written = _written_bytes()
    if missing := [
        byte for character, byte in written.items() if byte in UTF8_BYTES and character not in vocabulary
    ]:
        raise _no_bytes(f"{len(missing)} of the bytes of UTF-8 have no token, such as {min(missing):#04x}")
    found = [b""] * (max(vocabulary.values()) + 1)
    for token, token_id in vocabulary.items():
        if token_id not in added:
            found[token_id] = bytes(written[character] for character in token)
    for token_id, whole in added.items():
        found[token_id] = b"" if whole.special else whole.content.encode()
    return found


def texts_of_chunks(bytes_of: Sequence[bytes], chunks: Sequence[np.ndarray]) -> list[str]:
    """The text of each of the `chunks` of one document, all of them in order; `bytes_of` is what
    `bytes_of_tokens` gave.

    Raises:
        Failure: (exit code 3) if the tokens are of another tokenizer, or put together are no text.
    """
    try:
        parts = [b"".join([bytes_of[token_id] for token_id in chunk.tolist()]) for chunk in chunks]
        whole = b"".join(parts)
        bounds = [0, *(_first_character(whole, end) for end in itertools.accumulate(map(len, parts)))]
        return [whole[begin:end].decode() for begin, end in itertools.pairwise(bounds)]
    except (IndexError, UnicodeDecodeError) as error:
        raise CHUNKS.violated(
            "a document", f"its tokens are no text of this tokenizer ({type(error).__name__}: {error})"
        ) from error


def _first_character(whole: bytes, place: int) -> int:
    """The first place from `place` on where no character goes on."""
    while place < len(whole) and whole[place] & 0xC0 == 0x80:
        place += 1
    return place


def _check_bytes(description: dict) -> None:
    if description["model"]["type"] != "BPE" or (description["decoder"] or {}).get("type") != "ByteLevel":
        raise _no_bytes("it is no byte-level BPE, so its tokens are not bytes of the text")
    splitting = description["pre_tokenizer"] or {}
    if any(part.get("add_prefix_space") for part in splitting.get("pretokenizers", [splitting])):
        raise _no_bytes("it puts a space before every text")
    if description["normalizer"] not in (None, {"type": "NFC"}):
        raise _no_bytes(f"it changes text before it encodes it ({description['normalizer']['type']})")
    if any(token["lstrip"] or token["rstrip"] for token in description["added_tokens"]):
        raise _no_bytes("some of its tokens take the white space beside them away")


def _no_bytes(cause: str) -> Failure:
    remedy = (
        "set tokenization.tokenizer to `train` or another byte-level BPE, or to the tokenizer of the"
        " reference LM (`./rpt use-lm`)"
    )
    return Failure(
        "the tokenizer of the corpus does not give the bytes of a chunk back", cause, remedy, Exit.CONTRACT
    )


def _written_bytes() -> dict[str, int]:
    """How byte-level BPE writes each byte as a visible character: GPT-2's table."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {
        chr(256 + number): byte for number, byte in enumerate(hidden)
    }
