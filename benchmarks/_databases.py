"""Runs that read a whole corpus, given other databases than their own: what the benchmarks of databases have
in common. They read the artifacts of the workspace.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.evaluations import OWN, RANKING_LENGTH
from data_contracts.failure import Exit, Failure
from data_contracts.passages import KEYS
from data_contracts.tokens import CHUNKS
from model.language_model import LanguageModel
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader, DocumentReading, Request
from stages.evaluation.rankings import Rankings
from stages.evaluation.writing import held_out
from stages.index.keys import key_array
from stages.index.vectors import VectorIndex
from stages.parameters import Configuration
from stages.training.systems import load_trained

ARTIFACTS, PARAMETERS = Path("artifacts"), Path("params.yaml")


@dataclass(frozen=True)
class Database:
    """Passages [N, R] of some text, and the key [N, D] of each. They are searched exactly, by L2."""

    keys_ND: np.ndarray
    passages_NR: np.ndarray

    @cached_property
    def vectors(self) -> VectorIndex:
        """The search among the keys."""
        return VectorIndex(np.asarray(self.keys_ND), "l2", None, 0)

    def nearest(self, keys_CD: np.ndarray, count: int) -> Given:
        """The `count` nearest passages of each key, or all where there are fewer."""
        count = min(count, len(self.keys_ND))
        if not count or not len(keys_CD):
            return nothing(
                len(keys_CD), self.passages_NR.shape[1]
            )  # also of a document without a whole chunk
        found = self.vectors.search_exactly(keys_CD, count)
        return Given(np.asarray(self.passages_NR[found.ids_Qk]), found.values_Qk)


class Given(NamedTuple):
    """What each whole chunk of a document reads: tokens [C, k, R] of passages, nearest first, and their
    squared distances [C, k]."""

    passages_CkR: np.ndarray
    distances_Ck: np.ndarray


class HeldOut(NamedTuple):
    """A document that is evaluated, and the keys of its whole chunks."""

    doc_id: str
    tokens_T: np.ndarray
    keys_CD: np.ndarray


def nothing(chunks: int, length: int) -> Given:
    """No passage for so many chunks."""
    return Given(np.empty((chunks, 0, length), np.uint32), np.empty((chunks, 0), np.float32))


def request_of(document: HeldOut, given: Given) -> Request:
    """A document whose chunks read what they are given."""
    count, length = given.passages_CkR.shape[1:]
    rankings = Rankings.empty(-(-len(document.tokens_T) // (length // 2)))
    chunks = min(len(given.passages_CkR), len(rankings.best.ids_CR))
    for ranking in rankings:
        ranking.ids_CR[:chunks, :count] = np.arange(chunks * count).reshape(chunks, count)
        ranking.scores_CR[:chunks, :count] = -given.distances_Ck[:chunks]
    passages = given.passages_CkR[:chunks].reshape(-1, length)
    return Request(document.doc_id, document.tokens_T, rankings, {}, passages)


def documents_of(configuration: Configuration, home: Path) -> list[HeldOut]:
    """The documents of a corpus that are evaluated."""
    chunks, keys, found = open_artifact(CHUNKS, home / "chunks"), open_artifact(KEYS, home / "keys"), []
    for shard in chunks.shards:
        table = keys.read(shard)
        runs = {doc_id: slice(begin, end) for doc_id, begin, end in document_runs(table.column("doc_id"))}
        values = key_array(table)
        for doc_id, tokens in held_out(chunks.read(shard), configuration.evaluation).items():
            found.append(HeldOut(doc_id, tokens, values[runs[doc_id]] if doc_id in runs else values[:0]))
    return found


def check_runs(configuration: Configuration, names: list[str]) -> None:
    """Whether these are runs that read a whole corpus.

    Raises:
        Failure: (exit code 2) if one is none.
    """
    reads = [name for name, system in SYSTEMS.items() if system.supervision == "corpus"]
    known = [name for name, run in configuration.runs.items() if run.system in reads]
    if not names or {*names} - {*known}:
        remedy = f"name some of {', '.join(known)}" if known else "add a run of retro_corpus to params.yaml"
        cause = "it measures runs that read a whole corpus"
        raise Failure(f"runs {', '.join(names) or 'none'}", cause, remedy, Exit.USAGE)


def load_run(configuration: Configuration, name: str) -> LanguageModel:
    """The model of a run.

    Raises:
        Failure: (exit code 2) if it is not trained.
    """
    place = ARTIFACTS / configuration.runs[name].corpus / "models" / name
    if not (place / "config.json").exists():
        remedy = f"./rpt run evaluation@{name} trains and evaluates it"
        raise Failure(f"run {name} is not trained", f"there is no {place}", remedy, Exit.USAGE)
    return load_trained(place, json.loads((place / "config.json").read_text()))


class RunReader:
    """A trained run, which reads documents with whatever passages they are given. Raises like `load_run`."""

    def __init__(self, configuration: Configuration, name: str, scratch: Path) -> None:
        model, run = load_run(configuration, name), configuration.runs[name]
        self.count = configuration.recipes[run.system].neighbours
        self._reader = DocumentReader(model, (OWN,), self.count, RANKING_LENGTH, "exact", scratch)

    def read(self, requests: Iterable[Request]) -> Iterator[DocumentReading]:
        """Each document in turn; losses stand under `OWN`, whatever was read."""
        return self._reader.read(requests)
