"""The report of a corpus: joins evaluations with labels and renders what came out, without running any model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from safetensors import safe_open

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.evaluations import EVALUATIONS, OWN
from data_contracts.tokens import CHUNKS, list_rows
from reports import perplexity, retrieval
from reports.lengths import histogram
from reports.page import render
from stages.parameters import Evaluation, Geometry, Report, Run
from stages.stage import Context, Job

NAMES = {"transformer_xl": "Transformer-XL", "retro": "RETRO", "random": "Random retrieval", "rpt_lex": "RPT-Lex", "rpt_sem": "RPT-Sem"}
PUBLISHED = {  # Table 2 of arXiv 2306.13421
    "transformer_xl": {"ArXiv": 3.11, "Code": 2.30, "PG19": 11.48, "Books3": 15.00},
    "retro": {"ArXiv": 2.94, "Code": 2.17, "PG19": 11.44, "Books3": 14.60},
    "rpt_lex": {"ArXiv": 2.92, "Code": 2.23, "PG19": 11.59, "Books3": 14.32},
    "rpt_sem": {"ArXiv": 2.77, "Code": 2.17, "PG19": 10.96, "Books3": 13.91},
}
BASELINE = "transformer_xl"
SMALL_TOKENS = 100_000_000
CURVE_POINTS = 100


def read_lines(path: Path) -> list[dict]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def thinned(curve: list[list[float]]) -> list[list[float]]:
    """At most 100 points of a curve: means of equal groups of steps, at the last step of each."""
    size = -(-len(curve) // CURVE_POINTS) if curve else 1
    groups = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    return [[group[-1][0], sum(value for _, value in group) / len(group)] for group in groups]


def parameter_count(path: Path) -> int:
    """Parameters in a safetensors file, from its header alone."""
    with safe_open(path, "numpy") as tensors:
        names = tensors.keys()
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)


def systems_section(context: Context, runs: dict[str, Run], samples: int) -> tuple[list[dict], dict[str, pa.Table]]:
    """One entry a run, and the evaluations by run, in the setting `own`."""
    read = {run: open_artifact(EVALUATIONS, context.input("evaluations") / run).read_all() for run in runs}
    evaluations = {run: table.filter(pc.equal(table.column("setting"), OWN)) for run, table in read.items()}
    perplexity.same_tokens(evaluations)
    baseline = next((name for name, run in runs.items() if run.system == BASELINE), None)
    entries = []
    for name, run in runs.items():
        directory = context.input("models") / name
        difference = None
        if baseline and name != baseline:
            difference = {"against": BASELINE, **perplexity.paired_difference(evaluations[name], evaluations[baseline], samples)}
        entries.append(
            {
                "run": name,
                "system": run.system,
                "parameters": parameter_count(directory / "model.safetensors"),
                **perplexity.summarise(evaluations[name], samples),
                "published": PUBLISHED.get(run.system, {}),
                "curve": thinned([[row["step"], row["lm_loss"]] for row in read_lines(directory / "losses.jsonl")]),
                "difference": difference,
            }
        )
    return entries, evaluations


def retrieval_section(
    evaluations: dict[str, pa.Table],
    runs: dict[str, Run],
    labels: pa.Table,
    candidates: pa.Table,
    evaluation: Evaluation,
    geometry: Geometry,
) -> list[dict]:
    """Every retriever against the same gold, and chance."""
    gold = retrieval.gold_of(labels, evaluation.split, geometry.chunk_tokens)
    some = next(iter(evaluations.values()))
    reached = set(zip(some.column("doc_id").to_pylist(), some.column("chunk").to_pylist(), strict=True))
    gold = {query: entry for query, entry in gold.items() if query in reached}
    queries = list(gold)
    rankings = {
        "random": retrieval.random_rankings(queries, geometry.stride_chunks),
        "recency": retrieval.recency_rankings(queries, geometry.stride_chunks),
        "BM25": candidate_rankings(candidates),
    }
    for name, run in runs.items():
        if run.system.startswith("rpt"):
            table = evaluations[name]
            keys = zip(table.column("doc_id").to_pylist(), table.column("chunk").to_pylist(), strict=True)
            rankings[NAMES[run.system]] = dict(zip(keys, list_rows(table.column("ranking")), strict=True))
    return [{"retriever": name, **retrieval.measure(ranking, gold)} for name, ranking in rankings.items()]


def candidate_rankings(candidates: pa.Table) -> dict[retrieval.Query, np.ndarray]:
    """The first 20 BM25 candidates of every query of form `q`."""
    rows = pl.from_arrow(candidates)
    assert isinstance(rows, pl.DataFrame)
    groups = (
        rows.filter((pl.col("query_form") == "q") & (pl.col("rank") < 20))
        .sort("doc_id", "query_chunk", "rank")
        .group_by("doc_id", "query_chunk", maintain_order=True)
        .agg(pl.col("candidate_chunk"))
    )
    return {(doc_id, chunk): np.array(ids) for doc_id, chunk, ids in groups.iter_rows()}


def label_section(directory: Path) -> dict:
    """What the page says of the labels, from the statistics of the supervision report."""
    known = json.loads((directory / "statistics.json").read_text())
    splits = known["splits"]
    return {
        **{name: sum(found[name] for found in splits.values()) for name in ("queries", "pairs")},
        "positive_rate": {split: found["positive_rate"]["value"] for split, found in splits.items()},
        "best": {split: found["best_by_k"][-1] for split, found in splits.items()},
        "scorer": known["scorer"],
        "gates": known["gates"],
    }


def data_section(documents: int, quarantine: pa.Table, chunks: pa.Table, geometry: Geometry, vocabulary: int) -> dict:
    """What went in and what became of it."""
    reasons = {row["values"]: row["counts"] for row in pc.value_counts(quarantine.column("reason")).to_pylist()}
    lengths = pl.DataFrame(
        {
            "doc_id": chunks.column("doc_id").to_pylist(),
            "split": chunks.column("split").to_pylist(),
            "tokens": pc.list_value_length(chunks.column("token_ids")).to_numpy(),
        }
    )
    splits = lengths.group_by("split").agg(pl.col("doc_id").n_unique().alias("documents"), pl.len().alias("chunks"), pl.col("tokens").sum())
    return {
        "inputs": documents + quarantine.num_rows,
        "documents_kept": documents,
        "quarantined": dict(sorted(reasons.items())),
        "splits": {row.pop("split"): row for row in splits.sort("split").iter_rows(named=True)},
        "vocabulary": vocabulary,
        "geometry": geometry.model_dump(),
        "lengths": histogram(lengths.group_by("doc_id").agg(pl.col("tokens").sum())["tokens"].to_numpy()),
    }


def headline(systems: list[dict], labels: dict, measured: list[dict], small: bool, split: str) -> list[str]:
    """The three figures to remember."""
    values = ", ".join(
        f"{NAMES.get(row['system'], row['system'])} {row['perplexity']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in systems
    )
    first = systems[0]
    where = f"{first['documents']} held-out documents ({first['tokens']:,} tokens)"
    best = labels["best"].get(split)
    gain = f"; the best of {best['k']} is worth {best['value']:.3f} nats a target token" if best else ""
    rates = ", ".join(f"{split} {rate:.1%}" for split, rate in labels["positive_rate"].items())
    precision = ", ".join(f"{row['retriever']} {row['precision_at_2']:.1%}" for row in measured if row["precision_at_2"] is not None)
    return [
        f"Perplexity on {where}: {values}"
        + ("; a small-scale run: it shows that the chain works, not which system is better" if small else ""),
        f"Labels: {labels['pairs']:,} candidates of {labels['queries']:,} queries scored, of which help the reference LM: {rates}{gain}",
        f"Retrieval, Precision@2 against the labels: {precision}",
    ]


def reference_lm_section(directory: Path) -> dict:
    """How the reference LM was trained; of one from the hub nothing is known."""
    losses = directory / "losses.jsonl"
    curve = [[row["step"], row["loss"]] for row in read_lines(losses)] if losses.exists() else []
    first, last = (curve[0], curve[-1]) if curve else ([None, None], [None, None])
    return {
        "parameters": sum(parameter_count(file) for file in directory.glob("*.safetensors")),
        "steps": last[0],
        "loss_first": first[1],
        "loss_last": last[1],
        "curve": thinned(curve),
    }


def make_report(context: Context, geometry: Geometry, evaluation: Evaluation, report: Report, runs: dict[str, Run]) -> None:
    """Write index.html, report.json and the metrics that `dvc metrics show` reads."""
    own_runs = {name: run for name, run in runs.items() if run.corpus == context.corpus}
    artifacts = {
        contract.name: open_artifact(contract, context.input(contract.name)).read_all()
        for contract in (CHUNKS, CANDIDATES, LABELS, QUARANTINE)
    }
    documents = open_artifact(DOCUMENTS, context.input("documents")).rows
    systems, evaluations = systems_section(context, own_runs, report.bootstrap_samples)
    measured = retrieval_section(evaluations, own_runs, artifacts["labels"], artifacts["candidates"], evaluation, geometry)
    labels = label_section(context.input("label_report"))
    vocabulary = json.loads((context.input("reference_lm") / "config.json").read_text())["vocab_size"]
    data = data_section(documents, artifacts["quarantine"], artifacts["chunks"], geometry, vocabulary)
    small = data["splits"]["train"]["tokens"] < SMALL_TOKENS
    result: dict[str, Any] = {
        "corpus": context.corpus,
        "small_scale": small,
        "headline": headline(systems, labels, measured, small, evaluation.split),
        "warnings": warnings(labels["gates"]["gates"], systems),
        "data": data,
        "reference_lm": reference_lm_section(context.input("reference_lm")),
        "labels": labels,
        "systems": systems,
        "retrieval": measured,
        "artifacts": [[f"artifacts/{context.corpus}/{name}", text] for name, text in PLACES.items()],
    }
    target = context.out("report")
    (target / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    (target / "index.html").write_text(render(result), encoding="utf-8")
    (context.scratch / "metrics.json").write_text(json.dumps(metrics(result), indent=1) + "\n")
    for line in result["headline"] + result["warnings"]:
        context.say.note(line)
    context.say.progress(1, 1, "report")


PLACES = {
    "documents": "the documents and their splits",
    "quarantine": "rejected inputs, each with a reason",
    "chunks": "64-token chunks with their text",
    "candidates": "BM25 candidates",
    "labels": "what the reference LM says of each candidate (Parquet)",
    "label_gates": "whether the labels are fit to train on",
    "label_report": "what the labels are worth: a page, the label card and their figures",
    "reference_lm": "the reference LM, a Hugging Face directory",
    "models": "the trained systems, safetensors",
    "evaluations": "one row for every evaluated chunk, system and choice of neighbours",
    "report": "this page and its numbers as JSON",
}


def warnings(gates: list[dict], systems: list[dict]) -> list[str]:
    """Everything a reader must know before believing a figure."""
    found = [f"Weak labels: {gate['sentence']}" for gate in gates if not gate["passed"]]
    if (documents := systems[0]["documents"]) < perplexity.FEWEST_DOCUMENTS:
        found.append(f"Interval not meaningful: {documents} held-out documents, fewer than {perplexity.FEWEST_DOCUMENTS}.")
    return found


def metrics(result: dict) -> dict:
    """The few numbers worth following from commit to commit."""
    return {
        "perplexity": {row["run"]: round(row["perplexity"], 4) for row in result["systems"]},
        "precision_at_2": {row["retriever"]: row["precision_at_2"] for row in result["retrieval"]},
        "positive_rate": result["labels"]["positive_rate"],
        "pairs": result["labels"]["pairs"],
    }


STAGE = Job(
    "report",
    make_report,
    ("geometry", "evaluation", "report", "runs"),
    {"report": "artifacts/{corpus}/report", "metrics.json": "metrics/{corpus}.json"},
)
