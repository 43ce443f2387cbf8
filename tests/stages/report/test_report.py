"""The stage as a whole on made-up evaluations: page, JSON, CSV and metrics agree, and are the same when made
again.
"""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from safetensors.numpy import save_file

from data_contracts.candidates import CANDIDATES, EXHAUSTIVE, LABELS, RETRIEVED
from data_contracts.ceilings import CEILINGS
from data_contracts.contract import Contract, commit, write_shard
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from reports.labels.report import (
    BestOfK,
    Copies,
    Cost,
    Enough,
    LabelReport,
    Sharing,
    SplitFigures,
    TwoCandidates,
)
from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.figures_file import as_json
from reports.metrics.gates import GateFigures, Gates
from reports.metrics.resampling import Estimate
from reports.run.headline import NOT_OF_THE_PAPER
from stages.parameters import Evaluation, Geometry, Report, Run
from stages.report.report import make_report
from stages.runner.stage import Context
from tests.reports.ceilings_sample import mixed
from tests.reports.evaluations_sample import CHUNK_TOKENS, STRIDE_CHUNKS, Sample, made_up
from tests.tiny import tiny_context

GEOMETRY = Geometry(chunk_tokens=CHUNK_TOKENS, sequence_chunks=8, stride_chunks=STRIDE_CHUNKS)
FACTS = {
    "chunk_tokens": CHUNK_TOKENS,
    "sequence_chunks": 8,
    "stride_chunks": STRIDE_CHUNKS,
    "scorer": {"engine": "made-up"},
    "mixtures": {},
}
GATE = GateFigures("planted copy", "nats", 0.1, 0.0, 0.2, None, 0.5, None, "failed", "It copies nothing.")
NOTHING = Estimate(None, None, None)
SPLIT = SplitFigures(
    documents=1,
    queries=5,
    pairs=9,
    positives=4,
    candidates=6,
    positive_rate=Estimate(0.4, 0.3, 0.5),
    mean_score=NOTHING,
    best_by_k=[BestOfK(0.2, 0.1, 0.3, 6, NOTHING)],
    enough=Enough("unknown", 5, NOTHING, NOTHING, NOTHING),
    two=TwoCandidates(*[NOTHING] * 6),
    by_rank=[],
    by_distance=[],
    by_position=[],
    histogram=[],
    copies=Copies(0, 0, *[NOTHING] * 7),
)
LABEL_REPORT = LabelReport(
    corpus="demo",
    labels="0" * 64,
    geometry=ChunkSizes(CHUNK_TOKENS, 8, STRIDE_CHUNKS),
    scorer={},
    licenses=[],
    parameters={},
    gates=Gates("validation", 1, 5, None, [GATE]),
    cost=Cost(1, 1.0, 1.0, 1.0),
    splits={"test": SPLIT},
    sharing=Sharing(1, 9, 9, 0.0),
)


def write(contract: Contract, rows: pl.DataFrame | pa.Table, place) -> None:
    place.mkdir(parents=True, exist_ok=True)
    table = rows if isinstance(rows, pa.Table) else rows.to_arrow()
    columns = {
        name: table.column(name).cast(contract.schema.field(name).type) for name in contract.schema.names
    }
    facts = {name: FACTS[name] for name in contract.facts}
    write_shard(contract, contract.table(columns, **facts), place / "part-00000.parquet")
    commit(contract, place)


