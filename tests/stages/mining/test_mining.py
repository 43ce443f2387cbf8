"""Mining writes exactly the rows that may be asked for, by split and form, in bounded blocks."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_contracts.candidates import CANDIDATES
from stages.mining import mining as mining_stage
from stages.mining.mining import mine


def mined(chunks: pa.Table, geometry, mining) -> pl.DataFrame:
    blocks = list(mine(chunks, geometry, mining))
    for block in blocks:
        CANDIDATES.validate(block, "mined")
    table = pa.concat_tables(blocks)
    CANDIDATES.validate(table, "mined")
    return pl.from_arrow(table)


@pytest.fixture
def chunks(make_chunks):
    generator = np.random.default_rng(0)
    documents = {
        "train": ("train", generator.integers(1, 30, 8 * 40 + 3)),
        "test": ("test", generator.integers(1, 30, 8 * 40 + 3)),
        "short": ("test", generator.integers(1, 30, 5)),
        "few": ("validation", generator.integers(1, 30, 8 * 4)),
        "whole": ("validation", generator.integers(1, 30, 8 * 9)),
    }
    return make_chunks(documents)


def test_pools_and_forms(chunks, geometry, mining):
    rows = mined(chunks, geometry, mining)
    assert set(rows.filter(pl.col("doc_id") == "train")["query_form"]) == {"qt"}
    assert set(rows.filter(pl.col("doc_id") == "test")["query_form"]) == {"q", "qt"}
    assert set(rows["doc_id"]) == {"train", "test", "whole"}
    assert set(rows.filter(pl.col("doc_id") == "whole")["split"]) == {"validation"}

    train = rows.filter(pl.col("doc_id") == "train")
    assert (train["query_chunk"] // 16 == train["candidate_chunk"] // 16).all()
    assert set(train["query_chunk"] % 16) == set(range(4, 15))
    test = rows.filter((pl.col("doc_id") == "test") & (pl.col("query_form") == "qt"))
    assert set(test["query_chunk"]) == set(range(4, 39)), "chunk 39 has no full target, chunk 40 is short"
    assert set(
        rows.filter((pl.col("doc_id") == "test") & (pl.col("query_form") == "q"))["query_chunk"]
    ) == set(range(4, 40))
    assert rows["rank"].max() == mining.max_candidates - 1


def test_a_training_sequence_is_mined_as_if_it_were_alone(make_chunks, geometry, mining):
    tokens = np.random.default_rng(1).integers(1, 30, 8 * 32)
    whole = mined(make_chunks({"d": ("train", tokens)}), geometry, mining)
    second = mined(make_chunks({"d": ("train", tokens[8 * 16 :])}), geometry, mining)
    moved = second.with_columns(pl.col("query_chunk", "candidate_chunk") + 16)
    assert whole.filter(pl.col("query_chunk") >= 16).equals(moved)


def test_a_table_in_pieces_is_mined_as_one(chunks, geometry, mining):
    pieces = pa.concat_tables([chunks.slice(0, 7), chunks.slice(7, 40), chunks.slice(47)])
    assert pieces.column("token_ids").num_chunks == 3
    assert mined(pieces, geometry, mining).equals(mined(chunks, geometry, mining))


def test_blocks_are_bounded_and_cut_no_query(monkeypatch, chunks, geometry, mining):
    whole = mined(chunks, geometry, mining)
    monkeypatch.setattr(mining_stage, "BLOCK_ROWS", 100)
    blocks = list(mine(chunks, geometry, mining))
    assert len(blocks) > 1
    largest_piece = 40 * mining.max_candidates
    for block in blocks:
        CANDIDATES.validate(block, "mined")
        assert 0 < block.num_rows < 100 + largest_piece
        assert block.column("rank")[0].as_py() == 0
        assert block.schema.metadata == blocks[0].schema.metadata
    assert pl.from_arrow(pa.concat_tables(blocks)).equals(whole)


def test_no_documents_give_one_empty_table(make_chunks, geometry, mining):
    (table,) = mine(make_chunks({}), geometry, mining)
    CANDIDATES.validate(table, "mined")
    assert table.num_rows == 0
