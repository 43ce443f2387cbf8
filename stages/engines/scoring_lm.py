"""What every scoring engine offers: the log-probability of a target chunk after a candidate pair and a query
chunk.

The reference LM reads (c_j, c_j+1, c_q, c_t) as one prompt of four chunks and scores c_t (paper section 3.2,
"Retrieval-Pretrained Transformer", arXiv 2306.13421). The prefix (c_j, c_j+1) recurs for many queries, so
prefixes and suffixes (c_q, c_t) come apart. Chunks have one length where the reference LM has the tokens of
the corpus, and lengths of their own, `Pieces`, where it has others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from model.decoder_config import DecoderConfig
from model.hugging_face_files import digest, tokenizer_digest

Progress = Callable[[int, int], None]


class Pieces(NamedTuple):
    """Prompts whose chunks have lengths of their own: each was tokenised by itself, by the tokenizer of the
    reference LM.

    Attributes:
        prefixes: the tokens of each (c_j, c_j+1), int32 [any length].
        queries: those of each c_q, at least one.
        targets: those of each c_t, which follows the query of the same row.
        pairs_n2: int [n, 2], a row of prefixes and a row of queries and targets per pair, in any order.
    """

    prefixes: Sequence[np.ndarray]
    queries: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    pairs_n2: np.ndarray


class ScoringLM(Protocol):
    """A reference LM ready to score; ordering, batching and sharing of prefixes are the engine's business."""

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Sums of log-probabilities of the two halves of each pair's target chunk.

        Args:
            prefixes_PT: int32 [P, 128], the tokens of (c_j, c_j+1).
            suffixes_ST: int32 [S, 128], the tokens of (c_q, c_t).
            pairs_n2: int [n, 2], a prefix row and a suffix row per pair, in any order.
            progress: called with (pairs done, pairs in all), never with less than before.

        Returns:
            float32 [n, 2] in nats and in the order of the pairs: target tokens 0-31 and 32-63. Their sum is
            the label's log-probability.

        Raises:
            ValueError: if shapes differ from these, an index lies outside its array, or a token outside the
                vocabulary.
        """
        ...

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """Sums of log-probabilities of the two halves of each pair's target, of which the first has the
        smaller half of an odd number.

        Returns:
            float32 [n, 2] in nats and in the order of the pairs.

        Raises:
            ValueError: if a prompt is longer than the reference LM takes, a query is empty, an index lies
                outside its sequence, or a token outside the vocabulary.
        """
        ...

    def identity(self) -> dict[str, str]:
        """What decides the scores: engine, version, device, weights digest, tokenizer digest, dtype, layout,
        and the batch if it matters.

        Equal identities, mergeable scores. It is known without loading weights. Whether it fixes the last
        bits is the engine's to say.
        """
        ...


def check_pairs(
    config: DecoderConfig, prefixes_PT: np.ndarray, suffixes_ST: np.ndarray, pairs_n2: np.ndarray
) -> None:
    """Refuses input that would be scored as something else: engines clip or wrap indices in silence.

    Raises:
        ValueError: naming the array, the value and the limit.
    """
    if (
        prefixes_PT.ndim != 2
        or suffixes_ST.ndim != 2
        or pairs_n2.ndim != 2
        or pairs_n2.shape[1] != 2
        or suffixes_ST.shape[1] % 4
    ):
        raise ValueError(
            f"prefixes {prefixes_PT.shape}, suffixes {suffixes_ST.shape} and pairs {pairs_n2.shape} must be"
            " [P, T], [S, T] and [n, 2], a suffix being two chunks of even length"
        )
    _check_length(prefixes_PT.shape[1] + suffixes_ST.shape[1], config.longest_prompt)
    _check_range("prefixes", prefixes_PT, config.vocab_size)
    _check_range("suffixes", suffixes_ST, config.vocab_size)
    _check_range("pairs (prefix row)", pairs_n2[:, 0], len(prefixes_PT))
    _check_range("pairs (suffix row)", pairs_n2[:, 1], len(suffixes_ST))


def check_pieces(config: DecoderConfig, pieces: Pieces, longest_prompt: int) -> None:
    """Refuses pieces that would be scored as something else, or with a prompt of more than `longest_prompt`
    tokens.

    Raises:
        ValueError: naming what is wrong, the value and the limit.
    """
    if len(pieces.queries) != len(pieces.targets) or not all(map(len, pieces.queries)):
        raise ValueError(
            f"{len(pieces.queries)} queries and {len(pieces.targets)} targets must be as many, and no query"
            " empty; use a larger chunk"
        )
    _check_range("pairs (prefix row)", pieces.pairs_n2[:, 0], len(pieces.prefixes))
    _check_range("pairs (suffix row)", pieces.pairs_n2[:, 1], len(pieces.queries))
    for name, rows in (
        ("prefixes", pieces.prefixes),
        ("queries", pieces.queries),
        ("targets", pieces.targets),
    ):
        _check_range(name, np.concatenate([np.empty(0, np.int32), *rows]), config.vocab_size)
    if len(pieces.pairs_n2):
        _check_length(int(prompt_lengths(pieces).max()), longest_prompt)


def lengths(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Tokens of each row, int64 [rows]."""
    return np.array([len(row) for row in rows], np.int64)


def prompt_lengths(pieces: Pieces) -> np.ndarray:
    """Tokens of the prompt of each pair, int64 [n]."""
    return (
        lengths(pieces.prefixes)[pieces.pairs_n2[:, 0]]
        + (lengths(pieces.queries) + lengths(pieces.targets))[pieces.pairs_n2[:, 1]]
    )


def _check_length(length: int, longest_prompt: int) -> None:
    if length > longest_prompt:
        raise ValueError(
            f"a prompt has {length} tokens, the reference LM takes {longest_prompt}; use a smaller chunk or"
            " another model"
        )


def _check_range(name: str, values: np.ndarray, limit: int) -> None:
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < limit:
        raise ValueError(
            f"{name} run from {values.min()} to {values.max()}, allowed are 0 to {limit - 1}; "
            "tokens, chunks and reference LM must belong together"
        )


def identity_of(directory: Path, engine: str, version: str, device: str, dtype: str) -> dict[str, str]:
    """The fields of `ScoringLM.identity` for the reference LM in `directory`; `layout` says what is put
    before what, and what is summed.
    """
    return {
        "engine": engine,
        "version": version,
        "device": device,
        "weights": digest(directory),
        "tokenizer": tokenizer_digest(directory),
        "dtype": dtype,
        "layout": "c_j c_j+1 c_q c_t, sums over halves of c_t",
    }


def candidate_major(pairs_n2: np.ndarray) -> np.ndarray:
    """The order that visits each prefix once, with all its suffixes: int [n] positions in `pairs_n2`."""
    return np.lexsort((pairs_n2[:, 1], pairs_n2[:, 0]))
