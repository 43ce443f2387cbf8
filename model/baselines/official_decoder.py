"""The decoder that Memorizing and Block-Recurrent Transformer were published with, for their rows in that
form.

From google-research/meliad at commit cc1aef5 (transformer/memory, base_memory.gin): queries and keys of
length 1 with a learned scale, T5 biases by distance, ReLU; official_training.py has the optimizer. As there,
a token sees the W before it and not itself, and what is before a document is zeros that are attended to. W is
a window stride here, 512 there; dropout is on the embedding, as in all our systems, and not before the
output.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from model.agreement import Text
from model.attention import attend, with_previous_block
from model.baselines.block_recurrent import BlockRecurrentAttention
from model.baselines.memorizing import MemorizingAttention, bucketed
from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.decoder import Block, Mixer, State
from model.layers import Features, FeedForward, dropout, subkeys
from model.neighbour_fusion import FusedNeighbours
from model.shapes import HiddenStates, TokenIds, TokenLosses
from model.sliding_window import Local, SlidingWindowAttention, Window, WindowAttention

LENGTH_EPSILON = 1e-6
BUCKETS, FARTHEST = 32, 128


class DistanceBiases(nnx.Module):
    """b of T5 (Raffel et al., arXiv 1910.10683, section 2.1): learned for each head and bucket of
    distances.
    """

    def __init__(self, heads: int) -> None:
        self.table = nnx.Param(jnp.zeros((heads, BUCKETS)))

    def __call__(self, distances_QT: np.ndarray) -> Float[Array, "H Q T"]:
        return self.table[...][:, distance_bucket(distances_QT)]


def distance_bucket(distances: Int[np.ndarray, " *X"]) -> Int[np.ndarray, " *X"]:
    """Half of the buckets are for one distance each, from 0; the others grow evenly in its logarithm, the
    last from 128 on.
    """
    exact = BUCKETS // 2
    far = np.log(np.maximum(distances, exact) / exact + np.finfo(np.float32).eps) / np.log(FARTHEST / exact)
    return np.where(
        distances < exact,
        np.maximum(distances, 0),
        np.minimum(exact + (far * exact).astype(int), BUCKETS - 1),
    )


class NormedAttention(WindowAttention):
    """softmax(|s| (q k + b)) over the W tokens before each token; q and k have length 1, s is learned for
    each head.

    What inherits it sets `scale` and `distances`, which is None where tokens have no position.
    """

    scale: nnx.Param[Array]
    distances: DistanceBiases | None

    def queries(self, x: Array) -> Array:
        """[..., D] -> [..., H, K]."""
        return scaled(super().queries(x), self.scale)

    def keys_and_values(self, x: Array) -> tuple[Array, Array]:
        """[..., D] -> two of [..., H, K]."""
        keys, values = super().keys_and_values(x)
        return unit(keys), values

    def empty_window(self, rows: int) -> Window:
        """Zeros, which are there."""
        return super().empty_window(rows)._replace(exists_B=jnp.ones(rows, bool))

    def attend_locally(
        self, x: HiddenStates, past: Window | None, key: Array | None, text_BT: Text | None = None
    ) -> Local:
        """Attention to the W tokens before each one, without the output projection."""
        past = self.empty_window(len(x)) if past is None else past
        queries, (keys, values) = self.queries(x), self.keys_and_values(x)
        blocks, (_, _, heads, size) = len(x) * x.shape[1] // self.stride, queries.shape
        both_keys, both_values = (
            with_previous_block(own, self.stride, before).reshape(blocks, 2 * self.stride, heads, size)
            for own, before in ((keys, past.keys_BWHK), (values, past.values_BWHK))
        )
        distances = np.arange(self.stride, 2 * self.stride)[:, None] - np.arange(2 * self.stride)
        visible = jnp.asarray((distances > 0) & (distances <= self.stride))
        bias = (
            None
            if self.distances is None
            else jnp.abs(self.scale[...])[:, None, None] * self.distances(distances)
        )
        in_blocks = queries.reshape(blocks, self.stride, heads, size)
        mixed = attend(
            in_blocks, both_keys, both_values, visible, rate=self.rate, key=key, bias=bias, shared_axes=(0,)
        )
        mixed = mixed.reshape(queries.shape)
        return Local(
            queries,
            keys,
            values,
            mixed,
            Window(keys[:, -self.stride :], values[:, -self.stride :], past.exists_B),
        )


class NormedWindowAttention(NormedAttention, SlidingWindowAttention):
    """The self-attention of a layer that has nothing else."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.as_published())
        self.scale, self.distances = head_scale(config), DistanceBiases(config.heads)


