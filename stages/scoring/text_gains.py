"""What a candidate does to each token of a target where the reference LM has another tokenizer: the tokens
are the reference LM's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
from tokenizers import Tokenizer

from stages.engines import jax_pieces
from stages.engines.scoring_lm import Pieces, lengths
from stages.scoring.token_gains import PREFIXES, TokenGains, check_whole
from stages.tokens.chunk_texts import bytes_of_tokens, texts_of_chunks
from stages.tokens.scorer_tokens import load_scorer_tokenizer, scorer_tokens
from stages.tokens.token_texts import token_texts
from stages.tokens.tokenizer import load_tokenizer


class TextGains:
    """The reference LM in `directory`, loaded when it is first asked, and the tokenizer of the corpus that it
    reads as text.
    """

    def __init__(self, directory: Path, tokenizer: Path):
        self._lm, self._directory, self._corpus = TokenGains(directory), directory, tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_scorer_tokenizer(self._directory)

    @cached_property
    def _bytes_of(self) -> list[bytes]:
        return bytes_of_tokens(load_tokenizer(self._corpus))

    def pieces(self, chunks: Sequence[np.ndarray], chunk: int) -> list[str]:
        """The text of one of a document's `chunks`, a piece a token of the reference LM.

        Raises:
            Failure: (exit code 3) if a tokenizer cannot be read or loses text.
        """
        (ids,) = scorer_tokens(self._tokenizer, [texts_of_chunks(self._bytes_of, chunks)[chunk]])
        return token_texts(self._tokenizer, ids.tolist())

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """How much more likely, in nats, each candidate makes each token of the target than the local context
        does, float32 [n, tokens].

        A row sums to the pair's s_t. Raises like `TokenGains.gains` and `pieces`.
        """
        asked = [query - 2, *candidates]
        check_whole(chunks, query, asked)
        texts = texts_of_chunks(self._bytes_of, chunks)
        numbers = sorted({query, query + 1, *asked, *(j + 1 for j in asked)})
        tokens = dict(
            zip(numbers, scorer_tokens(self._tokenizer, [texts[number] for number in numbers]), strict=True)
        )
        prefixes = [np.concatenate([tokens[j], tokens[j + 1]]) for j in asked]
        logprobs = self._logprobs(
            Pieces(
                prefixes, [tokens[query]], [tokens[query + 1]], np.array([[j, 0] for j in range(len(asked))])
            )
        )
        return logprobs[1:] - logprobs[0]

    def _logprobs(self, pieces: Pieces) -> np.ndarray:
        """Log-probabilities of the tokens of the one target after each prefix, `PREFIXES` of them
        at a time.
        """
        config, params = self._lm.model
        rows, count = [], len(pieces.prefixes)
        prefix_shape = int(jax_pieces.padded_lengths(lengths(pieces.prefixes)).max())
        suffix_shape = int(jax_pieces.padded_lengths(lengths([*pieces.queries, *pieces.targets])).max())
        with jax.default_matmul_precision("highest"):
            for start in range(0, count, PREFIXES):
                part = np.resize(np.arange(start, min(start + PREFIXES, count)), PREFIXES)
                kv = jax_pieces.prefixes_of(
                    params, config, [pieces.prefixes[row] for row in part.tolist()], prefix_shape
                )
                suffixes = jax_pieces.padded(pieces, part, np.arange(PREFIXES), suffix_shape)
                rows.append(
                    np.asarray(jax_pieces.compiled_logprobs(params, config, kv, suffixes))[: count - start]
                )
        return np.concatenate(rows)[:, : len(pieces.targets[0])]
