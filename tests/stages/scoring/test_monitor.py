"""What is said while scoring runs, from real label shards: the figures, and a warning for labels that cannot
be right.
"""

import json
import math

import numpy as np
import pytest

from data_contracts.candidates import LABELS
from data_contracts.contract import write_shard
from stages.parameters import Geometry, Scoring
from stages.runner.shards import Monitor
from stages.scoring import monitor as scoring_monitor
from stages.scoring.scoring import STAGE
from tests.stages.artifacts import write_tokenizer

GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=100_000, stride_chunks=2)
VOCABULARY = 300
FIRST = 100  # the first query; chunks 0, 1, ... before it are its candidates


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "reference_lm").mkdir()
    (tmp_path / "reference_lm" / "config.json").write_text(json.dumps({"vocab_size": VOCABULARY}))
    places = {"tokenizer": tmp_path / "tokenizer", "reference_lm": tmp_path / "reference_lm"}
    return {"geometry": GEOMETRY, "scoring": Scoring(candidates=20, evaluation_candidates=20), **places}


def write(path, scores_QK: np.ndarray, split="test", local_a_token=-2.0, **scorer):
    """A label shard of one document with these s_t, by query and rank."""
    queries, k = scores_QK.shape
    local = np.full(queries * k, local_a_token * GEOMETRY.chunk_tokens, np.float32)
    candidate = local + scores_QK.ravel().astype(np.float32)
    rank = np.tile(np.arange(k, dtype=np.int16), queries)
    columns = {
        "doc_id": [f"{path.stem}"] * len(rank),
        "split": [split] * len(rank),
        "query_chunk": np.repeat(np.arange(FIRST, FIRST + queries, dtype=np.int32), k),
        "candidate_chunk": rank.astype(np.int32),
        "rank": rank,
        "bm25": -rank.astype(np.float32),
        "candidate_logprob": candidate,
        "local_logprob": local,
        "candidate_halves": [[value / 2, value / 2] for value in candidate],
        "local_halves": [[value / 2, value / 2] for value in local],
        "target_score": candidate - local,
    }
    write_shard(
        LABELS,
        LABELS.table(columns, stride_chunks=2, sequence_chunks=100_000, scorer={"engine": "none", **scorer}),
        path,
    )
    return path


def scores(queries=600, k=10, positive=0.3, seed=0) -> np.ndarray:
    """s_t of both signs in sixteenths of a nat, which float32 holds exactly; above -16 + 1/16, so that no
    candidate is likelier than 1.
    """
    generator = np.random.default_rng(seed)
    size = generator.integers(1, 128, (queries, k)) / 16
    return np.where(generator.random((queries, k)) < positive, size, -size)


def cells(note: str, split: str) -> list[str]:
    return next(
        [cell.strip() for cell in line.split("|")[2:-1]]
        for line in note.splitlines()
        if line.startswith(f"| {split}")
    )


def test_the_note_holds_the_figures_of_the_labels(tmp_path, arguments):
    train, test = scores(300, seed=1), scores(400, seed=2)
    shards = [
        write(tmp_path / "part-00000.parquet", train, "train"),
        write(tmp_path / "part-00001.parquet", test),
    ]
    note = scoring_monitor.watch(shards, **arguments)
    for split, table in (("train", train), ("test", test)):
        best = [f"{table[:, :k].max(axis=1).mean() / GEOMETRY.chunk_tokens:+.3f}" for k in (1, 2, 5, 10)]
        assert cells(note, split) == [f"{len(table)}", f"{(table > 0).mean():.1%}", *best, ""]
    assert "7,000 candidates of 700 queries in 2 finished shards" in note
    assert "Warning" not in note


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ({"scores_QK": scores(positive=0.001)}, "of the candidates are positive"),
        ({"scores_QK": scores(positive=0.97)}, "of the candidates are positive"),
        (
            {"scores_QK": scores(), "local_a_token": -math.log(VOCABULARY) - 0.1},
            "trained with another tokenizer",
        ),
    ],
)
def test_broken_labels_are_called_broken(tmp_path, arguments, shard, words):
    note = scoring_monitor.watch([write(tmp_path / "part-00000.parquet", **shard)], **arguments)
    assert note.count("**Warning**") == 1
    assert words in note


def test_a_blind_guess_at_text_is_one_of_the_tokens_of_the_corpus(tmp_path, arguments):
    vocabulary = write_tokenizer(tmp_path).get_vocab_size()
    (tmp_path / "reference_lm" / "config.json").write_text(json.dumps({"vocab_size": 10 * vocabulary}))
    for local_a_token, warned in ((-math.log(vocabulary) - 0.1, True), (-math.log(vocabulary) + 0.1, False)):
        shard = write(
            tmp_path / "part-00000.parquet", scores(), local_a_token=local_a_token, chunk_tokenizer="x"
        )
        assert ("trained with another tokenizer" in scoring_monitor.watch([shard], **arguments)) == warned


def test_no_warning_before_there_are_enough_queries(tmp_path, arguments):
    few = write(tmp_path / "part-00000.parquet", scores(queries=499, positive=0.0))
    assert "Warning" not in scoring_monitor.watch([few], **arguments)


def test_no_labels_no_note(tmp_path, arguments):
    assert scoring_monitor.watch([], **arguments) is None
    assert (
        scoring_monitor.watch([write(tmp_path / "part-00000.parquet", np.empty((0, 3)))], **arguments) is None
    )


def test_what_is_read_is_bounded_and_spread(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring_monitor, "SAMPLE_ROWS", 400)
    monkeypatch.setattr(scoring_monitor, "SAMPLE_SHARDS", 4)
    shards = [
        write(tmp_path / f"part-{number:05d}.parquet", scores(queries=60, seed=number)) for number in range(7)
    ]
    sample = scoring_monitor.sample(shards)
    assert len(sample) == 400
    assert sample["doc_id"].unique(maintain_order=True).to_list() == [
        f"part-{number:05d}" for number in (0, 2, 4, 6)
    ]


def test_the_driver_shows_the_monitor_finished_shards_only_and_not_all_the_time(tmp_path, arguments):
    shards, notes = [tmp_path / f"part-{number:05d}.parquet" for number in range(5)], []
    monitor = Monitor(STAGE, shards, arguments, notes.append)
    monitor.glance()
    assert notes == [], "nothing is finished"
    for number, shard in enumerate(shards):
        write(shard, scores(queries=50, seed=number))
        monitor.glance()
    assert len(notes) == 1, "the first shard is looked at at once, the next ones are too soon after it"
    assert "in 1 finished shards" in notes[0]
    monitor.look()
    assert "of 250 queries in 5 finished shards" in notes[1]
