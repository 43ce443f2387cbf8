"""The documents of an evaluation: read stride by stride in every setting, with neighbours chosen as the
strides come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH
from model.baselines.retro_corpus import RetroCorpus
from model.fused_decoder import FusedDecoder
from model.language_model import LanguageModel
from model.passages import Passages
from model.retrieval_index import RetrievalIndex
from model.streaming import Document, Reading, StreamingReader
from stages.evaluation.rankings import Ranking, Rankings
from stages.evaluation.settings import NEAR, computed, neighbours_of, ranking_of, slots_needed

OracleChoice = dict[int, list[int]]
"""Query chunk -> at most K chunks that it reads in the setting of an oracle; a query that is not in it reads
what it reads as `own`.
"""


class Request(NamedTuple):
    """A document to be read: its name, its tokens, rankings that take the place of the system's own, and what
    the settings of those names read in place of their own; of a system that reads a whole corpus, the
    passages that the rankings number.
    """

    doc_id: str
    tokens: np.ndarray
    given: Rankings | None = None
    oracles: dict[str, OracleChoice] = {}  # noqa: RUF012 - never written
    passages_PR: np.ndarray | None = None


class DocumentReading(NamedTuple):
    """A document as it was read: losses of tokens 1, 2, ... and, by chunk, gates and neighbours of each
    setting, and the rankings.

    `recall` is that of an approximate index, None for an exact one.
    """

    doc_id: str
    losses: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    neighbours: dict[str, np.ndarray]
    rankings: Rankings
    recall: float | None


class DocumentReader:
    """Reads documents with one model in some settings, K neighbours as in training; its compiled steps serve
    every document.

    `reach` is how many chunks before its query the setting `training_length` may look; `index` and `dtype`
    are those of the memory, its states in half precision if no `dtype` is given; so many `rows` of documents
    are read side by side.
    """

    def __init__(
        self,
        model: LanguageModel,
        settings: tuple[str, ...],
        neighbours: int,
        reach: int,
        index: str,
        scratch: Path,
        rows: int = 1,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.config, self.settings, self.neighbours = model.config, settings, neighbours
        self.reach, self.index, self.scratch, self.dtype = reach, index, scratch, dtype
        self.row_of, self.reads_corpus = computed(settings, neighbours), isinstance(model, RetroCorpus)
        self.has_neighbours = self.reads_corpus or isinstance(model, FusedDecoder)
        self.slots, distinct = slots_needed(settings, neighbours) if self.has_neighbours else (0, 0)
        self._reader = StreamingReader(model, len({*self.row_of.values()}), self.slots, distinct, rows)

    def read(self, requests: Iterable[Request]) -> Iterator[DocumentReading]:
        """Read documents, each given back when it ends: with several rows that need not be their order."""
        begun: dict[int, _Choices] = {}

        def documents() -> Iterator[Document]:
            for number, request in enumerate(requests):
                begun[number] = _Choices(self, request)
                yield Document(request.tokens, begun[number].memory, begun[number].choose)

        for number, reading in self._reader.read(documents()):
            yield begun.pop(number).reading(reading)

    def rows(self, reading: DocumentReading, bytes_T: np.ndarray) -> dict[str, list]:
        """Columns of EVALUATIONS for a document, whose tokens stand for `bytes_T` bytes of text.

        The loss of chunk i + 1 stands beside what was retrieved for chunk i.
        """
        columns: dict[str, list] = {}
        for setting in self.settings:
            rows = losses_by_chunk(reading.losses[setting], bytes_T, self.config.chunk_tokens)
            ranking, neighbours_CN, queries = (
                ranking_of(setting, reading.rankings),
                reading.neighbours[setting],
                rows["chunk"],
            )
            if self.reads_corpus:  # its passages are no chunks of the document; corpus_neighbours has them
                ranking, neighbours_CN = Ranking.empty(len(queries)), np.full_like(neighbours_CN, -1)
            reach = self.reach if setting == NEAR else len(queries)
            rows |= {
                "setting": [setting] * len(queries),
                "eligible": [eligible(query, self.config.stride_chunks, reach) for query in queries],
                "retrieved": _named(queries, neighbours_CN, neighbours_CN),
                "gates": _named(queries, neighbours_CN, reading.gates[setting]),
                "ranking": _named(queries, ranking.ids_CR, ranking.ids_CR),
                "scores": _named(queries, ranking.ids_CR, ranking.scores_CR),
            }
            for name, values in rows.items():
                columns.setdefault(name, []).extend(values)
        return columns


class _Choices:
    """Which neighbours a document that is being read was given so far, in every setting."""

    def __init__(self, reader: DocumentReader, request: Request) -> None:
        chunks, stride = -(-len(request.tokens) // reader.config.chunk_tokens), reader.config.stride_chunks
        self._reader, self._request = reader, request
        self.memory = (
            RetrievalIndex(
                reader.config,
                chunks if reader.has_neighbours else 0,
                reader.scratch,
                reader.index,
                reader.dtype,
            )
            if request.passages_PR is None
            else Passages(request.passages_PR)
        )
        self._rankings = Rankings.empty(-(-chunks // stride) * stride)
        if request.given is not None:
            self._rankings.put(0, request.given)
        sizes = len({*reader.row_of.values()}), len(self._rankings.best.ids_CR), reader.slots
        self._neighbours_SCN = np.full(sizes, -1, np.int32)

    def choose(self, first: int, queries_CD: np.ndarray | None) -> np.ndarray:
        """[S, C, N] neighbours of the stride that begins with chunk `first`."""
        reader, strides = self._reader, slice(first, first + self._reader.config.stride_chunks)
        if queries_CD is not None and self._request.given is None:
            self._rankings.put(first, self._search(first, queries_CD))
        for setting, row in reader.row_of.items():
            self._neighbours_SCN[row, strides] = neighbours_of(
                setting, self._rankings.rows(strides), reader.neighbours, reader.slots
            )
        for setting, known in self._request.oracles.items():
            row = reader.row_of[setting]
            for query in set(range(first, strides.stop)) & known.keys():
                self._neighbours_SCN[row, query] = -1
                self._neighbours_SCN[row, query, : len(known[query])] = known[query]
        return self._neighbours_SCN[:, strides]

    def reading(self, reading: Reading) -> DocumentReading:
        """What was read, by setting."""
        arrays = (reading.losses_ST, reading.gates_SCN, self._neighbours_SCN)
        losses, gates, neighbours = (
            {setting: values[row] for setting, row in self._reader.row_of.items()} for values in arrays
        )
        return DocumentReading(
            self._request.doc_id, losses, gates, neighbours, self._rankings, self.memory.recall
        )

    def _search(self, first: int, queries_CD: np.ndarray) -> Rankings:
        assert isinstance(self.memory, RetrievalIndex)
        best = Ranking(*self.memory.search(first, queries_CD, RANKING_LENGTH))
        if NEAR not in self._reader.settings:
            return Rankings(best, best)
        return Rankings(
            best, Ranking(*self.memory.search_within(first, queries_CD, RANKING_LENGTH, self._reader.reach))
        )


def losses_by_chunk(losses_T: np.ndarray, bytes_T: np.ndarray, chunk_tokens: int) -> dict[str, list]:
    """The losses and bytes of tokens 1, 2, ... of a document by the chunk they stand in, each row numbered by
    the chunk before it.
    """
    begins = np.maximum(np.arange(0, len(bytes_T), chunk_tokens) - 1, 0)
    parts = np.split(losses_T, begins[1:])
    return {
        "chunk": list(range(-1, len(parts) - 1)),
        "loss": [float(part.sum(dtype=np.float64)) for part in parts],
        "tokens": [len(part) for part in parts],
        "bytes": np.add.reduceat(bytes_T[1:], begins, dtype=np.int32).tolist(),
        "token_losses": parts,
    }


def eligible(query: int, stride_chunks: int, reach: int) -> int:
    """How many of the last `reach` chunks before the query may be retrieved for it."""
    return max(0, int(last_eligible(query, stride_chunks)) + 1 - max(0, query - reach)) if query >= 0 else 0


def _named(queries: list[int], ids_CN: np.ndarray, values_CN: np.ndarray) -> list[np.ndarray]:
    """The values of each query's slots that hold a chunk; none for query -1."""
    return [
        values_CN[query][ids_CN[query] >= 0] if query >= 0 else values_CN[:0].ravel() for query in queries
    ]
