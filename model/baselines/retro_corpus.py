"""RETRO as published (Borgeaud et al., arXiv 2112.04426): passages of a whole corpus, encoded by an encoder
of their own.

They are found beforehand, by a frozen encoder that nothing here is learned through; the model is given their
tokens. A passage serves the chunk after the one it was found for. Its encoder is told what the first layer
with cross-attention has read of that chunk so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from model.agreement import LONGEST, NOTHING, Text
from model.config import ModelConfig
from model.decoder import Block, State
from model.fused_decoder import UpperPast
from model.language_model import Batch, Decoded, Encoded, Fetched, LanguageModel, Schedule, Trained
from model.layers import dropout, subkeys
from model.neighbour_fusion import FusedNeighbours
from model.passage_encoder import PassageEncoder
from model.shapes import ChunkStates, HiddenStates, PassageTokens


class RetroCorpus(LanguageModel):
    """Where other systems are given the numbers of neighbours, this one is given tokens [B, C, N, R], -1 for
    no passage.

    Raises:
        ValueError: the configuration has no layer with cross-attention.
    """

    def __init__(self, config: ModelConfig) -> None:
        if not config.cca_layers:
            raise ValueError(
                "cca_layers is empty, but RETRO reads passages by cross-attention: name its layers (the"
                " paper: 6, 9, 12)"
            )
        super().__init__(config, lambda layer: Block(config, cross_attention=layer in config.cca_layers))
        self.passages = PassageEncoder(config)

    def decode(
        self, encoded: Encoded, passages_BCNR: PassageTokens | None, key: Array | None = None
    ) -> HiddenStates:
        """Upper decoder and final norm.

        Raises:
            ValueError: no passages were given.
        """
        if passages_BCNR is None:
            raise ValueError(
                "passages_BCNR is None, but this system reads passages: pass their tokens, -1 for none"
            )
        passages, (encoder_key, upper_key) = passages_BCNR, subkeys(key, 2)

        def fuse(x_BLD: HiddenStates) -> FusedNeighbours:
            values_BCNRD = self._encoded_passages(passages, self._by_chunk(x_BLD), encoder_key)
            return FusedNeighbours(values_BCNRD, passages[..., 0] >= 0, self._texts(passages))

        return self.final_norm(self._upper(encoded.hidden_BLD, None, fuse, upper_key, encoded.text_BT)[0])

    def start_decoding(self, rows: int, slots: int) -> UpperPast:
        """Nothing was read, nothing retrieved."""
        tokens = jnp.full((rows, 1, slots, 2 * self.config.chunk_tokens), -1, jnp.int32)
        values = jnp.zeros((*tokens.shape, self.config.width), self.config.dtype)
        return UpperPast(
            self.upper.start(rows), None, FusedNeighbours(values, tokens[..., 0] >= 0, self._texts(tokens))
        )

    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: UpperPast) -> Decoded:
        """One stride; the passages of the chunk before it serve its first tokens. What is fetched are the
        tokens of U passages a chunk.

        Up to the first cross-attention all settings of a document have read the same, so its passages are
        encoded once for all of them.
        """
        settings, slots_XCN = (
            fetched.slots_BSCN.shape[1],
            fetched.slots_BSCN.reshape(-1, *fetched.slots_BSCN.shape[2:]),
        )
        last: list[FusedNeighbours] = []

        def fuse(x_XLD: HiddenStates) -> FusedNeighbours:
            values_BCURD = self._encoded_passages(fetched.pairs_BCURD, self._by_chunk(x_XLD[::settings]))
            values_XCURD = jnp.repeat(values_BCURD, settings, axis=0)
            values_XCNRD = jnp.take_along_axis(values_XCURD, slots_XCN[..., None, None], axis=2, mode="clip")
            tokens_XCUR = jnp.repeat(fetched.pairs_BCURD, settings, axis=0)
            tokens_XCNR = jnp.take_along_axis(tokens_XCUR, slots_XCN[..., None], axis=2, mode="clip")
            own = FusedNeighbours(values_XCNRD, slots_XCN >= 0, self._texts(tokens_XCNR))
            last.append(jax.tree.map(lambda x: x[:, -1:], own))
            return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), past.last, own)

        text_XT = None if encoded.text_BT is None else jnp.repeat(encoded.text_BT, settings, axis=0)
        final, layers = self._upper(
            jnp.repeat(encoded.hidden_BLD, settings, axis=0), past.layers, fuse, text_BT=text_XT
        )
        return Decoded(self.final_norm(final), jnp.ones(slots_XCN.shape), UpperPast(layers, None, last[0]))

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """The language-model loss; which passages are read is no part of what is learned."""
        encode_key, decode_key = self._dropout_keys(key)
        loss = self._lm_loss(
            self.decode(self.encode(batch.tokens_BL, encode_key), batch.passages_BCNR, decode_key), batch
        )
        return Trained({"lm": loss}, {"lm_loss": loss})

    def _upper(
        self,
        x: HiddenStates,
        past: tuple[State, ...] | None,
        fuse: Callable[[HiddenStates], FusedNeighbours],
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, tuple[State, ...]]:
        """The upper decoder; `fuse` makes what cross-attention reads of the residual stream after
        self-attention of its first layer.
        """
        fused, states = None, list[Any]()
        # the backward pass computes each block again
        again = jax.checkpoint if self.config.remat else lambda function: function
        for block, state, block_key in zip(
            self.upper.layers,
            past or (None,) * len(self.upper.layers),
            subkeys(key, len(self.upper.layers)),
            strict=True,
        ):
            if block.cross_attention is not None and fused is None:
                attention_key, cross_key, feed_forward_key = subkeys(block_key, 3)
                x, following = again(block.attend)(x, state, attention_key, text_BT)
                fused = fuse(x)
                x = again(block.after_attention)(x, state, fused, cross_key, feed_forward_key, text_BT)
            else:
                x, following = again(block)(x, state, fused, block_key, text_BT)
            states.append(following)
        return x, tuple(states)

    def _encoded_passages(
        self, passages_BCNR: PassageTokens, hidden_BCMD: ChunkStates, key: Array | None = None
    ) -> Array:
        embedding_key, encoder_key = subkeys(key, 2)
        tokens_XR = jnp.maximum(passages_BCNR, 0).reshape(-1, passages_BCNR.shape[-1])
        embedded = dropout(self.embedding(tokens_XR), self.config.dropout, embedding_key).reshape(
            *passages_BCNR.shape, -1
        )
        encode = jax.checkpoint(self.passages) if self.config.remat else self.passages
        return encode(embedded, hidden_BCMD, encoder_key)

    def _texts(self, passages_BCNR: PassageTokens) -> Text | None:
        """The text of passages, where heads are told what agrees; what stood before a passage is
        not known.
        """
        if not self.config.copying:
            return None
        return jnp.pad(passages_BCNR, ((0, 0), (0, 0), (0, 0), (LONGEST, 0)), constant_values=NOTHING).astype(
            jnp.int32
        )

    def _by_chunk(self, x_XLD: HiddenStates) -> ChunkStates:
        return x_XLD.reshape(x_XLD.shape[0], -1, self.config.chunk_tokens, x_XLD.shape[-1])
