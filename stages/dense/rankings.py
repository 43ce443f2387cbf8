"""Rankings by a dense retriever: every eligible chunk of a document, by the inner product of its vector with
the query chunk's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from data_contracts.evaluations import RANKING_LENGTH
from model.parameters import Parameters
from model.parameters_io import load_parameters
from model.retrieval_index import RetrievalIndex
from stages.dense.encoders import read_encoders
from stages.evaluation.rankings import Ranking, Rankings

Encode = Callable[[Parameters, np.ndarray], jax.Array]
ROWS = 256


class DenseRanker:
    """A trained dense retriever for a corpus whose tokenizer lies in `corpus`; its two compiled encoders
    serve every document.

    `cut` counts chunks that were too long for the encoders. `reach` is how many chunks before its query the
    near ranking may look; `index` is that of the memory.
    """

    def __init__(self, directory: Path, corpus: Path, reach: int, index: str, scratch: Path) -> None:
        self.sizes, architecture, self._inputs, _ = read_encoders(directory, corpus)
        self.reach, self.index, self.scratch, self.cut = reach, index, scratch, 0
        self._parameters = load_parameters(
            directory / "model.safetensors", "the dense retriever", architecture.parameter_sizes()
        )
        self._query: Encode = jax.jit(
            lambda parameters, tokens_XM: architecture.model(parameters).query(tokens_XM)
        )
        self._passage: Encode = jax.jit(
            lambda parameters, tokens_XM: architecture.model(parameters).passage(tokens_XM)
        )

    def __call__(self, tokens_T: np.ndarray) -> Rankings:
        """The rankings of a document's whole chunks; scores are divided by the root of the width, as the
        memory does.
        """
        size, stride = self.sizes.chunk_tokens, self.sizes.stride_chunks
        chunks_CM = tokens_T[: len(tokens_T) // size * size].reshape(-1, size).astype(np.int32)
        inputs_CT, cut = self._inputs(chunks_CM)
        self.cut += cut
        queries_CD, keys_CD = (self._encoded(encode, inputs_CT) for encode in (self._query, self._passage))
        memory, rankings = (
            RetrievalIndex(self.sizes, 0, self.scratch, self.index),
            Rankings.empty(len(chunks_CM)),
        )
        no_states = np.empty((0, size, self.sizes.width), np.float32)
        for first in range(0, len(chunks_CM), stride):
            memory.add(keys_CD[first : first + stride], no_states)
            queries = queries_CD[first : first + stride]
            best = memory.search(first, queries, RANKING_LENGTH)
            near = memory.search_within(first, queries, RANKING_LENGTH, self.reach)
            rankings.put(first, Rankings(Ranking(*best), Ranking(*near)))
        return rankings

    def _encoded(self, encode: Encode, inputs_CT: np.ndarray) -> np.ndarray:
        """[C, D] the vector of each chunk, computed in blocks of one size, so that one compilation serves
        them all.
        """
        blocks = max(1, -(-len(inputs_CT) // ROWS))
        padded = np.zeros((blocks * ROWS, inputs_CT.shape[1]), np.int32)
        padded[: len(inputs_CT)] = inputs_CT
        encoded = [np.asarray(encode(self._parameters, block_XM)) for block_XM in np.split(padded, blocks)]
        return np.concatenate(encoded)[: len(inputs_CT)]
