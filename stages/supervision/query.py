"""Supervision of RETRO-q: the BM25 candidates that c_q alone finds, as at test, beside each training
sequence.

They are mined here and not in `mining`, whose candidates of the train split they would double for the sake of
one system.
"""

from __future__ import annotations

import pyarrow as pa

from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.tokens import CHUNKS
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Packing
from stages.runner.stage import ShardStage
from stages.supervision.layout import supervise


def query_supervision(
    sequences: pa.Table, chunks: pa.Table, geometry: Geometry, mining: Mining, packing: Packing
) -> pa.Table:
    """The first `packing.lexical_candidates` of query form c_i within the training sequence, scored
    by BM25.
    """
    slots = packing.lexical_candidates
    candidates = mine(
        chunks, geometry, mining.model_copy(update={"max_candidates": slots}), {"train": ("q",)}
    )
    return supervise(sequences, pa.concat_tables(candidates), "bm25", slots, geometry)


STAGE = ShardStage(
    "query_supervision",
    query_supervision,
    ("geometry", "mining", "packing"),
    (SEQUENCES, CHUNKS),
    SUPERVISION,
    "supervision/bm25_q",
)
