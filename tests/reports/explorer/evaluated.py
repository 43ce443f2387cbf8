"""Evaluated corpora: real text cut by the real stages, with made-up losses, rankings and labels."""

from __future__ import annotations

import argparse
import hashlib
import heapq
import random
import textwrap
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Contract, commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS, document_runs
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import EVALUATIONS
from data_contracts.tokens import CHUNKS, TOKENS, list_column, list_rows
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining
from stages.tokens.chunking import chunk
from stages.tokens.tokenizer import train_tokenizer

STRIDE = 2
GEOMETRY = Geometry(chunk_tokens=64, sequence_chunks=512, stride_chunks=STRIDE)
RETRIEVING = ("own", "none", "first_1", "first_2", "second")
HELP = {
    "own": 1.0,
    "none": 0.0,
    "first_1": 0.7,
    "first_2": 1.0,
    "second": 0.5,
    "oracle": 1.3,
    "training_length": 0.4,
}


def evaluated_modules(home: Path) -> Path:
    """Four modules of Python's library below `home`, evaluated with Transformer-XL, RETRO and RPT-Sem, which
    has an oracle.
    """
    modules = (heapq, textwrap, random, argparse)
    make_corpus(
        home,
        {f"Lib/{module.__name__}.py": Path(str(module.__file__)).read_text()[:16_000] for module in modules},
    )
    evaluate(home, "a-transformer_xl", "transformer_xl")
    evaluate(home, "a-retro", "retro", RETRIEVING, skill=0.35)
    evaluate(home, "a-rpt_sem", "rpt_sem", (*RETRIEVING, "oracle"), skill=0.6)
    return home


def write(contract: Contract, directory: Path, *tables: pa.Table) -> None:
    """An artifact with a shard for each table."""
    directory.mkdir(parents=True)
    for number, table in enumerate(tables):
        write_shard(contract, table, directory / f"part-{number:05d}.parquet")
    commit(contract, directory)


def make_corpus(home: Path, texts: dict[str, str]) -> Path:
    """documents, tokenizer, chunks, candidates and labels of `texts` by source, in two shards; all stages but
    scoring are the real ones.
    """
    tokenizer = train_tokenizer(iter(texts.values()), 1024)
    (home / "tokenizer").mkdir(parents=True)
    tokenizer.save(str(home / "tokenizer" / "tokenizer.json"))
    documents, chunks, candidates = [], [], []
    for sources in np.array_split(list(texts), 2):
        own = [texts[source] for source in sources]
        ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in own]
        splits = ["validation" if "validation" in source else "test" for source in sources]
        empty = {name: [""] * len(own) for name in ("part_of", "corpus", "license")}
        columns = {
            "doc_id": ids,
            "split": splits,
            "source": list(sources),
            "text": own,
            "num_chars": [len(text) for text in own],
        }
        documents.append(DOCUMENTS.table({**columns, **empty}))
        tokens = list_column([np.array(tokenizer.encode(text).ids, np.uint32) for text in own])
        table = TOKENS.table({"doc_id": ids, "split": splits, "token_ids": tokens}, tokenizer="")
        chunks.append(pa.concat_tables(chunk(table, GEOMETRY, home / "tokenizer")))
        candidates.append(pa.concat_tables(mine(chunks[-1], GEOMETRY, Mining(max_candidates=20))))
    write(DOCUMENTS, home / "documents", *documents)
    write(CHUNKS, home / "chunks", *chunks)
    write(CANDIDATES, home / "candidates", *candidates)
    write(LABELS, home / "labels", *map(_labels, candidates))
    return home


def _labels(candidates: pa.Table) -> pa.Table:
    """Made-up labels of the first 8 candidates of every query; better ones are a little more often
    the first.
    """
    rows = candidates.filter(pa.compute.equal(candidates.column("query_form"), "qt")).drop_columns(
        "query_form"
    )
    rank = rows.column("rank").to_numpy()
    rows, rank = rows.filter(pa.array(rank < 8)), rank[rank < 8]
    rng = np.random.default_rng(1)
    local = (-150 - 20 * rng.random(len(rank))).astype(np.float32)[
        np.maximum.accumulate(np.where(rank == 0, np.arange(len(rank)), 0))
    ]
    gained = np.minimum(local + rng.normal(-1 - 0.3 * rank, 4), -1).astype(np.float32)
    halves = {
        name: pa.FixedSizeListArray.from_arrays(np.repeat(whole / 2, 2), 2)
        for name, whole in (("candidate", gained), ("local", local))
    }
    columns = {name: rows.column(name) for name in rows.column_names}
    columns |= {"candidate_logprob": gained, "local_logprob": local, "target_score": gained - local}
    columns |= {f"{name}_halves": values for name, values in halves.items()}
    return LABELS.table(
        columns, stride_chunks=STRIDE, sequence_chunks=GEOMETRY.sequence_chunks, scorer={"engine": "made-up"}
    )


