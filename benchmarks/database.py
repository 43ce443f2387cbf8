"""What a larger database is worth to trained runs of RETRO with a whole corpus: bits a byte of held-out
documents, whose passages come from a sixteenth of the database's documents up to all of them.

The smaller databases are parts of the larger ones, taken document by document in an order that a seed draws.
Search is exact. Size 0 is the same model without passages, which it never learned to do without.
`python -m benchmarks.database RUN ...` reads the artifacts of the workspace.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.result import show
from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.evaluations import OWN, RANKING_LENGTH
from data_contracts.failure import Exit
from data_contracts.passages import KEYS
from data_contracts.tokens import CHUNKS
from model.registry import SYSTEMS
from stages import parameters
from stages.evaluation.documents import DocumentReader, Request
from stages.evaluation.rankings import Rankings
from stages.evaluation.writing import held_out
from stages.index.keys import key_array
from stages.index.store import PassageIndex, open_index
from stages.index.vectors import VectorIndex
from stages.parameters import Configuration
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenizer import load_tokenizer
from stages.training.systems import load_trained

FRACTIONS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
READS_CORPUS = [name for name, system in SYSTEMS.items() if system.supervision == "corpus"]
ARTIFACTS, PARAMETERS = Path("artifacts"), Path("params.yaml")
SEED = 0


def part_of(index: PassageIndex, fraction: float) -> np.ndarray:
    """Numbers of the passages of so many documents that they are at least `fraction` of all passages."""
    order = np.random.default_rng(SEED).permutation(len(index.documents))
    counts = np.bincount(index.document_N, minlength=len(order))[order]
    taken = order[: int(np.searchsorted(np.cumsum(counts), fraction * len(index))) + 1]
    return np.flatnonzero(np.isin(index.document_N, taken))


def request_of(
    doc_id: str, tokens: np.ndarray, keys_CD: np.ndarray, index: PassageIndex, part_N: np.ndarray, count: int
) -> Request:
    """A document whose chunks read their `count` nearest passages of a part of the index, or none of an empty
    one.
    """
    rankings = Rankings.empty(-(-len(tokens) // (index.passages_NR.shape[1] // 2)))
    if not len(part_N):
        return Request(doc_id, tokens, rankings, {}, index.passages_NR[:1])
    vectors = VectorIndex(np.asarray(index.keys_ND[part_N]), index.about["metric"], None, 0)
    count = min(count, len(part_N))
    found_Ck, distances_Ck = vectors.search_exactly(keys_CD, count)
    chunks = min(len(found_Ck), len(rankings.best.ids_CR))
    for ranking in rankings:
        ranking.ids_CR[:chunks, :count] = np.arange(chunks * count).reshape(chunks, count)
        ranking.scores_CR[:chunks, :count] = -distances_Ck[:chunks]
    passages = np.asarray(index.passages_NR[part_N[found_Ck[:chunks].ravel()]])
    return Request(doc_id, tokens, rankings, {}, passages)


def documents_of(configuration: Configuration, home: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """doc_id -> its tokens and the keys of its whole chunks, for the documents that are evaluated."""
    chunks, keys, found = open_artifact(CHUNKS, home / "chunks"), open_artifact(KEYS, home / "keys"), {}
    for shard in chunks.shards:
        table = keys.read(shard)
        runs = {doc_id: slice(begin, end) for doc_id, begin, end in document_runs(table.column("doc_id"))}
        values = key_array(table)
        for doc_id, tokens in held_out(chunks.read(shard), configuration.evaluation).items():
            found[doc_id] = (tokens, values[runs[doc_id]] if doc_id in runs else values[:0])
    return found


def measure(configuration: Configuration, name: str, scratch: Path) -> dict[float, float]:
    """Fraction of the database -> bits a byte of run `name`."""
    run = configuration.runs[name]
    home, neighbours = ARTIFACTS / run.corpus, configuration.recipes[run.system].neighbours
    index, documents = open_index(home / "index"), documents_of(configuration, home)
    model = load_trained(
        home / "models" / name, json.loads((home / "models" / name / "config.json").read_text())
    )
    reader = DocumentReader(model, (OWN,), neighbours, RANKING_LENGTH, "exact", scratch)
    sizes = DocumentBytes(load_tokenizer(home / "tokenizer"))
    total = sum(int(sizes(tokens)[1:].sum()) for tokens, _ in documents.values())
    found = {}
    for fraction in FRACTIONS:
        part = part_of(index, fraction) if fraction else np.empty(0, np.int64)
        asked = (request_of(doc_id, *both, index, part, neighbours) for doc_id, both in documents.items())
        nats = sum(float(reading.losses[OWN].sum(dtype=np.float64)) for reading in reader.read(asked))
        found[fraction] = nats / math.log(2) / total
    return found


def main() -> int:
    """Measure the runs that are named, and print the mean over them for each size."""
    load, configuration = os.getloadavg()[0], parameters.load(PARAMETERS)
    names = [argument for argument in sys.argv[1:] if argument != "--json"]
    known = [name for name, run in configuration.runs.items() if run.system in READS_CORPUS]
    if not names or {*names} - {*known}:
        what = f"runs {', '.join(names) or 'none'}"
        remedy = f"name some of {', '.join(known)}" if known else "add a run of retro_corpus to params.yaml"
        sys.stderr.write(f"error: {what}: it measures runs that read a whole corpus | remedy: {remedy}\n")
        return Exit.USAGE
    with tempfile.TemporaryDirectory() as scratch:
        runs = {name: measure(configuration, name, Path(scratch)) for name in names}
    figures = {
        f"bits_a_byte_{fraction:.4g}": float(np.mean([found[fraction] for found in runs.values()]))
        for fraction in FRACTIONS
    }
    by_run = {
        name: {f"{fraction:.4g}": bits for fraction, bits in found.items()} for name, found in runs.items()
    }
    show("database", figures, [], load, runs=by_run)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
