"""The index of a corpus: the keys of its train split and their passages in one place, searched exactly or,
beyond a size, approximately.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Artifact, open_artifact, read_columns
from data_contracts.documents import document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.passages import KEYS
from data_contracts.tokens import CHUNKS, list_rows
from data_contracts.whole_files import write_atomically
from stages.index import store
from stages.index.keys import key_array
from stages.index.passages import passages_of
from stages.index.vectors import Kind, Metric, VectorIndex, build, read_graph, write_graph
from stages.parameters import Geometry, Index
from stages.runner.stage import Context, Job

METRIC: Metric = "l2"
MEASURED = 10  # passages of each query whose recall is measured
DONE = ".shards_done.json"


class _Part(NamedTuple):
    """What a shard brings: keys, passages, and the document and chunk of each."""

    keys_ND: np.ndarray
    passages_NR: np.ndarray
    documents: list[str]
    chunk_N: np.ndarray


def make_index(context: Context, geometry: Geometry, index: Index) -> None:
    """Write the index; shards that an interrupted run has copied are not copied again.

    Raises:
        Failure: (exit code 2) if the train split has no whole chunk; (3) if keys and chunks are not of the
            same corpus.
    """
    keys, chunks = open_artifact(KEYS, context.input("keys")), open_artifact(CHUNKS, context.input("chunks"))
    begins, total = _begins(keys)
    if not total:
        cause = f"the train split has no chunk of {geometry.chunk_tokens} tokens"
        raise Failure(
            "there is nothing to index", cause, "add documents, or lower geometry.chunk_tokens", Exit.USAGE
        )
    target, width = context.out("index"), keys.fact("width")
    sizes: dict[str, tuple[str, tuple[int, ...]]] = {
        store.KEYS: ("float32", (total, width)),
        store.PASSAGES: ("uint32", (total, 2 * geometry.chunk_tokens)),
        store.DOCUMENT: ("int32", (total,)),
        store.CHUNK: ("int32", (total,)),
    }
    arrays = {name: _array(target / name, dtype, shape) for name, (dtype, shape) in sizes.items()}
    documents = _copied(context, keys, chunks, begins, arrays, geometry)
    kind: Kind = "exact" if total <= index.exact_below else index.approximate
    vectors = VectorIndex(
        arrays[store.KEYS], METRIC, _graph(context, target, arrays[store.KEYS], kind, index), index.probes
    )
    recall = _recall(vectors, keys, index) if kind != "exact" else None
    write_atomically(target / store.DOCUMENTS, json.dumps(documents).encode())
    about = {
        "kind": kind,
        "metric": METRIC,
        "probes": index.probes,
        "recall": recall,
        "passages": total,
        "width": width,
    }
    about |= {"encoder": keys.fact("encoder"), "made_of": {"keys": keys.digest, "chunks": chunks.digest}}
    store.seal(target, about)
    (target / DONE).unlink()
    found = (
        "exact search" if recall is None else f"{kind}, recall@{MEASURED} against exact search {recall:.1%}"
    )
    context.say.note(
        f"**{context.corpus}**: {total:,} passages of {len(documents):,} documents, keys of {width} values,"
        f" {found}"
    )


def _begins(keys: Artifact) -> tuple[dict[str, int], int]:
    """shard -> number of its first passage, and how many there are."""
    begins, total = {}, 0
    for shard in keys.shards:
        begins[shard] = total
        total += (
            pc.sum(
                pc.equal(read_columns(KEYS, keys.directory / shard, ["split"]).column("split"), "train")
            ).as_py()
            or 0
        )
    return begins, total


def _array(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array in a file, made with zeros unless it is there; what is written to it goes to the file."""
    if not path.exists():
        making = path.with_name(f".{path.name}")
        np.lib.format.open_memmap(making, "w+", dtype, shape).flush()
        making.replace(path)
    return np.lib.format.open_memmap(path, "r+")


