"""Label gates: five figures that say whether labels are fit to train on (see reports/metrics/gates.py),
measured on the validation split.

Three follow from the labels alone. Two need the reference LM once more, on a bounded sample of queries: a
planted copy, the pair (c_q, c_t) itself as the candidate, which an LM that reads what stands before it must
copy; and random eligible chunks, as many as there are BM25 candidates, because the best of many scores well
by chance alone.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.candidates import LABELS
from data_contracts.contract import Artifact, open_artifact
from data_contracts.documents import document_runs
from data_contracts.eligibility import last_eligible
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from reports.metrics.figures_file import as_json
from reports.metrics.gates import GATES, Gates, by_block, label_sums
from stages.engines.scoring_lm import Progress
from stages.parameters import Geometry, LabelGates, Scoring
from stages.runner.stage import Context, Job
from stages.scoring.scoring import Scorer, scorer_of
from stages.tokens.token_bytes import token_bytes
from stages.tokens.tokenizer import load_tokenizer

SPLIT = "validation"
SHOWN = {"passed": "passed", "cannot tell": "**CANNOT TELL**", "failed": "**FAILED**"}
COLUMNS = [
    "doc_id",
    "split",
    "query_chunk",
    "rank",
    "candidate_logprob",
    "local_logprob",
    "candidate_halves",
    "target_score",
]


def comparable_queries(labels: pl.DataFrame, stride_chunks: int) -> pl.DataFrame:
    """Validation queries with more eligible chunks than candidates: only there is a random draw another set
    than BM25's.

    Returns:
        doc_id, query_chunk, the numbers of candidates and of eligible chunks, and the log-probabilities of
        the target after the best candidate and after the local context, in nats.
    """
    queries = (
        labels.filter(pl.col("split") == SPLIT)
        .group_by("doc_id", "query_chunk", maintain_order=True)
        .agg(
            candidates=counting.rows(),
            best=pl.col("candidate_logprob").max(),
            local=pl.col("local_logprob").first(),
        )
    )
    eligible = last_eligible(pl.col("query_chunk"), stride_chunks) + 1
    return queries.with_columns(eligible=eligible).filter(pl.col("eligible") > pl.col("candidates"))


def score_queries(
    scorer: Scorer,
    chunks: pa.Table,
    queries: pl.DataFrame,
    bytes_V: np.ndarray,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """`queries` of one shard with `copy_gain` and `lead_of_bm25`, in nats a pipeline token, and the bytes of
    such a token in the target.

    Args:
        scorer: the reference LM.
        chunks: the shard's chunks.
        queries: rows of `comparable_queries`.
        bytes_V: bytes of text that each token of the corpus stands for.
        rng: draws the random candidates.
        progress: see `ScoringLM.score`.
    """
    count = queries["candidates"].to_numpy()
    drawn = [
        rng.choice(eligible, size, replace=False)
        for eligible, size in zip(queries["eligible"], count, strict=True)
    ]
    asked = queries.select("doc_id", "query_chunk")
    # The planted copy of each query comes first: the pair that starts at the query's own chunk is (c_q, c_t).
    random = asked.select(pl.all().repeat_by(pl.lit(count))).explode("doc_id", "query_chunk")
    random = random.with_columns(candidate_chunk=pl.Series(np.concatenate(drawn), dtype=pl.Int32))
    pairs = pl.concat([asked.with_columns(candidate_chunk=pl.col("query_chunk").cast(pl.Int32)), random])
    sums = scorer.prompts(chunks).score(scorer.engine, pairs, progress).sum(axis=1, dtype=np.float64)
    copy, best_random = (
        sums[: len(asked)],
        np.maximum.reduceat(sums[len(asked) :], np.cumsum([0, *count])[:-1]),
    )
    targets = _targets(chunks, asked)
    tokens, sizes = np.array([len(ids) for ids in targets]), np.array([bytes_V[ids].sum() for ids in targets])
    return queries.with_columns(
        copy_gain=(pl.Series(copy) - pl.col("local")) / pl.Series(tokens),
        lead_of_bm25=(pl.col("best") - pl.Series(best_random)) / pl.Series(tokens),
        bytes=pl.Series(sizes / tokens),
    )


def _targets(chunks: pa.Table, queries: pl.DataFrame) -> list[np.ndarray]:
    """The tokens of the chunk after each query."""
    first = {doc_id: begin for doc_id, begin, _ in document_runs(chunks.column("doc_id"))}
    tokens = list_rows(chunks.column("token_ids"))
    return [tokens[first[doc_id] + query + 1] for doc_id, query in queries.iter_rows()]


def read_labels(
    labels: Artifact, geometry: Geometry, scoring: Scoring, limit: int, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(sums by block of the validation split, of train, and at most `limit` random comparable queries with
    their shard).
    """
    shared = min(scoring.candidates, scoring.evaluation_candidates)
    validation, train, chosen = list[pl.DataFrame](), list[pl.DataFrame](), pl.DataFrame()
    for shard in labels.shards:
        table = pl.from_arrow(labels.read(shard, COLUMNS))
        assert isinstance(table, pl.DataFrame)
        validation.append(label_sums(table, SPLIT, shared))
        train.append(label_sums(table, "train", shared))
        queries = comparable_queries(table, geometry.stride_chunks)
        queries = queries.with_columns(
            shard=pl.lit(shard), draw=pl.Series(rng.random(len(queries)), dtype=pl.Float64)
        )
        chosen = (
            pl.concat([chosen, queries]).bottom_k(limit, by="draw")
            if len(chosen)
            else queries.bottom_k(limit, by="draw")
        )
    return pl.concat(validation), pl.concat(train), chosen.sort("shard", "doc_id", "query_chunk")


