"""Which token may see which: the support of a system's Jacobian, measured on a model and drawn chunk by
chunk.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool

from model.language_model import LanguageModel
from model.shapes import Neighbours, TokenIds

SAME = 1e-7
UNSEEN, WINDOW, NEIGHBOUR = "·", "█", "▒"


def dependencies(model: LanguageModel, tokens_BL: TokenIds, neighbours_BCN: Neighbours) -> Bool[Array, "L L"]:
    """[p, q]: whether the prediction made at position p changes with token q of the one sequence, the
    neighbours being as given.
    """

    def final(tokens: Array) -> Array:
        return model.decode(model.encode(tokens), neighbours_BCN)[0]

    def changed(position: Array) -> Array:
        other = tokens_BL.at[0, position].set((tokens_BL[0, position] + 1) % model.config.vocabulary_size)
        return jnp.abs(final(other) - final(tokens_BL)).max(axis=-1) > SAME

    return jax.lax.map(changed, jnp.arange(tokens_BL.shape[1])).T


def picture(seen_LL: np.ndarray, in_window_LL: np.ndarray, chunk_tokens: int) -> str:
    """A line for each chunk, with a sign for each chunk that its last prediction sees: in the window, through
    a neighbour only, or not.
    """
    last = slice(chunk_tokens - 1, None, chunk_tokens)
    seen, in_window = (_by_chunk(support[last], chunk_tokens) for support in (seen_LL, in_window_LL))
    signs = np.where(in_window, WINDOW, np.where(seen, NEIGHBOUR, UNSEEN))
    return "\n".join(f"{chunk:>3} {''.join(row)}" for chunk, row in enumerate(signs))


def _by_chunk(support: np.ndarray, chunk_tokens: int) -> np.ndarray:
    return np.any(support.reshape(len(support), -1, chunk_tokens), axis=2)
