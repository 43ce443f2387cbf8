"""What RETRO and RPT-Lex are trained with: the best of BM25 for (c_i, c_i+1), beside the sequence that they
belong to.
"""

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.tokens import TOKENS, list_column, list_rows
from stages.mining.mining import mine
from stages.parameters import Packing
from stages.supervision.lexical import lexical_supervision
from stages.supervision.packing import pack


def test_candidates_are_the_first_of_bm25_with_the_target(make_chunks, geometry, mining):
    ids = np.random.default_rng(4).integers(1, 30, 8 * 16)
    columns = {"doc_id": ["d"], "split": ["train"], "token_ids": list_column([ids.astype(np.uint32)])}
    mined = pa.concat_tables(mine(make_chunks({"d": ("train", ids)}), geometry, mining))
    found = lexical_supervision(
        pack(TOKENS.table(columns, tokenizer="t"), geometry), mined, geometry, Packing(lexical_candidates=4)
    )
    candidates = list_rows(found.column("candidates"))[0].reshape(16, 4)
    best = pl.DataFrame(pl.from_arrow(mined)).filter(pl.col("query_form") == "qt", pl.col("rank") < 4)
    assert len(best) > 16
    for query, row in enumerate(candidates):
        assert (
            row[row >= 0].tolist() == best.filter(pl.col("query_chunk") == query)["candidate_chunk"].to_list()
        )
