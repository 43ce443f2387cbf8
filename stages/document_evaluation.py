"""One document of an evaluation: read stride by stride in every setting, with neighbours chosen as the strides come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH
from model.fused_decoder import FusedDecoder
from model.language_model import LanguageModel
from model.memory import Memory
from model.rolling import Reader
from stages.rankings import Ranking, Rankings
from stages.settings import NEAR, computed, neighbours_of, ranking_of, slots_needed

OracleChoice = dict[int, list[int]]
"""Query chunk -> at most K chunks that it reads in the setting of an oracle; a query that is not in it reads what it reads as `own`."""


class DocumentReading(NamedTuple):
    """A document as it was read: losses of tokens 1, 2, ... and, by chunk, gates and neighbours of each setting, and the rankings.

    `recall` is that of an approximate index, None for an exact one.
    """

    losses: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    neighbours: dict[str, np.ndarray]
    rankings: Rankings
    recall: float | None


class DocumentReader:
    """Reads documents with one model in some settings, K neighbours as in training; its compiled steps serve every document.

    `reach` is how many chunks before its query the setting `training_length` may look; `index` is that of the memory.
    """

    def __init__(self, model: LanguageModel, settings: tuple[str, ...], neighbours: int, reach: int, index: str, scratch: Path) -> None:
        self.shape, self.settings, self.neighbours = model.shape, settings, neighbours
        self.reach, self.index, self.scratch = reach, index, scratch
        self.row_of, self.has_neighbours = computed(settings, neighbours), isinstance(model, FusedDecoder)
        self.slots, distinct = slots_needed(settings, neighbours) if self.has_neighbours else (0, 0)
        self._reader = Reader(model, len({*self.row_of.values()}), self.slots, distinct)

    def read(
        self,
        tokens: np.ndarray,
        given: Rankings | None = None,
        oracles: dict[str, OracleChoice] | None = None,
        dtype: DTypeLike | None = None,
    ) -> DocumentReading:
        """Read a document; `given` are the rankings of a system without a retriever, `oracles` what the settings of those names read.

        `dtype` is that of the memory's states, half precision if it is not given.
        """
        chunks, stride = -(-len(tokens) // self.shape.chunk_tokens), self.shape.stride_chunks
        memory = Memory(self.shape, chunks if self.has_neighbours else 0, self.scratch, self.index, dtype)
        rankings = Rankings.empty(-(-chunks // stride) * stride)
        if given is not None:
            rankings.put(0, given)
        neighbours_SCN = np.full((len({*self.row_of.values()}), len(rankings.best.ids_CR), self.slots), -1, np.int32)

        def choose(first: int, queries_CD: np.ndarray | None) -> np.ndarray:
            strides = slice(first, first + stride)
            if queries_CD is not None:
                rankings.put(first, self._search(memory, first, queries_CD))
            for setting, row in self.row_of.items():
                neighbours_SCN[row, strides] = neighbours_of(setting, rankings.rows(strides), self.neighbours, self.slots)
            for setting, known in (oracles or {}).items():
                for query in set(range(first, first + stride)) & known.keys():
                    neighbours_SCN[self.row_of[setting], query] = -1
                    neighbours_SCN[self.row_of[setting], query, : len(known[query])] = known[query]
            return neighbours_SCN[:, strides]

        losses_ST, gates_SCN = self._reader.read(tokens, memory, choose)
        losses, gates, neighbours = (
            {setting: values[row] for setting, row in self.row_of.items()} for values in (losses_ST, gates_SCN, neighbours_SCN)
        )
        return DocumentReading(losses, gates, neighbours, rankings, memory.recall)

    def _search(self, memory: Memory, first: int, queries_CD: np.ndarray) -> Rankings:
        best = Ranking(*memory.search(first, queries_CD, RANKING_LENGTH))
        near = memory.search_within(first, queries_CD, RANKING_LENGTH, self.reach) if NEAR in self.settings else best
        return Rankings(best, Ranking(*near))

    def rows(self, reading: DocumentReading, tokens: np.ndarray, bytes_V: np.ndarray) -> dict[str, list]:
        """Columns of EVALUATIONS for a document: the loss of chunk i + 1 stands beside what was retrieved for chunk i."""
        columns: dict[str, list] = {}
        for setting in self.settings:
            rows = losses_by_chunk(reading.losses[setting], tokens, bytes_V, self.shape.chunk_tokens)
            ranking, neighbours_CN, queries = ranking_of(setting, reading.rankings), reading.neighbours[setting], rows["chunk"]
            reach = self.reach if setting == NEAR else len(queries)
            rows |= {
                "setting": [setting] * len(queries),
                "eligible": [eligible(query, self.shape.stride_chunks, reach) for query in queries],
                "retrieved": _named(queries, neighbours_CN, neighbours_CN),
                "gates": _named(queries, neighbours_CN, reading.gates[setting]),
                "ranking": _named(queries, ranking.ids_CR, ranking.ids_CR),
                "scores": _named(queries, ranking.ids_CR, ranking.scores_CR),
            }
            for name, values in rows.items():
                columns.setdefault(name, []).extend(values)
        return columns


def losses_by_chunk(losses_T: np.ndarray, tokens: np.ndarray, bytes_V: np.ndarray, chunk_tokens: int) -> dict[str, list]:
    """The losses of tokens 1, 2, ... of a document by the chunk they stand in, each row numbered by the chunk before it."""
    begins = np.maximum(np.arange(0, len(tokens), chunk_tokens) - 1, 0)
    parts = np.split(losses_T, begins[1:])
    return {
        "chunk": list(range(-1, len(parts) - 1)),
        "loss": [float(part.sum(dtype=np.float64)) for part in parts],
        "tokens": [len(part) for part in parts],
        "bytes": np.add.reduceat(bytes_V[tokens[1:]], begins, dtype=np.int32).tolist(),
        "token_losses": parts,
    }


def eligible(query: int, stride_chunks: int, reach: int) -> int:
    """How many of the last `reach` chunks before the query may be retrieved for it."""
    return max(0, int(last_eligible(query, stride_chunks)) + 1 - max(0, query - reach)) if query >= 0 else 0


def _named(queries: list[int], ids_CN: np.ndarray, values_CN: np.ndarray) -> list[np.ndarray]:
    """The values of each query's slots that hold a chunk; none for query -1."""
    return [values_CN[query][ids_CN[query] >= 0] if query >= 0 else values_CN[:0].ravel() for query in queries]
