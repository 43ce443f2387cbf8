"""The index of REALM: a vector for each passage, made by the embedder as it was after some update, searched
by inner product.

It moves: while training goes on an index falls behind the weights, so each has a version and says from which
update it was built. Nothing here waits or runs beside something else; who embeds where is the business of
`building.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import faiss
import jax
import numpy as np

from data_contracts.failure import Exit, Failure
from model.baselines.realm import Embedder
from model.parameters import Architecture, Parameters

ROWS = 256
MARGIN = 4

faiss.omp_set_num_threads(1)


class Found(NamedTuple):
    """[B, N] passages of each query, the best first; how many better ones were left out because they are
    trivial.
    """

    ids_BN: np.ndarray
    trivial: int


def embed(architecture: Architecture[Embedder], parameters: Parameters, rows_XT: np.ndarray) -> np.ndarray:
    """[X, E] the vector of each row, computed in blocks of one size, so that one compilation serves them all.

    Raises:
        ValueError: if a vector is not finite.
    """
    blocks = -(-len(rows_XT) // ROWS)
    padded = np.concatenate((rows_XT, np.repeat(rows_XT[:1], blocks * ROWS - len(rows_XT), axis=0)))
    program = _compiled(architecture)
    vectors_XE = np.concatenate(
        [np.asarray(program(parameters, block)) for block in np.split(padded, blocks)]
    )[: len(rows_XT)]
    if wrong := int((~np.isfinite(vectors_XE).all(axis=1)).sum()):
        raise ValueError(
            f"{wrong} of {len(vectors_XE)} vectors of passages are not finite: lower the learning rate and"
            " train again"
        )
    return vectors_XE


class Index:
    """X vectors [X, E] in Faiss; `version` is its number among those of a training, from 1, `built_from` the
    updates done when its weights were taken."""

    def __init__(self, keys_XE: np.ndarray, version: int = 1, built_from: int = 0) -> None:
        self.keys_XE, self.version, self.built_from = (
            np.ascontiguousarray(keys_XE, np.float32),
            version,
            built_from,
        )
        self._faiss = faiss.IndexFlatIP(keys_XE.shape[1])
        self._faiss.add(self.keys_XE)

    def search(
        self,
        queries_BE: np.ndarray,
        count: int,
        trivial: Callable[[int, int], bool] = lambda query, passage: False,
    ) -> Found:
        """The `count` passages of largest inner product that are not trivial for their query, exactly.

        Raises:
            Failure: (exit code 2) if a query has fewer than `count`.
        """
        most, queries_BE = len(self.keys_XE), np.ascontiguousarray(queries_BE, np.float32)
        ids_BN, left_out, fetched = np.empty((len(queries_BE), count), np.int64), 0, min(most, count + MARGIN)
        waiting = np.arange(len(queries_BE))
        while len(waiting):
            _, best = self._faiss.search(queries_BE[waiting], fetched)
            short = []
            for query, ranked in zip(waiting.tolist(), best.tolist(), strict=True):
                kept, dropped = _without_trivial(ranked, count, query, trivial)
                if len(kept) == count:
                    ids_BN[query], left_out = kept, left_out + dropped
                else:
                    short.append(query)
            if short and fetched == most:
                raise too_few(short[0], count, most)
            waiting, fetched = np.array(short, int), min(most, 4 * fetched)
        return Found(ids_BN, left_out)


def too_few(query: int, count: int, most: int) -> Failure:
    """What is said where a question is left with too few passages, because its own are left out."""
    cause = f"question {query} has fewer than {count} of the {most} passages, without those that hold it"
    return Failure(
        "too few passages for REALM", cause, "lower realm_start.candidates, or give more text", Exit.USAGE
    )


def recall(found_BN: np.ndarray, truth_BN: np.ndarray) -> float:
    """The share of what the second found that the first found, too."""
    return sum(len(np.intersect1d(*rows)) for rows in zip(found_BN, truth_BN, strict=True)) / truth_BN.size


def _without_trivial(
    ranked: Sequence[int], count: int, query: int, trivial: Callable[[int, int], bool]
) -> tuple[list[int], int]:
    kept, dropped = list[int](), 0
    for passage in ranked:
        if len(kept) == count:
            break
        if trivial(query, passage):
            dropped += 1
        else:
            kept.append(passage)
    return kept, dropped


@lru_cache(maxsize=4)
def _compiled(architecture: Architecture[Embedder]) -> Callable[[Parameters, np.ndarray], jax.Array]:
    return jax.jit(lambda parameters, rows_XT: architecture.model(parameters)(rows_XT))
