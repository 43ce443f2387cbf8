"""Tokenization: documents -> token ids, with `<|endoftext|>` as token 0 and as the last token of each
document.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import TOKENS, list_column
from data_contracts.whole_files import sha256
from stages.runner.stage import ShardStage
from stages.tokens.grouping import grouped
from stages.tokens.round_trip import REMEDY, unknown_id
from stages.tokens.text_pieces import cutter
from stages.tokens.tokenizer import END_OF_TEXT, load_tokenizer

BATCH_CHARS = 2**18
TABLE_TOKENS = 2**22


def tokenize(documents: pa.Table, tokenizer: Path) -> Iterator[pa.Table]:
    """TOKENS of every document, in tables of about `TABLE_TOKENS` tokens or one longer document. Nothing is
    truncated or normalised, so decoding gives the text back.

    Raises:
        Failure: (exit code 2) for text that must be encoded whole and is too long for that, see
            `stages.tokens.text_pieces`, and for text that the tokenizer has no tokens for.
    """
    encoder = load_tokenizer(tokenizer)
    digest = sha256(tokenizer / "tokenizer.json")
    unknown = unknown_id(encoder)
    names = zip(documents.column("doc_id"), documents.column("split"), strict=True)
    texts = (text.as_py() for text in documents.column("text"))
    rows = (
        (doc_id.as_py(), split.as_py(), ids)
        for (doc_id, split), ids in zip(names, encode(texts, encoder), strict=True)
    )
    rows = (_known(row, unknown) for row in rows)
    for group in grouped(rows, lambda row: len(row[2]), TABLE_TOKENS):
        columns = {
            "doc_id": [doc_id for doc_id, _, _ in group],
            "split": [split for _, split, _ in group],
            "token_ids": list_column([ids for _, _, ids in group]),
        }
        yield TOKENS.table(columns, tokenizer=digest)


def _known(row: tuple[str, str, np.ndarray], unknown: int | None) -> tuple[str, str, np.ndarray]:
    """The row itself, if none of its tokens stands for text that has none."""
    doc_id, _, ids = row
    if unknown is not None and (lost := np.count_nonzero(ids[1:-1] == unknown)):
        cause = f"{lost:,} of its {len(ids):,} tokens are unknown, and what they stood for is lost"
        raise Failure(f"document {doc_id} cannot be tokenized", cause, REMEDY, Exit.USAGE)
    return row


def encode(texts: Iterable[str], encoder: Tokenizer) -> Iterator[np.ndarray]:
    """Token ids (uint32) of each text between two `<|endoftext|>`; the encoder holds `BATCH_CHARS` characters
    or one longer piece at once.

    `encoder` must have a `<|endoftext|>`, as one from `load_tokenizer` does. Raises like `tokenize`.
    """
    end = encoder.token_to_id(END_OF_TEXT)
    assert end is not None
    for _, parts in itertools.groupby(_encoded_pieces(texts, encoder), key=itemgetter(0)):
        # grows in place, so that the tokens of a long document never stand in memory twice
        ids = array("I", [end])
        for _, part in parts:
            ids.extend(part)
        ids.append(end)
        yield np.frombuffer(ids, np.uint32)


def _encoded_pieces(texts: Iterable[str], encoder: Tokenizer) -> Iterator[tuple[int, list[int]]]:
    """(number of the text, token ids of its next piece) in order; every text has at least one piece."""
    cut = cutter(encoder)
    stream = ((number, piece) for number, text in enumerate(texts) for piece in cut(text))
    for batch in grouped(stream, lambda item: len(item[1]), BATCH_CHARS):
        encodings = encoder.encode_batch_fast([piece for _, piece in batch], add_special_tokens=False)
        for (number, _), encoding in zip(batch, encodings, strict=True):
            yield number, encoding.ids


STAGE = ShardStage("tokenization", tokenize, (), (DOCUMENTS,), TOKENS, "tokens", sides=("tokenizer",))
