"""The whole pipeline on six tiny documents, for real: DVC, Ray, training and all.

`ran` is a copy of the finished pipeline for tests that read; one that runs or edits something has a copy to
itself, `own`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_contracts.ceilings import MIXTURES
from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Failure
from flows import cli
from flows.commands import batch as batch_module
from model.masks import eligible_pairs
from model.neighbours import dense_relevance, gold_then_own
from stages.parameters import load
from stages.training.data import TrainingData
from stages.training.order import independent
from tests.pipelines import forget, private


def results(root: Path) -> dict[str, str]:
    events = [json.loads(line) for line in (root / ".run" / "events.jsonl").read_text().splitlines()]
    return {event["stage"]: event["result"] for event in events if event["event"] == "end"}


def active(root: Path) -> set[str]:
    return {stage for stage, result in results(root).items() if result != "unchanged"}


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory) -> Path:
    return private(finished, tmp_path_factory.mktemp("ran") / "project")


@pytest.fixture
def own(finished, tmp_path) -> Path:
    return private(finished, tmp_path / "project")


def append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text()}{line}\n")


def digests(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted((root / "artifacts").rglob("*"))
        if path.is_file()
    }


def test_everything_ran_once_and_the_report_is_there(finished):
    assert set(results(finished).values()) == {"ran"}
    report = json.loads((finished / "artifacts/demo/report/report.json").read_text())
    assert {row["system"] for row in report["systems"]} == {"transformer_xl", "retro", "rpt_sem"}
    assert report["data"]["inputs"] == report["data"]["documents_kept"] + sum(
        report["data"]["quarantined"].values()
    )
    page = (finished / "artifacts/demo/report/index.html").read_text()
    assert "<script" not in page
    assert json.loads((finished / "metrics/demo.json").read_text())["perplexity"]


def test_the_report_of_the_run_by_its_command(ran, rpt):
    asked = rpt(ran, "report")
    assert asked.returncode == 0, asked.stderr
    page, figures = (ran / line.split()[1] for line in asked.stdout.splitlines())
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(rpt(ran, "report", "demo", "--json").stdout)["demo"] == json.loads(figures.read_text())
    assert list(page.parent.glob("*.csv"))


def test_text_that_repeats_itself_has_something_to_gain(ran):
    rows = json.loads((ran / "artifacts/demo/report/report.json").read_text())["ceilings"]
    assert {row["setting"] for row in rows} == {"own", *MIXTURES}
    gains = {row["setting"]: row["gain"]["value"] for row in rows if row["gain"]}
    assert gains["ngram_train_cache"] > gains["ngram_cache"] > gains["ngram_cache_beyond"] > 0.5
    assert gains["knn_lm"] > gains["knn_lm_beyond"] > 0.5


def test_the_report_of_the_labels_is_found_from_everywhere(ran, rpt):
    page = ran / "artifacts/demo/report" / "../label_report/index.html"
    assert 'href="../label_report/index.html"' in (ran / "artifacts/demo/report/index.html").read_text()
    assert page.read_text().startswith("<!doctype html>")
    asked = rpt(ran, "labels", "report")
    assert asked.returncode == 0, asked.stderr
    assert [line.split()[1] for line in asked.stdout.splitlines()] == [
        "artifacts/demo/label_report/index.html",
        "artifacts/demo/label_report/README.md",
    ]
    statistics = json.loads(rpt(ran, "labels", "report", "demo", "--json").stdout)["demo"]
    assert statistics == json.loads((ran / "artifacts/demo/label_report/statistics.json").read_text())
    report = json.loads((ran / "artifacts/demo/report/report.json").read_text())
    assert report["labels"]["pairs"] == sum(split["pairs"] for split in statistics["splits"].values())
    unknown = rpt(ran, "labels", "report", "nothing")
    assert unknown.returncode == 2
    assert "params.yaml does not name it" in unknown.stderr


def test_nothing_to_do_is_nothing_done(own, rpt):
    again = rpt(own, "run")
    assert again.returncode == 0
    assert set(results(own).values()) == {"unchanged"}
    assert "nothing to do" in again.stdout


def test_every_artifact_is_intact_and_a_flipped_bit_is_found(own, rpt):
    assert rpt(own, "verify").returncode == 0
    victim = own / "artifacts/demo/labels/part-00000.parquet"
    good = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    found = rpt(own, "verify", "--json")
    assert found.returncode == 3
    assert "part-00000.parquet" in json.loads(found.stdout)["problems"][0]


@pytest.fixture
def batch(ran, monkeypatch, capsys):
    """`rpt batch` in this process: what it prints as JSON."""
    monkeypatch.setattr(cli.looking, "ROOT", ran)
    monkeypatch.setattr(batch_module, "ROOT", ran)

    def batch(*arguments: str) -> dict:
        assert cli.app(["batch", *arguments, "--json"], result_action="return_value") == 0
        return json.loads(capsys.readouterr().out)

    return batch


def test_a_step_is_shown_as_training_reads_it(ran, batch):
    configuration, home = load(ran / "params.yaml"), ran / "artifacts" / "demo"
    size = configuration.geometry.chunk_tokens
    data = TrainingData(home / "sequences", home / "supervision" / "scored", configuration.geometry)
    segments = independent(data.keys, 3, configuration.training.batch, 0)
    read = data.batch(segments)
    shown = batch("demo-rpt_sem", "--step", "3")
    assert [sequence["sequence"] for sequence in shown["sequences"]] == segments.rows_B.tolist()
    chunks = shown["sequences"][0]["chunks"]
    eligible = eligible_pairs(len(chunks), configuration.geometry.stride_chunks)
    relevance = dense_relevance(read.candidates_BCS, read.scores_BCS / size, eligible)
    gold = np.asarray(gold_then_own(np.zeros_like(relevance), relevance, eligible, 2))
    for chunk in chunks:
        expected = [
            j for j in gold[0, chunk["chunk"]].tolist() if j >= 0 and relevance[0, chunk["chunk"], j] > 0
        ]
        assert chunk["gold"] == expected
        for row in chunk["candidates"]:
            assert row["t"] == pytest.approx(row["score"] / size, rel=1e-6)
    assert any(chunk["gold"] for chunk in chunks)


def test_sequences_are_the_text_of_their_document(ran, batch):
    documents = open_artifact(DOCUMENTS, ran / "artifacts/demo/documents").read_all().to_pylist()
    text, doc_ids = "", set()
    for number in (0, 1):
        (sequence,) = batch("demo-transformer_xl", "--sequence", str(number))["sequences"]
        assert sequence["sequence"] == number
        text += "".join(chunk["text"] for chunk in sequence["chunks"])
        doc_ids.add(sequence["doc_id"])
    (document,) = (row["text"] for row in documents if {row["doc_id"]} == doc_ids)
    assert len(text) > 1000
    assert f"<|endoftext|>{document}".startswith(text + sequence["last_target"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo-retro", "--step", "4"],
        ["demo-retro", "--sequence", "9999"],
        ["demo-retro"],
        ["unknown", "--step", "0"],
    ],
)
def test_a_step_that_does_not_exist_is_a_usage_error(batch, arguments):
    with pytest.raises(Failure) as refused:
        batch(*arguments)
    assert refused.value.code == 2
    assert refused.value.remedy


def test_a_step_is_shown_by_a_process_too(ran, rpt):
    shown = rpt(ran, "batch", "demo-rpt_sem", "--step", "3")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "gold neighbours" in shown.stdout


def test_runtime_parameters_and_code_that_changes_no_result_make_nothing_stale(own, rpt):
    assert rpt(own, "config", "-o", "runtime.workers=2", "-o", "runtime.retries=3").returncode == 0
    append(own / "stages/ingestion/readers.py", "# A comment.")
    append(own / "model/baselines/griffin.py", "RATE = 9.0")
    append(own / "reports/html/style.py", 'CSS = "p { color: red }"')
    plan = json.loads(rpt(own, "plan", "--json").stdout)
    assert not [row for row in plan["stages"] if row["stale"]]


def test_code_that_can_change_a_result_makes_its_stage_stale(own, rpt):
    append(own / "model/rpt.py", "K = 1")
    plan = json.loads(rpt(own, "plan", "--json").stdout)
    stale = {row["stage"]: row["reasons"] for row in plan["stages"] if row["stale"]}
    assert stale["training@demo-rpt_sem"] == ["sources/code/training-rpt_sem.txt modified"]
    runs = [name for name in stale if "@demo-" in name]
    assert runs == [f"{stage}@demo-rpt_sem" for stage in ("training", "evaluation", "oracle", "ceilings")]
    assert {*stale} - {*runs} == {"retrieved@demo", "report@demo"}


@pytest.mark.slow
def test_running_again_from_nothing_gives_the_same_bytes(own, rpt):
    """With two workers in place of one, and nothing to restore from. What reads only the same bytes again is
    not run again.
    """
    before = digests(own)
    kept = ("demo-retro", "demo-transformer_xl")
    for path in sorted((own / "artifacts" / "demo").rglob("*")):
        if path.is_file() and path.parent.name not in kept:
            path.unlink()
    shutil.rmtree(own / ".work", ignore_errors=True)
    forget(own, lambda stage: not stage.endswith(kept))
    done = rpt(own, "run", "-o", "runtime.workers=2", own_ray=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {stage for stage, result in results(own).items() if result != "ran"} == {
        f"{stage}@{run}" for stage in ("training", "evaluation", "oracle", "ceilings") for run in kept
    }
    after = digests(own)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_more_candidates_score_again_and_make_stale_what_reads_scores_alone(own, rpt):
    asked = rpt(own, "run", "scoring", "-o", "scoring.candidates=4")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert active(own) == {"scoring@demo"}
    plan = json.loads(rpt(own, "plan", "--json").stdout)
    rows = {row["stage"]: row for row in plan["stages"]}
    assert "scoring.candidates 3 -> 4" in rows["label_gates@demo"]["reasons"]
    assert rows["scoring@demo"]["last_seconds"] > 0
    assert plan["total"]["bytes"] == sum(row["bytes"] for row in plan["stages"] if row["stale"]) > 0
    states = {row["stage"]: row["state"] for row in json.loads(rpt(own, "status", "--json").stdout)["stages"]}
    assert states == {stage: "stale" if row["stale"] else "fresh" for stage, row in rows.items()}
    assert {row["stage"] for row in plan["stages"] if row["stale"]} == {
        "label_gates@demo",
        "exhaustive@demo",
        "label_report@demo",
        "semantic_supervision@demo",
        "training@demo-rpt_sem",
        "evaluation@demo-rpt_sem",
        "oracle@demo-rpt_sem",
        "ceilings@demo-rpt_sem",
        "oracle@demo-retro",
        "oracle@demo-transformer_xl",
        "retrieved@demo",
        "report@demo",
    }


@pytest.mark.slow
def test_labels_of_more_candidates_are_reported_and_going_back_restores(own, rpt):
    again = rpt(own, "run", "label_report", "-o", "scoring.candidates=4")
    assert again.returncode == 0
    assert "Labels: artifacts/demo/label_report/index.html" in again.stdout
    assert active(own) == {"scoring@demo", "label_gates@demo", "label_report@demo"}

    assert rpt(own, "run", "-o", "scoring.candidates=3").returncode == 0
    touched = results(own)
    assert touched["scoring@demo"] == "restored"
    assert "ran" not in set(touched.values())


@pytest.mark.slow
def test_nothing_trains_on_weak_labels_unasked(own, rpt):
    page = (own / "artifacts/demo/report/index.html").read_text()
    assert "Weak labels: A query and its target" in page
    gates = own / "artifacts/demo/label_gates/gates.json"
    before = gates.read_bytes()
    refused = rpt(own, "run", "-o", "label_gates.enforce=true")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "label_gates@demo: the labels of demo are too weak to train on: planted copy" in refused.stderr
    assert "--allow-weak-labels" in refused.stderr
    assert not gates.exists()
    allowed = rpt(own, "run", "--allow-weak-labels")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert gates.read_bytes() == before
    assert "ran" not in set(results(own).values())
    assert "enforce: false" in (own / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "corpora.demo.source=missing/*.txt"], 2, "no file matches"),
        (["-o", "scoring.candidatse=3"], 2, "did you mean"),
        (["-o", "tokenization.tokenizer=nowhere/tokenizer.json"], 2, "there is no such file"),
        pytest.param(
            ["-o", "ingestion.min_document_chars=100000000", "-o", "ingestion.max_quarantine_fraction=1.0"],
            *(2, "too small to split"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["-o", "ingestion.min_document_chars=100000000", "-o", "ingestion.max_quarantine_fraction=0.1"],
            *(4, "too many inputs"),
            marks=pytest.mark.slow,
        ),
        (["nothing"], 2, "no such stage"),
    ],
)
def test_bad_input_says_what_why_and_what_to_do(own, rpt, arguments, code, words):
    """An override that was refused before a stage began leaves no trace; one that a stage failed with stays,
    to go on with it.
    """
    before = (own / "params.yaml").read_text()
    failed = rpt(own, "run", *arguments)
    assert failed.returncode == code, failed.stdout + failed.stderr
    assert words in failed.stderr
    assert "remedy:" in failed.stderr
    assert ((own / "params.yaml").read_text() == before) == (
        words not in {"too small to split", "too many inputs"}
    )


def test_a_second_run_is_told_who_holds_the_workspace(own, rpt):
    import fcntl

    with open(own / ".run" / "lock", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(json.dumps({"purpose": "a test", "pid": 1, "since": "12:00:00"}))
        file.flush()
        refused = rpt(own, "run")
    assert refused.returncode == 7
    assert "a test" in refused.stderr
