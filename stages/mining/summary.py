"""What mining says when it is done: how long the documents are (the paper's Figure 3), and how many queries
found candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import Artifact, read_columns
from data_contracts.documents import SPLITS, document_runs
from data_contracts.eligibility import first_query
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from reports.metrics.lengths import as_markdown, histogram


def chunks_by_document(chunks: Artifact) -> dict[str, int]:
    """doc_id -> its number of chunks."""
    counts: dict[str, int] = {}
    for shard in chunks.shards:
        for doc_id, begin, end in document_runs(
            read_columns(CHUNKS, chunks.directory / shard, ["doc_id"]).column("doc_id")
        ):
            counts[doc_id] = end - begin
    return counts


def queries_and_candidates(candidates: Artifact) -> dict[str, tuple[int, int]]:
    """query form -> (queries with a candidate, candidates)."""
    totals: dict[str, tuple[int, int]] = {}
    for shard in candidates.shards:
        table = read_columns(CANDIDATES, candidates.directory / shard, ["query_form", "rank"])
        forms, ranks = (
            table.column("query_form").combine_chunks().dictionary_encode(),
            table.column("rank").to_numpy(),
        )
        for code, form in enumerate(forms.dictionary.to_pylist()):
            of_form = forms.indices.to_numpy() == code
            queries, rows = totals.get(form, (0, 0))
            totals[form] = queries + int((ranks[of_form] == 0).sum()), rows + int(of_form.sum())
    return totals


def label_queries(candidates: Artifact) -> dict[str, int]:
    """split -> its queries `qt` that have a candidate."""
    totals = dict.fromkeys(SPLITS, 0)
    for shard in candidates.shards:
        columns = read_columns(CANDIDATES, candidates.directory / shard, ["split", "query_form", "rank"])
        asked = columns.filter((pc.field("query_form") == "qt") & (pc.field("rank") == 0)).column("split")
        for counted in pc.value_counts(asked).to_pylist():
            totals[counted["values"]] += counted["counts"]
    return totals


def longest_to_learn_from(chunks: Artifact) -> int:
    """Whole chunks of the longest document of the train split."""
    longest = 0
    for shard in chunks.shards:
        table = read_columns(CHUNKS, chunks.directory / shard, ["doc_id", "split", "token_ids"])
        whole = pc.equal(pc.list_value_length(table.column("token_ids")), chunks.fact("chunk_tokens"))
        train = table.filter(pc.and_(pc.equal(table.column("split"), "train"), whole))
        ends = [end - begin for _, begin, end in document_runs(train.column("doc_id"))]
        longest = max(longest, *ends, 0)
    return longest


def without_queries(
    totals: dict[str, int], longest: Callable[[], int], chunk_tokens: int, stride_chunks: int
) -> str:
    """A warning in Markdown for splits other than train in which no chunk can be given candidates; empty if
    there is none.

    Raises:
        Failure: (exit code 2) if that is so in train, where nothing could be learned of retrieval, however
            much were paid for labels.
    """
    needed = first_query(stride_chunks) + 2  # the first query and its target
    limit = (
        f"a document of {needed} whole chunks, {needed * chunk_tokens:,} tokens, is the shortest that has one"
    )
    if not totals["train"]:
        cause = (
            f"no chunk of the train split can retrieve an earlier one: {limit}, and the longest of that split"
            f" has {longest()}"
        )
        remedy = (
            "join texts that belong together (corpora.<name>.group: directory), give longer ones, or lower"
            " geometry.chunk_tokens"
        )
        raise Failure("the documents are too short to retrieve from", cause, remedy, Exit.USAGE)
    empty = [split for split, queries in totals.items() if not queries]
    return (
        f"\n\n**Warning**: no query in {' and '.join(empty)}: {limit}. Label gates are measured on"
        " validation."
        if empty
        else ""
    )


def summarise(chunks: Artifact, candidates: Artifact) -> str:
    """Markdown for a person; raises as `without_queries` does."""
    counts = np.array(list(chunks_by_document(chunks).values()), dtype=np.int64)
    size = chunks.fact("chunk_tokens")
    warning = without_queries(
        label_queries(candidates),
        partial(longest_to_learn_from, chunks),
        size,
        candidates.fact("stride_chunks"),
    )
    found = ", ".join(
        f"{queries:,} queries `{form}` with {rows:,} candidates"
        for form, (queries, rows) in sorted(queries_and_candidates(candidates).items())
    )
    lengths = as_markdown(histogram(counts * size))
    return (
        f"{len(counts):,} documents, {counts.sum():,} chunks;"
        f" {found or 'no query has an eligible chunk'}\n\nLength of documents (in whole chunks of {size}"
        f" tokens; Figure 3 of the paper):\n\n{lengths}{warning}"
    )
