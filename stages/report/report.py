"""The report of a corpus: joins evaluations with labels and renders what came out, without running
any model.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pyarrow.compute as pc
from safetensors import safe_open

from data_contracts import counting
from data_contracts.candidates import CANDIDATES, EXHAUSTIVE, LABELS, RETRIEVED
from data_contracts.ceilings import CEILING, CEILINGS
from data_contracts.contract import Contract, open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.evaluations import EVALUATIONS, ORACLE, ORACLE_ALL, OWN
from data_contracts.seal import check_seal
from data_contracts.tokens import CHUNKS
from reports.labels.report import LabelReport, LabelSection
from reports.metrics.ceilings import Ceiling, ceiling_figures
from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.corpus_figures import CorpusFigures, corpus_figures
from reports.metrics.evaluation_rows import Evaluations, aligned, frames_of, with_own
from reports.metrics.figures_file import as_json, read_figures
from reports.metrics.neighbours_at_test import OTHERS
from reports.metrics.run_figures import Evidence, RunPerplexity, run_figures
from reports.run.csv_tables import csv_tables
from reports.run.headline import headline, metrics, warnings
from reports.run.page import render
from reports.run.report import VERSION, Curve, Evaluated, ReferenceModel, RunReport, System
from stages.parameters import Evaluation, Geometry, Report, Run
from stages.runner.stage import Context, Job

SMALL_TOKENS = 100_000_000
CURVE_POINTS = 100

PLACES = {
    "documents": "the documents and their splits",
    "quarantine": "rejected inputs, each with a reason",
    "chunks": "64-token chunks with their text",
    "candidates": "BM25 candidates",
    "labels": "what the reference LM says of each candidate (Parquet)",
    "exhaustive": "the same of every eligible chunk, for a sample of queries",
    "retrieved": "the same of what the systems retrieved, for a sample of queries",
    "label_gates": "whether the labels are fit to train on",
    "label_report": "what the labels are worth: a page, the label card and their figures",
    "reference_lm": "the reference LM, a Hugging Face directory",
    "models": "the trained systems, safetensors",
    "evaluations": "one row for every evaluated chunk, system and setting",
    "ceilings": "the losses of Transformer-XL mixed with n-grams and with similar states of its past",
    "report": "this page, its numbers as JSON, and a CSV file for every figure",
}


def thinned(curve: list[tuple[int, float]]) -> Curve:
    """At most 100 points of a curve: means of equal groups of steps, at the last step of each."""
    size = -(-len(curve) // CURVE_POINTS) if curve else 1
    groups = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def curve_of(path: Path, value: str) -> list[tuple[int, float]]:
    """(step, value) of every line of losses.jsonl; a model that was not trained here has no such file."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["step"], row[value]) for row in rows]


def parameter_count(path: Path) -> int:
    """Parameters in a safetensors file, from its header alone."""
    with safe_open(path, "numpy") as tensors:
        names = tensors.keys()
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)


def rows_of(contract: Contract, directory: Path, split: str) -> pl.DataFrame:
    """The rows of one split of an artifact, read shard by shard."""
    artifact = open_artifact(contract, directory)
    parts = [artifact.read(shard) for shard in artifact.shards]
    return pl.concat(
        [pl.DataFrame(pl.from_arrow(part.filter(pc.equal(part.column("split"), split)))) for part in parts]
    )


def open_evaluations(
    context: Context, runs: dict[str, Run]
) -> tuple[Evaluations, Evaluations | None, Evaluations | None]:
    """The runs of a corpus in their own setting, in other settings, and with the oracles' neighbours, as far
    as they were evaluated so.
    """
    places = [(run, context.input("evaluations") / run) for run in runs]
    places += [(run, place) for run in runs if (place := context.input(ORACLE) / run).exists()]
    frames = frames_of((run, open_artifact(EVALUATIONS, place).read_all()) for run, place in places)
    systems = {run: entry.system for run, entry in runs.items()}
    seeds = {run: entry.seed for run, entry in runs.items()}
    own = aligned({key: rows for key, rows in frames.items() if key[1] == OWN}, systems, seeds)
    return (
        own,
        with_own(frames, systems, seeds, OTHERS),
        with_own(frames, systems, seeds, (ORACLE, ORACLE_ALL)),
    )


def ceiling_section(context: Context, own: Evaluations, samples: int) -> list[Ceiling]:
    """What the past of the documents is worth to the runs of Transformer-XL."""
    columns = [name for name in CEILINGS.schema.names if name != "token_losses"]
    mixed = frames_of(
        (run, open_artifact(CEILINGS, context.input(CEILING) / run).read_all(columns)) for run in own.systems
    )
    return ceiling_figures({**own.frames, **mixed}, own.systems, own.seeds, samples)


def label_section(directory: Path) -> LabelSection:
    """What the page says of the labels, from the statistics of the supervision report."""
    known = read_figures(LabelReport, directory / "statistics.json", "./rpt run label_report")
    splits = known.splits
    return LabelSection(
        queries=sum(found.queries for found in splits.values()),
        pairs=sum(found.pairs for found in splits.values()),
        positive_rate={split: found.positive_rate.value for split, found in splits.items()},
        best={split: found.best_by_k[-1] for split, found in splits.items()},
        scorer=known.scorer,
        gates=known.gates,
    )


