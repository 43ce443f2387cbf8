"""Evaluations: one row an evaluated chunk of one system in one setting, so that any figure can be redone
without running a model.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits
from data_contracts.eligibility import is_eligible
from data_contracts.neighbour_settings import BY_CHANCE, DPR, ORACLE, ORACLE_ALL, OWN, WITHOUT
from data_contracts.tokens import list_rows

SETTINGS = {
    OWN: "the first K of the ranking, K as in training: the headline",
    WITHOUT: "no neighbours",
    "training_length": (
        "like own, from no further back than a training sequence is long; of BM25 what was mined there"
    ),
    "first_1": "the first neighbour of the ranking",
    "first_2": "the first 2",
    "first_3": "the first 3",
    "first_4": "the first 4",
    "second": "the second neighbour alone",
    ORACLE: "the K scored candidates of highest positive s_t",
    ORACLE_ALL: (
        "the K eligible chunks of highest positive s_t, for the queries of the exhaustive sample; own for all"
        " others"
    ),
    BY_CHANCE: "K passages drawn by chance from the database, of systems that read a whole corpus",
    DPR: "the first K of the ranking of a DPR-style retriever, which then stands in `ranking` and `scores`",
}
"""How the neighbours of a row were chosen. `own` is there for every system, the others for those that read
neighbours.

Systems that read a whole corpus name no chunks of the document: what they read stands in `corpus_neighbours`.
"""

RANKING_LENGTH = 20
BASELINE = "transformer_xl"
"""The system that gains are over."""
BM25_READERS = ("retro", "retro_q")
"""The systems whose ranking is BM25's."""


def _check_evaluations(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    loss = table.column("loss").to_numpy()
    if not np.isfinite(loss).all() or (loss < 0).any():
        yield "losses must be finite and not negative"
    if pc.any(pc.less(table.column("tokens"), 1)).as_py():
        yield "a row without a counted token"
    if unknown := set(pc.unique(table.column("setting")).to_pylist()) - set(SETTINGS):
        yield f"unknown settings {sorted(unknown)}, known are {sorted(SETTINGS)}"
    for longer, shorter in (("tokens", "token_losses"), ("ranking", "scores"), ("retrieved", "gates")):
        counts = table.column(longer) if longer == "tokens" else pc.list_value_length(table.column(longer))
        if pc.any(pc.not_equal(counts, pc.list_value_length(table.column(shorter)))).as_py():
            yield f"`{shorter}` must hold one value for each of `{longer}`"
    if np.abs(_sums(table.column("token_losses")) - loss).max() > 1e-3 * max(1.0, loss.max()):
        yield "`loss` is not the sum of `token_losses`"
    chunk = table.column("chunk").to_numpy()
    for name in ("retrieved", "ranking"):
        lists = list_rows(table.column(name))
        query = np.repeat(chunk, [len(row) for row in lists])
        if not is_eligible(query, np.concatenate(lists), fact(table, "stride_chunks")).all():
            yield f"`{name}` holds a chunk that its query could see"


def _sums(lists: pa.ChunkedArray) -> np.ndarray:
    rows = list_rows(lists)
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return np.bincount(owner, np.concatenate(rows), minlength=len(rows))


EVALUATIONS = Contract(
    "evaluations",
    2,
    pa.schema(
        [
            field("system", pa.string(), "name of the system"),
            field("setting", pa.string(), "how the neighbours were chosen, see SETTINGS"),
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
            field(
                "retrieved",
                pa.list_(pa.int32()),
                "chunks whose states the model read for chunk i, in the order it read them",
            ),
            field(
                "ranking",
                pa.list_(pa.int32()),
                f"the best {RANKING_LENGTH} eligible chunks by the system's retriever, best first",
            ),
            field(
                "scores",
                pa.list_(pa.float32()),
                "the retriever's score of each of `ranking`; 0 where it has none",
            ),
            field("gates", pa.list_(pa.float32()), "how much each of `retrieved` counted, 0.1 to 1"),
        ]
    ),
    ("doc_id", "setting", "chunk"),
    _check_evaluations,
    facts=("stride_chunks",),
)