def _copied(
    context: Context,
    keys: Artifact,
    chunks: Artifact,
    begins: dict[str, int],
    arrays: dict[str, np.ndarray],
    geometry: Geometry,
) -> list[str]:
    """Copy the shards that are not yet; the documents in their order."""
    progress = context.out("index") / DONE  # beside the arrays, so that it never outlives them
    done: dict[str, list[str]] = json.loads(progress.read_bytes()) if progress.exists() else {}
    for shard, begin in begins.items():
        if shard not in done:
            first = sum(map(len, done.values()))
            part = _part(keys.read(shard), chunks.read(shard), shard, geometry.chunk_tokens)
            rows = slice(begin, begin + len(part.chunk_N))
            arrays[store.KEYS][rows], arrays[store.PASSAGES][rows], arrays[store.CHUNK][rows] = (
                part.keys_ND,
                part.passages_NR,
                part.chunk_N,
            )
            named = list(dict.fromkeys(part.documents))
            number = {doc_id: first + place for place, doc_id in enumerate(named)}
            arrays[store.DOCUMENT][rows] = [number[doc_id] for doc_id in part.documents]
            for array in arrays.values():
                array.flush()  # type: ignore[attr-defined]
            done[shard] = named
            write_atomically(progress, json.dumps(done).encode())
        context.say.progress(len(done), len(begins), "shards")
    return [doc_id for named in done.values() for doc_id in named]


def _part(keys: pa.Table, chunks: pa.Table, shard: str, size: int) -> _Part:
    """The passages of the train split in one shard."""
    known, rows = (table.filter(pc.equal(table.column("split"), "train")) for table in (keys, chunks))
    whole = rows.filter(pc.equal(pc.list_value_length(rows.column("token_ids")), size))
    if any(known.column(name).to_pylist() != whole.column(name).to_pylist() for name in ("doc_id", "chunk")):
        cause = f"{shard} has keys of {known.num_rows} chunks, and {whole.num_rows} other whole chunks"
        raise Failure(
            "keys and chunks are not of the same corpus",
            cause,
            "./rpt run keys makes them again",
            Exit.CONTRACT,
        )
    tokens, documents = list_rows(rows.column("token_ids")), document_runs(rows.column("doc_id"))
    passages = [passages_of(np.concatenate(tokens[begin:end]), size) for _, begin, end in documents]
    return _Part(
        key_array(known),
        np.concatenate([np.empty((0, 2 * size), np.uint32), *passages]),
        whole.column("doc_id").to_pylist(),
        whole.column("chunk").to_numpy(),
    )


def _graph(context: Context, target: Path, keys_ND: np.ndarray, kind: Kind, index: Index) -> Any:
    """The approximate index, from its file if that is there."""
    if kind == "exact":
        return None
    if not (target / store.GRAPH).exists():
        context.say.progress(0, 1, "index", f"{kind} of {len(keys_ND):,} keys")
        graph = build(keys_ND, kind, METRIC, index.seed)
        assert graph is not None
        write_graph(graph, target / f".{store.GRAPH}")
        (target / f".{store.GRAPH}").replace(target / store.GRAPH)
    return read_graph(target / store.GRAPH)


def _recall(vectors: VectorIndex, keys: Artifact, index: Index) -> float | None:
    """The recall for keys of held-out chunks, or, where there are none, of indexed ones."""
    asked: list[np.ndarray] = []
    for shard in keys.shards:
        table = keys.read(shard)
        asked.append(key_array(table.filter(pc.not_equal(table.column("split"), "train"))))
        if sum(map(len, asked)) >= index.recall_queries:
            break
    held_out = np.concatenate([part for part in asked if len(part)] or [vectors.keys_ND])
    chosen = np.random.default_rng(index.seed).permutation(len(held_out))[: index.recall_queries]
    return (
        round(vectors.recall(held_out[np.sort(chosen)], min(MEASURED, len(vectors.keys_ND))), 4)
        if len(chosen)
        else None
    )


STAGE = Job(
    "index",
    make_index,
    ("geometry", "index"),
    {"index": "artifacts/{corpus}/index"},
    reads=("artifacts/{corpus}/keys", "artifacts/{corpus}/chunks"),
)