def evaluation_section(evaluation: Evaluation, chunks: pl.DataFrame) -> Evaluated:
    """What was evaluated: the split, and at how many tokens how many of its documents were cut."""
    limit = evaluation.max_tokens_per_document
    tokens = chunks.group_by("doc_id").agg(tokens=counting.length("token_ids").sum())["tokens"]
    return Evaluated(evaluation.split, limit, int((tokens > limit).sum()))


def data_section(context: Context, geometry: Geometry) -> CorpusFigures:
    """What went in and what became of it."""
    chunks = open_artifact(CHUNKS, context.input("chunks"))
    lengths = [
        pl.DataFrame(pl.from_arrow(chunks.read(shard, ["doc_id", "split", "token_ids"]))).select(
            "doc_id", "split", tokens=counting.length("token_ids")
        )
        for shard in chunks.shards
    ]
    quarantine = pl.DataFrame(
        pl.from_arrow(open_artifact(QUARANTINE, context.input("quarantine")).read_all(["reason"]))
    )
    documents = open_artifact(DOCUMENTS, context.input("documents")).rows
    vocabulary = json.loads((context.input("reference_lm") / "config.json").read_text())["vocab_size"]
    return corpus_figures(
        documents, quarantine, pl.concat(lengths), ChunkSizes(**geometry.model_dump()), vocabulary
    )


def reference_lm_section(directory: Path) -> ReferenceModel:
    """How the reference LM was trained; of one from the hub nothing is known."""
    curve = curve_of(directory / "losses.jsonl", "loss")
    return ReferenceModel(
        parameters=sum(parameter_count(file) for file in directory.glob("*.safetensors")),
        steps=curve[-1][0] if curve else None,
        loss_first=curve[0][1] if curve else None,
        loss_last=curve[-1][1] if curve else None,
        curve=thinned(curve),
    )


def trained(row: RunPerplexity, directory: Path) -> System:
    """A run with what the directory of its model says of its training; raises Failure (exit code 3) if that
    is not as it was written.
    """
    check_seal(directory)
    shape = json.loads((directory / "config.json").read_text())["shape"]
    path = directory / "model.safetensors"
    with safe_open(path, "numpy") as tensors:
        lexical_start = "retriever.lexical.term_scale" in tensors.keys()  # noqa: SIM118 - no mapping
    return System(
        **vars(row),
        parameters=parameter_count(path),
        copying=shape.get("copying", False),
        lexical_start=lexical_start,
        curve=thinned(curve_of(directory / "losses.jsonl", "lm_loss")),
    )


def make_report(
    context: Context, geometry: Geometry, evaluation: Evaluation, report: Report, runs: dict[str, Run]
) -> None:
    """Write index.html, report.json, a CSV file for every figure, and the metrics that `dvc metrics show`
    reads.
    """
    split = evaluation.split
    evaluations = open_evaluations(
        context, {name: run for name, run in runs.items() if run.corpus == context.corpus}
    )
    labels, exhaustive, retrieved, candidates, chunks = (
        rows_of(contract, context.input(contract.name), split)
        for contract in (LABELS, EXHAUSTIVE, RETRIEVED, CANDIDATES, CHUNKS)
    )
    sizes = (geometry.chunk_tokens, geometry.stride_chunks)
    evidence = Evidence(*evaluations, labels, exhaustive, retrieved, candidates, chunks, *sizes)
    figures = run_figures(evidence, report.bootstrap_samples)
    systems = [trained(row, context.input("models") / row.run) for row in figures.systems]
    of_labels, data = label_section(context.input("label_report")), data_section(context, geometry)
    small = data.splits["train"].tokens < SMALL_TOKENS
    result = RunReport(
        **{**vars(figures), "systems": systems},
        version=VERSION,
        corpus=context.corpus,
        small_scale=small,
        evaluation=evaluation_section(evaluation, chunks),
        headline=headline(systems, of_labels, figures.retrieval, figures.retrieved, small, split),
        warnings=warnings(of_labels.gates.gates, systems),
        data=data,
        reference_lm=reference_lm_section(context.input("reference_lm")),
        labels=of_labels,
        ceilings=ceiling_section(context, evaluations[0], report.bootstrap_samples),
        artifacts=[(f"artifacts/{context.corpus}/{name}", text) for name, text in PLACES.items()],
    )
    write(context, result)


def write(context: Context, result: RunReport) -> None:
    """The report in all its forms."""
    target = context.out("report")
    (target / "report.json").write_text(as_json(result))
    (target / "index.html").write_text(render(result), encoding="utf-8")
    for name, rows in csv_tables(result).items():
        (target / f"{name}.csv").write_text(rows, encoding="utf-8")
    (context.scratch / "metrics.json").write_text(json.dumps(metrics(result), indent=1) + "\n")
    for line in [*result.headline, *result.warnings]:
        context.say.note(line)
    context.say.progress(1, 1, "report")


STAGE = Job(
    "report",
    make_report,
    ("geometry", "evaluation", "report", "runs"),
    {"report": "artifacts/{corpus}/report", "metrics.json": "metrics/{corpus}.json"},
)