def evaluate(
    home: Path, run: str, system: str, settings: Sequence[str] = ("own",), skill: float = 0.0
) -> Path:
    """An evaluation of every document of `home`, whose losses fall with `skill`, and an oracle beside it;
    unless that is among `settings` it is empty, as the stage writes it for a system without a retriever."""
    chunks, labels = open_artifact(CHUNKS, home / "chunks"), open_artifact(LABELS, home / "labels").read_all()
    tables, gold = [chunks.read(shard) for shard in chunks.shards], dict[tuple[str, int], list[int]]()
    columns = (
        labels.column(name).to_pylist()
        for name in ("doc_id", "query_chunk", "target_score", "candidate_chunk")
    )
    for doc_id, query, score, candidate in sorted(zip(*columns, strict=True), key=lambda row: -row[2]):
        if score > 0:
            gold.setdefault((doc_id, query), []).append(candidate)
    for name, wanted in (
        ("evaluations", [one for one in settings if one != "oracle"]),
        ("oracle", [one for one in settings if one == "oracle"]),
    ):
        made = [_evaluation(table, run, system, sorted(wanted), skill, gold) for table in tables]
        write(EVALUATIONS, home / name / run, *made)
    return home / "evaluations" / run


def _evaluation(
    chunks: pa.Table, run: str, system: str, settings: Sequence[str], skill: float, gold: dict
) -> pa.Table:
    token_ids, splits = list_rows(chunks.column("token_ids")), chunks.column("split")
    columns: dict[str, list] = {name: [] for name in EVALUATIONS.schema.names}
    for doc_id, begin, end in document_runs(chunks.column("doc_id")):
        lengths = [len(ids) for ids in token_ids[begin:end]]
        for setting in settings:
            for row in _rows(doc_id, lengths, run, setting, skill):
                if setting == "oracle":
                    row["retrieved"] = gold.get((doc_id, row["chunk"]), [])[:2]
                    row["gates"] = [1.0] * len(row["retrieved"])
                for name, value in {
                    **row,
                    "doc_id": doc_id,
                    "split": splits[begin].as_py(),
                    "system": system,
                    "setting": setting,
                }.items():
                    columns[name].append(value)
    return EVALUATIONS.table(columns, stride_chunks=STRIDE)


def _rows(doc_id: str, lengths: list[int], run: str, setting: str, skill: float) -> list[dict]:
    """A row a chunk. Texts are as hard for every run, which adds noise of its own; what is retrieved helps or
    hurts some tokens.
    """
    text, own, noise = (
        np.random.default_rng(zlib.crc32(f"{doc_id} {words}".encode()))
        for words in ("", run, f"{run} {setting}")
    )
    rows = []
    for i in range(-1, len(lengths) - 1):
        count = lengths[i + 1] - (i == -1)
        eligible = max(0, int(last_eligible(i, STRIDE)) + 1) if i >= 0 else 0
        ranking = own.permutation(eligible)[:20] if skill else np.zeros(0, np.int64)
        scores, gates = (
            np.sort(own.normal(1, 1.5, 20))[::-1][: len(ranking)],
            np.round(own.uniform(0.1, 1, 2), 3),
        )
        read = {"none": ranking[:0], "first_1": ranking[:1], "second": ranking[1:2]}.get(setting, ranking[:2])
        hard = text.gamma(1.2, 2.4, count) * (0.6 + 0.8 * text.random())
        helped = (
            (own.random(count) < 0.15)
            * own.choice([0.0, 0.0, 1.0, -0.4], p=[0.3, 0.3, 0.25, 0.15])
            * min(eligible, 4)
            / 4
        )
        losses = hard * (1 - skill * HELP[setting] * helped) * np.exp(noise.normal(0, 0.03, count))
        rows.append(
            {
                "chunk": i,
                "loss": losses.astype(np.float32).sum(),
                "tokens": count,
                "bytes": 3 * count,
                "token_losses": losses.astype(np.float32),
                "eligible": eligible,
                "retrieved": read,
                "ranking": ranking,
                "scores": scores,
                "gates": gates[: len(read)],
            }
        )
    return rows
