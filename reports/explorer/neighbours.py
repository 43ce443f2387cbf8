"""What could be retrieved for a chunk: what systems, BM25 and the oracle took, and how settings with and
without each neighbour differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from data_contracts.evaluations import ORACLE, OWN, WITHOUT
from reports.explorer.document import Document
from reports.explorer.run import ChunkResult, Reading, Results

BM25_SHOWN = 5
USUAL = 2  # neighbours a chunk, where no system says how many it reads
LAST = 10**6
NOTHING = ChunkResult(0.0, 0, [], 0, [], [], [], [])


@dataclass(frozen=True)
class Neighbour:
    """An earlier chunk that somebody could take.

    Attributes:
        chunk: j; taken: who takes it: runs by name, `BM25`, `oracle`.
        place: its place from 0 in the order the shown run read it; gate: how much it counted there.
        rank: its place from 0 in that run's ranking; score: what its retriever gave it.
        bm25_rank, bm25: what BM25 says of the chunk alone; s_t: what the reference LM says, nats.
        alone: loss in the setting without neighbours minus that in one that reads this one alone here, nats;
            left_out: loss in a setting that reads the others here minus that in `own`. Earlier chunks read
            other neighbours in those settings too. All None where not known.
    """

    chunk: int
    taken: tuple[str, ...]
    place: int | None
    gate: float | None
    rank: int | None
    score: float | None
    bm25_rank: int | None
    bm25: float | None
    s_t: float | None
    alone: float | None
    left_out: float | None


def neighbours(document: Document, chunk: int, rows: Results, run: str, by: str) -> list[Neighbour]:
    """All neighbours worth a row for the run that is shown, in the order of `by`, a key of `ORDERS`.

    Raises:
        Failure: (exit code 3) if candidates or labels cannot be read.
    """
    own = rows.get(Reading(run), NOTHING)
    readers = {reading.run: row.retrieved for reading, row in rows.items() if reading.setting == OWN}
    count = max(map(len, readers.values()), default=0) or USUAL
    bm25 = _of_query(document.bm25, chunk).sort("rank")
    found = {
        j: (rank, score) for j, rank, score in bm25.select("candidate_chunk", "rank", "bm25").iter_rows()
    }
    scores = dict(_of_query(document.scores, chunk).select("candidate_chunk", "target_score").iter_rows())
    takers = {**readers, "BM25": list(found)[:count], ORACLE: _oracle(rows, run) if scores else []}
    worth = {setting.setting: row for setting, row in rows.items() if setting.run == run}
    shown = {*own.ranking, *list(found)[:BM25_SHOWN], *(j for taken in takers.values() for j in taken)}
    made = [
        Neighbour(
            j,
            tuple(name for name, taken in takers.items() if j in taken),
            _place(own.retrieved, j),
            dict(zip(own.retrieved, own.gates, strict=True)).get(j),
            _place(own.ranking, j),
            dict(zip(own.ranking, own.scores, strict=True)).get(j),
            *found.get(j, (None, None)),
            scores.get(j),
            _alone(worth, j),
            _left_out(worth, j),
        )
        for j in sorted(shown)
    ]
    return ordered(made, by)


def ordered(found: Iterable[Neighbour], by: str) -> list[Neighbour]:
    """Neighbours in the order of `by`; those without the figure come last."""

    def key(one: Neighbour) -> tuple:
        placed = tuple(LAST if value is None else value for value in (one.place, one.rank, one.bm25_rank))
        if by == "bm25":
            return (placed[2], *placed)
        return (-one.s_t if one.s_t is not None else LAST, *placed) if by == "s_t" else placed

    return sorted(found, key=key)


def _of_query(frame: pl.DataFrame, chunk: int) -> pl.DataFrame:
    return frame.filter(pl.col("query_chunk") == chunk)


def _oracle(rows: Results, run: str) -> Sequence[int]:
    """What an oracle read, that of the shown run if it has one; of a chunk without labels that is what the
    run itself reads.
    """
    read = {reading.run: row.retrieved for reading, row in rows.items() if reading.setting == ORACLE}
    return read[run] if run in read else next(iter(read.values()), [])


def _place(chunks: Sequence[int], j: int) -> int | None:
    return chunks.index(j) if j in chunks else None


def _alone(worth: Mapping[str, ChunkResult], j: int) -> float | None:
    """Loss in the setting without neighbours minus that in one that reads this one alone here; the oracle's
    is none of them.
    """
    with_it = [row.loss for setting, row in worth.items() if setting != ORACLE and row.retrieved == [j]]
    return worth[WITHOUT].loss - with_it[0] if with_it and WITHOUT in worth else None


def _left_out(worth: Mapping[str, ChunkResult], j: int) -> float | None:
    """Loss in a setting that reads the others of those read here minus the loss with all of them; the
    oracle's is none of them.
    """
    read = worth.get(OWN, NOTHING).retrieved
    others = [one for one in read if one != j]
    if j not in read:
        return None
    without_it = [row.loss for setting, row in worth.items() if setting != ORACLE and row.retrieved == others]
    return without_it[0] - worth[OWN].loss if without_it else None
