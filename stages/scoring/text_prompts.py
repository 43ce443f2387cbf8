"""Prompts made of text, for a reference LM whose tokenizer is not the corpus's: any LM labels any corpus.

Chunks stay those of the corpus. Each of the four of a prompt is tokenised by itself, so a target has the same
tokens after every candidate and after the local context, and s_t is in nats of the same text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from stages.engines.scoring_lm import Pieces, Progress, ScoringLM
from stages.scoring.pairs import ShardPrompts
from stages.tokens.chunk_texts import texts_of_chunks
from stages.tokens.scorer_tokens import scorer_tokens


class TextPrompts(ShardPrompts):
    """As `ShardPrompts`, with chunks as text in the tokens of the reference LM.

    Args:
        chunks: those of a shard, in which documents are whole.
        chunk_tokens: of the corpus.
        bytes_of: what each token of the corpus stands for, see `stages.tokens.chunk_texts.bytes_of_tokens`.
        scorer_tokenizer: that of the reference LM.
    """

    def __init__(
        self, chunks: pa.Table, chunk_tokens: int, bytes_of: Sequence[bytes], scorer_tokenizer: Tokenizer
    ):
        super().__init__(chunks, chunk_tokens)
        self._bytes_of, self._scorer_tokenizer = bytes_of, scorer_tokenizer
        self._first, rows = (self._documents.sort("first")[name].to_numpy() for name in ("first", "rows"))
        self._end = self._first + rows
        self._known = dict[int, list[np.ndarray]]()

    def _halves(
        self,
        engine: ScoringLM,
        prefixes: np.ndarray,
        suffixes: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None,
    ) -> np.ndarray:
        """As `ShardPrompts._halves`.

        Raises:
            Failure: (exit code 3) for text that the tokenizer of the reference LM does not give back.
        """
        pieces = Pieces(
            [np.concatenate([self._piece(row), self._piece(row + 1)]) for row in prefixes.tolist()],
            [self._piece(row) for row in suffixes.tolist()],
            [self._piece(row + 1) for row in suffixes.tolist()],
            pairs_n2,
        )
        return engine.score_pieces(pieces, progress)

    def _piece(self, row: int) -> np.ndarray:
        """The chunk of one row of the shard in the reference LM's tokens; its document is tokenised once."""
        number = int(np.searchsorted(self._first, row, side="right")) - 1
        first, end = int(self._first[number]), int(self._end[number])
        if number not in self._known:
            chunks = [self.tokens[self.begins[at] : self.begins[at + 1]] for at in range(first, end)]
            self._known[number] = scorer_tokens(
                self._scorer_tokenizer, texts_of_chunks(self._bytes_of, chunks)
            )
        return self._known[number][row - first]
