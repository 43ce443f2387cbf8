"""What an evaluation says of a system that reads a whole corpus: its gain over its controls, by how much of a
chunk is a copy.

It is named there and not imported, so that no figure it draws makes an evaluation stale; nothing of it is
kept.
"""

from __future__ import annotations

from pathlib import Path

from data_contracts.contract import open_artifact
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, WITHOUT
from data_contracts.passages import CORPUS_NEIGHBOURS
from reports.html.leakage_table import leakage_table
from reports.html.plain_table import as_markdown
from reports.metrics.evaluation_rows import frames_of, with_own
from reports.metrics.leakage import leakage, overlaps

SAMPLES = 200
COLUMNS = ["system", "setting", "doc_id", "chunk", "loss", "tokens", "bytes", "eligible"]


def leakage_of(evaluations: Path, neighbours: Path, run: str, system: str, chunk_tokens: int) -> str:
    """The table of an evaluation in Markdown; empty if no document was read in every setting."""
    frames = frames_of([(run, open_artifact(EVALUATIONS, evaluations).read_all(COLUMNS))])
    frames = {key: rows for key, rows in frames.items() if key[1] in (OWN, WITHOUT, BY_CHANCE)}
    side_by_side = with_own(frames, {run: system}, {run: 0}, (WITHOUT, BY_CHANCE))
    if side_by_side is None:
        return ""
    columns = ["doc_id", "query_chunk", "origin", "query_overlap", "target_overlap"]
    overlap = overlaps(open_artifact(CORPUS_NEIGHBOURS, neighbours).read_all(columns))
    rows = leakage(
        side_by_side, overlap, chunk_tokens, (run, OWN), [(run, WITHOUT), (run, BY_CHANCE)], SAMPLES
    )
    return as_markdown(leakage_table(rows, chunk_tokens))