def score_sample(
    context: Context, chosen: pl.DataFrame, geometry: Geometry, scoring: Scoring, rng: np.random.Generator
) -> pl.DataFrame:
    """The sums by block of the chosen queries that the gates on the reference LM need."""
    parts = list[pl.DataFrame]()
    if len(chosen):
        scorer = scorer_of(
            scoring, context.input("tokenizer"), context.input("reference_lm"), geometry.chunk_tokens
        )
        bytes_V = token_bytes(load_tokenizer(context.input("tokenizer")))
        chunks = open_artifact(CHUNKS, context.input("chunks"))
        total, done = int(chosen["candidates"].sum()) + len(chosen), 0
        context.say.progress(0, total, "pairs", "compiling")
        for (shard,), queries in chosen.group_by("shard", maintain_order=True):
            table = chunks.read(str(shard), ["doc_id", "token_ids"])

            def progress(scored: int, _: int, before: int = done) -> None:
                context.say.progress(before + int(scored), total, "pairs")

            parts.append(score_queries(scorer, table, queries, bytes_V, rng, progress))
            done += int(queries["candidates"].sum()) + len(queries)
    rows = (
        pl.concat(parts)
        if parts
        else chosen.with_columns(copy_gain=pl.lit(0.0), lead_of_bm25=pl.lit(0.0), bytes=pl.lit(0.0))
    )
    return by_block(
        rows,
        **{name: counting.in_order(pl.col(name)) for name in ("copy_gain", "lead_of_bm25", "bytes")},
        queries=counting.rows(),
    )


def make_label_gates(context: Context, geometry: Geometry, scoring: Scoring, label_gates: LabelGates) -> None:
    """Write gates.json.

    Raises:
        Failure: (exit code 3) naming the gates that fail, if `label_gates.enforce`; what cannot be told
            ends no run.
    """
    rng = np.random.default_rng(label_gates.seed)
    labels = open_artifact(LABELS, context.input("labels"))
    validation, train, chosen = read_labels(labels, geometry, scoring, label_gates.queries, rng)
    sample = score_sample(context, chosen, geometry, scoring, rng)
    rows = [
        gate.measure(
            sample if "queries" in gate.columns else validation, train, label_gates.bootstrap_samples, rng
        )
        for gate in GATES
    ]
    documents = validation["doc_id"].n_unique()
    passed, unclear, failed = (
        [row for row in rows if row.verdict == verdict] for verdict in ("passed", "cannot tell", "failed")
    )
    lines = [f"- {SHOWN[row.verdict]}: {row.sentence}" for row in rows]
    verdict = (
        f"**{context.corpus}**: {len(passed)} of {len(rows)} label gates passed on {documents} {SPLIT}"
        f" documents, {len(failed)} failed, {len(unclear)} cannot tell"
    )
    context.say.note("\n".join([verdict, "", *lines]), caution=bool(unclear))
    if failed and label_gates.enforce:
        names, cause = ", ".join(row.name for row in failed), " ".join(row.sentence for row in failed)
        remedy = (
            "train a larger reference LM or train it longer (reference_lm), or go on all the same with ./rpt"
            " run --allow-weak-labels"
        )
        raise Failure(
            f"the labels of {context.corpus} are too weak to train on: {names}", cause, remedy, Exit.CONTRACT
        )
    a_token = (
        float(sample["bytes"].to_numpy().sum() / sample["queries"].to_numpy().sum()) if len(chosen) else None
    )
    result = Gates(SPLIT, documents, len(chosen), a_token, rows)
    (context.out("label_gates") / "gates.json").write_text(as_json(result))


STAGE = Job(
    "label_gates",
    make_label_gates,
    ("geometry", "scoring", "label_gates"),
    {"label_gates": "artifacts/{corpus}/label_gates"},
)
