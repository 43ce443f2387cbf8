"""One document with its texts, what every run in every setting lost on each of its chunks, and what could
have been retrieved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import polars as pl

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Artifact, Contract, read_documents
from data_contracts.evaluations import EVALUATIONS, RANKING_LENGTH
from data_contracts.tokens import CHUNKS
from reports.explorer.run import Reading, Run

ROWS = ["setting", "chunk", "loss", "tokens"]


@dataclass(frozen=True)
class EvaluatedDocument:
    """A document that some run was evaluated on, as in a row of `Library.documents`."""

    doc_id: str
    key: str
    source: str
    split: str
    shard: str

    @property
    def name(self) -> str:
        """Its source, or the id of one without."""
        return self.source or self.doc_id


FACTS = [field.name for field in fields(EvaluatedDocument)]


class Document:
    """A document of a corpus.

    Attributes:
        facts: which it is.
        texts, token_ids: of its chunks.
        losses: nats of the target of each chunk (chunk i + 1) in every reading, float64 [C], nan where it was
            not evaluated.
        tokens: how many tokens of the target were counted, int64 [C].
    """

    def __init__(
        self,
        facts: EvaluatedDocument,
        runs: Sequence[Run],
        chunks: Artifact,
        candidates: Artifact | None,
        labels: Artifact | None,
    ):
        self.facts = facts
        self._candidates, self._labels = candidates, labels
        rows = self._read(CHUNKS, chunks, ["chunk", "token_ids", "text"])
        self.texts, self.token_ids = rows["text"], rows["token_ids"]
        self.losses: dict[Reading, np.ndarray] = {}
        self.tokens: dict[Reading, np.ndarray] = {}
        for run in runs:
            for (setting,), found in (
                run.rows(facts.doc_id, ROWS).filter(pl.col("chunk") >= 0).group_by("setting")
            ):
                self._note(Reading(run.name, str(setting)), found)

    def _note(self, reading: Reading, rows: pl.DataFrame) -> None:
        loss, tokens = np.full(len(self.texts), np.nan), np.zeros(len(self.texts), np.int64)
        at = rows["chunk"].to_numpy()
        longest = self.token_ids.list.len().to_numpy()
        if at.max() + 1 >= len(longest) or (rows["tokens"].to_numpy() > longest[at + 1]).any():
            reason = f"document {self.facts.doc_id!r} was cut into other chunks since"
            raise EVALUATIONS.violated(f"the evaluation of {reading.run!r}", reason)
        loss[at], tokens[at] = rows["loss"].to_numpy(), rows["tokens"].to_numpy()
        self.losses[reading], self.tokens[reading] = loss, tokens

    def gain(self, show: Reading, against: Reading) -> np.ndarray:
        """Nats by which `show` loses less than `against` on the target of each chunk [C]; nan where they did
        not count the same tokens.
        """
        nothing = np.full(len(self.texts), np.nan)
        if show not in self.losses or against not in self.losses:
            return nothing
        return np.where(
            self.tokens[show] == self.tokens[against], self.losses[against] - self.losses[show], nothing
        )

    @cached_property
    def bm25(self) -> pl.DataFrame:
        """What BM25 finds for a chunk alone, as RETRO does at test: query_chunk, candidate_chunk, rank, bm25;
        empty without candidates.

        Raises:
            Failure: (exit code 3) if they cannot be read.
        """
        kept = (pl.col("query_form") == "q") & (pl.col("rank") < RANKING_LENGTH)
        columns = ["query_chunk", "candidate_chunk", "rank", "bm25"]
        return self._with_continuation(
            self._read(CANDIDATES, self._candidates, columns, lambda rows: rows.filter(kept))
        )

    @cached_property
    def scores(self) -> pl.DataFrame:
        """What the reference LM says: query_chunk, candidate_chunk, target_score (s_t, nats); empty without
        labels. Raises like `bm25`.
        """
        return self._with_continuation(
            self._read(LABELS, self._labels, ["query_chunk", "candidate_chunk", "target_score"])
        )

    def _with_continuation(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those rows whose candidate and the chunk after it are there: a document may have been cut into
        fewer chunks since.
        """
        return rows.filter(pl.col("candidate_chunk") + 1 < len(self.texts))

    def _read(
        self,
        contract: Contract,
        artifact: Artifact | None,
        columns: list[str],
        kept: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows,
    ) -> pl.DataFrame:
        """Columns of its rows in the shard of its name; every stage keeps the documents of a shard
        together.
        """
        doc_id, shard = self.facts.doc_id, self.facts.shard
        nothing = pl.DataFrame(pl.from_arrow(contract.schema.empty_table())).select(columns)
        if artifact is None or shard not in artifact.shards:
            return nothing
        blocks = read_documents(contract, artifact.directory / shard, [doc_id])
        frames = [
            kept(pl.DataFrame(pl.from_arrow(block)).filter(pl.col("doc_id") == doc_id)).select(columns)
            for block in blocks
        ]
        return pl.concat([nothing, *frames])
