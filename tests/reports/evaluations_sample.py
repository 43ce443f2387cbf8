"""Made-up evaluations of several systems, documents and settings, with the labels, candidates and chunks that
go with them.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import EVALUATIONS, ORACLE, ORACLE_ALL
from reports.metrics.evaluation_rows import Evaluations, Key, aligned, frames_of, with_own
from reports.metrics.neighbours_at_test import OTHERS
from reports.metrics.run_figures import Evidence

CHUNK_TOKENS, STRIDE_CHUNKS = 8, 2
# nats a token where there are neighbours
GAINS = {"transformer_xl": 0.0, "retro": 0.1, "random": 0.0, "rpt_lex": 0.1, "rpt_sem": 0.3}
ORACLE_GAINS = {"oracle": 0.2, "oracle_all": 0.5}
READ = {"none": 0, "first_1": 1, "first_2": 2, "first_3": 3, "first_4": 4, "own": 2, "training_length": 2}


@dataclass(frozen=True)
class Sample:
    """The tables as stages write them, by run; `demo-` stands before a system's name."""

    evaluations: dict[str, pa.Table]
    oracles: dict[str, pa.Table]
    labels: pl.DataFrame
    exhaustive: pl.DataFrame
    retrieved: pl.DataFrame
    candidates: pl.DataFrame
    chunks: pl.DataFrame

    @property
    def systems(self) -> dict[str, str]:
        """System by run."""
        return {run: run.removeprefix("demo-") for run in self.evaluations}

    @property
    def seeds(self) -> dict[str, int]:
        """Seed by run."""
        return dict.fromkeys(self.evaluations, 0)

    def frames(self) -> dict[Key, pl.DataFrame]:
        """All rows by run and setting."""
        return frames_of([*self.evaluations.items(), *self.oracles.items()])

    def aligned(self) -> Evaluations:
        """The own setting of all runs."""
        return aligned(
            {key: rows for key, rows in self.frames().items() if key[1] == "own"}, self.systems, self.seeds
        )

    def evidence(self) -> Evidence:
        """What the figures are made of."""
        others = [
            with_own(self.frames(), self.systems, self.seeds, settings)
            for settings in (OTHERS, (ORACLE, ORACLE_ALL))
        ]
        tables = (self.labels, self.exhaustive, self.retrieved, self.candidates, self.chunks)
        return Evidence(self.aligned(), *others, *tables, CHUNK_TOKENS, STRIDE_CHUNKS)


def made_up_chunks(documents: int, chunks: int, tokens_of_last: int, seed: int = 0) -> pl.DataFrame:
    """Documents of `chunks` chunks, the last of them short."""
    rng = np.random.default_rng(seed)
    rows = [(f"{number:016x}", chunk) for number in range(documents) for chunk in range(chunks)]
    sizes = [tokens_of_last if chunk == chunks - 1 else CHUNK_TOKENS for _, chunk in rows]
    ids = [rng.integers(0, 30, size).tolist() for size in sizes]
    columns = {"doc_id": [doc for doc, _ in rows], "chunk": [chunk for _, chunk in rows], "token_ids": ids}
    frame = pl.DataFrame(columns, schema_overrides={"chunk": pl.Int32, "token_ids": pl.List(pl.UInt32)})
    return frame.with_columns(
        split=pl.lit("test"), text=pl.Series([f"text {doc}/{chunk} " for doc, chunk in rows])
    )


def _eligible(chunk: int) -> int:
    return max(0, last_eligible(chunk, STRIDE_CHUNKS) + 1) if chunk >= 0 else 0


