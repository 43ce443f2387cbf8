"""What labels teach a retriever by itself: no reader, no first values. A score is a sum of eleven features of
a pair of chunks (`_pair_features.py`), whose weights begin at zero and are trained by the project's ranking
loss on the training sequences of a corpus, in the orders of three seeds.

Three teachers with the same candidates: the reference LM's s_t (`semantic`), the same values dealt anew to
the candidates of each query (`shuffled`), and the order of BM25 by (c_q, c_t) (`lexical`). Measured on the
exhaustive sample of held-out queries, beside BM25 by c_q and the first scores of `training.lexical_start`:
mean s_t of the first two in nats a target, Precision@2, Recall@10, nDCG@20. A difference is paired over
queries, `_low` and `_high` are its 95 % interval over documents. Needs `./rpt run semantic_supervision
exhaustive`; another corpus than `demo` is named as an argument. The bars held on mathematics and not on the
demo (docs/log.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
from jax import Array

from benchmarks._pair_features import NAMES, pair_features
from benchmarks.result import Bar, show
from data_contracts.candidates import EXHAUSTIVE
from data_contracts.contract import open_artifact
from data_contracts.eligibility import last_eligible
from data_contracts.tokens import TOKENS, list_rows
from model.language_model import Batch
from model.lexical_start import NEARNESS
from model.masks import eligible_pairs
from model.neighbours import dense_relevance
from model.ranking_loss import per_query, ranking_loss
from model.rpt import Relevance, lexical_relevance, semantic_relevance, shuffled_relevance
from reports.metrics.resampling import Sums
from reports.metrics.retrieval import CUTS, QUERY, gold_of, query_figures
from stages.parameters import Configuration, load
from stages.training.data import TrainingData
from stages.training.order import Segments

STEPS, BATCH, PEAK, MARGIN, SAMPLES, SEEDS = 100, 16, 0.05, 2.0, 2000, (0, 1, 2)
TEACHERS: dict[str, Relevance] = {
    "semantic": semantic_relevance,
    "shuffled": shuffled_relevance,
    "lexical": lexical_relevance,
}
PAIRS = (("semantic", "shuffled"), ("semantic", "bm25"), ("semantic", "start"), ("semantic", "lexical"))
FIGURES = ("mean_score", *CUTS)
BARS = [Bar(f"semantic_less_shuffled_{name}_low", 0.0, at_most=False) for name in FIGURES]
Scores = Callable[[np.ndarray], np.ndarray]
"""[..., 11] features -> [...] scores."""


def held_out(configuration: Configuration, place: Path) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """The scored pairs of the exhaustive sample, and the features [C, C, 11] of its documents as far as
    it asks.
    """
    artifact, size = open_artifact(EXHAUSTIVE, place / "exhaustive"), configuration.geometry.chunk_tokens
    scored = pl.DataFrame(pl.from_arrow(artifact.read_all()))
    last = dict(scored.group_by("doc_id").agg(pl.col("query_chunk").max()).iter_rows())
    table = open_artifact(TOKENS, place / "tokens").read_all()
    texts = zip(table.column("doc_id").to_pylist(), list_rows(table.column("token_ids")), strict=True)
    features = {
        doc: pair_features(
            tokens[: (last[doc] + 1) * size].reshape(-1, size),
            configuration.geometry.stride_chunks,
            configuration.mining,
        )
        for doc, tokens in texts
        if doc in last
    }
    return scored, features


@partial(jax.jit, static_argnames="stride_chunks")
def weights_of(
    features_QCCF: Array, batch: Batch, t_QCS: Array, order_UB: Array, stride_chunks: int
) -> Array:
    """[F] weights after an update for each row of `order_UB`, which names its sequences: Adam, warm-up and
    half a cosine.
    """
    eligible_CC = eligible_pairs(t_QCS.shape[1], stride_chunks)
    relevance_QCC = dense_relevance(batch.candidates_BCS, t_QCS, eligible_CC)
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, len(order_UB) // 10, len(order_UB))
    optimizer = optax.adam(rate)

    def loss(weights_F: Array, rows_B: Array) -> Array:
        scores_BCC = features_QCCF[rows_B] @ weights_F
        known = batch.labelled_BC[rows_B]
        total = ranking_loss(
            scores_BCC, batch.candidates_BCS[rows_B], relevance_QCC[rows_B], eligible_CC, known, MARGIN
        )
        return per_query(total, jnp.sum(known))

    def update(carry: tuple, rows_B: Array) -> tuple[tuple, None]:
        weights_F, state = carry
        changes, state = optimizer.update(jax.grad(loss)(weights_F, rows_B), state)
        return (optax.apply_updates(weights_F, changes), state), None

    start = jnp.zeros(features_QCCF.shape[-1])
    return jax.lax.scan(update, (start, optimizer.init(start)), order_UB)[0][0]


def taught(configuration: Configuration, data: TrainingData) -> dict[str, list[Scores]]:
    """Scorers by each teacher, one a seed; features are divided by their deviation over training pairs."""
    size, stride = configuration.geometry.chunk_tokens, configuration.geometry.stride_chunks
    count = len(data.keys)
    batch = jax.tree.map(jnp.asarray, data.batch(Segments(np.arange(count), np.ones(count, bool))))
    chunks_QCM = np.asarray(batch.tokens_BL).reshape(count, -1, size)
    features = np.stack([pair_features(chunks, stride, configuration.mining) for chunks in chunks_QCM])
    eligible_CC = np.asarray(eligible_pairs(chunks_QCM.shape[1], stride))
    scale_F = np.maximum(features[:, eligible_CC].std((0, 1)), 1e-3)
    found = dict[str, list[Scores]]()
    for name, relevance in TEACHERS.items():
        t_QCS = relevance(batch, size)
        found[name] = [
            weighted(np.asarray(weights_of(features / scale_F, batch, t_QCS, order, stride)) / scale_F)
            for order in (order_of(count, seed) for seed in SEEDS)
        ]
    return found


def order_of(sequences: int, seed: int) -> np.ndarray:
    """[U, B] the sequences of every update: epochs of permutations."""
    rng = np.random.default_rng(seed)
    epochs = [rng.permutation(sequences) for _ in range(-(-STEPS * BATCH // sequences))]
    return np.concatenate(epochs)[: STEPS * BATCH].reshape(STEPS, BATCH)


def weighted(weights_F: np.ndarray) -> Scores:
    """The sum of features with these weights."""
    return lambda features: features @ weights_F


def given() -> dict[str, list[Scores]]:
    """What is not trained: BM25 by c_q, and a lexical start."""
    bm25, start = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    bm25[NAMES.index("BM25")] = start[NAMES.index("shared tokens")] = 1.0
    start[NAMES.index("distance")] = -NEARNESS
    return {"bm25": [weighted(bm25)], "start": [weighted(start)]}


def figures_of(
    configuration: Configuration, scored: pl.DataFrame, features: dict[str, np.ndarray], scores: Scores
) -> pl.DataFrame:
    """doc_id, chunk and each of `FIGURES`, a row a query, ties to the earlier chunk."""
    geometry = configuration.geometry
    gold = gold_of(scored, geometry.chunk_tokens, geometry.stride_chunks)
    rankings = []
    for doc, query in gold.queries.select(*QUERY).iter_rows():
        found = scores(features[doc][query, : last_eligible(query, geometry.stride_chunks) + 1])
        rankings.append(np.argsort(-found, kind="stable").astype(np.int32))
    ranking = gold.queries.select(*QUERY).with_columns(ranking=pl.Series(rankings, dtype=pl.List(pl.Int32)))
    first = ranking.with_columns(candidate_chunk=pl.col("ranking").list.head(2)).explode("candidate_chunk")
    read = first.join(scored.rename({"query_chunk": "chunk"}), on=[*QUERY, "candidate_chunk"], how="left")
    means = read.group_by(QUERY).agg(mean_score=pl.col("target_score").mean())
    return query_figures(gold, ranking).join(means, on=QUERY).sort(QUERY).select(*QUERY, *FIGURES)


def mean_of(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Query by query the mean over the seeds."""
    return pl.concat(tables).group_by(QUERY).agg(pl.col(*FIGURES).mean()).sort(QUERY)


