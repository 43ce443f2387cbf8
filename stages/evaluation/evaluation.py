"""Evaluation of one trained system on whole held-out documents, with retrieval from all earlier eligible
chunks of the document.

Every token after the first is counted, the partial last chunk included, in each of the settings of
`evaluation.settings`. Neighbours are found by the system's own retriever, by BM25 for RETRO, by chance for
the control.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import document_runs
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, RANKING_LENGTH
from data_contracts.failure import Exit, Failure
from data_contracts.passages import NEAREST
from data_contracts.tokens import CHUNKS, list_rows
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader, DocumentReading, OracleChoice, Request
from stages.evaluation.passages import CorpusPassages, DocumentPassages
from stages.evaluation.rankings import Rankings, bm25_rankings, random_rankings, recency_rankings
from stages.evaluation.settings import settings_of
from stages.parameters import Evaluation, Geometry, Recipe
from stages.runner.resumption import finished_shards, note_devices
from stages.runner.stage import Context, Job
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenizer import load_tokenizer
from stages.training.passages import ORIGIN_OF, PassageSource
from stages.training.systems import load_trained

LEAKAGE = "stages.evaluation.leakage"


def held_out(chunks: pa.Table, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """doc_id -> its tokens, for the documents of the evaluated split."""
    rows = chunks.filter(pc.equal(chunks.column("split"), evaluation.split))
    tokens = list_rows(rows.column("token_ids"))
    documents = {
        doc_id: np.concatenate(tokens[begin:end])
        for doc_id, begin, end in document_runs(rows.column("doc_id"))
    }
    return {doc_id: ids[: evaluation.max_tokens_per_document] for doc_id, ids in documents.items()}


def given_rankings(
    retriever: str, documents: dict[str, np.ndarray], candidates: Callable[[], pa.Table], geometry: Geometry
) -> dict[str, Rankings]:
    """doc_id -> rankings, for systems whose retriever is not their own."""
    if retriever == "bm25" and documents:
        return bm25_rankings(candidates(), geometry.sequence_chunks)
    size, stride = geometry.chunk_tokens, geometry.stride_chunks
    if retriever == "recency":
        return {
            doc: recency_rankings(len(ids) // size, stride, geometry.sequence_chunks)
            for doc, ids in documents.items()
        }
    if retriever == "random":
        return {
            doc: random_rankings(doc, len(ids) // size, stride, geometry.sequence_chunks)
            for doc, ids in documents.items()
        }
    return {}


def readers(
    context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe
) -> Iterator[DocumentReader]:
    """The reader of each document in turn: every setting for the first `evaluation.settings_documents`, then
    `own` alone.
    """
    assert context.run
    in_every = make_reader(
        context, geometry, evaluation, recipe, settings_of(SYSTEMS[context.run.system], evaluation.settings)
    )
    if evaluation.settings_documents is None:
        yield from itertools.repeat(in_every)
        return
    yield from itertools.repeat(in_every, evaluation.settings_documents)
    yield from itertools.repeat(make_reader(context, geometry, evaluation, recipe, (OWN,)))


def make_reader(
    context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe, settings: tuple[str, ...]
) -> DocumentReader:
    """The trained model of the run, ready to read in some settings."""
    assert context.run_name
    directory = context.input("models") / context.run_name
    model = load_trained(directory, json.loads((directory / "config.json").read_text()))
    rows = evaluation.documents_at_once
    return DocumentReader(
        model, settings, recipe.neighbours, geometry.sequence_chunks, evaluation.index, context.scratch, rows
    )


def read_all(
    documents: dict[str, np.ndarray],
    reader_of: Iterator[DocumentReader],
    given: dict[str, Rankings],
    oracles: dict[str, dict[str, OracleChoice]],
    passages: Mapping[str, DocumentPassages] = MappingProxyType({}),
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
                given.get(doc_id),
                {
                    setting: choices.get(doc_id, {})
                    for setting, choices in oracles.items()
                    if setting in reader.settings
                },
                passages[doc_id].tokens_PR if passages else None,
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
    oracles: dict[str, dict[str, OracleChoice]],
    ranker: Callable[[np.ndarray], Rankings] | None = None,
    corpus: CorpusPassages | None = None,
) -> None:
    """Read every held-out document with its reader and write its rows to `output`, shard by shard; those that
    are there stay.

    `oracles` are setting -> doc_id -> choice, for settings that the readers have. A `ranker` ranks the chunks
    of a document of these tokens in place of the system's own retriever; `corpus` has the passages of a
    system that reads a whole corpus.

    Raises:
        Failure: if the split holds no document.
    """
    assert context.run
    chunks, candidates = (
        open_artifact(CHUNKS, context.input("chunks")),
        open_artifact(CANDIDATES, context.input("candidates")),
    )
    bytes_of, retriever = (
        DocumentBytes(load_tokenizer(context.input("tokenizer"))),
        SYSTEMS[context.run.system].retriever,
    )
    shards = {shard: held_out(chunks.read(shard), evaluation) for shard in chunks.shards}
    total, done, recalls = (
        sum(len(ids) for documents in shards.values() for ids in documents.values()),
        0,
        list[float | None](),
    )
    if not total:
        raise Failure(
            "there is nothing to evaluate",
            f"no document in split {evaluation.split!r}",
            "raise corpora.<name>.test",
            Exit.USAGE,
        )
    context.say.progress(0, total, "tokens", "compiling")
    target = context.out(output)
    note_devices(target, context.say.note)
    finished = finished_shards(target)
    for shard, documents in shards.items():
        its_readers = list(itertools.islice(reader_of, len(documents)))
        # written before an interruption: its documents have taken their readers
        if shard in finished:
            done += sum(len(ids) for ids in documents.values())
            context.say.progress(done, total, "tokens", "resumed")
            continue
        read = corpus.of_shard(shard, documents) if corpus else {}
        if corpus:
            given = {doc_id: passages.rankings for doc_id, passages in read.items()}
            oracles = {BY_CHANCE: {doc_id: passages.by_chance for doc_id, passages in read.items()}}
        elif ranker:
            given = {doc_id: ranker(ids) for doc_id, ids in documents.items()}
        else:
            given = given_rankings(retriever, documents, partial(candidates.read, shard), geometry)
        by_document: dict[str, dict[str, list]] = {}
        for reader, reading in read_all(documents, iter(its_readers), given, oracles, read):
            rows, recalls = (
                reader.rows(reading, bytes_of(documents[reading.doc_id])),
                [
                    *recalls,
                    reading.recall,
                ],
            )
            count = len(rows["chunk"])
            rows |= {
                "system": [context.run.system] * count,
                "doc_id": [reading.doc_id] * count,
                "split": [evaluation.split] * count,
            }
            by_document[reading.doc_id] = rows
            done += len(documents[reading.doc_id])
            context.say.progress(done, total, "tokens")
        columns = {
            name: [value for doc_id in documents for value in by_document[doc_id][name]]
            for name in EVALUATIONS.schema.names
        }
        write_shard(
            EVALUATIONS, EVALUATIONS.table(columns, stride_chunks=geometry.stride_chunks), target / shard
        )
    commit(EVALUATIONS, target)
    if found := [recall for recall in recalls if recall is not None]:
        context.say.note(
            f"**{context.run_name}**: recall@{RANKING_LENGTH} of the approximate index against exact search,"
            f" in {len(found)} documents read now: {np.mean(found):.1%}"
        )


def evaluate(context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe) -> None:
    """Write one row for every held-out chunk and setting.

    Raises:
        Failure: as `write_evaluations` and `CorpusPassages` state.
    """
    assert context.run
    system, corpus = SYSTEMS[context.run.system], None
    if system.supervision == "corpus":
        source = PassageSource(
            context.input(context.run.input), ORIGIN_OF[system.retriever], recipe.neighbours
        )
        corpus = CorpusPassages(source, evaluation.split, geometry)
    write_evaluations(
        context,
        geometry,
        evaluation,
        readers(context, geometry, evaluation, recipe),
        "evaluation",
        {},
        corpus=corpus,
    )
    if corpus and ORIGIN_OF[system.retriever] == NEAREST:
        assert context.run_name
        place = context.input(context.run.input)
        said = importlib.import_module(LEAKAGE).leakage_of
        if table := said(
            context.out("evaluation"), place, context.run_name, system.name, geometry.chunk_tokens
        ):
            context.say.note(
                f"**{context.run_name}**: what its passages bring, by how much of a chunk stands in"
                f" them\n\n{table}"
            )


READ = ("tokenizer", "chunks", "candidates", "models/{run}")
"""What every evaluation of a run reads, below `artifacts/{corpus}/`."""


STAGE = Job(
    "evaluation",
    evaluate,
    ("geometry", "evaluation", "recipe"),
    {"evaluation": "artifacts/{corpus}/evaluations/{run}"},
    reads=tuple(f"artifacts/{{corpus}}/{place}" for place in (*READ, "{input}/manifest.json")),
)
