"""The whole pipeline on six tiny documents, for real: DVC, Ray, training and all. One copy of the project serves every test here."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS
from model.masks import eligible_pairs
from model.neighbours import dense_relevance, gold_then_own
from stages.data_order import independent
from stages.parameters import load
from stages.training_data import TrainingData


def results(root: Path) -> dict[str, str]:
    events = [json.loads(line) for line in (root / ".run" / "events.jsonl").read_text().splitlines()]
    return {event["stage"]: event["result"] for event in events if event["event"] == "end"}


def active(root: Path) -> set[str]:
    return {stage for stage, result in results(root).items() if result != "unchanged"}


@pytest.fixture(scope="module")
def finished(project, rpt) -> Path:
    done = rpt(project, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def digests(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted((root / "artifacts").rglob("*")) if path.is_file()}


def test_everything_ran_once_and_the_report_is_there(finished, rpt):
    assert set(results(finished).values()) == {"ran"}
    report = json.loads((finished / "artifacts/demo/report/report.json").read_text())
    assert {row["system"] for row in report["systems"]} == {"transformer_xl", "retro", "rpt_sem"}
    assert report["data"]["inputs"] == report["data"]["documents_kept"] + sum(report["data"]["quarantined"].values())
    page = (finished / "artifacts/demo/report/index.html").read_text()
    assert "<script" not in page
    assert json.loads((finished / "metrics/demo.json").read_text())["perplexity"]


def test_the_report_of_the_run_by_its_command(finished, rpt):
    asked = rpt(finished, "report")
    assert asked.returncode == 0, asked.stderr
    page, figures = (finished / line.split()[1] for line in asked.stdout.splitlines())
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(rpt(finished, "report", "demo", "--json").stdout)["demo"] == json.loads(figures.read_text())
    assert list(page.parent.glob("*.csv"))


def test_the_report_of_the_labels_is_found_from_everywhere(finished, rpt):
    page = finished / "artifacts/demo/report" / "../label_report/index.html"
    assert 'href="../label_report/index.html"' in (finished / "artifacts/demo/report/index.html").read_text()
    assert page.read_text().startswith("<!doctype html>")
    asked = rpt(finished, "labels", "report")
    assert asked.returncode == 0, asked.stderr
    assert [line.split()[1] for line in asked.stdout.splitlines()] == [
        "artifacts/demo/label_report/index.html",
        "artifacts/demo/label_report/README.md",
    ]
    statistics = json.loads(rpt(finished, "labels", "report", "demo", "--json").stdout)["demo"]
    assert statistics == json.loads((finished / "artifacts/demo/label_report/statistics.json").read_text())
    report = json.loads((finished / "artifacts/demo/report/report.json").read_text())
    assert report["labels"]["pairs"] == sum(split["pairs"] for split in statistics["splits"].values())
    unknown = rpt(finished, "labels", "report", "nothing")
    assert unknown.returncode == 2
    assert "params.yaml does not name it" in unknown.stderr


def test_nothing_to_do_is_nothing_done(finished, rpt):
    again = rpt(finished, "run")
    assert again.returncode == 0
    assert set(results(finished).values()) == {"unchanged"}
    assert "nothing to do" in again.stdout


def test_every_artifact_is_intact_and_a_flipped_bit_is_found(finished, rpt):
    assert rpt(finished, "verify").returncode == 0
    victim = finished / "artifacts/demo/labels/part-00000.parquet"
    good = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    found = rpt(finished, "verify", "--json")
    victim.unlink()
    victim.write_bytes(good)
    assert found.returncode == 3
    assert "part-00000.parquet" in json.loads(found.stdout)["problems"][0]


def test_a_step_is_shown_as_training_reads_it(finished, rpt):
    configuration, home = load(finished / "params.yaml"), finished / "artifacts" / "demo"
    size = configuration.geometry.chunk_tokens
    data = TrainingData(home / "sequences", home / "supervision" / "scored", configuration.geometry)
    segments = independent(data.keys, 3, configuration.training.batch, 0)
    batch = data.batch(segments)
    shown = json.loads(rpt(finished, "batch", "demo-rpt_sem", "--step", "3", "--json").stdout)
    assert [sequence["sequence"] for sequence in shown["sequences"]] == segments.rows_B.tolist()
    chunks = shown["sequences"][0]["chunks"]
    eligible = eligible_pairs(len(chunks), configuration.geometry.stride_chunks)
    relevance = dense_relevance(batch.candidates_BCS, batch.scores_BCS / size, eligible)
    gold = np.asarray(gold_then_own(np.zeros_like(relevance), relevance, eligible, 2))
    for chunk in chunks:
        expected = [j for j in gold[0, chunk["chunk"]].tolist() if j >= 0 and relevance[0, chunk["chunk"], j] > 0]
        assert chunk["gold"] == expected
        for row in chunk["candidates"]:
            assert row["t"] == pytest.approx(row["score"] / size, rel=1e-6)
    assert any(chunk["gold"] for chunk in chunks)


def test_sequences_are_the_text_of_their_document(finished, rpt):
    documents = open_artifact(DOCUMENTS, finished / "artifacts/demo/documents").read_all().to_pylist()
    text, doc_ids = "", set()
    for number in (0, 1):
        shown = rpt(finished, "batch", "demo-transformer_xl", "--sequence", str(number), "--json")
        (sequence,) = json.loads(shown.stdout)["sequences"]
        assert sequence["sequence"] == number
        text += "".join(chunk["text"] for chunk in sequence["chunks"])
        doc_ids.add(sequence["doc_id"])
    (document,) = (row["text"] for row in documents if {row["doc_id"]} == doc_ids)
    assert len(text) > 1000
    assert f"<|endoftext|>{document}".startswith(text + sequence["last_target"])


@pytest.mark.parametrize(
    "arguments", [["demo-retro", "--step", "4"], ["demo-retro", "--sequence", "9999"], ["demo-retro"], ["unknown", "--step", "0"]]
)
def test_a_step_that_does_not_exist_is_a_usage_error(finished, rpt, arguments):
    refused = rpt(finished, "batch", *arguments)
    assert refused.returncode == 2
    assert "remedy:" in refused.stderr


def test_runtime_parameters_make_nothing_stale(finished, rpt):
    assert rpt(finished, "config", "-o", "runtime.workers=1", "-o", "runtime.retries=3").returncode == 0
    plan = json.loads(rpt(finished, "plan", "--json").stdout)
    assert not [row for row in plan["stages"] if row["stale"]]


def test_running_again_from_nothing_gives_the_same_bytes(finished, rpt):
    before = digests(finished)
    for name in ("artifacts", ".work", "dvc.lock", ".dvc/cache"):
        path = finished / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(finished / ".dvc" / "tmp", ignore_errors=True)
    done = rpt(finished, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    after = digests(finished)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_more_candidates_rerun_scoring_and_what_reads_scores_alone(finished, rpt):
    asked = rpt(finished, "run", "scoring", "-o", "scoring.candidates=4")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert active(finished) == {"scoring@demo"}
    again = rpt(finished, "run")
    assert again.returncode == 0
    assert "Labels: artifacts/demo/label_report/index.html" in again.stdout
    rest = {
        "label_gates@demo",
        "exhaustive@demo",
        "label_report@demo",
        "semantic_supervision@demo",
        "training@demo-rpt_sem",
        "evaluation@demo-rpt_sem",
        "oracle@demo-rpt_sem",
        "oracle@demo-retro",
        "oracle@demo-transformer_xl",
        "retrieved@demo",
        "report@demo",
    }
    assert active(finished) == rest


def test_going_back_restores_from_the_cache(finished, rpt):
    assert rpt(finished, "run", "-o", "scoring.candidates=3").returncode == 0
    touched = results(finished)
    assert touched["scoring@demo"] == "restored"
    assert "ran" not in set(touched.values())


def test_nothing_trains_on_weak_labels_unasked(finished, rpt):
    page = (finished / "artifacts/demo/report/index.html").read_text()
    assert "Weak labels: A query and its target" in page
    gates = finished / "artifacts/demo/label_gates/gates.json"
    before = gates.read_bytes()
    refused = rpt(finished, "run", "-o", "label_gates.enforce=true")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "label_gates@demo: the labels of demo are too weak to train on: planted copy" in refused.stderr
    assert "--allow-weak-labels" in refused.stderr
    assert not gates.exists()
    allowed = rpt(finished, "run", "--allow-weak-labels")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert gates.read_bytes() == before
    assert "ran" not in set(results(finished).values())
    assert "enforce: false" in (finished / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "corpora.demo.source=missing/*.txt"], 2, "no file matches"),
        (["-o", "scoring.candidatse=3"], 2, "did you mean"),
        (["-o", "ingestion.min_document_chars=100000000", "-o", "ingestion.max_quarantine_fraction=1.0"], 2, "too small to split"),
        (["-o", "ingestion.min_document_chars=100000000", "-o", "ingestion.max_quarantine_fraction=0.1"], 4, "too many inputs"),
        (["nothing"], 2, "no such stage"),
    ],
)
def test_bad_input_says_what_why_and_what_to_do(finished, rpt, arguments, code, words):
    params = finished / "params.yaml"
    good = params.read_text()
    failed = rpt(finished, "run", *arguments)
    params.write_text(good)
    assert failed.returncode == code, failed.stdout + failed.stderr
    assert words in failed.stderr
    assert "remedy:" in failed.stderr


def test_a_second_run_is_told_who_holds_the_workspace(finished, rpt):
    import fcntl

    with open(finished / ".run" / "lock", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(json.dumps({"purpose": "a test", "pid": 1, "since": "12:00:00"}))
        file.flush()
        refused = rpt(finished, "run")
    assert refused.returncode == 7
    assert "a test" in refused.stderr
