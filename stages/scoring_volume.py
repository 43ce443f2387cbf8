"""How many pairs scoring needs: counted in the candidates where there are some, else estimated from the lengths of the documents."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import Artifact, read_columns
from data_contracts.eligibility import last_eligible
from stages.cost import Volume
from stages.parameters import Geometry, Scoring
from stages.scoring import chosen_rows

PAIR = ["doc_id", "query_chunk", "candidate_chunk"]
COUNTED_ROWS = 20_000_000  # about 10 s


def pairs_wanted(candidates: pa.Table, scoring: Scoring) -> tuple[pa.Table, int]:
    """The distinct pairs (doc_id, query_chunk, candidate_chunk) that the labels of one shard need, and how many label rows that is.

    The local context of a query is one of its pairs: candidate i - 2.
    """
    rows = chosen_rows(candidates, scoring).select(PAIR)
    queries = rows.group_by(PAIR[:2]).aggregate([])
    local = queries.append_column(rows.schema.field(PAIR[2]), pc.subtract(queries.column("query_chunk"), pa.scalar(2, pa.int32())))
    return pa.concat_tables([rows, local]).group_by(PAIR).aggregate([]), rows.num_rows


def volume_of(pairs: pa.Table, rows: int, known: np.ndarray) -> Volume:
    """What one shard asks for. `known` [n] says which of its pairs have been scored before and cost nothing."""
    new = pairs.filter(pa.array(~known))
    queries, prefixes = pairs.group_by(PAIR[:2]).aggregate([]), new.group_by([PAIR[0], PAIR[2]]).aggregate([])
    return Volume(queries.num_rows, rows, pairs.num_rows, new.num_rows, prefixes.num_rows)


def counted(candidates: Artifact, scoring: Scoring) -> tuple[Volume, bool]:
    """What all shards ask for, and whether every shard was counted: of more than `COUNTED_ROWS` candidates only some shards are."""
    columns = ["doc_id", "split", "query_form", "query_chunk", "candidate_chunk", "rank"]
    total, read = Volume(), 0
    for shard in _spread(list(candidates.shards)):
        table = read_columns(CANDIDATES, candidates.directory / shard, columns)
        pairs, rows = pairs_wanted(table, scoring)
        # Nothing outlives a run yet but whole label artifacts, so every pair of a stale one is new.
        total += volume_of(pairs, rows, known=np.zeros(pairs.num_rows, bool))
        read += table.num_rows
        if read >= COUNTED_ROWS:
            break
    whole = read == candidates.rows
    return (total if whole or not read else total.scaled(candidates.rows / read)), whole


def _spread(names: list[str]) -> list[str]:
    """The names in an order of which every beginning is spread over all of them: multiples of the golden ratio modulo 1."""
    places = [(0.6180339887498949 * number) % 1.0 for number in range(len(names))]
    return [name for _, name in sorted(zip(places, names, strict=True))]


def estimated(documents: Iterable[tuple[str, int]], geometry: Geometry, scoring: Scoring) -> Volume:
    """What documents given as (split, full chunks) would ask for if all of their eligible chunks were candidates.

    Sampling of queries is taken at its expectation, and every chunk of a pool that may begin a prefix is taken to begin one.
    """
    total = Volume()
    for split, full in documents:
        train, size = split == "train", geometry.sequence_chunks
        k = scoring.candidates if train else scoring.evaluation_candidates
        share = scoring.query_fraction if train else scoring.evaluation_query_fraction
        pools = [(full // size, size), (1, full % size)] if train else [(1, full)]
        found = [(count, *_pool(chunks, geometry.stride_chunks, k)) for count, chunks in pools]
        queries, rows = (round(share * sum(part[0] * part[at] for part in found)) for at in (1, 2))
        prefixes = min(sum(count * pool for count, _, _, pool in found), queries + rows)
        total += Volume(queries, rows, queries + rows, queries + rows, prefixes)
    return total


@lru_cache(maxsize=4096)
def _pool(chunks: int, stride_chunks: int, k: int) -> tuple[int, int, int]:
    """(queries with a candidate, candidates up to k a query, prefixes at most) of a pool of full chunks.

    The last chunk is no query, because its target lies elsewhere, so the last prefix is the local context of the one before it.
    """
    eligible = np.maximum(last_eligible(np.arange(max(chunks - 1, 0)), stride_chunks) + 1, 0)
    queries = int((eligible > 0).sum())
    return queries, int(np.minimum(eligible, k).sum()), chunks - 3 if queries else 0
