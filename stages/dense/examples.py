"""The examples a dense retriever is trained on (paper appendix C): positive BM25's first chunk, hard negative
its fifth.

BM25's query is (c_q, c_t), as for labels, while the encoder reads c_q alone: at test there is no c_t. What is
encoded of a chunk that may be retrieved is c_j alone, which is what BM25 ranked; a system then reads it with
its continuation, whoever found it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from data_contracts.contract import Artifact
from stages.dense.training import Examples

POSITIVE, HARD_NEGATIVE = 0, 4
"""Ranks, 0 = best."""


def training_examples(
    chunks: Artifact, candidates: Artifact, queries: int, seed: int
) -> tuple[Examples, int]:
    """At most `queries` training queries with their positive and hard negative; and how many that were met
    have no hard negative.

    Shards are read in random order until they hold enough, so that memory does not grow with the corpus.
    """
    rng, names, tokens = np.random.default_rng(seed), list(chunks.shards), chunks.fact("chunk_tokens")
    parts, held, short = [np.empty((0, 3, tokens), np.int32)], 0, 0
    for number in rng.permutation(len(names)).tolist():
        found_E3M, without = _shard_examples(
            _train(chunks, names[number]), _train(candidates, names[number]), tokens
        )
        parts, held, short = [*parts, found_E3M], held + len(found_E3M), short + without
        if held >= queries:
            break
    all_E3M = np.concatenate(parts)
    chosen_E3M = all_E3M[np.sort(rng.permutation(len(all_E3M))[:queries])]
    return Examples(chosen_E3M[:, 0], chosen_E3M[:, 1], chosen_E3M[:, 2], _names(chosen_E3M[:, 1:])), short


def _train(artifact: Artifact, shard: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(artifact.read(shard))).filter(pl.col("split") == "train")


def _shard_examples(chunks: pl.DataFrame, candidates: pl.DataFrame, tokens: int) -> tuple[np.ndarray, int]:
    """[E, 3, M] tokens of the query, positive and hard negative of each example, and the number of queries
    left out.
    """
    mined = candidates.filter(pl.col("query_form") == "qt")
    positive, negative = (
        mined.filter(pl.col("rank") == rank).select(
            "doc_id", "query_chunk", pl.col("candidate_chunk").alias(name)
        )
        for name, rank in (("positive", POSITIVE), ("negative", HARD_NEGATIVE))
    )
    found = positive.join(negative, on=["doc_id", "query_chunk"], maintain_order="left")
    begins = chunks.with_row_index("begin").group_by("doc_id").agg(pl.col("begin").min().cast(pl.Int64))
    placed = found.join(begins, on="doc_id", maintain_order="left")
    rows_E3 = placed.select(pl.col("query_chunk", "positive", "negative") + pl.col("begin")).to_numpy()
    values = chunks["token_ids"].gather(rows_E3.reshape(-1)).explode().to_numpy()
    return values.reshape(len(found), 3, tokens).astype(np.int32), len(positive) - len(found)


def _names(passages_E2M: np.ndarray) -> np.ndarray:
    """[E, 2] a number for each chunk, the same for the same tokens."""
    rows = np.ascontiguousarray(passages_E2M.reshape(-1, passages_E2M.shape[-1]))
    _, names = np.unique(rows.view(f"V{rows.strides[0]}"), return_inverse=True)
    return names.reshape(passages_E2M.shape[:2]).astype(np.int32)