def with_train(chunks: pl.DataFrame) -> pl.DataFrame:
    """The chunks, and those of a training document that nothing may read."""
    first = chunks.filter(pl.col("doc_id") == pl.col("doc_id").min())
    train = first.with_columns(
        doc_id=pl.lit("ffffffffffffffff"),
        split=pl.lit("train"),
        text=pl.lit("a secret of the training split"),
    )
    return pl.concat([chunks, train]).with_columns(segment=pl.col("chunk") // 8)


def write_runs(place, sample: Sample) -> None:
    for run, table in sample.evaluations.items():
        write(EVALUATIONS, table, place / "evaluations" / run)
        (place / "models" / run).mkdir(parents=True)
        (place / "models" / run / "config.json").write_text('{"shape": {"copying": true}}')
        save_file({"a": np.zeros((3, 4), np.float32)}, place / "models" / run / "model.safetensors")
        (place / "models" / run / "losses.jsonl").write_text(
            '{"step": 1, "lm_loss": 3.0}\n{"step": 2, "lm_loss": 2.0}\n'
        )
        write(
            CEILINGS,
            mixed(table if sample.systems[run] == "transformer_xl" else table.slice(0, 0)),
            place / "ceilings" / run,
        )
    for run, table in sample.oracles.items():
        write(EVALUATIONS, table, place / "oracle" / run)


def make_context(place, sample: Sample, labels: pl.DataFrame | None = None) -> Context:
    scored = sample.labels if labels is None else labels
    local = pl.lit(-20.0, pl.Float32)
    candidate = (pl.col("target_score") + local).clip(upper_bound=0.0)
    scored = scored.with_columns(
        bm25=-pl.col("rank").cast(pl.Float32), local_logprob=local, candidate_logprob=candidate
    )
    halves = pl.concat_list(pl.lit(-10.0, pl.Float32), pl.lit(-10.0, pl.Float32)).list.to_array(2)
    scored = scored.with_columns(
        target_score=pl.col("candidate_logprob") - pl.col("local_logprob"),
        candidate_halves=halves,
        local_halves=halves,
    )
    write(LABELS, scored, place / "labels")
    write(EXHAUSTIVE, sample.exhaustive, place / "exhaustive")
    local = pl.lit(-20.0, pl.Float32)
    logprob = (pl.col("target_score") + local).clip(upper_bound=0.0)
    read = sample.retrieved.with_columns(local_logprob=local, candidate_logprob=logprob)
    write(RETRIEVED, read.with_columns(target_score=pl.col("candidate_logprob") - local), place / "retrieved")
    write(
        CANDIDATES,
        sample.candidates.with_columns(bm25=-pl.col("rank").cast(pl.Float32)),
        place / "candidates",
    )
    write(CHUNKS, with_train(sample.chunks), place / "chunks")
    documents = pl.DataFrame({"doc_id": ["0" * 16], "split": ["test"], "text": ["x"], "num_chars": [1]})
    write(
        DOCUMENTS,
        documents.with_columns(**{name: pl.lit("") for name in ("part_of", "corpus", "source", "license")}),
        place / "documents",
    )
    quarantine = pl.DataFrame(
        {
            "source": ["a", "b"],
            "position": [0, 0],
            "reason": ["empty", "empty"],
            "detail": ["", ""],
            "excerpt": ["", ""],
        }
    )
    write(QUARANTINE, quarantine, place / "quarantine")
    write_runs(place, sample)
    (place / "reference_lm").mkdir()
    (place / "reference_lm" / "config.json").write_text('{"vocab_size": 30}')
    (place / "label_report").mkdir()
    (place / "label_report" / "statistics.json").write_text(as_json(LABEL_REPORT))
    return tiny_context(place)


def run(context: Context, sample: Sample) -> dict[str, str]:
    runs = {
        name: Run(corpus="demo", system=system, input="sequences") for name, system in sample.systems.items()
    }
    runs["other"] = Run(corpus="other", system="retro", input="sequences")
    evaluation = Evaluation(max_tokens_per_document=10_000)
    make_report(
        context, geometry=GEOMETRY, evaluation=evaluation, report=Report(bootstrap_samples=30), runs=runs
    )
    files = [*(context.scratch / "report").iterdir(), context.scratch / "metrics.json"]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def test_page_json_csv_and_metrics_agree(tmp_path):
    sample = made_up(4, 30)
    context = make_context(tmp_path, sample)
    files = run(context, sample)
    report, metrics = json.loads(files["report.json"]), json.loads(files["metrics.json"])
    assert [row["run"] for row in report["systems"]] == list(sample.evaluations)
    assert {row["parameters"] for row in report["systems"]} == {12}
    assert report["systems"][0]["curve"] == [[1, 3.0], [2, 2.0]]
    assert report["data"]["inputs"] == 3
    assert report["evaluation"] == {"split": "test", "max_tokens_per_document": 10_000, "documents_cut": 0}
    assert report["data"]["quarantined"] == {"empty": 2}
    assert report["data"]["splits"]["test"] == {
        "documents": 4,
        "chunks": 120,
        "tokens": 4 * (29 * 8 + 4),
        "median_tokens": 236.0,
    }
    assert [row["run"] for row in report["oracles"]] == ["demo-rpt_sem"]
    for row in report["systems"]:
        assert metrics["perplexity"][row["run"]] == round(row["perplexity"], 4)
        assert f"{row['run']},{row['system']},0,12,{row['perplexity']}," in files["table_2_perplexity.csv"]
        assert f"{row['perplexity']:.2f}" in files["index.html"]
    assert set(metrics["precision_at_2"]) == {
        "random",
        "recency",
        "BM25",
        "Random retrieval",
        "RPT-Lex",
        "RPT-Sem",
    }
    assert "Interval not meaningful: 4 held-out documents" in files["index.html"]
    assert [sentence for sentence in report["warnings"] if sentence.startswith("Not as")] == [
        NOT_OF_THE_PAPER["copying"]
    ]
    assert "It copies nothing." in context.say.stream.getvalue()
    assert "a secret of the training split" not in "".join(files.values())
    assert len([name for name in files if name.endswith(".csv")]) == 13
    assert [(row["setting"], row["documents"]) for row in report["ceilings"]] == [
        *((name, 4) for name in ("own", "ngram_train", "ngram_cache", "ngram_train_cache")),
        *((name, 1) for name in ("own", "knn_lm")),
    ]
    assert run(context, sample) == files


def test_settings_of_some_documents_are_compared_on_those(tmp_path):
    sample = made_up(4, 30, ("transformer_xl", "retro", "rpt_sem"))
    for name, table in sample.evaluations.items():
        first = pc.equal(table["doc_id"], "0" * 16)
        sample.evaluations[name] = table.filter(pc.or_(pc.equal(table["setting"], "own"), first))
    report = json.loads(run(make_context(tmp_path, sample), sample)["report.json"])
    assert {row["documents"] for row in report["systems"]} == {4}
    assert {row["documents"] for row in report["settings"]} == {1}
    assert [row["documents"] for row in report["oracles"]] == [4]
    own = {row["run"]: row["perplexity"] for row in report["settings"] if row["setting"] == "own"}
    none = {row["run"]: row["perplexity"] for row in report["settings"] if row["setting"] == "none"}
    assert none["demo-retro"] == none["demo-rpt_sem"] > own["demo-retro"] > own["demo-rpt_sem"]


def test_without_an_oracle_there_are_no_rows_of_one(tmp_path):
    sample = made_up(3, 20, ("transformer_xl", "retro"))
    report = json.loads(run(make_context(tmp_path, sample), sample)["report.json"])
    assert report["oracles"] == []


def test_without_a_label_nothing_is_measured_against_gold(tmp_path):
    sample = made_up(3, 20, ("transformer_xl", "retro", "rpt_sem"))
    files = run(make_context(tmp_path, sample, sample.labels.clear()), sample)
    report = json.loads(files["report.json"])
    assert {row["figures"]["precision_at_2"]["value"] for row in report["retrieval"]} == {None}
    assert {row["scored"] for row in report["subgroups"]} == {"retrieved"}
    assert "n/a" in files["index.html"]
    sample = replace(sample, retrieved=sample.retrieved.clear())
    report = json.loads(
        run(make_context(tmp_path / "unscored", sample, sample.labels.clear()), sample)["report.json"]
    )
    assert report["retrieved"] == []
    assert {(row["scored"], row["improvement"]["value"]) for row in report["subgroups"]} == {("labels", None)}


def test_systems_on_other_tokens_end_the_stage(tmp_path):
    sample = made_up(3, 20, ("transformer_xl", "retro"))
    table = sample.evaluations["demo-retro"]
    sample.evaluations["demo-retro"] = table.slice(0, 60)
    with pytest.raises(Failure, match="demo-retro without setting 'own'"):
        run(make_context(tmp_path / "none", sample), sample)
    sample.evaluations["demo-retro"] = table.filter(
        pc.or_(pc.not_equal(table["setting"], "own"), pc.less(table["chunk"], 17))
    )
    with pytest.raises(Failure, match="same tokens") as caught:
        run(make_context(tmp_path, sample), sample)
    assert caught.value.code is Exit.CONTRACT