def evaluation(chunks: pl.DataFrame, system: str, settings: list[str], seed: int) -> pa.Table:
    """One system: losses that all systems share, less its gain where there is a neighbour; rankings by its
    own seed.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, list] = {name: [] for name in EVALUATIONS.schema.names}
    lengths = chunks.group_by("doc_id", maintain_order=True).agg(
        pl.col("token_ids").list.len().sum(), pl.len().alias("chunks")
    )
    for number, (doc_id, tokens, count) in enumerate(lengths.iter_rows()):
        shared = np.random.default_rng(number).uniform(1, 3, tokens - 1).astype(np.float32)
        orders = [rng.permutation(_eligible(chunk))[:20].tolist() for chunk in range(-1, count - 1)]
        for setting in sorted(settings):
            for chunk, ranking in zip(range(-1, count - 1), orders, strict=True):
                read = 0 if system == "transformer_xl" else READ.get(setting, 2)
                begin, end = (
                    max(0, (chunk + 1) * CHUNK_TOKENS - 1),
                    min((chunk + 2) * CHUNK_TOKENS - 1, tokens - 1),
                )
                gain = (GAINS[system] + ORACLE_GAINS.get(setting, 0.0)) * bool(ranking[:read])
                losses = shared[begin:end] - np.float32(gain)
                row = {
                    "system": system,
                    "setting": setting,
                    "doc_id": doc_id,
                    "split": "test",
                    "chunk": chunk,
                    "loss": losses.sum(dtype=np.float64),
                    "tokens": len(losses),
                    "bytes": 3 * len(losses),
                    "token_losses": losses,
                    "eligible": _eligible(chunk),
                    "retrieved": ranking[:read],
                    "ranking": [] if system == "transformer_xl" else ranking,
                    "scores": [0.0] * (0 if system == "transformer_xl" else len(ranking)),
                    "gates": [0.5] * len(ranking[:read]),
                }
                for name, value in row.items():
                    columns[name].append(value)
    table = EVALUATIONS.table(columns, stride_chunks=STRIDE_CHUNKS)
    EVALUATIONS.validate(table, "the sample")
    return table


def _pairs(chunks: pl.DataFrame, per_query: int, seed: int) -> pl.DataFrame:
    """doc_id, query_chunk, candidate_chunk and rank of every query with a full target."""
    rng = np.random.default_rng(seed)
    queries = chunks.filter(pl.col("token_ids").list.len() == CHUNK_TOKENS)
    rows = [
        (doc_id, chunk - 1, int(candidate), rank)
        for doc_id, chunk in queries.select("doc_id", "chunk").iter_rows()
        for rank, candidate in enumerate(rng.permutation(_eligible(chunk - 1))[:per_query])
    ]
    schema = {"doc_id": pl.String, "query_chunk": pl.Int32, "candidate_chunk": pl.Int32, "rank": pl.Int16}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(split=pl.lit("test"))


def _read(tables: dict[str, pa.Table], exhaustive: pl.DataFrame) -> pl.DataFrame:
    """s_t of what any system read for every sixth query, and of the latest chunk, where the exhaustive sample
    has it the same.
    """
    own = [
        pl.DataFrame(pl.from_arrow(table)).filter((pl.col("setting") == "own") & (pl.col("chunk") % 6 == 0))
        for table in tables.values()
    ]
    whole = pl.concat(own).filter((pl.col("chunk") >= 0) & (pl.col("tokens") == CHUNK_TOKENS))
    latest = whole.filter(pl.col("eligible") > 0).select(
        "doc_id", "chunk", retrieved=pl.concat_list(pl.col("eligible") - 1)
    )
    read = pl.concat((whole.select("doc_id", "chunk", "retrieved"), latest))
    pairs = (
        read.rename({"chunk": "query_chunk", "retrieved": "candidate_chunk"})
        .explode("candidate_chunk")
        .drop_nulls()
    )
    pairs = pairs.unique().sort("doc_id", "query_chunk", "candidate_chunk")
    fresh = pairs.with_columns(
        split=pl.lit("test"), fresh=np.random.default_rng(6).normal(-1, 3, len(pairs)).astype(np.float32)
    )
    known = exhaustive.select("doc_id", "query_chunk", "candidate_chunk", "target_score")
    joined = fresh.join(
        known, on=["doc_id", "query_chunk", "candidate_chunk"], how="left", maintain_order="left"
    )
    local = -20.0 - (pl.col("query_chunk") % 7).cast(pl.Float32)
    scored = joined.with_columns(target_score=pl.coalesce("target_score", "fresh"), local_logprob=local).drop(
        "fresh"
    )
    return scored.with_columns(candidate_logprob=pl.col("local_logprob") + pl.col("target_score"))


def made_up(
    documents: int = 4, chunks: int = 70, systems: tuple[str, ...] = tuple(GAINS), candidates: int = 6
) -> Sample:
    """Everything; chunk 64 and on are a second block of a document."""
    frame = made_up_chunks(documents, chunks, CHUNK_TOKENS // 2)
    tables = {
        f"demo-{system}": evaluation(
            frame, system, ["own"] if system == "transformer_xl" else list(READ), seed
        )
        for seed, system in enumerate(systems)
    }
    oracles = (
        {"demo-rpt_sem": evaluation(frame, "rpt_sem", ["oracle", "oracle_all"], 9)}
        if "rpt_sem" in systems
        else {}
    )
    labels = _pairs(frame, candidates, 1)
    scores = np.random.default_rng(2).normal(-1, 3, len(labels)).astype(np.float32)
    every = (
        _pairs(frame, chunks, 4)
        .filter(pl.col("query_chunk") % 9 == 0)
        .sort("doc_id", "query_chunk", "candidate_chunk")
    )
    exhaustive = every.with_columns(
        target_score=np.random.default_rng(5).normal(-1, 3, len(every)).astype(np.float32)
    )
    bm25 = _pairs(frame, 20, 3).with_columns(query_form=pl.lit("q"))
    return Sample(
        tables,
        oracles,
        labels.with_columns(target_score=scores),
        exhaustive,
        _read(tables, exhaustive),
        bm25,
        frame,
    )
