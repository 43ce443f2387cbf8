"""A corpus without a single query is refused before its labels are paid for."""

import numpy as np
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.eligibility import first_query
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from stages.mining.mining import mine
from stages.mining.summary import summarise

NEEDED = first_query(2) + 2


@pytest.fixture
def summary_of(tmp_path, make_chunks, geometry, mining):
    """The summary of documents of so many whole chunks and some tokens more, given as (split, chunks)."""

    def make(*documents: tuple[str, int]) -> str:
        generator = np.random.default_rng(0)
        tokens = {
            f"d{n}": (split, generator.integers(1, 30, 8 * chunks + 3))
            for n, (split, chunks) in enumerate(documents)
        }
        chunks = make_chunks(tokens)
        for contract, tables in ((CHUNKS, [chunks]), (CANDIDATES, mine(chunks, geometry, mining))):
            (tmp_path / contract.name).mkdir()
            write_shard(contract, tables, tmp_path / contract.name / "part-00000.parquet")
            commit(contract, tmp_path / contract.name)
        return summarise(
            *(open_artifact(contract, tmp_path / contract.name) for contract in (CHUNKS, CANDIDATES))
        )

    return make


@pytest.mark.parametrize("held_out", [1, 40])
def test_short_training_documents_are_refused(summary_of, held_out):
    limit = f"{NEEDED} whole chunks, {NEEDED * 8} tokens, .* longest of that split has {NEEDED - 1} "
    with pytest.raises(Failure, match=limit) as failure:
        summary_of(("train", NEEDED - 1), ("train", 1), ("validation", held_out), ("test", held_out))
    assert failure.value.code == Exit.USAGE


def test_a_held_out_split_without_a_query_is_said(summary_of):
    said = summary_of(("train", NEEDED), ("validation", 1), ("test", 1))
    assert "**Warning**: no query in validation and test" in said


def test_nothing_is_said_where_every_split_has_queries(summary_of):
    assert "Warning" not in summary_of(("train", NEEDED), ("validation", NEEDED), ("test", NEEDED))