def compared(rows: dict[str, pl.DataFrame]) -> dict[str, float]:
    """The mean of every figure of every scorer, and the differences `PAIRS` with their intervals."""
    values = {name: table.select(*FIGURES).to_numpy() for name, table in rows.items()}
    doc_Q = np.unique(next(iter(rows.values()))["doc_id"].to_numpy(), return_inverse=True)[1]
    found = {
        f"{name}_{figure}": float(np.nanmean(table[:, place]))
        for name, table in values.items()
        for place, figure in enumerate(FIGURES)
    }
    for one, other in PAIRS:
        known = np.isfinite(values[one] + values[other])
        apart = np.where(known, values[one] - values[other], 0.0)
        widths = {"apart": len(FIGURES), "known": len(FIGURES)}
        sums = Sums(doc_Q.max() + 1, widths, SAMPLES, np.random.default_rng(0))
        sums.add(doc_Q, {"apart": apart, "known": known.astype(float)})
        for place, figure in enumerate(FIGURES):
            ratio = sums.ratio("apart", "known", place)
            found |= {
                f"{one}_less_{other}_{figure}{end}": value if value is not None else float("nan")
                for end, value in (("", ratio.value), ("_low", ratio.low), ("_high", ratio.high))
            }
    return found


def measure(configuration: Configuration, place: Path) -> tuple[dict[str, float], int]:
    """Every figure for the corpus whose artifacts lie in `place`, and how many queries they are of."""
    data = TrainingData(place / "sequences", place / "supervision" / "scored", configuration.geometry)
    scored, features = held_out(configuration, place)
    rows = {
        name: mean_of([figures_of(configuration, scored, features, scores) for scores in by_seed])
        for name, by_seed in (taught(configuration, data) | given()).items()
    }
    return compared(rows), len(next(iter(rows.values())))


def main() -> None:
    """Measure and show."""
    load_at_start = os.getloadavg()[0]
    corpus = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "demo")
    figures, queries = measure(load(Path("params.yaml")), Path("artifacts") / corpus)
    show("retriever_labels", figures, BARS, load_at_start, queries=queries, updates=STEPS, seeds=len(SEEDS))


if __name__ == "__main__":
    main()
