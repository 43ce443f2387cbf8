"""Mining writes exactly the rows that may be asked for, by split and form."""

import numpy as np
import polars as pl

from data_contracts.candidates import CANDIDATES
from stages.mining import mine


def test_pools_and_forms(make_chunks, geometry, mining):
    generator = np.random.default_rng(0)
    documents = {
        "train": ("train", generator.integers(1, 30, 8 * 40 + 3)),
        "test": ("test", generator.integers(1, 30, 8 * 40 + 3)),
        "short": ("test", generator.integers(1, 30, 5)),
    }
    table = mine(make_chunks(documents), geometry, mining)
    CANDIDATES.validate(table, "mined")
    rows = pl.from_arrow(table)
    assert set(rows.filter(pl.col("doc_id") == "train")["query_form"]) == {"qt"}
    assert set(rows.filter(pl.col("doc_id") == "test")["query_form"]) == {"q", "qt"}
    assert rows.filter(pl.col("doc_id") == "short").is_empty()

    train = rows.filter(pl.col("doc_id") == "train")
    assert (train["query_chunk"] // 16 == train["candidate_chunk"] // 16).all()
    assert set(train["query_chunk"] % 16) == set(range(4, 15))
    test = rows.filter((pl.col("doc_id") == "test") & (pl.col("query_form") == "qt"))
    assert set(test["query_chunk"]) == set(range(4, 39)), "chunk 39 has no full target, chunk 40 is short"
    assert set(rows.filter(pl.col("query_form") == "q")["query_chunk"]) == set(range(4, 40))
    assert rows["rank"].max() == mining.max_candidates - 1


def test_no_documents_give_an_empty_table(make_chunks, geometry, mining):
    table = mine(make_chunks({}), geometry, mining)
    CANDIDATES.validate(table, "mined")
    assert table.num_rows == 0