class NormedMemorizingAttention(NormedAttention, MemorizingAttention):
    """The layer with a memory, whose tokens have no position; its gate stays as it is where the memory is
    empty, which reads as zeros.
    """

    def __init__(self, config: ModelConfig, strides: int) -> None:
        super().__init__(config.as_published(), strides, bucketed)
        self.scale, self.distances = head_scale(config), None

    def _weights(self, logits: Array, held: Array) -> Array:
        return jax.nn.softmax(logits, axis=-1)

    def _gate(self, found: Array) -> Array:
        return jax.nn.sigmoid(self.memory_bias[...])


class NormedBlockRecurrentAttention(NormedAttention, BlockRecurrentAttention):
    """The layer with states; each of its four attentions has a scale of its own."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.as_published())
        self.scale, self.distances = head_scale(config), DistanceBiases(config.heads)
        self.state_scale, self.state_self_scale, self.state_cross_scale = (
            head_scale(config),
            head_scale(config),
            head_scale(config),
        )

    def _queries_of_states(self, x: Array) -> Array:
        return scaled(super()._queries_of_states(x), self.state_scale)

    def _queries_by_states(self, normed: Array) -> tuple[Array, Array]:
        itself, tokens = super()._queries_by_states(normed)
        return scaled(itself, self.state_self_scale), scaled(tokens, self.state_cross_scale)

    def _keys_and_values_of_states(self, normed: Array) -> tuple[Array, Array]:
        keys, values = super()._keys_and_values_of_states(normed)
        return unit(keys), values


def unit(x: Float[Array, "... K"]) -> Float[Array, "... K"]:
    """x / sqrt(|x|^2 + 1e-6), in float32."""
    wide = x.astype(jnp.float32)
    return (wide * jax.lax.rsqrt(jnp.sum(wide * wide, axis=-1, keepdims=True) + LENGTH_EPSILON)).astype(
        x.dtype
    )


def scaled(queries: Float[Array, "... H K"], scale: nnx.Param[Array]) -> Float[Array, "... H K"]:
    """Queries whose products with keys, over sqrt(K) as everywhere here, are |s| q k for q and k of
    length 1.
    """
    return unit(queries) * (jnp.abs(scale[...])[:, None] * queries.shape[-1] ** 0.5).astype(queries.dtype)


def head_scale(config: ModelConfig) -> nnx.Param[Array]:
    """A factor for each head."""
    return nnx.Param(jnp.zeros(config.heads))


class ReluFeedForward(FeedForward):
    """dropout(W2 relu(W1 x))."""

    def __call__(self, x: Features, rate: float = 0.0, key: Array | None = None) -> Features:
        return dropout(self.contract(jax.nn.relu(self.expand(x))), rate, key, shared_axes=(0,))


class MeliadBlock(Block):
    """x += attention(dropout(norm x)); x += feed-forward(norm x)."""

    def __init__(self, config: ModelConfig, attention: Mixer) -> None:
        super().__init__(config, attention)
        self.feed_forward = ReluFeedForward(config.width)

    def __call__(
        self,
        x: HiddenStates,
        past: State | None = None,
        fused: FusedNeighbours | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, State]:
        """The residual stream after the layer, and the state after the segment."""
        normed_key, attention_key, feed_forward_key = subkeys(key, 3)
        normed = dropout(self.attention_norm(x), self.rate, normed_key, shared_axes=(0,))
        attended, following = self.attention(normed, past, attention_key, text_BT)
        x = x + attended
        return x + self.feed_forward(self.feed_forward_norm(x), self.rate, feed_forward_key), following


class OfficialDecoder(TransformerXL):
    """A stack of such blocks; `others` are the attentions of layers that have another than to the window.

    Its embedding begins with deviation 1, so logits are over sqrt(D).
    """

    def __init__(self, config: ModelConfig, others: Mapping[int, Mixer] = MappingProxyType({})) -> None:
        super().__init__(
            config.as_published(),
            lambda layer: MeliadBlock(config, others.get(layer) or NormedWindowAttention(config)),
        )

    def token_losses(self, final_BLD: HiddenStates, targets_BL: TokenIds) -> TokenLosses:
        """-log p(target) of every position, in nats."""
        return super().token_losses(final_BLD * self.config.width**-0.5, targets_BL)
