"""A trained run that goes on with a text, retrieving from it as the run was evaluated: by its own retriever,
by BM25, by chance or by place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_contracts.failure import Exit, Failure
from model.fused_decoder import FusedDecoder
from model.generation import Choose, Continuation, drawn
from model.language_model import LanguageModel
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from stages.evaluation.rankings import random_rankings, recency_rankings
from stages.evaluation.sampling import Sampling
from stages.mining.bm25 import best_candidates
from stages.parameters import Configuration, Mining, Run
from stages.training.systems import load_trained

RANDOM_TEXT = "generated"
"""Stands for the document's name where neighbours are drawn by chance."""


def run_of(configuration: Configuration, name: str) -> Run:
    """A run that can go on with a text.

    Raises:
        Failure: (exit code 2) for one that params.yaml lacks or that reads a whole corpus.
    """
    run = configuration.runs.get(name)
    if run is None:
        known = ", ".join(configuration.runs)
        raise Failure(f"run {name!r}", "params.yaml does not name it", f"one of {known}", Exit.USAGE)
    if SYSTEMS[run.system].supervision == "corpus":
        cause = f"{run.system} reads passages of a whole corpus, which are found before it reads"
        raise Failure(f"run {name!r}", cause, "choose a run that retrieves from its own text", Exit.USAGE)
    return run


def trained(run: Run, name: str, artifacts: Path) -> Path:
    """Where the model of a run lies.

    Raises:
        Failure: (exit code 3) if it was not trained.
    """
    directory = artifacts / run.corpus / "models" / name
    if not (directory / "config.json").exists():
        raise Failure(
            f"run {name!r}", f"{directory} is not there", f"./rpt run training@{name}", Exit.CONTRACT
        )
    return directory


def continuation_of(configuration: Configuration, name: str, artifacts: Path, tokens: int) -> Continuation:
    """The model of run `name`, ready to read and write up to `tokens` tokens.

    Raises:
        Failure: (exit code 2) as `run_of` states; (3) as `trained` does, or if it is of another system.
    """
    run = run_of(configuration, name)
    directory = trained(run, name, artifacts)
    described = json.loads((directory / "config.json").read_text())
    if described["system"] != run.system:
        cause = f"its model is a {described['system']}, params.yaml says {run.system}"
        raise Failure(f"run {name!r}", cause, f"./rpt run training@{name}", Exit.CONTRACT)
    model = load_trained(directory, described)
    slots = model.config.neighbours if isinstance(model, FusedDecoder) else 0
    chunks = -(-tokens // model.config.chunk_tokens) if slots else 0
    memory = RetrievalIndex(model.config, chunks, artifacts, configuration.evaluation.index)
    choose = _choose(SYSTEMS[run.system].retriever, model, memory, slots, configuration.mining)
    return Continuation(model, memory, choose, slots)


def generated(continuation: Continuation, prompt: list[int], end: int, sampling: Sampling) -> Iterator[int]:
    """Token after token, until `end` is drawn or there are `sampling.tokens`; a function of the seed."""
    rng = np.random.default_rng(sampling.seed)
    continuation.take(prompt)
    for _ in range(sampling.tokens):
        token = drawn(continuation.log_probs(), sampling.temperature, sampling.top_p, rng)
        if token == end:
            return
        continuation.take([token])
        yield token


def _choose(
    retriever: str, model: LanguageModel, memory: RetrievalIndex, slots: int, mining: Mining
) -> Choose:
    size, stride = model.config.chunk_tokens, model.config.stride_chunks

    def own(first: int, queries_CE: np.ndarray | None, _: np.ndarray) -> np.ndarray:
        assert queries_CE is not None
        return memory.search(first, queries_CE, slots)[0]

    def given(first: int, _: np.ndarray | None, tokens_T: np.ndarray) -> np.ndarray:
        """Those of the ranking of all whole chunks."""
        whole = len(tokens_T) // size
        ids_CN = np.full((stride, slots), -1, np.int32)
        if retriever == "bm25":
            for query, ids in _by_bm25(
                tokens_T[: whole * size].reshape(-1, size), stride, mining, first, slots
            ):
                ids_CN[query - first, : len(ids)] = ids
            return ids_CN
        by_place = retriever == "recency"
        ranked = (
            recency_rankings(whole, stride, 1) if by_place else random_rankings(RANDOM_TEXT, whole, stride, 1)
        )
        found = ranked.best.ids_CR[first : first + stride, :slots]
        ids_CN[: len(found), : found.shape[1]] = found
        return ids_CN

    def nothing(*_: object) -> np.ndarray:
        return np.full((stride, slots), -1, np.int32)

    return nothing if not slots else given if retriever in ("bm25", "random", "recency") else own


def _by_bm25(
    chunks_CM: np.ndarray, stride: int, mining: Mining, first: int, slots: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(query, its best chunks) for queries from `first` on, as mining ranks them for held-out documents."""
    if len(chunks_CM) <= first:
        return
    for found in best_candidates(chunks_CM, stride, mining, with_target=False):
        for query in range(first, len(chunks_CM)):
            rows = (found.query_R == query) & (found.rank_R < slots)
            if rows.any():
                yield query, found.candidate_R[rows][np.argsort(found.rank_R[rows])]
