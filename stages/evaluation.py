"""Evaluation of one trained system on whole held-out documents, with retrieval from all earlier eligible chunks of the document.

A document is one forward pass: window attention makes its cost linear, and neighbours are found between the two decoders, by the
system's own retriever through Faiss, by BM25 for RETRO, by chance for the control. Every token after the first is counted, the partial
last chunk included.
"""

from __future__ import annotations

import json
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from flax import nnx

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import document_runs
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from model.language_model import LanguageModel
from model.memory import search_past
from model.presets import SYSTEMS
from stages.parameters import Evaluation, Geometry, Recipe
from stages.stage import Context, Job
from stages.systems import load_trained

RANKING_LENGTH = 20


@nnx.jit
def _encode(model: LanguageModel, tokens_BL):
    return model.encode(tokens_BL)


@nnx.jit
def _token_losses(model: LanguageModel, encoded, neighbours_BCN, targets_BL):
    return model.token_losses(model.decode(encoded, neighbours_BCN), targets_BL)


def bm25_rankings(candidates: pa.Table) -> dict[str, np.ndarray]:
    """doc_id -> [C, 20] BM25 ranking for query c_i alone, -1 where there are fewer."""
    rows = candidates.filter(pc.and_(pc.equal(candidates.column("query_form"), "q"), pc.less(candidates.column("rank"), RANKING_LENGTH)))
    query, chunk, rank = (rows.column(name).to_numpy() for name in ("query_chunk", "candidate_chunk", "rank"))
    rankings = {}
    for doc_id, begin, end in document_runs(rows.column("doc_id")):
        ranking = np.full((query[begin:end].max() + 1, RANKING_LENGTH), -1, np.int32)
        ranking[query[begin:end], rank[begin:end]] = chunk[begin:end]
        rankings[doc_id] = ranking
    return rankings


def random_ranking(doc_id: str, chunks: int, stride_chunks: int) -> np.ndarray:
    """[C, 20] a ranking by chance, -1 where there are fewer eligible chunks; a function of the document and the chunk alone."""
    ranking = np.full((chunks, RANKING_LENGTH), -1, np.int32)
    for chunk in range(chunks):
        eligible = max(0, int(last_eligible(chunk, stride_chunks)) + 1)
        generator = np.random.default_rng((zlib.crc32(doc_id.encode()), chunk))
        ranking[chunk, : min(eligible, RANKING_LENGTH)] = generator.permutation(eligible)[:RANKING_LENGTH]
    return ranking


def evaluate_document(
    model: LanguageModel, tokens: np.ndarray, padded_length: int, given: np.ndarray | None, geometry: Geometry, neighbours: int
) -> tuple[np.ndarray, np.ndarray]:
    """Losses in nats of tokens 1 .. T-1 of a document, and the [C, 20] ranking of eligible chunks that its neighbours were taken from.

    `given` is the ranking of a system without a retriever.
    """
    inputs, targets = np.zeros((1, padded_length), np.int32), np.zeros((1, padded_length), np.int32)
    inputs[0, : len(tokens) - 1], targets[0, : len(tokens) - 1] = tokens[:-1], tokens[1:]
    chunks, full = padded_length // geometry.chunk_tokens, len(tokens) // geometry.chunk_tokens
    encoded = _encode(model, inputs)
    ranking = np.full((chunks, RANKING_LENGTH), -1, np.int32)
    if encoded.queries_BCD is not None:
        found = search_past(np.asarray(encoded.queries_BCD[0]), np.asarray(encoded.keys_BCD[0]), geometry.stride_chunks, RANKING_LENGTH)
        ranking[:full] = found[:full]
    elif given is not None:
        known = min(len(given), full)
        ranking[:known] = given[:known]
    losses = _token_losses(model, encoded, ranking[None, :, :neighbours], targets)
    return np.asarray(losses[0, : len(tokens) - 1]), ranking[:full]


def document_rows(losses: np.ndarray, ranking: np.ndarray, geometry: Geometry, neighbours: int) -> dict[str, list]:
    """Columns of EVALUATIONS for one document: the loss of chunk i + 1 stands beside what was retrieved for chunk i."""
    target_chunk = np.arange(1, len(losses) + 1) // geometry.chunk_tokens
    sums, counts = np.bincount(target_chunk, losses), np.bincount(target_chunk)
    rows = range(-1, len(sums) - 1)
    lists = [ranking[row][ranking[row] >= 0] if row >= 0 else np.empty(0, np.int32) for row in rows]
    return {
        "chunk": list(rows),
        "loss": sums.tolist(),
        "tokens": counts.tolist(),
        "eligible": [max(0, last_eligible(row, geometry.stride_chunks) + 1) if row >= 0 else 0 for row in rows],
        "retrieved": [row[:neighbours] for row in lists],
        "ranking": lists,
    }


def held_out(chunks: pa.Table, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """doc_id -> its tokens, for the documents of the evaluated split."""
    rows = chunks.filter(pc.equal(chunks.column("split"), evaluation.split))
    tokens = list_rows(rows.column("token_ids"))
    documents = {doc_id: np.concatenate(tokens[begin:end]) for doc_id, begin, end in document_runs(rows.column("doc_id"))}
    return {doc_id: ids[: evaluation.max_tokens_per_document] for doc_id, ids in documents.items()}


def evaluate(context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe) -> None:
    """Write one row for every held-out chunk, shard by shard.

    Raises:
        Failure: if the split holds no document.
    """
    assert context.run_name
    assert context.run
    directory = context.input("models") / context.run_name
    model = load_trained(directory, json.loads((directory / "config.json").read_text()))
    chunks, candidates = open_artifact(CHUNKS, context.input("chunks")), open_artifact(CANDIDATES, context.input("candidates"))
    shards = {shard: held_out(chunks.read(shard), evaluation) for shard in chunks.shards}
    lengths = [len(ids) for documents in shards.values() for ids in documents.values()]
    if not lengths:
        raise Failure("there is nothing to evaluate", f"no document in split {evaluation.split!r}", "raise corpora.<name>.test", Exit.USAGE)
    stride, retriever = geometry.stride_chunks, SYSTEMS[context.run.system].retriever
    padded = -(-max(lengths) // (stride * geometry.chunk_tokens)) * stride * geometry.chunk_tokens
    context.say.progress(0, sum(lengths), "tokens", "compiling")
    done = 0
    for shard, documents in shards.items():
        given = bm25_rankings(candidates.read(shard)) if retriever == "bm25" and documents else {}
        if retriever == "random":
            given = {doc_id: random_ranking(doc_id, len(ids) // geometry.chunk_tokens, stride) for doc_id, ids in documents.items()}
        columns: dict[str, list] = {name: [] for name in EVALUATIONS.schema.names}
        for doc_id, ids in documents.items():
            losses, ranking = evaluate_document(model, ids, padded, given.get(doc_id), geometry, recipe.neighbours)
            rows = document_rows(losses, ranking, geometry, recipe.neighbours)
            count = len(rows["chunk"])
            rows |= {"system": [context.run.system] * count, "doc_id": [doc_id] * count, "split": [evaluation.split] * count}
            for name, values in rows.items():
                columns[name] += values
            done += len(ids)
            context.say.progress(done, sum(lengths), "tokens")
        write_shard(EVALUATIONS, EVALUATIONS.table(columns, stride_chunks=geometry.stride_chunks), context.out("evaluation") / shard)
    commit(EVALUATIONS, context.out("evaluation"))


STAGE = Job("evaluation", evaluate, ("geometry", "evaluation", "recipe"), {"evaluation": "artifacts/{corpus}/evaluations/{run}"})
