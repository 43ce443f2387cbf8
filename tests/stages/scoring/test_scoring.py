"""s_t by hand: a toy engine whose log-probabilities can be worked out on paper, and the choice of what is
scored.
"""

import json

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_contracts.candidates import LABELS
from data_contracts.failure import Exit, Failure
from stages.mining.mining import mine
from stages.parameters import Mining, Scoring
from stages.scoring import scoring

DOCUMENTS = {"7" * 16: "test", "a" * 16: "train"}


class OverlapLM:
    """log P(target) = -(tokens of each half of the target that occur neither in the prefix nor in
    the query).
    """

    def __init__(self):
        self.pairs = 0

    def identity(self):
        return {"engine": "overlap"}

    def score(self, prefixes, suffixes, pairs, progress=None):
        self.pairs += len(pairs)
        assert len(np.unique(pairs, axis=0)) == len(pairs), "a pair is scored once"
        size = suffixes.shape[1] // 2
        halves = []
        for prefix, suffix in pairs:
            known = set(prefixes[prefix]) | set(suffixes[suffix][:size])
            missing = np.array([token not in known for token in suffixes[suffix][size:]])
            halves.append([-missing[: size // 2].sum(), -missing[size // 2 :].sum()])
        return np.array(halves, np.float32)


@pytest.fixture
def places(tmp_path):
    for name in ("tokenizer", "reference_lm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(json.dumps({"a": 1}))
    return {
        "tokenizer": tmp_path / "tokenizer",
        "reference_lm": tmp_path / "reference_lm",
        "ledger": tmp_path / "ledger",
    }


@pytest.fixture
def engine(monkeypatch):
    engine = OverlapLM()
    monkeypatch.setattr(scoring, "_engine", lambda name, directory, dtype: engine)
    return engine


def tables(make_chunks, geometry, max_candidates=20):
    generator = np.random.default_rng(1)
    chunks = make_chunks(
        {doc_id: (split, generator.integers(1, 60, 8 * 30)) for doc_id, split in DOCUMENTS.items()}
    )
    return chunks, pa.concat_tables(mine(chunks, geometry, Mining(max_candidates=max_candidates)))


def test_target_scores_are_what_a_person_computes(make_chunks, geometry, places, engine):
    chunks, candidates = tables(make_chunks, geometry)
    labels = scoring.score(
        chunks, candidates, geometry, Scoring(candidates=3, evaluation_candidates=6), **places
    )
    LABELS.validate(labels, "labels")
    tokens = {
        (doc_id, chunk): set(ids)
        for doc_id, chunk, ids in zip(
            *(chunks.column(name).to_pylist() for name in ("doc_id", "chunk", "token_ids")), strict=True
        )
    }
    ids = {key: row for key, row in zip(tokens, chunks.column("token_ids").to_pylist(), strict=True)}

    def logprob(doc_id, j, i):
        known = tokens[doc_id, j] | tokens[doc_id, j + 1] | tokens[doc_id, i]
        return -sum(token not in known for token in ids[doc_id, i + 1])

    for row in pl.from_arrow(labels).iter_rows(named=True):
        doc_id, i, j = row["doc_id"], row["query_chunk"], row["candidate_chunk"]
        assert row["candidate_logprob"] == logprob(doc_id, j, i)
        assert row["local_logprob"] == logprob(doc_id, i - 2, i)
        assert row["target_score"] == logprob(doc_id, j, i) - logprob(doc_id, i - 2, i)
        assert sum(row["candidate_halves"]) == row["candidate_logprob"]


def test_each_split_has_its_number_of_candidates(make_chunks, geometry, places, engine):
    chunks, candidates = tables(make_chunks, geometry)
    labels = pl.from_arrow(
        scoring.score(chunks, candidates, geometry, Scoring(candidates=2, evaluation_candidates=5), **places)
    )
    assert labels.group_by("split").agg(pl.col("rank").max()).sort("split").rows() == [
        ("test", 4),
        ("train", 1),
    ]
    locals_ = labels.select("doc_id", "query_chunk").n_unique()
    assert engine.pairs <= len(labels) + locals_


def test_a_larger_sample_contains_the_smaller():
    drawn = {
        fraction: {chunk for chunk in range(2000) if scoring.in_sample("d", chunk, fraction)}
        for fraction in (0.1, 0.5, 1.0)
    }
    assert drawn[0.1] < drawn[0.5] < drawn[1.0]
    assert len(drawn[1.0]) == 2000
    assert 0.07 < len(drawn[0.1]) / 2000 < 0.13


def test_a_shard_without_queries_gives_no_labels(make_chunks, geometry, places, engine):
    chunks = make_chunks({"5" * 16: ("train", np.arange(20))})
    candidates = pa.concat_tables(mine(chunks, geometry, Mining(max_candidates=3)))
    labels = scoring.score(
        chunks, candidates, geometry, Scoring(candidates=2, evaluation_candidates=5), **places
    )
    LABELS.validate(labels, "labels")
    assert labels.num_rows == 0


@pytest.mark.parametrize(("column", "value"), [("query_chunk", 29), ("doc_id", "b" * 16)])
def test_candidates_of_another_document_are_refused(make_chunks, geometry, places, engine, column, value):
    """Chunks are cut from one long array, where the chunk after a document's last is another's first."""
    chunks, candidates = tables(make_chunks, geometry)
    place = candidates.schema.get_field_index(column)
    kind = candidates.schema.field(column)
    candidates = candidates.set_column(place, kind, pa.array([value] * candidates.num_rows, kind.type))
    with pytest.raises(Failure, match="does not have") as failure:
        scoring.score(chunks, candidates, geometry, Scoring(candidates=2, evaluation_candidates=5), **places)
    assert failure.value.code == Exit.CONTRACT
    assert engine.pairs == 0


def test_scores_that_are_no_numbers_are_not_kept(make_chunks, geometry, places, engine):
    engine.score = lambda prefixes, suffixes, pairs, progress: np.full((len(pairs), 2), np.nan, np.float32)
    chunks, candidates = tables(make_chunks, geometry)
    with pytest.raises(Failure, match="no numbers") as failure:
        scoring.score(chunks, candidates, geometry, Scoring(candidates=2, evaluation_candidates=5), **places)
    assert failure.value.code == Exit.CONTRACT
    assert not places["ledger"].exists()
