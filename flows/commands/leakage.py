"""How much of what a corpus brings a run is copied, from the evaluations and passages that there
are of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.compute as pc

from data_contracts.contract import open_artifact
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS
from data_contracts.tokens import CHUNKS
from reports.metrics.evaluation_rows import frames_of, with_own
from reports.metrics.leakage import Leakage, leakage, overlaps
from reports.metrics.near_duplicates import near_duplicates
from stages.index.keys import whole_chunks
from stages.index.store import open_index
from stages.parameters import Configuration


def _duplicates(home: Path, configuration: Configuration) -> pl.DataFrame:
    """doc_id, chunk (the query) and whether the chunk after it has a near duplicate among the passages of the
    index.
    """
    chunks, size = open_artifact(CHUNKS, home / "chunks"), configuration.geometry.chunk_tokens
    database_NM, frames = np.asarray(open_index(home / "index").passages_NR[:, :size]), []
    for shard in chunks.shards:
        table = chunks.read(shard)
        whole, tokens_CM = whole_chunks(
            table.filter(pc.equal(table.column("split"), configuration.evaluation.split)), size
        )
        columns = {
            "doc_id": whole.column("doc_id").to_pylist(),
            "chunk": whole.column("chunk").to_numpy() - 1,
        }
        frame = {**columns, "duplicate": near_duplicates(tokens_CM, database_NM)}
        # also of a shard without a chunk
        frames.append(pl.DataFrame(frame, schema_overrides={"doc_id": pl.String}))
    return pl.concat(frames)


def overlap_of(home: Path) -> pl.DataFrame:
    """doc_id, chunk (the query), and how much of the chunk after it stands in the passages that were found.

    Raises:
        Failure: (exit code 3) if passages are not there.
    """
    artifact = open_artifact(CORPUS_NEIGHBOURS, home / CORPUS_NEIGHBOURS.name)
    columns = ["doc_id", "split", "query_chunk", "origin", "query_overlap", "target_overlap"]
    return overlaps(artifact.read_all(columns))


def leakage_rows(configuration: Configuration, name: str, artifacts: Path) -> list[Leakage]:
    """The rows of the leakage table of run `name`, from what lies in `artifacts`.

    Raises:
        Failure: (exit code 2) for a run that reads no corpus; (3) if it was not evaluated, runs were not on
            the same tokens, or passages, chunks or index are not there.
    """
    runs = configuration.runs
    if name not in runs or runs[name].as_read().input != CORPUS_NEIGHBOURS.name:
        known = [other for other, run in runs.items() if run.as_read().input == CORPUS_NEIGHBOURS.name]
        cause = "it reads no whole corpus" if name in runs else "params.yaml does not name it"
        raise Failure(
            f"run {name!r}",
            cause,
            f"one of {', '.join(known)}" if known else "add a run of retro_corpus",
            Exit.USAGE,
        )
    home, columns = (
        artifacts / runs[name].corpus,
        [
            "system",
            "setting",
            "doc_id",
            "chunk",
            "loss",
            "tokens",
            "bytes",
            "eligible",
        ],
    )
    places = {
        other: home / "evaluations" / other for other, run in runs.items() if run.corpus == runs[name].corpus
    }
    there = {
        other: place for other, place in places.items() if other == name or (place / "manifest.json").exists()
    }
    frames = frames_of(
        (other, open_artifact(EVALUATIONS, place).read_all(columns)) for other, place in there.items()
    )
    frames = {
        key: rows
        for key, rows in frames.items()
        if key[1] == OWN or key in ((name, WITHOUT), (name, BY_CHANCE))
    }
    systems, seeds = (
        {other: runs[other].system for other in there},
        {other: runs[other].seed for other in there},
    )
    evaluations = with_own(frames, systems, seeds, {WITHOUT, BY_CHANCE})
    assert evaluations  # of a run that reads a corpus both are always there
    baselines = [(name, WITHOUT), (name, BY_CHANCE), *((other, OWN) for other in there if other != name)]
    overlap = overlap_of(home).join(_duplicates(home, configuration), on=["doc_id", "chunk"], how="left")
    size, samples = configuration.geometry.chunk_tokens, configuration.report.bootstrap_samples
    return leakage(evaluations, overlap, size, (name, OWN), baselines, samples)
