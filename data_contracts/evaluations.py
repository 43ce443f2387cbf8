"""Evaluations: one row an evaluated chunk of one system, so that any figure can be redone without running a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits
from data_contracts.eligibility import is_eligible
from data_contracts.tokens import list_rows


def _check_evaluations(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    loss = table.column("loss").to_numpy()
    if not np.isfinite(loss).all() or (loss < 0).any():
        yield "losses must be finite and not negative"
    if pc.any(pc.less(table.column("tokens"), 1)).as_py():
        yield "a row without a counted token"
    chunk = table.column("chunk").to_numpy()
    for name in ("retrieved", "ranking"):
        lists = list_rows(table.column(name))
        query = np.repeat(chunk, [len(row) for row in lists])
        if not is_eligible(query, np.concatenate(lists), fact(table, "stride_chunks")).all():
            yield f"`{name}` holds a chunk that its query could see"


EVALUATIONS = Contract(
    "evaluations",
    1,
    pa.schema(
        [
            field("system", pa.string(), "name of the system"),
            DOC_ID,
            SPLIT,
            field("chunk", pa.int32(), "query chunk i; loss is of chunk i + 1; -1: the loss of chunk 0", "chunks"),
            field("loss", pa.float32(), "summed over the counted tokens of chunk i + 1", "nats"),
            field("tokens", pa.int32(), "counted tokens of chunk i + 1", "tokens"),
            field("eligible", pa.int32(), "number of chunks that could be retrieved for chunk i", "chunks"),
            field("retrieved", pa.list_(pa.int32()), "chunks whose states the model read for chunk i, best first"),
            field("ranking", pa.list_(pa.int32()), "the best 20 eligible chunks by the system's retriever, best first"),
        ]
    ),
    ("doc_id", "chunk"),
    _check_evaluations,
    facts=("stride_chunks",),
)
