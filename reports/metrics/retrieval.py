"""Retrieval against gold: Precision@2, Recall@10 and nDCG@20 (paper section 5.1, Table 3), each beside what
chance gets.

Gold is what the reference LM scored: the positive candidates (s_t > 0) among the S scored. The ranked list is
all eligible chunks, and a chunk that was not scored counts as not relevant. In `rerank` the list is the S
scored candidates alone. In `exhaustive` all eligible chunks were scored, for a sample of queries, so that
gold owes nothing to who proposed candidates.

What a system did not rank follows its ranking in random order: figures are expected values over that order,
in closed form, since every unranked chunk has the same chance at every place that is left. Chance is the same
of a ranking of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts import counting
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH

HIGHEST_RELEVANCE = 8.0  # nats per token
CUTS = {"precision_at_2": 2, "recall_at_10": 10, "ndcg_at_20": RANKING_LENGTH}
DISCOUNT_P = 1 / np.log2(2 + np.arange(RANKING_LENGTH))
QUERY = ["doc_id", "chunk"]


@dataclass(frozen=True)
class Gold:
    """`queries` Q: doc_id, chunk, eligible, scored, positives, gain (their sum), ideal (DCG@20 of the best
    order); `scored`: a row a scored candidate with its gain, which is 0 unless s_t > 0."""

    queries: pl.DataFrame
    scored: pl.DataFrame


def gold_of(labels: pl.DataFrame, chunk_tokens: int, stride_chunks: int) -> Gold:
    """Gold of every scored query; the gain of a positive is 2^min(t, 8) - 1 with t = s_t per target token."""
    relevance = pl.min_horizontal(pl.col("target_score") / chunk_tokens, HIGHEST_RELEVANCE)
    gain = pl.when(pl.col("target_score") > 0).then(2.0**relevance - 1).otherwise(0.0)
    chunk = pl.col("query_chunk").cast(pl.Int32).alias("chunk")
    scored = labels.select(
        "doc_id", chunk, pl.col("candidate_chunk").cast(pl.Int32).alias("candidate"), gain.alias("gain")
    )
    place = pl.int_range(pl.len()).over(QUERY)
    ordered = scored.sort(*QUERY, "gain", descending=[False, False, True]).with_columns(place.alias("place"))
    discount = pl.when(pl.col("place") < RANKING_LENGTH).then(1 / (pl.col("place") + 2).log(2)).otherwise(0.0)
    queries = ordered.group_by(QUERY, maintain_order=True).agg(
        counting.rows().alias("scored"),
        counting.how_many(pl.col("gain") > 0).alias("positives"),
        counting.in_order(pl.col("gain")),
        counting.in_order(pl.col("gain") * discount).alias("ideal"),
    )
    eligible = np.maximum(0, last_eligible(queries["chunk"].to_numpy(), stride_chunks) + 1)
    return Gold(queries.with_columns(pl.Series("eligible", eligible)), scored)


def bm25_ranking(candidates: pl.DataFrame) -> pl.DataFrame:
    """The first 20 BM25 candidates of every query chunk alone, the form in which test queries ask: doc_id,
    chunk, ranking.
    """
    rows = candidates.filter((pl.col("query_form") == "q") & (pl.col("rank") < RANKING_LENGTH)).sort(
        "doc_id", "query_chunk", "rank"
    )
    found = rows.group_by("doc_id", pl.col("query_chunk").alias("chunk"), maintain_order=True).agg(
        pl.col("candidate_chunk").alias("ranking")
    )
    return found


def recency_ranking(gold: Gold) -> pl.DataFrame:
    """The 20 nearest eligible chunks of every query, the nearest first."""
    last = pl.col("eligible").cast(pl.Int32) - 1
    nearest = pl.int_ranges(last, pl.max_horizontal(last - RANKING_LENGTH, -1), -1, dtype=pl.Int32)
    return gold.queries.select(*QUERY, nearest.alias("ranking"))


def query_figures(gold: Gold, ranking: pl.DataFrame | None, *, rerank: bool = False) -> pl.DataFrame:
    """doc_id, chunk and each of `CUTS` for every query that has gold, by a ranking (doc_id, chunk, ranking)
    or, if it is None, by chance.

    A figure is null where it does not count. Recall and nDCG leave out queries without a positive. In
    `rerank` a figure at k counts only queries with at least 2 k scored candidates: among fewer, chance alone
    is near the best.
    """
    queries = gold.queries
    size_Q = queries["scored" if rerank else "eligible"].to_numpy()
    gain_QP = _expected(gold, ranking, size_Q, "gain", rerank)
    positive_QP = _expected(gold, ranking, size_Q, "positive", rerank)
    positives, ideal = queries["positives"].to_numpy(), queries["ideal"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {
            "precision_at_2": positive_QP[:, :2].sum(axis=1) / 2,
            "recall_at_10": positive_QP[:, :10].sum(axis=1) / positives,
            "ndcg_at_20": gain_QP @ DISCOUNT_P / ideal,
        }
    for name, cut in CUTS.items():
        counted = (size_Q >= 2 * cut if rerank else size_Q > 0) & (
            (positives > 0) | (name == "precision_at_2")
        )
        figures[name] = np.where(counted, figures[name], np.nan)
    return queries.select(*QUERY).with_columns(
        pl.Series(name, values, nan_to_null=True) for name, values in figures.items()
    )


@dataclass(frozen=True)
class Means:
    """Mean `figures` over the queries that count, by the names of `CUTS`; `counted` says how many of the
    `queries`, and `documents` in how many documents those of Precision@2 are."""

    figures: Mapping[str, float | None]
    counted: Mapping[str, int]
    documents: int
    queries: int
    queries_with_positive: int


def means(gold: Gold, figures: pl.DataFrame) -> Means:
    """The means of what `query_figures` gives."""
    counted = {name: figures.filter(pl.col(name).is_not_null()) for name in CUTS}
    return Means(
        figures={name: figures.select(pl.col(name).mean()).item() for name in CUTS},
        counted={name: len(rows) for name, rows in counted.items()},
        documents=counted["precision_at_2"]["doc_id"].n_unique(),
        queries=len(gold.queries),
        queries_with_positive=int((gold.queries["positives"] > 0).sum()),
    )


def _expected(
    gold: Gold, ranking: pl.DataFrame | None, size_Q: np.ndarray, what: str, rerank: bool
) -> np.ndarray:
    """[Q, 20] expected gain (or share of positives) at each place of the list."""
    worth = pl.col("gain") if what == "gain" else (pl.col("gain") > 0).cast(pl.Float64)
    total_Q = gold.queries["gain" if what == "gain" else "positives"].to_numpy().astype(np.float64)
    gain_QP, ranked_Q = np.zeros((len(total_Q), RANKING_LENGTH)), np.zeros(len(total_Q), np.int64)
    if ranking is not None:
        listed = (
            gold.queries.select(*QUERY)
            .with_row_index("query")
            .join(ranking, on=QUERY)
            .filter(pl.col("ranking").list.len() > 0)
            .explode("ranking")
        )
        scored = gold.scored.select(*QUERY, pl.col("candidate").alias("ranking"), worth.alias("worth"))
        worths = listed.join(
            scored, on=[*QUERY, "ranking"], how="inner" if rerank else "left", maintain_order="left"
        )
        worths = worths.with_columns(pl.int_range(pl.len()).over("query").alias("place")).filter(
            pl.col("place") < RANKING_LENGTH
        )
        query, place = worths["query"].to_numpy(), worths["place"].to_numpy()
        gain_QP[query, place] = worths["worth"].fill_null(0.0).to_numpy()
        ranked_Q = np.bincount(query, minlength=len(total_Q))
    left_Q = np.maximum(size_Q - ranked_Q, 1)
    rest_Q = (total_Q - gain_QP.sum(axis=1)) / left_Q
    place_P = np.arange(RANKING_LENGTH)
    unranked_QP = (place_P >= ranked_Q[:, None]) & (place_P < size_Q[:, None])
    return np.where(unranked_QP, rest_Q[:, None], gain_QP)
