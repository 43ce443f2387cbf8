"""Documents in which only retrieval can help: random records, some of which return verbatim beyond the
visible window.

A document is a row of pairs of chunks: a header, which is a mark and a random key, and a record of random
tokens. A pair is fresh, or repeats an earlier one. The header of a repeat is the query; an earlier header
that reads the same is a true neighbour of it, for the record that follows there follows here as well. Nothing
that self-attention can see tells anything about a record.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_contracts.eligibility import is_eligible, last_eligible
from model.config import ModelConfig
from model.language_model import Batch

MARK = 0  # the first token of every header and no other token
PAIR = 2  # chunks: header and record
REPEATS = 0.8  # chance that a pair repeats one, where there is one to repeat


class Planted(NamedTuple):
    """[B, L + 1] tokens, and [B, P] the first occurrence of each pair, which is its own number if it is
    fresh.
    """

    text_BL1: np.ndarray
    first_BP: np.ndarray

    def sources(self) -> np.ndarray:
        """[B, C] the header of the first occurrence for the header of a repeat, -1 for any other chunk."""
        sources = np.full((*self.first_BP.shape, PAIR), -1, np.int32)
        sources[..., 0] = np.where(
            self.first_BP < np.arange(self.first_BP.shape[1]), PAIR * self.first_BP, -1
        )
        return sources.reshape(len(sources), -1)

    def true_neighbours(self) -> np.ndarray:
        """[B, C, C] whether the row's chunk is a header and the column's one that reads the same."""
        same = np.zeros((*self.first_BP.shape, PAIR, self.first_BP.shape[1], PAIR), bool)
        same[:, :, 0, :, 0] = self.first_BP[:, :, None] == self.first_BP[:, None, :]
        return same.reshape(len(same), PAIR * same.shape[1], -1)

    def repeated_positions(self, chunk_tokens: int) -> np.ndarray:
        """[B, L] the positions that predict a repeated record, which are those that the neighbours of its
        header serve.
        """
        header = np.repeat(self.sources() >= 0, chunk_tokens, axis=1)
        return np.pad(header, ((0, 0), (chunk_tokens - 1, 0)))[:, : header.shape[1]]


def planted_documents(rng: np.random.Generator, config: ModelConfig, documents: int, pairs: int) -> Planted:
    """Documents of `pairs` pairs, each with records of its own."""
    first_BP = np.stack([_first_occurrences(rng, pairs, config.stride_chunks) for _ in range(documents)])
    fresh = rng.integers(
        MARK + 1, config.vocabulary_size, (documents, pairs, PAIR * config.chunk_tokens), np.int32
    )
    fresh[..., 0] = MARK
    text = np.take_along_axis(fresh, first_BP[..., None], axis=1).reshape(documents, -1)
    return Planted(np.pad(text, ((0, 0), (0, 1)), constant_values=MARK), first_BP)


def _first_occurrences(rng: np.random.Generator, pairs: int, stride_chunks: int) -> np.ndarray:
    """A pair that still is visible, at any occurrence, is not repeated."""
    first = np.arange(pairs)
    for pair in range(pairs):
        reachable = max(0, last_eligible(PAIR * pair, stride_chunks) // PAIR + 1)
        beyond = np.setdiff1d(first[:reachable], first[reachable:pair])
        if len(beyond) and rng.random() < REPEATS:
            first[pair] = rng.choice(beyond)
    return first


def wrong_neighbours(rng: np.random.Generator, planted: Planted, config: ModelConfig) -> np.ndarray:
    """[B, C] by chance an eligible chunk that is no true neighbour, -1 where there is none."""
    chunk = np.arange(PAIR * planted.first_BP.shape[1])
    allowed = is_eligible(chunk[:, None], chunk, config.stride_chunks) & ~planted.true_neighbours()
    draws = np.where(allowed, rng.random(allowed.shape), -1.0)
    return np.where(allowed.any(axis=-1), draws.argmax(axis=-1), -1).astype(np.int32)


def planted_batch(planted: Planted, config: ModelConfig) -> Batch:
    """What training is given: all eligible headers scored for every chunk, true neighbours with all there is
    to gain, others below 0.
    """
    headers, chunk = PAIR * np.arange(planted.first_BP.shape[1]), np.arange(PAIR * planted.first_BP.shape[1])
    scores = np.where(
        planted.true_neighbours()[..., headers], config.chunk_tokens * np.log(config.vocabulary_size), -1.0
    ).astype(np.float32)
    candidates = np.where(is_eligible(chunk[:, None], headers, config.stride_chunks), headers, -1).astype(
        np.int32
    )
    tokens, targets = planted.text_BL1[:, :-1], planted.text_BL1[:, 1:]
    labelled = np.ones(scores.shape[:2], bool)
    supervision = np.broadcast_to(candidates, scores.shape), scores, labelled
    return Batch(tokens, targets, np.ones(targets.shape, bool), *supervision, np.ones(len(tokens), bool))
