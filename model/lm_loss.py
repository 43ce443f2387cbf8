"""L_LM, cross-entropy over the vocabulary (paper section 3.3), in blocks of tokens, so that the [L, V] logits never exist at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from model.shapes import EmbeddingTable, HiddenStates, Scalar, TokenIds, TokenLosses, TokenMask

BLOCK_LOGITS = 2**23  # 32 MB of float32


def token_losses(final_BLD: HiddenStates, table_VD: EmbeddingTable, targets_BL: TokenIds, block: int | None = None) -> TokenLosses:
    """-log softmax(h E^T)[target] in float32, nats. `block` tokens at a time, by default as many as make 2^23 logits.

    Of several blocks, none keeps its logits: the backward pass computes them again.
    """
    width = final_BLD.shape[-1]
    tokens = targets_BL.size
    block = min(block or max(1, BLOCK_LOGITS // table_VD.shape[0]), tokens)
    missing = -tokens % block
    hidden = jnp.pad(final_BLD.reshape(tokens, width), ((0, missing), (0, 0))).reshape(-1, block, width)
    targets = jnp.pad(targets_BL.reshape(tokens), (0, missing)).reshape(-1, block)

    def block_losses(hidden_TD: Array, targets_T: Array) -> Array:
        logits = jnp.matmul(hidden_TD, table_VD.astype(hidden_TD.dtype).T, preferred_element_type=jnp.float32)
        chosen = jnp.take_along_axis(logits, targets_T[:, None], axis=1)[:, 0]
        return jax.nn.logsumexp(logits, axis=1) - chosen

    if len(hidden) > 1:
        block_losses = jax.checkpoint(block_losses)
    losses = jax.lax.map(lambda pair: block_losses(*pair), (hidden, targets))
    return losses.reshape(-1)[:tokens].reshape(targets_BL.shape)


def mean_loss(losses_BL: TokenLosses, mask_BL: TokenMask) -> Scalar:
    """Mean over the positions of the mask, of the whole batch at once; 0 if there are none."""
    return jnp.sum(losses_BL, where=mask_BL) / jnp.maximum(jnp.sum(mask_BL), 1)
