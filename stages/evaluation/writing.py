"""Held-out documents read with the readers and neighbours that a stage has chosen, and written shard by
shard: what the evaluation, the oracle and a swapped retriever have in common.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import document_runs
from data_contracts.evaluations import EVALUATIONS, RANKING_LENGTH
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from stages.evaluation.documents import DocumentReader, DocumentReading, OracleChoice, Request
from stages.evaluation.passages import DocumentPassages
from stages.evaluation.rankings import Rankings
from stages.parameters import Evaluation, Geometry
from stages.runner.messages import Messages
from stages.runner.resumption import finished_shards, note_devices
from stages.runner.stage import Context
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenizer import load_tokenizer

Documents = Mapping[str, np.ndarray]
"""doc_id -> its tokens."""


class Given(NamedTuple):
    """What the documents of a shard read in place of what the system finds itself.

    `rankings` are by document. `oracles` are setting -> doc_id -> choice, for settings that the readers have.
    `passages` are by document, for a system that reads a whole corpus: what its rankings number.
    """

    rankings: Mapping[str, Rankings] = MappingProxyType({})
    oracles: Mapping[str, Mapping[str, OracleChoice]] = MappingProxyType({})
    passages: Mapping[str, DocumentPassages] = MappingProxyType({})


GivenTo = Callable[[str, Documents], Given]
"""The name of a shard and its held-out documents -> what these are given."""


def held_out(chunks: pa.Table, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """doc_id -> its tokens, for the documents of the evaluated split."""
    rows = chunks.filter(pc.equal(chunks.column("split"), evaluation.split))
    tokens = list_rows(rows.column("token_ids"))
    documents = {
        doc_id: np.concatenate(tokens[begin:end])
        for doc_id, begin, end in document_runs(rows.column("doc_id"))
    }
    return {doc_id: ids[: evaluation.max_tokens_per_document] for doc_id, ids in documents.items()}


def read_all(
    documents: Documents, reader_of: Iterator[DocumentReader], given: Given
) -> Iterator[tuple[DocumentReader, DocumentReading]]:
    """Every document as the next of `reader_of` reads it; those that follow each other with one reader may be
    read side by side.
    """
    for reader, turns in itertools.groupby(
        zip(documents.items(), reader_of, strict=False), lambda turn: turn[1]
    ):
        requests = (
            Request(
                doc_id,
                ids,
                given.rankings.get(doc_id),
                {
                    setting: choices.get(doc_id, {})
                    for setting, choices in given.oracles.items()
                    if setting in reader.settings
                },
                given.passages[doc_id].tokens_PR if given.passages else None,
            )
            for (doc_id, ids), _ in turns
        )
        for reading in reader.read(requests):
            yield reader, reading


def write_evaluations(
    context: Context,
    geometry: Geometry,
    evaluation: Evaluation,
    reader_of: Iterator[DocumentReader],
    output: str,
    given_to: GivenTo,
) -> None:
    """Read every held-out document with its reader and write its rows to `output`, shard by shard; those that
    are there stay.

    Raises:
        Failure: if the split holds no document.
    """
    chunks = open_artifact(CHUNKS, context.input("chunks"))
    bytes_of = DocumentBytes(load_tokenizer(context.input("tokenizer")))
    shards = {shard: held_out(chunks.read(shard), evaluation) for shard in chunks.shards}
    progress, recalls = _Progress(context.say, shards, evaluation.split), list[float | None]()
    target = context.out(output)
    note_devices(target, context.say.note)
    finished = finished_shards(target)
    for shard, documents in shards.items():
        its_readers = list(itertools.islice(reader_of, len(documents)))
        # written before an interruption: its documents have taken their readers
        if shard in finished:
            progress.resumed(documents)
            continue
        by_document: dict[str, dict[str, list]] = {}
        for reader, reading in read_all(documents, iter(its_readers), given_to(shard, documents)):
            tokens = documents[reading.doc_id]
            by_document[reading.doc_id] = reader.rows(reading, bytes_of(tokens))
            recalls.append(reading.recall)
            progress.read(tokens)
        in_order = {doc_id: by_document[doc_id] for doc_id in documents}
        write_shard(EVALUATIONS, _table(context, evaluation.split, geometry, in_order), target / shard)
    commit(EVALUATIONS, target)
    if known := [recall for recall in recalls if recall is not None]:
        context.say.note(
            f"**{context.run_name}**: recall@{RANKING_LENGTH} of the approximate index against exact search,"
            f" in {len(known)} documents read now: {np.mean(known):.1%}"
        )


class _Progress:
    """How many of the tokens of all shards have been read, said as they are."""

    def __init__(self, say: Messages, shards: Mapping[str, Documents], split: str) -> None:
        self._say, self._done = say, 0
        self._total = sum(len(ids) for documents in shards.values() for ids in documents.values())
        if not self._total:
            raise Failure(
                "there is nothing to evaluate",
                f"no document in split {split!r}",
                "raise corpora.<name>.test",
                Exit.USAGE,
            )
        say.progress(0, self._total, "tokens", "compiling")

    def read(self, tokens: np.ndarray) -> None:
        self._done += len(tokens)
        self._say.progress(self._done, self._total, "tokens")

    def resumed(self, documents: Documents) -> None:
        self._done += sum(len(ids) for ids in documents.values())
        self._say.progress(self._done, self._total, "tokens", "resumed")


def _table(
    context: Context, split: str, geometry: Geometry, by_document: Mapping[str, Mapping[str, list]]
) -> pa.Table:
    """EVALUATIONS of the rows of each document, which say all but whose they are."""
    assert context.run
    columns: dict[str, list] = {name: [] for name in EVALUATIONS.schema.names}
    for doc_id, rows in by_document.items():
        named = {"system": context.run.system, "doc_id": doc_id, "split": split}
        whole = {**rows, **{name: [value] * len(rows["chunk"]) for name, value in named.items()}}
        for name, values in columns.items():
            values.extend(whole[name])
    return EVALUATIONS.table(columns, stride_chunks=geometry.stride_chunks)
