"""Lexical supervision: BM25 candidates beside each training sequence, for RETRO's neighbours and RPT-Lex's
ranking.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.sequences import SEQUENCES, SUPERVISION
from stages.parameters import Geometry, Packing
from stages.runner.stage import ShardStage
from stages.supervision.layout import supervise


def lexical_supervision(
    sequences: pa.Table, candidates: pa.Table, geometry: Geometry, packing: Packing
) -> pa.Table:
    """The first `packing.lexical_candidates` of query form (c_i, c_i+1), scored by BM25."""
    labels = candidates.filter(pc.equal(candidates.column("query_form"), "qt"))
    return supervise(sequences, labels, "bm25", packing.lexical_candidates, geometry)


STAGE = ShardStage(
    "lexical_supervision",
    lexical_supervision,
    ("geometry", "packing"),
    (SEQUENCES, CANDIDATES),
    SUPERVISION,
    "supervision/bm25",
)
