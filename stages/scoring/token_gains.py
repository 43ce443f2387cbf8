"""What a candidate does to each token of a target, scored on demand for a person who looks at one query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from data_contracts.failure import Exit, Failure
from model.causal_lm import Params
from model.decoder_config import DecoderConfig, read_config
from model.decoders import load, prefix_keys_values, suffix_logprobs
from stages.engines.choice import explained

PREFIXES = 8  # a call of fixed shape: one compilation, whatever the number of candidates


class TokenGains:
    """The reference LM in `directory`, which is loaded when it is first asked."""

    def __init__(self, directory: Path):
        self._directory = directory

    @cached_property
    def model(self) -> tuple[DecoderConfig, Params]:
        """Its sizes and its weights."""
        with explained("jax", self._directory):
            return read_config(self._directory), load(self._directory, "float32")[1]

    def logprobs(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """Log-probability in nats of each token of chunk `query` + 1, float32 [n, m], after (c_j, c_j+1,
        c_query) for each candidate j.

        `chunks` are the token ids of a document's chunks; the local context is the candidate `query` - 2. A
        row sums to the label's log-probability.

        Raises:
            Failure: (exit code 2) if a chunk that is needed does not exist or is not full; (3) if the model
                cannot score.
        """
        config, params = self.model
        check_whole(chunks, query, candidates)
        size = len(chunks[0])
        suffix = np.concatenate([chunks[query], chunks[query + 1]]).astype(np.int32)
        rows = []
        with jax.default_matmul_precision("highest"):
            for start in range(0, len(candidates), PREFIXES):
                part = candidates[start : start + PREFIXES]
                prefixes = np.stack([np.concatenate([chunks[j], chunks[j + 1]]) for j in part]).astype(
                    np.int32
                )
                padded = np.resize(prefixes, (PREFIXES, 2 * size))
                rows.append(
                    np.asarray(_logprobs(params, config, padded, np.tile(suffix, (PREFIXES, 1))))[: len(part)]
                )
        return np.concatenate(rows)

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """How much more likely, in nats, each candidate makes each target token than the local context does,
        float32 [n, m].

        A row sums to the pair's s_t. Raises like `logprobs`.
        """
        logprobs = self.logprobs(chunks, query, [query - 2, *candidates])
        return logprobs[1:] - logprobs[0]


def check_whole(chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> None:
    """Refuses a query that was never labelled.

    Raises:
        Failure: (exit code 2) if a chunk that is needed does not exist or is not full.
    """
    wanted = [query, query + 1, *candidates, *(j + 1 for j in candidates)]
    if bad := [j for j in wanted if not 0 <= j < len(chunks) or len(chunks[j]) != len(chunks[0])]:
        raise Failure(
            f"query {query}",
            f"chunks {bad} are not full chunks of the document",
            "ask for a labelled query",
            Exit.USAGE,
        )


@partial(jax.jit, static_argnums=1)
def _logprobs(params: Params, config: DecoderConfig, prefixes: jax.Array, suffixes: jax.Array) -> jax.Array:
    kv = prefix_keys_values(params, config, prefixes)
    return suffix_logprobs(params, config, kv, jnp.arange(len(prefixes)), suffixes)
