"""First values with which a small decoder copies before it has learnt anything: from its window, and from its neighbours.

Trained for minutes, a small model does not find out that what followed the same token earlier is likely to follow again (induction; Olsson
et al. 2022, arXiv 2209.11895), in its window late and in its neighbours not at all. Here each token is told the one before it
(model/previous_token.py) in directions of their own, and heads begin with queries that read this token and keys that read the token before
theirs. Training keeps, bends or drops them as its loss asks. Every system gets the same; the paper has none of it.

Steps of AdaBelief are as long for small values as for large ones, and first values of the usual size were gone after some twenty updates.
Embeddings that all drift in one direction would explain it: every key then fits every query. So the mean of all embeddings is taken off at
the input (`LanguageModel.encode_segment`). Cross-attention reads states that are normed before their gate, and a match is not disturbed by
positions: rotary positions turn a quarter of each head, as in GPT-NeoX.

Dimensions: D width, H heads, K head size, N directions that are matched.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from model.config import Shape
from model.parameters import Parameters

LOUDNESS = 2.0  # of the token before, against the token itself in the same directions
MATCH = 12.0  # logit of a key whose token before is the query's token
HANDED_ON = (
    4.0  # what cross-attention adds of a token that it finds, in embeddings; with one of them hardly anything was read after 140 updates
)


def with_copying_values(values: Parameters, shape: Shape, key: Array) -> Parameters:
    """The values, with those of the final norm, the token before and the heads that copy replaced.

    Half of the heads of each self-attention match, and all heads of cross-attention, whose values and outputs hand on the token that they
    find.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    read_DN, write_DN = np.split(_orthonormal(rng, shape.width)[:, : 2 * matched_dimensions(shape)], 2, axis=1)
    handed_on = _orthonormal(rng, shape.width)
    new = {path: np.array(value) for path, value in values.items()}
    size_of_tokens = float(new["embedding.table"].std())
    new["final_norm.scale"] /= size_of_tokens * np.sqrt(shape.width)
    new["previous.carry.kernel"] = LOUDNESS * read_DN @ write_DN.T
    for path in [path for path in values if path.startswith(("lower.", "upper.")) and path.endswith("attention.key.kernel")]:
        crossing = "cross_attention" in path
        _match(new[path.replace(".key.", ".query.")], new[path], shape.heads if crossing else shape.heads // 2, read_DN, write_DN, shape)
        if crossing:
            new[path.replace(".key.", ".value.")] = handed_on
            new[path.replace(".key.", ".output.")] = HANDED_ON * size_of_tokens * handed_on.T
    return {path: jnp.asarray(value, jnp.float32) for path, value in new.items()}


def matched_dimensions(shape: Shape) -> int:
    """N: those of a head that rotary positions do not turn, so that a token fits itself at any distance."""
    return min(shape.head_size - (shape.turned or 0), shape.width // 2)


def _match(query_DD: np.ndarray, key_DD: np.ndarray, heads: int, read_DN: np.ndarray, write_DN: np.ndarray, shape: Shape) -> None:
    """Let the first heads compare this token with the token before. What queries and keys read is normed."""
    size, matched = shape.head_size, read_DN.shape[1]
    share = 1.0 / (1.0 + LOUDNESS**2 * matched / shape.width)  # of a normed input's energy that is its own token's
    scale = np.sqrt(MATCH * np.sqrt(size) / (matched * share * LOUDNESS))
    for head in range(heads):
        columns, still = slice(head * size, (head + 1) * size), slice((head + 1) * size - matched, (head + 1) * size)
        query_DD[:, columns] = key_DD[:, columns] = 0
        query_DD[:, still], key_DD[:, still] = scale * read_DN, scale * write_DN


def _orthonormal(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]
