"""Tokenization: documents -> token ids, with `<|endoftext|>` as token 0 and as the last token of each document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from data_contracts.contract import sha256
from data_contracts.documents import DOCUMENTS
from data_contracts.tokens import TOKENS
from stages.stage import ShardStage
from stages.tokenizer import END_OF_TEXT, load_tokenizer


def tokenize(documents: pa.Table, tokenizer: Path) -> pa.Table:
    """Token ids of every document; nothing is truncated or normalised, so decoding gives the text back."""
    encoder = load_tokenizer(tokenizer)
    end = encoder.token_to_id(END_OF_TEXT)
    encodings = encoder.encode_batch_fast(documents.column("text").to_pylist(), add_special_tokens=False)
    rows = [np.array([end, *encoding.ids, end], np.uint32) for encoding in encodings]
    columns = {"doc_id": documents.column("doc_id"), "split": documents.column("split"), "token_ids": rows}
    return TOKENS.table(columns, tokenizer=sha256(tokenizer / "tokenizer.json"))


STAGE = ShardStage("tokenization", tokenize, (), (DOCUMENTS,), TOKENS, "tokens", sides=("tokenizer",))
