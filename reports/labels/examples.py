"""Pairs to look at: labels are only as good as the help that a person can see in the text."""

from __future__ import annotations

import numpy as np
import polars as pl

from reports.labels.label_set import LabelSet
from reports.labels.report import Examples, LabelExample, ShownCandidate
from reports.labels.rows import LabelRows
from reports.metrics.near_copies import containment

KINDS = ("best", "surprising", "worst", "copy")
EACH = 3  # examples a kind, one a document
SHOWN = 4  # candidates of an example


def choose(rows: LabelRows, kept: pl.DataFrame | None = None) -> pl.DataFrame:
    """The examples of a shard, and of `kept`, those of the shards before it.

    best: the highest s_t that is no copy of the target; surprising: the best of its query and positive, no
    copy, though BM25 has it in the lower half; worst: the best of a query to which all candidates do harm;
    copy: the copy with the highest s_t.

    Returns:
        kind, document (doc_id), query, candidate, rank, score (nats a target token), in the order of `KINDS`
        and the most striking first.
    """
    begin = rows.begin_Q
    count_R = np.repeat(count := np.diff(begin, append=len(rows.rank_R)), count)
    best_R = rows.score_R == np.repeat(np.maximum.reduceat(rows.score_R, begin), count)
    copied = rows.copied_R > 0
    surprising = best_R & ~copied & (rows.score_R > 0) & (2 * rows.rank_R >= count_R) & (count_R > 1)
    masks = (~copied & (rows.score_R > 0), surprising, best_R & (rows.score_R <= 0), copied)
    parts = [
        part for kind, mask in zip(KINDS, masks, strict=True) if len(part := _striking(rows, kind, mask))
    ]
    found = (
        pl.concat([*([] if kept is None else [kept]), *parts])
        if parts or kept is not None
        else pl.DataFrame()
    )
    if found.is_empty():
        return found
    return pl.concat([_first(found.filter(pl.col("kind") == kind), kind) for kind in KINDS])


def _striking(rows: LabelRows, kind: str, mask: np.ndarray) -> pl.DataFrame:
    places = np.flatnonzero(mask)
    documents = rows.documents["doc_id"].gather(rows.document_R[places])
    found = pl.DataFrame(
        {
            "kind": [kind] * len(places),
            "document": documents,
            "query": rows.query_R[places],
            "candidate": rows.candidate_R[places],
            "rank": rows.rank_R[places],
            "score": rows.score_R[places],
        }
    )
    return _first(found, kind)


def _first(found: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The `EACH` most striking ones, one a document; equal scores go by name."""
    ordered = found.sort(
        "score", "document", "query", "rank", descending=[kind != "worst", False, False, False]
    )
    return ordered.unique("document", keep="first", maintain_order=True).head(EACH)


def with_texts(label_set: LabelSet, chosen: pl.DataFrame) -> Examples:
    """The chosen examples by kind, with query, target and at most `SHOWN` candidates: the one in question,
    BM25's first, the best by s_t.

    Raises:
        Failure: (exit code 3) if a document cannot be read.
    """
    found: dict[str, list[LabelExample]] = {kind: [] for kind in KINDS}
    for row in chosen.iter_rows(named=True):
        found[row["kind"]].append(_example(label_set, row["document"], row["query"], row["candidate"]))
    return found


def _example(label_set: LabelSet, doc_id: str, query: int, candidate: int) -> LabelExample:
    document, chunks = label_set.document(doc_id), label_set.chunks(doc_id)
    rows = label_set.labels(doc_id).filter(pl.col("query_chunk") == query)
    about, first = pl.col("candidate_chunk") == candidate, pl.col("rank") == 0
    shown = rows.sort(about, first, "target_score", descending=True, maintain_order=True).head(SHOWN)
    pairs = shown["candidate_chunk"].to_numpy()
    copied = containment(
        chunks["token_ids"].to_arrow(), np.zeros(len(chunks)), np.full(len(pairs), query + 1), pairs
    )
    text = chunks["text"].to_list()
    candidates = [
        ShownCandidate(
            chunk=row["candidate_chunk"],
            text=text[row["candidate_chunk"]] + text[row["candidate_chunk"] + 1],
            rank=row["rank"],
            bm25=row["bm25"],
            score=row["target_score"] / label_set.chunk_tokens,
            copied=float(share),
        )
        for row, share in zip(shown.iter_rows(named=True), copied, strict=True)
    ]
    return LabelExample(
        doc_id, document.split, document.source, query, text[query], text[query + 1], candidates
    )
