"""Semantic supervision: the scoring LM's s_t beside each training sequence, for RPT-Sem. It comes after the
label gates: where those are enforced, nothing is trained on labels that failed them."""

from __future__ import annotations

import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.sequences import SEQUENCES, SUPERVISION
from stages.parameters import Geometry, Scoring
from stages.runner.stage import ShardStage
from stages.supervision.layout import supervise


def semantic_supervision(
    sequences: pa.Table, labels: pa.Table, geometry: Geometry, scoring: Scoring
) -> pa.Table:
    """All scored candidates with s_t in nats, summed over the target."""
    return supervise(sequences, labels, "target_score", scoring.candidates, geometry)


STAGE = ShardStage(
    "semantic_supervision",
    semantic_supervision,
    ("geometry", "scoring"),
    (SEQUENCES, LABELS),
    SUPERVISION,
    "supervision/scored",
    after=("label_gates/gates.json",),
)
