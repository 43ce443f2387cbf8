"""L_LM, cross-entropy over the vocabulary (paper section 3.3), in blocks of tokens, so that the [L, V] logits
never exist at once.

On several devices each computes the losses of its own tokens in blocks of its own, and the gradient of the
table is summed between devices once. Blocks that lie on all devices would be smaller by their number, and a
compiler may sum the whole table for each of them (docs/scale.md).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec

from model.shapes import EmbeddingTable, HiddenStates, Scalar, TokenIds, TokenLosses, TokenMask

BLOCK_LOGITS = 2**23  # 32 MB of float32


def token_losses(
    final_BLD: HiddenStates, table_VD: EmbeddingTable, targets_BL: TokenIds, block: int | None = None
) -> TokenLosses:
    """-log softmax(h E^T)[target] in float32, nats. At most `block` tokens at a time on each device, by
    default as many as make 2^23 logits. Of several blocks, none keeps its logits: the backward pass computes
    them again.

    The devices are those of the mesh that is in use where this is traced (`Layout.in_use`), whose axes divide
    B and L.
    """
    mesh, losses_of = jax.sharding.get_abstract_mesh(), partial(_in_blocks, block=block)
    if mesh.size < 2:
        return losses_of(final_BLD, table_VD, targets_BL)

    def on_a_device(final_BLD: Array, table_VD: Array, targets_BL: Array) -> Array:
        # each device's own copy, whose gradient is whole before it is summed
        own_VD = jax.lax.pcast(table_VD, mesh.axis_names, to="varying")
        return losses_of(final_BLD, own_VD, targets_BL)

    cut = PartitionSpec(*mesh.axis_names)
    return jax.shard_map(on_a_device, in_specs=(cut, PartitionSpec(), cut), out_specs=cut)(
        final_BLD, table_VD, targets_BL
    )


def _in_blocks(
    final_BLD: HiddenStates, table_VD: EmbeddingTable, targets_BL: TokenIds, block: int | None
) -> TokenLosses:
    width, tokens = final_BLD.shape[-1], targets_BL.size
    limit = min(block or max(1, BLOCK_LOGITS // table_VD.shape[0]), tokens)
    size = next(size for size in range(limit, 0, -1) if tokens % size == 0)
    hidden = final_BLD.reshape(size, -1, width).swapaxes(0, 1)
    targets = targets_BL.reshape(size, -1).swapaxes(0, 1)

    def block_losses(hidden_TD: Array, targets_T: Array) -> Array:
        logits = jnp.matmul(hidden_TD, table_VD.astype(hidden_TD.dtype).T, preferred_element_type=jnp.float32)
        chosen = jnp.take_along_axis(logits, targets_T[:, None], axis=1)[:, 0]
        return jax.nn.logsumexp(logits, axis=1) - chosen

    if len(hidden) > 1:
        block_losses = jax.checkpoint(block_losses)
    losses = jax.lax.map(lambda pair: block_losses(*pair), (hidden, targets))
    return losses.swapaxes(0, 1).reshape(targets_BL.shape)


def mean_loss(losses_BL: TokenLosses, mask_BL: TokenMask, count: Scalar | None = None) -> Scalar:
    """Mean over the positions of the mask, of the whole batch at once; 0 if there are none. Of a part of a
    batch that has `count` of them, what it adds to the mean.
    """
    return jnp.sum(losses_BL, where=mask_BL) / jnp.maximum(jnp.sum(mask_BL) if count is None else count, 1)
