"""BERT (Devlin et al., arXiv 1810.04805): the encoder that DPR begins from. A post-norm Transformer in which
every token sees every one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from model.attention import attend
from model.baselines.bert_config import BertConfig
from model.layers import Embedding, Linear, dropout, subkeys

WordPieces = Int[Array, "X T"]
TokenStates = Float[Array, "X T D"]


class LayerNorm(nnx.Module):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, in float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        self.epsilon = epsilon
        self.scale, self.bias = nnx.Param(jnp.zeros(width)), nnx.Param(jnp.zeros(width))

    def __call__(self, x: TokenStates) -> TokenStates:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.mean(centred * centred, axis=-1, keepdims=True) + self.epsilon)
        return centred * inverse * self.scale[...] + self.bias[...]


class BertLayer(nnx.Module):
    """x = norm(x + attention(x)); x = norm(x + W2 gelu(W1 x)), gelu in its exact form."""

    def __init__(self, config: BertConfig) -> None:
        width, inner = config.hidden_size, config.intermediate_size
        self.heads, self.rate, self.attention_rate = (
            config.num_attention_heads,
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
        )
        self.query, self.key, self.value, self.output = (Linear(width, width, bias=True) for _ in range(4))
        self.attention_norm = LayerNorm(width, config.layer_norm_eps)
        self.expand, self.contract = Linear(width, inner, bias=True), Linear(inner, width, bias=True)
        self.norm = LayerNorm(width, config.layer_norm_eps)

    def __call__(
        self, x_XTD: TokenStates, visible_XT: Bool[Array, "X T"], key: Array | None = None
    ) -> TokenStates:
        attention_key, output_key, feed_forward_key = subkeys(key, 3)
        queries, keys, values = (
            layer(x_XTD).reshape(*x_XTD.shape[:2], self.heads, -1)
            for layer in (self.query, self.key, self.value)
        )
        visible = visible_XT[:, None, None]
        mixed = attend(
            queries, keys, values, visible, rate=self.attention_rate, key=attention_key, shared_axes=()
        )
        x_XTD = self.attention_norm(
            x_XTD + dropout(self.output(mixed.reshape(x_XTD.shape)), self.rate, output_key)
        )
        inner = jax.nn.gelu(self.expand(x_XTD), approximate=False)
        return self.norm(x_XTD + dropout(self.contract(inner), self.rate, feed_forward_key))


class Bert(nnx.Module):
    """Word pieces, padded at the end -> the states of the last layer; dropout only with a key."""

    def __init__(self, config: BertConfig) -> None:
        width = config.hidden_size
        self.pad, self.rate = config.pad_token_id, config.hidden_dropout_prob
        self.words, self.positions, self.types = (
            Embedding(size, width, "float32")
            for size in (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
        )
        self.norm = LayerNorm(width, config.layer_norm_eps)
        self.layers = nnx.List([BertLayer(config) for _ in range(config.num_hidden_layers)])

    def __call__(
        self, pieces_XT: WordPieces, key: Array | None = None, types_XT: WordPieces | None = None
    ) -> TokenStates:
        """At most `max_position_embeddings` pieces a row; without `types_XT` all are of the first type."""
        embedding_key, *layer_keys = subkeys(key, 1 + len(self.layers))
        visible_XT = jnp.asarray(pieces_XT) != self.pad
        types_XT = jnp.zeros_like(pieces_XT) if types_XT is None else types_XT
        x_XTD = self.words(pieces_XT) + self.positions(jnp.arange(pieces_XT.shape[1])) + self.types(types_XT)
        x_XTD = dropout(self.norm(x_XTD), self.rate, embedding_key)
        for layer, layer_key in zip(self.layers, layer_keys, strict=True):
            x_XTD = layer(x_XTD, visible_XT, layer_key)
        return x_XTD


class BertEncoder(Bert):
    """The state of [CLS], the first piece, which is how DPR represents a text (arXiv 2004.04906, section
    3.1).
    """

    def __call__(
        self, pieces_XT: WordPieces, key: Array | None = None, types_XT: WordPieces | None = None
    ) -> Float[Array, "X D"]:
        return super().__call__(pieces_XT, key, types_XT)[:, 0]


class BertMean(Bert):
    """The mean over all pieces but the first, [CLS]: how RETRO represents a chunk (arXiv 2112.04426, section
    2.3).
    """

    def __call__(
        self, pieces_XT: WordPieces, key: Array | None = None, types_XT: WordPieces | None = None
    ) -> Float[Array, "X D"]:
        states_XTD = super().__call__(pieces_XT, key, types_XT)[:, 1:]
        there_XT1 = (jnp.asarray(pieces_XT)[:, 1:] != self.pad)[..., None]
        return jnp.sum(states_XTD * there_XT1, axis=1) / jnp.maximum(jnp.sum(there_XT1, axis=1), 1)
