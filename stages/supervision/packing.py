"""Packing: tokens of the train split -> training sequences of L tokens, each with one more token that is
target only.
"""

from __future__ import annotations

import pyarrow as pa

from data_contracts.sequences import SEQUENCES
from data_contracts.tokens import TOKENS, list_rows
from stages.parameters import Geometry
from stages.runner.stage import ShardStage


def pack(tokens: pa.Table, geometry: Geometry) -> pa.Table:
    """Consecutive sequences of each training document. The last may be short; it is padded and masked when a
    batch is made.
    """
    columns: dict[str, list] = {name: [] for name in SEQUENCES.schema.names}
    length = geometry.sequence_tokens
    documents = zip(
        tokens.column("doc_id").to_pylist(),
        tokens.column("split").to_pylist(),
        list_rows(tokens.column("token_ids")),
        strict=True,
    )
    for doc_id, split, ids in documents:
        if split != "train":
            continue
        for begin in range(0, len(ids) - 1, length):
            columns["doc_id"].append(doc_id)
            columns["first_chunk"].append(begin // geometry.chunk_tokens)
            columns["token_ids"].append(ids[begin : begin + length + 1])
    return SEQUENCES.table(columns, sequence_tokens=length)


STAGE = ShardStage("packing", pack, ("geometry",), (TOKENS,), SEQUENCES, "sequences")
