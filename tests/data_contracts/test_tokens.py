"""What the contracts of tokens and chunks let through: blocks of a shard too, but nothing that a block can
show to be wrong.
"""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_contracts.failure import Failure
from data_contracts.tokens import CHUNKS, list_column, list_rows


def rows(*chunks: tuple[str, int, int]) -> pa.Table:
    """CHUNKS of (doc_id, chunk, length), with 4 tokens a chunk and 2 chunks a sequence."""
    columns = {
        "doc_id": [doc_id for doc_id, _, _ in chunks],
        "split": ["train"] * len(chunks),
        "chunk": [number for _, number, _ in chunks],
        "segment": [number // 2 for _, number, _ in chunks],
        "token_ids": [[7] * length for _, _, length in chunks],
        "text": ["text"] * len(chunks),
    }
    return CHUNKS.table(columns, chunk_tokens=4, sequence_chunks=2)


@pytest.mark.parametrize(
    "chunks",
    [
        [("a", 0, 4), ("a", 1, 4), ("a", 2, 1), ("b", 0, 3), ("c", 0, 4)],
        [("a", 5, 4), ("a", 6, 2), ("b", 0, 4)],
        [("a", 5, 3), ("b", 0, 4), ("b", 1, 4)],
        [("a", 7, 4)],
    ],
    ids=["whole documents", "begins inside", "begins with the last chunk", "one chunk inside"],
)
def test_a_shard_or_a_block_of_it_passes(chunks):
    table = rows(*chunks)
    CHUNKS.validate(table, "here")
    CHUNKS.validate(pa.concat_tables([table.slice(0, 1), table.slice(1)]), "in two pieces of memory")


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([("a", 0, 4), ("b", 1, 4)], "numbered"),
        ([("a", 0, 4), ("a", 2, 4)], "numbered"),
        ([("a", 3, 4), ("b", 4, 4)], "numbered"),
        ([("a", -1, 4), ("a", 0, 4)], "numbered"),
        ([("a", 1, 4), ("a", 0, 4)], "sorted"),
        ([("a", 0, 4), ("b", 0, 4), ("a", 1, 4)], "numbered"),
        ([("a", 0, 3), ("a", 1, 4)], "must hold 4"),
        ([("a", 0, 5)], "must hold 4"),
        ([("a", 0, 4), ("a", 1, 0)], "must hold 4"),
    ],
)
def test_what_a_block_can_show_to_be_wrong_is_refused(chunks, reason):
    with pytest.raises(Failure, match=reason):
        CHUNKS.validate(rows(*chunks), "here")


def test_a_segment_that_does_not_follow_from_the_chunk_is_refused():
    table = rows(("a", 4, 4), ("a", 5, 4))
    segment = CHUNKS.schema.get_field_index("segment")
    wrong = table.set_column(segment, CHUNKS.schema.field("segment"), pa.array([2, 3], pa.int32()))
    with pytest.raises(Failure, match="segment"):
        CHUNKS.validate(wrong, "here")


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=5), max_size=6))
def test_a_list_column_gives_its_rows_back(lists):
    column = list_column([np.array(row, np.uint32) for row in lists])
    column.validate(full=True)
    assert column.to_pylist() == lists
    assert [row.tolist() for row in list_rows(pa.chunked_array([column]))] == lists
