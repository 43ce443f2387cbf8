"""Griffin (De et al., arXiv 2402.19427) as the paper's baseline: a gated linear recurrence beside the
attention of the last layers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from model.agreement import Text
from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.decoder import Block, State
from model.language_model import LanguageModel
from model.layers import Linear, RMSNorm, subkeys
from model.neighbour_fusion import FusedNeighbours
from model.shapes import HiddenStates

CONVOLUTION = 3  # inputs a token's own and the two before (paper appendix, "temporal dimension 3")
RATE = 8.0  # c of equation 4
STEEPEST = 1000.0  # slope of the square root at most, as in the official code

Recurrent = Float[Array, "B L E"]


class Carried(NamedTuple):
    """The recurrence after a segment, the last inputs of the convolution, and whether anything was read."""

    hidden_BE: Float[Array, "B E"]
    inputs_BTE: Float[Array, "B T E"]
    begun_B: Bool[Array, " B"]


class BlockDiagonal(nnx.Module):
    """x W + b, W of as many square blocks as there are heads."""

    def __init__(self, width: int, blocks: int) -> None:
        self.kernel = nnx.Param(jnp.zeros((blocks, width // blocks, width // blocks)))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Array) -> Array:
        kernel = self.kernel[...].astype(x.dtype)
        parts = x.reshape(*x.shape[:-1], len(kernel), -1)
        return jnp.einsum("...hi,hij->...hj", parts, kernel).reshape(x.shape) + self.bias[...].astype(x.dtype)


class RecurrentBlock(nnx.Module):
    """W_o (gelu(W_y x) * RG-LRU(convolution(W_x x))), E = 2 D wide (figure 2c and section 2.4 of
    that paper).
    """

    def __init__(self, config: ModelConfig) -> None:
        self.width = 2 * config.width
        self.branch, self.input = (
            Linear(config.width, self.width, bias=True),
            Linear(config.width, self.width, bias=True),
        )
        self.output = Linear(self.width, config.width, bias=True)
        self.convolution = nnx.Param(jnp.zeros((CONVOLUTION, self.width)))
        self.convolution_bias = nnx.Param(jnp.zeros(self.width))
        self.input_gate, self.recurrence_gate = (
            BlockDiagonal(self.width, config.heads),
            BlockDiagonal(self.width, config.heads),
        )
        self.decay = nnx.Param(jnp.zeros(self.width))

    def start(self, rows: int) -> Carried:
        """Nothing was read of `rows` documents."""
        return Carried(
            jnp.zeros((rows, self.width)),
            jnp.zeros((rows, CONVOLUTION - 1, self.width)),
            jnp.zeros(rows, bool),
        )

    def __call__(self, x: HiddenStates, past: Carried) -> tuple[HiddenStates, Carried]:
        """The update of the residual stream, and what the next segment goes on from."""
        inputs = self.input(x)
        inputs_BTE = jnp.concatenate((past.inputs_BTE.astype(x.dtype), inputs), axis=1)
        hidden = self._recur(self._convolve(inputs_BTE), past)
        merged = self.output(jax.nn.gelu(self.branch(x), approximate=True) * hidden.astype(x.dtype))
        kept = inputs_BTE[:, -(CONVOLUTION - 1) :].astype(jnp.float32)
        return merged, Carried(hidden[:, -1], kept, jnp.ones(len(x), bool))

    def _convolve(self, inputs_BTE: Recurrent) -> Recurrent:
        """Each token's own input and those before it, each weighted channel by channel."""
        length, weights = (
            inputs_BTE.shape[1] - CONVOLUTION + 1,
            self.convolution[...].astype(inputs_BTE.dtype),
        )
        parts = (inputs_BTE[:, lag : lag + length] * weights[lag] for lag in range(CONVOLUTION))
        return sum(parts, start=self.convolution_bias[...].astype(inputs_BTE.dtype))

    def _recur(self, u_BLE: Recurrent, past: Carried) -> Recurrent:
        """h_t = a_t h_t-1 + sqrt(1 - a_t^2) (i_t u_t), a_t = exp(-8 r_t softplus(decay)), in float32; nothing
        is before the first token.
        """
        rate, gate = (
            jax.nn.sigmoid(layer(u_BLE).astype(jnp.float32))
            for layer in (self.recurrence_gate, self.input_gate)
        )
        log_a = -RATE * rate * jax.nn.softplus(self.decay[...])
        first = (~past.begun_B[:, None] & (jnp.arange(u_BLE.shape[1]) == 0))[..., None]
        a = jnp.where(first, 0.0, jnp.exp(log_a))
        scale = jnp.where(first, 1.0, _gentle_sqrt(-jnp.expm1(2.0 * log_a)))
        b = scale * gate * u_BLE.astype(jnp.float32)
        b = b.at[:, 0].add(a[:, 0] * past.hidden_BE)
        return jax.lax.associative_scan(lambda x, y: (x[0] * y[0], y[0] * x[1] + y[1]), (a, b), axis=1)[1]


@jax.custom_jvp
def _gentle_sqrt(x: Array) -> Array:
    """The square root, with a slope of at most `STEEPEST`."""
    return jnp.sqrt(x)


@_gentle_sqrt.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return jnp.sqrt(primals[0]), tangents[0] * jax.lax.rsqrt(jnp.maximum(4.0 * primals[0], STEEPEST**-2))


class GriffinBlock(Block):
    """The decoder block with the recurrence as one more pre-norm residual branch, between attention and
    feed-forward.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.recurrence_norm, self.recurrence = RMSNorm(config.width), RecurrentBlock(config)

    def start(self, rows: int) -> State:
        """The window, and the recurrence, of `rows` documents that start."""
        return super().start(rows), self.recurrence.start(rows)

    def __call__(
        self,
        x: HiddenStates,
        past: State | None = None,
        fused: FusedNeighbours | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, State]:
        """The residual stream after the layer, and the state after the segment."""
        attention_key, feed_forward_key = subkeys(key, 2)
        window, carried = (None, self.recurrence.start(len(x))) if past is None else past
        attended, window = self.attention(self.attention_norm(x), window, attention_key, text_BT)
        x = x + attended
        recurred, carried = self.recurrence(self.recurrence_norm(x), carried)
        x = x + recurred
        return x + self.feed_forward(self.feed_forward_norm(x), self.rate, feed_forward_key), (
            window,
            carried,
        )


def griffin(config: ModelConfig) -> LanguageModel:
    """Transformer-XL with the recurrence in `recurrent_layers`, in the paper as many as others have
    cross-attention, 5 of 12.

    Raises:
        ValueError: there is no such layer.
    """
    if not config.recurrent_layers:
        raise ValueError(
            "recurrent_layers is empty, but Griffin has a recurrence: name its layers there, no longer in"
            " cca_layers"
        )
    return TransformerXL(
        config, lambda layer: GriffinBlock(config) if layer in config.recurrent_layers else Block(config)
    )
