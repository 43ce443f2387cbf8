"""Chunks that a system predicts much better, or much worse, than Transformer-XL, with what it retrieved for
them. The paper's Figure 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations

KINDS = ("gain", "loss")
EACH = 2  # a kind and run, one a document


@dataclass(frozen=True)
class ReadChunk:
    """A neighbour: its `text` and that of its continuation, its `gate`, and its `score` s_t in nats a target
    token, None if not scored.
    """

    chunk: int
    text: str
    gate: float | None
    score: float | None


@dataclass(frozen=True)
class GainExample:
    """A chunk whose target a run predicts better or worse than Transformer-XL by `gain` nats a token, and
    what it read for that.
    """

    run: str
    system: str
    kind: str
    doc_id: str
    query_chunk: int
    gain: float | None
    query: str
    target: str
    neighbours: Sequence[ReadChunk]


def gain_examples(
    evaluations: Evaluations, labels: pl.DataFrame, texts: pl.DataFrame, chunk_tokens: int
) -> list[GainExample]:
    """The most striking chunks of every run that reads neighbours, in nats a token over Transformer-XL, the
    largest gains first.

    `labels`: doc_id, query_chunk, candidate_chunk, target_score; `texts`: doc_id, chunk, text.
    """
    baselines = {run: evaluations.counterpart(run, BASELINE) for run in evaluations.readers()}
    chosen = [
        _striking(evaluations, run, baseline, kind, chunk_tokens)
        for run, baseline in baselines.items()
        if baseline
        for kind in KINDS
    ]
    rows = [row for part in chosen for row in part.iter_rows(named=True)]
    documents = {row["doc_id"] for row in rows}
    text_of = {
        (doc, chunk): text for doc, chunk, text in texts.filter(pl.col("doc_id").is_in(documents)).iter_rows()
    }
    scored = labels.filter(pl.col("doc_id").is_in(documents)).select(
        "doc_id", "query_chunk", "candidate_chunk", "target_score"
    )
    score_of = {(doc, query, chunk): score / chunk_tokens for doc, query, chunk, score in scored.iter_rows()}
    return [_example(row, text_of, score_of) for row in rows]


def _striking(
    evaluations: Evaluations, run: str, baseline: str, kind: str, chunk_tokens: int
) -> pl.DataFrame:
    """The `EACH` chunks of full length that gain or lose most, one a document; equal ones go by name."""
    gain_R = (evaluations.loss((baseline, OWN)) - evaluations.loss((run, OWN))) / evaluations.chunks[
        "tokens"
    ].to_numpy()
    rows = evaluations.chunks.select("doc_id", "chunk", "tokens").with_columns(
        *evaluations.frames[run, OWN].select("retrieved", "gates"),
        pl.Series("gain", gain_R),
        pl.lit(run).alias("run"),
        pl.lit(evaluations.systems[run]).alias("system"),
        pl.lit(kind).alias("kind"),
    )
    sign = 1 if kind == "gain" else -1
    rows = rows.filter(
        (pl.col("tokens") == chunk_tokens)
        & (pl.col("retrieved").list.len() > 0)
        & (sign * pl.col("gain") > 0)
    )
    ordered = rows.sort("gain", "doc_id", "chunk", descending=[kind == "gain", False, False])
    return ordered.unique("doc_id", keep="first", maintain_order=True).head(EACH)


def _example(
    row: Mapping[str, Any], text_of: dict[tuple[str, int], str], score_of: dict[tuple[str, int, int], float]
) -> GainExample:
    doc, query = row["doc_id"], row["chunk"]
    neighbours = [
        ReadChunk(
            chunk, text_of[doc, chunk] + text_of[doc, chunk + 1], gate, score_of.get((doc, query, chunk))
        )
        for chunk, gate in zip(row["retrieved"], row["gates"], strict=True)
    ]
    named = {name: row[name] for name in ("run", "system", "kind", "doc_id")}
    gain = float(np.round(row["gain"], 6))
    return GainExample(
        **named,
        query_chunk=query,
        gain=gain,
        query=text_of[doc, query],
        target=text_of[doc, query + 1],
        neighbours=neighbours,
    )
