"""What a larger database is worth to trained runs of RETRO with a whole corpus: bits a byte of held-out
documents, whose passages come from a sixteenth of the database's documents up to all of them.

The smaller databases are parts of the larger ones, taken document by document in an order that a seed draws.
Search is exact. Size 0 is the same model without passages, which it never learned to do without.
`python -m benchmarks.database RUN ...` reads the artifacts of the workspace.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import _databases as databases
from benchmarks._databases import Database, RunReader, request_of
from benchmarks.result import refusing, show
from data_contracts.evaluations import OWN
from stages import parameters
from stages.index.store import PassageIndex, open_index
from stages.parameters import Configuration
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenizer import load_tokenizer

FRACTIONS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
SEED = 0


def part_of(index: PassageIndex, fraction: float) -> np.ndarray:
    """Numbers of the passages of so many documents that they are at least `fraction` of all passages."""
    order = np.random.default_rng(SEED).permutation(len(index.documents))
    counts = np.bincount(index.document_N, minlength=len(order))[order]
    taken = order[: int(np.searchsorted(np.cumsum(counts), fraction * len(index))) + 1]
    return np.flatnonzero(np.isin(index.document_N, taken))


def measure(configuration: Configuration, name: str, scratch: Path) -> dict[float, float]:
    """Fraction of the database -> bits a byte of run `name`."""
    home = databases.ARTIFACTS / configuration.runs[name].corpus
    index, documents = open_index(home / "index"), databases.documents_of(configuration, home)
    reader, sizes = RunReader(configuration, name, scratch), DocumentBytes(load_tokenizer(home / "tokenizer"))
    total = sum(int(sizes(document.tokens_T)[1:].sum()) for document in documents)
    found = {}
    for fraction in FRACTIONS:
        part = part_of(index, fraction) if fraction else np.empty(0, np.int64)
        database = Database(index.keys_ND[part], index.passages_NR[part])
        asked = (
            request_of(document, database.nearest(document.keys_CD, reader.count)) for document in documents
        )
        nats = sum(float(reading.losses[OWN].sum(dtype=np.float64)) for reading in reader.read(asked))
        found[fraction] = nats / math.log(2) / total
    return found


def main() -> None:
    """Measure the runs that are named, and print the mean over them for each size."""
    load, configuration = os.getloadavg()[0], parameters.load(databases.PARAMETERS)
    names = [argument for argument in sys.argv[1:] if argument != "--json"]
    databases.check_runs(configuration, names)
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


if __name__ == "__main__":
    raise SystemExit(refusing(main))
