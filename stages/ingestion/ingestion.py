"""Ingestion: source files -> documents and quarantine. Every input ends in exactly one of the two.

Three steps, so that a corpus of any size goes through bounded memory: the inputs are read, judged and cut on
Ray, a batch of files a shard; one table without texts decides what repeats, how documents are split and which
shard each goes to; the shards are written on Ray. Documents keep the order of the source, so a shard is
written from neighbouring inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.contract import commit, read_columns, read_rows, write_shard
from data_contracts.documents import DOCUMENTS, INPUTS, QUARANTINE
from data_contracts.failure import Exit, Failure
from stages.ingestion.data_files import suffixes
from stages.ingestion.inputs import batches, read_batch
from stages.ingestion.parquet_records import expected_columns
from stages.ingestion.plan import assign_splits, judge, plan_shards, shard_bytes, within
from stages.ingestion.sources import STDLIB, source_files
from stages.parameters import Corpus, Ingestion
from stages.runner.ray_map import ray_map
from stages.runner.stage import Context, Job

FEWEST_DOCUMENTS = 3  # one in each split
MIN_BATCH_BYTES, MAX_BATCH_BYTES = 2**20, 64 * 2**20
SHOWN_NAMES = 20
FACTS = [name for name in INPUTS.schema.names if name not in ("text", "license")]


def read_facts(directory: Path, names: list[str]) -> pl.DataFrame:
    """Everything about every row of INPUTS but its text and licence, with `shard` and `row`."""
    frames = [pl.DataFrame(read_columns(INPUTS, directory / name, FACTS)) for name in names]
    return pl.concat(
        frame.with_columns(shard=pl.lit(name), row=pl.int_range(len(frame), dtype=pl.Int64))
        for frame, name in zip(frames, names, strict=True)
    )


def write_documents(shard: str, scratch: Path, corpus: str, inputs: Path, rows: pl.DataFrame) -> None:
    """Write one shard of DOCUMENTS from its planned `rows`: the task of ingestion's last step."""
    write_shard(DOCUMENTS, document_tables(corpus, inputs, rows.to_dicts()), scratch / shard)


def document_tables(corpus: str, inputs: Path, rows: list[dict]) -> Iterator[pa.Table]:
    """DOCUMENTS of planned rows, in tables as they lie in INPUTS."""
    yield DOCUMENTS.schema.empty_table()
    for shard, begin, end in _stretches(rows):
        planned = {row["row"]: row for row in rows if row["shard"] == shard}
        position = begin
        for block in read_rows(INPUTS, inputs / shard, begin, end):
            numbers = range(position, position + block.num_rows)
            position += block.num_rows
            block = block.filter(pa.array([number in planned for number in numbers]))
            plans = [planned[number] for number in numbers if number in planned]
            same = {name: block.column(name) for name in ("doc_id", "license", "text", "num_chars")}
            rest = {"corpus": [corpus] * len(plans)} | {
                name: [plan[name] for plan in plans] for name in ("part_of", "split", "source")
            }
            yield DOCUMENTS.table(same | rest)


def _stretches(rows: list[dict]) -> list[tuple[str, int, int]]:
    stretches: dict[str, tuple[int, int]] = {}
    for row in rows:
        begin, _ = stretches.get(row["shard"], (row["row"], 0))
        stretches[row["shard"]] = (begin, row["row"] + 1)
    return [(shard, begin, end) for shard, (begin, end) in stretches.items()]


def quarantine_table(rejected: pl.DataFrame) -> pa.Table:
    """QUARANTINE of rejected rows."""
    return QUARANTINE.table(
        {
            name: rejected[name].to_arrow().cast(QUARANTINE.schema.field(name).type)
            for name in QUARANTINE.schema.names
        }
    )


def _refuse_too_many(
    kept: pl.DataFrame, rejected: pl.DataFrame, counts: dict[str, int], ingestion: Ingestion
) -> None:
    refused = rejected.filter(~pl.col("reason").is_in(["filtered", "not_data"]))
    inputs = len(kept) + len(refused)
    if len(refused) <= ingestion.max_quarantine_fraction * inputs:
        return
    first = refused.row(0, named=True)
    cause = f"{len(refused)} of {inputs} inputs: {counts}, first: {first['source']} ({first['detail']})"
    remedy = "mend the corpus, or raise ingestion.max_quarantine_fraction"
    raise Failure("too many inputs were quarantined", cause, remedy, Exit.QUARANTINE)


def _refuse_too_few(
    kept: pl.DataFrame, rejected: pl.DataFrame, counts: dict[str, int], corpus: Corpus
) -> None:
    documents = kept["whole_id"].n_unique()
    if documents >= FEWEST_DOCUMENTS:
        return
    filtered = rejected.filter(pl.col("reason") == "filtered")
    if filtered.is_empty():
        cause = (
            f"{documents} documents, and train, validation and test need at least one each; left out:"
            f" {counts or 'nothing'}"
        )
        raise Failure(
            "the corpus is too small to split",
            cause,
            "add documents or lower ingestion.min_document_chars",
            Exit.USAGE,
        )
    found = (
        filtered.group_by("detail")
        .agg(counting.rows())
        .sort("len", "detail", descending=[True, False])
        .head(5)
    )
    details = "; ".join(f"{detail} ({count:,} times)" for detail, count in found.iter_rows())
    cause = (
        f"of {documents + len(rejected):,} inputs {counts}, {documents} documents are left, 3 are needed:"
        f" {details}"
    )
    raise Failure(
        "corpora.<name>.where filters too much",
        cause,
        f"mend corpora.<name>.where {corpus.where}",
        Exit.USAGE,
    )


