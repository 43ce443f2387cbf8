"""What of one shard answers a question: chunks with a text, queries, or pairs."""

from __future__ import annotations

import polars as pl
import pyarrow.compute as pc

from data_contracts.candidates import LABELS
from data_contracts.contract import read_columns
from data_contracts.tokens import CHUNKS
from reports.browser.library import LabelLibrary, in_source
from reports.site.address import Question

SHOWN = (
    *("row", "doc_id", "key", "source", "split", "chunk", "text"),
    *("best", "best_rank", "candidate", "first"),
)


def documents_of(library: LabelLibrary, question: Question) -> pl.DataFrame:
    """number, doc_id, key, source, split and shard of the documents that may answer."""
    kept = library.documents.select("number", "doc_id", "key", "source", "split", "shard")
    kept = kept.filter(in_source(question.source)) if question.source else kept
    return kept.filter(pl.col("split") == question.split) if question.split else kept


def answers(
    library: LabelLibrary, number: int, shard: str, question: Question, documents: pl.DataFrame
) -> pl.DataFrame:
    """All answers in the `number`-th shard, of that name, in the order of the corpus: the columns `SHOWN`;
    `row` says where each stands in what was searched.

    Raises:
        Failure: (exit code 3) if the shard cannot be read.
    """
    own = documents.filter(pl.col("shard") == shard)
    labelled = _pairs(library, shard, own) if question.kind else _queries(library, number, own)
    labelled = labelled.filter(*_wanted(question))
    if not question.q:
        found = labelled.with_columns(text=pl.lit(""))
    else:
        texts = _texts(library, shard, question.q)
        if question.kind:
            found = labelled.join(
                texts.drop("row"), on=["doc_id", "chunk"], how="inner", maintain_order="left"
            )
        else:
            found = texts.join(own, on="doc_id", maintain_order="left").join(
                labelled.select("doc_id", "chunk", "best", "best_rank", "candidate", "first"),
                on=["doc_id", "chunk"],
                how="inner" if question.of_queries else "left",
                maintain_order="left",
            )
    first = question.row if number == question.shard else 0
    return found.filter(pl.col("row") >= first).select(SHOWN)


def _queries(library: LabelLibrary, number: int, own: pl.DataFrame) -> pl.DataFrame:
    """The queries of a shard that stand in some of its documents, each with its best candidate."""
    queries = library.sets[0].queries(number)
    return (
        queries.rename({"document": "number", "query_chunk": "chunk"})
        .with_row_index("row")
        .join(
            own.with_columns(pl.col("number").cast(queries["document"].dtype)),
            on="number",
            maintain_order="left",
        )
    )


def _pairs(library: LabelLibrary, shard: str, own: pl.DataFrame) -> pl.DataFrame:
    """Every pair of them as if it were the best of its query; `first` is there for BM25's first alone."""
    columns = ["doc_id", "query_chunk", "candidate_chunk", "rank", "target_score"]
    table = read_columns(LABELS, library.sets[0].directory / shard, columns)
    pairs = pl.DataFrame(pl.from_arrow(table)).with_row_index("row")
    return pairs.select(
        "row",
        "doc_id",
        chunk="query_chunk",
        candidate="candidate_chunk",
        best="target_score",
        best_rank="rank",
        first=pl.when(pl.col("rank") == 0).then("target_score"),
    ).join(own, on="doc_id", maintain_order="left")


def _wanted(question: Question) -> list[pl.Expr]:
    """The conditions on s_t, BM25 rank and distance."""
    score, distance = pl.col("best"), pl.col("chunk") - pl.col("candidate")
    wanted = {
        "sign": score > 0 if question.sign == "positive" else score <= 0,
        "moved": pl.col("best_rank") >= question.moved,
        "near": distance >= question.near,
        "far": distance <= question.far,
    }
    kept = [condition for name, condition in wanted.items() if getattr(question, name)]
    kept += [score >= question.low] if question.low is not None else []
    kept += [score <= question.high] if question.high is not None else []
    return kept + ([pl.col("first").is_not_null()] if question.order == "first" else [])


def _texts(library: LabelLibrary, shard: str, text: str) -> pl.DataFrame:
    """The chunks of a shard that hold `text`, letter case aside: row, doc_id, chunk, text."""
    chunks = read_columns(
        CHUNKS, library.sets[0].directory.with_name("chunks") / shard, ["doc_id", "chunk", "text"]
    )
    found = pc.indices_nonzero(pc.match_substring(chunks.column("text"), text, ignore_case=True))
    frame = pl.DataFrame(pl.from_arrow(chunks.take(found)))
    return frame.with_columns(row=pl.Series(found.to_numpy(), dtype=pl.UInt32))
