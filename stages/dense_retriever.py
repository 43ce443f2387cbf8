"""The DPR-style retriever of a corpus (paper appendix C), trained on its train split: positive BM25's first chunk, hard negative its fifth.

BM25's query is (c_q, c_t), as for labels, while the encoder reads c_q alone: at test there is no c_t. What is encoded of a chunk that may
be retrieved is c_j alone, which is what BM25 ranked; a system then reads it with its continuation, whoever found it.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import polars as pl

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import Artifact, open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.config import Shape
from model.parameters_io import save_parameters
from stages.dense_retriever_training import Examples, train
from stages.parameters import DenseRetriever, Geometry
from stages.stage import Context, Job
from stages.tokenizer import load_tokenizer

POSITIVE, HARD_NEGATIVE = 0, 4
"""Ranks, 0 = best."""


def training_examples(chunks: Artifact, candidates: Artifact, queries: int, seed: int) -> tuple[Examples, int]:
    """At most `queries` training queries with their positive and hard negative; and how many that were met have no hard negative.

    Shards are read in random order until they hold enough, so that memory does not grow with the corpus.
    """
    rng, names, tokens = np.random.default_rng(seed), list(chunks.shards), chunks.fact("chunk_tokens")
    parts, held, short = [np.empty((0, 3, tokens), np.int32)], 0, 0
    for number in rng.permutation(len(names)).tolist():
        found_E3M, without = _shard_examples(_train(chunks, names[number]), _train(candidates, names[number]), tokens)
        parts, held, short = [*parts, found_E3M], held + len(found_E3M), short + without
        if held >= queries:
            break
    all_E3M = np.concatenate(parts)
    chosen_E3M = all_E3M[np.sort(rng.permutation(len(all_E3M))[:queries])]
    return Examples(chosen_E3M[:, 0], chosen_E3M[:, 1], chosen_E3M[:, 2], _names(chosen_E3M[:, 1:])), short


def _train(artifact: Artifact, shard: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(artifact.read(shard))).filter(pl.col("split") == "train")


def _shard_examples(chunks: pl.DataFrame, candidates: pl.DataFrame, tokens: int) -> tuple[np.ndarray, int]:
    """[E, 3, M] tokens of the query, positive and hard negative of each example, and the number of queries left out."""
    mined = candidates.filter(pl.col("query_form") == "qt")
    positive, negative = (
        mined.filter(pl.col("rank") == rank).select("doc_id", "query_chunk", pl.col("candidate_chunk").alias(name))
        for name, rank in (("positive", POSITIVE), ("negative", HARD_NEGATIVE))
    )
    found = positive.join(negative, on=["doc_id", "query_chunk"], maintain_order="left")
    begins = chunks.with_row_index("begin").group_by("doc_id").agg(pl.col("begin").min().cast(pl.Int64))
    placed = found.join(begins, on="doc_id", maintain_order="left")
    rows_E3 = placed.select(pl.col("query_chunk", "positive", "negative") + pl.col("begin")).to_numpy()
    values = chunks["token_ids"].gather(rows_E3.reshape(-1)).explode().to_numpy()
    return values.reshape(len(found), 3, tokens).astype(np.int32), len(positive) - len(found)


def _names(passages_E2M: np.ndarray) -> np.ndarray:
    """[E, 2] a number for each chunk, the same for the same tokens."""
    rows = np.ascontiguousarray(passages_E2M.reshape(-1, passages_E2M.shape[-1]))
    _, names = np.unique(rows.view(f"V{rows.strides[0]}"), return_inverse=True)
    return names.reshape(passages_E2M.shape[:2]).astype(np.int32)


def encoder_shape(geometry: Geometry, sizes: DenseRetriever, vocabulary_size: int) -> Shape:
    """The shape of both encoders.

    Raises:
        Failure: (exit code 2) if the sizes do not fit together.
    """
    try:
        return Shape(
            vocabulary_size=vocabulary_size,
            width=sizes.width,
            layers=sizes.layers,
            heads=sizes.heads,
            chunk_tokens=geometry.chunk_tokens,
            stride_chunks=geometry.stride_chunks,
            cca_layers=(),
            neighbours=1,
            gate_window=1,
            dropout=0.0,
            zero_init_residuals=False,
            dtype="float32",
            remat=False,
        )
    except ValueError as error:
        raise Failure("the sizes of the dense retriever", str(error), "change `dense_retriever` in params.yaml", Exit.USAGE) from error


def make_dense_retriever(context: Context, geometry: Geometry, dense_retriever: DenseRetriever) -> None:
    """Write model.safetensors, config.json and losses.jsonl.

    Raises:
        Failure: (exit code 2) if no training query has five candidates, or the sizes do not fit together.
    """
    chunks, candidates = open_artifact(CHUNKS, context.input("chunks")), open_artifact(CANDIDATES, context.input("candidates"))
    shape = encoder_shape(geometry, dense_retriever, load_tokenizer(context.input("tokenizer")).get_vocab_size())
    examples, short = training_examples(chunks, candidates, dense_retriever.queries, dense_retriever.seed)
    count, steps = len(examples.queries_EM), dense_retriever.steps
    if not count:
        cause = f"none of {short} training queries has {HARD_NEGATIVE + 1} candidates"
        raise Failure("no hard negatives", cause, "raise mining.max_candidates or give longer documents", Exit.USAGE)
    batch = min(dense_retriever.batch, count)
    history = list[dict[str, float]]()

    def progress(step: int, loss: float, share: float) -> None:
        history.append({"step": step, "loss": loss, "accuracy": share})
        context.say.progress(step, steps, "steps", f"loss {loss:.3f}, {share:.0%} right")

    context.say.progress(0, steps, "steps", "compiling")
    parameters = train(shape, examples, steps, batch, dense_retriever.learning_rate, dense_retriever.seed, progress)
    target = context.out("dense_retriever")
    save_parameters(parameters, target / "model.safetensors")
    (target / "config.json").write_text(json.dumps({"shape": asdict(shape)}, indent=1) + "\n")
    (target / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    context.say.note(
        f"**{context.corpus}**: dense retriever trained on {count:,} queries, {steps * batch / count:.1f} times each; {short:,} with fewer "
        f"than {HARD_NEGATIVE + 1} candidates were left out; of the last batch it puts {history[-1]['accuracy']:.1%} of the positives first"
    )


STAGE = Job(
    "dense_retriever",
    make_dense_retriever,
    ("geometry", "dense_retriever"),
    {"dense_retriever": "artifacts/{corpus}/dense_retriever"},
)
