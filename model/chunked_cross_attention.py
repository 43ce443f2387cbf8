"""Chunked cross-attention (paper section 3.1, as in RETRO, arXiv 2112.04426): a chunk's neighbours serve the
prediction of the next.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from model.agreement import LONGEST, Agreement, Text
from model.attention import Attention, attend
from model.config import ModelConfig
from model.neighbour_fusion import FusedNeighbours
from model.rotary import rotate
from model.shapes import HiddenStates, RowMask


class ChunkedCrossAttention(nnx.Module):
    """Positions i M + M - 1 to i M + 2 M - 2, which predict exactly chunk i + 1, attend to the neighbours of
    chunk i.

    The shift by M - 1 runs over the whole sequence, so that neighbours carry across the borders of windows.
    Key positions start anew at 0 for every neighbour, queries are at M - 1 to 2 M - 2. A chunk without
    neighbours attends to the null key. The neighbours are not normed here: that would cancel their gate.
    Neighbours may be given for the last chunks of the sequence only; those before have none.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.chunk_tokens, self.rate, self.turned = config.chunk_tokens, config.dropout, config.turned
        self.attention = Attention(config.width, config.heads, null_key=True)
        self.agreement = Agreement(config.heads) if config.copying else None
        self.nothing_bias = nnx.Param(jnp.zeros(config.heads)) if config.copying else None

    def __call__(
        self,
        x_BLD: HiddenStates,
        fused: FusedNeighbours,
        key: Array | None = None,
        begun: RowMask | None = None,
        text_BT: Text | None = None,
    ) -> HiddenStates:
        """The update of the residual stream; exactly 0 for the first M - 1 positions of a document, which no
        neighbour may serve.

        With `begun`, x is a segment and `fused` begins with the chunk before it, which exists if the row's
        document has begun.
        """
        batch, length, width = x_BLD.shape
        size, shift = self.chunk_tokens, self.chunk_tokens - 1
        chunks, neighbours, tokens = fused.values_BCNRD.shape[1:4]
        rows, start = batch * chunks, length - chunks * size + shift
        lead, start = max(0, -start), max(0, start)
        queries = self.attention.queries(x_BLD[:, start:])
        queries = jnp.pad(queries, ((0, 0), (lead, shift), (0, 0), (0, 0))).reshape(
            rows, size, *queries.shape[2:]
        )
        keys, values = self.attention.keys_and_values(
            fused.values_BCNRD.reshape(rows, neighbours * tokens, width)
        )
        out = attend(
            rotate(queries, jnp.arange(shift, shift + size), self.turned),
            rotate(keys, jnp.tile(jnp.arange(tokens), neighbours), self.turned),
            values,
            jnp.repeat(fused.valid_BCN.reshape(rows, neighbours), tokens, axis=1)[:, None, None, :],
            self.attention.null(),
            self.rate,
            key,
            self._agreement(text_BT, length - start + lead, fused.text_BCNT),
            null_bias=None if self.nothing_bias is None else self.nothing_bias[...],
        )
        served = self.attention.merge(out).reshape(batch, chunks * size, width)[
            :, lead : lead + length - start
        ]
        if begun is not None:
            return jnp.where(begun[:, None, None] | (jnp.arange(length) >= shift)[:, None], served, 0)
        unserved = self._without_neighbours(batch, start - shift, x_BLD.dtype)
        return jnp.concatenate((jnp.zeros_like(x_BLD[:, :shift]), unserved, served), axis=1)

    def _agreement(self, text_BT: Text | None, queries: int, neighbours_BCNT: Text | None) -> Array | None:
        """The bias of the last so many positions of a text, and of as many more as fill the last chunk, for
        which anything will do.
        """
        if self.agreement is None or text_BT is None or neighbours_BCNT is None:
            return None
        _, chunks, neighbours, tokens = neighbours_BCNT.shape
        size = self.chunk_tokens
        own = text_BT.shape[1] - queries + np.arange(chunks)[:, None] * size + np.arange(-LONGEST, size)
        queries_XT = jnp.take(text_BT, own, axis=1, mode="clip").reshape(-1, own.shape[1])
        each = [
            self.agreement(queries_XT, neighbours_BCNT[:, :, number].reshape(-1, tokens))
            for number in range(neighbours)
        ]
        return jnp.concatenate(each, axis=-1)

    def _without_neighbours(self, batch: int, length: int, dtype: DTypeLike) -> HiddenStates:
        """What attending to the null key alone gives."""
        null = self.attention.null()
        assert null is not None
        constant = self.attention.merge(null[1].astype(dtype))
        return jnp.broadcast_to(constant, (batch, length, constant.shape[-1]))
