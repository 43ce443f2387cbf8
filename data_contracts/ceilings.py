"""Ceilings: losses of Transformer-XL mixed with what is counted over the past of a document, one row an
evaluated chunk and mixture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits
from data_contracts.tokens import list_rows

CEILING = "ceilings"
OF_TRAINING = "ngram_train"
BEYOND = "_beyond"
"""Ends the name of a mixture with what lies beyond the window: the chunks that could be retrieved, and those
that continue them.
"""
MIXTURES = {
    OF_TRAINING: "n-grams of the training text, a control",
    "ngram_cache_beyond": "n-grams of the past beyond the window",
    "ngram_cache": "n-grams of the whole past",
    "ngram_train_cache_beyond": "n-grams of training text and past beyond the window",
    "ngram_train_cache": "n-grams of training text and whole past",
    "knn_lm_beyond": "kNN-LM, past beyond the window",
    "knn_lm": "kNN-LM, whole past",
}
"""What Transformer-XL is mixed with."""


def _check_ceilings(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    loss = table.column("loss").to_numpy()
    if not np.isfinite(loss).all() or (loss < 0).any():
        yield "losses must be finite and not negative"
    if unknown := set(pc.unique(table.column("setting")).to_pylist()) - set(MIXTURES):
        yield f"unknown mixtures {sorted(unknown)}, known are {sorted(MIXTURES)}"
    losses = list_rows(table.column("token_losses"))
    if [len(row) for row in losses] != table.column("tokens").to_pylist():
        yield "`token_losses` must hold one value for each of `tokens`"
    elif np.abs(np.array([row.sum() for row in losses]) - loss).max() > 1e-3 * max(1.0, loss.max()):
        yield "`loss` is not the sum of `token_losses`"


CEILINGS = Contract(
    CEILING,
    1,
    pa.schema(
        [
            field("setting", pa.string(), "what the model is mixed with, see MIXTURES"),
            DOC_ID,
            SPLIT,
            field(
                "chunk",
                pa.int32(),
                "query chunk i; loss is of chunk i + 1; -1: the loss of chunk 0",
                "chunks",
            ),
            field("loss", pa.float32(), "summed over the counted tokens of chunk i + 1", "nats"),
            field("tokens", pa.int32(), "counted tokens of chunk i + 1", "tokens"),
            field("bytes", pa.int32(), "UTF-8 bytes of the counted tokens of chunk i + 1", "bytes"),
            field("token_losses", pa.list_(pa.float32()), "of each counted token of chunk i + 1", "nats"),
            field("eligible", pa.int32(), "number of chunks that could be retrieved for chunk i", "chunks"),
        ]
    ),
    ("doc_id", "setting", "chunk"),
    _check_ceilings,
    facts=("mixtures",),
)
"""The fact `mixtures` has the weights and temperatures that were chosen, by the name of the mixture."""
