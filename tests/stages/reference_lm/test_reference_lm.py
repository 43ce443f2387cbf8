"""What the reference LM is trained on: documents with their top-1 candidates, in bounded number."""

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.tokens import CHUNKS
from stages.mining.mining import mine
from stages.parameters import Mining
from stages.reference_lm.reference_lm import train_documents
from stages.runner.stage import Context
from tests.stages.artifacts import write_artifact
from tests.tiny import tiny_context

SHARDS, LENGTH = 12, 8 * 20


@pytest.fixture
def tokens() -> list[np.ndarray]:
    """One train document a shard; those of the other splits, which nobody may learn, hold the same."""
    return [
        np.random.default_rng(number).integers(1, 60, LENGTH).astype(np.uint32) for number in range(SHARDS)
    ]


@pytest.fixture
def context(tmp_path, make_chunks, geometry, tokens) -> Context:
    splits = ("train", "validation", "test")
    chunks = [
        make_chunks({f"{split}{number}": (split, ids) for split in splits})
        for number, ids in enumerate(tokens)
    ]
    write_artifact(CHUNKS, tmp_path / "chunks", *chunks)
    mined = (pa.concat_tables(mine(table, geometry, Mining(max_candidates=2))) for table in chunks)
    write_artifact(CANDIDATES, tmp_path / "candidates", *mined)
    return tiny_context(tmp_path)


def places(documents: list[np.ndarray], tokens: list[np.ndarray]) -> list[int]:
    """Which of the corpus's documents these are."""
    return [
        next(number for number, ids in enumerate(tokens) if np.array_equal(ids, document))
        for document in documents
    ]


def test_a_small_corpus_is_read_whole_and_in_its_order(context, tokens):
    documents, _ = train_documents(context, SHARDS * LENGTH, seed=0)
    assert places(documents, tokens) == list(range(SHARDS))


def test_shards_are_read_until_there_are_enough_tokens(context, tokens):
    for limit, count in ((1, 1), (LENGTH, 1), (LENGTH + 1, 2), (5 * LENGTH, 5)):
        documents, top1 = train_documents(context, limit, seed=0)
        assert len(documents) == len(top1) == count
        assert places(documents, tokens) == sorted(places(documents, tokens))


def test_the_seed_decides_which_shards(context, tokens):
    first, again, other = (
        places(train_documents(context, 4 * LENGTH, seed)[0], tokens) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_top_1_candidates_are_those_of_mining(context, geometry, make_chunks, tokens):
    documents, top1 = train_documents(context, SHARDS * LENGTH, seed=0)
    pairs = pa.concat_tables(
        mine(make_chunks({"d": ("train", tokens[3])}), geometry, Mining(max_candidates=1))
    ).to_pylist()
    expected = np.full(LENGTH // 8, -1)
    for pair in pairs:
        expected[pair["query_chunk"]] = pair["candidate_chunk"]
    assert (expected >= 0).any()
    assert np.array_equal(top1[3], expected)
    assert np.array_equal(documents[3], tokens[3])
