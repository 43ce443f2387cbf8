"""One query of a label set with everything that decided its labels: its target, its candidates, and what one
of them does to each token.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_contracts.failure import Exit, Failure
from flows.workspace import child_environment
from reports.labels.label_set import LabelSet

NAMED = 5


def find(labels: LabelSet, place: str) -> tuple[str, int]:
    """The document and the query chunk that `DOC:CHUNK` means; DOC is the beginning of one doc_id, or a
    source, of which the first or the last file is enough.

    Raises:
        Failure: (exit code 2) if that is no document, or more than one, or the chunk is no labelled query of
            it.
    """
    name, colon, chunk = place.rpartition(":")
    document = _document(labels, name if colon else place)
    queries = labels.labels(document["doc_id"])
    if not colon or not chunk.isdecimal():
        best = queries.row(int(queries["target_score"].arg_max() or 0), named=True)
        remedy = f"its best s_t is at {document['doc_id']}:{best['query_chunk']}"
        raise Failure(
            f"{place!r} names no chunk",
            "write DOC:CHUNK with the number of a query chunk",
            remedy,
            Exit.USAGE,
        )
    known = queries["query_chunk"].unique().sort().to_numpy()
    if int(chunk) not in known:
        near = sorted(
            known[np.argsort(np.abs(known.astype(np.int64) - int(chunk)), kind="stable")[:NAMED]].tolist()
        )
        cause = (
            f"document {document['doc_id']!r} has labels for {len(known):,} query chunks from {known[0]} to"
            f" {known[-1]}, not for this one"
        )
        raise Failure(
            f"chunk {int(chunk)}", cause, f"the nearest are {', '.join(map(str, near))}", Exit.USAGE
        )
    return document["doc_id"], int(chunk)


def _document(labels: LabelSet, name: str) -> dict[str, Any]:
    # a document of several files is called FIRST .. LAST
    sources = pl.col("source").str.split(" .. ").list
    named = pl.col("doc_id").str.starts_with(name) | (pl.col("source") == name) | sources.contains(name)
    exact = labels.documents.filter(pl.col("doc_id") == name)
    found = exact if len(exact) else labels.documents.filter(named)
    if len(found) == 1:
        return found.row(0, named=True)
    remedy = "`./rpt labels stats --documents 100` lists documents; give more digits of one"
    if found.is_empty():
        raise Failure(
            f"document {name!r}", "no doc_id begins so, and no source is called so", remedy, Exit.USAGE
        )
    some = ", ".join(
        f"{row['doc_id']!r} ({row['source']!r})" for row in found.head(NAMED).iter_rows(named=True)
    )
    raise Failure(f"document {name!r}", f"{len(found):,} documents are meant: {some}", remedy, Exit.USAGE)


def look(labels: LabelSet, doc_id: str, query: int, by: str) -> dict[str, Any]:
    """A query chunk, its target and its candidates, the best by `score` or by `bm25` first; ready for JSON.

    Returns:
        doc_id, source, split, query_chunk, query, target (texts), chunks (of the document), local_logprob
        (nats), and candidates: rank (0 = best BM25), bm25, candidate_chunk, target_score and
        candidate_logprob (nats), text and continuation (c_j and c_j+1).
    """
    document, chunks = labels.document(doc_id), labels.chunks(doc_id)
    text = dict(zip(chunks["chunk"], chunks["text"], strict=True))
    rows = labels.labels(doc_id).filter(pl.col("query_chunk") == query)
    ordered = rows.sort("target_score", descending=True, maintain_order=True) if by == "score" else rows
    figures = ("rank", "bm25", "candidate_chunk", "target_score", "candidate_logprob")
    return {
        "doc_id": doc_id,
        "source": document.source,
        "split": document.split,
        "query_chunk": query,
        "chunks": document.chunks,
        "query": text[query],
        "target": text[query + 1],
        "local_logprob": rows["local_logprob"][0],
        "candidates": [
            {name: row[name] for name in figures}
            | {"text": text[row["candidate_chunk"]], "continuation": text[row["candidate_chunk"] + 1]}
            for row in ordered.iter_rows(named=True)
        ],
    }


def gains(labels: LabelSet, view: dict[str, Any], rank: int | None) -> dict[str, Any]:
    """What one candidate of a query, the best by s_t or that of BM25 rank `rank`, does to each token of the
    target; ready for JSON.

    Returns:
        rank and tokens, each with its text and its gain over the local context in nats, which add up to s_t;
        or, where the reference LM of these labels is not there, missing: a sentence.

    Raises:
        Failure: (exit code 2) if there is no candidate of this rank; (3) if the reference LM cannot score.
    """
    ranked = {candidate["rank"]: candidate for candidate in view["candidates"]}
    best = max(view["candidates"], key=lambda candidate: (candidate["target_score"], -candidate["rank"]))
    if rank is not None and rank not in ranked:
        raise Failure(
            f"the candidate of rank {rank}",
            f"this query has ranks 0 to {max(ranked)}",
            "choose one of them",
            Exit.USAGE,
        )
    chosen = best if rank is None else ranked[rank]
    directory = labels.directory.with_name("reference_lm")
    if not (directory / "config.json").is_file():
        return {"missing": f"{directory} is not there, so no gain of a token can be measured"}
    os.environ.update({name: value for name, value in child_environment().items() if name.startswith("JAX_")})
    from model.hugging_face_files import digest

    if digest(directory) != labels.scorer.get("weights"):
        return {"missing": f"{directory} is not the reference LM that made these labels"}
    chunks = [ids.to_numpy() for ids in labels.chunks(view["doc_id"])["token_ids"]]
    measure = _of_text if "chunk_tokenizer" in labels.scorer else _of_tokens
    try:
        texts, row = measure(labels, directory, chunks, view, chosen["candidate_chunk"])
    except LookupError as error:
        return {"missing": str(error.args[0])}
    return {
        "rank": chosen["rank"],
        "tokens": [{"text": text, "gain": float(gain)} for text, gain in zip(texts, row, strict=True)],
    }


def _of_tokens(
    labels: LabelSet, directory: Path, chunks: list[np.ndarray], view: dict[str, Any], candidate: int
) -> tuple[list[str], np.ndarray]:
    """(text, gain) of each token of the target, where the reference LM has the tokens of the corpus.

    Raises:
        LookupError: saying what is missing.
    """
    from stages.scoring.token_gains import TokenGains
    from stages.tokens.token_texts import token_texts
    from stages.tokens.tokenizer import load_tokenizer

    texts = token_texts(load_tokenizer(directory), chunks[view["query_chunk"] + 1])
    if "".join(texts) != view["target"]:
        raise LookupError(f"the tokenizer in {directory} does not give the text of the target")
    (row,) = TokenGains(directory).gains(chunks, view["query_chunk"], [candidate])
    return texts, row


def _of_text(
    labels: LabelSet, directory: Path, chunks: list[np.ndarray], view: dict[str, Any], candidate: int
) -> tuple[list[str], np.ndarray]:
    """As `_of_tokens`, in the tokens of a reference LM that read text."""
    from model.hugging_face_files import tokenizer_digest
    from stages.scoring.text_gains import TextGains

    tokenizer = labels.directory.with_name("tokenizer")
    if (
        not (tokenizer / "tokenizer.json").is_file()
        or tokenizer_digest(tokenizer) != labels.scorer["chunk_tokenizer"]
    ):
        raise LookupError(f"{tokenizer} is not the tokenizer that cut these chunks")
    scorer = TextGains(directory, tokenizer)
    (row,) = scorer.gains(chunks, view["query_chunk"], [candidate])
    return scorer.pieces(chunks, view["query_chunk"] + 1), row
