"""What every chunk of a corpus reads: the passages whose keys are nearest, of other documents than its own,
and some drawn by chance.

Own passages are left out after more are fetched than are needed (`margin`); where that leaves too few, twice
as many are fetched, up to as many as the chunk's own document has. So a chunk has as many passages as were
asked for, or nothing is written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data_contracts.contract import fact, open_artifact
from data_contracts.documents import SPLITS, document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS, NEAREST, RANDOM
from data_contracts.tokens import CHUNKS, list_column, list_rows
from stages.index.keys import key_array
from stages.index.overlap import longest_common_runs
from stages.index.store import PassageIndex, open_index
from stages.parameters import CorpusNeighbours, Geometry
from stages.runner.stage import ShardStage

BLOCK_QUERIES = 1024
NO_DOCUMENT = -1


class Passages(NamedTuple):
    """[Q, k] numbers of passages, and the squared distances of their keys."""

    ids_Qk: np.ndarray
    distances_Qk: np.ndarray


class Queries(NamedTuple):
    """Consecutive chunks of a document: their numbers, their keys, and the tokens [Q + 1, M] of them and of
    the one after.
    """

    doc_id: str
    split: str
    chunk_Q: np.ndarray
    keys_QD: np.ndarray
    texts: np.ndarray


def nearest(index: PassageIndex, queries_QD: np.ndarray, document: int, count: int, margin: int) -> Passages:
    """The nearest passages of other documents than `document`, for queries of one document.

    Raises:
        Failure: (exit code 2) if there are fewer than `count`.
    """
    own = _own(index, document, count)
    fetch, waiting = min(count + margin, count + own), np.arange(len(queries_QD))
    found = Passages(
        np.empty((len(queries_QD), count), np.int64), np.empty((len(queries_QD), count), np.float32)
    )
    while len(waiting):
        last = fetch >= count + own
        search = index.vectors.search_exactly if last else index.vectors.search
        ids, values = search(queries_QD[waiting], fetch)
        usable = (ids >= 0) & (index.document_N[ids] != document)
        enough = usable.sum(axis=1) >= count
        order = np.argsort(~usable, axis=1, kind="stable")[:, :count]
        for target, source in zip(found, (ids, values), strict=True):
            target[waiting[enough]] = np.take_along_axis(source, order, 1)[enough]
        waiting, fetch = waiting[~enough], min(2 * fetch, count + own)
    return found


def drawn(
    index: PassageIndex, doc_id: str, chunks: np.ndarray, document: int, count: int, seed: int
) -> np.ndarray:
    """[Q, count] passages of other documents by chance, each query's without repetition; a function of the
    chunk and the seed alone.

    Raises:
        Failure: (exit code 2) if there are fewer than `count`.
    """
    _own(index, document, count)
    ids_Qk = np.empty((len(chunks), count), np.int64)
    for ids, chunk in zip(ids_Qk, chunks.tolist(), strict=True):
        rng, chosen = np.random.default_rng((seed, zlib.crc32(doc_id.encode()), chunk)), list[int]()
        while len(chosen) < count:
            passage = int(rng.integers(len(index)))
            if index.document_N[passage] != document and passage not in chosen:
                chosen.append(passage)
        ids[:] = chosen
    return ids_Qk


def _own(index: PassageIndex, document: int, count: int) -> int:
    """How many passages are of the document itself."""
    own = int(np.count_nonzero(index.document_N == document)) if document != NO_DOCUMENT else 0
    if len(index) - own < count:
        name = index.documents[document] if own else "any document"
        cause = f"{len(index) - own:,} passages stand outside {name}, {count} are asked for"
        raise Failure(
            "the corpus has too few passages",
            cause,
            "add documents, or lower corpus_neighbours.neighbours",
            Exit.USAGE,
        )
    return own


def counts_of(sizes: CorpusNeighbours) -> dict[str, dict[str, int]]:
    """split -> origin -> passages a chunk has."""
    return {
        split: {
            NEAREST: sizes.neighbours if split == "train" else sizes.evaluation_neighbours,
            RANDOM: sizes.random,
        }
        for split in SPLITS
    }


def corpus_neighbours(
    keys: pa.Table, chunks: pa.Table, geometry: Geometry, corpus_neighbours: CorpusNeighbours, index: Path
) -> Iterator[pa.Table]:
    """The passages of every whole chunk of a shard, in blocks that cut no query; at least one block.

    Raises:
        Failure: (exit code 2) as `nearest` states; (3) if the index is of another encoder or was not made of
            the keys that lie beside it.
    """
    opened, sizes = open_index(index), corpus_neighbours
    opened.fits(fact(keys, "encoder"))
    opened.made_of(KEYS.name, open_artifact(KEYS, index.parent / KEYS.name).digest)
    facts = {"chunk_tokens": geometry.chunk_tokens, "counts": counts_of(sizes), "index": opened.digest}
    keys_CD, tokens = key_array(keys), list_rows(chunks.column("token_ids"))
    texts = {doc_id: tokens[begin:end] for doc_id, begin, end in document_runs(chunks.column("doc_id"))}
    written = False
    for doc_id, begin, end in document_runs(keys.column("doc_id")):
        split = keys.column("split")[begin].as_py()
        for first in range(0, end - begin, BLOCK_QUERIES):
            chunk_Q = np.arange(first, min(first + BLOCK_QUERIES, end - begin))
            read = _texts(texts[doc_id], chunk_Q, geometry.chunk_tokens)
            yield _block(
                opened, Queries(doc_id, split, chunk_Q, keys_CD[begin + chunk_Q], read), sizes, facts
            )
            written = True
    if not written:
        yield CORPUS_NEIGHBOURS.table({name: [] for name in CORPUS_NEIGHBOURS.schema.names}, **facts)


def _texts(text: list[np.ndarray], queries: np.ndarray, size: int) -> np.ndarray:
    """[Q + 1, M] the tokens of consecutive chunks and of the one after them, -1 where there are none."""
    padded = np.full((len(queries) + 1, size), -1, np.int64)
    for row, ids in zip(padded, text[queries[0] : queries[-1] + 2], strict=False):
        row[: len(ids)] = ids
    return padded


def _block(index: PassageIndex, asked: Queries, sizes: CorpusNeighbours, facts: dict) -> pa.Table:
    """The rows of consecutive chunks of one document, sorted by chunk, origin and rank."""
    doc_id, split, queries, keys_QD, texts = asked
    document, counts = index.number_of.get(doc_id, NO_DOCUMENT), facts["counts"][split]
    near = nearest(index, keys_QD, document, counts[NEAREST], sizes.margin)
    chance = drawn(index, doc_id, queries, document, counts[RANDOM], sizes.seed)
    apart = np.stack(
        [
            ((index.keys_ND[ids].astype(np.float64) - key) ** 2).sum(axis=1)
            for ids, key in zip(chance, keys_QD, strict=True)
        ]
    )
    ids_QP = np.concatenate((near.ids_Qk, chance), axis=1)
    passages_QPR = np.asarray(index.passages_NR[ids_QP])
    per_query, ids = ids_QP.shape[1], ids_QP.ravel()
    columns = {
        "doc_id": pa.array([doc_id] * len(ids)),
        "split": pa.array([split] * len(ids)),
        "query_chunk": np.repeat(queries, per_query).astype(np.int32),
        "origin": pa.array(([NEAREST] * counts[NEAREST] + [RANDOM] * counts[RANDOM]) * len(queries)),
        "rank": (
            np.tile(
                np.concatenate([np.arange(counts[kind]) for kind in (NEAREST, RANDOM)]), len(queries)
            ).astype(np.int16)
        ),
        "source_doc": pa.array(index.documents).take(pa.array(index.document_N[ids])).cast(pa.string()),
        "source_chunk": np.asarray(index.chunk_N[ids]),
        "distance": np.concatenate((near.distances_Qk, apart), axis=1).astype(np.float32).ravel(),
        "query_overlap": longest_common_runs(texts[:-1], passages_QPR).ravel(),
        "target_overlap": longest_common_runs(texts[1:], passages_QPR).ravel(),
        "token_ids": list_column([*passages_QPR.reshape(len(ids), -1)]),
    }
    return CORPUS_NEIGHBOURS.table(columns, **facts)


STAGE = ShardStage(
    "corpus_neighbours",
    corpus_neighbours,
    ("geometry", "corpus_neighbours"),
    (KEYS, CHUNKS),
    CORPUS_NEIGHBOURS,
    "corpus_neighbours",
    sides=("index",),
)
