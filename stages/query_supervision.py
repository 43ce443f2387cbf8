"""Supervision of RETRO-q: the BM25 candidates that c_q alone finds, as at test, beside each training sequence."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.sequences import SEQUENCES, SUPERVISION
from stages.parameters import Geometry, Packing
from stages.stage import ShardStage
from stages.supervision import supervise


def query_supervision(sequences: pa.Table, candidates: pa.Table, geometry: Geometry, packing: Packing) -> pa.Table:
    """The first `packing.lexical_candidates` of query form c_i, scored by BM25."""
    found = candidates.filter(pc.equal(candidates.column("query_form"), "q"))
    return supervise(sequences, found, "bm25", packing.lexical_candidates, geometry)


STAGE = ShardStage(
    "query_supervision", query_supervision, ("geometry", "packing"), (SEQUENCES, CANDIDATES), SUPERVISION, "supervision/bm25_q"
)
