"""How texts become rows of numbers: [CLS] text [SEP] for the embedder, [CLS] x [SEP] z [SEP] for the reader.

The tokens are the corpus's own; four more stand behind them. White space is one space, as BERT reads it, so
that a name has the same tokens wherever a line ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from stages.tokens.tokenizer import vocabulary_size

SPECIAL = 4
# a chunk may begin inside a word, which then has more tokens than it had, and so may what stands at a line's
# end
SLACK = 8


class Layout(NamedTuple):
    """The numbers of the four special tokens, and how many tokens a row of a query or a passage has at most,
    with them.
    """

    pad: int
    first: int
    between: int
    mask: int
    query: int
    passage: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, query: int, passage: int) -> Layout:
        """The layout for the tokens of a corpus; `query` and `passage` are tokens of text, of a passage a few
        more.
        """
        behind = vocabulary_size(tokenizer)
        return cls(behind, behind + 1, behind + 2, behind + 3, query + 2, passage + SLACK + 2)

    @property
    def vocabulary(self) -> int:
        """Tokens with the special ones."""
        return self.pad + SPECIAL

    @property
    def read(self) -> int:
        """Tokens of a row for the reader at most."""
        return self.query + self.passage - 1


def plain(text: str) -> str:
    """The words of a text, each with one space before it."""
    return "".join(f" {word}" for word in text.split())


def rows_of(texts: list[list[int]], length: int, layout: Layout) -> tuple[np.ndarray, int]:
    """[X, length] `[CLS] text [SEP]`, padded; and how many texts had to be cut."""
    rows = np.full((len(texts), length), layout.pad, np.int32)
    for row, text in zip(rows, texts, strict=True):
        kept = text[: length - 2]
        row[: len(kept) + 2] = [layout.first, *kept, layout.between]
    return rows, sum(len(text) > length - 2 for text in texts)


def null_row(layout: Layout) -> np.ndarray:
    """[T] the null document: an empty text, which the embedder sees like any other."""
    return rows_of([[]], layout.passage, layout)[0][0]


def joined(queries_BT: np.ndarray, passages_BNT: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """[B, N, R] each query with each of its passages behind it, without a gap, and which tokens are the
    passage's: 1, those of the query and of what fills the row 0."""
    rows, candidates, _ = passages_BNT.shape
    read, types = (np.full((rows, candidates, layout.read), value, np.int32) for value in (layout.pad, 0))
    for row, query in enumerate(queries_BT):
        begin = int((query != layout.pad).sum())
        end = min(begin + layout.passage - 1, layout.read)
        read[row, :, :begin] = query[:begin]
        read[row, :, begin:end] = passages_BNT[row, :, 1 : end - begin + 1]
        types[row, :, begin:end] = read[row, :, begin:end] != layout.pad
    return read, types
