"""The passages of a corpus that may be retrieved, and the text of its documents that questions are made from.

A passage is a few consecutive chunks of a train document. Blocks of passages are held out by hash: they are
in no index, no reader ever sees them, and questions to evaluate with are made from them. Their documents
stay, because what a sentence about a person leaves out is said elsewhere in the same book and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from data_contracts.contract import Artifact
from data_contracts.tokens import list_rows
from stages.realm.layout import Layout, plain, rows_of
from stages.tokens.chunk_texts import bytes_of_tokens, texts_of_chunks

BLOCK = 8  # consecutive passages that are held out together, so that few sentences lie half in them


class Document(NamedTuple):
    """A document's passages: their texts, which joined are the document's, and the number of each among all,
    -1 for those held out.
    """

    doc_id: str
    texts: list[str]
    numbers: np.ndarray


class Passages(NamedTuple):
    """What may be retrieved, X passages: rows for the embedder, words, document and first chunk of each;
    `cut` had more tokens than a row has room for, `held_out` are no passages."""

    rows_XT: np.ndarray
    plain: list[str]
    doc_ids: list[str]
    first_chunks: np.ndarray
    cut: int
    held_out: int


def read_documents(
    chunks: Artifact, tokenizer: Tokenizer, chunks_each: int, most: int, held_out: float
) -> list[Document]:
    """The train documents in the order of the artifact, until there are `most` passages; the last is cut
    there.
    """
    bytes_of, documents, held = bytes_of_tokens(tokenizer), list[Document](), 0
    for doc_id, pieces in _train_documents(chunks):
        texts = texts_of_chunks(bytes_of, pieces)
        texts = ["".join(texts[begin : begin + chunks_each]) for begin in range(0, len(texts), chunks_each)]
        kept = np.array([not _is_held_out(doc_id, number, held_out) for number in range(len(texts))])
        numbers = np.where(kept, held + np.cumsum(kept) - 1, -1)[
            : np.searchsorted(np.cumsum(kept), most - held, "left") + 1
        ]
        documents.append(Document(doc_id, texts[: len(numbers)], numbers))
        held += int((numbers >= 0).sum())
        if held >= most:
            break
    return documents


def passages_of(
    documents: list[Document], tokenizer: Tokenizer, chunks_each: int, layout: Layout
) -> Passages:
    """All that may be retrieved of some documents."""
    found = [
        (plain(text), document.doc_id, place * chunks_each)
        for document in documents
        for place, (text, number) in enumerate(zip(document.texts, document.numbers, strict=True))
        if number >= 0
    ]
    texts = [text for text, _, _ in found]
    rows_XT, cut = rows_of([encoded.ids for encoded in tokenizer.encode_batch(texts)], layout.passage, layout)
    held_out = sum(len(document.texts) for document in documents) - len(found)
    return Passages(
        rows_XT,
        texts,
        [doc_id for _, doc_id, _ in found],
        np.array([first for _, _, first in found]),
        cut,
        held_out,
    )


def _train_documents(chunks: Artifact) -> Iterator[tuple[str, list[np.ndarray]]]:
    for shard in chunks.shards:
        table = chunks.read(shard, ["doc_id", "split", "token_ids"])
        frame = pl.DataFrame(
            {"doc_id": table.column("doc_id").to_pylist(), "split": table.column("split").to_pylist()}
        ).with_row_index()
        rows = list_rows(table.column("token_ids"))
        train = frame.filter(pl.col("split") == "train").group_by("doc_id", maintain_order=True).agg("index")
        for doc_id, numbers in train.iter_rows():
            yield doc_id, [rows[number] for number in numbers]


def _is_held_out(doc_id: str, passage: int, share: float) -> bool:
    digest = hashlib.sha256(f"realm {doc_id} {passage // BLOCK}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
