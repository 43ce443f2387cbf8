"""Whether a tokenizer that was not trained here gives the text back, and whether the bytes of its tokens are
those of the text.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from stages.tokens.token_bytes import token_bytes

SHOWN = 40
REMEDY = "choose a byte-level BPE or a tokenizer with byte fallback, or `tokenization.tokenizer: train`"


def check_round_trip(tokenizer: Tokenizer, name: str, texts: Sequence[str]) -> None:
    """Encode and decode `texts`; composed and decomposed forms of a character (NFC) are the same, and so is
    one space before a text.

    Raises:
        Failure: (exit code 2) if a text is not given back, or the bytes of its tokens do not add up to its
            own.
    """
    ids = [
        np.array(encoding.ids, np.int64)
        for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]
    for text, row in zip(texts, ids, strict=True):
        again = tokenizer.decode(row.tolist(), skip_special_tokens=False)
        if _composed(again) not in (_composed(text), " " + _composed(text)):
            cause = f"{_difference(text, again)}{_unknown_share(tokenizer, np.concatenate(ids))}"
            raise Failure(f"tokenizer {name!r} does not give the text back", cause, REMEDY, Exit.USAGE)
    bytes_V = token_bytes(tokenizer)
    for text, row in zip(texts, ids, strict=True):
        counted, wanted = int(bytes_V[row].sum(dtype=np.int64)), len(_normalised(tokenizer, text).encode())
        if counted - wanted not in (0, 1):
            cause = (
                f"its tokens of {text[:SHOWN]!a} stand for {counted:,} bytes, and the text has {wanted:,}:"
                " bits a byte would be wrong"
            )
            raise Failure(f"tokenizer {name!r} cannot be used", cause, REMEDY, Exit.USAGE)


def _difference(text: str, again: str) -> str:
    first = next(
        (place for place, (a, b) in enumerate(zip(text, again, strict=False)) if a != b),
        min(len(text), len(again)),
    )
    before, after = (found[max(0, first - SHOWN // 2) :][:SHOWN] for found in (text, again))
    return f"it turns {before!a} into {after!a}, so text is lost"


def _unknown_share(tokenizer: Tokenizer, ids_N: np.ndarray) -> str:
    unknown = unknown_id(tokenizer)
    share = 0.0 if unknown is None else float(np.mean(ids_N == unknown))
    return f"; {share:.0%} of {len(ids_N):,} tokens are unknown" if share else ""


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The token that stands for whatever has none, if there is one."""
    unknown = json.loads(tokenizer.to_str())["model"].get("unk_token")
    return tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _normalised(tokenizer: Tokenizer, text: str) -> str:
    """The text in the form of which the tokens are pieces."""
    description = json.loads(tokenizer.to_str())["normalizer"] or {}
    return _composed(text) if description.get("type") == "NFC" else text
