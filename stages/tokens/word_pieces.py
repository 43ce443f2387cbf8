"""Chunks of a corpus in the word pieces of a BERT: decoded to text, and cut anew by BERT's own tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_contracts.failure import Exit, Failure
from stages.tokens.tokenizer import load_tokenizer
from stages.tokens.tokenizer_file import read_tokenizer

ROUND = 32  # lengths are multiples of it, so that few programs are compiled
BLOCK = 4096  # chunks that are encoded at a time: an encoding holds kilobytes beside its ids


class WordPieces:
    """`[CLS] text [SEP]` of each chunk. Text that spells a special piece stays text; the ends of documents
    are no text.

    Rows have between `shortest` and `longest` pieces; what is encoded of a chunk with both the same depends
    on that chunk alone.

    Raises:
        Failure: (exit code 2) if BERT's tokenizer cannot be read, has more pieces than the model, or does not
            put one before and one after a text.
    """

    def __init__(
        self, corpus: Path, bert: Path, vocabulary_size: int, pad: int, shortest: int, longest: int
    ) -> None:
        self._corpus, self._bert = load_tokenizer(corpus), read_tokenizer(bert / "tokenizer.json")
        self._bert.encode_special_tokens = True
        self._bert.no_padding()
        self._bert.no_truncation()
        self.pad, self.shortest, self.longest = pad, shortest, longest
        if self._bert.get_vocab_size() > vocabulary_size:
            cause = (
                f"its tokenizer.json has {self._bert.get_vocab_size():,} pieces, its model"
                f" {vocabulary_size:,}"
            )
            raise Failure(
                f"{bert} cannot be the encoder",
                cause,
                "take the tokenizer.json that came with the weights",
                Exit.USAGE,
            )
        if len(self._bert.encode("").ids) != 2:
            cause = "its tokenizer.json does not put [CLS] before a text and [SEP] after it"
            raise Failure(
                f"{bert} cannot be the encoder",
                cause,
                "take that of a BERT such as google-bert/bert-base-uncased",
                Exit.USAGE,
            )

    def __call__(self, chunks_XM: np.ndarray) -> tuple[np.ndarray, int]:
        """[X, T] the pieces of each chunk, padded to a multiple of 32, and how many chunks were cut because
        they have over `longest`.
        """
        pieces = [
            ids
            for begin in range(0, len(chunks_XM), BLOCK)
            for ids in self._encoded(chunks_XM[begin : begin + BLOCK])
        ]
        widest = max(map(len, pieces), default=1)
        width = min(self.longest, max(self.shortest, -(-widest // ROUND) * ROUND))
        padded_XT = np.full((len(pieces), width), self.pad, np.int32)
        for row, ids in zip(padded_XT, pieces, strict=True):
            kept = ids if len(ids) <= self.longest else [*ids[: self.longest - 1], ids[-1]]
            row[: len(kept)] = kept
        return padded_XT, sum(len(ids) > self.longest for ids in pieces)

    def _encoded(self, chunks_XM: np.ndarray) -> list[list[int]]:
        texts = self._corpus.decode_batch(chunks_XM.tolist(), skip_special_tokens=True)
        return [encoding.ids for encoding in self._bert.encode_batch(texts)]
