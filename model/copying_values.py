"""First values with which a small decoder copies before it has learnt anything: from its window, and from its neighbours.

Trained for minutes, a small model does not find out that what followed the same token earlier is likely to follow again (induction; Olsson
et al. 2022, arXiv 2209.11895), in its window late and in its neighbours not at all. Here each token is told the one before it
(model/previous_token.py) in directions of their own, and heads begin with queries that read this token and keys that read the token before
theirs. Training keeps, bends or drops them as its loss asks. Every system gets the same; the paper has none of it.

Steps of AdaBelief are as long for small values as for large ones. At the usual deviation of an embedding they push all tokens of a small
model into one direction within some twenty updates, after which every key fits every query. So embeddings begin larger, and the final norm
so that logits are no larger.

Dimensions: D width, H heads, K head size, N directions that are matched.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from model.config import Shape
from model.parameters import Parameters
from model.rotary import BASE

EMBEDDING = 0.3  # deviation
LOUDNESS = 2.0  # of the token before, against the token itself in the same directions
MATCH = 12.0  # logit of a key whose token before is the query's token
TURN = 1.0  # radians that a matched pair of dimensions turns at most within two strides


def with_copying_values(values: Parameters, shape: Shape, key: Array) -> Parameters:
    """The values, with those of the embedding, the final norm, the token before and the heads that copy replaced.

    Half of the heads of each self-attention match, and all heads of cross-attention, whose values and outputs hand on the token that they
    find.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    read_DN, write_DN = np.split(_orthonormal(rng, shape.width)[:, : 2 * matched_dimensions(shape)], 2, axis=1)
    handed_on = _orthonormal(rng, shape.width)
    new = {path: np.array(value) for path, value in values.items()}
    new["embedding.table"] = EMBEDDING * rng.standard_normal(new["embedding.table"].shape)
    new["final_norm.scale"] /= EMBEDDING * np.sqrt(shape.width)
    new["previous.carry.kernel"] = LOUDNESS * read_DN @ write_DN.T
    for path in [path for path in values if path.startswith(("lower.", "upper.")) and path.endswith("attention.key.kernel")]:
        crossing = "cross_attention" in path
        heads = shape.heads if crossing else shape.heads // 2
        query, key_kernel = new[path.replace(".key.", ".query.")], new[path]
        _match(query, key_kernel, heads, read_DN, write_DN, shape, normed=not crossing)
        if crossing:
            new[path.replace(".key.", ".value.")] = handed_on / EMBEDDING
            new[path.replace(".key.", ".output.")] = EMBEDDING * handed_on.T
    return {path: jnp.asarray(value, jnp.float32) for path, value in new.items()}


def matched_dimensions(shape: Shape) -> int:
    """N: those of a head that rotary positions turn so little within two strides that a token fits itself at any distance."""
    angles = BASE ** (-np.arange(0, shape.head_size, 2) / shape.head_size) * 2 * shape.stride_tokens
    return min(max(2, 2 * int((angles <= TURN).sum())), shape.width // 2)


def _match(
    query_DD: np.ndarray, key_DD: np.ndarray, heads: int, read_DN: np.ndarray, write_DN: np.ndarray, shape: Shape, normed: bool
) -> None:
    """Let the first heads compare this token with the token before. Queries are normed, keys of neighbours are not."""
    size, matched = shape.head_size, read_DN.shape[1]
    share = 1.0 / (1.0 + LOUDNESS**2 * matched / shape.width)  # of a normed input's energy that is its own token's
    scale = np.sqrt(MATCH * np.sqrt(size) / (matched * share * LOUDNESS))
    for head in range(heads):
        columns = slice(head * size, (head + 1) * size)
        query_DD[:, columns] = key_DD[:, columns] = 0
        slowest = slice((head + 1) * size - matched, (head + 1) * size)
        query_DD[:, slowest] = scale * read_DN
        key_DD[:, slowest] = scale * write_DN * (1.0 if normed else 1.0 / (EMBEDDING * np.sqrt(share)))


def _orthonormal(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]
