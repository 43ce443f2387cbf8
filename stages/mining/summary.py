"""What mining says when it is done: how long the documents are (the paper's Figure 3), and how many queries found candidates."""

from __future__ import annotations

import numpy as np

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import Artifact, read_columns
from data_contracts.documents import document_runs
from data_contracts.tokens import CHUNKS
from reports.metrics.lengths import as_markdown, histogram


def chunks_by_document(chunks: Artifact) -> dict[str, int]:
    """doc_id -> its number of chunks."""
    counts: dict[str, int] = {}
    for shard in chunks.shards:
        for doc_id, begin, end in document_runs(read_columns(CHUNKS, chunks.directory / shard, ["doc_id"]).column("doc_id")):
            counts[doc_id] = end - begin
    return counts


def queries_and_candidates(candidates: Artifact) -> dict[str, tuple[int, int]]:
    """query form -> (queries with a candidate, candidates)."""
    totals: dict[str, tuple[int, int]] = {}
    for shard in candidates.shards:
        table = read_columns(CANDIDATES, candidates.directory / shard, ["query_form", "rank"])
        forms, ranks = table.column("query_form").combine_chunks().dictionary_encode(), table.column("rank").to_numpy()
        for code, form in enumerate(forms.dictionary.to_pylist()):
            of_form = forms.indices.to_numpy() == code
            queries, rows = totals.get(form, (0, 0))
            totals[form] = queries + int((ranks[of_form] == 0).sum()), rows + int(of_form.sum())
    return totals


def summarise(chunks: Artifact, candidates: Artifact) -> str:
    """Markdown for a person."""
    counts = np.array(list(chunks_by_document(chunks).values()), dtype=np.int64)
    found = ", ".join(
        f"{queries:,} queries `{form}` with {rows:,} candidates"
        for form, (queries, rows) in sorted(queries_and_candidates(candidates).items())
    )
    size = chunks.fact("chunk_tokens")
    lengths = as_markdown(histogram(counts * size))
    return (
        f"{len(counts):,} documents, {counts.sum():,} chunks; {found or 'no query has an eligible chunk'}\n\n"
        f"Length of documents (in whole chunks of {size} tokens; Figure 3 of the paper):\n\n{lengths}"
    )