def read_all(context: Context, ingestion: Ingestion) -> tuple[Path, pl.DataFrame]:
    """The first step: (directory of INPUTS shards, their facts)."""
    files = source_files(context.source)
    target = min(max(sum(file.bytes for file in files) // ingestion.shards, MIN_BATCH_BYTES), MAX_BATCH_BYTES)
    own = {
        f"part-{n:05d}.parquet": {"files": group}
        for n, group in enumerate(batches(files, context.source, target))
    }
    directory = context.out("inputs")
    ray_map(
        read_batch,
        list(own),
        directory,
        {"corpus": context.source, "limits": ingestion, "expected": expected_columns(files, context.source)},
        context.runtime,
        context.say,
        "ingestion",
        own=own,
    )
    return directory, read_facts(directory, list(own))


def accept(
    facts: pl.DataFrame, corpus: Corpus, ingestion: Ingestion
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """(documents, those beyond max_characters, refused inputs, how many of these by reason).

    Raises:
        Failure: (exit code 4) if more than `ingestion.max_quarantine_fraction` of the inputs were refused,
            (2) if too few are left.
    """
    kept, rejected = judge(facts)
    counts = {
        reason: count
        for reason, count in rejected.group_by("reason").agg(counting.rows()).sort("reason").iter_rows()
    }
    _refuse_too_many(kept, rejected, counts, ingestion)
    _refuse_too_few(kept, rejected, counts, corpus)
    return *within(kept, corpus.max_characters), rejected, counts


def ingest(context: Context, ingestion: Ingestion) -> None:
    """Write documents and quarantine of one corpus.

    Raises:
        Failure: (exit code 4) if more than `ingestion.max_quarantine_fraction` of the inputs were rejected,
            (2) if too few are left.
    """
    directory, facts = read_all(context, ingestion)
    kept, surplus, rejected, counts = accept(facts, context.source, ingestion)
    splits = assign_splits(kept, context.source)
    numbered = (
        pl.when(pl.col("position") > 0).then(pl.format("{}#{}", "source", "position")).otherwise("source")
    )
    kept = kept.with_columns(
        split=pl.col("whole_id").replace_strict(splits, return_dtype=pl.String), source=numbered
    )
    shards = plan_shards(kept, shard_bytes(int(kept["num_bytes"].sum()), ingestion))
    columns = ["shard", "row", "part_of", "split", "source"]
    own = {f"part-{n:05d}.parquet": {"rows": group.select(columns)} for n, group in enumerate(shards)}
    shared = {"corpus": context.corpus, "inputs": directory.resolve()}
    ray_map(
        write_documents,
        list(own),
        context.out("documents"),
        shared,
        context.runtime,
        context.say,
        "ingestion",
        own=own,
    )
    write_shard(
        QUARANTINE,
        quarantine_table(pl.concat([rejected, surplus.select(rejected.columns)])),
        context.out("quarantine") / "part-00000.parquet",
    )
    commit(DOCUMENTS, context.out("documents"))
    commit(QUARANTINE, context.out("quarantine"))
    context.say.note(
        _summary(context.corpus, kept, len(surplus), len(rejected), counts)
        + _kinds(facts, context.source)
        + _no_data(rejected)
    )


def _summary(corpus: str, kept: pl.DataFrame, surplus: int, rejected: int, counts: dict[str, int]) -> str:
    parts = (kept["part_of"] != "").sum()
    splits = ", ".join(
        f"{split} {(kept['split'] == split).sum()}" for split in ("train", "validation", "test")
    )
    return (
        f"**{corpus}**: {len(kept) + surplus + rejected:,} inputs = {len(kept):,} documents"
        f" ({kept['num_chars'].sum():,}"
        f" characters{f', {parts} of them parts of longer ones' if parts else ''}) + {surplus:,} beyond"
        f" max_characters + {rejected:,} quarantined {counts or ''}; {splits}"
    )


def _kinds(facts: pl.DataFrame, corpus: Corpus) -> str:
    """How many files of each suffix documents come from, where that is more than one and a document is in one
    file.
    """
    if corpus.source == STDLIB or corpus.group == "directory":
        return ""
    names = facts.filter(pl.col("reason") == "")["source"].unique()
    kinds = Counter(f"`.{suffix}`" if suffix else "no suffix" for suffix, _ in map(suffixes, names))
    return (
        "\n\nRead: " + ", ".join(f"{count:,} files {kind}" for kind, count in sorted(kinds.items()))
        if len(kinds) > 1
        else ""
    )


def _no_data(rejected: pl.DataFrame) -> str:
    names = rejected.filter(pl.col("reason") == "not_data")["source"].to_list()
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN_NAMES]) + (
        ", ..." if len(names) > SHOWN_NAMES else ""
    )
    return (
        "\n\nNot read, because they lie beside the data (`corpora.<name>.include` names what is to be read):"
        f" {shown}"
        if names
        else ""
    )


STAGE = Job(
    "ingestion",
    ingest,
    ("ingestion",),
    {"documents": "artifacts/{corpus}/documents", "quarantine": "artifacts/{corpus}/quarantine"},
    reads=("sources/{corpus}.json",),
)
