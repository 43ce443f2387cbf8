"""Scores with the decoders in JAX, on CPU, GPU or TPU: each distinct prefix is computed once, and no shape
ever changes.

Where lengths vary there are a few shapes, see jax_pieces.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.causal_lm import KeysValues, Params
from model.decoder_config import DecoderConfig, read_config
from model.decoders import load, prefix_keys_values, suffix_logprobs
from stages.engines import jax_pieces
from stages.engines.scoring_lm import (
    Pieces,
    Progress,
    candidate_major,
    check_pairs,
    check_pieces,
    identity_of,
)

# On a CPU 8 to 32 pairs a step cost the same; an accelerator is expected to want some 16k tokens a step (not
# measured).
BATCH_PAIRS = {"cpu": 16, "gpu": 128, "tpu": 128}
CHUNK_TOKENS = 64
IN_FLIGHT = 4
Batch = tuple[int, int, jax.Array]  # first and last + 1 of the sorted pairs, their sums with padding


class JaxScoringLM:
    """A model directory as a `ScoringLM`; weights are loaded once, with the first pair.

    On one machine's CPU a pair's scores have the same bits whatever is scored beside it: shapes are static,
    padding repeats rows, and every sum has a fixed order. Between processors, and on GPUs and TPUs, the last
    bits may differ; there the ledger's first row stands.

    Args:
        directory: config.json, model.safetensors and tokenizer.json.
        batch_pairs: pairs a step; by default 16 on a CPU, 128 elsewhere. It changes speed and, in the last
            bits, scores.
        window_prefixes: prefixes whose keys and values are held at once.
        dtype: float32, bfloat16 or float16, of weights and activations.

    Raises:
        FileNotFoundError, ValueError: if the directory is incomplete or not supported (see
        model/decoder_config.py).
    """

    def __init__(
        self,
        directory: Path,
        batch_pairs: int | None = None,
        window_prefixes: int = 64,
        dtype: str = "float32",
    ):
        self.batch_pairs = batch_pairs or BATCH_PAIRS[jax.default_backend()]
        self.window_prefixes = window_prefixes
        self.config = read_config(directory)
        shape = {"batch": f"{self.batch_pairs} pairs, {window_prefixes} prefixes"}
        self._identity = identity_of(directory, "jax", jax.__version__, jax.default_backend(), dtype) | shape
        self._directory, self._dtype = directory, dtype

    @cached_property
    def params(self) -> Params:
        """The weights.

        Raises:
            ValueError: if they are not what config.json describes.
        """
        return load(self._directory, self._dtype)[1]

    def identity(self) -> dict[str, str]:
        """See `ScoringLM.identity`."""
        return dict(self._identity)

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """See `ScoringLM.score`."""
        check_pairs(self.config, prefixes_PT, suffixes_ST, pairs_n2)
        order = candidate_major(pairs_n2)
        scores_n2 = np.empty((len(pairs_n2), 2), np.float32)
        # Float32 means float32: TPUs and recent GPUs otherwise multiply with fewer bits.
        with jax.default_matmul_precision("highest"):
            for start, stop, sums in _held_back(
                self._dispatch(prefixes_PT, suffixes_ST, pairs_n2[order]), IN_FLIGHT
            ):
                scores_n2[order[start:stop]] = np.asarray(sums)[: stop - start]
                if progress:
                    progress(stop, len(pairs_n2))
        return scores_n2

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """See `ScoringLM.score_pieces`; a step has as many tokens as one of `score` with chunks of 64."""
        check_pieces(self.config, pieces, self.config.longest_prompt)
        scores_n2, done = np.empty((len(pieces.pairs_n2), 2), np.float32), 0
        sizes = jax_pieces.StepSizes(self.window_prefixes * 2 * CHUNK_TOKENS, self.batch_pairs * CHUNK_TOKENS)
        with jax.default_matmul_precision("highest"):
            for at, sums in _held_back(
                jax_pieces.dispatch(self.params, self.config, pieces, sizes), IN_FLIGHT
            ):
                scores_n2[at] = np.asarray(sums)[: len(at)]
                done += len(at)
                if progress:
                    progress(done, len(scores_n2))
        return scores_n2

    def _dispatch(
        self, prefixes_PT: np.ndarray, suffixes_ST: np.ndarray, pairs_n2: np.ndarray
    ) -> Iterator[Batch]:
        """Starts one batch after another of pairs sorted by prefix; a batch never crosses a window of
        prefixes.
        """
        used, rank_n = np.unique(pairs_n2[:, 0], return_inverse=True)
        for first in range(0, len(used), self.window_prefixes):
            window = used[first : first + self.window_prefixes]
            kv = _compiled_prefixes(
                self.params, self.config, _padded(prefixes_PT[window], self.window_prefixes)
            )
            low, high = np.searchsorted(rank_n, [first, first + len(window)])
            for start in range(low, high, self.batch_pairs):
                stop = min(start + self.batch_pairs, high)
                rows = _padded(rank_n[start:stop] - first, self.batch_pairs)
                suffixes = _padded(suffixes_ST[pairs_n2[start:stop, 1]], self.batch_pairs)
                yield start, stop, _compiled_half_sums(self.params, self.config, kv, rows, suffixes)


def _held_back(batches: Iterator[Any], count: int) -> Iterator[Any]:
    """The same batches, each `count` later: the device stays busy while the host fetches, and what waits is
    bounded.
    """
    waiting: deque[Any] = deque()
    for batch in batches:
        waiting.append(batch)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


_compiled_prefixes = jax.jit(prefix_keys_values, static_argnums=1)


@partial(jax.jit, static_argnums=1)
def _compiled_half_sums(
    params: Params, config: DecoderConfig, kv: KeysValues, prefix_rows: jax.Array, suffixes: jax.Array
) -> jax.Array:
    logprobs = suffix_logprobs(params, config, kv, prefix_rows, suffixes)
    return jnp.sum(logprobs.reshape(len(logprobs), 2, -1), axis=-1)


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    """`rows` as int32, repeated up to `count`, since a new shape would be compiled anew."""
    return np.resize(rows.astype(np.int32), (count, *rows.shape[1:]))
