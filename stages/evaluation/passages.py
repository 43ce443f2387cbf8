"""The passages of a whole corpus that held-out documents read, in the form in which a document reader takes
neighbours.

A document knows its passages by numbers of its own: 0, 1, ... in the order of the rows of corpus_neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.evaluations import RANKING_LENGTH
from data_contracts.passages import CORPUS_NEIGHBOURS, NEAREST, RANDOM
from data_contracts.tokens import list_rows
from stages.evaluation.rankings import Rankings
from stages.parameters import Geometry
from stages.training.passages import PassageSource, check_count


class DocumentPassages(NamedTuple):
    """Tokens [P, R] of all passages of a document, rankings by their numbers, and those drawn by chance for
    each query chunk.
    """

    tokens_PR: np.ndarray
    rankings: Rankings
    by_chance: dict[int, list[int]]


class CorpusPassages:
    """What `source` says that documents of a split read.

    Raises:
        Failure: (exit code 2) if a chunk reads more passages than were found; (3) if there are none.
    """

    def __init__(self, source: PassageSource, split: str, geometry: Geometry) -> None:
        self._artifact, self._source, self._split = (
            open_artifact(CORPUS_NEIGHBOURS, source.directory),
            source,
            split,
        )
        self._size, found = geometry.chunk_tokens, self._artifact.fact("counts")[split]
        check_count(source, found[source.origin], "evaluation_neighbours")
        check_count(source._replace(origin=RANDOM), found[RANDOM], "random")

    def of_shard(self, shard: str, documents: Mapping[str, np.ndarray]) -> dict[str, DocumentPassages]:
        """doc_id -> what it reads, for documents of a shard of which these tokens are read."""
        rows = self._artifact.read(shard)
        rows = rows.filter(pc.equal(rows.column("split"), self._split))
        query, rank, distance = (rows.column(name).to_numpy() for name in ("query_chunk", "rank", "distance"))
        origin, tokens = rows.column("origin").to_numpy(), list_rows(rows.column("token_ids"))
        found = {doc_id: self._nothing(ids) for doc_id, ids in documents.items()}
        for doc_id, begin, end in document_runs(rows.column("doc_id")):
            if doc_id in documents:
                rankings, place = self._nothing(documents[doc_id]).rankings, np.arange(begin, end)
                place = place[query[place] < len(rankings.best.ids_CR)]
                own = place[(origin[place] == self._source.origin) & (rank[place] < RANKING_LENGTH)]
                for ranking in rankings:
                    ranking.ids_CR[query[own], rank[own]] = own - begin
                    ranking.scores_CR[query[own], rank[own]] = (
                        -distance[own] if self._source.origin == NEAREST else 0
                    )
                drawn: dict[int, list[int]] = {}
                for row in place[
                    (origin[place] == RANDOM) & (rank[place] < self._source.neighbours)
                ].tolist():
                    drawn.setdefault(int(query[row]), []).append(row - begin)
                found[doc_id] = DocumentPassages(np.stack(tokens[begin:end]), rankings, drawn)
        return found

    def _nothing(self, ids: np.ndarray) -> DocumentPassages:
        """What a document without a whole chunk reads."""
        return DocumentPassages(
            np.empty((0, 2 * self._size), np.int32), Rankings.empty(-(-len(ids) // self._size)), {}
        )
