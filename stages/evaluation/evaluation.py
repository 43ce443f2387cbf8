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
from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.evaluations import BY_CHANCE, OWN
from data_contracts.passages import NEAREST
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader
from stages.evaluation.passages import CorpusPassages
from stages.evaluation.rankings import Rankings, bm25_rankings, random_rankings, recency_rankings
from stages.evaluation.settings import settings_of
from stages.evaluation.writing import Documents, Given, GivenTo, write_evaluations
from stages.parameters import Evaluation, Geometry, Recipe
from stages.runner.stage import Context, Job
from stages.training.passages import ORIGIN_OF, PassageSource
from stages.training.systems import load_trained

LEAKAGE = "stages.evaluation.leakage"


def given_rankings(
    retriever: str, documents: Documents, candidates: Callable[[], pa.Table], geometry: Geometry
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


def own_given(context: Context, geometry: Geometry) -> GivenTo:
    """What documents are given by the system itself: nothing where it has a retriever of its own."""
    assert context.run
    candidates, retriever = (
        open_artifact(CANDIDATES, context.input("candidates")),
        SYSTEMS[context.run.system].retriever,
    )
    return lambda shard, documents: Given(
        given_rankings(retriever, documents, partial(candidates.read, shard), geometry)
    )


def _given_by_corpus(corpus: CorpusPassages) -> GivenTo:
    """Passages of a whole corpus, and in the setting `by_chance` those that were drawn."""

    def given(shard: str, documents: Documents) -> Given:
        passages = corpus.of_shard(shard, documents)
        return Given(
            {doc_id: read.rankings for doc_id, read in passages.items()},
            {BY_CHANCE: {doc_id: read.by_chance for doc_id, read in passages.items()}},
            passages,
        )

    return given


def evaluate(context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe) -> None:
    """Write one row for every held-out chunk and setting.

    Raises:
        Failure: as `write_evaluations` and `CorpusPassages` state.
    """
    assert context.run
    system = SYSTEMS[context.run.system]
    if system.supervision == "corpus":
        source = PassageSource(
            context.input(context.run.input), ORIGIN_OF[system.retriever], recipe.neighbours
        )
        given_to = _given_by_corpus(CorpusPassages(source, evaluation.split, geometry))
    else:
        given_to = own_given(context, geometry)
    reader_of = readers(context, geometry, evaluation, recipe)
    write_evaluations(context, geometry, evaluation, reader_of, "evaluation", given_to)
    if ORIGIN_OF.get(system.retriever) == NEAREST:
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
